package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"path"
	"strings"
)

// maxCache limits ld.so.cache: one of 3000 libraries has 250 KB.
const maxCache = 16 << 20

// cachedLibraries returns the MPI and PMI libraries that the dynamic linker finds, by soname,
// relative to the root.
func (p *prober) cachedLibraries() (map[string]string, error) {
	return Libraries(p.fsys, p.node.Arch, func(soname string) bool {
		return strings.HasPrefix(soname, "libmpi") && implementationOf(soname) != "" ||
			strings.HasPrefix(soname, "libpmi") && pmiOf(soname) != ""
	})
}

// Libraries returns the libraries of an architecture that the dynamic linker of a root finds and
// that are wanted, by soname, relative to the root. If wanted is nil, all are.
func Libraries(
	fsys fs.FS, arch string, wanted func(soname string) bool,
) (map[string]string, error) {
	raw, err := readBytes(fsys, "etc/ld.so.cache", maxCache)
	if err != nil {
		return nil, err
	}
	return parseCache(raw, cacheFlags(arch), wanted)
}

// cacheFlags returns how ld.so.cache marks the libraries of an architecture (glibc,
// sysdeps/generic/ldconfig.h); 0 takes all.
func cacheFlags(arch string) uint32 {
	const libc6 = 3
	switch arch {
	case "amd64":
		return 0x0300 | libc6
	case "arm64":
		return 0x0a00 | libc6
	case "ppc64le", "ppc64":
		return 0x0500 | libc6
	}
	return 0
}

var errCache = errors.New("etc/ld.so.cache is malformed")

// parseCache reads ld.so.cache in the format of glibc 2.2 and later: paths, relative to the root,
// by soname; the first of equal sonames. If wanted is nil, all are. Offsets count from the magic,
// which an older format may precede.
func parseCache(
	raw []byte, flags uint32, wanted func(soname string) bool,
) (map[string]string, error) {
	const header, entry = 48, 24
	start := bytes.Index(raw, []byte("glibc-ld.so.cache1.1"))
	if start < 0 || len(raw)-start < header {
		return nil, errCache
	}
	raw = raw[start:]
	count := binary.LittleEndian.Uint32(raw[20:])
	if uint64(count)*entry > uint64(len(raw)-header) {
		return nil, errCache
	}
	paths := map[string]string{}
	for i := range int(count) {
		e := raw[header+i*entry:]
		if flags != 0 && binary.LittleEndian.Uint32(e) != flags {
			continue
		}
		soname, ok1 := textAt(raw, binary.LittleEndian.Uint32(e[4:]))
		name, ok2 := textAt(raw, binary.LittleEndian.Uint32(e[8:]))
		if !ok1 || !ok2 || !bytes.HasPrefix(name, []byte("/")) {
			return nil, errCache
		}
		if _, dup := paths[string(soname)]; !dup && (wanted == nil || wanted(string(soname))) {
			paths[string(soname)] = path.Clean(string(name))[1:]
		}
	}
	return paths, nil
}

// textAt returns the text at an offset, up to a NUL.
func textAt(raw []byte, offset uint32) ([]byte, bool) {
	const longest = 4096 // PATH_MAX
	if uint64(offset) >= uint64(len(raw)) {
		return nil, false
	}
	rest := raw[offset:]
	rest = rest[:min(len(rest), longest)]
	end := bytes.IndexByte(rest, 0)
	return rest[:max(end, 0)], end >= 0
}
