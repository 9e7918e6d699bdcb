package engine

import (
	"os"
	"strings"
	"syscall"
)

// sh is a command that has the image's shell run a script.
func sh(script string) []string { return []string{"sh", "-c", script} }

func image(flags ...string) []string {
	return append([]string{"--container-entrypoint", "image"}, flags...)
}

func plain(flags ...string) []string {
	return append([]string{"--container-entrypoint", "none"}, flags...)
}

// parityTable is the table; each part below is a chapter.
func parityTable() []parity {
	var all []parity
	for _, part := range [][]parity{
		parityWords(), parityEntrypoints(), parityEnvironment(), parityEnvFiles(), parityCleanEnv(), parityLogin(), parityFiles(), parityPlaces(), parityLinks(), parityNamed(), parityPeople(), parityStreams(), parityFaults(),
		parityApptainer(),
	} {
		all = append(all, part...)
	}
	return all
}

func parityWords() []parity {
	exact := []string{"printf", "%s|", "a b", "", "*", "$HOME", "\n", "\\", "`id`", "$(id)", "'", `"`, "--", "-c", ";", "#"}
	printed := "a b||*|$HOME|\n|\\|`id`|$(id)|'|\"|--|-c|;|#|"
	return []parity{
		{name: "words, bash", args: exact, want: answer{stdout: printed}},
		{name: "words, sh", image: "sh", args: exact, want: answer{stdout: printed}},
		{name: "words, no shell", image: "bare", args: exact, want: answer{stdout: printed}},
		{name: "words, none", flags: plain(), args: exact, want: answer{stdout: printed}},
		{name: "words, image", image: "cmd", flags: image(), args: exact, want: answer{stdout: printed}},
		{name: "words after --", args: append([]string{"--"}, exact...), want: answer{stdout: printed}},
		{name: "bytes that are no UTF-8", args: []string{"printf", "%s", "\xff"}, want: answer{stdout: "\xff"}, other: map[string]answer{"apptainer": {stdout: "\uFFFD"}}, differ: "utf-8"},
		{name: "a word like an option", args: []string{"printf", "%s|", "--help", "-v", "--engine"}, want: answer{stdout: "--help|-v|--engine|"}},
		{name: "no function of the shell is a command", args: []string{"cd", "/"}, want: answer{status: 127, stderr: `error\[exec\]: running "cd"`}},
		{name: "status 0", args: []string{"true"}},
		{name: "status 1", args: []string{"false"}, want: answer{status: 1}},
		{name: "status 255", args: sh("exit 255"), want: answer{status: 255}},
		{name: "status 125 of its own", args: sh("exit 125"), want: answer{status: 125}},
		{name: "ends by SIGKILL", args: sh("kill -9 $$"), want: answer{status: 137}},
		{name: "ends by SIGSEGV", args: sh("ulimit -c 0; kill -SEGV $$"), want: answer{status: 139}},
	}
}

func parityEntrypoints() []parity {
	return []parity{
		{name: "ENTRYPOINT and CMD", image: "entry", flags: image(), want: answer{stdout: "entry|a b|$HOME|default|*\n"}},
		{name: "ENTRYPOINT and a command", image: "entry", flags: image(), args: []string{"x y"}, want: answer{stdout: "entry|a b|$HOME|x y\n"}},
		{name: "CMD alone", image: "cmd", flags: image(), want: answer{stdout: "from CMD $HOME\n"}},
		{name: "a command instead of CMD", image: "cmd", flags: image(), args: []string{"echo", "x"}, want: answer{stdout: "x\n"}},
		{name: "ENTRYPOINT as a shell line", image: "shellform", flags: image(), env: []string{"X=value"}, want: answer{stdout: "shell form value\n"}},
		{name: "neither ENTRYPOINT nor CMD", flags: image(), want: answer{status: 125, stderr: `error\[usage\]: the image has neither ENTRYPOINT nor CMD`}},
		{name: "ENTRYPOINT is not run in login mode", image: "entry", args: []string{"echo", "x"}, want: answer{stdout: "x\n"}, differ: "entrypoint"},
		{name: "ENTRYPOINT is not run in mode none", image: "entry", flags: plain(), args: []string{"echo", "x"}, want: answer{stdout: "x\n"}, differ: "entrypoint"},
		{name: "an ENTRYPOINT that takes words apart", image: "deck", flags: image(), args: []string{"printf", "%s|", "a b"}, want: answer{stdout: "a b|"}, differ: "entrypoint-words"},
		{name: "an ENTRYPOINT that is not there", image: "badentry", flags: image(), want: answer{status: 127, stderr: `error\[exec\]: running "/no/such/entry"`}},
		{name: "mode none without a command", flags: plain(), want: answer{status: 125, stderr: `error\[usage\]`}},
		{name: "the profile in login mode", args: sh("echo $PROFILE_RAN"), want: answer{stdout: "yes\n"}, differ: "entrypoint"},
		{name: "the profile, sh", image: "sh", args: sh("echo $PROFILE_RAN"), want: answer{stdout: "yes\n"}, differ: "entrypoint"},
		{name: "no profile in mode none", flags: plain(), args: sh("echo ${PROFILE_RAN-no}"), want: answer{stdout: "no\n"}},
		{name: "no profile in mode image", image: "cmd", flags: image(), args: sh("echo ${PROFILE_RAN-no}"), want: answer{stdout: "no\n"}},
		{name: "no shell is said", image: "bare", flags: []string{"-v"}, args: []string{"echo", "x"}, want: answer{stdout: "x\n", stderr: "the image has no shell"}},
		{name: "a login shell of an image without one", image: "bare", want: answer{status: 127, stderr: `error\[exec\]: .*the image has no shell`}},
		{name: "a login shell reads standard input", stdin: "echo $PROFILE_RAN; exit 3\n", want: answer{stdout: "yes\n", status: 3}, differ: "entrypoint"},
		{name: "a login shell reads standard input, sh", image: "sh", stdin: "echo $PROFILE_RAN; exit 3\n", want: answer{stdout: "yes\n", status: 3}, differ: "entrypoint"},
		{name: "WORKDIR", image: "workdir", call: `cd /root 2>/dev/null || cd /usr/sbin; exec "$@"`, args: []string{"pwd"}, want: answer{stdout: "/srv/data\n"}},
		{name: "USER", image: "user", flags: []string{"-v"}, args: []string{"id", "-u"}, want: answer{stdout: "4242\n", stderr: "the image asks for user service"}, differ: "user"},
		{name: "STOPSIGNAL", image: "stop", flags: []string{"-v"}, args: sh(`trap "echo stopped; exit 3" TERM; echo ready; while :; do sleep 0.1; done`), signal: syscall.SIGTERM, want: answer{stdout: "ready\nstopped\n", status: 3, stderr: "SIGUSR1"}, differ: "stopsignal"},
	}
}

// knownVariables prints those of the image's variables, all that Apptainer knows, that are not what
// the image says.
func knownVariables() []string {
	raw, err := os.ReadFile("../lab/apptainer-variables")
	if err != nil {
		return []string{"false"}
	}
	return sh("for v in " + strings.Join(strings.Fields(string(raw)), " ") + `; do eval "x=\${$v-}"; [ "$x" = image ] || echo "$v is $x"; done; echo all`)
}

