// Package probe finds out what a node is: its CPU, GPUs, fabric and MPI. It reads the machine on
// which it runs, or the record of another one.
package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// Options says how to probe. The zero value reads this machine.
type Options struct {
	Root    string              // of a recorded node: holds /proc, /sys …; empty: this machine
	Labels  []string            // the site's words for the node
	Helper  string              // hpc3-gpu; empty: beside the executable or in ../libexec/hpc3
	Env     func(string) string // for visible GPUs and directories of MPI; nil: empty
	Answers Answers             // keeps those of the helper; nil: none are kept
}

// Answers keeps what took time to find out. A name is a single path element, and covers everything
// that its answer depends on.
type Answers interface {
	Answer(name string) []byte // nil for none
	KeepAnswer(name string, raw []byte) error
}

// Node returns the facts of a node. What could not be found out is in Unknown; an error is returned
// only if nothing is known about the CPU, as for a recorded node without /proc/cpuinfo.
func Node(ctx context.Context, opt Options) (facts.Node, error) {
	n := facts.Node{
		SchemaVersion: facts.SchemaVersion, OS: "linux", Arch: runtime.GOARCH,
		Labels: sorted(opt.Labels),
	}
	p := prober{node: &n, fsys: os.DirFS("/"), env: opt.Env}
	if p.env == nil {
		p.env = func(string) string { return "" }
	}
	if opt.Root != "" {
		root, err := openRecorded(opt.Root)
		if err != nil {
			return facts.Node{}, err
		}
		defer func() { _ = root.Close() }() // it was only read from
		p.fsys, p.recorded = recorded{root.FS()}, true
		p.env = func(string) string { return "" } // this machine's says nothing about another
	}
	if err := p.cpu(); err != nil {
		return facts.Node{}, err
	}
	n.Kernel, n.Hostname = p.kernel(), p.hostname()
	p.osRelease()
	p.glibc()
	p.fabric()
	p.mpi()
	p.nvidia(ctx, opt)
	p.amd()
	p.intel()
	p.container()
	return n, nil
}

// prober gathers the facts of one node.
type prober struct {
	node     *facts.Node
	fsys     fs.FS // root of the node
	recorded bool  // fsys is not this machine's
	env      func(string) string
}

// cannotTell records a fact that could not be found out.
func (p *prober) cannotTell(what, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	p.node.Unknown = append(p.node.Unknown, facts.Unknown{What: what, Why: why})
}

func (p *prober) cpu() error {
	cpu := &p.node.CPU
	if p.recorded {
		var err error
		if *cpu, p.node.Arch, err = recordedCPU(p.fsys); err != nil {
			return err
		}
	} else {
		var unknown []facts.Unknown
		*cpu, unknown = nativeCPU(p.fsys)
		p.node.Unknown = append(p.node.Unknown, unknown...)
	}
	if slices.Contains(cpu.Features, "sve") {
		cpu.SVEBits = p.sveBits()
	}
	cpu.Compatible = facts.Compatible(*cpu, facts.FamilyOf(p.node.Arch))
	return nil
}

// sveBits returns the length of SVE's vectors: this process's, or that with which the node starts
// programs. 0 if neither can be read.
func (p *prober) sveBits() int {
	if !p.recorded {
		if bits := ownSVEBits(); bits > 0 {
			return bits
		}
	}
	bytes, err := strconv.ParseUint(p.line("proc/sys/abi/sve_default_vector_length"), 10, 16)
	if err != nil {
		return 0
	}
	return int(bytes) * 8
}

// ownSVEBits asks the kernel for the length of this process's SVE vectors; 0 without SVE.
func ownSVEBits() int {
	const getVL, lengthMask = 51, 0xffff // PR_SVE_GET_VL, PR_SVE_VL_LEN_MASK of linux/prctl.h
	answer, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, getVL, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(answer&lengthMask) * 8
}

// kernel returns the release, as uname -r prints it.
func (p *prober) kernel() string {
	if release := p.line("proc/sys/kernel/osrelease"); release != "" {
		return release
	}
	// "Linux version 6.1.0-13-amd64 (…"
	if words := strings.Fields(p.line("proc/version")); len(words) > 2 && words[1] == "version" {
		return words[2]
	}
	return ""
}

func (p *prober) hostname() string {
	for _, name := range []string{"proc/sys/kernel/hostname", "etc/hostname"} {
		if host := p.line(name); host != "" {
			return host
		}
	}
	return ""
}

// line returns the first line of a file of the node, trimmed; empty without the file.
func (p *prober) line(name string) string {
	text, err := readFile(p.fsys, name, maxSmall)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(first)
}

// exists reports whether a file of the node exists.
func (p *prober) exists(name string) bool {
	_, err := fs.Stat(p.fsys, name)
	return err == nil
}

// list returns the sorted names in a directory of the node; none if it cannot be read.
func (p *prober) list(dir string) []string {
	entries, err := fs.ReadDir(p.fsys, dir)
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// sorted returns the distinct words in order.
func sorted(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}

// maxSmall limits files of /proc and /sys with a few lines; the kernel gives them a page.
const maxSmall = 1 << 16

// readFile returns the text of a file, limit bytes at most.
func readFile(fsys fs.FS, name string, limit int64) (string, error) {
	raw, err := readBytes(fsys, name, limit)
	return string(raw), err
}

// readBytes is readFile without a copy of the bytes.
func readBytes(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	raw, err := readUpTo(f, limit)
	return raw, errors.Join(err, f.Close())
}

func readUpTo(f fs.File, limit int64) ([]byte, error) {
	size := int64(512) // files of /proc state none
	if info, err := f.Stat(); err == nil {
		size = min(max(size, info.Size()+1), limit)
	}
	raw := make([]byte, 0, size)
	for {
		n, err := f.Read(raw[len(raw):min(int64(cap(raw)), limit)])
		raw = raw[:len(raw)+n]
		switch {
		case errors.Is(err, io.EOF), err == nil && int64(len(raw)) == limit:
			return raw, nil
		case err != nil:
			return raw, err
		case len(raw) == cap(raw):
			raw = slices.Grow(raw, len(raw))
		}
	}
}

// readCPUInfo returns /proc/cpuinfo up to the end of its first block; ARM's whole, since its cores
// may differ. For the block of an x86 core the kernel asks that core, which costs an interrupt.
func readCPUInfo(fsys fs.FS) (string, error) {
	f, err := fsys.Open("proc/cpuinfo")
	if err != nil {
		return "", err
	}
	var text []byte
	piece := make([]byte, 4096)
	for err == nil && len(text) < maxCPUInfo && !endsBlock(text) {
		var n int
		n, err = f.Read(piece)
		text = append(text, piece[:n]...)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(text), errors.Join(err, f.Close())
}

// endsBlock reports whether the text holds all of /proc/cpuinfo that is needed.
func endsBlock(text []byte) bool {
	return bytes.Contains(bytes.TrimLeft(text, "\n"), []byte("\n\n")) &&
		!bytes.Contains(text, []byte("CPU implementer"))
}
