package launcher

import (
	"errors"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// keep puts a blob into the user's cache. If that cannot be written, the blob is held for this walk: an image that one of the
// caches has needs no write, and the one write that is needed, that of a new SIF, has an error of its own.
func (r *Road) keep(digest string, raw []byte) error {
	s, err := r.Store()
	if err != nil {
		return err
	}
	return r.spare(s.PutBlob(digest, raw), digest, raw)
}

// remember keeps what was read under a name, as keep does, and what the name stood for.
func (r *Road) remember(key string, raw []byte, mediaType string) error {
	digest := oci.DigestOf(raw)
	if err := r.keep(digest, raw); err != nil || r.held[digest] != nil {
		return err
	}
	s, err := r.Store()
	if err != nil {
		return err
	}
	return r.spare(s.SetPin(store.Pin{Reference: key, Digest: digest, MediaType: mediaType}), digest, raw)
}

// spare holds a blob instead of an error of the file system. Any other error, such as a cache that is not to be trusted, stays one.
func (r *Road) spare(err error, digest string, raw []byte) error {
	var refused syscall.Errno
	if !errors.As(err, &refused) {
		return err
	}
	if r.held == nil {
		r.held = make(map[string][]byte)
		r.note("the cache cannot be written, so nothing is remembered: %v", err)
	}
	r.held[digest] = raw
	return nil
}
