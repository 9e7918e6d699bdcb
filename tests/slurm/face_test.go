package slurm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// buildFace compiles the functions of the plugin that work on text alone.
func buildFace(t *testing.T) string {
	t.Helper()
	return compileFace(t, "-fsanitize=undefined,bounds", "-fno-sanitize-recover", "testdata/face/main.c",
		"../../spank/submit_path.c", "../../spank/multiprog.c", "../../spank/say.c")
}

// compileFace compiles files of the plugin with a program that plays Slurm.
func compileFace(t *testing.T, args ...string) string {
	t.Helper()
	cc, err := exec.LookPath("gcc")
	lab.Needs(t, "slurm", err == nil, "there is no gcc")
	program := filepath.Join(t.TempDir(), "face")
	build := exec.Command(cc, append([]string{"-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-Itestdata/face", "-I../../spank", "-o", program}, args...)...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compiling: %v\n%s", err, out)
	}
	return program
}

// TestFaceRoot: the functions that run as root in slurmd and slurmstepd are those that the plugin's
// README names.
func TestFaceRoot(t *testing.T) {
	sources, err := filepath.Glob("../../spank/*.c")
	if err != nil {
		t.Fatal(err)
	}
	face := compileFace(t, append(sources, "-finstrument-functions", "-finstrument-functions-exclude-file-list=testdata", "-no-pie",
		"testdata/face/root.c", "-ldl", "-lpthread")...)
	addresses, err := exec.Command(face).Output()
	if err != nil {
		t.Fatal(err)
	}
	names, ran, named := functionNames(t, face), map[string]bool{}, map[string]bool{}
	for _, address := range strings.Fields(string(addresses)) {
		ran[names[address]] = true
	}
	_, table, _ := strings.Cut(lab.Read(t, "../../spank/README.md"), "As root run these functions, and no others:\n")
	table, _, _ = strings.Cut(table, "\n\nNone of them")
	for row := range strings.Lines(table) {
		functions, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		if strings.Contains(functions, "anyversion.h") {
			continue // not in this build
		}
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(functions, -1) {
			named[name[1]] = true
		}
	}
	if diff := cmp.Diff(named, ran); diff != "" {
		t.Errorf("functions that run as root (-README +ran):\n%s", diff)
	}
}

// functionNames returns the functions of a program by their addresses, as C prints these.
func functionNames(t *testing.T, program string) map[string]string {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			names[fmt.Sprintf("0x%x", s.Value)] = s.Name
		}
	}
	return names
}

// TestFacePaths: what srun, sbatch and salloc make of options that name files.
func TestFacePaths(t *testing.T) {
	face := buildFace(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link, odd := filepath.Join(dir, "link"), filepath.Join(dir, "o:d,d")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, kind, text, in string // in: the working directory, as PWD has it
		want, err            string
	}{
		{name: "a name of a registry", kind: "image", text: "qnib/gromacs:2021.5", want: "qnib/gromacs:2021.5"},
		{name: "a registry and a digest", kind: "image", text: "docker://host:5000/a.sif", want: "docker://host:5000/a.sif"},
		{name: "a SIF", kind: "image", text: "my.sif", want: dir + "/my.sif"},
		{name: "a SIF by its transport", kind: "image", text: "sif:sub/my.img", want: "sif:" + dir + "/sub/my.img"},
		{name: "a SIF here", kind: "image", text: "./my.sif", want: dir + "/my.sif"},
		{name: "a SIF above", kind: "image", text: "../my.sif", want: dir + "/../my.sif"},
		{name: "a SIF at home", kind: "image", text: "~/my.sif", want: "/home/u/my.sif"},
		{name: "a layout", kind: "image", text: "oci:lay:tag", want: "oci:" + dir + "/lay:tag"},
		{name: "a layout at home", kind: "image", text: "oci:~/lay", want: "oci:/home/u/lay"},
		{name: "this directory", kind: "image", text: "oci:.", want: "oci:" + dir + "/."},
		{name: "an archive", kind: "image", text: "docker-archive:a.tar", want: "docker-archive:" + dir + "/a.tar"},
		{name: "an absolute layout", kind: "image", text: "oci:/x/y", want: "oci:/x/y"},
		{name: "no path", kind: "image", text: "oci:", want: "oci:"},
		{name: "none", kind: "image", text: "none", want: "none"},
		{name: "by a link", kind: "image", text: "my.sif", in: link, want: link + "/my.sif"},
		{name: "in the root", kind: "image", text: "my.sif", in: "/", want: "/my.sif"},
		{name: "a SIF in an odd directory", kind: "image", text: "my.sif", in: odd, want: odd + "/my.sif"},
		{name: "a layout in an odd directory", kind: "image", text: "oci:lay", in: odd, err: "hpc3: lay: the name of the directory " + odd + " would end at one of \":\"\n"},

		{name: "a bind", kind: "mounts", text: "data:/data:ro", want: dir + "/data:/data:ro"},
		{name: "binds", kind: "mounts", text: "/a,data:/data,~/b:/b,../c:/c", want: "/a," + dir + "/data:/data,/home/u/b:/b," + dir + "/../c:/c"},
		{name: "options behind a comma", kind: "mounts", text: "data:/data:ro,nodev,./b:/b", want: dir + "/data:/data:ro,nodev," + dir + "/b:/b"},
		{name: "in memory", kind: "mounts", text: "tmpfs:/t,./tmpfs:/u", want: "tmpfs:/t," + dir + "/tmpfs:/u"},
		{name: "home at its own place", kind: "mounts", text: "~/b", want: "/home/u/b"},
		{name: "mistakes stay", kind: "mounts", text: ",x,:/y,", want: ",x,:/y,"},
		{name: "binds in an odd directory", kind: "mounts", text: "data:/data", in: odd, err: "hpc3: data:/data: the name of the directory " + odd + " would end at one of \":,\"\n"},

		{name: "a file", kind: "path", text: "auth.json", want: dir + "/auth.json"},
		{name: "a file in an odd directory", kind: "path", text: "auth.json", in: odd, want: odd + "/auth.json"},
		{name: "an absolute file", kind: "path", text: "/a", want: "/a"},
		{name: "a file at home", kind: "path", text: "~/a", want: "/home/u/a"},
		{name: "not at home", kind: "path", text: "~u", want: dir + "/~u"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(face, tt.kind, tt.text)
			cmd.Dir = dir
			if tt.in != "" {
				cmd.Dir = tt.in
			}
			var stdout, stderr bytes.Buffer
			cmd.Env, cmd.Stdout, cmd.Stderr = []string{"HOME=/home/u", "PWD=" + cmd.Dir}, &stdout, &stderr
			if err := cmd.Run(); (err != nil) != (tt.err != "") || stdout.String() != tt.want || stderr.String() != tt.err {
				t.Errorf("%s %q: %q, %q, %v, want %q, %q", tt.kind, tt.text, stdout.String(), stderr.String(), err, tt.want, tt.err)
			}
		})
	}
}