func parityEnvironment() []parity {
	odd := "a 'b' \"c\" $d `e` \\"
	leaks := []string{
		"LD_PRELOAD=/no/such.so", "LD_LIBRARY_PATH=/host", "LD_AUDIT=/no/such.so", "PYTHONPATH=/host", "PYTHONHOME=/host", "PERL5LIB=/host", "R_LIBS=/host",
		"LMOD_CMD=/host", "_ModuleTable001_=x", "MODULEPATH=/host", "BASH_ENV=/host", "ENV=/host", "CDPATH=/host", "LOADEDMODULES=x", "GCONV_PATH=/host",
		"OPAL_PREFIX=/host", "OMPI_MCA_mca_base_component_path=/host",
	}
	return []parity{
		{name: "ranks of MPI, a container each", flags: append(plain(), "--no-container-share"), env: []string{"PMIX_NAMESPACE=a.1"}, args: []string{"printenv", "UCX_TLS", "OMPI_MCA_btl_vader_single_copy_mechanism"}, want: answer{stdout: "^posix,cma\nnone\n"}},
		{name: "ranks of MPI on one node, a container each", flags: append(plain(), "--no-container-share"), env: []string{"PMI_RANK=0", "PMI_SIZE=2", "MPI_LOCALNRANKS=2"}, args: []string{"printenv", "UCX_TLS"}, want: answer{stdout: "^posix,cma,tcp\n"}},
		{name: "ranks of MPI, a container each, told otherwise", flags: append(plain(), "--no-container-share"), env: []string{"PMIX_NAMESPACE=a.1", "UCX_TLS=all"}, args: []string{"printenv", "UCX_TLS"}, want: answer{stdout: "all\n"}},
		{name: "no ranks of MPI", flags: append(plain(), "--no-container-share"), args: sh("echo ${UCX_TLS-not set}"), want: answer{stdout: "not set\n"}},
		{name: "ENV", image: "env", args: []string{"printenv", "ODD", "EMPTY", "EQ"}, want: answer{stdout: odd + "\n\na=b=c\n"}},
		{name: "ENV, image", image: "env", flags: image(), args: []string{"printenv", "ODD", "EMPTY", "EQ"}, want: answer{stdout: odd + "\n\na=b=c\n"}},
		{name: "ENV, none", image: "env", flags: plain(), args: []string{"printenv", "ODD", "EMPTY", "EQ"}, want: answer{stdout: odd + "\n\na=b=c\n"}},
		{name: "ENV with a line break", image: "env", args: []string{"printenv", "LINES2"}, want: answer{stdout: "1\n2\n"}},
		{name: "ENV PATH in login mode", image: "env", args: []string{"own"}, want: answer{stdout: "own\n"}},
		{name: "ENV PATH in mode none", image: "env", flags: plain(), args: []string{"own"}, want: answer{stdout: "own\n"}},
		{name: "PATH of the host", env: []string{"PATH=/opt/hpc3/bin:/usr/bin:/bin:/usr/sbin:/host/bin"}, args: sh(`case $PATH in *host*) echo leaked;; *) echo no;; esac`), want: answer{stdout: "no\n"}},
		{name: "ENV HOME", image: "env", flags: plain(), args: sh(`test "$HOME" = /lab/home-4242 && echo mine`), want: answer{stdout: "mine\n"}, differ: "home"},
		{name: "ENV LD_LIBRARY_PATH", image: "env", args: []string{"printenv", "LD_LIBRARY_PATH"}, want: answer{like: "^/opt/lib(:|\n)"}},
		{name: "ENV before the host", image: "env", env: []string{"BOTH=host"}, args: []string{"printenv", "BOTH"}, want: answer{stdout: "image\n"}},
		{name: "-e before ENV", image: "env", flags: []string{"-e", "BOTH=mine"}, env: []string{"BOTH=host"}, args: []string{"printenv", "BOTH"}, want: answer{stdout: "mine\n"}},
		{name: "-e NAME before ENV", image: "env", flags: []string{"-e", "BOTH"}, env: []string{"BOTH=host"}, args: []string{"printenv", "BOTH"}, want: answer{stdout: "host\n"}},
		{name: "-e NAME of one not set", image: "env", flags: []string{"-e", "NOSUCH"}, args: sh("echo ${NOSUCH-unset}"), want: answer{stdout: "unset\n"}},
		{name: "-e with everything", flags: []string{"-e", "V=" + odd + ",\n="}, args: []string{"printenv", "V"}, want: answer{stdout: odd + ",\n=\n"}},
		{name: "-e empty", image: "env", flags: []string{"-e", "BOTH="}, args: sh("echo ${BOTH-unset}"), want: answer{stdout: "\n"}},
		{name: "-e HOME", flags: plain("-e", "HOME=/srv"), args: []string{"printenv", "HOME"}, want: answer{stdout: "/srv\n"}},
		{name: "-e PATH", flags: plain("-e", "PATH=/opt/own:/usr/bin"), args: []string{"own"}, want: answer{stdout: "own\n"}},
		{name: "-e PS1", flags: plain("-e", "PS1=mine> "), args: []string{"printenv", "PS1"}, want: answer{stdout: "mine> \n"}},
		{name: "-e PYTHONPATH", flags: []string{"-e", "PYTHONPATH"}, env: []string{"PYTHONPATH=/mine"}, args: []string{"printenv", "PYTHONPATH"}, want: answer{stdout: "/mine\n"}},
		{
			name: "-e LD_LIBRARY_PATH", flags: plain("-e", "LD_LIBRARY_PATH"), env: []string{"LD_LIBRARY_PATH=/mine"}, args: []string{"printenv", "LD_LIBRARY_PATH"}, want: answer{stdout: "/mine\n"},
			other: map[string]answer{"apptainer": {like: "^/mine:?"}}, differ: "apptainer-libs",
		},
		{
			name: "a variable of the host", env: []string{"OMP_NUM_THREADS=4", "SLURM_JOB_ID=1", "PMI_RANK=0", "UCX_TLS=rc", "CUDA_VISIBLE_DEVICES=1"},
			args: []string{"printenv", "OMP_NUM_THREADS", "SLURM_JOB_ID", "PMI_RANK", "UCX_TLS", "CUDA_VISIBLE_DEVICES"}, want: answer{stdout: "4\n1\n0\nrc\n1\n"}, differ: "host-environment",
		},
		{name: "a variable of the host with everything", env: []string{"V=" + odd + "\n="}, flags: plain(), args: []string{"printenv", "V"}, want: answer{stdout: odd + "\n=\n"}, differ: "host-environment"},
		{name: "what would mislead the image", env: leaks, flags: plain("-q"), args: sh(`for v in LD_PRELOAD LD_AUDIT PYTHONPATH PYTHONHOME PERL5LIB R_LIBS LMOD_CMD _ModuleTable001_ MODULEPATH BASH_ENV ENV CDPATH LOADEDMODULES GCONV_PATH OPAL_PREFIX OMPI_MCA_mca_base_component_path; do eval "echo \${$v-}"; done | tr -d '\n'; case $LD_LIBRARY_PATH in *host*) echo leaked;; esac; echo`), want: answer{stdout: "\n"}},
		{name: "what a module's shim says to hpc3-run", env: []string{"HPC3_SHIM=a/1", "HPC3_SHIM_INSIDE=7"}, flags: []string{"-v", "-e", "HPC3_SHIM", "-e", "HPC3_SHIM_INSIDE=8"}, args: sh("echo ${HPC3_SHIM-none} ${HPC3_SHIM_INSIDE-none}"), want: answer{stdout: "none none\n"}},
		{name: "what was dropped is said", env: []string{"LD_LIBRARY_PATH=/host", "PYTHONPATH=/host"}, flags: []string{"-v"}, args: []string{"true"}, want: answer{stderr: "not passed on: LD_LIBRARY_PATH PYTHONPATH\n"}},
		{name: "functions of the host", call: `f() { echo leaked; }; export -f f; exec "$@"`, args: []string{"bash", "-c", "type f 2>/dev/null || echo none"}, want: answer{stdout: "none\n"}},
		{name: "a locale that the image lacks", env: []string{"LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8"}, flags: []string{"-v"}, args: sh("echo ${LANG-unset} ${LC_ALL-unset}"), want: answer{stdout: "unset unset\n", stderr: "LANG"}},
		{name: "a locale that every image has", env: []string{"LANG=C.UTF-8"}, args: sh("echo $LANG"), want: answer{stdout: "C.UTF-8\n"}, differ: "host-environment"},
		{name: "what the command is told", args: sh("echo $HPC3_IMAGE_REF ${HPC3_IMAGE_DIGEST%%:*}"), want: answer{stdout: "oci:/images:bash sha256\n"}},
		{name: "USER and LOGNAME", args: sh("echo $USER $LOGNAME $SHELL"), want: answer{stdout: "tester tester /bin/bash\n"}, differ: "host-environment"},
		{name: "an image that sets all that Apptainer knows", image: "known", args: knownVariables(), want: answer{stdout: "all\n"}},
		{name: "an image that sets all that Apptainer knows, none", image: "known", flags: plain(), args: knownVariables(), want: answer{stdout: "all\n"}},
		{name: "UID of an image", image: "known", flags: plain(), args: []string{"printenv", "UID"}, want: answer{stdout: "image\n"}, other: map[string]answer{"apptainer": {stdout: "4242\n"}}, differ: "apptainer-variables"},
		{name: "-e of Apptainer's own", flags: plain("-e", "APPTAINER_NAME=mine", "-e", "APPTAINER_BIND=/no/such"), args: []string{"printenv", "APPTAINER_NAME", "APPTAINER_BIND"}, want: answer{stdout: "mine\n/no/such\n"}},
		{name: "-e of the loader's", flags: plain("-e", "LD_PRELOAD=/no/such.so"), args: []string{"printenv", "LD_PRELOAD"}, want: answer{stdout: "/no/such.so\n"}},
		{name: "PATH in mode none", flags: plain(), args: []string{"printenv", "PATH"}, want: answer{stdout: "/usr/local/bin:/usr/bin:/bin\n"}},
		{
			name: "credentials of a pull", env: []string{"APPTAINER_DOCKER_PASSWORD=secret", "SINGULARITY_DOCKER_USERNAME=secret", "DOCKER_PASSWORD=secret", "DOCKER_AUTH_CONFIG=secret"}, flags: plain("-v"),
			args: sh(`env | while read -r l; do case $l in *secret*) echo "$l";; esac; done; echo done`), want: answer{stdout: "done\n", stderr: "not passed on: APPTAINER_DOCKER_PASSWORD DOCKER_AUTH_CONFIG DOCKER_PASSWORD SINGULARITY_DOCKER_USERNAME\n"},
		},
		{name: "a credential that is asked for", env: []string{"DOCKER_PASSWORD=mine"}, flags: plain("-e", "DOCKER_PASSWORD"), args: []string{"printenv", "DOCKER_PASSWORD"}, want: answer{stdout: "mine\n"}},
		{name: "APPTAINERENV", env: []string{"APPTAINERENV_X=set"}, args: sh("echo ${X-unset}"), want: answer{stdout: "unset\n"}, other: map[string]answer{"apptainer": {stdout: "set\n"}}, differ: "apptainer-settings"},
		{name: "APPTAINERENV before ENV", image: "env", env: []string{"APPTAINERENV_BOTH=mine"}, args: sh("echo $BOTH"), want: answer{stdout: "image\n"}, other: map[string]answer{"apptainer": {stdout: "mine\n"}}, differ: "apptainer-settings"},
		{name: "APPTAINER_BIND", env: []string{"APPTAINER_BIND=/usr/sbin:/srv/data"}, args: sh("test -e /srv/data/useradd && echo bound || echo not"), want: answer{stdout: "not\n"}, other: map[string]answer{"apptainer": {stdout: "bound\n"}}, differ: "apptainer-settings"},
		{name: "HPC3_CONTAINER_ENV", env: []string{"HPC3_CONTAINER_ENV=A=1,B=2"}, args: []string{"printenv", "A", "B"}, want: answer{stdout: "1\n2\n"}},
	}
}

