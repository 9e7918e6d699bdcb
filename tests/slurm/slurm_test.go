package slurm

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// cluster is a Slurm of three nodes, of which the third lacks the plugin.
type cluster struct {
	suite  string
	major  int // of Slurm's version
	work   string
	pid    string // of its first process, for nsenter
	image  string // in a registry
	engine string
	port   int
}

// suites are Debian's, with the major version of their Slurm.
var suites = map[string]int{"bookworm": 22, "trixie": 24, "sid": 26}

const oldMajor = 20 // of the Slurm of lab.OldSuite

// newCluster starts one, with the plugin built for it. plugstack is what stands after the plugin in
// plugstack.conf, "none" for no plugin; files are more of its configuration, by name.
func newCluster(t *testing.T, suite, plugstack string, files map[string]string) *cluster {
	t.Helper()
	c := &cluster{engine: "native", suite: suite, major: suites[suite], work: t.TempDir(), port: freePorts(t, 4)}
	bin := filepath.Join(c.work, "bin")
	for _, dir := range []string{c.work, bin} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lab.CopyTo(t, lab.Programs(), bin)
	c.buildPlugin(t, bin)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(c.work, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if plugstack != "none" {
		write("plugstack", "launcher=/lab/bin/hpc3-run "+plugstack+"\n")
	}
	for name, text := range files {
		write(name, text)
	}
	lab.CopyTo(t, lab.Script(t, "login-image"), filepath.Join(c.work, "layout"))
	cmd := exec.Command("../lab/cluster", suite, c.work, fmt.Sprint(c.port))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // it ends by this
		_ = cmd.Wait()
	})
	line, _ := bufio.NewReader(stdout).ReadString('\n') // an end is seen below
	pid, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ok {
		logs, _ := exec.Command("tail", "-n", "20", filepath.Join(c.work, "log/slurmctld"), filepath.Join(c.work, "log/slurmd.n1")).CombinedOutput()
		t.Fatalf("the cluster said %q, %s\n%s", line, stderr.String(), logs)
	}
	c.pid = pid
	c.image = lab.Serve(t, lab.Script(t, "login-image"), filepath.Join(c.work, "registry"))
	return c
}

