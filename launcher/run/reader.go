package run

import (
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// reader is what reads the SquashFS of the SIF: the kernel, where that is to be tried, else squashfuse_ll, else we.
type reader struct {
	kernel     bool
	squashfuse string // path of the program; "": we
}

const squashfuseLL = "squashfuse_ll"

// squashfusePlaces are where the node's own squashfuse_ll is, before the caller's PATH is asked. Apptainer brings one with it.
var squashfusePlaces = []string{ //nolint:gochecknoglobals // a constant list
	"/usr/bin", "/usr/local/bin", "/usr/libexec/apptainer/bin", "/usr/local/libexec/apptainer/bin",
}

// reader settles who reads the image, as far as that can be known before it is tried. What was asked for by name and cannot be had is an
// error.
func (p *Plan) reader() (reader, error) {
	switch p.SquashFS {
	case option.BuiltIn:
		return reader{}, nil
	case option.SquashfuseLL:
		program := findSquashfuse(squashfuseLL)
		if program == "" {
			return reader{}, fault.New(fault.Engine, "using squashfuse_ll: it is neither in %v nor in PATH", squashfusePlaces).
				Hint("install squashfuse, or leave --squashfs out: hpc3 reads images itself")
		}
		return reader{squashfuse: program}, nil
	case option.KernelsDriver:
		if why := p.kernelWhyNot(); why != "" {
			return reader{}, noKernel(why)
		}
		return reader{kernel: true}, nil
	}
	return reader{kernel: p.kernelWhyNot() == "", squashfuse: findSquashfuse(squashfuseLL)}, nil
}

// name is what reads the image, for a message.
func (r reader) name(byKernel bool) string {
	switch {
	case byKernel:
		return "the kernel"
	case r.squashfuse != "":
		return filepath.Base(r.squashfuse)
	}
	return "hpc3"
}

func noKernel(why string) error {
	return fault.New(fault.Engine, "mounting the image by the kernel's driver: %s", why).
		Hint("leave --squashfs out: hpc3 reads images itself, over FUSE")
}

// findSquashfuse returns the path of a program of squashfuse's; "" for none.
func findSquashfuse(name string, morePlaces ...string) string {
	for _, dir := range slices.Concat(squashfusePlaces, morePlaces) {
		program := filepath.Join(dir, name)
		if unix.Access(program, unix.X_OK) == nil {
			return program
		}
	}
	program, err := exec.LookPath(name)
	if err != nil || !filepath.IsAbs(program) {
		return ""
	}
	return program
}

// kernelWhyNot says why the kernel is not to read the image: its driver is no guard against an image made to harm it, so that only root may
// have it, on what hpc3 itself has converted into a place where nobody but root writes.
func (p *Plan) kernelWhyNot() string {
	switch {
	case !canMount():
		return "only root may, and this is not root with its capabilities"
	case !p.Cached:
		return "only SIFs that hpc3 itself has put into a cache are trusted"
	}
	if path := writableByOthers(p.SIF); path != "" {
		return "others than root may write " + path
	}
	return ""
}

// writableByOthers returns the first of a file and the directories above it that somebody other than root could change; "" for none.
func writableByOthers(file string) string {
	path, err := filepath.EvalSymlinks(file)
	if err != nil {
		return file
	}
	for {
		var s unix.Stat_t
		if err := unix.Lstat(path, &s); err != nil || s.Uid != 0 || s.Mode&0o022 != 0 {
			return path
		}
		if path == "/" {
			return ""
		}
		path = filepath.Dir(path)
	}
}
