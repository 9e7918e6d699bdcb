package floor

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/programs"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// baseline is the level that a distribution is built for, from a release on.
type baseline struct {
	ids     []string // ID of os-release
	release int      // the first part of VERSION_ID
	level   int
}

// baselines are those above x86-64-v1, the latest of a distribution first. Sources: Red Hat's
// "Building Red Hat Enterprise Linux 9 for the x86-64-v2 microarchitecture level" and the release
// notes of 10, whose rebuilds are built as it is; Amazon Linux 2023's "Instance types"; SUSE's
// release notes of 16.0. Fedora, Debian and Ubuntu are v1.
//
//nolint:gochecknoglobals // a constant table
var baselines = []baseline{
	{[]string{"rhel", "centos", "almalinux", "rocky", "ol"}, 10, 3},
	{[]string{"rhel", "centos", "almalinux", "rocky", "ol"}, 9, 2},
	{[]string{"sles", "sle-micro", "opensuse-leap"}, 16, 2},
	{[]string{"amzn"}, 2022, 2},
}

// maxRelease is more than os-release has.
const maxRelease = 64 << 10

// distribution reads what the distribution is built for. The architecture of its packages says more
// than its release: AlmaLinux 10 has a build for x86-64-v2 as well.
func (f *finder) distribution() {
	if level, ok := f.rpmLevel(); ok && level > 1 {
		f.level(level, "the architecture of its packages is x86_64_v%d", level)
		return
	}
	raw := f.read("/etc/os-release", maxRelease)
	if raw == nil {
		raw = f.read("/usr/lib/os-release", maxRelease)
	}
	is := facts.ParseOSRelease(string(raw))
	major, _, _ := strings.Cut(is.VersionID, ".")
	release, err := strconv.Atoi(major)
	if err != nil {
		return
	}
	for _, b := range baselines {
		if slices.Contains(b.ids, is.ID) && release >= b.release {
			f.level(b.level, "%s %d is built so", is.ID, release)
			return
		}
	}
}

// rpmPlaces are the files of rpm's data base: of sqlite, ndb and Berkeley DB.
//
//nolint:gochecknoglobals // a constant list
var rpmPlaces = []string{
	"/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite", "/usr/share/rpm/rpmdb.sqlite",
	"/usr/lib/sysimage/rpm/Packages.db", "/var/lib/rpm/Packages.db", "/var/lib/rpm/Packages",
}

// Bounds of the search in rpm's data base. The first package that is no noarch decides, and it is
// among the first dozen of any distribution.
const (
	maxSearched = 8 << 20
	searchPiece = 128 << 10
)

// rpmMark is where a header of rpm has the architecture of a package for x86-64: the string of the
// tag 1021, OS, and then that of 1022, ARCH. No format of the data base compresses them.
const rpmMark = "\x00linux\x00x86_64"

// rpmLevel returns the level in the architecture of the first package for x86-64, as x86_64_v2.
func (f *finder) rpmLevel() (level int, ok bool) {
	for _, place := range rpmPlaces {
		r, _ := f.open(place)
		if r == nil {
			continue
		}
		buf := make([]byte, 0, searchPiece+len(rpmMark)+4)
		for read := 0; read < maxSearched; read += searchPiece {
			kept := buf[max(0, len(buf)-len(rpmMark)-4):]
			buf = append(buf[:0], kept...)
			n, err := io.ReadFull(r, buf[len(buf):len(buf)+searchPiece])
			buf = buf[:len(buf)+n]
			if at := bytes.Index(buf, []byte(rpmMark)); at >= 0 && at+len(rpmMark)+4 <= len(buf) {
				return rpmArchitecture(buf[at+len(rpmMark):])
			}
			if err != nil {
				break
			}
		}
	}
	return 0, false
}

// rpmArchitecture reads what follows "x86_64" in an architecture: nothing, or "_v2" to "_v4".
func rpmArchitecture(rest []byte) (level int, ok bool) {
	switch {
	case rest[0] == 0:
		return 1, true
	case string(rest[:2]) == "_v" && rest[2] >= '2' && rest[2] <= '4' && rest[3] == 0:
		return int(rest[2] - '0'), true
	}
	return 0, false
}

// supports are the packages of Debian's source isa-support, which refuse to be installed where the
// CPU lacks something, and so stand in the dependencies of packages that need it.
//
//nolint:gochecknoglobals // a constant table
var supports = map[string]string{
	"sse3-support": "sse3", "ssse3-support": "ssse3", "sse4.1-support": "sse4_1",
	"sse4.2-support": "sse4_2",
}

// packages reads what Debian's package data base says: packages that need a feature, and those that
// Ubuntu has built for a level.
func (f *finder) packages() {
	installed, needing, built := map[string]bool{}, map[string]string{}, map[int]int{}
	err := programs.Image{FS: f.fs}.Packages(func(p programs.Package) {
		installed[p.Name] = installed[p.Name] || supports[p.Name] != ""
		if level, ok := strings.CutPrefix(p.Variant, "amd64v"); ok {
			if n, err := strconv.Atoi(level); err == nil && n >= 2 && n <= 4 {
				built[n]++
			}
		}
		for _, need := range p.Needs {
			if supports[need] != "" && (needing[need] == "" || p.Name < needing[need]) {
				needing[need] = p.Name
			}
		}
	})
	if err != nil {
		f.failed(err)
	}
	for level, count := range built {
		f.level(level, "%d of its packages are built for amd64v%d", count, level)
	}
	for support, word := range supports {
		switch by := needing[support]; {
		case !installed[support]: // at most an alternative
		case by == "":
			f.show(word, "its package %s says so", support)
		default:
			f.show(word, "its package %s depends on %s", name(by), support)
		}
	}
}

// open returns a regular file of the image, and where that is; nil if there is none.
func (f *finder) open(file string) (*io.SectionReader, squashfs.Ref) {
	ref, err := f.fs.Resolve(file)
	if err != nil {
		return nil, ref
	}
	a, err := f.fs.Stat(ref)
	if err != nil || a.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, ref
	}
	open, err := f.fs.OpenFile(ref)
	if err != nil {
		f.failed(err)
		return nil, ref
	}
	return io.NewSectionReader(open, 0, int64(a.Size)), ref
}

// read returns the content of a small file of the image; nil if there is none.
func (f *finder) read(file string, limit int64) []byte {
	r, _ := f.open(file)
	if r == nil || r.Size() > limit {
		return nil
	}
	raw, err := io.ReadAll(r)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.failed(err)
	}
	return raw
}
