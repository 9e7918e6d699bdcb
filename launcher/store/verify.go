package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// The kinds of files.
const (
	KindSIF       = "sif"
	KindBlob      = "blob"
	KindLayer     = "layer"
	KindPartial   = "partial" // of a layer that is not whole yet
	KindPin       = "pin"
	KindTemporary = "temporary"
)

// Checked is the result for one file.
type Checked struct {
	Path    string
	Kind    string
	Digest  string // of a SIF: that of the manifest it was made of
	Size    int64
	Broken  string // why it is broken; empty if it is whole
	Unknown error  // why it could not be told
	Removed bool
}

// Verify reads every SIF and blob for which want is true, compares its content with its name, and
// reports each. With repair, broken files are removed; the next run makes or fetches them again.
// The error is about the directory, or the context's.
func (s *Store) Verify(ctx context.Context, want func(digest string) bool, repair bool,
	report func(Checked),
) error {
	root, err := s.root(false)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	images, err := s.Images()
	if err != nil {
		return err
	}
	blobs, err := s.blobs(root)
	if err != nil {
		return err
	}
	v := &verifier{s, ctx, root, repair, report}
	for _, i := range images {
		if want(i.Digest) && ctx.Err() == nil {
			v.image(i)
		}
	}
	for _, b := range blobs {
		if want(b.algorithm+":"+b.sum) && ctx.Err() == nil {
			v.blob(b)
		}
	}
	return ctx.Err()
}

type verifier struct {
	s      *Store
	ctx    context.Context //nolint:containedctx // of one call of Verify
	root   *os.Root
	repair bool
	report func(Checked)
}

func (v *verifier) image(i Image) {
	c := Checked{Path: i.Path, Kind: KindSIF, Digest: i.Digest, Size: i.Size, Broken: i.Why}
	if c.Broken == "" {
		_, want, _ := parseSIFName(i.name)
		c.Broken, c.Unknown = v.content(i.name, "sha256", want)
	}
	v.done(c, i.name)
}

func (v *verifier) blob(b blobFile) {
	c := Checked{
		Path: v.s.path(b.name), Kind: b.kind, Digest: b.algorithm + ":" + b.sum,
		Size: b.info.Size(), Broken: v.s.whyUntrusted(b.info),
	}
	if c.Broken == "" {
		c.Broken, c.Unknown = v.content(b.name, b.algorithm, b.sum)
	}
	v.done(c, b.name)
}

func (v *verifier) done(c Checked, name string) {
	if missing(c.Unknown) || errors.Is(c.Unknown, context.Canceled) {
		return // removed meanwhile, which is no fault; or nobody waits for the answer any more
	}
	if c.Broken != "" && v.repair {
		if err := v.root.RemoveAll(name); err != nil {
			c.Unknown = cacheFault(v.s.dir, "removing "+name, err)
		} else {
			c.Removed = true
			_ = v.root.Remove(path.Dir(name)) // if it is empty
		}
	}
	v.report(c)
}

// content says whether a file holds what its name promises.
func (v *verifier) content(name, algorithm, want string) (broken string, err error) {
	f, err := openQuietly(v.root, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := newHash(algorithm)
	if _, err := io.CopyBuffer(h, cancelled{v.ctx, f}, make([]byte, 1<<20)); err != nil {
		return "", err
	}
	if got := hexSum(h); got != want {
		return "its content is " + algorithm + ":" + got + ", and should be " + algorithm + ":" +
			want, nil
	}
	return "", nil
}

// openQuietly opens a file without changing its access time, if that is allowed.
func openQuietly(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOATIME|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	}
	return f, err
}

// cancelled is a reader that stops when a context ends.
type cancelled struct {
	ctx context.Context //nolint:containedctx // of one call of Verify
	r   io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// blobFile is a blob in the store.
type blobFile struct {
	name           string // relative to the root
	kind           string
	algorithm, sum string
	info           fs.FileInfo
}

// blobs returns every blob and layer, whatever it holds.
func (s *Store) blobs(root *os.Root) ([]blobFile, error) {
	var found []blobFile
	for _, room := range []struct{ dir, kind string }{
		{dirBlobs, KindBlob},
		{dirLayers, KindLayer},
	} {
		for _, algorithm := range []string{"sha256", "sha512"} {
			entries, err := s.entries(root, path.Join(room.dir, algorithm))
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				info, err := e.Info()
				if _, _, bad := splitDigest(algorithm + ":" + e.Name()); bad != nil || err != nil {
					continue // nothing of ours, or gone
				}
				found = append(found, blobFile{
					path.Join(room.dir, algorithm, e.Name()), room.kind,
					algorithm, e.Name(), info,
				})
			}
		}
	}
	return found, nil
}
