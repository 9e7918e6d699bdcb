package habit

// Option is an option of other programs, and what it is here.
type Option struct {
	Names []string // with their dashes
	From  string   // the programs that have it
	Value string   // the metavariable of its value; "" = a switch
	Here  string   // what to write here, with %s for the value; "" = nothing
	Why   string   // why nothing is to be written, or what else is to be known

	modes   bool                      // the value may be missing; it is one of a few words
	whole   bool                      // Here is more than an option
	convert func(value string) string // turns a value of theirs into ours; "" = it has none
}

// Reasons that several options have.
const (
	yourself = "leave it out: the command runs as you, with your groups"
	asRoot   = "there is none: nobody gains rights in the container; " +
		"root keeps its own with --keep-privs"
	network = "leave it out: the network is the node's"
	spaces  = "leave it out: processes, IPC and hostname are the node's, as MPI wants it"
	limits  = "leave it out: Slurm's limits of the job hold"
	nothing = "leave it out: nothing is left of a container"
	waits   = "leave it out: the command has the terminal, where there is one, " +
		"and stays in the foreground"
	gpus     = "leave it out: the GPUs of the job are there; NVIDIA_VISIBLE_DEVICES=0,1 picks some"
	nameless = "leave it out: containers have no names, and end with their command; " +
		"hpc3 exec JOB enters one that runs"
	setup    = "leave it out: what the image says of it holds"
	registry = "leave it out: plain_http in hpc3.toml names registries without TLS; " +
		"credentials are those of docker login, podman login or --authfile"
	gone = "what is written is gone at the end"
)