func parityFiles() []parity {
	return []parity{
		{name: "-B a directory", flags: []string{"-B", "/usr/sbin:/srv/data"}, args: sh("test -e /srv/data/useradd && echo there"), want: answer{stdout: "there\n"}},
		{name: "-B a file", flags: []string{"-B", "/etc/hostname:/srv/file"}, call: `echo x > /tmp/f; exec "$@"`, args: sh("cat /srv/file >/dev/null && echo there"), want: answer{stdout: "there\n"}},
		{name: "-B to what the image lacks", flags: []string{"-B", "/usr/sbin:/not/in/it"}, args: sh("test -e /not/in/it/useradd && echo there"), want: answer{stdout: "there\n"}},
		{name: "-B a file to what the image lacks", flags: []string{"-B", "/etc/passwd:/not/in/it"}, args: sh("test -s /not/in/it && echo there"), want: answer{stdout: "there\n"}},
		{name: "-B at its own path", flags: []string{"-B", "/usr/share/doc"}, args: sh("test -e /usr/share/doc/kept && echo there"), want: answer{stdout: "there\n"}},
		{name: "-B ro", call: `cd; mkdir -p ro; exec "$@"`, flags: []string{"-B", "ro:/srv/data:ro"}, args: sh("touch /srv/data/x 2>/dev/null || echo closed"), want: answer{stdout: "closed\n"}},
		{name: "-B is writable", call: `cd; mkdir -p rw; exec "$@"`, flags: []string{"-B", "rw:/srv/data"}, args: sh("touch /srv/data/x && echo open"), want: answer{stdout: "open\n"}},
		{name: "-B nosuid, nodev", call: `cd; mkdir -p rw; exec "$@"`, flags: []string{"-B", "rw:/srv/data:nosuid+nodev"}, args: sh(`while read -r l; do case $l in *" /srv/data "*nosuid*nodev*) echo yes;; esac; done </proc/self/mountinfo`), want: answer{stdout: "yes\n"}},
		{
			name: "-B noexec", call: `cd; mkdir -p rw; exec "$@"`, flags: []string{"-B", "rw:/srv/data:noexec"}, args: sh(`printf '#!/bin/sh\necho ran\n' >/srv/data/p; chmod +x /srv/data/p; /srv/data/p 2>/dev/null || echo closed`), want: answer{stdout: "closed\n"},
			other: map[string]answer{"apptainer": {status: 125, stderr: `error\[mount\]: .*noexec.*hint: use --engine native`}}, differ: "noexec",
		},
		{name: "-B noexec, auto", flags: []string{"-B", "/usr/sbin:/srv/data:noexec", "--engine", "auto", "-v"}, args: sh("test -e /srv/data/useradd && echo there"), want: answer{stdout: "there\n", stderr: "not using Apptainer: binding /usr/sbin"}},
		{name: "-B /dev", flags: []string{"-B", "/dev"}, args: sh("echo x >/dev/null && test -c /dev/fuse && exec 3<>/dev/fuse && echo open"), want: answer{stdout: "open\n"}},
		{name: "-B devices", flags: []string{"-B", "/dev/null,/dev/fuse:/dev/fuse"}, args: sh("echo x >/dev/null && exec 3<>/dev/fuse && echo open"), want: answer{stdout: "open\n"}},
		{
			name: "-B a device elsewhere", flags: []string{"-B", "/dev/null:/srv/file"}, args: sh("echo x >/srv/file && cat /srv/file && echo usable"), want: answer{stdout: "usable\n"},
			other: map[string]answer{"apptainer": {status: 125, stderr: `error\[mount\]: binding /dev/null to /srv/file: devices do not work.*hint: bind it to its own path`}}, differ: "devices",
		},
		{name: "-B to what a directory of the node lacks", flags: []string{"-B", "/usr/sbin:/tmp/missing/below"}, args: []string{"true"}, call: untouched("/tmp/missing"), want: answer{stdout: "untouched\n", status: 125, stderr: notMade}},
		{name: "-B to what the home directory lacks", flags: []string{"-B", "/usr/sbin:/lab/home-4242/missing"}, args: []string{"true"}, call: untouched("/lab/home-4242/missing"), want: answer{stdout: "untouched\n", status: 125, stderr: notMade}},
		{name: "-B to what another bind lacks", flags: []string{"-B", "/lab/home-4242:/srv/one", "-B", "/usr/sbin:/srv/one/missing2"}, args: []string{"true"}, call: untouched("/lab/home-4242/missing2"), want: answer{stdout: "untouched\n", status: 125, stderr: notMade}},
		{name: "-B through a symlink of the image", image: "linkedusers", flags: []string{"-B", "/usr/sbin:/srv/tmp/x"}, args: []string{"true"}, call: untouched("/tmp/below"), want: answer{stdout: "untouched\n", status: 125, stderr: notMade}},
		{name: "-B tmpfs to what a directory of the node lacks", flags: []string{"-B", "tmpfs:/tmp/missing3"}, args: []string{"true"}, call: untouched("/tmp/missing3"), want: answer{stdout: "untouched\n", status: 125, stderr: `error\[mount\]: mounting a tmpfs at /tmp/missing3: it does not exist`}},
		{
			name: "APPTAINER_BIND to what a directory of the node lacks", env: []string{"APPTAINER_BIND=/usr/sbin:/tmp/missing4"}, args: []string{"true"}, call: untouched("/tmp/missing4"),
			want: answer{stdout: "untouched\n"}, other: map[string]answer{"apptainer": {stdout: "untouched\n", status: 125, stderr: notMade}}, differ: "apptainer-settings",
		},
		{name: "-B below a tmpfs", flags: []string{"-B", "tmpfs:/srv/t", "-B", "/usr/sbin:/srv/t/new"}, args: sh("test -e /srv/t/new/useradd && echo there"), want: answer{stdout: "there\n"}},
		{name: "-B of what is not there", flags: []string{"-B", "/no/such:/srv/data"}, args: []string{"true"}, want: answer{status: 125, stderr: `error\[mount\]: binding /no/such: no such file`}},
		{name: "-B over the root", flags: []string{"-B", "/usr:/"}, args: []string{"true"}, want: answer{status: 125, stderr: `error\[mount\]`}},
		{name: "-B a directory over a file", flags: []string{"-B", "/usr/sbin:/srv/file"}, args: []string{"true"}, want: answer{status: 125, stderr: `error\[mount\]: binding /usr/sbin to /srv/file`}},
		{name: "-B a file over a directory", flags: []string{"-B", "/etc/passwd:/srv/data"}, args: []string{"true"}, want: answer{status: 125, stderr: `error\[mount\]: binding /etc/passwd to /srv/data`}},
		{name: "-B with blanks, quotes and a comma's neighbours", call: `cd; mkdir -p "a b\"c" && touch "a b\"c/x"; exec "$@"`, flags: []string{"-B", `a b"c:/srv/with "it`}, args: sh(`test -e '/srv/with "it/x' && echo there`), want: answer{stdout: "there\n"}},
		{name: "two -B", flags: []string{"-B", "/usr/sbin:/srv/one,/usr/sbin:/srv/two"}, args: sh("test -e /srv/one/useradd && test -e /srv/two/useradd && echo both"), want: answer{stdout: "both\n"}},
		{name: "a read-only image", args: sh("touch /usr/x"), want: answer{status: 1, stderr: "Read-only file system"}, differ: "read-only"},
		{name: "what overlay would obey in an image", image: "overlay", args: sh("stat -c '%n %F' /srv/none /srv/left/over"), want: answer{stdout: "/srv/none regular empty file\n/srv/left/over regular empty file\n"}},
		{name: "the same, in a writable container", image: "overlay", flags: []string{"--container-writable", "--engine", "auto"}, args: sh("stat -c '%n %F' /srv/none /srv/left/over"), want: answer{stdout: "/srv/none regular empty file\n/srv/left/over regular empty file\n"}},
		{
			name: "a writable layer", flags: []string{"--container-writable"}, args: sh("touch /usr/x /srv/y && echo changed >/srv/file && cat /srv/file"), want: answer{stdout: "changed\n"},
			other: map[string]answer{"apptainer": {status: 125, stderr: `error\[engine\]: making a writable layer: .*64 MiB.*hint: use --engine native`}}, differ: "writable",
		},
		{name: "a writable layer, auto", flags: []string{"--container-writable", "--engine", "auto", "-v"}, args: sh("echo changed >/srv/file && cat /srv/file"), want: answer{stdout: "changed\n", stderr: "not using Apptainer: making a writable layer"}},
		{name: "a writable layer is gone the next time", flags: []string{"--container-writable", "--engine", "auto"}, args: sh("test ! -e /usr/x && cat /srv/file && touch /usr/x"), want: answer{stdout: "from the image\n"}, differ: "read-only"},
		{name: "/tmp is the node's", call: `echo host >/tmp/seen; exec "$@"`, args: []string{"cat", "/tmp/seen"}, want: answer{stdout: "host\n"}, differ: "host-directories"},
		{name: "/dev/shm is the node's", call: `echo host >/dev/shm/seen; exec "$@"`, args: []string{"cat", "/dev/shm/seen"}, want: answer{stdout: "host\n"}, differ: "host-directories"},
		{name: "/dev", args: sh("echo x >/dev/null && test -c /dev/zero && test -c /dev/urandom && test -c /dev/tty && test -e /dev/fd/1 && echo ok"), want: answer{stdout: "ok\n"}},
		{name: "/proc and /sys", args: sh("test -d /proc/self && test -d /sys/devices && echo ok"), want: answer{stdout: "ok\n"}},
		{name: "resolv.conf and hosts", args: sh("test -e /etc/resolv.conf && test -e /etc/hosts && echo ok"), want: answer{stdout: "ok\n"}},
	}
}

