package fetch

import (
	"context"
	"errors"
	"io"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Resume is Layer for a caller that has kept the first size bytes: the reader begins with those. If
// the source sends no part of a layer, all of it comes from there; from is the number of kept bytes
// that are used. The digest covers them too.
func Resume(ctx context.Context, src Source, d oci.Descriptor, kept io.Reader, size int64) (
	blob io.ReadCloser, from int64, err error,
) {
	if s, ok := src.(interface {
		resume(ctx context.Context, d oci.Descriptor, kept io.Reader, size int64) (io.ReadCloser,
			int64, error)
	}); ok {
		return s.resume(ctx, d, kept, size)
	}
	blob, err = src.Layer(ctx, d)
	return blob, 0, err
}

// joined reads the rest of the kept bytes, then the remote ones.
type joined struct {
	io.ReadCloser
	kept io.Reader
	left int64
}

func (j *joined) Read(p []byte) (int, error) {
	if j.left == 0 {
		return j.ReadCloser.Read(p)
	}
	n, err := j.kept.Read(p[:min(int64(len(p)), j.left)])
	j.left -= int64(n)
	if errors.Is(err, io.EOF) && j.left > 0 {
		return n, io.ErrUnexpectedEOF // it was cut since
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
