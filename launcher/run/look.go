package run

import (
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
	"github.com/hpc3-project/hpc3/probe"
)

// image is what looking into the SIF before the start tells. The zero value is an image that could not be looked into.
type image struct {
	known bool
	fs    *squashfs.FS // open until exec
	file  *os.File     // of fs
	bash  string       // "" = none
	sh    string
	lacks []string // of the locales that were asked for
}

// bare tells whether the image is known to have no shell.
func (i image) bare() bool { return i.known && i.sh == "" && i.bash == "" }

// shell is what the user database and SHELL say.
func (i image) shell() string {
	if i.bash != "" {
		return i.bash
	}
	return "/bin/sh"
}

// anyShell is what runs a script of ours, in an image that is not bare.
func (i image) anyShell() string {
	if i.known && i.sh == "" {
		return i.bash
	}
	return "/bin/sh"
}

// look finds the shells of an image, and which of the wanted locales it lacks.
func (p *Plan) look() (image, error) {
	f, err := outside.Open(p.SIF)
	if err != nil {
		return image{}, fault.New(fault.Engine, "opening the image: %w", err)
	}
	img, err := openImage(f, p.PartitionOffset, p.Sums)
	if err != nil {
		defer f.Close()
		if p.Aside.Name == "" {
			return image{}, fault.New(fault.Engine, "opening the image in %s: %w", p.SIF, err).Hint("make or fetch it anew")
		}
		return image{}, damagedImage(p.SIF, f, p.Aside, err)
	}
	found := image{known: true, fs: img, file: f, lacks: lackedLocales(img, localesOf(p.HostEnv))}
	for _, path := range []string{"/bin/bash", "/usr/bin/bash"} {
		if found.bash == "" && executable(img, path) {
			found.bash = path
		}
	}
	if executable(img, "/bin/sh") {
		found.sh = "/bin/sh"
	}
	return found, nil
}

// checkImage is the error about an image whose checksums have shown damage while it was looked into.
func (p *Plan) checkImage(img image) error {
	if img.fs == nil || img.fs.Damage() == nil {
		return nil
	}
	return damagedImage(p.SIF, img.file, p.Aside, img.fs.Damage())
}

// has tells whether the image has something at a path.
func (i image) has(path string) bool {
	_, there := i.mode(path)
	return there
}

// read returns a file of the image; nil where there is none, or none of a size that is worth it.
func (i image) read(path string, limit int64) []byte {
	if i.fs == nil {
		return nil
	}
	ref, err := i.fs.Resolve(path)
	if err != nil {
		return nil
	}
	a, err := i.fs.Stat(ref)
	if err != nil || a.Mode&unix.S_IFMT != unix.S_IFREG || int64(a.Size) > limit {
		return nil
	}
	raw := make([]byte, a.Size)
	if _, err := i.fs.ReadAt(ref, raw, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return raw
}

// libc finds what the programs of the image are linked with.
func (i image) libc() device.Libc {
	var found device.Libc
	if i.fs == nil {
		return found
	}
	for _, dir := range probe.LibraryDirs(runtime.GOARCH) {
		dir = "/" + dir
		if ref, err := i.fs.Resolve(dir + "/libc.so.6"); err == nil {
			minor, err := probe.GlibcDefined(fileIn{i.fs, ref}, runtime.GOARCH)
			if err == nil {
				return device.Libc{Dir: dir, Minor: minor}
			}
		}
		found.Musl = found.Musl || hasMusl(i.fs, dir)
	}
	return found
}

// fileIn is a file of an image.
type fileIn struct {
	img *squashfs.FS
	ref squashfs.Ref
}

func (f fileIn) ReadAt(p []byte, off int64) (int, error) { return f.img.ReadAt(f.ref, p, off) }

func executable(img *squashfs.FS, path string) bool {
	ref, err := img.Resolve(path)
	if err != nil {
		return false
	}
	a, err := img.Stat(ref)
	return err == nil && a.Mode&unix.S_IFMT == unix.S_IFREG && a.Mode&0o111 != 0
}

// Possible tells what is wrong with what was asked for that needs no image to see, so that none is fetched in vain. Of the plan it reads
// Mounts, Cwd, KeepPrivs, Entrypoint and Command.
func (p Plan) Possible() error {
	switch {
	case p.Entrypoint == option.None && len(p.Command) == 0:
		return noCommand()
	case p.KeepPrivs && os.Geteuid() != 0:
		return fault.New(fault.Usage, "--keep-privs: only root has privileges to keep").Hint("leave it out")
	}
	return p.checkMounts()
}

// checkMounts refuses a bind whose source is not there, before anything is set up. Sources become absolute.
func (p *Plan) checkMounts() error {
	p.Mounts = slices.Clone(p.Mounts)
	for i, m := range p.Mounts {
		if covers(m.Source, m.Target) {
			return fault.New(fault.Mount, "binding %s over %s: the container would not work", m.Source, m.Target).Hint("bind to a directory below it")
		}
		if m.Source == option.Tmpfs {
			continue
		}
		if !strings.HasPrefix(m.Source, "/") {
			p.Mounts[i].Source = p.Cwd + "/" + m.Source
		}
		if _, err := os.Stat(p.Mounts[i].Source); err != nil {
			err = fault.Reason(err)
			return fault.New(fault.Mount, "binding %s: %w", m.Source, err).Hint("the source of a bind must exist on this node")
		}
	}
	return nil
}