// TestFaceMultiProg: hpc3-run is put before each command of a file of --multi-prog, as Slurm reads
// it.
func TestFaceMultiProg(t *testing.T) {
	face := buildFace(t)
	for _, tt := range []struct{ name, launcher, text, want string }{
		{"commands", "/b/hpc3-run", "0 hello\n1-3  sh -c 'a b'\n", "0 /b/hpc3-run hello\n1-3  /b/hpc3-run sh -c 'a b'\n"},
		{"no line break at the end", "/b/hpc3-run", "* hello", "* /b/hpc3-run hello"},
		{"blanks and tabs", "/b/hpc3-run", " \t0\thello\r\n", " \t0\t/b/hpc3-run hello\r\n"},
		{"comments and empty lines", "/b/hpc3-run", "# 0 no\n\n   \n0 hello # yes\n  #1 no\n", "# 0 no\n\n   \n0 /b/hpc3-run hello # yes\n  #1 no\n"},
		{"a line that goes on", "/b/hpc3-run", "0 echo a \\\n1 b\n1 c\n", "0 /b/hpc3-run echo a \\\n1 b\n1 /b/hpc3-run c\n"},
		{"a comment that goes on", "/b/hpc3-run", "# a\\\n0 b\n1 c\n", "# a\\\n0 b\n1 /b/hpc3-run c\n"},
		{"an empty line behind one that goes on", "/b/hpc3-run", "0 echo a \\\n\n1 b\n1 c\n", "0 /b/hpc3-run echo a \\\n\n1 b\n1 /b/hpc3-run c\n"},
		{"ranks without a command", "/b/hpc3-run", "0\n1 \n2 c\n", "0\n1 \n2 /b/hpc3-run c\n"},
		{"it is there", "/b/hpc3-run", "0 /b/hpc3-run hello\n1 there\n", "0 /b/hpc3-run hello\n1 /b/hpc3-run there\n"},
		{"another that begins alike", "/b/hpc3", "0 /b/hpc3-run hello\n", "0 /b/hpc3 /b/hpc3-run hello\n"},
		{"signs in its path", "/a b/%t'\\/hpc3-run", "0 hello\n", "0 /a\\ b/\\%t\\'\\\\/hpc3-run hello\n"},
		{"nothing", "/b/hpc3-run", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := exec.Command(face, "multiprog", tt.launcher, tt.text).Output()
			if err != nil || string(got) != tt.want {
				t.Errorf("%q becomes %q, %v, want %q", tt.text, got, err, tt.want)
			}
		})
	}
}
