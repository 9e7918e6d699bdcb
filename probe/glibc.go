package probe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// LibraryDirs returns the directories that the dynamic linker of an architecture searches, relative
// to the root, the likelier ones first.
func LibraryDirs(arch string) []string {
	triplets := map[string]string{
		"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu",
		"ppc64le": "powerpc64le-linux-gnu", "riscv64": "riscv64-linux-gnu",
		"s390x": "s390x-linux-gnu", "loong64": "loongarch64-linux-gnu",
	}
	dirs := []string{"lib64", "usr/lib64"}
	if triplet, ok := triplets[arch]; ok {
		dirs = append(dirs, "lib/"+triplet, "usr/lib/"+triplet)
	}
	return append(dirs, "lib", "usr/lib")
}

// glibc sets the version of the node's C library.
func (p *prober) glibc() {
	const soname = "libc.so.6"
	dirs, seen := LibraryDirs(p.node.Arch), false
	for _, dir := range dirs {
		seen = seen || p.exists(dir)
		version, err := glibcVersion(p.fsys, dir+"/"+soname, p.node.Arch)
		switch {
		case err == nil:
			p.node.Glibc = version
			return
		case errors.Is(err, errForeign), errors.Is(err, fs.ErrNotExist):
		default:
			p.cannotTell("glibc", "reading /%s/%s: %v", dir, soname, err)
			return
		}
	}
	if !seen {
		p.cannotTell("glibc", "there is no directory of libraries to read it from")
	}
}

// errForeign: the library is of another architecture. On a multilib system /lib holds the 32-bit
// ones.
var errForeign = errors.New("library of another architecture")

// glibcVersion returns the highest symbol version that a libc.so.6 defines, which is its own:
// "2.36". That works on any root and for any architecture, without running ldd --version.
func glibcVersion(fsys fs.FS, name, arch string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read from
	r, ok := f.(io.ReaderAt)
	if !ok {
		return "", fmt.Errorf("%s cannot be read at an offset", name)
	}
	minor, err := GlibcDefined(r, arch)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("2.%d", minor), nil
}

// GlibcDefined returns N of the highest version GLIBC_2.N that a libc.so.6 defines.
func GlibcDefined(r io.ReaderAt, arch string) (int, error) {
	return highestGlibc(r, arch, elf.SHT_GNU_VERDEF, definitionNames)
}

// GlibcNeeded returns N of the highest version GLIBC_2.N that a program or library needs.
func GlibcNeeded(r io.ReaderAt, arch string) (int, error) {
	return highestGlibc(r, arch, elf.SHT_GNU_VERNEED, needNames)
}

// offsetsFunc returns the offsets of version names that a version section holds.
type offsetsFunc func(raw []byte, order binary.ByteOrder) []uint32

func highestGlibc(
	r io.ReaderAt, arch string, kind elf.SectionType, offsets offsetsFunc,
) (int, error) {
	names, err := symbolVersions(r, arch, kind, offsets)
	if err != nil {
		return -1, err
	}
	highest := -1
	for _, name := range names {
		highest = max(highest, glibcMinor(name))
	}
	if highest < 0 {
		return -1, fmt.Errorf("it has no GLIBC_2 version")
	}
	return highest, nil
}

// Limits of what is read: libc.so.6 has some 70 sections, 50 versions and names of 20 bytes that
// lie together.
const (
	maxSections = 4096
	maxVersions = 64 << 10
	maxName     = 32
)

