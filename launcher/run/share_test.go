package run_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// step is the environment that Slurm gives a task.
func step(id string) []string {
	return []string{"HOME=/nonexistent", "PATH=/usr/bin:/bin", "SLURM_JOB_ID=7", "SLURM_STEP_ID=" + id, "SLURM_STEP_NUM_TASKS=4", "SLURMD_NODENAME=n1"}
}

// open makes a directory that everyone can write, and which containers see, as it is below /tmp.
func open(t *testing.T) string {
	t.Helper()
	dir := shared(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Ranks of one step on a node read one another's memory; those of different steps do not, which
// shows that the kernel would mind.
func TestRanksReadOneAnothersMemory(t *testing.T) {
	l := need(t)
	none := config(flatPlan{Entrypoint: option.None})
	alone := none
	alone.Alone = true
	for _, tt := range []struct {
		name, second string // second is what the shell sets for the second rank
		env          []string
		plan         flatPlan
		shared       bool
	}{
		{"one step", "", step("1"), none, true},
		{"one step, writable", "", step("1"), config(flatPlan{Entrypoint: option.None, Writable: true}), true},
		{"two steps", "SLURM_STEP_ID=2", step("1"), none, false},
		{"two nodes on one host", "SLURMD_NODENAME=n2", step("1"), none, false},
		{"told not to", "", step("1"), alone, false},
		{"PMIx", "", []string{"HOME=/", "PMIX_NAMESPACE=job.1"}, none, true},
		{"Hydra", "PMI_RANK=1", []string{"HOME=/", "PMI_RANK=0", "PMI_SIZE=2"}, none, true},
		{"no step", "", []string{"HOME=/"}, none, false},
	} {
		for _, who := range callers {
			t.Run(who.name+"/"+tt.name, func(t *testing.T) {
				if who.uid == 0 && !tt.shared {
					t.Skip("root reads any memory")
				}
				file := filepath.Join(open(t), "rank")
				got := l.run(t, start{who: who, plan: tt.plan, env: tt.env, command: []string{"show"}, limits: `
mkfifo ` + file + `.in; "$@" hold ` + file + ` <` + file + `.in & exec 9>` + file + `.in
while [ ! -s ` + file + ` ]; do sleep 0.01; done
env ` + tt.second + ` "$@" peek $(cat ` + file + `) 9>&-; status=$?
exec 9>&-; wait; exit $status`})
				if saw := strings.Contains(got.stdout, "secretsecret"); saw != tt.shared || (got.status == 0) != tt.shared {
					t.Errorf("the memory was read: %v (status %d), want %v; stdout: %s; stderr: %s", saw, got.status, tt.shared, got.stdout, got.stderr)
				}
			})
		}
	}
	eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
}

// However many tasks start at once, there is one container and one file server, and each task has
// its own words, directory and environment.
func TestManyTasksOneContainer(t *testing.T) {
	l := need(t)
	const tasks = 64
	dir := open(t)
	for _, who := range callers {
		got := l.run(t, start{who: who, plan: config(flatPlan{Entrypoint: option.None}), env: step("1"), command: []string{"/bin/sh", "-c"}, limits: `
cd ` + dir + `; rm -f go up; mkfifo go; exec 9<>go
for i in $(seq ` + fmt.Sprint(tasks) + `); do
	SLURM_PROCID=$i "$@" 'echo "$SLURM_PROCID $1 $(readlink /proc/self/ns/mnt) $(pwd)"; echo >>up; read x <go' sh "word $i" 9>&- 2>/dev/null &
done
while [ "$(wc -l <up 2>/dev/null)" != ` + fmt.Sprint(tasks) + ` ]; do sleep 0.01; done
for i in $(seq ` + fmt.Sprint(tasks) + `); do echo x; done >&9; wait; exit`})
		where := map[string]int{}
		for line := range strings.Lines(got.stdout) {
			f := strings.Fields(line)
			if len(f) != 5 || f[0] != f[2] || f[4] != dir {
				t.Errorf("%s: a task printed %q", who.name, line)
				continue
			}
			where[f[3]]++
		}
		if len(where) != 1 || where[firstKey(where)] != tasks {
			t.Errorf("%s: the tasks were in these mount namespaces: %v, want all %d in one; stderr: %s", who.name, where, tasks, got.stderr)
		}
	}
	eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
}

func firstKey(m map[string]int) string {
	for k := range m {
		return k
	}
	return ""
}

// Tasks whose containers would differ do not share one: of another bind, another image, or a
// writable one.
func TestOnlyTheSameIsShared(t *testing.T) {
	l := need(t)
	base := start{who: unknown, env: step("1"), plan: config(flatPlan{Entrypoint: option.None})}
	bound, written, other := base.plan, base.plan, base.plan
	bound.Mounts = []option.Mount{{Source: "/usr", Target: "/mnt"}}
	written.Writable = true
	other.SIF = l.sh
	for name, plan := range map[string]flatPlan{"bind": bound, "writable": written, "image": other} {
		first, second := base, base
		second.plan = plan
		a, b := l.cmd(t, first), l.cmd(t, second)
		program, planA, planB := a.Args[len(a.Args)-2], a.Args[len(a.Args)-1], b.Args[len(b.Args)-1]
		dir := open(t)
		got := l.run(t, start{who: unknown, env: base.env, plan: base.plan, command: []string{"ignored"}, limits: `
cd ` + dir + `; mkfifo in; ` + program + ` ` + planA + ` /bin/sh -c 'readlink /proc/self/ns/mnt; echo >up; read x' <in & exec 9>in; while [ ! -e up ]; do sleep 0.01; done
` + program + ` ` + planB + ` /bin/sh -c 'readlink /proc/self/ns/mnt' 9>&-; exec 9>&-; wait; exit 0`})
		lines := strings.Fields(got.stdout)
		if len(lines) != 2 || lines[0] == lines[1] {
			t.Errorf("%s: the two tasks were in %q, want two mount namespaces; stderr: %s", name, lines, got.stderr)
		}
	}
}

// Whoever is killed, the others go on, a task that comes later finds its place, and nothing is left
// at the end.
func TestSharedContainerOutlivesItsTasks(t *testing.T) {
	l := need(t)
	dir := open(t)
	got := l.run(t, start{who: unknown, plan: config(flatPlan{Entrypoint: option.None}), env: step("1"), command: []string{"/bin/sh", "-c"}, limits: `
cd ` + dir + `; mkfifo in
"$@" 'echo leader $(readlink /proc/self/ns/mnt); echo >up1; exec /usr/bin/sleep 1000' & leader=$!
while [ ! -e up1 ]; do sleep 0.01; done
"$@" 'echo second $(readlink /proc/self/ns/mnt); echo >up2; read x; exec /usr/bin/show end' <in & exec 9>in
while [ ! -e up2 ]; do sleep 0.01; done
kill -9 $leader; wait $leader
"$@" 'echo third $(readlink /proc/self/ns/mnt)' 9>&-
exec 9>&-; wait
"$@" 'echo fourth $(readlink /proc/self/ns/mnt)'; exit`})
	found := map[string]string{}
	for line := range strings.Lines(got.stdout) {
		if who, where, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(where, "mnt:") {
			found[who] = where
		}
	}
	if found["leader"] == "" || found["second"] != found["leader"] || found["third"] != found["leader"] || found["fourth"] == "" {
		t.Errorf("tasks were in %v; stderr: %s", found, got.stderr)
	}
	if !strings.Contains(got.stdout, `arg 1 "end"`) {
		t.Errorf("the second task did not read its program after the leader had been killed: %s", got.stdout)
	}
	eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
}

// meetingPlace returns the name of the socket at which a file server of the lab's program listens.
func (l *lab) meetingPlace(t *testing.T) string {
	t.Helper()
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		link, err := os.Readlink(fd)
		inode, isSocket := strings.CutPrefix(link, "socket:[")
		exe, exeErr := os.Readlink(filepath.Join(filepath.Dir(filepath.Dir(fd)), "exe"))
		if err != nil || exeErr != nil || !isSocket || exe != l.program {
			continue
		}
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) == 8 && f[6] == strings.TrimSuffix(inode, "]") {
				return f[7]
			}
		}
	}
	t.Fatal("no file server listens")
	return ""
}

