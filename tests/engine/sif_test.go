package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestSIFIsApptainersOwn holds our SIF against the one that Apptainer builds of the same image:
// plain apptainer does the same with both. If they differ, the table says what ours does.
func TestSIFIsApptainersOwn(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	lab.CopyTo(t, lab.Script(t, "login-image"), filepath.Join(l.Work, "layout"))
	p := lab.Persons()[0]
	for _, args := range [][]string{
		{"hpc3", "pull", "-q", "oci:/lab/layout", "-o", "ours.sif"},
		{"apptainer", "-q", "build", "theirs.sif", "oci:/lab/layout"},
	} {
		if out, err := l.Command(p, "apptainer", args...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	for _, tt := range []struct {
		name   string
		args   []string // SIF stands for the file
		want   string   // stdout of ours
		status int
		stdin  string
		other  string // stdout of theirs, where it differs
	}{
		{name: "run, the image's CMD", args: []string{"run", "SIF"}},
		{name: "run", args: []string{"run", "SIF", "echo", "A", "B"}, want: "A B\n"},
		{name: "run, a status", args: []string{"run", "SIF", "sh", "-c", "exit 7"}, status: 7},
		{name: "run, arguments", args: []string{"run", "SIF", "printf", "[%s]", "a", "", "b c", "*", "$((1+1))"}, want: "[a][][b c][*][$((1+1))]", other: "[a][][b c][*][2]"},
		{name: "run --no-eval, arguments", args: []string{"run", "--no-eval", "SIF", "printf", "[%s]", "a", "", "b c", "*", "$((1+1))"}, want: "[a][][b c][*][$((1+1))]"},
		{name: "exec, arguments", args: []string{"exec", "SIF", "printf", "[%s]", "a", "", "b c", "*", "$HOME"}, want: "[a][][b c][*][$HOME]"},
		{name: "exec, the image's PATH and variables", args: []string{"exec", "SIF", "sh", "-c", "echo $PATH $APP_HOME"}, want: "/opt/extra/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /opt/app\n"},
		{name: "exec, a variable with quotes", args: []string{"exec", "SIF", "printenv", "ODD"}, want: "a 'b' \"c\" $d\n", other: "a 'b' \\\"c\\\" \\\n"},
		{name: "exec --env", args: []string{"exec", "--env", "APP_HOME=/x", "SIF", "printenv", "APP_HOME"}, want: "/x\n"},
		{name: "shell", args: []string{"shell", "SIF"}, stdin: "echo $0 $APP_HOME; exit 3", want: "/bin/bash /opt/app\n", status: 3},
		{name: "test", args: []string{"test", "SIF"}, other: "No test found in container, executing /bin/sh -c true\n"},
		{
			name: "files", args: []string{"exec", "SIF", "sh", "-c", "cd / && ls -A /usr/share/gone /usr/share/common-licenses 2>/dev/null; readlink environment singularity .exec .run .shell .test; ls .singularity.d/actions; ls .singularity.d/env | grep -v apps"},
			want: "/usr/share/gone:\n.singularity.d/env/90-environment.sh\n.singularity.d/runscript\n.singularity.d/actions/exec\n.singularity.d/actions/run\n.singularity.d/actions/shell\n.singularity.d/actions/test\n" +
				"exec\nrun\nshell\nstart\ntest\n01-base.sh\n10-docker2singularity.sh\n90-environment.sh\n99-base.sh\n99-runtimevars.sh\n",
		},
		{name: "a user", args: []string{"exec", "--contain", "SIF", "id", "-un"}, want: "tester\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, sif := range []string{"ours.sif", "theirs.sif"} {
				want := tt.want
				if sif == "theirs.sif" && tt.other != "" {
					want = tt.other
				}
				cmd := l.Command(p, "apptainer", append([]string{"apptainer", "-q"}, replaced(tt.args, "SIF", sif)...)...)
				var out, errs bytes.Buffer
				cmd.Stdin = strings.NewReader(tt.stdin)
				cmd.Stdout, cmd.Stderr = &out, &errs
				_ = cmd.Run() // the status is looked at
				if got := cmd.ProcessState.ExitCode(); out.String() != want || got != tt.status {
					t.Errorf("apptainer %q = %q, status %d; want %q, status %d; stderr:\n%s", replaced(tt.args, "SIF", sif), out.String(), got, want, tt.status, errs.String())
				}
			}
		})
	}
	// Apptainer keeps part of a config under the name that ours has. Its scripts have all of it.
	for _, sif := range []string{"ours.sif", "theirs.sif"} {
		out, errs, status := l.Run(p, "native", sif, "printenv", "APP_HOME", "PATH")
		if want := "/opt/app\n/opt/app/bin:/usr/local/games:/usr/games:/opt/extra/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"; out != want || status != 0 {
			t.Errorf("hpc3-run %s = %q, status %d, %s; want %q", sif, out, status, errs, want)
		}
	}
	for _, args := range [][]string{
		{"sif", "list", "ours.sif", "FS (Squashfs/*System/amd64)"},
		{"inspect", "--labels", "ours.sif", "org.opencontainers.image.title: login\n"},
		{"inspect", "--runscript", "ours.sif", `exec '/bin/bash' '--rcfile' '/etc/profile' '-l' '-c' 'exec "$@"' '--' "$@"`},
		{"inspect", "--environment", "ours.sif", "APP_HOME='/opt/app'"},
	} {
		want := args[len(args)-1]
		out, err := l.Command(p, "apptainer", append([]string{"apptainer", "-q"}, args[:len(args)-1]...)...).Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("apptainer %q does not show %q: %v\n%s", args[:len(args)-1], want, err, out)
		}
	}
}

