package fetch

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// archive is the files in a tar file, found by a table of their offsets: nothing is unpacked.
type archive struct {
	f     *os.File
	at    map[string]section
	links map[string]string // symlinks, of old docker archives
}

type section struct{ offset, size int64 }

// maxArchiveEntries bounds the table: an archive of one image has a few files for each layer.
const maxArchiveEntries = 1 << 20

func openArchive(ctx context.Context, ref oci.Reference, opt Options) (*archive, error) {
	f, err := outside.Open(ref.Path)
	if err != nil {
		return nil, localError(ref, err)
	}
	if f, err = unpacked(ctx, ref, f, opt); err != nil {
		return nil, err
	}
	a := &archive{f: f, at: map[string]section{}, links: map[string]string{}}
	if err := a.scan(); err != nil {
		_ = f.Close() // opened for reading
		return nil, oci.ErrUnusable.New("reading %s: %w", ref, err).
			Hint("it is damaged or was not written to the end; copy or save it anew")
	}
	return a, nil
}

func (a *archive) scan() error {
	for r := tar.NewReader(a.f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			if len(a.at) == 0 {
				return errors.New("it is no tar archive, or an empty one")
			}
			return nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it is cut short")
		}
		if err != nil {
			return err
		}
		if len(a.at) > maxArchiveEntries {
			return fmt.Errorf("it holds more than %d files", maxArchiveEntries)
		}
		name := path.Clean("/" + h.Name)
		switch h.Typeflag {
		case tar.TypeSymlink, tar.TypeLink:
			target := h.Linkname
			if h.Typeflag == tar.TypeSymlink {
				target = path.Join(path.Dir(name), target)
			}
			a.links[name] = path.Clean("/" + target)
		case tar.TypeReg:
			offset, err := a.f.Seek(0, io.SeekCurrent) // the reader keeps no bytes back
			if err != nil {
				return err
			}
			a.at[name] = section{offset, h.Size}
		}
	}
}

func (a *archive) open(name string) (io.ReadCloser, int64, error) {
	name = path.Clean("/" + name)
	for range 10 { // links to links
		if target, ok := a.links[name]; ok {
			name = target
		}
	}
	s, ok := a.at[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(io.NewSectionReader(a.f, s.offset, s.size)), s.size, nil
}

func (a *archive) Close() error { return a.f.Close() }
