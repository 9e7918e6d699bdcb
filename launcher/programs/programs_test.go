package programs_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/programs"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// files are those of an image by their paths: "+" before the content of a program, "->" before the
// target of a symlink, else the content of a file.
type files map[string]string

// image writes a file system and opens it.
func (f files) image(t testing.TB) programs.Image {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	w, err := squashfs.NewWriter(out, squashfs.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	root := newDir()
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range f {
			if !yield(name) {
				return
			}
		}
	}) {
		dir := root
		parts := strings.Split(strings.Trim(name, "/"), "/")
		for _, part := range parts[:len(parts)-1] {
			sub, ok := dir.Entries[part].(*squashfs.Dir)
			if !ok {
				sub = newDir()
				dir.Entries[part] = sub
			}
			dir = sub
		}
		dir.Entries[parts[len(parts)-1]] = node(t, w, f[name])
	}
	if _, err := w.Finish(root); err != nil {
		t.Fatal(err)
	}
	img, err := squashfs.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	return programs.Image{FS: img}
}

func newDir() *squashfs.Dir {
	return &squashfs.Dir{Meta: squashfs.Meta{Mode: 0o755}, Entries: map[string]squashfs.Node{}}
}

func node(t testing.TB, w *squashfs.Writer, content string) squashfs.Node {
	t.Helper()
	if target, ok := strings.CutPrefix(content, "->"); ok {
		return w.Symlink(squashfs.Meta{Mode: 0o777}, target)
	}
	mode := uint32(0o644)
	if program, ok := strings.CutPrefix(content, "+"); ok {
		content, mode = program, 0o755
	}
	in, err := w.File(squashfs.Meta{Mode: mode}, int64(len(content)), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// with returns the files with others.
func (f files) with(more files) files {
	all := files{}
	for _, some := range []files{f, more} {
		for name, content := range some {
			all[name] = content
		}
	}
	return all
}

// usual is the PATH of an ordinary image.
func usual() []string {
	return strings.Split("/opt/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ":")
}

// debian is an image of Debian with merged directories. Its status has the forms that dpkg writes.
func debian() files {
	return files{
		"bin": "->usr/bin", "sbin": "->usr/sbin", "lib": "->usr/lib",
		"usr/bin/ls": "+", "usr/bin/dash": "+", "usr/bin/sh": "->dash", "usr/bin/perl": "+",
		"usr/bin/mawk": "+", "usr/bin/awk": "->/etc/alternatives/awk", "etc/alternatives/awk": "->/usr/bin/mawk",
		"usr/bin/gmx": "+", "usr/bin/demux": "->../share/gromacs/demux.pl", "usr/share/gromacs/demux.pl": "+",
		"usr/bin/orterun": "+", "usr/bin/mpirun": "->/etc/alternatives/mpirun", "etc/alternatives/mpirun": "->/usr/bin/orterun",
		"usr/bin/openssl": "+", "usr/bin/c_rehash": "+", "usr/bin/notes": "no program", "usr/sbin/useradd": "+",
		"usr/sbin/policy-rc.d": "+", "usr/bin/broken": "->nowhere", "usr/bin/loop": "->loop",
		"usr/local/bin/docker-entrypoint.sh": "+", "usr/local/bin/convert": "+", "opt/app/bin/app": "+", "opt/app/bin/sh": "->/bin/sh",
		"var/lib/dpkg/status": `Package: coreutils
Essential: yes
Status: install ok installed
Priority: required
Pre-Depends: libc6 (>= 2.34)

Package: dash
Essential: yes
Status: install ok installed
Priority: required

Package: base-files
Essential: yes
Status: install ok installed
Priority: required
Pre-Depends: awk

Package: mawk
Status: install ok installed
Priority: optional
Provides: awk (= 1)
Depends: libc6 (>= 2.34)

Package: perl
Status: install ok installed
Priority: standard
Description: Larry's
 Depends: nothing
 .

Package: passwd
Protected: yes
Status: install ok installed
Priority: optional

Package: gromacs
Status: install ok installed
Priority: optional
Depends: gromacs-data (= 2022.5-2), libgromacs7 (= 2022.5-2),
 openmpi-bin | mpich [amd64], openssl:any
Recommends: gromacs-data

Package: gromacs-data
Status: install ok installed
Priority: optional
Recommends: gromacs

Package: libgromacs7
Status: install ok installed
Priority: optional

Package: openmpi-bin
Status: install ok installed
Priority: optional
Depends: libc6

Package: openssl
Status: install ok installed
Priority: optional

Package: gone
Status: deinstall ok config-files
Priority: optional
Depends: gromacs

Package: libc6
Status: install ok installed
Priority: optional
`,
		"var/lib/dpkg/info/coreutils.list":   "/.\n/bin\n/bin/ls\n",
		"var/lib/dpkg/info/dash.list":        "/bin/dash\n/bin/sh\n",
		"var/lib/dpkg/info/mawk.list":        "/usr/bin/mawk\n",
		"var/lib/dpkg/info/perl.list":        "/usr/bin/perl\n",
		"var/lib/dpkg/info/passwd.list":      "/usr/sbin/useradd\n",
		"var/lib/dpkg/info/gromacs.list":     "/usr/bin/gmx\n/usr/bin/demux\n/usr/bin/notes\n",
		"var/lib/dpkg/info/openmpi-bin.list": "/usr/bin/orterun\n",
		"var/lib/dpkg/info/openssl.list":     "/usr/bin/openssl\n/usr/bin/c_rehash\n",
		"var/lib/dpkg/info/libc6:amd64.list": "/lib/x86_64-linux-gnu/libc.so.6\n",
	}
}

// alpine is an image of Alpine. Its data base has the forms that apk writes.
func alpine() files {
	f := files{
		"bin/busybox": "+", "bin/sh": "->/bin/busybox", "bin/ls": "->/bin/busybox", "usr/bin/wget": "->/bin/busybox",
		"usr/bin/gmx": "+", "usr/bin/mpirun": "+", "usr/bin/hydra": "+", "usr/bin/tool": "+",
		"etc/apk/world": "alpine-baselayout\nbusybox\ngromacs=2024.1-r0\nmeta@testing\n!conflict\n",
		"lib/apk/db/installed": `C:Q1Ff0fM3v8nV1Hc9R3ojvpNbJJYKM=
P:busybox
V:1.36.1-r29
D:so:libc.musl-x86_64.so.1
p:/bin/sh cmd:busybox=1.36.1-r29
F:bin
R:busybox
a:0:0:755
Z:Q1tjfz3wbCxVQYZ3vxZlNUkuBPSbY=
F:etc

P:musl
V:1.2.5-r0
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1

P:gromacs
V:2024.1-r0
D:mpich so:libc.musl-x86_64.so.1 !broken
F:usr/bin
R:gmx

P:mpich
V:4.2.0-r0
F:usr/bin
R:mpirun
R:hydra

P:meta
V:1
D:tool>=1

P:tool
V:1
F:usr/bin
R:tool

`,
	}
	return f
}

func TestBeyond(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files files
		path  []string
		want  string
		notes string
	}{
		{name: "an empty image", files: files{"etc/passwd": ""}},
		{
			name: "dpkg without marks: what no other package needs", files: debian(),
			want: "app convert demux gmx",
		},
		{
			name:  "dpkg with marks of apt",
			files: debian().with(files{"var/lib/apt/extended_states": "Package: openssl\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: gromacs-data\nAuto-Installed: 0\n"}),
			want:  "app convert demux gmx mpirun orterun",
		},
		{
			name: "dpkg: a metapackage stands for what it needs",
			files: debian().with(files{
				"var/lib/dpkg/info/gromacs.list": "/usr/share/doc/gromacs/copyright\n",
				"var/lib/apt/extended_states":    "Package: openmpi-bin\nAuto-Installed: 1\n",
			}),
			want: "app convert demux gmx mpirun orterun",
		},
		{
			name: "dpkg: a library has no commands, and does not stand for others",
			files: debian().with(files{
				"var/lib/dpkg/info/gromacs.list": "/usr/lib/libgromacs.so.7\n",
				"var/lib/apt/extended_states":    "Package: openmpi-bin\nAuto-Installed: 1\n\nPackage: openssl\nAuto-Installed: 1\n",
			}),
			want: "app convert demux gmx",
		},
		{
			name: "dpkg: the first of a name counts", files: debian().with(files{"opt/app/bin/gmx": "+", "usr/local/bin/orterun": "+"}),
			path: []string{"/usr/bin", "/opt/app/bin", "/usr/local/bin"}, want: "app convert demux gmx",
		},
		{
			name: "a directory twice, missing, a file, and relative", files: debian(),
			path: []string{"/bin", "/usr/bin", "/nowhere", "/usr/bin/ls", "/usr/bin/loop", "bin"}, want: "demux gmx",
		},
		{
			name: "distroless",
			files: files{
				"usr/bin/python3": "+", "usr/bin/openssl": "+", "bin/true": "+",
				"var/lib/dpkg/status.d/python3":         "Package: python3\nPriority: optional\nDepends: openssl\n",
				"var/lib/dpkg/status.d/python3.md5sums": "d41d8cd98f00b204e9800998ecf8427e  usr/bin/python3\n",
				"var/lib/dpkg/status.d/openssl":         "Package: openssl\nPriority: optional\n",
				"var/lib/dpkg/status.d/openssl.md5sums": "d41d8cd98f00b204e9800998ecf8427e  usr/bin/openssl\n",
				"var/lib/dpkg/status.d/base":            "Package: base\nPriority: required\n",
				"var/lib/dpkg/status.d/base.md5sums":    "d41d8cd98f00b204e9800998ecf8427e  bin/true\n",
			},
			want: "python3",
		},
		{name: "apk", files: alpine(), want: "gmx tool"},
		{
			name: "apk 3", want: "gmx tool",
			files: func() files {
				f := alpine()
				f["usr/lib/apk/db/installed"] = f["lib/apk/db/installed"]
				delete(f, "lib/apk/db/installed")
				return f
			}(),
		},
		{
			name: "only a tool", files: alpine().with(files{"etc/apk/world": "curl\n", "usr/bin/curl": "+", "lib/apk/db/installed": "P:curl\nF:usr/bin\nR:curl\n\n"}),
			path: []string{"/usr/bin"}, want: "gmx hydra mpirun tool",
		},
		{
			name: "nothing but a tool", files: files{"etc/apk/world": "curl\n", "usr/bin/curl": "+", "lib/apk/db/installed": "P:curl\nF:usr/bin\nR:curl\n\n"},
			want: "curl",
		},
		{
			name: "rpm that is not asked", files: files{"var/lib/rpm/rpmdb.sqlite": "", "usr/bin/gmx": "+", "opt/app/bin/app": "+"},
			want: "app", notes: "its package data base was not read, so that commands in /bin and /usr/bin do not count: rpm's can be read by the image's own rpm alone, which is not run here",
		},
		{
			name: "pacman", files: files{"var/lib/pacman/local/ALPM_DB_VERSION": "9", "usr/bin/gmx": "+", "opt/app/bin/app": "+"},
			want: "app", notes: "its package data base was not read, so that commands in /bin and /usr/bin do not count: /var/lib/pacman/local is of a kind that is not known",
		},
		{
			name: "Spack", path: []string{"/opt/view/bin"}, want: "gmx gmx_mpi own",
			files: debian().with(files{
				"opt/view": "->/opt/._view/abc", "opt/._view/abc/bin/gmx": "->/opt/software/linux-zen3/gromacs-2021.5-abc/bin/gmx",
				"opt/._view/abc/bin/gmx_mpi": "->gmx", "opt/._view/abc/bin/perl": "->/opt/software/linux-zen3/perl-5.38-def/bin/perl",
				"opt/._view/abc/bin/own": "+", "opt/._view/abc/.spack/gromacs/spec.json": "{}",
				"opt/software/linux-zen3/gromacs-2021.5-abc/bin/gmx": "+", "opt/software/linux-zen3/gromacs-2021.5-abc/.spack/spec.json": "{}",
				"opt/software/linux-zen3/perl-5.38-def/bin/perl": "+", "opt/software/linux-zen3/perl-5.38-def/.spack/spec.json": "{}",
				"opt/software/.spack-db/index.json": `{"database":{"version":"7","installs":{
					"abc":{"spec":{"name":"gromacs"},"path":"/build/software/linux-zen3/gromacs-2021.5-abc","installed":true,"explicit":true},
					"def":{"spec":{"name":"perl"},"path":"/build/software/linux-zen3/perl-5.38-def","installed":true,"explicit":false}}}}`,
			}),
		},
		{
			name: "conda", path: []string{"/opt/conda/bin"}, want: "gmx own python python3.12",
			files: files{
				"opt/conda/bin/gmx": "+", "opt/conda/bin/openssl": "+", "opt/conda/bin/python3.12": "+", "opt/conda/bin/python": "->python3.12",
				"opt/conda/bin/own": "+", "opt/conda/bin/blastn": "+", "opt/conda/conda-meta/history": "==> 2026-01-01 00:00:00 <==\n# cmd: conda install\n" +
					"+conda-forge::openssl-3\n# update specs: ['conda-forge::gromacs[version=2021]', \"Python>=3.9\", 'blast']\n# remove specs: ['blast']\n",
				"opt/conda/conda-meta/gromacs-2021.json": `{"name":"gromacs","files":["bin/gmx","share/gromacs/top"]}`,
				"opt/conda/conda-meta/openssl-3.json":    `{"name":"openssl","files":["bin/openssl"]}`,
				"opt/conda/conda-meta/blast-2.json":      `{"name":"blast","files":["bin/blastn"]}`,
				"opt/conda/conda-meta/python-3.json":     `{"name":"python","files":["bin/python","bin/python3.12"]}`,
			},
		},
		{name: "no data base", files: files{"bin/busybox": "+", "bin/ls": "->busybox", "opt/app/bin/app": "+"}, want: "app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path
			if path == nil {
				path = usual()
			}
			commands, notes, err := tt.files.image(t).Beyond(path)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Fields(tt.want)
			slices.Sort(want)
			if diff := cmp.Diff(want, commands); diff != "" && len(want)+len(commands) > 0 {
				t.Errorf("Beyond(%q), -want +got:\n%s", path, diff)
			}
			if got := strings.Join(notes, "\n"); got != tt.notes {
				t.Errorf("Beyond(%q) notes %q, want %q", path, got, tt.notes)
			}
		})
	}
}

func TestRpm(t *testing.T) {
	img := files{
		"usr/lib/sysimage/rpm/rpmdb.sqlite": "", "var/lib/rpm": "->../../usr/lib/sysimage/rpm", "bin": "->usr/bin",
		"usr/bin/bash": "+", "usr/bin/gmx": "+", "usr/bin/mpirun": "+", "usr/bin/ls": "+", "usr/bin/tool": "+", "usr/bin/curl": "+",
	}.image(t)
	const answer = `Pbash
Rlibc.so.6(GLIBC_2.34)(64bit)
Rrpmlib(CompressedFileNames)
Vbash
V/bin/sh
F/bin/bash
Pcoreutils-single
F/usr/bin/ls
Pgromacs
Rlibmpi.so.40()(64bit)
R((mpi-tools or mpich) if openmpi)
F/usr/bin/gmx
Popenmpi
Vlibmpi.so.40()(64bit)
Rgromacs
F/usr/bin/mpirun
Pmpi-tools
F/usr/bin/tool
Pcurl
F/usr/bin/curl
`
	var asked []string
	img.Rpm = func(args ...string) ([]byte, error) {
		asked = args
		return []byte(answer), nil
	}
	got, notes, err := img.Beyond(usual())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"gmx", "mpirun"}, got); diff != "" || len(notes) > 0 {
		t.Errorf("Beyond, -want +got, notes %q:\n%s", notes, diff)
	}
	if len(asked) == 0 || asked[0] != "-qa" {
		t.Errorf("rpm was asked %q", asked)
	}
}

func TestFind(t *testing.T) {
	img := debian().image(t)
	for _, tt := range []struct{ command, want string }{
		{"ls", "/usr/bin/ls"},
		{"awk", "/usr/bin/mawk"},
		{"app", "/opt/app/bin/app"},
		{"notes", ""},
		{"loop", ""},
		{"broken", ""},
		{"gone", ""},
		{"useradd", "/usr/sbin/useradd"},
		{"..", ""},
		{"", ""},
	} {
		if got := img.Find(usual(), tt.command); got != tt.want {
			t.Errorf("Find(%q) = %q, want %q", tt.command, got, tt.want)
		}
	}
}
