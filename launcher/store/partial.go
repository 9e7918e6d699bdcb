package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// partialAge is for how long the beginning of a layer is kept that nobody went on with.
	partialAge = 7 * 24 * time.Hour
	// orphanAge is for how long a partial must not have grown that another node was writing, or where there are no locks, until its writer is
	// taken for dead. A writer waits for a registry for three minutes in all.
	orphanAge = 10 * time.Minute
)

// Partial is a layer that is being fetched, and the file that holds what has come of it. Each file has one writer: it is named
// ALGORITHM-HEX.BOOT.RANDOM and locked while it is written, and ALGORITHM-HEX when its writer has left it. Whoever renames a file owns it.
type Partial struct {
	s           *Store
	root        *os.Root
	digest      string
	rest        string // the name of the file once it is left
	layer       string // the name of the whole layer
	size, limit int64

	mu     sync.Mutex
	f      *os.File // nil when it is published, left or removed
	name   string   // of f
	kept   int64    // bytes that were there in the beginning and are of use
	at     int64    // bytes that are there now
	failed bool     // the source has
	left   bool     // the file has got its name for others
}

// Fetch begins to keep a layer of which what has come by then is left for the next that fetches it, however the process ends. Once it is whole the layers of
// the store together stay below limit, the least recently used goes first; a layer that is larger than that is not kept. It is nil where nothing can be
// kept, which is no error.
func (s *Store) Fetch(digest string, size, limit int64) *Partial {
	algorithm, sum, err := splitDigest(digest)
	if err != nil || size <= 0 {
		return nil
	}
	root, err := s.ready(dirPartial, path.Join(dirLayers, algorithm))
	if err != nil {
		return nil
	}
	rest := path.Join(dirPartial, algorithm+"-"+sum)
	p := &Partial{s: s, root: root, digest: digest, rest: rest, layer: path.Join(dirLayers, algorithm, sum), size: size, limit: limit, name: rest + "." + s.boot + "." + rand.Text()}
	if !p.takeOver() {
		if p.f, err = root.OpenFile(p.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return nil
		}
		_ = s.flock(p.f) // for others of this node; without locks they look at the time
	}
	return p
}

// takeOver makes a file that another writer left, or died with, the caller's.
func (p *Partial) takeOver() bool {
	for _, e := range p.s.partials(p.root) { // the longest first
		if strings.HasPrefix(e.name, p.rest) && p.take(e) {
			return true
		}
	}
	return false
}

func (p *Partial) take(e partialFile) bool {
	f, err := p.root.OpenFile(e.name, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	locked := p.s.flock(f)
	if err != nil || !p.s.trusted(info) || !p.s.idle(e, locked) || p.root.Rename(e.name, p.name) != nil {
		_ = f.Close() // nothing was written to it
		return false
	}
	// At least a byte is asked for: that the caller may have the layer is for its source to say.
	kept := min(info.Size(), p.size-1)
	if err := f.Truncate(kept); err != nil {
		_, _ = f.Close(), p.root.Remove(p.name) // it is of no use
		return false
	}
	p.f, p.kept, p.at = f, kept, kept
	return true
}

// idle tells whether nobody writes to a file. locked is how the caller's attempt to lock it went.
func (s *Store) idle(e partialFile, locked error) bool {
	boot, _, written := strings.Cut(e.writer, ".")
	switch {
	case errors.Is(locked, syscall.EWOULDBLOCK):
		return false
	case !written || locked == nil && boot == s.boot && boot != "" && e.info.Size() > 0: // an empty one may be about to be locked
		return true
	}
	return time.Since(e.info.ModTime()) > orphanAge
}

// partialFile is a file that lies in the room of partials.
type partialFile struct {
	name   string // relative to the root
	digest string // of the layer
	writer string // what its name says of it; "" for none
	info   fs.FileInfo
}

// partials returns them, the longest first.
func (s *Store) partials(root *os.Root) (found []partialFile) {
	entries, err := s.entries(root, dirPartial)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		layer, writer, _ := strings.Cut(e.Name(), ".")
		digest := strings.Replace(layer, "-", ":", 1)
		info, err := e.Info()
		if _, _, bad := splitDigest(digest); err == nil && bad == nil {
			found = append(found, partialFile{path.Join(dirPartial, e.Name()), digest, writer, info})
		}
	}
	slices.SortStableFunc(found, func(a, b partialFile) int { return cmp.Compare(b.info.Size(), a.info.Size()) })
	return found
}

// Kept returns how many bytes of the layer were there when it was begun, and a reader of them.
func (p *Partial) Kept() (io.Reader, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &beginning{io.NewSectionReader(p.f, 0, p.kept), p}, p.kept
}

// beginning is what was kept of a layer.
type beginning struct {
	*io.SectionReader
	p *Partial
}

