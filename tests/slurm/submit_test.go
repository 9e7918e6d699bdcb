package slurm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// where is a program that says whether it runs in a container, in a file called prog.
const where = `printf '#!/bin/sh\necho "$1 in ${HPC3_VARIANT-the host}"\n' >prog; chmod +x prog; `

// lay puts the layout of the image into the home, and makes another directory.
const lay = `[ -e lay ] || cp -r /lab/layout lay; mkdir -p other; `

// cut prints a batch script with options that a # cuts short.
const cut = `cut() { printf '#!/bin/bash\n'; printf '#SBATCH %s\n' "${@:--n1}"; [ $# -gt 0 ] || echo '#SBATCH --container=127.0.0.1:9#a/b:1'; echo 'srun sh -c "echo \$A \$B"'; }
`

// see makes a command of a module, which prints files out of its image.
const see = `mkdir -p shims bound; echo seen >bound/file; printf '#!/bin/sh\n# hpc3 module command: see of app/1, in it\nHPC3_SHIM=app/1 exec /lab/bin/hpc3-run %s cat "$@"\n' "$IMAGE" >shims/see; chmod +x shims/see; `

// bare gives srun and salloc a slurm.conf without LaunchParameters.
const bare = `grep -v ^LaunchParameters= /etc/slurm/slurm.conf >own.conf; export SLURM_CONF=$HOME/own.conf; `