// buildPlugin builds the plugin for the cluster's Slurm: on this machine, or inside of the root if
// the root's C library is older.
func (c *cluster) buildPlugin(t *testing.T, bin string) {
	t.Helper()
	var build *exec.Cmd
	if c.suite == lab.OldSuite {
		c.major = oldMajor
		build = exec.Command("../lab/plugin-in", lab.Script(t, "bullseye-root"), bin)
	} else {
		build = exec.Command("make", "-s", "-C", "../..", "plugin", "VERSION=test", "BIN="+bin, "SLURM_INCLUDE="+lab.SlurmHeaders(t, c.work, c.suite))
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
}

// givenPorts is the first port that no cluster of this process was given.
var givenPorts = struct {
	sync.Mutex
	next int
}{next: 21000 + os.Getpid()%1000*10}

// freePorts returns the first of some ports of loopback in a row that no process uses now, and that
// it has not given out.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	givenPorts.Lock()
	defer givenPorts.Unlock()
	for givenPorts.next < 60000 {
		first := givenPorts.next
		givenPorts.next += n
		free := true
		for port := first; port < first+n && free; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if free = err == nil; free {
				_ = l.Close() // opened to see whether it can be
			}
		}
		if free {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

// command is a script that tester runs on the cluster.
func (c *cluster) command(text string, env ...string) *exec.Cmd {
	args := []string{
		"-t", c.pid, "-m", "-p", "-u", "--", "setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups", "--inh-caps=-all", "env", "-i",
		"HOME=/home/tester", "USER=tester", "LOGNAME=tester", "SHELL=/bin/bash", "PATH=/usr/local/bin:/usr/bin:/bin", "TERM=xterm", "IMAGE=" + c.image,
	}
	args = append(append(append(args, "HPC3_ENGINE="+c.engine), env...), "bash", "-c", `cd ~ && eval "$0"`, text)
	return exec.Command("nsenter", args...)
}

// answer is what a command printed and ended with.
type answer struct {
	stdout, stderr string
	status         int // 128+N for signal N
}

func (c *cluster) run(t *testing.T, text string, env ...string) answer {
	t.Helper()
	cmd := c.command(text, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(""), &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer watch.Stop()
	_ = cmd.Wait() // the status is looked at by the caller
	return answer{
		stdout: waiting.ReplaceAllString(stdout.String(), ""),
		stderr: waiting.ReplaceAllString(stderr.String(), ""),
		status: lab.StatusOf(cmd.ProcessState),
	}
}

// waiting is what Slurm says where the step or job before is not gone yet: a matter of load, not of
// what is tested.
var waiting = regexp.MustCompile(`(?m)^s(run|alloc): (Job step creation temporarily disabled, retrying|Step created for |` +
	`job \d+ queued and waiting for resources|job \d+ has been allocated resources|Pending job allocation |Granted job allocation ).*\n`)

// idle waits until no job is left, and says which nodes are anything but idle then.
func (c *cluster) idle(t *testing.T) {
	t.Helper()
	var state string
	for range 300 {
		state = c.run(t, `squeue -h; sinfo -h -N -o '%N %T'`).stdout
		if state == "n1 idle\nn2 idle\nn3 idle\n" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("the cluster is not idle:\n%s", state)
}

// slurmRow is something typed on a login node and the result. Patterns are of the whole text, as
// lines come in any order from several tasks: they are sorted.
type slurmRow struct {
	name   string
	text   string
	stdout string // a pattern for the sorted lines
	stderr string // a pattern that is to be found
	status int
	from   int  // the first Slurm that can
	native bool // this is for hpc3's own engine
}

// job runs a batch script, waits for it, and prints what it printed, its state and exit code.
const job = `job() { cat >job.sh; chmod +x job.sh; rm -f job.out; sbatch --parsable -W -o job.out "$@" job.sh >job.id; cat job.out; echo "state $(scontrol show job "$(cat job.id)" | grep -oE '(JobState|ExitCode)=[^ ]*' | tr '\n' ' ')"; }
`

// ownStack gives srun a plugstack.conf of the user's own.
const ownStack = `stack() { sed "s|^PlugStackConfig=.*|PlugStackConfig=$HOME/plug.conf|" /etc/slurm/slurm.conf >own.conf; echo "required ${plugin-/lab/bin/spank_hpc3.so} $*" >plug.conf; export SLURM_CONF=$HOME/own.conf; }
`

var slurmRows = []slurmRow{
	{name: "as the user would type it", text: `srun --container=$IMAGE hello`, stdout: "hello from /opt/app"},
	{name: "many tasks", text: `srun -n4 -N2 -w n1,n2 --container=$IMAGE sh -c 'echo $SLURM_PROCID $SLURMD_NODENAME $(id -un) $HPC3_VARIANT'`, stdout: "0 n1 tester linux/amd64\n1 n1 tester linux/amd64\n2 n. tester linux/amd64\n3 n2 tester linux/amd64"},
	{name: "every node", text: `srun -N3 --container=$IMAGE hello`, stdout: "hello from /opt/app\nhello from /opt/app\nhello from /opt/app"},
	{name: "exact arguments", text: `srun --container=$IMAGE printf '%s|' 'a b' '' '*' '$HOME' "'" '"' '\'`, stdout: `a b\|\|\*\|\$HOME\|'\|"\|\\\|`},
	{name: "status", text: `srun --container=$IMAGE sh -c 'exit 7'`, status: 7, stderr: "Exited with exit code 7"},
	{name: "a signal", text: `srun --container=$IMAGE sh -c 'kill -SEGV $$'`, status: 139, stderr: "Segmentation fault"},
	{name: "an illegal instruction", text: `srun -n5 -N2 -w n1,n2 --container=$IMAGE sh -c 'kill -ILL $$' 2>&1 | grep -o 'hpc3: .*' | sort`, stdout: illegal("n1", "by") + "\n" + illegal("n2", "by")},
	{name: "an illegal instruction behind a shell", text: `srun -n2 -w n1 --container=$IMAGE sh -c 'sh -c "kill -ILL \$\$"; exit $?'`, status: 132, stderr: illegal("n1", "with 132, the status of")},
	{name: "an illegal instruction in a job", text: job + `printf '#!/bin/bash\nsrun sh -c "kill -ILL \\$\\$"\nsrun true\n' | job -w n1 --container=$IMAGE | grep -v 'Illegal instruction$'`, stdout: "(?s).*" + illegal("n1", "by") + "\nstate JobState=COMPLETED ExitCode=0:0 .*"},
	{name: "an illegal instruction on the host", text: `srun -w n1 sh -c 'kill -ILL $$' 2>&1 | grep -c hpc3; srun -w n1 --container=$IMAGE sh -c 'ls -l /proc/self/fd | grep -c memfd'`, stdout: "0\n0", status: 1},
	{name: "standard input", text: `echo line | srun --container=$IMAGE cat`, stdout: "line"},
	{name: "a terminal", text: `script -qec "srun --pty --container=$IMAGE sh -c 'test -t 0 && stty size && tty'" /dev/null | tr -d '\r'`, stdout: "/dev/(console|pts/[0-9]+)\n.*[0-9]+ [0-9]+"},
	{name: "the environment", text: `MINE=1 srun --container=$IMAGE sh -c 'echo $MINE $SLURM_JOB_NUM_NODES; env | grep SLURM_HPC3_TASK'`, stdout: "1 1", status: 1},
	{name: "--export=NONE", text: `srun --export=NONE --container=$IMAGE --container-env=ONE=1 sh -c 'echo $PATH $HOME $ONE'`, stdout: `.*/usr/bin.* /home/tester 1`},
	{name: "--export=NAME", text: `srun --export=FOO=1 --container=$IMAGE sh -c 'echo $FOO $HPC3_IMAGE_REF'`, stdout: `1 127.0.0.1:.*@sha256:[0-9a-f]{64}`},
	{name: "the working directory", text: `mkdir -p deep/er; srun --chdir=$HOME/deep/er --container=$IMAGE pwd`, stdout: "/home/tester/deep/er"},
	{name: "a directory behind a link", text: `d=/run/slurm/tmp/n1; mkdir -p $d/gpfs/u; ln -sfn gpfs $d/scratch; cd $d/scratch/u; srun --container=$IMAGE sh -c 'pwd; cd "$SLURM_SUBMIT_DIR" && pwd'`, stdout: "/run/slurm/tmp/n1/gpfs/u\n/run/slurm/tmp/n1/scratch/u"},
	{name: "a directory behind a link, --chdir", text: `d=/run/slurm/tmp/n1; mkdir -p $d/gpfs/c; ln -sfn gpfs $d/scratch; srun --chdir=$d/scratch/c --container=$IMAGE sh -c "pwd; cd $d/gpfs/c && pwd -P"`, stdout: "/run/slurm/tmp/n1/gpfs/c\n/run/slurm/tmp/n1/(gpfs|scratch)/c"},
	{name: "a job in a directory behind a link", text: job + `d=/run/slurm/tmp/n1; mkdir -p $d/gpfs/u; ln -sfn gpfs $d/scratch; cd $d/scratch/u; printf '#!/bin/bash\nsrun sh -c "cd \$SLURM_SUBMIT_DIR && touch seen && echo there"\n' | job --container=$IMAGE`, stdout: "(?s).*state JobState=COMPLETED ExitCode=0:0 \nthere"},
	{name: "a variable that names a file", text: `export X509_USER_PROXY=/run/slurm/tmp/n1/proxy SSH_AUTH_SOCK=/no/such/agent; echo proxy >$X509_USER_PROXY; srun -n2 --container=$IMAGE sh -c 'cat $X509_USER_PROXY; echo ${SSH_AUTH_SOCK-none}'`, stdout: "none\nnone\nproxy\nproxy"},
	{name: "--hpc3-image wins", text: `srun --container=no/such:image --hpc3-image=$IMAGE hello`, stdout: "hello from /opt/app"},
	{name: "SLURM_CONTAINER", text: `SLURM_CONTAINER=$IMAGE srun hello`, stdout: "hello from /opt/app"},
	{name: "options", text: `mkdir -p bound; echo seen >bound/file; srun --container=$IMAGE --container-mounts=$HOME/bound:/m --container-mounts=$HOME/bound:/n:ro --container-workdir=/m --container-env=A=1 --container-env='B=x y' sh -c 'cat file; pwd; echo $A $B; touch /n/no 2>/dev/null || echo refused'`, stdout: "/m\n1 x y\nrefused\nseen"},
	{name: "a file of variables", text: `mkdir -p vars/deep; printf 'A=x "y"\nMINE\n' >vars/a; printf 'B=2\nA=no\n' >vars/b; cd vars; MINE=3 srun --container=$IMAGE --container-env-file=b --container-env-file=./a --container-env=B=1 --chdir=$HOME/vars/deep sh -c 'echo $A $B $MINE'`, stdout: `x "y" 1 3`},
	{name: "a file of variables, job and step", text: job + `printf 'A=1\nB=1\n' >job.env; printf 'B=2\n' >step.env; printf '#!/bin/bash\n#SBATCH --container=%s\n#SBATCH --container-env-file=job.env\ncd /\nsrun --container-env-file=~/step.env sh -c '"'"'echo $A $B'"'"'\n' $IMAGE | job`, stdout: "1 2\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "HPC3_CONTAINER_ENV_FILE", text: `echo A=1 >v.env; HPC3_CONTAINER_ENV_FILE=v.env srun --chdir=/ --container=$IMAGE printenv A`, stdout: "1"},
	{name: "a file of variables that is not there", text: `srun --container=$IMAGE --container-env-file=no.env hello; printf '#!/bin/sh\n' | sbatch --container=$IMAGE --container-env-file=no.env`, status: 1, stderr: "srun: error: hpc3: reading variables from /home/tester/no.env: no such file or directory\n(?s:.*)sbatch: error: hpc3: reading variables from /home/tester/no.env"},
	{name: "a file of variables with a mistake", text: `echo export A=1 >bad.env; srun --container=$IMAGE --container-env-file=bad.env hello`, status: 1, stderr: "srun: error: hpc3: /home/tester/bad.env:1: white space stands in the name\n(.*\n)?srun: error: hpc3: hint: "},
	{name: "a pipe of variables", text: `srun --container=$IMAGE --container-env-file=<(echo A=1) hello`, status: 1, stderr: "it is a named pipe, not a regular file\nsrun: error: hpc3: hint: the nodes of a job read it"},
	{name: "a clean environment", text: `export MINE=1 OMP_NUM_THREADS=3 TMPDIR=/tmp; srun -n2 -N1 --container=$IMAGE --container-clean-env --container-env=MINE sh -c 'echo $SLURM_PROCID $MINE ${OMP_NUM_THREADS-none} $USER ${SLURM_STEP_ID+step} ${TMPDIR+scratch}; env | grep -c ^SLURM_HPC3_TASK'`, stdout: "0\n0\n0 1 none tester step scratch\n1 1 none tester step scratch", status: 1},
	{name: "a clean environment, job and step", text: job + `export MINE=1; printf '#!/bin/bash\n#SBATCH --container=%s\n#SBATCH --container-clean-env\necho host $MINE\nsrun sh -c '"'"'echo step ${MINE-none}'"'"'\nsrun --no-container-clean-env printenv MINE\n' $IMAGE | job`, stdout: "1\nhost 1\nstate JobState=COMPLETED ExitCode=0:0 \nstep none"},
	{name: "writable", text: `HPC3_ENGINE=auto srun --container=$IMAGE --container-writable sh -c 'touch /new && echo made'`, stdout: "made"},
	{name: "read-only", text: `srun --container=$IMAGE sh -c 'touch /new 2>/dev/null || echo refused'`, stdout: "refused"},
	{name: "no home", text: `srun --container=$IMAGE --no-container-mount-home --container-workdir=/ sh -c 'ls -d /home/tester/.cache 2>/dev/null || echo none'`, stdout: "none"},
	{name: "the home's shell files", text: `echo export DOT=read >.bash_profile; srun --container=$IMAGE sh -c 'echo ${DOT-none}'; srun --container=$IMAGE --container-dotfiles sh -c 'echo $DOT'; HPC3_CONTAINER_DOTFILES=1 srun --container=$IMAGE --no-container-dotfiles sh -c 'echo ${DOT-none}'; rm .bash_profile`, stdout: "none\nnone\nread"},
	{name: "entrypoint", text: `srun --container=$IMAGE --container-entrypoint=none sh -c 'echo ${PROFILE_RAN-not}'`, stdout: "not"},
	{name: "limits, umask, TMPDIR", text: `ulimit -Sn 300; umask 027; export TMPDIR=/tmp/mine; mkdir -p /tmp/mine; srun --container=$IMAGE sh -c 'ulimit -Sn; umask; echo $TMPDIR'`, stdout: "/tmp/mine\n0027\n300"},
	{name: "a task prolog", text: `printf '#!/bin/sh\necho export FROM_PROLOG=yes\n' >prolog; chmod +x prolog; srun --task-prolog=$HOME/prolog --container=$IMAGE sh -c 'echo $FROM_PROLOG'`, stdout: "yes"},
	{name: "no such command", text: `srun --container=$IMAGE nosuch`, status: 127, stderr: `hpc3-run: error\[exec\]: running "nosuch"`},
	{name: "not executable", text: `srun --container=$IMAGE /etc/passwd`, status: 126, stderr: `hpc3-run: error\[exec\]`},
	{name: "one container for a step", native: true, text: `srun -N1 -n3 --container=$IMAGE sh -c 'readlink /proc/self/ns/mnt; sleep 1' | uniq | wc -l`, stdout: "1"},
	{name: "a node without the plugin", text: `srun -w n3 --container=$IMAGE hello`, stdout: "hello from /opt/app"},
	{name: "commands for each task", text: `printf '#!/bin/sh\necho two $HPC3_IMAGE_REF\n' >two; chmod +x two; printf '0 hello\n1 %s/two\n' $HOME >multi; srun -n2 -w n1 --multi-prog --container=$IMAGE multi`, stdout: "hello from /opt/app\ntwo 127.*"},
	{name: "components", text: `srun -n1 -w n1 --container=$IMAGE hello : -n1 -w n2 --container=$IMAGE sh -c 'echo other'`, stdout: "hello from /opt/app\nother"},
	{name: "components with images that differ", text: `srun -n1 -w n1 --container=$IMAGE hello : -n1 -w n2 --container=oci:/lab/layout hello`, status: 1, stderr: refusal("srun", "the components of a step share one image and its options,", `and these have .* and oci:/lab/layout`, "hint: start them as separate steps")},
	{name: "a batch job stays on the host", text: job + `printf '#!/bin/bash\ncat /etc/os-release | grep -c VERSION_CODENAME; hello || echo host; srun hello\n' | job --container=$IMAGE`, stdout: "(?s).*\nhello from /opt/app\nhost\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "#SBATCH", text: job + `printf '#!/bin/bash\n#SBATCH --container=%s\n#SBATCH --container-env=A=1\nsrun sh -c '"'"'hello; echo $A'"'"'\n' $IMAGE | job`, stdout: "1\nhello from /opt/app\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "SBATCH_CONTAINER", text: job + `export SBATCH_CONTAINER=$IMAGE; printf '#!/bin/bash\nsrun hello\n' | job`, stdout: "hello from /opt/app\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "a step's image is not the job's", text: job + `printf '#!/bin/bash\nsrun --container=oci:/lab/layout sh -c "echo \\$HPC3_IMAGE_REF"; srun sh -c "echo \\$HPC3_IMAGE_REF"\n' | job --container=$IMAGE`, stdout: "127.0.0.1:.*\noci:/lab/layout\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "options of a job", text: job + `printf '#!/bin/bash\nsrun sh -c "echo \\$A \\$B"; srun --container-env=B=2 sh -c "echo \\$A \\$B"\n' | job --container=$IMAGE --container-env=A=1`, stdout: "1 ?\n1 2\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "an array", text: `printf '#!/bin/bash\nsrun hello >hello.$SLURM_ARRAY_TASK_ID\n' >array.sh; rm -f hello.*; sbatch --parsable --array=1-3 --container=$IMAGE -o /dev/null array.sh >/dev/null; while squeue -h | grep -q .; do sleep 0.2; done; cat hello.*`, stdout: "hello from /opt/app\nhello from /opt/app\nhello from /opt/app"},
	{name: "a step in an allocation", text: `salloc -Q -n2 srun --container=$IMAGE hello`, stdout: "hello from /opt/app\nhello from /opt/app"},
	{name: "an allocation with an image", text: `salloc -Q -n1 --container=$IMAGE srun hello`, stdout: "hello from /opt/app"},
	{name: "a job that a job submits", text: job + `printf '#!/bin/bash\nprintf "#!/bin/bash\\nenv | grep -c -e SLURM_CONTAINER -e SLURM_HPC3\\n" >inner.sh; sbatch -W -o inner.out inner.sh >/dev/null; cat inner.out\n' | job --container=$IMAGE --container-env=A=1`, stdout: "0\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "PMI2", text: `srun --mpi=pmi2 -n2 -N2 --container=$IMAGE sh -c 'echo $PMI_RANK $PMI_SIZE; test -e /proc/self/fd/$PMI_FD && echo open'`, stdout: "0 2\n1 2\nopen\nopen"},
	{name: "a failing batch job", text: job + `printf '#!/bin/bash\nsrun sh -c "exit 9"\n' | job --container=$IMAGE`, stdout: "(?s).*state JobState=FAILED ExitCode=9:0 ", status: 0},

	{name: "a mount that is wrong", text: `srun --container=$IMAGE --container-mounts=a:b:c:d hello`, status: 1, stderr: refusal("srun", `--container-mounts: mount "/home/tester/a:b:c:d" has more than three parts.*`)},
	{name: "a mode that is wrong", text: `sbatch --container=$IMAGE --container-entrypoint=shell --wrap=hello`, status: 1, stderr: refusal("sbatch", "--container-entrypoint: .*login.*")},
	{name: "a variable that is wrong", text: `salloc -Q --container=$IMAGE --container-env="A B=2" true`, status: 1, stderr: refusal("salloc", "--container-env: .*")},
	{name: "a directory that is wrong", text: `srun --container=$IMAGE --container-workdir=here hello`, status: 1, stderr: `hpc3: the working directory "here" is not an absolute path`},
	{name: "options without an image", text: `srun --container-writable hello`, status: 1, stderr: refusal("srun", "options of a container are given, and no image", "hint: add --container=IMAGE")},
	{name: "an empty image", text: `srun --hpc3-image= hello`, status: 1, stderr: refusal("srun", `--container needs an image, such as qnib/gromacs:2021\.5`)},
	{name: "an image that is no name", text: `srun --container=Not/A/Name hello`, status: 1, stderr: refusal("srun", "image reference .*Not/A/Name.*", "hint: repository names are lower case: not/a/name")},
	{name: "an image that is not there", text: `srun --container=${IMAGE%:*}:none hello`, status: 1, stderr: `srun: error: hpc3: .*:none`},
	{name: "a registry that does not answer", text: `srun -N2 -n8 -w n1,n2 --container=127.0.0.1:9/a/b:1 hello`, status: 125, stderr: `(?s)hpc3: the job is submitted all the same.*error\[network\].*pull_at.*exit code 125`},
	{name: "one message for a step", text: `srun -N2 -n8 -w n1,n2 --container=127.0.0.1:9/a/b:1 hello 2>&1 | grep -c 'error\[network\]'`, stdout: "1"},
	{name: "no library of the plugin", text: ownStack + `stack library=/no/such.so; srun echo fine; srun --container=$IMAGE hello`, stdout: "fine", status: 1, stderr: `hpc3: /no/such.so: cannot open`},
	{name: "a status of the user's for what Slurm refuses", text: `SLURM_EXIT_ERROR=77 srun --hpc3-image= hello`, status: 77},
	{name: "a plugin that is optional refuses as well", text: ownStack + `stack launcher=/lab/bin/hpc3-run; sed -i s/required/optional/ plug.conf; srun --container=$IMAGE --container-mounts=a:b:c:d true; sbatch --container=Not/A/Name --wrap=true; squeue -h -t PD,CF,R`, stderr: `\Asrun: error: hpc3: --container-mounts: .*\nsbatch: error: hpc3: image reference .*\nsbatch: error: hpc3: hint: .*\n\z`},
	{name: "a refusal in an allocation", text: `salloc -Q -n1 sh -c 'srun --container=Not/A/Name hello; echo $?; srun echo goes on'`, stdout: "1\ngoes on", stderr: refusal("srun", ".*", "hint: .*")},
	{name: "a plugstack.conf that is wrong", text: ownStack + `stack color=red; srun --container=$IMAGE hello`, status: 1, stderr: `hpc3: plugstack.conf: color=red is not one of\nsrun: error: hpc3: launcher=/PATH `},
	{name: "a setting that is wrong", text: `HPC3_ENGINE=docker srun --container=$IMAGE hello`, status: 1, stderr: `HPC3_ENGINE`},
	{
		name: "a damaged image", native: true, text: `mkdir -p ~/.cache; export HPC3_CACHEDIR=$(mktemp -d ~/.cache/XXXXXX) HPC3_SQUASHFS=builtin; srun -w n1 --container=$IMAGE hello
		cd $HPC3_CACHEDIR/sif/*; chmod u+w *.sif; dd if=/dev/zero of=$(ls *.sif) bs=1M seek=20 count=1 conv=notrunc 2>/dev/null; cd
		for n in first second; do srun -n2 -w n1 --container=$IMAGE sh -c 'find /usr -type f -exec cat {} + >/dev/null 2>&1; echo '$n; done`,
		stdout: "first\nfirst\nhello from /opt/app\nsecond\nsecond", stderr: `hpc3-run: error\[cache\]: the image in .*\.sif cannot be read: damaged SquashFS: a data block at `,
	},
	{name: "what takes long is said once", text: `export HPC3_CACHEDIR=$(mktemp -d ~/.cache/XXXXXX); srun -Q -N2 -w n1,n2 -n6 --container=$IMAGE true 2>&1 | awk '{ print $2 }' | sort | uniq -c | xargs -n2`, stdout: "(1 another\n)?1 fetching"},
}

// illegal is a pattern for what a node says of a task that ended by an illegal instruction.
func illegal(node, how string) string {
	if how == "by" { // Apptainer may pass a signal on as a status
		how = "(by|with 132, the status of)"
	}
	return "hpc3: " + node + ": a task ended " + how + ` an illegal instruction: its program is not made for this CPU; the image's variant is amd64; see hpc3-troubleshooting\(7\), status 132`
}

// refusal is a pattern for all that a program of Slurm says of what the plugin refuses: nothing
// comes before it, and no word of Slurm's that the plugin failed comes after it.
func refusal(program string, lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(program + ": error: hpc3: " + line + `\n`)
	}
	return `\A` + b.String() + `\z`
}

// TestSlurm walks the road on real clusters.
func TestSlurm(t *testing.T) {
	lab.Needs(t, "slurm", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "slurm", !testing.Short(), "the lab is not built by a short run")
	for suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			c := newCluster(t, suite, "", nil)
			c.rows(t, slices.Concat(submitRows, slurmRows, execRows))
			t.Run("replaced", c.replaced)
			t.Run("beside pyxis", c.besidePyxis)
			t.Run("ranks", c.ranks)
			t.Run("lives", c.lives)
			t.Run("crowds", c.crowds)
			t.Run("told", c.told)
			if suite != "sid" {
				t.Run("modules", c.modules)
			}
			if suite == "sid" { // has Apptainer of its own
				c.engine = "apptainer"
				t.Run("Apptainer", func(t *testing.T) { c.rows(t, slices.Concat(submitRows, slurmRows, execRows)) })
				t.Run("lives through Apptainer", c.lives)
				t.Run("modules through Apptainer", c.modules)
			}
		})
	}
}

// rows runs those that this Slurm can. Afterwards every node is idle.
func (c *cluster) rows(t *testing.T, rows []slurmRow) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if c.major < row.from {
				t.Skipf("Slurm %d cannot", c.major)
			}
			if row.native && c.engine != "native" {
				t.Skip("this is for hpc3's own engine")
			}
			c.check(t, row)
		})
	}
	c.idle(t)
}

