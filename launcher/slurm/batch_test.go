package slurm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCuts(t *testing.T) {
	cut := func(line int, option, read, written string) []Cut { return []Cut{{line, option, read, written}} }
	for _, tt := range []struct {
		name, script string
		want         []Cut
	}{
		{"an image", "#!/bin/sh\n#SBATCH --container=h:5000#a/b:1\n", cut(2, "container", "h:5000", "h:5000#a/b:1")},
		{"a word of its own", "#!/bin/sh\n#SBATCH -N 2 --container h:5000#a/b:1 -n 4\n", cut(2, "container", "h:5000", "h:5000#a/b:1")},
		{"behind others, and a comment", "#SBATCH -n1 --container-env=A=#1 # one\n", cut(1, "container-env", "A=", "A=#1")},
		{"nothing is left", "#SBATCH --container-env=#1\n", cut(1, "container-env", "", "#1")},
		{"no line break", "#SBATCH --container=nvcr.io#a", cut(1, "container", "nvcr.io", "nvcr.io#a")},
		{"several lines", "#SBATCH --container=a#b\n\n# none\n  # none\n#SBATCH --x=y#z\n", []Cut{{1, "container", "a", "a#b"}, {5, "x", "y", "y#z"}}},
		{"a component", "#SBATCH -n1\n#SBATCH hetjob --container=a#b\n", cut(2, "container", "a", "a#b")},
		{"partly quoted", "#SBATCH --x='a b'#c\n", cut(1, "x", "a b", "'a b'#c")},
		{"quoted", "#SBATCH --container=\"a#b\" --x='c#d' \"--y=e#f\"\n", nil},
		{"with a backslash", "#SBATCH --container=a\\#b\n", nil},
		{"a comment", "#SBATCH --container=a # b\n#SBATCH --container=a# b\n#SBATCH # --container=a#b\n#SBATCH --container=a#\n", nil},
		{"no option", "#SBATCH a#b\n#SBATCH --container#b\n#SBATCH --x=y a#b\n#SBATCH -pa#b\n", nil},
		{"below a command", "#!/bin/sh\necho\n#SBATCH --container=a#b\n", nil},
		{"no line of sbatch's", "# SBATCH --container=a#b\n##SBATCH --container=a#b\n#sbatch --container=a#b\n", nil},
		{"an open quote", "#SBATCH --container=\"a#b\n", nil},
		{"nothing", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Cuts(tt.script)); diff != "" {
				t.Errorf("Cuts(%q) differs (-want +got):\n%s", tt.script, diff)
			}
		})
	}
}

func FuzzCuts(f *testing.F) {
	f.Add("#SBATCH --container=h:5000#a/b:1 # x\n#SBATCH --y \"a#b\" 'c\n")
	f.Fuzz(func(t *testing.T, script string) {
		for _, c := range Cuts(script) {
			if c.Line < 1 || c.Option == "" || c.Written == "" {
				t.Errorf("Cuts(%q) finds %+v", script, c)
			}
		}
	})
}