// A stranger who sits at the place where tasks meet neither lets them in nor keeps them from
// starting.
func TestStrangerAtTheMeetingPlace(t *testing.T) {
	l := need(t)
	s := start{who: unknown, plan: config(flatPlan{Entrypoint: option.None}), env: step("1"), command: []string{"/bin/sh", "-c", "echo ran"}}
	dir := open(t)
	// The name is learnt from a container that is up; root, another user than the task's, takes it
	// when that has ended.
	cmd := l.cmd(t, start{who: unknown, plan: s.plan, env: s.env, command: []string{"/bin/sh", "-c"}, limits: `
cd ` + dir + `; "$@" 'echo >up; while [ ! -e named ]; do sleep 0.01; done' && while [ ! -e taken ]; do sleep 0.01; done
"$@" 'echo ran'; exit`})
	var out, messages strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first container is up", func() bool {
		_, err := os.Stat(filepath.Join(dir, "up"))
		return err == nil
	})
	name := l.meetingPlace(t)
	if err := os.WriteFile(filepath.Join(dir, "named"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first container has ended", func() bool { return l.processes(t) == 0 })
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	eventually(t, "the name is free", func() bool {
		return unix.Bind(fd, &unix.SockaddrUnix{Name: name}) == nil
	})
	if err := unix.Listen(fd, 8); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "taken"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "ran\n" || !strings.Contains(messages.String(), "another user sits") {
		t.Errorf("%v; stdout %q, stderr %s", err, out.String(), messages.String())
	}
}

// Where the file server is killed, the next task makes a container anew; where one that joined is
// killed, the others go on.
func TestSharedContainerLosesItsServer(t *testing.T) {
	l := need(t)
	for _, who := range callers {
		dir := open(t)
		got := l.run(t, start{who: who, plan: config(flatPlan{Entrypoint: option.None}), env: step("1"), command: []string{"/bin/sh", "-c"}, limits: `
cd ` + dir + `; mkfifo in; exec 9<>in
"$@" 'echo leader $(readlink /proc/self/ns/mnt); echo >up1; read x' <in 9>&- & leader=$!
while [ ! -e up1 ]; do sleep 0.01; done
"$@" 'echo second $(readlink /proc/self/ns/mnt); echo >up2; exec /usr/bin/sleep 1000' 9>&- & second=$!
while [ ! -e up2 ]; do sleep 0.01; done
kill -9 $second; wait $second
"$@" 'echo third $(readlink /proc/self/ns/mnt)' 9>&-
for p in /proc/[0-9]*; do
	[ "$(readlink $p/exe)" = ` + l.program + ` ] && kill -9 ${p#/proc/} && while readlink $p/exe; do sleep 0.01; done
done >/dev/null 2>&1
"$@" 'echo fourth $(readlink /proc/self/ns/mnt)' 9>&-
echo >&9; wait $leader; exit 0`})
		where := map[string]string{}
		for line := range strings.Lines(got.stdout) {
			if task, space, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				where[task] = space
			}
		}
		if where["leader"] == "" || where["second"] != where["leader"] || where["third"] != where["leader"] {
			t.Errorf("%s: the tasks before the server was killed were in %v; stderr: %s", who.name, where, got.stderr)
		}
		if where["fourth"] == "" || where["fourth"] == where["leader"] {
			t.Errorf("%s: the task after the server was killed was in %v; stderr: %s", who.name, where, got.stderr)
		}
		eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
	}
}

