package caches

import (
	"errors"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Keep puts a blob into the user's cache. If that cannot be written, the blob is held for this
// walk: an image that one of the caches has needs no write, and the write of a new SIF has an error
// of its own.
func (c *Caches) Keep(digest string, raw []byte) error {
	s, err := c.Own()
	if err != nil {
		return err
	}
	return c.hold(s.PutBlob(digest, raw), digest, raw)
}

// Remember keeps what was read under a key, as Keep does, and what the name stood for.
func (c *Caches) Remember(key string, raw []byte, mediaType string) error {
	digest := oci.DigestOf(raw)
	if err := c.Keep(digest, raw); err != nil || c.held[digest] != nil {
		return err
	}
	s, err := c.Own()
	if err != nil {
		return err
	}
	pin := store.Pin{Reference: key, Digest: digest, MediaType: mediaType}
	return c.hold(s.SetPin(pin), digest, raw)
}

// hold holds a blob instead of an error of the file system. Any other error, such as a cache that
// is not to be trusted, stays one.
func (c *Caches) hold(err error, digest string, raw []byte) error {
	var refused syscall.Errno
	if !errors.As(err, &refused) {
		return err
	}
	if c.held == nil {
		c.held = make(map[string][]byte)
		c.tell.Notef("the cache cannot be written, so nothing is remembered: %v", err)
	}
	c.held[digest] = raw
	return nil
}
