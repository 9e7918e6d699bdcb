package probe

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// libraryDirs returns where the dynamic linker of an architecture looks, relative to the root, the likelier first.
func libraryDirs(arch string) []string {
	triplets := map[string]string{
		"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu", "ppc64le": "powerpc64le-linux-gnu", "riscv64": "riscv64-linux-gnu",
	}
	dirs := []string{"lib64", "usr/lib64"}
	if triplet, ok := triplets[arch]; ok {
		dirs = append(dirs, "lib/"+triplet, "usr/lib/"+triplet)
	}
	return append(dirs, "lib", "usr/lib")
}

// glibc sets the version of the C library of the node.
func (p *prober) glibc() {
	const soname = "libc.so.6"
	dirs, seen := libraryDirs(p.node.Arch), false
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

// errForeign says that a library is of another architecture: /lib holds the 32-bit ones on a multilib system.
var errForeign = errors.New("library of another architecture")

// glibcVersion returns the highest version of symbols that a libc.so.6 defines, which is its own: "2.36". That works on any root and
// for any architecture, where ldd --version would have to be run.
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
	file, err := elf.NewFile(r)
	if err != nil {
		return "", err
	}
	if file.Machine != machineOf(arch) || file.Class != elf.ELFCLASS64 {
		return "", errForeign
	}
	defined, err := file.DynamicVersions()
	if err != nil {
		return "", err
	}
	highest := -1
	for _, v := range defined {
		highest = max(highest, glibcMinor(v.Name))
	}
	if highest < 0 {
		return "", fmt.Errorf("it defines no GLIBC_2 version")
	}
	return fmt.Sprintf("2.%d", highest), nil
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