func parityPlaces() []parity {
	return []parity{
		{name: "the current directory", call: `mkdir -p "$HOME/sub"; cd "$HOME/sub"; exec "$@"`, args: []string{"pwd"}, want: answer{stdout: "/lab/home-4242/sub\n"}, differ: "host-directories"},
		{name: "a current directory that the image lacks", call: `cd /usr/sbin; exec "$@"`, image: "workdir", args: []string{"pwd"}, want: answer{stdout: "/srv/data\n"}},
		{name: "a current directory under /tmp", call: `mkdir -p /tmp/here; cd /tmp/here; exec "$@"`, args: []string{"pwd"}, want: answer{stdout: "/tmp/here\n"}, differ: "host-directories"},
		{name: "a current directory that is gone", call: `mkdir -p /tmp/gone; cd /tmp/gone; rmdir /tmp/gone; exec "$@"`, args: sh("pwd >/dev/null && echo ok"), want: answer{stdout: "ok\n"}},
		{name: "-w", flags: []string{"-w", "/srv/data"}, args: []string{"pwd"}, want: answer{stdout: "/srv/data\n"}},
		{name: "-w before WORKDIR", image: "workdir", flags: []string{"-w", "/srv"}, args: []string{"pwd"}, want: answer{stdout: "/srv\n"}},
		{name: "-w to a bind", flags: []string{"-w", "/bound", "-B", "/usr/sbin:/bound"}, args: []string{"pwd"}, want: answer{stdout: "/bound\n"}},
		{name: "-w to what is not there", flags: []string{"-w", "/no/such"}, args: []string{"pwd"}, want: answer{status: 125, stderr: `error\[mount\]: changing to the working directory /no/such`}, differ: "workdir"},
		{name: "-w to what is not there, no shell", image: "bare", flags: []string{"-w", "/no/such"}, args: []string{"pwd"}, want: answer{status: 125, stderr: `error\[mount\]: changing to the working directory /no/such`}, differ: "workdir"},
		{name: "-w without a shell", image: "bare", flags: []string{"-w", "/srv/data"}, args: []string{"pwd"}, want: answer{stdout: "/srv/data\n"}},
		{name: "the home directory", args: sh(`touch "$HOME/x" && echo ok`), want: answer{stdout: "ok\n"}, differ: "home"},
		{name: "no home directory", flags: []string{"--no-container-mount-home", "-w", "/"}, args: sh(`test -e "$HOME/cache" && echo there || echo none`), want: answer{stdout: "none\n"}},
		{name: "no home directory, from in there", flags: []string{"--no-container-mount-home", "-w", "/"}, call: `cd; exec "$@"`, args: sh(`test -e "$HOME/cache" && echo there || echo none`), want: answer{stdout: "none\n"}},
		{name: "no home directory, from in there, without -w", flags: []string{"--no-container-mount-home"}, call: `cd; exec "$@"`, args: sh(`pwd; test -e "$HOME/cache" && echo there || echo none`), want: answer{stdout: "/\nnone\n"}},
		{name: "no home directory, from in there, no shell", image: "bare", flags: []string{"--no-container-mount-home", "-w", "/srv/data"}, call: `cd; exec "$@"`, args: []string{"pwd"}, want: answer{stdout: "/srv/data\n"}},
		{name: "HOME unset", call: `cd /; unset HOME; exec "$@"`, flags: plain(), args: sh(`echo $HOME; pwd`), want: answer{stdout: "/\n/\n"}, other: map[string]answer{"apptainer": {stdout: "/home/tester\n/\n"}}, differ: "home"},
		{name: "HOME that is not there", env: []string{"HOME=/no/such/home"}, call: `cd /; exec "$@"`, flags: plain(), args: []string{"printenv", "HOME"}, want: answer{stdout: "/no/such/home\n"}, other: map[string]answer{"apptainer": {stdout: "/home/tester\n"}}, differ: "home"},
		{name: "TMPDIR", call: `mkdir -p "$HOME/t"; export TMPDIR="$HOME/t"; cd /; exec "$@"`, args: sh(`touch "$TMPDIR/x" && echo ok`), want: answer{stdout: "ok\n"}, differ: "host-directories"},
	}
}