// Options are the options of other programs. Of several with a name the first counts.
var Options = []Option{ //nolint:gochecknoglobals // a constant table
	{
		Names: words("--bind -b"), From: "Apptainer, Charliecloud", Value: "SRC:DST", Here: "-B %s",
		convert: binds,
	},
	{
		Names: words("--volume"), From: "docker, podman, Shifter", Value: "SRC:DST", Here: "-B %s",
		convert: binds,
	},
	{
		Names: words("--mount -m"), From: "docker, Apptainer, Sarus, enroot", Value: "SRC:DST",
		Here: "-B %s", convert: mounts,
	},
	{
		Names: words("--fusemount"), From: "Apptainer", Value: "TYPE:FUSE",
		Why: "there is none: mount it on the node, and bind it with -B DIR",
	},
	{
		Names: words("--tmpfs"), From: "docker, podman", Value: "DST", Here: "-B tmpfs:%s",
		convert: directory,
	},
	{
		Names: words("--scratch -S"), From: "Apptainer", Value: "DST", Here: "-B tmpfs:%s",
		convert: directory,
	},
	{
		Names: words("--volumes-from --volume-driver"), From: "docker", Value: "NAME",
		Why: "there is none: there are no volumes; bind directories, -B SRC:DST",
	},
	{
		Names: words("--device"), From: "docker, podman", Value: "/dev/NAME", Here: "-B %s",
		convert: directory,
	},
	{
		Names: words("--env --set-env"), From: "Apptainer, podman, Charliecloud",
		Value: "NAME=VALUE", Here: "-e %s", convert: variables,
	},
	{
		Names: words("--env-file"), From: "docker, podman, Apptainer", Value: "FILE",
		Here: "--container-env-file %s", convert: quote,
	},
	{
		Names: words("--cleanenv --clearenv"), From: "Apptainer, Shifter",
		Here: "--container-clean-env",
	},
	{
		Names: words("--unsetenv --unset-env"), From: "podman, Charliecloud", Value: "NAME",
		Why: "there is none: unset it before, or give it another value with -e",
	},
	{
		Names: words("--env-host"), From: "podman",
		Why: "leave it out: the caller's variables are passed on, less those that would mislead " +
			"the image's programs",
	},
	{Names: words("--no-eval"), From: "Apptainer", Why: "leave it out: values are never evaluated"},
	{
		Names: words("--contain -c"), From: "Apptainer", Here: "--no-container-mount-home",
		Why: "/tmp and the current directory stay the node's",
	},
	{
		Names: words("--containall -C --compat"), From: "Apptainer",
		Here: "--container-clean-env --no-container-mount-home",
		Why:  "/tmp, processes and the network stay the node's",
	},
	{Names: words("--no-home"), From: "Apptainer", Here: "--no-container-mount-home"},
	{
		Names: words("--home -H"), From: "Apptainer", Value: "DIR", Here: "-B %s -e HOME=%s",
		convert: directory,
	},
	{
		Names: words("--no-mount"), From: "Apptainer", Value: "NAMES",
		Here: "--no-container-mount-home", Why: "that is for the home directory; other places stay",
	},
	{
		Names: words("--pwd --cwd --cd --workdir"), From: "Apptainer, docker, Sarus, Charliecloud",
		Value: "DIR", Here: "-w %s", convert: directory,
	},
	{Names: words("-W"), From: "Apptainer", Value: "DIR", Here: "-B %s:/tmp", convert: directory},
	{
		Names: words("--writable-tmpfs --write-fake"), From: "Apptainer, Charliecloud",
		Here: "--container-writable", Why: gone,
	},
	{
		Names: words("--writable --rw --write"), From: "Apptainer, enroot, Charliecloud",
		Here: "--container-writable", Why: gone + ", since images are not changed",
	},
	{
		Names: words("--read-only"), From: "docker, podman", Here: "--container-readonly",
		Why: "that is the default",
	},
	{
		Names: words("--overlay -o"), From: "Apptainer", Value: "FILE",
		Here: "--container-writable",
		Why:  gone + "; bind a directory for what is to stay, -B DIR:DST",
	},
	{
		Names: words("--underlay"), From: "Apptainer",
		Why: "leave it out: directories that the image lacks are made for binds",
	},
	{Names: words("--nv --nvccli --gpu"), From: "Apptainer, podman-hpc", Why: gpus},
	{Names: words("--gpus"), From: "docker, podman", Value: "WHICH", Why: gpus},
	{
		Names: words("--rocm --intel-hpu"), From: "Apptainer",
		Why: "leave it out: /dev/kfd, /dev/dri and /dev/accel are there; their libraries are the " +
			"image's",
	},
	{
		Names: words("--runtime"), From: "docker", Value: "NAME",
		Why: "leave it out: --engine says what runs the image, and GPUs are there",
	},
	{
		Names: words("--mpi"), From: "Sarus, podman-hpc",
		Why: "leave it out: the image's own MPI is used; in Slurm, srun --mpi=pmix or pmi2 " +
			"starts it",
	},
	{Names: words("--rm"), From: "docker, podman", Why: nothing},
	{
		Names: words("-it -ti -i -t --interactive --tty --detach"), From: "docker, podman",
		Why: waits,
	},
	{
		Names: words("--attach -a --detach-keys"), From: "docker, podman", Value: "STREAM",
		Why: waits,
	},
	{
		Names: words("--init --no-init --sig-proxy"), From: "docker, podman, Apptainer",
		Why: "leave it out: hpc3-run becomes the command, which gets all signals itself",
	},
	{
		Names: words("-n -np -N --ntasks --nodes"), From: "srun, mpirun", Value: "NUMBER",
		Why: "hpc3-run starts one process: srun -n NUMBER --container=IMAGE COMMAND, or mpirun " +
			"-n NUMBER hpc3-run IMAGE COMMAND",
	},
	{
		Names: words("--restart"), From: "docker, podman", Value: "POLICY",
		Why: "leave it out: Slurm starts a job again, sbatch --requeue",
	},
	{
		Names: words("--name --cidfile --pod --label -l"), From: "docker, podman", Value: "NAME",
		Why: nameless,
	},
	{Names: words("--replace"), From: "podman", Why: nameless},
	{
		Names: words("--user -u --uid --gid --group-add --uidmap --gidmap"),
		From:  "docker, podman, Charliecloud", Value: "USER", Why: yourself,
	},
	{
		Names: words("--userns"), From: "podman, Apptainer", Value: "MODE", Why: yourself,
		modes: true,
	},
	{
		Names: words("--fakeroot -f --root -r"), From: "Apptainer, enroot",
		Why: "there is none: the command runs as you; images are built with docker, podman, " +
			"buildah or apptainer build",
	},
	{
		Names: words("--privileged --no-privs --allow-setuid"), From: "docker, podman, Apptainer",
		Why: asRoot,
	},
	{
		Names: words("--cap-add --cap-drop --add-caps --drop-caps --security-opt --security"),
		From:  "docker, podman, Apptainer", Value: "WHAT", Why: asRoot,
	},
	{
		Names: words("--network --net"), From: "docker, podman, Apptainer", Value: "MODE",
		Why: network, modes: true,
	},
	{
		Names: words("--publish -p --network-args --expose --dns --add-host --link --ip"),
		From:  "docker, podman, Apptainer", Value: "WHAT", Why: network,
	},
	{Names: words("--publish-all -P"), From: "docker, podman", Why: network},
	{Names: words("--hostname"), From: "docker, podman, Apptainer", Value: "NAME", Why: spaces},
	{
		Names: words("--uts --ipc --pid --cgroupns --sharens"), From: "docker, podman, Apptainer",
		Value: "MODE", Why: spaces, modes: true,
	},
	{
		Names: words("--shm-size"), From: "docker, podman", Value: "SIZE",
		Why: "leave it out: /dev/shm is the node's",
	},
	{
		Names: words("--memory --memory-swap --cpus --cpuset-cpus --cpuset-mems --cpu-shares " +
			"--pids-limit --ulimit --apply-cgroups --blkio-weight"),
		From: "docker, podman, Apptainer", Value: "LIMIT", Why: limits,
	},
	{
		Names: words("--entrypoint"), From: "docker, podman", Value: "PROGRAM",
		Here: "--container-entrypoint none IMAGE %s", convert: quote,
		Why: "--container-entrypoint image is the image's own", whole: true,
	},
	{
		Names: words("--no-container-entrypoint"), From: "pyxis",
		Here: "--container-entrypoint login", Why: "that is the default",
	},
	{
		Names: words("--app"), From: "Apptainer", Value: "NAME",
		Why: "there is none: name the app's program as COMMAND",
	},
	{
		Names: words("--shell -s"), From: "Apptainer", Value: "PATH", Here: "hpc3-run IMAGE %s",
		convert: quote, whole: true,
	},
	{
		Names: words("--arch --arch-variant"), From: "Apptainer, podman", Value: "ARCH",
		Here: "--platform linux/%s", convert: quote,
	},
	{
		Names: words("--os"), From: "podman", Value: "OS", Here: "--platform %s/ARCH",
		convert: quote, whole: true,
	},
	{
		Names: words("--no-https --tls-verify --docker-login --disable-content-trust"),
		From:  "Apptainer, podman, docker", Why: registry,
	},
	{
		Names: words("--docker-username --docker-password --creds"), From: "Apptainer, podman",
		Value: "WHO", Why: registry,
	},
	{
		Names: words("--docker-host"), From: "Apptainer", Value: "HOST",
		Why: "there is none: docker save IMAGE -o FILE.tar, then docker-archive:FILE.tar",
	},
	{
		Names: words("--disable-cache"), From: "Apptainer", Here: "--pull always",
		Why: "that asks the registry each time; HPC3_CACHEDIR is where images are kept",
	},
	{
		Names: words("--hooks-dir --annotation --log-driver --log-opt --health-cmd --stop-signal " +
			"--stop-timeout --sysctl --storage-opt --secret --systemd"),
		From: "docker, podman", Value: "WHAT", Why: setup,
	},
	{Names: words("--no-healthcheck"), From: "docker, podman", Why: setup},
	{
		Names: words("--container-image"), From: "pyxis", Value: "IMAGE",
		Here: "hpc3-run %s COMMAND", Why: "in srun it is --container=IMAGE", convert: quote,
		whole: true,
	},
	{
		Names: words("--image"), From: "Shifter", Value: "IMAGE", Here: "hpc3-run %s COMMAND",
		convert: shifters, whole: true,
	},
	{
		Names: words("--environment"), From: "CSCS", Value: "FILE",
		Why: "there is none: EDF files are not read; name the image, and its mounts with -B",
	},
	{Names: words("--container-name"), From: "pyxis", Value: "NAME", Why: nameless},
	{
		Names: words("--container-save"), From: "pyxis", Value: "FILE",
		Here: "hpc3 pull IMAGE -o FILE.sif", Why: "what a container writes is not kept",
		whole: true,
	},
	{
		Names: words("--container-remap-root --no-container-remap-root"), From: "pyxis",
		Why: yourself,
	},
	{Names: words("--container-unshare"), From: "pyxis", Value: "LIST", Why: spaces},
	{
		Names: words("--container-entrypoint-log --no-container-entrypoint-log"), From: "pyxis",
		Why: "leave it out: what an entrypoint prints is shown",
	},
	{
		Names: words("--ssh --glibc --join"), From: "Sarus, Charliecloud",
		Why: "leave it out: the tasks of a step on a node share a container, and hpc3 exec JOB " +
			"enters it",
	},
	{Names: words("-V"), From: "other programs", Here: "--version", whole: true},
}