// submitRows are about what srun, sbatch and salloc do themselves before a task starts.
var submitRows = []slurmRow{
	// Slurm replaces, resolves and frees words of the command.
	{name: "--bcast", text: where + `srun --bcast=/tmp/copied.$$ --container=$IMAGE ./prog it`, stdout: "it in linux/amd64"},
	{name: "--bcast to a directory", text: where + `srun -N2 -w n1,n2 --bcast --container=$IMAGE ./prog it`, stdout: "it in linux/amd64\nit in linux/amd64"},
	{name: "--bcast to a place that no container has", text: where + `srun -N1 -w n1 --bcast=/run/slurm/tmp/n1/copied --container=$IMAGE ./prog it`, stdout: "it in linux/amd64"},
	{name: "--bcast, a node without the plugin", text: where + `srun -w n3 --bcast=/tmp/copied3.$$ --container=$IMAGE ./prog it`, stdout: "it in linux/amd64"},
	{name: "--bcast of a program that is not there", text: `srun --bcast=/tmp/none --container=$IMAGE hello`, status: 1, stderr: `Can not execute hello`},
	{name: "--bcast for components", text: where + `srun -n1 -w n1 --bcast=/tmp/a --container=$IMAGE ./prog : -n1 -w n2 --bcast=/tmp/b --container=$IMAGE ./prog`, status: 1, stderr: refusal("srun", "--bcast: components of a step cannot have it with a container", "hint: start them as separate steps")},
	{name: "--bcast in an allocation", text: where + `salloc -Q -N2 -w n1,n2 --container=$IMAGE srun --bcast=/tmp/copied.$$ ./prog it`, stdout: "it in linux/amd64\nit in linux/amd64"},
	{name: "SLURM_TEST_EXEC", text: `SLURM_TEST_EXEC=1 srun -N2 -w n1,n3 --container=$IMAGE sh -c 'echo $0 in $HPC3_VARIANT'`, stdout: "sh in linux/amd64\nsh in linux/amd64"},
	{name: "SLURM_TEST_EXEC takes the image's program", text: `mkdir -p mine; printf '#!/bin/sh\necho the host\n' >mine/hello; chmod +x mine/hello; PATH=$HOME/mine:$PATH SLURM_TEST_EXEC=1 srun --container=$IMAGE hello`, stdout: "hello from /opt/app"},
	{name: "SLURM_TEST_EXEC of a program that only the image has", text: `SLURM_TEST_EXEC=1 srun --container=$IMAGE hello`, status: 1, stderr: `Can not execute hello`},
	{name: "LaunchParameters=test_exec", text: ownStack + `stack launcher=/lab/bin/hpc3-run; sed -i s/^LaunchParameters=.*/LaunchParameters=test_exec/ own.conf; srun --container=$IMAGE sh -c 'echo $0; hello'`, stdout: "hello from /opt/app\nsh"},
	{name: "commands for each task, on nodes with and without the plugin", text: where + `printf '# ranks\n0 hello\n1-2 %s/prog \\\nit%%t\n' $HOME >multi; srun -n3 -N3 --multi-prog --container=$IMAGE multi`, stdout: "hello from /opt/app\nit1 in linux/amd64\nit2 in linux/amd64"},
	{name: "variables of another step", text: `export SLURM_CONF=/etc/slurm/bare.conf SLURM_CONTAINER=$IMAGE SLURM_HPC3_TASK==sh SLURM_HPC3_LAUNCHER=; srun -w n1 sh -c hello; SLURM_HPC3_LAUNCHER=sh srun -w n1 sh -c hello; SLURM_HPC3_LAUNCHER=/lab/bin/hpc3-run srun -w n1 sh -c hello`, stdout: "hello from /opt/app\nhello from /opt/app\nhello from /opt/app"},
	{name: "PMI2 spawns", text: spawn + `srun --mpi=pmi2 -n1 -w n1 --container=$IMAGE bash spawn.sh >/dev/null; cat child.out`, stdout: "child in linux/amd64"},

	// Relative paths mean what they mean where they are written.
	{name: "a relative image", text: lay + `srun --container=oci:lay sh -c 'echo $HPC3_IMAGE_REF'`, stdout: "oci:/home/tester/lay"},
	{name: "a relative image, --chdir", text: lay + `srun --chdir=$HOME/other --container=oci:./lay sh -c 'pwd; echo $HPC3_IMAGE_REF'`, stdout: "/home/tester/other\noci:/home/tester/lay"},
	{name: "a relative image, not the other of that name", text: lay + job + `mkdir -p other/lay; printf '#!/bin/bash\ncd other; srun sh -c "echo \\$HPC3_IMAGE_REF"; srun --container=oci:../lay sh -c "echo \\$HPC3_IMAGE_REF"\n' | job --container=oci:lay`, stdout: "oci:/home/tester/lay\noci:/home/tester/other/../lay\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "#SBATCH with ~/ and relative binds", text: lay + job + `mkdir -p bound; echo seen >bound/file; printf '#!/bin/bash\n#SBATCH --container=oci:~/lay\n#SBATCH --container-mounts=bound:/m,~/bound:/n\ncd other; srun cat /m/file /n/file\n' | job`, stdout: "seen\nseen\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "SBATCH_CONTAINER is relative", text: lay + job + `export SBATCH_CONTAINER=oci:lay; printf '#!/bin/bash\npwd; srun hello\n' | job --chdir=/tmp -o $HOME/job.out`, stdout: "/tmp\nhello from /opt/app\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "variables that name files", text: lay + job + `mkdir -p bound; echo seen >bound/file; echo '{}' >auth.json; export HPC3_CONTAINER_MOUNTS=bound:/m HPC3_AUTHFILE=auth.json REGISTRY_AUTH_FILE='~/auth.json'; printf '#!/bin/bash\ncd other; srun sh -c "cat /m/file; echo \\$HPC3_AUTHFILE; echo \\$REGISTRY_AUTH_FILE"\n' | job --container=oci:lay`, stdout: "/home/tester/auth.json\n/home/tester/auth.json\nseen\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "variables that name files, and the image comes later", text: lay + job + `mkdir -p bound; echo seen >bound/file; export HPC3_CONTAINER_MOUNTS=bound:/m; printf '#!/bin/bash\ncd other; srun --container=oci:../lay cat /m/file\n' | job`, stdout: "seen\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "salloc with a relative image and bind", text: lay + `mkdir -p bound; echo seen >bound/file; salloc -Q -n1 --container=oci:lay --container-mounts=bound:/m sh -c 'cd other; srun cat /m/file'`, stdout: "seen"},
	{name: "SLURM_CONTAINER is relative", text: lay + `SLURM_CONTAINER=oci:lay srun --chdir=/tmp hello`, stdout: "hello from /opt/app"},

	// The command of a module has its image; options stand alone.
	{name: "options with the command of a module", text: see + `PATH=$HOME/shims:$PATH srun --container-mounts=bound:/m see /m/file; srun -n2 -N2 --container-mounts ~/bound:/n shims/see /n/file`, stdout: "seen\nseen\nseen"},
	{name: "options with the command of a module in an allocation", text: see + `salloc -Q -n1 sh -c 'cd shims; srun --container-mounts=../bound:/m ./see /m/file'`, stdout: "seen"},
	{name: "a wrong option with the command of a module", text: see + `srun --container-entrypoint=x shims/see /m/file`, status: 1, stderr: refusal("srun", `--container-entrypoint: "x" is not one of login, image, none`)},
	{name: "options with a program that is no command of a module", text: see + `mkdir -p other; cp shims/see other/see; sed -i 2d other/see; srun --container-mounts=bound:/m other/see /m/file`, status: 1, stderr: refusal("srun", "options of a container are given, and no image", "hint: add --container=IMAGE")},

	// In a line of #SBATCH a comment begins at a #.
	{name: "a # in a script", text: cut + `cut >cut.sh; sbatch -N1 cut.sh a b; squeue -h -t PD,CF,R`, stderr: refusal("sbatch", `cut\.sh:3: "127\.0\.0\.1:9#a/b:1" ends at its #, where a comment begins`, `hint: write 127\.0\.0\.1:9/a/b:1`, `hint: put quotes around it: --container="127\.0\.0\.1:9#a/b:1"`)},
	{name: "a # in a script for components", text: cut + `cut >cut.sh; sbatch -n1 : -n1 ./cut.sh; squeue -h -t PD,CF,R`, stderr: refusal("sbatch", `\./cut\.sh:3: .* ends at its #.*`, "hint: .*", "hint: .*")},
	{name: "a # in a script by PATH", text: cut + `mkdir -p mine; cut >mine/cutter; chmod +x mine/cutter; PATH=$PATH:$HOME/mine sbatch cutter; squeue -h -t PD,CF,R`, stderr: refusal("sbatch", `cutter:3: .* ends at its #.*`, "hint: .*", "hint: .*")},
	{name: "a # in a script that is standard input", text: cut + `cut >cut.sh; sbatch <cut.sh; squeue -h -t PD,CF,R`, stderr: refusal("sbatch", `standard input:3: .* ends at its #.*`, "hint: .*", "hint: .*")},
	{name: "a # in a script that cannot be read again", text: cut + `cut | sbatch; squeue -h -t PD,CF,R`, stderr: refusal("sbatch", `image reference "127\.0\.0\.1:9": it is a registry's name, and an image's is missing`, `hint: in a line of #SBATCH a # begins a comment: write 127\.0\.0\.1:9/NAME:TAG`, "hint: docker://.*")},
	{name: "a # in an option of a script", text: cut + `cut --container=$IMAGE --container-env=A=#1 >cut.sh; sbatch cut.sh; squeue -h -t PD,CF,R`, stderr: refusal("sbatch", `cut\.sh:3: "A=#1" ends at its #, where a comment begins`, `hint: put quotes around it: --container-env="A=#1"`)},
	{name: "a # in quotes, and in comments", text: cut + job + `cut --container=$IMAGE '--container-env="A=#1" # one' | job --container=$IMAGE --container-env=B=#2; cut --container=$IMAGE# | job`, stdout: "\n#1 #2\n(hpc3-run: fetching .*\n)?state JobState=COMPLETED ExitCode=0:0 \nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "a # on the command line", text: `image=${IMAGE#*/}; srun --container="${IMAGE%%/*}#$image" hello; SLURM_CONTAINER="${IMAGE%%/*}#$image" srun hello`, stdout: "hello from /opt/app\nhello from /opt/app"},

	// An image that is a file is looked for where the job is submitted, unless only the nodes may
	// have it.
	{name: "a file that is not there", text: `srun --container ./missing.sif hello`, status: 1, stderr: refusal("srun", "opening sif:/home/tester/missing.sif: no such file or directory", "hint: what only the nodes have is named by its absolute path, outside of the home")},
	{name: "a layout that is not there", text: `sbatch --container=oci:missing --wrap=hello; squeue -h -t PD,CF,R`, stderr: refusal("sbatch", "opening oci:/home/tester/missing: no such file or directory", "hint: .*")},
	{name: "an archive that is not there", text: `salloc --container=oci-archive:$HOME/missing.tar true`, status: 1, stderr: refusal("salloc", "opening oci-archive:/home/tester/missing.tar: no such file or directory", "hint: .*")},
	{name: "a layout without an index", text: `mkdir -p empty; srun --container=oci:empty hello`, status: 1, stderr: refusal("srun", "opening /home/tester/empty/index.json: no such file or directory")},
	{name: "a file that cannot be read", text: `touch closed.sif; chmod 0 closed.sif; srun --container=./closed.sif hello`, status: 1, stderr: refusal("srun", "opening /home/tester/closed.sif: permission denied")},
	{name: "a file that only the nodes may have", text: `srun --container=/tmp/missing.sif hello`, status: 125, stderr: `\Asrun: hpc3: sif:/tmp/missing.sif is not on this machine: no such file or directory\nsrun: hpc3: the job is submitted all the same, and its nodes will look again\n`},

	// A platform that no node has.
	{name: "another architecture", text: `HPC3_PLATFORM=linux/arm64 srun --container=$IMAGE hello`, status: 1, stderr: refusal("srun", "--platform linux/arm64 asks for an image that no node of this cluster runs: it is for arm64, and the nodes are amd64", "hint: leave --platform out.*", "hint: HPC3_FORCE=1 .*")},
	{name: "another architecture of a batch job", text: `HPC3_PLATFORM=linux/arm64 sbatch --container=$IMAGE --wrap=hello; squeue -h -t PD,CF,R`, stderr: refusal("sbatch", "--platform linux/arm64 asks .*", "hint: .*", "hint: .*")},
	{name: "another architecture by force", text: `HPC3_FORCE=1 HPC3_PLATFORM=linux/arm64 srun --container=$IMAGE hello`, status: 125, stderr: `error\[nomatch\]: no entry of .* fits linux/arm64: `},
	{name: "an architecture of which Slurm does not tell", text: `mkdir -p none; printf '#!/bin/sh\nexit 1\n' >none/scontrol; chmod +x none/scontrol; PATH=$HOME/none:$PATH HPC3_PLATFORM=linux/arm64 srun --container=$IMAGE hello`, status: 125, stderr: `(?s)srun: hpc3: --platform linux/arm64 cannot run on this machine .*, and what the nodes are is not known: scontrol show node: .*the job is submitted all the same.*error\[nomatch\]: --platform linux/arm64 asks for an image that cannot run here`},

	// A step without the job's container.
	{name: "--container=none", text: `salloc -Q -n1 --container=$IMAGE --container-env=A=1 sh -c 'srun hello; srun --container=none sh -c "hello 2>/dev/null || echo host; env | grep -c -e SLURM_CONTAINER -e SLURM_HPC3"'`, stdout: "0\nhello from /opt/app\nhost", status: 1},
	{name: "--no-container", text: `salloc -Q -n1 --container=$IMAGE sh -c 'srun --no-container sh -c "hello 2>/dev/null || echo host"'`, stdout: "host"},
	{name: "HPC3_NO_CONTAINER", text: `salloc -Q -n1 --container=$IMAGE sh -c 'export HPC3_NO_CONTAINER=1; srun sh -c "hello 2>/dev/null || echo host"; srun --container=$IMAGE hello'`, stdout: "hello from /opt/app\nhost"},
	{name: "--hpc3-image=none", text: `SLURM_CONTAINER=$IMAGE srun --hpc3-image=none sh -c "hello 2>/dev/null || echo host"`, stdout: "host"},
	{name: "an image that is called none", text: `srun --container=docker://127.0.0.1:9/library/none hello`, status: 125, stderr: `127\.0\.0\.1:9/library/none`},
	{name: "both an image and none", text: `srun --container=$IMAGE --no-container hello`, status: 1, stderr: refusal("srun", "both --no-container and the image .* are given", "hint: leave one out; .*")},
	{name: "options and none", text: `srun --container=none --container-writable hello`, status: 1, stderr: refusal("srun", "options of a container are given, and no container", "hint: leave out .*")},
	{name: "a site's cli_filter names the image", from: 22, text: filter + `srun hello; srun --container=none sh -c "hello 2>/dev/null || echo host"; salloc -Q -n1 srun hello`, stdout: "hello from /opt/app\nhello from /opt/app\nhost"},
	{name: "sbatch --no-container", text: job + `export SBATCH_CONTAINER=$IMAGE; printf '#!/bin/bash\nsrun sh -c "hello 2>/dev/null || echo host"\n' | job --no-container`, stdout: "host\nstate JobState=COMPLETED ExitCode=0:0 "},

	// Words by habit.
	{name: "an option of pyxis", text: `srun --container-image=nvcr.io#nvidia/pytorch:24.01 true`, status: 1, stderr: refusal("srun", "--container-image is an option of pyxis, which this is not", `hint: here it is --container=nvcr\.io#nvidia/pytorch:24\.01`, "hint: see man hpc3-habits")},
	{name: "an option of pyxis in a script", text: `printf '#!/bin/bash\n#SBATCH --container-image=debian --no-container-remap-root\ntrue\n' >pyxis.sh; sbatch pyxis.sh; squeue -h -t PD,CF,R`, stderr: refusal("sbatch", "--container-image is an option .*", "hint: here it is --container=debian", "hint: .*")},
	{name: "an option of pyxis, little address space", native: true, text: `ulimit -Sv 500000; salloc --container-save=/x -n1 true`, status: 1, stderr: `salloc: error: hpc3: --container-save is an option of pyxis; see man hpc3-habits`},
	{name: "a file that is no image of ours", text: `printf hsqs >app.sqsh; srun --container=app.sqsh true`, status: 1, stderr: refusal("srun", `image reference "app\.sqsh": it is a file here: a SquashFS file system, .*`, "hint: apptainer build .*", "hint: an image of this name .*")},
	{name: "a layout without its transport", text: lay + `srun --container=lay true`, status: 1, stderr: `it is a directory here: an OCI layout\nsrun: error: hpc3: hint: write oci:lay\n`},
	{name: "a transport of others", text: `sbatch --container=docker-daemon:debian --wrap=true; squeue -h`, stderr: `hpc3: hint: docker save debian -o FILE\.tar, then docker-archive:FILE\.tar`},

	// Go needs more address space than it may have.
	{name: "little address space", native: true, text: `ulimit -Sv 1700000; srun --container=$IMAGE --container-env='A=a"b\d' sh -c 'hello; echo $A'`, stdout: "a\"b\\\\d\nhello from /opt/app", stderr: `\Asrun: hpc3: ulimit -v is 1700000 kB, and looking at the image needs \d+ kB\nsrun: hpc3: so it is looked at on the nodes, and not now\n(hpc3-run: fetching .*\n)?\z`},
	{name: "hardly any address space", native: true, text: `ulimit -Sv 500000; srun --container=$IMAGE true`, status: 125, stderr: `(?s)\Asrun: hpc3: ulimit -v is 500000 kB, .*hpc3-run: error\[engine\]: starting needs \d+ kB of address space`},
	{name: "little address space for a batch job", native: true, text: lay + job + `ulimit -Sv 1700000; printf '#!/bin/bash\nulimit -Sv unlimited; cd other; srun --container-env=B=2 sh -c "hello; echo \\$A \\$B"\n' | job --container=oci:lay --container-env=A=1`, stdout: "1 2\nhello from /opt/app\nstate JobState=COMPLETED ExitCode=0:0 ", stderr: `sbatch: hpc3: ulimit -v is 1700000 kB`},

	{name: "hardly any descriptors", text: `ulimit -Sn 16; srun --container=$IMAGE hello`, stdout: "hello from /opt/app", stderr: `\Asrun: hpc3: ulimit -n leaves less than the 16 that looking at the image needs\nsrun: hpc3: so it is looked at on the nodes, and not now\n\z`},

	{name: "salloc without a command", text: `printf 'hello; shopt login_shell; exit 3\n' | script -qec "salloc -Q -n1 --container=$IMAGE" /dev/null | tr -d '\r' | grep -o -e 'hello from.*' -e 'login_shell.*on' | sort -u; echo ${PIPESTATUS[1]}`, stdout: "3\nhello from /opt/app\nlogin_shell.*on"},
	{name: "salloc where Slurm refuses it --container", from: 22, text: bare + `salloc --container=$IMAGE true; salloc -Q -n1 --hpc3-image=$IMAGE srun hello; /lab/bin/hpc3 doctor | grep -A2 Slurm`, stdout: `                          -> slurm\.conf: LaunchParameters=use_interactive_step\nhello from /opt/app\nnote     salloc           Slurm refuses salloc --container \(21\.08 and later\)\nok       Slurm plugin     loaded by plugstack\.conf\nthis node can run images`, stderr: `\Asalloc: error: --container requires LaunchParameters=use_interactive_step\n`},
	{name: "doctor and the plugin", text: `/lab/bin/hpc3 doctor | grep -A9 Slurm; SLURM_CONF=/etc/slurm/bare.conf /lab/bin/hpc3 doctor | grep -c Slurm; ` + ownStack + `plugin=/lab/none/spank_hpc3.so; stack launcher=/lab/bin/none; /lab/bin/hpc3 doctor >said; echo $?; grep -A1 Slurm said | sed 's/ *->.*//'`, stdout: `\n\n\n0\n1\nfault    Slurm plugin     /lab/bin/none is not there\nfault    Slurm plugin     /lab/none/spank_hpc3\.so is not there\nnote     Slurm plugin     /lab/none/libhpc3spank\.so is not there\nok       Slurm plugin     loaded by plugstack\.conf\nthis node can run images`},
	{name: "salloc without a command, the image lacks the shell", text: `printf 'hello; exit 3\n' | script -qec "env SHELL=/no/such salloc -Q -n1 --container=$IMAGE" /dev/null | tr -d '\r' | grep -o 'hello from.*'; echo ${PIPESTATUS[1]}`, stdout: "3\nhello from /opt/app"},
}

// filter is a site's script that gives an image to a job that names none.
const filter = ownStack + `stack launcher=/lab/bin/hpc3-run; echo CliFilterPlugins=cli_filter/lua >>own.conf; cat >cli_filter.lua <<END
function slurm_cli_setup_defaults(options, early) return slurm.SUCCESS end
function slurm_cli_pre_submit(options, offset) if options['container'] == nil then options['container'] = '$IMAGE' end return slurm.SUCCESS end
function slurm_cli_post_submit(offset, job, step) return slurm.SUCCESS end
END
`

// spawn makes a rank that has Slurm start another, in the words of PMI that MPI_Comm_spawn sends.
const spawn = `rm -f child.out; cat >spawn.sh <<'END'
say() { printf "$@" >&$PMI_FD; }
say 'cmd=init pmi_version=1 pmi_subversion=1\n'; read -r -u $PMI_FD _
say 'mcmd=spawn\nnprocs=1\nexecname=bash\ntotspawns=1\nspawnssofar=1\narg1=%s/child.sh\nargcnt=1\npreput_num=0\ninfo_num=0\nendcmd\n' "$HOME"
read -r -t 20 -u $PMI_FD _
for i in $(seq 100); do [ -s child.out ] && break; sleep 0.1; done
say 'cmd=finalize\n'; read -r -t 5 -u $PMI_FD _
END
cat >child.sh <<'END'
echo "child in ${HPC3_VARIANT-the host}" >~/child.out
printf 'cmd=init pmi_version=1 pmi_subversion=1\n' >&$PMI_FD; read -r -t 5 -u $PMI_FD _
printf 'cmd=finalize\n' >&$PMI_FD; read -r -t 5 -u $PMI_FD _
END
`

// replaceSource is a plugin of srun that replaces the command after ours has seen it, as Slurm
// itself does for --bcast.
const replaceSource = `#include <slurm/slurm.h>
#include <slurm/spank.h>
SPANK_PLUGIN(replace, 1)
int slurm_spank_local_user_init(spank_t spank, int ac, char **av)
{
	static char hello[] = "hello";
	int argc = 0;
	char **argv = 0;

	(void)ac;
	(void)av;
	if (spank_get_item(spank, S_JOB_ARGV, &argc, &argv) == ESPANK_SUCCESS && argc > 0)
		argv[0] = hello;
	return 0;
}
`

// replaced has srun's command replaced after hpc3-run was put into its place: a node runs what
// stands there in the container all the same.
func (c *cluster) replaced(t *testing.T) {
	source := filepath.Join(c.work, "replace.c")
	if err := os.WriteFile(source, []byte(replaceSource), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-I"+lab.SlurmHeaders(t, c.work, c.suite), "-o", filepath.Join(c.work, "replace.so"), source).CombinedOutput(); err != nil {
		t.Fatalf("compiling: %v\n%s", err, out)
	}
	c.check(t, slurmRow{
		text:   ownStack + `stack launcher=/lab/bin/hpc3-run; echo required /lab/replace.so >>plug.conf; srun -N2 -w n1,n2 --container=$IMAGE sh -c 'exit 9'`,
		stdout: "hello from /opt/app\nhello from /opt/app",
	})
}

// pyxisSource registers options by names of pyxis, as pyxis does.
const pyxisSource = `#include <slurm/slurm.h>
#include <slurm/spank.h>
SPANK_PLUGIN(pyxis, 1)
static int image(int val, const char *arg, int remote)
{
	(void)val;
	if (!remote)
		slurm_info("pyxis has %s", arg);
	return 0;
}
static struct spank_option options[] = {
	{"container-image", "IMAGE", "the image", 1, 0, image},
	{"container-mounts", "LIST", "its mounts", 1, 0, image},
	SPANK_OPTIONS_TABLE_END
};
int slurm_spank_init(spank_t spank, int ac, char **av)
{
	(void)ac;
	(void)av;
	return spank_option_register(spank, &options[0]) == ESPANK_SUCCESS && spank_option_register(spank, &options[1]) == ESPANK_SUCCESS ? 0 : -1;
}
`

// besidePyxis loads a plugin with pyxis' names before ours and behind it: under another prefix ours
// takes none of them.
func (c *cluster) besidePyxis(t *testing.T) {
	source := filepath.Join(c.work, "pyxis.c")
	if err := os.WriteFile(source, []byte(pyxisSource), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-I"+lab.SlurmHeaders(t, c.work, c.suite), "-o", filepath.Join(c.work, "pyxis.so"), source).CombinedOutput(); err != nil {
		t.Fatalf("compiling: %v\n%s", err, out)
	}
	const both = `; srun -w n1 --container-image=debian --container-mounts=/a true; srun -w n1 --container=$IMAGE --hpc3-env=A=1 hello`
	c.check(t, slurmRow{
		text:   ownStack + `stack launcher=/lab/bin/hpc3-run prefix=hpc3; echo required /lab/pyxis.so >>plug.conf` + both,
		stdout: "hello from /opt/app", stderr: `srun: pyxis has debian\nsrun: pyxis has /a\n`,
	})
	c.check(t, slurmRow{
		text:   ownStack + `stack launcher=/lab/bin/hpc3-run prefix=hpc3; sed -i '1i required /lab/pyxis.so' plug.conf` + both,
		stdout: "hello from /opt/app", stderr: `srun: pyxis has debian\nsrun: pyxis has /a\n`,
	})
}