// A command that joins a container finds what one in a container of its own does, and says the same
// where it cannot be run: the former's last system calls are made without Go.
func TestJoinedIsTheSame(t *testing.T) {
	l := need(t)
	path := "PATH=/no/such:/etc/passwd:/opt:/opt/app/bin:/usr/bin"
	for _, who := range callers {
		for name, tt := range map[string]struct {
			words  string
			plan   flatPlan
			status int
		}{
			"state":                  {words: `show a 'b  c' ''`},
			"signals":                {words: `grep -e ^SigB -e ^SigI -e ^SigC -e ^ShdPnd /proc/self/status`},
			"limits":                 {words: `sh -c 'ulimit -f; ulimit -Hf; ulimit -n; ulimit -Hn; umask'`},
			"a directory first":      {words: `app`},
			"not executable first":   {words: `plain`, status: 126},
			"none":                   {words: `nosuch`, status: 127},
			"an empty word":          {words: `''`, status: 127},
			"no interpreter":         {words: `badscript`, status: 126},
			"another architecture":   {words: `wrongarch`, status: 126},
			"a directory":            {words: `/opt/app`, status: 126},
			"no working directory":   {words: `show`, plan: flatPlan{Workdir: "/no/such"}, status: 125},
			"a working directory":    {words: `show`, plan: flatPlan{Workdir: "/opt/app"}},
			"ends with what is gone": {words: `show`, plan: flatPlan{Parent: 1}, status: 125},
		} {
			t.Run(who.name+"/"+name, func(t *testing.T) {
				tt.plan.Entrypoint = option.None
				plan := config(tt.plan, path)
				// The fourth of a start's words is its plan; the container is made by one that
				// differs in nothing that is of the container.
				holder := l.cmd(t, start{who: who, plan: config(flatPlan{Entrypoint: option.None}, path), command: []string{"x"}})
				dir := open(t)
				got := l.run(t, start{who: who, plan: plan, env: step("1"), command: []string{}, limits: `
cd ` + dir + `; mkfifo in
"$1" ` + holder.Args[len(holder.Args)-2] + ` sh -c 'echo >up; read x' <in 2>&- & exec 9>in
while [ ! -e up ]; do sleep 0.01; done
cd /tmp; umask 027; ulimit -S -f 100; trap '' USR1 TERM; exec 7</dev/zero
for fd in $(seq 20 300); do eval "exec $fd</dev/zero"; done
for step in 1 2; do
	SLURM_STEP_ID=$step env --block-signal=USR2 "$@" ` + tt.words + ` 9>&- >` + dir + `/$step.out 2>` + dir + `/$step.err
	echo status $? >>` + dir + `/$step.err
done
exec 9>&-; wait
cat ` + dir + `/1.out ` + dir + `/1.err; grep -c 'joining the container' ` + dir + `/?.err >&2
for f in out err; do grep -v -e 'container: ' -e 'serves the image itself' -e SLURM_STEP_ID -e '^fd [012] ' ` + dir + `/2.$f | diff <(grep -v -e 'container: ' -e SLURM_STEP_ID -e '^fd [012] ' ` + dir + `/1.$f) - >&2; done
exit`})
				if want := dir + "/1.err:1\n" + dir + "/2.err:0\n"; got.stderr != want {
					t.Errorf("the one that joined and the one that did not differ:\n%s\nof the one that joined:\n%s", got.stderr, got.stdout)
				}
				if !strings.HasSuffix(got.stdout, fmt.Sprintf("status %d\n", tt.status)) {
					t.Errorf("want status %d; it said\n%s", tt.status, got.stdout)
				}
			})
		}
	}
	eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
}