// parityLinks are about directories that have two names on the node, where /scratch is a link to
// /gpfs/scratch, and about links of an image.
func parityLinks() []parity {
	work := `mkdir -p /scratch/u; cd /scratch/u; exec "$@"`
	tmp := `echo tmp >/tmp/which; echo var >/var/tmp/which; mkdir -p /tmp/$$ /var/tmp/$$; `
	which := sh("cat /tmp/which /var/tmp/which")
	apart, one := answer{stdout: "tmp\nvar\n"}, map[string]answer{"apptainer": {stdout: "tmp\ntmp\n"}}
	return []parity{
		{name: "a current directory behind a link", call: work, args: sh("pwd; touch /gpfs/scratch/u/a && test -e a -a . -ef /gpfs/scratch/u && echo both"), want: answer{stdout: "/scratch/u\nboth\n"}, differ: "host-directories"},
		{name: "a current directory behind a link, no shell", image: "bare", call: work, args: []string{"stat", "-c", "%n", "/scratch/u", "/gpfs/scratch/u"}, want: answer{stdout: "/scratch/u\n/gpfs/scratch/u\n"}},
		{name: "a current directory by the link's end", call: `mkdir -p /scratch/e; cd -P /scratch/e; exec "$@"`, args: []string{"pwd"}, want: answer{stdout: "/gpfs/scratch/e\n"}, differ: "host-directories"},
		{name: "a current directory that two links lead to", call: `mkdir -p /scratch/t; ln -sfn /scratch/t ~/two; cd ~/two; exec "$@"`, args: sh("touch b; test -e /gpfs/scratch/t/b && echo both"), want: answer{stdout: "both\n"}},
		{name: "a current directory by the name of a system's", call: `mkdir -p /usr/scratch/s; cd /usr/scratch/s; exec "$@"`, args: sh("touch c; test -e /gpfs/scratch/s/c && echo both"), want: answer{stdout: "both\n"}},
		{name: "a current directory that ends in one of the system", call: `cd /progs; exec "$@"`, args: sh("pwd; test -e perl && echo seen; test -e /usr/bin/perl || echo hidden"), want: answer{stdout: "/progs\nseen\nhidden\n"}},
		{name: "a current directory in memory", call: `mkdir -p /dev/shm/m; cd /dev/shm/m; exec "$@"`, args: []string{"pwd"}, want: answer{stdout: "/dev/shm/m\n"}, differ: "host-directories"},
		{name: "HOME behind a link", call: `mkdir -p /scratch/h; export HOME=/scratch/h; cd; exec "$@"`, args: sh("pwd; echo $HOME; touch /gpfs/scratch/h/d && test -e ~/d && echo both"), want: answer{stdout: "/scratch/h\n/scratch/h\nboth\n"}, differ: "home"},
		{name: "HOME behind a link, from its end", call: `mkdir -p /scratch/h/sub; export HOME=/scratch/h; cd -P /scratch/h/sub; exec "$@"`, args: sh("pwd; touch ~/sub/e && test -e e && echo both"), want: answer{stdout: "/gpfs/scratch/h/sub\nboth\n"}, differ: "home"},
		{name: "no HOME behind a link, from its end", flags: []string{"--no-container-mount-home"}, call: `mkdir -p /scratch/h/sub; export HOME=/scratch/h; cd -P /scratch/h/sub; exec "$@"`, args: sh("pwd; test -e /gpfs/scratch/h || echo none"), want: answer{stdout: "/\nnone\n"}},
		{name: "TMPDIR behind a link", call: `mkdir -p /scratch/tmp; export TMPDIR=/scratch/tmp; cd; exec "$@"`, args: sh(`touch "$TMPDIR/f" && test -e /gpfs/scratch/tmp/f && echo both`), want: answer{stdout: "both\n"}, differ: "host-directories"},
		{name: "TMPDIR as a link below /tmp", call: `mkdir -p /scratch/l; ln -sfn /scratch/l /tmp/l; export TMPDIR=/tmp/l; cd; exec "$@"`, args: sh(`touch "$TMPDIR/g" && test -e /gpfs/scratch/l/g && echo both`), want: answer{stdout: "both\n"}, differ: "host-directories"},
		{name: "-B behind a link", call: `mkdir -p /scratch/b; cd; exec "$@"`, flags: []string{"-B", "/scratch/b"}, args: sh("touch /scratch/b/h && test -e /gpfs/scratch/b/h && echo both"), want: answer{stdout: "both\n"}},
		{name: "-B behind a link, ro", call: `mkdir -p /scratch/b; cd; exec "$@"`, flags: []string{"-B", "/scratch/b:/scratch/b:ro"}, args: sh("touch /gpfs/scratch/b/no 2>/dev/null || test -d /gpfs/scratch/b && echo closed"), want: answer{stdout: "closed\n"}},
		{name: "-B of a link's end to the link", call: `mkdir -p /scratch/b; cd; exec "$@"`, flags: []string{"-B", "/gpfs/scratch/b:/scratch/b"}, args: sh("touch /scratch/b/i && test -e /gpfs/scratch/b/i && echo both"), want: answer{stdout: "both\n"}},
		{name: "-B behind a link to elsewhere", call: `mkdir -p /scratch/b; cd; exec "$@"`, flags: []string{"-B", "/scratch/b:/srv/data"}, args: sh("touch /srv/data/j && test ! -e /scratch/b -a ! -e /gpfs/scratch/b && echo there"), want: answer{stdout: "there\n"}},
		{name: "-B at the other name of another -B", call: `mkdir -p /scratch/b /scratch/o; touch /scratch/o/other; cd; exec "$@"`, flags: []string{"-B", "/scratch/o:/gpfs/scratch/b,/scratch/b"}, args: sh("test -e /gpfs/scratch/b/other -a ! -e /scratch/b/other && echo mine"), want: answer{stdout: "mine\n"}},
		{name: "an image with /var/tmp as a link", image: "vartmplink", call: tmp + `cd; exec "$@"`, args: which, want: apart, other: one, differ: "tmp-links"},
		{name: "an image with /tmp as a link", image: "tmplink", call: tmp + `cd; exec "$@"`, args: which, want: apart, other: one, differ: "tmp-links"},
		{name: "a home below /tmp", image: "vartmplink", call: tmp + `export HOME=/tmp/$$; cd; exec "$@"`, args: []string{"bash", "-c", `touch ~/k && echo "${PWD//[0-9]}"`}, want: answer{stdout: "/tmp/\n"}},
		{name: "a home below a /tmp that is a link", image: "tmplink", call: tmp + `export HOME=/tmp/$$; cd; exec "$@"`, args: sh(`touch ~/k && echo ok`), want: answer{stdout: "ok\n"}},
		{
			name: "a home below a /var/tmp that is a link", image: "vartmplink", call: tmp + `export HOME=/var/tmp/$$; cd; exec "$@"`, args: sh(`touch ~/k && echo ok`), want: answer{stdout: "ok\n"},
			other: map[string]answer{"apptainer": {status: 125, stderr: `error\[mount\]: binding the home directory /var/tmp/\d+: a symlink of the image .*hint: use --engine native`}}, differ: "tmp-links",
		},
		{name: "an image with a link for the current directory", image: "vartmplink", call: `mkdir -p /fast/u; cd /fast/u; exec "$@"`, args: sh(`touch l && pwd`), want: answer{stdout: "/fast/u\n"}, other: map[string]answer{"apptainer": {like: "^/lab/home-4242\n$"}}, differ: "tmp-links"},
		{name: "nothing is made on the node for it", image: "vartmplink", call: `mkdir -p /fast/w; cd /fast/w; "$@"; test ! -e /tmp/w && echo clean`, args: []string{"true"}, want: answer{stdout: "clean\n"}},
	}
}

