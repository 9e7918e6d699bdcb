package habit_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/launcher/option"
)

func TestTranslate(t *testing.T) {
	for _, tt := range []struct{ typed, want string }{
		{"--bind /a:/b,/c img cmd", "hpc3-run -B /a:/b,/c img cmd"},
		{"--bind=/a:/b:ro img", "hpc3-run -B /a:/b:ro img"},
		{"--volume /a:/b:rw,Z,noexec img", "hpc3-run -B /a:/b:rw+noexec img"},
		{"-v /a:/b -v img", "hpc3-run -B /a:/b -v img"},
		{"--volume named:/b img", ""},
		{"--mount type=bind,src=/a,dst=/b,ro img", "hpc3-run -B /a:/b:ro img"},
		{"--mount /a:/b img", "hpc3-run -B /a:/b img"},
		{"--mount type=volume,src=a,dst=/b img", ""},
		{"--env A=x,y,B=z img", "hpc3-run -e A=x,y -e B=z img"},
		{"--env A=$B img", "hpc3-run -e 'A=$B' img"},
		{"--pid img", "hpc3-run img"},
		{"--pid host img", "hpc3-run img"},
		{"--network=none --ipc private img", "hpc3-run img"},
		{"--nv --engine native --rm -w /d img a", "hpc3-run --engine native -w /d img a"},
		{"--privileged img", ""},
		{"--frobnicate img", ""},
		{"--nv", ""},
		{"--nv -- img", "hpc3-run -- img"},
		{"-H /h:/x img", "hpc3-run -B /h -e HOME=/h img"},
	} {
		if got := habit.Translate(strings.Fields(tt.typed)); got.Line != tt.want {
			t.Errorf("Translate(%s) = %q, want %q; %q", tt.typed, got.Line, tt.want, got.Hints)
		}
	}
}

// No name stands twice, of which the second would never be found.
func TestNamesAreFoundOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range habit.Options {
		for _, n := range o.Names {
			if seen[n] || !strings.HasPrefix(n, "-") {
				t.Errorf("the option %s is there twice, or has no dash", n)
			}
			seen[n] = true
		}
		if o.Hint() == "" {
			t.Errorf("nothing is said of %v", o.Names)
		}
	}
	for _, c := range habit.Commands {
		for _, n := range c.Names {
			if seen[n] || habit.FindCommand(n) == nil || c.Hint(n, nil) == "" {
				t.Errorf("the command %s is there twice, or nothing is said of it", n)
			}
			seen[n] = true
		}
	}
}

// What is to be written here is an option of hpc3-run, of hpc3 pull or of both programs.
func TestOursAreOptions(t *testing.T) {
	others := []string{"o", "version", "help", "all", "authfile", "update"}
	look := func(text string) {
		for _, m := range regexp.MustCompile(`(?:^| )--?([a-zA-Z][a-z-]*)`).FindAllStringSubmatch(text, -1) {
			if _, known := option.Find(m[1]); !known && !slices.Contains(others, m[1]) {
				t.Errorf("%q: hpc3 has no option that is called %q", text, m[1])
			}
		}
	}
	for _, o := range habit.Options {
		look(o.Here)
	}
	for _, c := range habit.Commands {
		look(c.Here)
	}
}

// A letter that is joined to something is one of ours.
func TestJoinedLetters(t *testing.T) {
	for o := range option.All() {
		want := "write them apart: -" + o.Short + " -q"
		if o.TakesValue() {
			want = "put a blank between them: -" + o.Short + " q"
		}
		if got := habit.FindTyped([]string{"-" + o.Short + "q"}, o.Short+"q").Hint(); o.Short != "" && got != want {
			t.Errorf("-%sq: %q, want %q", o.Short, got, want)
		}
	}
}

func FuzzTranslate(f *testing.F) {
	for _, s := range []string{"--bind /a:/b img", "-v", "-v /", "-e", "--mount type=,", "-it", "-", "--", "--env =,", "--pid", "-B=", "exec"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		args := strings.Split(s, " ")
		got := habit.Translate(args)
		if len(got.Rest) > len(args) || got.Line != "" && !strings.HasPrefix(got.Line, "hpc3-run ") {
			t.Errorf("Translate(%q) = %+v", args, got)
		}
		for _, a := range args {
			_ = habit.FindTyped(args, strings.TrimLeft(a, "-")).Hint()
			if c := habit.FindCommand(a); c != nil {
				_ = c.Hint(a, args)
			}
			_ = habit.Nearest(a, args)
		}
	})
}

func TestLooksLikeBind(t *testing.T) {
	for word, want := range map[string]bool{
		"/a:/b": true, "./a:/b:ro": true, "~/a:/b": true, "data:/data": true, "/a.sif:/b.sif": true, "/scratch": true,
		"oci:/images:bash": false, "oci-archive:/a.tar": false, "docker-archive:/a.tar:x/y:1": false, "sif:/a": false, "/a/b.sif": false, "./b.sif": false,
		"docker://a/b": false, "a/b:1": false, "h:5000/a/b:1": false,
	} {
		if got := habit.LooksLikeBind(word); got != want {
			t.Errorf("LooksLikeBind(%q) = %t, want %t", word, got, want)
		}
	}
}
