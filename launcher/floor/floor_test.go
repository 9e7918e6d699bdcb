package floor

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// files is a file system by paths: what begins with "->" is a symlink, the rest is content that may
// be executed.
type files map[string]string

func (f files) open(t *testing.T) *squashfs.FS {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "fs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() }) // read to its end
	w, err := squashfs.NewWriter(out, squashfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	newDir := func() *squashfs.Dir {
		return &squashfs.Dir{Meta: squashfs.Meta{Mode: 0o755}, Entries: map[string]squashfs.Node{}}
	}
	top := newDir()
	for name, content := range f {
		dir, parts := top, strings.Split(name, "/")
		for _, part := range parts[:len(parts)-1] {
			if dir.Entries[part] == nil {
				dir.Entries[part] = newDir()
			}
			dir = dir.Entries[part].(*squashfs.Dir)
		}
		meta := squashfs.Meta{Mode: 0o755}
		if target, isLink := strings.CutPrefix(content, "->"); isLink {
			dir.Entries[parts[len(parts)-1]] = w.Symlink(meta, target)
			continue
		}
		inode, err := w.File(meta, int64(len(content)), strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		dir.Entries[parts[len(parts)-1]] = inode
	}
	if _, err := w.Finish(top); err != nil {
		t.Fatal(err)
	}
	img, err := squashfs.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// built compiles an empty program of C, and returns its content.
func built(t *testing.T, args ...string) string {
	t.Helper()
	compiler, err := exec.LookPath("gcc")
	if err != nil || runtime.GOARCH != "amd64" {
		t.Skip("needs gcc for amd64")
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "main.c")
	if err := os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "program")
	if out, err := exec.Command(compiler, append(args, "-o", file, source)...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %v: %v\n%s", args, err, out)
	}
	return read(t, file)
}

// builtByGo compiles an empty program of Go for a level.
func builtByGo(t *testing.T, level string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module m\n", "main.go": "package main\n\nfunc main() {}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", append([]string{"build", "-o", "program"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOARCH=amd64", "GOAMD64="+level, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return read(t, filepath.Join(dir, "program"))
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// rpmHeader is a part of rpm's data base: the strings of a header around OS and ARCH.
func rpmHeader(architecture string) string {
	return strings.Repeat("\x00", 4096) + "basesystem\x00GPL\x00Unspecified\x00https://x\x00linux\x00noarch\x00" +
		strings.Repeat("x", 3<<16-11) + "glibc\x00LGPL\x00linux\x00" + architecture + "\x00%post\x00"
}

const alma = `NAME="AlmaLinux"
VERSION="10.1 (Heliotrope Lion)"
ID="almalinux"
ID_LIKE="rhel centos fedora"
VERSION_ID="10.1"
`

// gromacs is what Debian's data base says of GROMACS 2022.5, in short.
const gromacs = `Package: gromacs
Status: install ok installed
Priority: optional
Depends: gromacs-data (= 2022.5-2), sse4.2-support, libc6 (>= 2.34), libgcc-s1 (>= 3.0)

Package: sse4.2-support
Status: install ok installed
Pre-Depends: isa-support (= 15.1)

`

func TestFind(t *testing.T) {
	plain, v2, v3 := built(t), built(t, "-Wl,-z,x86-64-v2"), built(t, "-Wl,-z,x86-64-v3")
	v4 := built(t, "-Wl,-z,x86-64-v4")
	byV1, byV3 := builtByGo(t, "v1"), builtByGo(t, "v3", "-ldflags=-s -w")
	const loader, real = "lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
	for _, tt := range []struct {
		name   string
		files  files
		config oci.Config
		deep   bool
		want   []oci.Need
	}{
		{name: "nothing", files: files{}},
		{name: "Debian", files: files{"bin/bash": plain, "etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n"}},
		{name: "the login shell", files: files{"bin/bash": v3}, want: []oci.Need{{Word: "x86-64-v3", By: "its login shell /bin/bash is marked so"}}},
		{name: "another login shell", files: files{"bin/sh": "->dash", "bin/dash": v2}, want: []oci.Need{{Word: "x86-64-v2", By: "its login shell /bin/sh is marked so"}}},
		{name: "the loader", files: files{"bin/bash": plain, loader: v3}, want: []oci.Need{{Word: "x86-64-v3", By: "its loader /lib64/ld-linux-x86-64.so.2 is marked so"}}},
		{
			name:  "the C library beside the loader",
			files: files{"bin/bash": plain, loader: "->/" + real, real: plain, "usr/lib/x86_64-linux-gnu/libc.so.6": v2},
			want:  []oci.Need{{Word: "x86-64-v2", By: "its C library /usr/lib/x86_64-linux-gnu/libc.so.6 is marked so"}},
		},
		{
			name:  "several",
			files: files{"bin/bash": v2, loader: v4},
			want: []oci.Need{
				{Word: "x86-64-v4", By: "its loader /lib64/ld-linux-x86-64.so.2 is marked so"},
				{Word: "x86-64-v2", By: "its login shell /bin/bash is marked so"},
			},
		},
		{name: "AlmaLinux 10", files: files{"usr/lib/os-release": alma}, want: []oci.Need{{Word: "x86-64-v3", By: "almalinux 10 is built so"}}},
		{
			name:  "AlmaLinux 10 with its marks",
			files: files{"etc/os-release": "->../usr/lib/os-release", "usr/lib/os-release": alma, "bin/bash": v3, loader: v3, "usr/lib/sysimage/rpm/rpmdb.sqlite": rpmHeader("x86_64")},
			want:  []oci.Need{{Word: "x86-64-v3", By: "almalinux 10 is built so, and 2 more signs"}},
		},
		{
			name:  "AlmaLinux 10 for v2",
			files: files{"etc/os-release": alma, "var/lib/rpm/rpmdb.sqlite": rpmHeader("x86_64_v2")},
			want:  []oci.Need{{Word: "x86-64-v2", By: "the architecture of its packages is x86_64_v2"}},
		},
		{name: "RHEL 8", files: files{"etc/os-release": "ID=rhel\nVERSION_ID=8.10\n"}},
		{name: "Rocky 9", files: files{"etc/os-release": "ID='rocky'\nVERSION_ID='9.6'\n"}, want: []oci.Need{{Word: "x86-64-v2", By: "rocky 9 is built so"}}},
		{name: "no release", files: files{"etc/os-release": "ID=almalinux\n"}},
		{name: "GROMACS", files: files{"var/lib/dpkg/status": gromacs}, want: []oci.Need{{Word: "sse4_2", By: "its package gromacs depends on sse4.2-support"}}},
		{name: "an alternative", files: files{"var/lib/dpkg/status": "Package: app\nStatus: install ok installed\nDepends: other | ssse3-support\n"}},
		{name: "removed", files: files{"var/lib/dpkg/status": strings.ReplaceAll(gromacs, "install ok installed", "deinstall ok config-files")}},
		{name: "in distroless", files: files{"var/lib/dpkg/status.d/sse3-support": "Package: sse3-support\n"}, want: []oci.Need{{Word: "sse3", By: "its package sse3-support says so"}}},
		{
			name:  "Ubuntu's amd64v3",
			files: files{"var/lib/dpkg/status": "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nArchitecture-Variant: amd64v3\n"},
			want:  []oci.Need{{Word: "x86-64-v3", By: "1 of its packages are built for amd64v3"}},
		},
		{name: "Go", files: files{"app": byV3}, config: oci.Config{Entrypoint: []string{"/app"}}, want: []oci.Need{{Word: "x86-64-v3", By: "its program /app was built by Go with GOAMD64=v3"}}},
		{name: "Go in PATH", files: files{"opt/app": byV3}, config: oci.Config{Cmd: []string{"app"}, Env: []string{"PATH=/bin:/opt"}}, want: []oci.Need{{Word: "x86-64-v3", By: "its program /opt/app was built by Go with GOAMD64=v3"}}},
		{name: "Go beside the working directory", files: files{"opt/app": byV3}, config: oci.Config{Cmd: []string{"./app"}, WorkingDir: "/opt"}, want: []oci.Need{{Word: "x86-64-v3", By: "its program /opt/app was built by Go with GOAMD64=v3"}}},
		{name: "Go for all", files: files{"app": byV1}, config: oci.Config{Entrypoint: []string{"/app"}}},
		{name: "not started", files: files{"usr/bin/app": byV3, "usr/bin/other": v2}},
		{
			name: "deep", files: files{"usr/bin/app": byV3, "usr/bin/other": v2, "usr/bin/script": "#!/bin/sh\n", "lib/libx.so": v4}, deep: true,
			want: []oci.Need{
				{Word: "x86-64-v3", By: "its program /usr/bin/app was built by Go with GOAMD64=v3"},
				{Word: "x86-64-v2", By: "its program /usr/bin/other is marked so"},
			},
		},
		{name: "a path of no terminal", files: files{"a\x1b[31m": byV3}, config: oci.Config{Cmd: []string{"/a\x1b[31m"}}, want: []oci.Need{{Word: "x86-64-v3", By: `its program "/a\x1b[31m" was built by Go with GOAMD64=v3`}}},
		{name: "another architecture", files: files{"etc/os-release": alma, "bin/bash": v3}, config: oci.Config{Architecture: "arm64"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.config.Architecture == "" {
				tt.config.Architecture = "amd64"
			}
			got, err := Find(tt.files.open(t), tt.config, tt.deep)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(oci.Floor{Needs: tt.want, Deep: tt.deep}, got); diff != "" {
				t.Errorf("Find() (-want +got):\n%s", diff)
			}
			raw, err := got.Document("sha256:0")
			again, ok := oci.ParseFloor(raw, "sha256:0")
			again.Known = false
			if diff := cmp.Diff(got, again, cmp.Comparer(func(a, b []oci.Need) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); err != nil || !ok || diff != "" {
				t.Errorf("its document reads back as %v, %v:\n%s", ok, err, diff)
			}
		})
	}
}

// What is found is true: on an emulated CPU below the level the program does not start, on one of
// the level it does.
func TestMarksAreTrue(t *testing.T) {
	emulator, err := exec.LookPath("qemu-x86_64-static")
	if err != nil {
		t.Skip("needs qemu-user-static")
	}
	below := map[int]string{2: "qemu64", 3: "Nehalem", 4: "Haswell"}
	at := map[int]string{2: "Nehalem", 3: "Haswell"} // qemu emulates no AVX-512
	starts := func(file, cpu string) bool {
		return exec.Command(emulator, "-cpu", cpu, file).Run() == nil
	}
	for level := 2; level <= 4; level++ {
		mark := fmt.Sprintf("-Wl,-z,x86-64-v%d", level)
		for kind, content := range map[string]string{"C": built(t, mark), "Go": builtByGo(t, fmt.Sprintf("v%d", level))} {
			file := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(file, []byte(content), 0o700); err != nil {
				t.Fatal(err)
			}
			p, ok := readProgram(section(content))
			if got := max(p.level, p.goLevel); !ok || got != level {
				t.Errorf("%s for level %d: found %d, %v", kind, level, got, ok)
			}
			if starts(file, below[level]) {
				t.Errorf("%s for level %d starts on %s", kind, level, below[level])
			}
			if cpu := at[level]; cpu != "" && !starts(file, cpu) {
				t.Errorf("%s for level %d does not start on %s", kind, level, cpu)
			}
		}
	}
}

// What is here says nothing above its baseline, as in a Debian.
func TestThisMachine(t *testing.T) {
	for _, file := range []string{"/bin/bash", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Skip(err)
		}
		p, ok := readProgram(section(string(raw)))
		if release := read(t, "/etc/os-release"); strings.Contains(release, "ID=debian\n") && (!ok || p.level != 0 || p.goLevel != 0) {
			t.Errorf("%s: %+v, %v", file, p, ok)
		}
	}
}

func section(content string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(content), 0, int64(len(content)))
}

func FuzzReadProgram(f *testing.F) {
	raw, err := os.ReadFile("/bin/true")
	if err == nil {
		f.Add(raw)
	}
	f.Add([]byte("\x7fELF\x02\x01"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, ok := readProgram(io.NewSectionReader(bytes.NewReader(raw), 0, int64(len(raw))))
		if p.level < 0 || p.level > 4 || len(p.loader) > maxLoader || !ok && p != (program{}) {
			t.Errorf("readProgram() = %+v, %v", p, ok)
		}
	})
}

func FuzzNotes(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x00\x10\x00\x00\x00\x05\x00\x00\x00GNU\x00\x02\x80\x00\xc0\x04\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00"), uint64(8))
	f.Fuzz(func(t *testing.T, raw []byte, alignment uint64) {
		if level, _ := readNotes(raw, alignment); level < 0 || level == 1 || level > 4 {
			t.Errorf("readNotes() = %d", level)
		}
	})
}