// parityNamed are about variables that name files of the node.
func parityNamed() []parity {
	const socket = `perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local=>$ARGV[0],Listen=>1) or die' `
	run := func(script string) string { return script + `; cd; exec "$@"` }
	is := func(test string) []string { return sh(test + ` && echo yes || echo "no: ${V-}"`) }
	yes := answer{stdout: "yes\n"}
	return []parity{
		{name: "XDG_RUNTIME_DIR", env: []string{"XDG_RUNTIME_DIR=/run/user/4242"}, call: run("touch /run/user/4242/x"), args: is(`test -O "$XDG_RUNTIME_DIR/x"`), want: yes, differ: "host-environment"},
		{name: "XDG_RUNTIME_DIR that is not there", env: []string{"XDG_RUNTIME_DIR=/run/user/999"}, flags: []string{"-v"}, args: is(`test -z "${XDG_RUNTIME_DIR+x}"`), want: answer{stdout: "yes\n", stderr: `not passed on: XDG_RUNTIME_DIR \(/run/user/999: no such file or directory\)`}},
		{name: "XDG_RUNTIME_DIR of another", env: []string{"XDG_RUNTIME_DIR=/run/user/1"}, flags: []string{"-v"}, args: is(`test -z "${XDG_RUNTIME_DIR+x}"`), want: answer{stdout: "yes\n", stderr: `XDG_RUNTIME_DIR \(/run/user/1 is not the caller's own\)`}},
		{name: "XAUTHORITY", env: []string{"XAUTHORITY=/gpfs/scratch/auth"}, call: run("echo cookie >/gpfs/scratch/auth"), flags: []string{"-v"}, args: is(`test "$(cat "$XAUTHORITY")" = cookie`), want: answer{stdout: "yes\n", stderr: `there for variables that name files: XAUTHORITY \(/gpfs/scratch/auth\)`}, differ: "host-environment"},
		{name: "XAUTHORITY of another", env: []string{"XAUTHORITY=/etc/passwd"}, args: is(`test -z "${XAUTHORITY+x}"`), want: yes},
		{name: "XAUTHORITY by -e", env: []string{"XAUTHORITY=/no/such"}, flags: []string{"-e", "XAUTHORITY"}, args: is(`test "$XAUTHORITY" = /no/such`), want: yes},
		{name: "X509_USER_PROXY behind a link", env: []string{"X509_USER_PROXY=/scratch/proxy"}, call: run("echo p >/scratch/proxy"), args: is(`test -s "$X509_USER_PROXY" -a -s /gpfs/scratch/proxy`), want: yes, differ: "host-environment"},
		{name: "KRB5CCNAME, a file", env: []string{"KRB5CCNAME=FILE:/gpfs/scratch/cc"}, call: run("echo c >/gpfs/scratch/cc"), args: is(`test "$KRB5CCNAME" = FILE:/gpfs/scratch/cc -a -s /gpfs/scratch/cc`), want: yes, differ: "host-environment"},
		{name: "KRB5CCNAME, one of a directory", env: []string{"KRB5CCNAME=DIR::/gpfs/scratch/ccs/tkt"}, call: run("mkdir -p /gpfs/scratch/ccs; echo c >/gpfs/scratch/ccs/primary"), args: is(`test -n "$KRB5CCNAME" -a -s /gpfs/scratch/ccs/primary`), want: yes, differ: "host-environment"},
		{name: "KRB5CCNAME, no file", env: []string{"KRB5CCNAME=KEYRING:persistent:4242"}, args: is(`test "$KRB5CCNAME" = KEYRING:persistent:4242`), want: yes, differ: "host-environment"},
		{name: "KRB5CCNAME, gone", env: []string{"KRB5CCNAME=FILE:/gpfs/no"}, args: is(`test -z "${KRB5CCNAME+x}"`), want: yes},
		{name: "SSH_AUTH_SOCK", call: run("export SSH_AUTH_SOCK=/gpfs/scratch/agent-$$; " + socket + "$SSH_AUTH_SOCK"), args: is(`test -S "$SSH_AUTH_SOCK"`), want: yes, differ: "host-environment"},
		{name: "SSH_AUTH_SOCK, gone", env: []string{"SSH_AUTH_SOCK=/tmp/no"}, args: is(`test -z "${SSH_AUTH_SOCK+x}"`), want: yes},
		{name: "HWLOC_XMLFILE", env: []string{"HWLOC_XMLFILE=/var/spool/topology.xml"}, args: is(`test -s "$HWLOC_XMLFILE"`), want: yes, differ: "host-environment"},
		{name: "HWLOC_XMLFILE, closed", env: []string{"HWLOC_XMLFILE=/var/spool/closed.xml"}, args: is(`test -z "${HWLOC_XMLFILE+x}"`), want: yes},
		{name: "SLURM_TMPDIR", env: []string{"SLURM_TMPDIR=/gpfs/scratch/job"}, call: run("mkdir -p /gpfs/scratch/job"), args: is(`touch "$SLURM_TMPDIR/x"`), want: yes, differ: "host-environment"},
		{name: "SLURM_TMPDIR that all may write", env: []string{"SLURM_TMPDIR=/scratch"}, args: is(`touch "$SLURM_TMPDIR/x"`), want: yes, differ: "host-environment"},
		{name: "SLURM_TMPDIR in memory", call: run("export SLURM_TMPDIR=/dev/shm/job; mkdir -p $SLURM_TMPDIR"), args: is(`touch "$SLURM_TMPDIR/x"`), want: yes, differ: "host-environment"},
		{name: "SLURM_TMPDIR of another", env: []string{"SLURM_TMPDIR=/var/spool"}, args: is(`test -z "${SLURM_TMPDIR+x}"`), want: yes},
		{name: "a bus by its path", call: run("export DBUS_SESSION_BUS_ADDRESS=unix:path=/gpfs/scratch/b%75s-$$,guid=0 BUS=/gpfs/scratch/bus-$$; " + socket + "$BUS"), args: is(`test -n "$DBUS_SESSION_BUS_ADDRESS" -a -S "$BUS"`), want: yes, differ: "host-environment"},
		{name: "a bus that is gone", env: []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/gpfs/no/bus;unix:abstract=/no/such/hpc3"}, args: is(`test -z "${DBUS_SESSION_BUS_ADDRESS+x}"`), want: yes},
		{name: "a bus without a path", call: `name=hpc3-parity-$$; export DBUS_SESSION_BUS_ADDRESS=unix:abstract=$name; perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Local=>"\0".$ARGV[0],Listen=>1) or die; $SIG{ALRM}="DEFAULT"; alarm 60; exec @ARGV[1..$#ARGV] if fork; close STDIN; close STDOUT; close STDERR; sleep 20' $name "$@"`, args: is(`test -n "$DBUS_SESSION_BUS_ADDRESS"`), want: yes, differ: "host-environment"},
	}
}

func parityPeople() []parity {
	whoami := sh(`id -u; id -un; echo "$USER"`)
	// Opened to write, and nothing written.
	settings := sh(`for f in /proc/sys/kernel/core_pattern /proc/sys/vm/swappiness; do (: >>$f) 2>/dev/null && echo open $f; done; echo closed`)
	const allCaps = `cd; exec unshare --user --map-root-user --mount -- "$@"` // the machine's root may lack some, and Apptainer wants all
	return []parity{
		{name: "tester", args: whoami, want: answer{stdout: "4242\ntester\ntester\n"}, differ: "user"},
		{name: "nobody", by: "nobody", args: whoami, want: answer{stdout: "65534\nnobody\nnobody\n"}, differ: "user"},
		{name: "unknown", by: "unknown", args: whoami, want: answer{stdout: "54321\nuser54321\nuser54321\n"}, differ: "user"},
		{name: "root", by: "root", args: whoami, want: answer{stdout: "0\nroot\nroot\n"}},
		{name: "no user database", image: "nousers", flags: []string{"-q"}, args: whoami, want: answer{stdout: "4242\ntester\ntester\n", stderr: "^$"}, differ: "user"},
		{name: "no user database, no shell", image: "bareusers", args: []string{"whoami"}, want: answer{stdout: "tester\n"}, differ: "user"},
		{name: "a user database that is a symlink", image: "linkedusers", flags: []string{"-q"}, args: sh("id -un; id -gn; read -r l </etc/group; echo $l"), want: answer{stdout: "tester\ntester\nroot:x:0:\n", stderr: "^$"}, differ: "user"},
		{name: "unknown, auto", by: "unknown", flags: []string{"--engine", "auto", "-v"}, args: []string{"id", "-u"}, want: answer{stdout: "54321\n", stderr: "not using Apptainer: this node does not know user 54321"}, differ: "unknown-user"},
		{name: "unknown, Apptainer", by: "unknown", flags: []string{"--engine", "apptainer"}, args: []string{"id", "-u"}, want: answer{status: 125, stderr: `error\[engine\]: using Apptainer: this node does not know user 54321.*hint: `}, differ: "unknown-user"},
		{name: "root has no capability", by: "root", args: sh("while read -r k v; do case $k in CapEff:|CapPrm:|CapBnd:) echo $k $v;; esac; done </proc/self/status"), want: answer{stdout: "CapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\n"}, differ: "privileges"},
		{name: "root keeps capabilities when asked", by: "root", flags: []string{"--keep-privs"}, call: allCaps, args: sh("while read -r k v; do case $k in CapEff:) test $((0x$v)) -ne 0 && echo some;; esac; done </proc/self/status"), want: answer{stdout: "some\n"}, differ: "privileges"},
		{name: "root leaves the node's settings alone", by: "root", args: settings, want: answer{stdout: "closed\n"}, differ: "privileges"},
		{name: "root leaves the node's settings alone, bound anew", by: "root", flags: []string{"-B", "/proc:/proc"}, call: allCaps, args: settings, want: answer{stdout: "closed\n"}, differ: "privileges"},
		{name: "root leaves the node's settings alone in a user namespace", by: "root", call: allCaps, args: settings, want: answer{stdout: "closed\n"}, differ: "privileges"},
		{name: "root with capabilities may change the node's settings", by: "root", flags: []string{"--keep-privs"}, call: allCaps, args: settings, want: answer{stdout: "open /proc/sys/kernel/core_pattern\nopen /proc/sys/vm/swappiness\nclosed\n"}, differ: "privileges"},
		{name: "others have none to keep", flags: []string{"--keep-privs"}, args: []string{"true"}, want: answer{status: 125, stderr: `error\[usage\]: .*keep-privs.*root`}, differ: "privileges"},
		{name: "a user has no capability", args: sh("while read -r k v; do case $k in CapEff:|CapPrm:|NoNewPrivs:) echo $k $v;; esac; done </proc/self/status"), want: answer{stdout: "CapPrm: 0000000000000000\nCapEff: 0000000000000000\nNoNewPrivs: 1\n"}, differ: "privileges"},
		{name: "files are the caller's", call: `cd; exec "$@"`, args: sh(`touch mine && stat -c %u:%g mine`), want: answer{stdout: "4242:4242\n"}, differ: "user"},
	}
}

// notMade is the message for a target that would have to be made on the node.
const notMade = `error\[mount\]: binding /usr/sbin to .*: it does not exist, and where it would have to be made is a directory of this node\nhpc3-run: hint: make it first`

// untouched is a call after which it is told whether a path of the node is still not there.
func untouched(file string) string {
	return `cd; "$@"; r=$?; [ -e ` + file + ` ] || echo untouched; exit $r`
}

// parityApptainer holds what a site's settings of Apptainer, and its own failures, come to.
func parityApptainer() []parity {
	conf := func(lines string) string {
		return `cd; { printf '` + lines + `\n'; cat /etc/apptainer/apptainer.conf; } >conf.$$; export APPTAINER_CONFIG_FILE=$HOME/conf.$$; exec "$@"`
	}
	auto := []string{"--engine", "auto", "-v"}
	show := sh(`test -d "$HOME/cache" && echo home; id -un; pwd`)
	all := []parity{
		{
			name: "a failure of Apptainer's own", env: []string{"APPTAINER_BIND=/no/such:/x"}, args: sh("echo ok"), want: answer{stdout: "ok\n"},
			other: map[string]answer{"apptainer": {status: 125, stderr: `^hpc3-run: error\[engine\]: starting a container through Apptainer: .*/no/such[^\n]*\nhpc3-run: hint: [^\n]*\n$`}}, differ: "apptainer-settings",
		},
		{
			name: "a failure of Apptainer's own, no shell", image: "bare", env: []string{"APPTAINER_BIND=/no/such:/x"}, args: []string{"echo", "ok"}, want: answer{stdout: "ok\n"},
			other: map[string]answer{"apptainer": {status: 125, stderr: `error\[engine\]: starting a container through Apptainer: .*/no/such`}}, differ: "apptainer-settings",
		},
		{name: "settings that Apptainer cannot read, auto", call: conf("enable overlay = maybe"), flags: auto, args: show, want: answer{stdout: "home\ntester\n/lab/home-4242\n", stderr: "not using Apptainer: starting a container through Apptainer: .*enable overlay"}},
		{
			name: "user bind control = no, a bind", call: conf("user bind control = no"), flags: []string{"-B", "/usr/sbin:/srv/data"}, args: sh("test -e /srv/data/useradd && echo there"), want: answer{stdout: "there\n"},
			other: map[string]answer{"apptainer": {status: 125, stderr: `error\[engine\]: using Apptainer: .* says user bind control = no.*hint: .*native`}}, differ: "apptainer-settings",
		},
		{
			name: "allow container sif = no", call: conf("allow container sif = no"), args: show, want: answer{stdout: "home\ntester\n/lab/home-4242\n"},
			other: map[string]answer{"apptainer": {status: 125, stderr: `error\[engine\]: using Apptainer: .* says allow container sif = no`}}, differ: "apptainer-settings",
		},
	}
	for setting, followed := range map[string]string{
		"user bind control = no": "tester\n/\n", "mount home = no": "tester\n/lab/home-4242\n", "mount tmp = no": "home\ntester\n/lab/home-4242\n", "config passwd = no": "home\n(4242\n)?/lab/home-4242\n",
		"mount proc = no": "home\ntester\n/lab/home-4242\n", "mount dev = minimal": "home\ntester\n/lab/home-4242\n",
	} {
		all = append(
			all,
			parity{
				name: setting, call: conf(setting), flags: []string{"-v"}, args: sh(`test -d "$HOME/cache" && echo home; id -un 2>/dev/null || :; pwd`), want: answer{stdout: "home\ntester\n/lab/home-4242\n"},
				other: map[string]answer{"apptainer": {like: followed + "$", stderr: "Apptainer: .* says " + setting + ": "}}, differ: "apptainer-settings",
			},
			parity{name: setting + ", auto", call: conf(setting), flags: auto, args: show, want: answer{stdout: "home\ntester\n/lab/home-4242\n", stderr: "not using Apptainer: .* says " + setting + ": "}},
		)
	}
	return all
}

func parityStreams() []parity {
	trap := func(name string) []string {
		return sh("trap 'echo got " + name + "; exit 42' " + name + "; echo ready; while :; do sleep 0.05; done")
	}
	all := []parity{
		{name: "standard input", stdin: "a\nb", args: []string{"cat"}, want: answer{stdout: "a\nb"}},
		{name: "standard error", args: sh("echo out; echo err >&2"), want: answer{stdout: "out\n", stderr: "(^|\n)err\n"}},
		{name: "standard input closed", call: `cd; exec "$@" <&-`, args: []string{"echo", "x"}, want: answer{stdout: "x\n"}},
		{name: "standard output closed", call: `cd; exec "$@" >&-`, args: sh("echo x >&2"), want: answer{stderr: "(^|\n)x\n"}},
		{name: "descriptors of ours", flags: plain(), args: sh(`for f in /proc/self/fd/*; do case $(readlink $f) in *hpc3*|*memfd*|*.sif|/dev/fuse) echo $f;; esac; done; echo done`), want: answer{stdout: "done\n"}},
		{name: "descriptors of the caller", call: `cd; exec "$@" 7</etc/passwd`, flags: plain(), args: sh("test -e /proc/self/fd/7 && echo open || echo closed"), want: answer{stdout: "open\n"}, differ: "descriptors"},
		{name: "umask", call: `cd; umask 027; exec "$@"`, flags: plain(), args: sh("umask"), want: answer{stdout: "0027\n"}, differ: "limits"},
		{name: "limits", call: `cd; ulimit -c 0; ulimit -Sn 300; exec "$@"`, flags: plain(), args: sh("ulimit -Sn; ulimit -c"), want: answer{stdout: "300\n0\n"}, differ: "limits"},
		{name: "ignored signals", call: `cd; trap '' USR1; exec "$@"`, flags: plain(), args: sh("kill -USR1 $$; echo alive"), want: answer{stdout: "alive\n"}, other: map[string]answer{"apptainer": {status: 138}}, differ: "ignored-signals"},
		{name: "no signal handler", flags: plain(), args: sh("echo ready; exec sleep 60"), signal: syscall.SIGTERM, want: answer{stdout: "ready\n", status: 143}},
		{
			name: "SIGSTOP to the launcher", args: sh(`while :; do echo x >>n.$HPC3_ENGINE; sleep 0.05; done`),
			call: `cd; n=n.$HPC3_ENGINE; rm -f $n; "$@" & while [ ! -s $n ]; do sleep 0.05; done; kill -STOP $!; sleep 0.2; a=$(stat -c %s $n); sleep 1; [ "$a" = "$(stat -c %s $n)" ] && echo stops || echo runs; kill -KILL $!; wait $! 2>/dev/null`,
			want: answer{stdout: "stops\n", status: 137}, other: map[string]answer{"apptainer": {stdout: "runs\n", status: 137}}, differ: "sigstop",
		},
		{
			name: "a process that outlives the command", args: sh(`(sleep 1.5; cat /srv/file >left.$HPC3_ENGINE) >/dev/null 2>&1 &`),
			call: `cd; left=left.$HPC3_ENGINE; rm -f $left; "$@"; n=0; while [ ! -s $left ] && [ $((n += 1)) -lt 80 ]; do sleep 0.05; done; [ -s $left ] && cat $left || echo lost`,
			want: answer{stdout: "from the image\n"}, other: map[string]answer{"apptainer": {stdout: "lost\n"}}, differ: "outliving",
		},
		{name: "SIGKILL to the launcher", args: sh("echo ready; exec sleep 60"), signal: syscall.SIGKILL, want: answer{stdout: "ready\n", status: 137}},
		{name: "a prompt", typed: []exchange{{`[$#] $`, "echo pro''filed $PROFILE_RAN; exit 3\n", 0}}, want: answer{like: "profiled yes", status: 3}, differ: "entrypoint"},
		{name: "a prompt, sh", image: "sh", typed: []exchange{{`[$#] $`, "echo pro''filed $PROFILE_RAN; exit 3\n", 0}}, want: answer{like: "profiled yes", status: 3}, differ: "entrypoint"},
		{name: "Ctrl-C", typed: []exchange{{`[$#] $`, "sh -c 'echo st\"\"arted; exec sleep 100'\n", 0}, {"started", "\x03", 0}, {`[$#] $`, "echo st''atus $?; exit 4\n", 0}}, want: answer{like: "status 130", status: 4}},
		// The program to be stopped starts none itself: a shell that waits for a child's exec
		// (vfork) does not stop when the child does. It traps no signal that it waits for: a signal
		// between its look at the trapped ones and its read(2) is heard only after the next line.
		{
			name: "Ctrl-Z, jobs, fg",
			typed: []exchange{
				{`[$#] $`, "sh -c 'echo st\"\"arted; while read -r l; do echo \"got $l\"; done'\n", 0},
				{"started", "\x1a", 0},
				{"Stopped", "jobs; echo lis''ted\n", 0},
				{"listed", "fg\n", 0},
				{"sh -c .*done'", "a line\n", 0},
				{"got a line", "\x03", 0},
				{`[$#] $`, "exit 5\n", 0},
			},
			want: answer{like: "Stopped", status: 5},
		},
		{
			name: "a job of the caller's shell", call: `cd; set -m; "$@"; echo "status $?"; jobs; fg >/dev/null; echo "then $?"`,
			args:  sh(`echo started; while read -r l; do echo "got $l"; done; exit 7`),
			typed: []exchange{{"started", "\x1a", 0}, {"(?s)status 14[78].*Stopped", "a line\n", 0}, {"got a line", "\x04", 0}}, want: answer{like: "then 7"},
		},
		{name: "a job in the background", typed: []exchange{{`[$#] $`, "sleep 100 &\n", 0}, {`\[1\] [0-9]+`, "kill %1; wait; exit 6\n", 0}}, want: answer{like: `\[1\]`, status: 6}},
		{name: "Ctrl-C for a command", args: sh("echo started; exec sleep 100"), typed: []exchange{{"started", "\x03", 0}}, want: answer{like: "started", status: 130}},
		{name: "the terminal's name", args: sh("tty; test -c $(tty) && echo th''ere"), typed: []exchange{{"there", "", 0}}, want: answer{like: "/dev/console"}, other: map[string]answer{"apptainer": {like: "/dev/pts/[0-9]+"}}, differ: "terminal-name"},
		{name: "a terminal made in the container", args: []string{"script", "-qec", "test -t 0 && tty", "/dev/null"}, want: answer{stdout: "/dev/pts/0\r\n"}, other: map[string]answer{"apptainer": {like: "/dev/pts/[0-9]+"}}, differ: "terminal-name"},
		{name: "the terminal's size", args: sh("stty size; read -r x; stty size"), typed: []exchange{{"24 80", "\n", 50}}, want: answer{like: "24 80.*50 80"}},
		{name: "SIGWINCH", args: sh("trap 'stty size; exit 9' WINCH; echo started; while :; do sleep 0.05; done"), typed: []exchange{{"started", "", 40}}, want: answer{like: "40 80", status: 9}},
	}
	for name, sig := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "CONT": syscall.SIGCONT} {
		all = append(all, parity{name: "SIG" + name + " to the launcher", args: trap(name), signal: sig, want: answer{stdout: "ready\ngot " + name + "\n", status: 42}})
	}
	return all
}

func parityFaults() []parity {
	missing, closed := answer{status: 127, stderr: `error\[exec\]: running .*\nhpc3-run: hint: `}, answer{status: 126, stderr: `error\[exec\]: running .*\nhpc3-run: hint: `}
	var all []parity
	for _, how := range []struct {
		name, image string
		flags       []string
	}{{"bash", "bash", nil}, {"sh", "sh", nil}, {"no shell", "bare", nil}, {"none", "bash", plain()}, {"image", "cmd", image()}} {
		all = append(all,
			parity{name: "no such command, " + how.name, image: how.image, flags: how.flags, args: []string{"no-such"}, want: missing},
			parity{name: "no such path, " + how.name, image: how.image, flags: how.flags, args: []string{"/no/such"}, want: missing},
			parity{name: "not executable, " + how.name, image: how.image, flags: how.flags, args: []string{"/etc/passwd"}, want: closed},
			parity{name: "a directory, " + how.name, image: how.image, flags: how.flags, args: []string{"/usr"}, want: closed},
			parity{name: "no interpreter, " + how.name, image: how.image, flags: how.flags, args: []string{"badscript"}, want: closed},
		)
	}
	return all
}
