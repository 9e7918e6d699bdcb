package run_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// Whatever the node's user database says, or does, the command has a name.
func TestNamesOfTheNode(t *testing.T) {
	l := need(t)
	dir := shared(t)
	getent := func(script string) string { // plays the node's name service
		file := filepath.Join(shared(t), "getent")
		if err := os.WriteFile(file, []byte("#!/bin/bash\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		return "mount --bind " + file + " /usr/bin/getent\n"
	}
	members := "big:x:90000:" + strings.Repeat("somebody,", 20000) + "\nwanted:x:54321:somebody\n"
	if err := os.WriteFile(filepath.Join(dir, "group"), []byte(members), 0o644); err != nil {
		t.Fatal(err)
	}
	const (
		made    = "user54321:x:54321:54321::/nonexistent:/bin/bash\n"
		noGroup = "group54321:x:54321:\n"
		groups  = `exec setpriv --reuid 54321 --regid 54321 --groups $(seq -s, 70001 70300) -- "${@:8}"`
	)
	many := ""
	for gid := 70001; gid <= 70300; gid++ {
		many += fmt.Sprintf("group%d:x:%d:\n", gid, gid)
	}
	for _, tt := range []struct{ name, before, want string }{
		{"name service hangs", getent("exec sleep 1000"), made + noGroup},
		{"name service hangs and heeds no signal", getent("trap '' TERM INT; sleep 20 & wait"), made + noGroup},
		{"name service missing", "mount --bind /dev/null /usr/bin/getent\n", made + noGroup},
		{"name service talks nonsense", getent("echo nonsense; echo ::; echo; head -c 200000 /dev/zero"), made + noGroup},
		{"name service only", getent(`[ $1 = passwd ] && echo 'DOM\jane@site:*:54321:54321:Jane, of: physics:/h:/bin/zsh' || echo 'physics@site:*:54321:jane,joe'`), `DOM\jane@site:x:54321:54321:Jane, of:/nonexistent:/bin/bash` + "\nphysics@site:x:54321:\n"},
		{"a group with many members", "mount --bind " + dir + "/group /etc/group\n", made + "wanted:x:54321:\n"},
		{"300 groups", groups, made + noGroup + many},
		{"300 groups, some known", getent("[ $1 = passwd ] || { echo seven:x:70001:; exit 2; }") + groups, made + noGroup + strings.Replace(many, "group70001:", "seven:", 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := l.run(t, start{who: unknown, plan: config(flatPlan{}), command: []string{"grep", "-hE", `54321|:x:70[0-3]..:`, "/etc/passwd", "/etc/group"}, before: tt.before})
			if diff := cmp.Diff(tt.want, got.stdout); diff != "" || got.status != 0 {
				t.Errorf("status %d, differs (-want +got):\n%s\nstderr: %s", got.status, diff, got.stderr)
			}
		})
	}
	got := l.run(t, start{who: unknown, plan: config(flatPlan{}), command: []string{"sh", "-c", `printf '%s\n' "$USER" "$LOGNAME"; whoami`}, before: getent(`echo 'DOM\jane@site:*:54321:54321::/h:/bin/zsh'`)})
	if want := strings.Repeat(`DOM\jane@site`+"\n", 3); got.stdout != want {
		t.Errorf("the names are %q, want %q; stderr %s", got.stdout, want, got.stderr)
	}
}

// All that the kernel knows of a process is as it would be without hpc3.
func TestProcessIsTheCallers(t *testing.T) {
	l := need(t)
	const (
		setup = `echo 500 >/proc/self/oom_score_adj; umask 0137; ulimit -Sn 300; ulimit -c 0; ulimit -Ss 4096; ulimit -Sl 32; ulimit -Ht 50000; ulimit -Sf 100000
exec nice -n 5 chrt --batch 0 taskset -c 0 ionice -c 3 env --ignore-signal=USR1,QUIT,PIPE,RTMIN+3,STKFLT,PROF,SYS,RTMAX-1 --block-signal=CHLD,USR2,PROF,SEGV,RTMIN+2,WINCH,RTMAX "$@"`
		look = `cat /proc/$$/limits /proc/$$/oom_score_adj /proc/$$/cgroup; grep -E '^(Umask|SigIgn|Cpus_allowed|Mems_allowed|Speculation)' /proc/$$/status
read -r line </proc/$$/stat; set -- ${line##*) }; echo group $3 session $4 terminal $5 nice ${17} policy ${39}; ls /sys/fs/cgroup`
	)
	for _, who := range callers {
		// A shell forgets blocked signals, so that grep is asked too, without one.
		for _, command := range [][]string{{"sh", "-c", look}, {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}} {
			t.Run(who.name+"/"+command[0], func(t *testing.T) {
				s := start{who: who, plan: config(flatPlan{Entrypoint: option.None}), command: command, limits: setup}
				outside := l.cmd(t, s)
				at := slices.Index(outside.Args, l.program)
				outside.Args = slices.Replace(outside.Args, at, at+2, "env") // in the place of hpc3-run and its plan
				want, err := outside.Output()
				if err != nil || !strings.Contains(string(want), "SigIgn:") {
					t.Fatalf("outside: %s, %v", want, err)
				}
				got := l.run(t, s)
				if diff := cmp.Diff(string(want), got.stdout); diff != "" || got.status != 0 {
					t.Errorf("status %d; differs from outside (-want +got):\n%s\nstderr: %s", got.status, diff, got.stderr)
				}
			})
		}
	}
}

// What a node, a home or a working directory may be like without standing in the way of a start.
func TestStrangeNodes(t *testing.T) {
	l := need(t)
	home := data(t)
	strange := filepath.Join(home, "a b\n'c\"$(id)")
	if err := errors.Join(os.Mkdir(strange, 0o755), os.WriteFile(filepath.Join(strange, "mine"), nil, 0o644), os.Chown(strange, unknown.uid, unknown.uid)); err != nil {
		t.Fatal(err)
	}
	// The lab is seen at its place in a file system that is full.
	full := "mount -t tmpfs -o size=64k,mode=1777 x /mnt; mkdir /mnt/" + filepath.Base(l.dir) + "; mount --bind " + l.dir + " /mnt/" + filepath.Base(l.dir) +
		"; dd if=/dev/zero of=/mnt/fill bs=64k count=2 2>/dev/null || true; mount --rbind /mnt /tmp"
	etc := func(line string) string {
		return "mount -t tmpfs x /mnt; cp -a /etc/passwd /etc/group /mnt; " + line + "; mount --bind /mnt /etc"
	}
	for _, tt := range []struct {
		name, before, limits string
		plan                 flatPlan
		env                  []string
		command, want        string
	}{
		{name: "HOME with blanks, quotes and a line break", plan: flatPlan{MountHome: true}, env: []string{"HOME=" + strange}, command: `ls "$HOME"; cd; ls; grep -c ^user54321: /etc/passwd`, want: "mine\nmine\n1\n"},
		{name: "HOME read-only", plan: flatPlan{MountHome: true}, env: []string{"HOME=" + home}, before: "mount --bind -o ro " + home + " " + home, command: `cat "$HOME/file"; touch "$HOME/no" 2>/dev/null || echo refused`, want: "data\nrefused\n"},
		{name: "HOME of another", plan: flatPlan{MountHome: true}, env: []string{"HOME=/root"}, before: "chmod 700 /root", command: "echo $HOME", want: "/root\n"},
		{name: "working directory not readable", limits: "cd " + home + "; mkdir -p dark; cd dark; chmod 300 .", command: "readlink /proc/self/cwd; echo >new && echo made", want: home + "/dark\nmade\n"},
		{name: "working directory not to be entered", limits: "cd " + home + "; mkdir -p shut; cd shut; chmod 0 .", command: "readlink /proc/self/cwd", want: "/\n"},
		{name: "working directory below one not to be entered", limits: "cd " + home + "; mkdir -p top/sub; cd top/sub; chmod 0 ..", command: "readlink /proc/self/cwd", want: home + "/top/sub\n"},
		{name: "full /tmp", before: full, command: "echo x 2>/dev/null >/tmp/no || echo full", want: "full\n"},
		{name: "hidden processes", before: "mount -t proc -o hidepid=2 proc /proc", command: "ls -d /proc/1 2>/dev/null; grep -c ^Pid: /proc/self/status", want: "1\n"},
		{name: "dangling resolv.conf", before: etc("ln -s ../run/no/such /mnt/resolv.conf; ln -s /no/such /mnt/hosts"), command: "grep -c ' /etc/' /proc/self/mountinfo; readlink /etc/resolv.conf", want: "0\n../run/systemd/resolve/stub-resolv.conf\n"},
		{name: "resolv.conf through a symlink", before: etc("ln -s passwd /mnt/resolv.conf"), command: "grep -c ^root: /etc/resolv.conf", want: "1\n"},
		{name: "no /etc of the node", before: "mount -t tmpfs x /etc", command: "whoami", want: "user54321\n"},
		{name: "shared memory", before: "rm -f /dev/shm/hpc3-test; echo shared >/dev/shm/hpc3-test; chmod 644 /dev/shm/hpc3-test", command: "cat /dev/shm/hpc3-test", want: "shared\n"},
		{name: "no descriptors at all", limits: "exec <&- >&- 2>&-", command: "echo >" + home + "/proof", want: ""},
		{name: "little address space", limits: "ulimit -v 2000000", command: "echo ok", want: "ok\n"},
		{name: "few descriptors", limits: "ulimit -n 64", command: "ulimit -n", want: "64\n"},
		{name: "no core, no locked memory", limits: "ulimit -c 0; ulimit -l 0", command: "echo ok", want: "ok\n"},
		{name: "small files, softly", limits: "ulimit -Sf 1", command: "ulimit -Sf", want: "1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.plan.HasConfig = true
			got := l.run(t, start{who: unknown, plan: tt.plan, env: tt.env, before: tt.before, limits: tt.limits, command: []string{"bash", "-c", tt.command}})
			if got.stdout != tt.want || got.status != 0 && !strings.Contains(tt.command, "2>/dev/null") {
				t.Errorf("printed %q, status %d, want %q; stderr %s", got.stdout, got.status, tt.want, got.stderr)
			}
		})
	}
	t.Cleanup(func() { os.Remove("/dev/shm/hpc3-test") })
	if _, err := os.Stat(filepath.Join(home, "proof")); err != nil {
		t.Errorf("without descriptors the command did not run: %v", err)
	}
}

// An image without directories gets what it needs, and one whose /etc is a symlink too.
func TestPoorImages(t *testing.T) {
	l := need(t)
	show := host(filepath.Join(l.dir, "show"))
	for name, image := range map[string]tree{
		"a program only": {"show": show},
		"etc a symlink":  {"show": show, "etc": link("usr/etc"), "usr/etc/passwd": private("root:x:0:0::/:/bin/sh")},
		"etc dangles":    {"show": show, "etc": link("/no/such/place")},
		"no write bits":  {"show": show, "etc/passwd": file{content: "root:x:0:0::/:/bin/sh", mode: 0o400}, "etc/group": file{content: "", mode: 0o444}, "etc/hosts": file{mode: 0o400}},
	} {
		for _, who := range callers {
			t.Run(name+"/"+who.name, func(t *testing.T) {
				var sif string
				if err := l.image(&sif, filepath.Base(shared(t))+".sqfs", image); err != nil {
					t.Fatal(err)
				}
				plan := config(flatPlan{SIF: sif})
				got := l.run(t, start{who: who, plan: plan, command: []string{"/show", "/etc/passwd", "/etc/group", "/etc/hosts", "/tmp", "/dev/null", "/proc/self/exe"}})
				if got.status != 0 || !strings.Contains(got.stdout, "arg 1 ") {
					t.Errorf("status %d, stdout %s, stderr %s", got.status, got.stdout, got.stderr)
				}
			})
		}
	}
}

// A node that forbids what the engine needs is told from one where something broke, and a cure is
// named.
func TestForbidden(t *testing.T) {
	l := need(t)
	filter := filepath.Join(shared(t), "filter")
	if out, err := exec.Command("gcc", "-o", filter, "testdata/filter.c").CombinedOutput(); err != nil {
		t.Skipf("no C compiler: %v %s", err, out)
	}
	// A user namespace with its own sysctl, where all users are who they are; who enters it has no
	// power in it before its users are told.
	const nested = `unshare --user /bin/bash -c 'until read -r line </proc/self/uid_map; do sleep 0.01; done
exec /bin/bash -c "echo 0 >/proc/sys/user/max_user_namespaces && exec \"\$@\"" "$0" "$@"' sh "$@" &
until echo "0 0 65536" >/proc/$!/gid_map && echo "0 0 65536" >/proc/$!/uid_map; do sleep 0.01; done 2>/dev/null
wait $!`
	for _, tt := range []struct {
		name, before, limits string
		want                 []string
	}{
		{"no user namespaces by sysctl", nested, "", []string{"making a user namespace: this node allows none\n", "hint: as root: sysctl -w user.max_user_namespaces=", "setuid starter"}},
		{"unshare forbidden", "", "exec " + filter + ` unshare "$@"`, []string{"making a user and mount namespace: operation not permitted\n", "a chroot, and some containers, forbid it"}},
		{"mount forbidden", "", "exec " + filter + ` mount "$@"`, []string{"making a root for the container: operation not permitted\n", "hint: "}},
		{"pivot_root forbidden", "", "exec " + filter + ` pivot_root "$@"`, []string{"making a root for the container: operation not permitted\n", "hint: "}},
		{"small files", "", "ulimit -f 0", []string{"file too large", "hint: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := l.run(t, start{who: unknown, plan: config(flatPlan{}), command: []string{"true"}, before: tt.before, limits: tt.limits})
			if got.status != 125 || got.stdout != "" {
				t.Errorf("status %d, want 125; stdout %s", got.status, got.stdout)
			}
			for _, want := range append(tt.want, "hpc3-run: error[engine]: ") {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("no %q in %s", want, got.stderr)
				}
			}
			eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
		})
	}
}

// A SIF that is cut short under a running command gives that command errors, not a wait without
// end.
func TestImageCutShortWhileItRuns(t *testing.T) {
	l := need(t)
	raw, err := os.ReadFile(l.bash)
	if err != nil {
		t.Fatal(err)
	}
	sif := filepath.Join(shared(t), "cut.sqfs")
	if err := os.WriteFile(sif, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	x := l.shell(t, start{who: unknown, plan: config(flatPlan{SIF: sif})})
	if err := os.Truncate(sif, 4096); err != nil {
		t.Fatal(err)
	}
	x.say("read -r line </opt/app/bin/app || echo fail''ed", "failed")
	x.say("show; echo sta''tus", "status")
	x.exit(3)
	eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
}
