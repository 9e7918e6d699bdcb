package native

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// reader is what reads the SquashFS of the SIF: the kernel, if that is to be tried, then
// squashfuse_ll, then hpc3 itself.
type reader struct {
	kernel     bool
	squashfuse string // path of the program; "": we
}

// reader decides what reads the image, as far as possible before it is tried. A reader that was
// asked for by name, and is not available, is an error.
func (n *start) reader() (reader, error) {
	switch n.SquashFS {
	case option.BuiltIn:
		return reader{}, nil
	case option.SquashfuseLL:
		program := process.FindSquashfuse(process.SquashfuseLL)
		if program == "" {
			return reader{}, fault.New(fault.Engine,
				"using squashfuse_ll: it is neither in %v nor in PATH", process.SquashfusePlaces).
				Hint("install squashfuse, or leave --squashfs out: hpc3 reads images itself")
		}
		return reader{squashfuse: program}, nil
	case option.KernelsDriver:
		if why := n.kernelWhyNot(); why != "" {
			return reader{}, noKernel(why)
		}
		return reader{kernel: true}, nil
	}
	return reader{
		kernel:     n.kernelWhyNot() == "",
		squashfuse: process.FindSquashfuse(process.SquashfuseLL),
	}, nil
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

// kernelWhyNot says why the kernel is not to read the image. Its driver does not guard against an
// image made to harm it. So only root may use it, for images that hpc3 itself has converted, in a
// place that only root can write to.
func (n *start) kernelWhyNot() string {
	switch {
	case !CanMount():
		return "only root may, and this is not root with its capabilities"
	case !n.Cached:
		return "only SIFs that hpc3 itself has put into a cache are trusted"
	}
	if path := writableByOthers(n.SIF); path != "" {
		return "others than root may write " + path
	}
	return ""
}

// writableByOthers returns the first of a file and the directories above it that anyone but root
// can change; "" if there is none.
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
