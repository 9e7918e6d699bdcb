// Package device settles what of a node's devices goes into a container: a small /dev, GPUs with the driver's libraries, the fabric, and
// the places where a launcher of MPI leaves its sockets.
package device

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Ask is what decides.
type Ask struct {
	Root     string                                     // the node's, "/"
	Arch     string                                     // of the node, as Go names it
	Lookup   func(name string) (value string, set bool) // a variable of the command
	Terminal string                                     // the caller's, a path in /dev; "" for none
	Places   []string                                   // of MPI, that no variable names
	Libc     func() Libc                                // of the image; asked only where libraries of the node are to be bound
	Client   *Client                                    // Slurm's, for the container; nil for none
	ImageHas func(path string) bool                     // tells whether the image has a file; nil: not known
	names    []string                                   // in /dev of the node
	refused  func(path string) error                    // asks whether a device may be opened; tests set it
}

// Libc is what programs of an image are linked with.
type Libc struct {
	Dir   string // where its libc.so.6 lies, a directory that its loader looks into; "" = no glibc
	Minor int    // of glibc 2.N
	Musl  bool
}

// Kind is how something gets into a container.
type Kind string

// The kinds.
const (
	Bind    Kind = ""       // a file or directory of the node
	Tmpfs   Kind = "tmpfs"  // an empty file system, Source is its options
	Devpts  Kind = "devpts" // terminals of the container's own, likewise
	Symlink Kind = "link"   // to Source
)

// Console is the name that the caller's terminal has in a container.
const Console = "/dev/console"

// Mount is one thing for the container. What is missing on the node is passed over.
type Mount struct {
	Kind           Kind
	Source, Target string
	ReadOnly       bool
	Sealed         bool // of the system: read-only once all is in it
}

// Found is what goes into a container, in this order.
type Found struct {
	Mounts   []Mount
	Dirs     []string // directories of the node that are to be at their own path
	Env      []string // NAME=VALUE, where the caller has set nothing else
	Client   []Mount  // of Slurm
	NVIDIA   bool     // there are NVIDIA GPUs for it
	Notes    []string // for who wants to know more
	Warnings []string // for everyone
}

// Find looks at the node.
func Find(a Ask) Found {
	if a.refused == nil {
		a.refused = func(path string) error {
			return unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
		}
	}
	a.Libc = sync.OnceValue(a.Libc)
	entries, _ := os.ReadDir(a.at("/dev")) // what cannot be read is not there
	for _, e := range entries {
		a.names = append(a.names, e.Name())
	}
	f := Found{Mounts: a.base()}
	a.fabric(&f)
	a.otherGPUs(&f)
	a.nvidia(&f)
	a.mpi(&f)
	a.slurm(&f)
	return f
}

func (a *Ask) getenv(name string) string {
	value, _ := a.Lookup(name)
	return value
}

// at is where a path of the node is.
func (a *Ask) at(path string) string { return filepath.Join(a.Root, path) }

func (a *Ask) exists(path string) bool {
	_, err := os.Stat(a.at(path))
	return err == nil
}

// nodes returns the paths of the node that match one of the patterns, less those devices that the job's cgroup hides. Nothing is opened:
// opening a GPU can take seconds.
func (a *Ask) nodes(patterns ...string) []string {
	var found []string
	for _, pattern := range patterns {
		if !a.mayMatch(pattern) {
			continue
		}
		paths, _ := filepath.Glob(a.at(pattern)) // the patterns are ours, and well formed
		for _, p := range paths {
			if a.open(p) {
				found = append(found, "/"+strings.TrimPrefix(strings.TrimPrefix(p, a.Root), "/"))
			}
		}
	}
	return found
}

// mayMatch tells whether /dev holds anything for a pattern. Most nodes have little of what is looked for, and /dev is long.
func (a *Ask) mayMatch(pattern string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(pattern, "/dev/"), "/")
	return slices.ContainsFunc(a.names, func(name string) bool {
		ok, err := filepath.Match(first, name)
		return ok && err == nil
	})
}

// open tells whether no cgroup forbids a device. What its mode says is left to the kernel, and to the user to see.
func (a *Ask) open(path string) bool {
	err := a.refused(path)
	return !errors.Is(err, unix.EPERM) && !errors.Is(err, fs.ErrNotExist)
}

// bind adds paths of the node at their own place.
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