func (c *cluster) check(t *testing.T, row slurmRow) {
	t.Helper()
	got := c.run(t, row.text)
	lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	slices.Sort(lines)
	sorted := strings.Join(lines, "\n")
	if !regexp.MustCompile(`\A(?:` + row.stdout + `)\z`).MatchString(sorted) {
		t.Errorf("standard output is %q, want %q", sorted, row.stdout)
	}
	if !regexp.MustCompile(row.stderr).MatchString(got.stderr) {
		t.Errorf("standard error lacks %q", row.stderr)
	}
	if got.status != row.status {
		t.Errorf("status %d, want %d", got.status, row.status)
	}
	if t.Failed() {
		t.Logf("standard error:\n%s", got.stderr)
	}
}

// TestSlurmWithoutPlugin has Slurm itself start the tasks, by oci.conf.
func TestSlurmWithoutPlugin(t *testing.T) {
	lab.Needs(t, "slurm", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "slurm", !testing.Short(), "the lab is not built by a short run")
	t.Parallel()
	example, err := os.ReadFile("../../etc/slurm/oci.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.ReplaceAll(string(example), "/usr/local/bin/", "/lab/bin/")
	for _, suite := range []string{"trixie", "sid"} {
		t.Run(suite, func(t *testing.T) {
			c := newCluster(t, suite, "none", map[string]string{"oci.conf": conf})
			for _, row := range []slurmRow{
				{name: "a command", text: `srun --container=$IMAGE hello`, stdout: "hello from /opt/app"},
				{name: "many tasks, and the environment", text: `MINE=1 srun -n4 -N2 --container=$IMAGE sh -c 'echo $MINE $SLURM_PROCID $PWD'`, stdout: "1 0 /home/tester\n1 1 /home/tester\n1 2 /home/tester\n1 3 /home/tester"},
				{name: "arguments", text: `srun --container=$IMAGE printf '%s|' 'a b' '*' '$HOME'`, stdout: `a b\|\*\|\$HOME\|`},
				{name: "status", text: `srun --container=$IMAGE sh -c 'exit 7'`, status: 7},
				{name: "an image that is not there", text: `srun --container=${IMAGE%:*}:none hello`, status: 125, stderr: `hpc3-run: error\[reference\]`},
				{name: "none", text: `srun --container=none sh -c 'echo ${HPC3_IMAGE_REF-host}'`, stdout: "host"},
				{name: "an image for a shell", text: `srun --container='x;id' hello`, status: 125, stderr: `hpc3-run: error\[reference\]`},
			} {
				t.Run(row.name, func(t *testing.T) { c.check(t, row) })
			}
			t.Run("ranks", c.ranksWithoutPlugin)
			c.idle(t)
		})
	}
}

// settingsRows are for a plugin with batch=container and prefix=hpc3, and a site file that says
// more of submission.
var settingsRows = []slurmRow{
	{name: "batch=container", text: job + `printf '#!/bin/bash\nhello\n' | job --container=$IMAGE`, stdout: "(?s)hello from /opt/app\n.*state JobState=COMPLETED ExitCode=0:0 "},
	{name: "batch=container on two nodes, its options and status", text: job + `printf '#!/bin/bash\nhello; exit $A\n' | job --container=$IMAGE -N2 -w n1,n2 --hpc3-env=A=3`, stdout: "hello from /opt/app\nstate JobState=FAILED ExitCode=3:0 "},
	{name: "prefix", text: `srun --container=$IMAGE --hpc3-env=A=1 sh -c 'echo $A'; srun --container=$IMAGE --container-env=A=1 true`, stdout: "1", status: 255, stderr: "unrecognized option"},
	{name: "unreachable", text: `HPC3_CONFIG=/lab/site.toml srun --container=127.0.0.1:9/a/b:1 hello`, status: 1, stderr: "(?s)srun: error: hpc3: reading 127.0.0.1:9.*connection refused"},
	{name: "unreachable for a batch job", text: `HPC3_CONFIG=/lab/site.toml sbatch --container=127.0.0.1:9/a/b:1 --wrap=hello; squeue -h`, stderr: "(?s)sbatch: error: hpc3: reading 127.0.0.1:9.*connection refused"},
	{name: "a site file of the user's own", text: `printf 'container_workdir = "/srv"\n' >own.toml; HPC3_CONFIG=$PWD/own.toml srun --container=$IMAGE pwd`, stdout: "/home/tester", stderr: "hpc3: HPC3_CONFIG is passed by, since jobs follow the site's file: /home/tester/own.toml"},
	{name: "a site cache that is not there", text: `HPC3_CONFIG=/lab/cache.toml srun -N2 -w n1,n2 -n4 --container=$IMAGE hello 2>&1 >/dev/null | grep 'site cache'`, stdout: "hpc3-run: n[12]: warning: site cache /no/such/cache is not used: no such file or directory; see: hpc3 doctor"},
	{name: "pull_at", text: `export HPC3_CONFIG=/lab/site.toml HPC3_CACHEDIR=$(mktemp -d ~/.cache/XXXXXX); srun -H -J held --container=$IMAGE hello & for i in $(seq 50); do find $HPC3_CACHEDIR -name '*.sif' | grep -q . && break; sleep 0.2; done; find $HPC3_CACHEDIR -name '*.sif' | wc -l; scancel -n held; wait`, stdout: "[1-9]", stderr: "before the job is submitted"},
}

// TestSlurmSettings is about what a site can set.
func TestSlurmSettings(t *testing.T) {
	lab.Needs(t, "slurm", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "slurm", !testing.Short(), "the lab is not built by a short run")
	t.Parallel()
	for _, suite := range []string{"trixie", lab.OldSuite} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, suite, "batch=container prefix=hpc3", map[string]string{
				"site.toml": "pull_at = \"submit\"\nunreachable = \"error\"\n", "cache.toml": "[[cache]]\ndir = \"/no/such/cache\"\n",
			})
			c.rows(t, settingsRows)
			if suite == lab.OldSuite {
				return // this Slurm takes plugins of any version
			}
			// Built for another Slurm, and told to take on the version of the one that loads it.
			other := filepath.Join(c.work, "other")
			build := exec.Command("make", "-s", "-C", "../..", "plugin", "VERSION=v9", "BIN="+other, "SLURM_INCLUDE="+lab.SlurmHeaders(t, c.work, "bookworm"), "PLUGIN_CFLAGS=-DHPC3_ANY_VERSION")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("make plugin: %v\n%s", err, out)
			}
			c.rows(t, mixedRows)
		})
	}
}

