package device

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// clientNode is a node whose srun needs a library from a directory of its own, and that one from
// the node's.
func clientNode(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no gcc to make libraries with")
	}
	root := node(t, map[string]string{"etc/slurm/slurm.conf": "", "run/munge/": "", "usr/local/lib/hpc3/spank_hpc3.so": "not a library", "usr/lib64/": "", "opt/slurm/lib/": "", "opt/slurm/bin/": ""})
	build := func(args ...string) {
		t.Helper()
		cmd := exec.Command("gcc", args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcc %v: %v\n%s", args, err, out)
		}
	}
	source := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	build("-shared", "-o", "usr/lib64/libmunge.so.2", "-Wl,-soname,libmunge.so.2", source("m.c", "int munge(void){return 1;}"))
	build("-shared", "-o", "opt/slurm/lib/libslurmfull.so", "-Wl,-soname,libslurmfull.so", source("s.c", "int slurm(void){return 1;}"))
	build("-shared", "-o", "opt/slurm/lib/auth_munge.so", source("a.c", "int munge(void); int auth(void){return munge();}"), "usr/lib64/libmunge.so.2")
	build("-o", "opt/slurm/bin/srun", source("r.c", "int slurm(void); int main(void){return slurm();}"), "opt/slurm/lib/libslurmfull.so", "-Wl,-rpath,$ORIGIN/../lib")
	if err := os.WriteFile(filepath.Join(root, "opt/slurm/bin/squeue"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestSlurmClient(t *testing.T) {
	root := clientNode(t)
	find := func(libc Libc, has ...string) Found {
		return Find(Ask{
			Root: root, Arch: runtime.GOARCH, Lookup: lookup(map[string]string{"PATH": "relative:/nowhere:/opt/slurm/bin"}), Libc: func() Libc { return libc },
			Client:   &Client{Conf: "/etc/slurm/slurm.conf", Files: []string{"/usr/local/lib/hpc3/spank_hpc3.so", "/no/such.so"}},
			ImageHas: func(path string) bool { return slices.Contains(has, path) },
		})
	}
	image := Libc{Dir: "/lib/image", Minor: 99}
	for name, tt := range map[string]struct {
		found Found
		want  string
	}{
		"all":                {find(image), "/usr/bin/srun /usr/bin/squeue /opt/slurm/lib /usr/local/lib/hpc3/spank_hpc3.so /lib/image/libmunge.so.2 /etc/slurm"},
		"what the image has": {find(image, "/lib/image/libmunge.so.2"), "/usr/bin/srun /usr/bin/squeue /opt/slurm/lib /usr/local/lib/hpc3/spank_hpc3.so /etc/slurm"},
		"an older image":     {find(Libc{Dir: "/lib/image", Minor: 1}), ""},
		"an image of musl":   {find(Libc{Musl: true}), ""},
	} {
		var targets []string
		for _, m := range tt.found.Client {
			if !m.ReadOnly || !strings.HasPrefix(m.Source, root) {
				t.Errorf("%s: the mount is %+v", name, m)
			}
			targets = append(targets, m.Target)
		}
		if got := strings.Join(targets, " "); got != tt.want {
			t.Errorf("%s: the client's mounts are %q, want %q", name, got, tt.want)
		}
		if warned := len(tt.found.Warnings) > 0; warned != (tt.want == "") {
			t.Errorf("%s: warnings %q", name, tt.found.Warnings)
		}
	}
}
