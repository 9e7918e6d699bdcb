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
	// partialAge is how long the beginning of a layer is kept if nobody resumes it.
	partialAge = 7 * 24 * time.Hour
	// orphanAge is how long a partial must not have grown until its writer is taken for dead, if
	// the writer is on another node or there are no locks. A writer waits for a registry for three
	// minutes in all.
	orphanAge = 10 * time.Minute
)

// Partial is a layer being fetched, and the file with what has arrived of it. Each file has one
// writer: it is named ALGORITHM-HEX.BOOT.RANDOM and locked while it is written, and ALGORITHM-HEX
// once the writer has left it. A process that renames a file owns it.
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

// Fetch begins to keep a layer. Whatever has arrived when the process ends is left for the next
// fetch. When the layer is complete, the least recently used layers are removed to stay below
// limit; a layer larger than limit is not kept. Fetch returns nil if nothing can be kept, which is
// not an error.
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
	p := &Partial{s: s, root: root, digest: digest, rest: rest, layer: path.Join(dirLayers,
		algorithm, sum), size: size, limit: limit, name: rest + "." + s.boot + "." + rand.Text()}
	if !p.takeOver() {
		if p.f, err = root.OpenFile(p.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return nil
		}
		_ = s.flock(p.f) // for others of this node; without locks they look at the time
	}
	return p
}

// takeOver takes over a file whose writer has left it or died.
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
	if err != nil || !p.s.trusted(info) || !p.s.idle(e, locked) ||
		p.root.Rename(e.name, p.name) != nil {
		_ = f.Close() // nothing was written to it
		return false
	}
	// At least one byte is fetched: only the source can say whether the caller may have the layer.
	kept := min(info.Size(), p.size-1)
	if err := f.Truncate(kept); err != nil {
		_, _ = f.Close(), p.root.Remove(p.name) // it is of no use
		return false
	}
	p.f, p.kept, p.at = f, kept, kept
	return true
}

// idle reports whether nobody writes to a file. locked is the result of the caller's attempt to
// lock it.
func (s *Store) idle(e partialFile, locked error) bool {
	boot, _, written := strings.Cut(e.writer, ".")
	switch {
	case errors.Is(locked, syscall.EWOULDBLOCK):
		return false
	// an empty one may be about to be locked
	case !written || locked == nil && boot == s.boot && boot != "" && e.info.Size() > 0:
		return true
	}
	return time.Since(e.info.ModTime()) > orphanAge
}

// partialFile is a file in the room of partials.
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
			found = append(found, partialFile{
				path.Join(dirPartial, e.Name()), digest, writer,
				info,
			})
		}
	}
	slices.SortStableFunc(found,
		func(a, b partialFile) int { return cmp.Compare(b.info.Size(), a.info.Size()) })
	return found
}

// Kept returns a reader of the bytes that were present at the start, and their number.
func (p *Partial) Kept() (io.Reader, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &beginning{io.NewSectionReader(p.f, 0, p.kept), p}, p.kept
}

// beginning reads the kept bytes of a layer.
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

// Copy returns a reader that passes on the layer and keeps what is not kept yet. from is the first
// byte that the source delivers; the bytes before it come from Kept. src must return io.EOF only if
// the bytes were right.
func (p *Partial) Copy(src io.ReadCloser, from int64) io.ReadCloser {
	p.mu.Lock()
	defer p.mu.Unlock()
	if from < p.kept && p.f.Truncate(from) != nil {
		p.drop()
	}
	p.kept, p.at = from, from
	return &copied{ReadCloser: src, p: p}
}

// Failed reports whether the source stopped early, as opposed to sending something wrong.
func (p *Partial) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// copied reads a layer and keeps it on the way.
type copied struct {
	io.ReadCloser
	p   *Partial
	off int64
}

// Kept returns how many of the bytes read need no fetching.
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

// write keeps bytes of the layer from an offset on. The caller holds mu.
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

// publish does not fsync: a file damaged by a crash is detected when it is read. The caller holds
// mu.
func (p *Partial) publish() {
	switch {
	case p.f == nil:
	case p.limit >= 0 && p.size > p.limit:
		p.drop()
	default:
		p.s.Evict(p.limit - p.size)
		if p.f.Truncate(p.size) != nil || p.f.Chmod(p.s.blobMode()) != nil ||
			p.root.Rename(p.name, p.layer) != nil {
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

// Leave ends the fetch of an incomplete layer. What has arrived stays for the next fetch.
func (p *Partial) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.f == nil {
		return
	}
	if there, err := p.root.Lstat(p.rest); p.at == 0 || err == nil && there.Size() >= p.at ||
		p.f.Truncate(p.at) != nil || p.root.Rename(p.name, p.rest) != nil {
		p.drop()
		return
	}
	p.left = true
	p.close()
}

// Drop removes what has arrived of an incomplete layer.
func (p *Partial) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
	if p.left {
		_ = p.root.Remove(p.rest) // unless somebody goes on with it
	}
}

// Digest returns the digest of the layer.
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

// Partials returns the number of incomplete layers and their bytes.
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

// DropPartials removes all that have no writer, and returns how many bytes they had.
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

// expired reports whether a partial was not resumed for too long.
func (e partialFile) expired() bool { return time.Since(e.info.ModTime()) > partialAge }

// writing reports whether a process writes to a partial.
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