// mixedRows are with a plugin of version v9; hpc3-run is of version test.
var mixedRows = []slurmRow{
	{name: "another version", text: ownStack + `plugin=/lab/other/spank_hpc3.so; stack launcher=/lab/bin/hpc3-run; srun -N2 -w n1,n2 -n4 --container=$IMAGE hello 2>&1 | grep -v fetching`, stdout: "(hello from /opt/app\n){4}hpc3-run: warning: the plugin that submitted this is of v9, hpc3-run on this node of test; .*"},
	{name: "another protocol", text: ownStack + `plugin=/lab/other/spank_hpc3.so; stack launcher=/lab/bin/hpc3-run; printf '#!/bin/sh\necho export SLURM_HPC3_VERSION=2 v9\n' >newer; chmod +x newer; srun -n2 --task-prolog=$HOME/newer --container=$IMAGE hello`, status: 125, stderr: `hpc3-run: error\[config\]: starting a task with hpc3 test: it was submitted by hpc3 v9, whose protocol is 2, and here it is 1\nhpc3-run: hint: `},
	{name: "a job of another protocol", text: ownStack + `plugin=/lab/other/spank_hpc3.so; stack launcher=/lab/bin/hpc3-run; SLURM_HPC3_VERSION="0 v8" srun --container=$IMAGE hello`, status: 1, stderr: `srun: error: hpc3: starting a step of this job: it was submitted by hpc3 v8, whose protocol is 0`},
	{name: "a library of another version", text: ownStack + `plugin=/lab/other/spank_hpc3.so; stack launcher=/lab/bin/hpc3-run library=/lab/bin/libhpc3spank.so; srun --container=$IMAGE hello`, status: 1, stderr: `srun: error: hpc3: the plugin, spank_hpc3.so, is of hpc3 v9, and its library, libhpc3spank.so, of hpc3 test\nsrun: error: hpc3: hint: install both anew`},
}