// TestSIFWithOverlay: Apptainer lays an overlay partition over the image of a SIF, and hpc3's own
// engine does not pass it by in silence.
func TestSIFWithOverlay(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.In(t, lab.Script(t, "sid-root"), lab.Script(t, "parity-images"))
	lab.CopyTo(t, l.Image, filepath.Join(l.Work, "layout"))
	p := lab.Persons()[0]
	make := `hpc3 pull -q oci:/lab/layout:bash -o over.sif && mkdir over && echo added >over/added && mksquashfs over over.sqfs -quiet &&
apptainer -q sif add --datatype 4 --partfs 1 --parttype 4 --partarch 2 --groupid 1 over.sif over.sqfs`
	if out, err := l.Command(p, "apptainer", "sh", "-c", make).CombinedOutput(); err != nil {
		t.Fatalf("making a SIF with an overlay: %v\n%s", err, out)
	}
	if stdout, stderr, status := l.Run(p, "apptainer", "./over.sif", "cat", "/added"); stdout != "added\n" || status != 0 {
		t.Errorf("through Apptainer: %q, status %d; stderr:\n%s", stdout, status, stderr)
	}
	for _, engine := range []string{"native", "auto"} {
		args := []string{"--engine", engine, "./over.sif", "cat", "/added"}
		if engine == "auto" { // what Apptainer cannot do is not for hpc3's own engine then
			args = append([]string{"-B", "/usr/sbin:/srv/data:noexec"}, args...)
		}
		_, stderr, status := l.Run(p, engine, args...)
		if want := map[string]string{"native": "overlay partition", "auto": "noexec"}[engine]; status != 125 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, and no word of %s; stderr:\n%s", engine, status, want, stderr)
		}
	}
}

// TestDoctorReadsApptainersSettings: doctor tells what the site keeps Apptainer from.
func TestDoctorReadsApptainersSettings(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.In(t, lab.Script(t, "sid-root"), "")
	for lines, want := range map[string]string{
		"": "/usr/bin/apptainer\n", `mount tmp = no\nallow container sif = no\n`: "says allow container sif = no: Apptainer runs no SIF; mount tmp = no: ",
	} {
		call := `{ printf '` + lines + `'; cat /etc/apptainer/apptainer.conf; } >conf; APPTAINER_CONFIG_FILE=$PWD/conf hpc3 doctor`
		out, err := l.Command(lab.Persons()[0], "apptainer", "sh", "-c", call).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("doctor under %q does not say %q: %v\n%s", lines, want, err, out)
		}
	}
}

func replaced(words []string, from, to string) []string {
	list := make([]string, len(words))
	for i, w := range words {
		if list[i] = w; w == from {
			list[i] = to
		}
	}
	return list
}