// symbolVersions returns the names of the versions that a library defines or needs. It reads its
// section headers, the version section and the names; debug/elf would read much more, and takes ten
// times as long (ELF gABI; LSB, "Symbol Versioning").
func symbolVersions(
	r io.ReaderAt, arch string, kind elf.SectionType, offsets offsetsFunc,
) ([]string, error) {
	var h elf.Header64
	order, err := readHeader(r, &h)
	if err != nil {
		return nil, err
	}
	if elf.Machine(h.Machine) != machineOf(arch) ||
		elf.Class(h.Ident[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return nil, errForeign
	}
	if h.Shnum == 0 || h.Shnum > maxSections || int(h.Shentsize) != binary.Size(elf.Section64{}) {
		return nil, errNoVersions
	}
	sections := make([]elf.Section64, h.Shnum)
	table := io.NewSectionReader(r, int64(h.Shoff), int64(h.Shnum)*int64(h.Shentsize))
	if err := binary.Read(table, order, sections); err != nil {
		return nil, err
	}
	for _, s := range sections {
		if elf.SectionType(s.Type) == kind && s.Size <= maxVersions && int(s.Link) < len(sections) {
			raw := make([]byte, s.Size)
			if _, err := r.ReadAt(raw, int64(s.Off)); err != nil {
				return nil, err
			}
			return versionNames(r, int64(sections[s.Link].Off), offsets(raw, order))
		}
	}
	return nil, errNoVersions
}

var errNoVersions = errors.New("it has no versions of symbols")

// readHeader reads the header of a 64-bit ELF file; a 32-bit one has the same length up to the
// fields that are read.
func readHeader(r io.ReaderAt, h *elf.Header64) (binary.ByteOrder, error) {
	raw := make([]byte, binary.Size(h))
	if _, err := r.ReadAt(raw, 0); err != nil || string(raw[:4]) != elf.ELFMAG {
		return nil, errors.Join(errors.New("it is no ELF file"), err)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(raw[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	_, err := binary.Decode(raw, order, h)
	return order, err
}

// definitionNames returns the offset in the string table of each definition's name.
func definitionNames(raw []byte, order binary.ByteOrder) []uint32 {
	var offsets []uint32
	for at := uint64(0); at+20 <= uint64(len(raw)) && len(offsets) < maxVersions/20; {
		aux, next := uint64(order.Uint32(raw[at+12:])), uint64(order.Uint32(raw[at+16:]))
		if at+aux+4 <= uint64(len(raw)) {
			offsets = append(offsets, order.Uint32(raw[at+aux:]))
		}
		if next == 0 {
			break
		}
		at += next
	}
	return offsets
}

// needNames returns the offset of each needed version's name, from a list of libraries with a list
// of versions each.
func needNames(raw []byte, order binary.ByteOrder) []uint32 {
	var offsets []uint32
	for at := uint64(0); at+16 <= uint64(len(raw)) && len(offsets) < maxVersions/16; {
		aux := at + uint64(order.Uint32(raw[at+8:]))
		for aux+16 <= uint64(len(raw)) && len(offsets) < maxVersions/16 {
			offsets = append(offsets, order.Uint32(raw[aux+8:]))
			next := uint64(order.Uint32(raw[aux+12:]))
			if next == 0 {
				break
			}
			aux += next
		}
		next := uint64(order.Uint32(raw[at+12:]))
		if next == 0 {
			break
		}
		at += next
	}
	return offsets
}

// versionNames reads the names at these offsets of a string table. They lie side by side.
func versionNames(r io.ReaderAt, table int64, offsets []uint32) ([]string, error) {
	if len(offsets) == 0 {
		return nil, errNoVersions
	}
	low, high := slices.Min(offsets), slices.Max(offsets)
	if high-low > maxVersions {
		return nil, errors.New("the names of its versions are scattered")
	}
	raw := make([]byte, int(high-low)+maxName)
	n, err := r.ReadAt(raw, table+int64(low))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var names []string
	for _, o := range offsets {
		if at := int(o - low); at < n {
			name, _, _ := bytes.Cut(raw[at:min(n, at+maxName)], []byte{0})
			names = append(names, string(name))
		}
	}
	if len(names) == 0 {
		return nil, errNoVersions
	}
	return names, nil
}

// glibcMinor reads "GLIBC_2.17"; -1 for other names, GLIBC_PRIVATE and GLIBC_2.2.5 among them.
func glibcMinor(name string) int {
	minor, ok := strings.CutPrefix(name, "GLIBC_2.")
	if !ok {
		return -1
	}
	n, err := strconv.Atoi(minor)
	if err != nil {
		return -1
	}
	return n
}

func machineOf(arch string) elf.Machine {
	switch arch {
	case "amd64":
		return elf.EM_X86_64
	case "arm64":
		return elf.EM_AARCH64
	case "ppc64", "ppc64le":
		return elf.EM_PPC64
	case "riscv64":
		return elf.EM_RISCV
	}
	return elf.EM_NONE
}