// TestSlurmInside calls Slurm's client from inside of a container, if the site allows it.
func TestSlurmInside(t *testing.T) {
	lab.Needs(t, "slurm", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "slurm", !testing.Short(), "the lab is not built by a short run")
	t.Parallel()
	files := map[string]string{"site.toml": "slurm_client = true\nslurm_comment = true\n", "usage.toml": "usage = \"syslog\"\n"}
	const site = "export HPC3_CONFIG=/lab/site.toml; "
	t.Run("image as new as the node", func(t *testing.T) {
		c := newCluster(t, "bookworm", "batch=container", files)
		for _, row := range []slurmRow{
			{name: "a step", text: `srun --container=$IMAGE hello`, stdout: "hello from /opt/app"},
			{name: "steps of a batch script", text: site + job + `printf '#!/bin/bash\nhello\nsrun -n2 -N2 -w n1,n2 hello\nsqueue -h -o "job %%j"\n' | job -N2 -w n1,n2 --container=$IMAGE`, stdout: "hello from /opt/app\nhello from /opt/app\nhello from /opt/app\njob job.sh\nstate JobState=COMPLETED ExitCode=0:0 "},
			{name: "options of the plugin", text: site + job + `printf '#!/bin/bash\nsrun --container-env=A=1 sh -c "echo \$A \$HPC3_IMAGE_REF"\n' | job --container=$IMAGE`, stdout: "1 127.0.0.1:.*\nstate JobState=COMPLETED ExitCode=0:0 "},
			{name: "a job that a job submits", text: site + `srun --container=$IMAGE sh -c 'cd && sbatch -W -o inside.out --wrap="cat /etc/debian_version" >/dev/null && cat inside.out'`, stdout: `12\..*`},
			{name: "the job's comment", text: site + `job=$(sbatch --parsable -o comment.out --container=$IMAGE --wrap="srun sleep 1"); while squeue -h | grep -q .; do sleep 0.2; done; scontrol -o show job $job | grep -o 'Comment=.*sha256:[0-9a-f]*'`, stdout: `Comment=hpc3 127.0.0.1:.*@sha256:[0-9a-f]+ linux/amd64 sha256:[0-9a-f]{64}`},
			{name: "the user's comment", text: site + `job=$(sbatch --parsable -o comment.out --comment=mine --container=$IMAGE --wrap="srun true"); while squeue -h | grep -q .; do sleep 0.2; done; scontrol -o show job $job | grep -o 'Comment=[^ ]*'`, stdout: `Comment=mine`},
			{name: "without the setting", text: `srun --container=$IMAGE srun hello`, status: 127},
		} {
			t.Run(row.name, func(t *testing.T) { c.check(t, row) })
		}
		t.Run("usage", c.usage)
		c.idle(t)
	})
	t.Run("another SlurmUser", func(t *testing.T) {
		c := newCluster(t, "sid", "batch=container", map[string]string{"site.toml": "slurm_client = true\n", "slurm.conf": "SlurmUser=slurm\n"})
		c.image = c.nodeImage(t)
		c.check(t, slurmRow{text: `srun -N2 -w n1,n2 --container=$IMAGE getent passwd slurm`, status: 2})
		for _, engine := range []string{"native", "apptainer"} {
			in := site + "export HPC3_ENGINE=" + engine + "; "
			for _, row := range []slurmRow{
				{name: "the client", text: in + `srun --container=$IMAGE sh -c 'sinfo -h -o "name %P"; squeue -h -o "job %j"; squeue --json >/dev/null && echo json; getent passwd slurm tester'`, stdout: "job sh\njson\nname main\\*\nslurm:x:.*\ntester:x:4242:.*"},
				{name: "a step of a step", text: in + `srun --container=$IMAGE sh -c 'srun --overlap sh -c "srun --overlap id -un"'`, stdout: "tester"},
				{name: "binds", text: in + `mkdir -p mine yours; echo mine >mine/file; echo yours >yours/file; export APPTAINER_BIND=$HOME/yours:/yours; srun --container=$IMAGE --container-mounts=$HOME/mine:/mine sh -c 'srun --overlap sh -c "cat /mine/file; [ \$HPC3_ENGINE = native ] || cat /yours/file"'`, stdout: "mine(\nyours)?"},
				{name: "steps of a batch script", text: in + job + `printf '#!/bin/bash\nsrun -n2 -N2 -w n1,n2 id -un\nsrun -n1 -N1 printenv HPC3_VARIANT\n' | job -N2 -w n1,n2 --container=$IMAGE`, stdout: "linux/amd64\nstate JobState=COMPLETED ExitCode=0:0 \ntester\ntester"},
			} {
				row.stderr = `\A\z` // Apptainer warns where it is told the same twice
				t.Run(row.name+" through "+engine, func(t *testing.T) { c.check(t, row) })
			}
		}
		c.idle(t)
	})
	t.Run("image older than the node", func(t *testing.T) {
		c := newCluster(t, "trixie", "", files)
		c.check(t, slurmRow{text: site + `srun --container=$IMAGE hello`, stdout: "hello from /opt/app", stderr: `warning: the node's Slurm client will not work in this image: .* needs glibc 2\.\d+, and the image has 2\.36`})
	})
}

