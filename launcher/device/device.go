// Package device decides which of a node's devices a container gets: a small /dev, GPUs with the
// driver's libraries, the fabric, and the places where a launcher of MPI leaves its sockets.
package device

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Ask holds what the decision depends on.
type Ask struct {
	Root     string   // the node's, "/"
	Arch     string   // of the node, as Go names it
	Terminal string   // the caller's, a path in /dev; "" = none
	Places   []string // MPI's directories that no variable names
	Client   *Client  // Slurm's, for the container; nil for none

	Lookup   func(name string) (value string, set bool) // a variable of the command
	Libc     func() Libc                                // of the image; called if needed
	ImageHas func(path string) bool                     // a file; nil: not known

	// What the image has; nil: not known.
	ImageList func(dir string) []string     // the names in a directory
	ImageOpen func(file string) io.ReaderAt // a regular file; nil if it is none
	CUDA      string                        // what the image's cuda-compat has to bring; "" = none
	Libraries string                        // the command's LD_LIBRARY_PATH

	names   []string                // the node's, in /dev
	refused func(path string) error // why a device may not be opened; tests set it
}

// Libc is the C library of an image.
type Libc struct {
	Dir   string // of libc.so.6, in which the loader looks for libraries; "" = no glibc
	Minor int    // of glibc 2.N
	Musl  bool
}

// Kind is the way in which something gets into a container.
type Kind string

// The kinds.
const (
	Bind    Kind = ""       // a file or directory of the node
	Tmpfs   Kind = "tmpfs"  // an empty file system, Source is its options
	Devpts  Kind = "devpts" // the container's own terminals, likewise
	Symlink Kind = "link"   // to Source
)

// Console is the name that the caller's terminal has in a container.
const Console = "/dev/console"

// Mount is one thing for the container. It is skipped if it is missing on the node.
type Mount struct {
	Kind           Kind
	Source, Target string
	ReadOnly       bool
	Sealed         bool // read-only once everything is in it
}

// Found is what goes into a container, in this order.
type Found struct {
	Mounts   []Mount
	Dirs     []string // of the node, for the same path in the container
	Env      []string // NAME=VALUE, unless the caller has set NAME
	Client   []Mount  // Slurm's client
	NVIDIA   bool     // it gets NVIDIA GPUs
	Compat   string   // a directory of the image for the front of LD_LIBRARY_PATH; "" = none
	Unmet    string   // why the container lacks what the choice relies on; "" if it does not
	Notes    []string // details, for --verbose
	Warnings []string // for everyone
}

// Find decides what the container gets of the node.
func Find(a Ask) Found {
	if a.refused == nil {
		a.refused = func(path string) error {
			return unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
		}
	}
	a.Libc = sync.OnceValue(a.Libc)
	entries, _ := os.ReadDir(a.at("/dev")) // an unreadable /dev counts as empty
	for _, e := range entries {
		a.names = append(a.names, e.Name())
	}
	f := Found{Mounts: a.base()}
	a.fabric(&f)
	a.otherGPUs(&f)
	a.nvidiaGPUs(&f)
	a.compat(&f)
	a.mpi(&f)
	a.slurm(&f)
	return f
}

func (a *Ask) getenv(name string) string {
	value, _ := a.Lookup(name)
	return value
}

// at returns where a path of the node is.
func (a *Ask) at(path string) string { return filepath.Join(a.Root, path) }

func (a *Ask) exists(path string) bool {
	_, err := os.Stat(a.at(path))
	return err == nil
}

// nodes returns the paths of the node that match one of the patterns, without the devices that the
// job's cgroup hides. It opens nothing: opening a GPU can take seconds.
func (a *Ask) nodes(patterns ...string) []string {
	var found []string
	for _, pattern := range patterns {
		if !a.mayMatch(pattern) {
			continue
		}
		paths, _ := filepath.Glob(a.at(pattern)) // the patterns are ours, and well formed
		for _, p := range paths {
			if a.allowed(p) {
				found = append(found, "/"+strings.TrimPrefix(strings.TrimPrefix(p, a.Root), "/"))
			}
		}
	}
	return found
}

// mayMatch reports whether /dev may hold a match for a pattern. Most nodes have few of the devices
// looked for, and /dev is long.
func (a *Ask) mayMatch(pattern string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(pattern, "/dev/"), "/")
	return slices.ContainsFunc(a.names, func(name string) bool {
		ok, err := filepath.Match(first, name)
		return ok && err == nil
	})
}

// allowed reports whether no cgroup forbids a device. The kernel judges its mode later, and the
// user sees the result.
func (a *Ask) allowed(path string) bool {
	err := a.refused(path)
	return !errors.Is(err, unix.EPERM) && !errors.Is(err, fs.ErrNotExist)
}

// bind adds paths of the node at the same path.
func (f *Found) bind(a *Ask, paths ...string) {
	for _, p := range paths {
		f.Mounts = append(f.Mounts, Mount{Source: a.at(p), Target: p})
	}
}

func (f *Found) note(text string) { f.Notes = append(f.Notes, text) }

func (f *Found) warn(text string) {
	if !slices.Contains(f.Warnings, text) {
		f.Warnings = append(f.Warnings, text)
	}
}