func (b *beginning) Read(buf []byte) (int, error) {
	n, err := b.SectionReader.Read(buf)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damagedLayer(b.p.digest, cause(err).Error())
	}
	return n, err
}

// Copy returns a reader that hands on what it reads of the layer and keeps what is not kept yet. from is the byte from which on the source is asked: the bytes before are those
// of Kept. src must say io.EOF for the right bytes only.
func (p *Partial) Copy(src io.ReadCloser, from int64) io.ReadCloser {
	p.mu.Lock()
	defer p.mu.Unlock()
	if from < p.kept && p.f.Truncate(from) != nil {
		p.drop()
	}
	p.kept, p.at = from, from
	return &copied{ReadCloser: src, p: p}
}

// Failed tells whether the source did not give all, rather than something wrong.
func (p *Partial) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// copied is the reader of a layer that is kept on its way.
type copied struct {
	io.ReadCloser
	p   *Partial
	off int64
}

// Kept returns how many of the bytes that are read need not be fetched.
func (c *copied) Kept() int64 {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.kept
}

func (c *copied) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.write(b[:n], c.off)
	c.off += int64(n)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		if n == 0 {
			c.p.publish()
		}
	case c.off >= c.p.size: // all came, and it was not the layer
		c.p.drop()
	default:
		c.p.failed = c.p.failed || !errors.Is(err, context.Canceled) // which is whoever reads
	}
	return n, err
}

func (c *copied) Close() error {
	c.p.Leave()
	return c.ReadCloser.Close()
}

// write keeps bytes of the layer that begin at an offset. The caller holds mu.
func (p *Partial) write(b []byte, off int64) {
	end := off + int64(len(b))
	if p.f == nil || end <= p.at {
		return
	}
	if _, err := p.f.WriteAt(b[p.at-off:], p.at); err != nil {
		p.drop() // it stands in the way of the SIF
		return
	}
	p.at = end
}

// publish is without an fsync: what a crash leaves is found out when it is read. The caller holds mu.
func (p *Partial) publish() {
	switch {
	case p.f == nil:
	case p.limit >= 0 && p.size > p.limit:
		p.drop()
	default:
		p.s.Evict(p.limit - p.size)
		if p.f.Truncate(p.size) != nil || p.f.Chmod(p.s.blobMode()) != nil || p.root.Rename(p.name, p.layer) != nil {
			p.drop()
			return
		}
		p.close()
		p.s.dropPartials(func(e partialFile) bool { return strings.HasPrefix(e.name, p.rest) })
	}
}

// Fail is Leave for a layer of which the source gives nothing.
func (p *Partial) Fail() {
	p.mu.Lock()
	p.failed = true
	p.mu.Unlock()
	p.Leave()
}

// Leave ends the fetch of a layer that is not whole. What has come stays for the next.
func (p *Partial) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.f == nil {
		return
	}
	if there, err := p.root.Lstat(p.rest); p.at == 0 || err == nil && there.Size() >= p.at || p.f.Truncate(p.at) != nil || p.root.Rename(p.name, p.rest) != nil {
		p.drop()
		return
	}
	p.left = true
	p.close()
}

// Drop removes what has come of a layer that is not whole.
func (p *Partial) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
	if p.left {
		_ = p.root.Remove(p.rest) // unless somebody goes on with it
	}
}

// Digest returns that of the layer.
func (p *Partial) Digest() string { return p.digest }

func (p *Partial) drop() {
	if p.f != nil {
		_ = p.root.Remove(p.name) // or Collect removes it
		p.close()
	}
}

func (p *Partial) close() {
	_ = p.f.Close() // the error of a write was seen
	p.f = nil
}

// Partials returns how many layers are there of which a part has come, and how many bytes of them.
func (s *Store) Partials() (count int, bytes int64) {
	root, err := s.root(false)
	if err != nil {
		return 0, 0
	}
	for _, e := range s.partials(root) {
		count, bytes = count+1, bytes+e.info.Size()
	}
	return count, bytes
}

// DropPartials removes all that nobody writes to, and returns how many bytes they had.
func (s *Store) DropPartials() int64 {
	return s.dropPartials(func(partialFile) bool { return true })
}

func (s *Store) dropPartials(which func(partialFile) bool) (freed int64) {
	root, err := s.root(false)
	if err != nil {
		return 0
	}
	for _, e := range s.partials(root) {
		if which(e) && !s.writing(root, e) && root.Remove(e.name) == nil {
			freed += e.info.Size()
		}
	}
	return freed
}

// expired tells whether nobody went on with a partial for too long.
func (e partialFile) expired() bool { return time.Since(e.info.ModTime()) > partialAge }

// writing tells whether somebody writes to a partial.
func (s *Store) writing(root *os.Root, e partialFile) bool {
	if e.writer == "" {
		return false
	}
	f, err := root.OpenFile(e.name, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return !missing(err)
	}
	defer f.Close()
	return !s.idle(e, s.flock(f))
}