// nodeImage pushes an image that is as new as the nodes, being made of programs of theirs, and has
// no user called slurm.
func (c *cluster) nodeImage(t *testing.T) string {
	t.Helper()
	const pack = `set -e; mkdir -p "$1/etc"; for f in passwd group; do grep -v ^slurm: "$0/etc/$f" >"$1/etc/$f"; done; cd "$0"; lib=usr/lib/$(uname -m)-linux-gnu
tar -cf "$1/layer.tar" bin lib lib64 usr/lib64 usr/bin/{bash,sh,dash,cat,getent,id,printenv} $lib/ld-linux* $lib/lib{c,m,resolv,selinux,tinfo,pcre2-8}.so*
tar -C "$1" -rf "$1/layer.tar" etc`
	dir := filepath.Join(c.work, "image")
	if out, err := exec.Command("bash", "-c", pack, lab.Script(t, "slurm-root", c.suite), dir).CombinedOutput(); err != nil {
		t.Fatalf("packing the image: %v\n%s", err, out)
	}
	layer, err := tarball.LayerFromFile(filepath.Join(dir, "layer.tar"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.OS, config.Architecture, config.Config.Env = "linux", runtime.GOARCH, []string{"PATH=/usr/bin:/bin"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	image := strings.Replace(c.image, "login", "node", 1)
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	return image
}

// water makes the input of a short run.
const water = `cat >water.sh <<'END'
set -e
printf 'integrator = md\nnsteps = 20\ndt = 0.001\nrcoulomb = 0.8\nrvdw = 0.8\ncoulombtype = PME\n' >water.mdp
printf '#include "oplsaa.ff/forcefield.itp"\n#include "oplsaa.ff/spce.itp"\n[ system ]\nwater\n[ molecules ]\n' >water.top
gmx -quiet solvate -cs spc216.gro -box 2 2 2 -o water.gro -p water.top
gmx -quiet grompp -f water.mdp -c water.gro -p water.top -o water.tpr -maxwarn 5
END
srun --container=$IMAGE bash water.sh >/dev/null 2>&1
`

// TestSlurmGROMACS runs GROMACS as a user would.
func TestSlurmGROMACS(t *testing.T) {
	lab.Needs(t, "slurm", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "slurm", !testing.Short(), "the lab is not built by a short run")
	t.Parallel()
	c := newCluster(t, "trixie", "", nil)
	c.image = lab.Serve(t, lab.Script(t, "../demo/image"), filepath.Join(c.work, "demo-registry"))
	c.check(t, slurmRow{text: `srun --container=$IMAGE gmx -version | grep -c '^GROMACS version'`, stdout: "1"})
	c.check(t, slurmRow{text: water + `ls water.tpr`, stdout: "water.tpr"})
	c.check(t, slurmRow{text: `/lab/bin/hpc3 module -q --name gromacs/2022.5 --commands gmx,nbody -o mods $IMAGE`, stdout: "/home/tester/mods/gromacs/2022.5"})
	const load = `. /usr/share/modules/init/bash; module use mods; module load gromacs; `
	c.check(t, slurmRow{text: load + `gmx -version | grep '^GROMACS version'; srun -N2 -w n1,n2 gmx -version | grep '^GROMACS version'`, stdout: `(GROMACS version: +2022\.5.*\n?){3}`})
	// Prologs tell the nodes what they are.
	c.check(t, slurmRow{text: load + `printf '#!/bin/sh\necho export HPC3_PLATFORM=linux/amd64/v${SLURMD_NODENAME#n}\n' >prolog; chmod +x prolog; srun --task-prolog=$HOME/prolog -N2 -w n1,n2 nbody 1 | cut -d: -f1`, stdout: "x86-64\nx86-64-v2"})
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !regexp.MustCompile(`\brdtscp\b`).Match(cpu) {
		t.Skip("this processor has no rdtscp, without which Debian's gmx mdrun does not run")
	}
	c.check(t, slurmRow{text: `srun --container=$IMAGE gmx mdrun -s water.tpr 2>&1 | grep -c '^Performance'`, stdout: "1"})
	c.check(t, slurmRow{text: load + `srun gmx mdrun -s water.tpr 2>&1 | grep -c '^Performance'`, stdout: "1"})
}
