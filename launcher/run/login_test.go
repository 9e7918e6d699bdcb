package run_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// shells are the lab's images with a shell.
func (l *lab) shells(t *testing.T) map[string]string {
	t.Helper()
	if l.ash == "" {
		t.Log("there is no busybox here")
		return map[string]string{"bash": l.bash, "dash": l.sh}
	}
	return map[string]string{"bash": l.bash, "dash": l.sh, "ash": l.ash}
}

// profiled gives a plan's image other profiles: files by their path in /etc.
func profiled(t *testing.T, p flatPlan, files map[string]string) flatPlan {
	t.Helper()
	dir := shared(t)
	p.Mounts = slices.Clone(p.Mounts)
	for name, text := range files {
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p.Mounts = append(p.Mounts, option.Mount{Source: file, Target: "/etc/" + name})
	}
	return p
}

// debian is the /etc/profile of Debian, in short.
const debian = `PATH="/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
export PATH
if [ -d /etc/profile.d ]; then
for i in /etc/profile.d/*.sh; do
if [ -r $i ]; then . $i; fi
done
unset i
fi
`

// homeWith makes a home directory with shell files that set DOT, and PATH.
func homeWith(t *testing.T, names ...string) string {
	t.Helper()
	home := shared(t)
	for _, name := range names {
		text := fmt.Sprintf("DOT=$DOT%s; export DOT; PATH=$HOME/miniconda3/bin:$PATH\n", name)
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// A login shell reads nothing of the home unless it is asked to, and then after the image's
// profile.
func TestLoginReadsTheImagesFilesAlone(t *testing.T) {
	l := need(t)
	home := homeWith(t, ".bash_profile", ".bash_login", ".profile", ".bashrc", ".shrc")
	for name, image := range l.shells(t) {
		own := map[bool]string{true: ".bash_profile", false: ".profile"}[name == "bash"]
		for _, dotfiles := range []bool{false, true} {
			plan := config(flatPlan{SIF: image, MountHome: true, Dotfiles: dotfiles}, "PATH=/opt/app/bin:/usr/bin:/bin", "ENV=$HOME/.shrc")
			want, first := "=yes=\n", "/opt/app/bin"
			if dotfiles {
				want, first = own+"=yes=\n", home+"/miniconda3/bin"
			}
			const look = `echo "$DOT=$PROFILE_RAN="; echo ${PATH%%:*} $HOME`
			want += first + " " + home + "\n"
			env := []string{"HOME=" + home, "PATH=/usr/bin", "SSH_CLIENT=1", "SHLVL=1"}
			t.Run(fmt.Sprint(name, "/command/", dotfiles), func(t *testing.T) {
				got := l.run(t, start{who: unknown, plan: plan, env: env, command: []string{"sh", "-c", look}})
				if got.stdout != want || got.status != 0 {
					t.Errorf("printed %q, status %d, want %q; stderr %s", got.stdout, got.status, want, got.stderr)
				}
				if said := strings.Contains(got.stderr, home+"/"+own+"; --container-dotfiles") || strings.Contains(got.stderr, home+"/"+own+" "); said == dotfiles {
					t.Errorf("that the home's files are passed by is said: %v; stderr %s", said, got.stderr)
				}
			})
			t.Run(fmt.Sprint(name, "/standard input/", dotfiles), func(t *testing.T) {
				got := l.run(t, start{who: unknown, plan: plan, env: env, stdin: look + "\nexit 3\n"})
				if got.stdout != want || got.status != 3 {
					t.Errorf("printed %q, status %d, want %q; stderr %s", got.stdout, got.status, want, got.stderr)
				}
			})
			t.Run(fmt.Sprint(name, "/terminal/", dotfiles), func(t *testing.T) {
				x := l.shell(t, start{who: unknown, plan: plan, env: env})
				x.say(`echo "<$DOT=$PROFILE_RAN=${PATH%%:*}>"`, "<"+strings.TrimSuffix(want, "\n"+first+" "+home+"\n")+first+">")
				x.exit(4)
			})
		}
	}
}

// What a profile defines without exporting it is there in a shell that becomes interactive or reads
// standard input.
func TestProfileIsReadInTheShellItself(t *testing.T) {
	l := need(t)
	for name, image := range l.shells(t) {
		profile, look, rest := "unexported=here\nfunc() { echo called $#; }\nalias al='echo aliased'\nset -f\nset -- q w\n", "echo $unexported *; func a b; echo ${_hpc3_e-}; set | grep -c ^_hpc3; trap\n", ""
		want := "here *\ncalled 2\n\n0\n"
		if name == "bash" {
			profile += "declare -A map=([k]=v); declare -i n=4\nshopt -s extglob\n"
			look += "shopt -q login_shell extglob && echo ${map[k]} $n; declare -F | grep _hpc3; n+=1; echo $n $SHLVL\n"
			rest = "read -r line; echo \"[$line]\"\ndata for read\n"
			want += "v 4\n5 8\n"
		}
		plan := profiled(t, config(flatPlan{SIF: image}, "PATH=/opt/app/bin:/usr/bin:/bin"), map[string]string{"profile": debian, "profile.d/site.sh": profile})
		t.Run(name+"/standard input", func(t *testing.T) {
			got := l.run(t, start{who: unknown, plan: plan, stdin: look + rest + "exit 3\n", env: []string{"HOME=/", "SHLVL=7", "PATH=/usr/bin"}})
			if rest != "" { // dash and ash read ahead
				rest = "[data for read]\n"
			}
			if got.stdout != want+rest || got.status != 3 {
				t.Errorf("printed %q, status %d, want %q; stderr %s", got.stdout, got.status, want, got.stderr)
			}
		})
		t.Run(name+"/terminal", func(t *testing.T) {
			x := l.shell(t, start{who: unknown, plan: plan, env: []string{"HOME=/", "SHLVL=7", "PATH=/usr/bin", "TERM=dumb"}})
			x.say("al; func a b", "aliased")
			for line := range strings.SplitSeq(strings.TrimSuffix(look, "\n"), "\n") {
				x.say("echo; "+line, "") // the prompt may come behind what was typed ahead
			}
			x.say("echo e''nd", "end\r")
			for line := range strings.SplitSeq(strings.TrimSuffix(want, "\n"), "\n") {
				if !strings.Contains(x.seen, "\n"+line+"\r") {
					t.Errorf("no line %q; the terminal showed %q", line, x.seen)
				}
			}
			x.exit(6)
		})
	}
}

// A profile that ends the shell is named, and nothing is taken for success.
func TestProfileThatEndsTheShell(t *testing.T) {
	l := need(t)
	for name, image := range l.shells(t) {
		for what, tt := range map[string]struct{ profile, site, file string }{
			"exit 0":          {debian, "exit 0", "/etc/profile.d/site.sh"},
			"exit 3":          {debian, "cd /; exit 3", "/etc/profile.d/site.sh"},
			"set -e":          {debian, "set -e\nfalse", "/etc/profile.d/site.sh"},
			"set -u":          {debian, "set -u\n: $NO_SUCH", "/etc/profile.d/site.sh"},
			"exec":            {debian, "exec true", "/etc/profile.d/site.sh"},
			"exec, set apart": {debian, "f() { X=y command exec true; }; [ -z \"$PROFILE_RAN\" ] && f", "/etc/profile.d/site.sh"},
			"exec of nothing": {debian, "exec /no/such", "/etc/profile.d/site.sh"},
			"its own":         {debian + "exit 5", ":", "/etc/profile"},
			"its own exec":    {debian + "exec /bin/sh", "set -- q w", "/etc/profile"},
		} {
			if name != "bash" && what == "exec, set apart" {
				tt.site = "f() { exec true; }; [ -z \"$PROFILE_RAN\" ] && f"
			}
			plan := profiled(t, config(flatPlan{SIF: image}, "PATH=/opt/app/bin:/usr/bin:/bin"), map[string]string{"profile": tt.profile, "profile.d/site.sh": tt.site + "\n"})
			for how, s := range map[string]start{"command": {command: []string{"echo", "ran"}}, "standard input": {stdin: "echo ran\n"}} {
				t.Run(name+"/"+what+"/"+how, func(t *testing.T) {
					s.who, s.plan = unknown, plan
					got := l.run(t, s)
					if got.status != 125 || got.stdout != "" {
						t.Errorf("printed %q, status %d, want 125; stderr %s", got.stdout, got.status, got.stderr)
					}
					if !strings.Contains(got.stderr, "hpc3-run: error[exec]: reading the login profile: "+tt.file+" ") || !strings.Contains(got.stderr, "\nhpc3-run: hint: --container-entrypoint none") {
						t.Errorf("standard error does not name %s: %s", tt.file, got.stderr)
					}
				})
			}
		}
	}
}

// What only looks like the end of the shell is none, and a profile cannot change the command.
func TestProfileThatGoesOn(t *testing.T) {
	l := need(t)
	for name, image := range l.shells(t) {
		for _, site := range []string{
			"set -- q w", "set --; IFS=c; export IFS; unset IFS", "exec 7>&1; exec 7>&-", "(exec true)", "x=$(exec echo hi)", "[ -n \"$NO_SUCH\" ] && exec true", "false", "set -e", "set -eu -f -a",
			"alias exec=echo trap=echo set=echo unset=echo", "return 3", "trap 'echo leaving' EXIT", "echo exec zsh >/dev/null", "cd /usr", "unset PATH", "PATH=",
			"set -eu; false || true",
		} {
			plan := profiled(t, config(flatPlan{SIF: image}, "PATH=/opt/app/bin:/usr/bin:/bin"), map[string]string{"profile": debian, "profile.d/site.sh": site + "\n"})
			leaving := map[bool]string{true: "leaving\n"}[strings.Contains(site, "leaving") && name != "dash"] // which shows its traps to nobody
			t.Run(name+"/"+site, func(t *testing.T) {
				got := l.run(t, start{who: unknown, plan: plan, command: []string{"env", "-i", "sh", "-c", `echo "$0|$@"`, "a b", "c", "*"}})
				if got.stdout != "a b|c *\n" || got.status != 0 {
					t.Errorf("printed %q, status %d; stderr %s", got.stdout, got.status, got.stderr)
				}
				got = l.run(t, start{who: unknown, plan: plan, stdin: "echo ran\nexit 3\n"})
				if got.stdout != "ran\n"+leaving || got.status != 3 {
					t.Errorf("a shell printed %q, status %d; stderr %s", got.stdout, got.status, got.stderr)
				}
			})
		}
		if name != "bash" {
			continue // no other shell lets a function be called like a builtin
		}
		site := "exec() { echo no; }; trap() { echo no; }; type() { echo no; }; set() { echo no; }; unset() { echo no; }; shopt() { echo no; }"
		plan := profiled(t, config(flatPlan{SIF: image}), map[string]string{"profile": debian, "profile.d/site.sh": site + "\n"})
		got := l.run(t, start{who: unknown, plan: plan, command: []string{"whoami"}})
		if got.stdout != "no\nuser54321\n" || got.status != 0 { // the profile calls its own unset
			t.Errorf("with functions called like builtins: printed %q, status %d; stderr %s", got.stdout, got.status, got.stderr)
		}
	}
}

// The order of PATH: what the profile adds, what ENV has, what else the profile has.
func TestPathOrder(t *testing.T) {
	l := need(t)
	const standard = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for what, tt := range map[string]struct {
		env, profile, want string
		set                []string
	}{
		"conda and Debian":        {env: "/opt/conda/bin:" + standard, profile: debian, want: "/usr/local/games:/usr/games:/opt/conda/bin:" + standard},
		"conda, no games":         {env: "/opt/conda/bin:/usr/bin:/bin", profile: "PATH=/usr/local/bin:/usr/bin:/bin", want: "/opt/conda/bin:/usr/bin:/bin:/usr/local/bin"},
		"a profile that prepends": {env: "/opt/conda/bin:/usr/bin:/bin", profile: "PATH=/opt/site/bin:$PATH", want: "/opt/site/bin:/opt/conda/bin:/usr/bin:/bin"},
		"a profile that appends":  {env: "/opt/conda/bin:/usr/bin:/bin", profile: "PATH=$PATH:/opt/site/bin", want: "/opt/site/bin:/opt/conda/bin:/usr/bin:/bin"},
		"several":                 {env: "/opt/b:/opt/a:/usr/bin:/bin", profile: "PATH=/s1:/s2:/usr/bin:/s3", want: "/s1:/s2:/s3:/opt/b:/opt/a:/usr/bin:/bin"},
		"no profile":              {env: "/opt/b:/opt/a:/usr/bin:/bin", profile: "", want: "/opt/b:/opt/a:/usr/bin:/bin"},
		"ENV's order":             {env: "/bin:/usr/bin:/opt/a", profile: debian, want: "/usr/local/games:/usr/games:/bin:/usr/bin:/opt/a:/usr/local/bin"},
		"prepended by both":       {env: "/opt/a:/usr/bin", profile: "PATH=/usr/bin:/opt/a:/opt/new", want: "/opt/new:/opt/a:/usr/bin"},
		"no ENV":                  {profile: "PATH=/opt/site/bin:$PATH", want: "/opt/site/bin:" + standard},
		"no ENV, Debian":          {profile: debian, want: "/usr/local/games:/usr/games:/usr/local/bin:/usr/bin:/bin"},
		"no ENV, no profile":      {profile: "", want: standard},
		"Red Hat":                 {env: "/opt/conda/bin:" + standard, profile: "pathmunge () { case \":$PATH:\" in *:\"$1\":*) ;; *) if [ \"$2\" = after ]; then PATH=$PATH:$1; else PATH=$1:$PATH; fi; esac; }\npathmunge /usr/local/sbin after; pathmunge /opt/rh/bin; unset -f pathmunge", want: "/opt/rh/bin:/opt/conda/bin:" + standard},
		"Alpine":                  {env: "/opt/x:" + standard, profile: "export PATH=" + standard, want: "/opt/x:" + standard},
		"not exported":            {env: "/opt/x:/usr/bin", profile: "unset PATH; PATH=/opt/y:/bin", want: "/opt/y:/opt/x:/usr/bin:/bin"},
		"unset":                   {env: "/opt/x:/usr/bin", profile: "unset PATH", want: "/opt/x:/usr/bin"},
		"empty entries, twice":    {env: ":/opt/x::/usr/bin:", profile: "PATH=::/opt/y:/opt/y:/bin:$PATH:", want: "/opt/y:/opt/x:/usr/bin:/bin"},
		"odd names":               {env: "/opt/it's *:/usr/bin", profile: "PATH='/a b:/$x:/?':$PATH", want: "/a b:/$x:/?:/opt/it's *:/usr/bin"},
		"-e":                      {env: "/opt/x:/usr/bin", profile: debian, set: []string{"PATH=/usr/bin:/mine"}, want: "/usr/bin:/mine"},
	} {
		plan := config(flatPlan{SetEnv: tt.set}, "X=y")
		if tt.env != "" {
			plan.Config.Env = []string{"PATH=" + tt.env}
		}
		plan = profiled(t, plan, map[string]string{"profile": tt.profile + "\n"})
		for name, image := range l.shells(t) {
			t.Run(what+"/"+name, func(t *testing.T) {
				plan := plan
				plan.SIF = image
				got := l.run(t, start{who: unknown, plan: plan, command: []string{"/usr/bin/env", "sh", "-c", `echo "$PATH"`}})
				if got.stdout != tt.want+"\n" {
					t.Errorf("PATH of a command is %q, want %q; stderr %s", got.stdout, tt.want, got.stderr)
				}
				got = l.run(t, start{who: unknown, plan: plan, stdin: `echo "$PATH"; sh -c 'echo "$PATH"'`})
				if got.stdout != tt.want+"\n"+tt.want+"\n" && !strings.HasPrefix(got.stdout, tt.want+"\n") {
					t.Errorf("PATH of a shell is %q, want %q; stderr %s", got.stdout, tt.want, got.stderr)
				}
			})
		}
	}
}

// A command sees the same variables in every mode, but for what a shell adds.
func TestSameVariablesInEveryMode(t *testing.T) {
	l := need(t)
	env := []string{"PATH=/opt/app/bin:/usr/bin:/bin", "a.b=it's", "a-b=two\nlines", "1x=", "IFS=x", "PS1=mine> ", "PS4=+", "OPTIND=7", "RANDOM=4", "BASH_FUNC_f%%=() { echo f; }", "UID=77", "EMPTY=", "LINENO=3"}
	for _, level := range []string{"SHLVL=3", "SHLVL=0", "SHLVL=odd", ""} {
		for name, image := range l.shells(t) {
			t.Run(name+"/"+level, func(t *testing.T) {
				caller := []string{"HOME=/", "FROM.HOST=x", "PATH=/bin"}
				if level != "" {
					caller = append(caller, level)
				}
				var seen [2][]string
				for i, mode := range []option.Entrypoint{option.None, option.Login} {
					plan := profiled(t, config(flatPlan{SIF: image, Entrypoint: mode}, env...), map[string]string{"profile": ""})
					got := l.run(t, start{who: unknown, plan: plan, env: caller, command: []string{"env", "-0"}})
					seen[i] = slices.DeleteFunc(strings.Split(got.stdout, "\x00"), func(e string) bool {
						return e == "" || strings.HasPrefix(e, "PWD=") || strings.HasPrefix(e, "OLDPWD=") || strings.HasPrefix(e, "_=")
					})
					slices.Sort(seen[i])
				}
				if diff := cmp.Diff(seen[0], seen[1]); diff != "" || len(seen[0]) < len(env) {
					t.Errorf("mode none (-) and login (+) differ:\n%s", diff)
				}
			})
		}
	}
}
