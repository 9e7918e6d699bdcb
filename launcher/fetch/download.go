package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

const (
	// stallBytes must arrive within each Timing.Stall; otherwise a server could hold a node with a
	// byte a minute.
	stallBytes = 16 << 10
	// maxCuts is how often in a row a blob may break off within cutBytes before it is given up.
	maxCuts  = 3
	cutBytes = 1 << 20
)

// errStalled says that a body stopped arriving.
var errStalled = errors.New("no data came")

// body is the body of one answer. Only the time spent in Read counts: a caller may be slow.
type body struct {
	header http.Header
	length int64 // of the content from the first byte asked for; -1 if unknown
	status int
	rc     io.ReadCloser
	cancel context.CancelFunc
	stall  time.Duration
	left   time.Duration // until the next stallBytes must have come
	got    int
}

func newBody(resp *http.Response, cancel context.CancelFunc, stall time.Duration) *body {
	return &body{
		header: resp.Header, length: resp.ContentLength, status: resp.StatusCode,
		rc: resp.Body, cancel: cancel, stall: stall, left: stall,
	}
}

// asBody returns the body of an answer from stallLimit, which a followed redirect may have wrapped.
func asBody(resp *http.Response, stall time.Duration) *body {
	if b, ok := resp.Body.(*body); ok {
		return b
	}
	return newBody(resp, func() {}, stall)
}

func (b *body) Read(p []byte) (int, error) {
	start := time.Now()
	timer := time.AfterFunc(b.left, b.cancel)
	n, err := b.rc.Read(p)
	inTime := timer.Stop()
	b.left -= time.Since(start)
	if b.got += n; b.got >= stallBytes {
		b.got, b.left = 0, b.stall
	}
	if err != nil && !errors.Is(err, io.EOF) && !inTime {
		err = fmt.Errorf("%w within %v", errStalled, b.stall)
	}
	return n, err
}

func (b *body) Close() error {
	b.cancel()
	return b.rc.Close()
}

// download reads a blob and resumes it where it broke off. It does not check the digest.
type download struct {
	ctx  context.Context //nolint:containedctx // of one call of Layer: io.Reader takes none
	r    *registry
	path string
	desc oci.Descriptor
	cur  *body // nil after a cut
	off  int64
	from int64 // where cur began
	cuts int
	done bool // closed
}

// open requests what is missing.
func (d *download) open() error {
	b, err := d.r.get(d.ctx, d.path, d.off)
	if err != nil {
		return err
	}
	skip := int64(0)
	if b.status == http.StatusPartialContent {
		err = d.checkRange(b)
	} else {
		skip = d.off // a registry may not know ranges
	}
	if want := d.desc.Size - d.off + skip; err == nil && b.length >= 0 && b.length != want {
		err = d.wrong("the registry announces %d bytes, it should have %d", d.off-skip+b.length,
			d.desc.Size)
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, b, skip)
	}
	if err != nil {
		_ = b.Close()
		return err
	}
	d.cur, d.from = b, d.off
	return nil
}

// begin requests the blob from offset off on, for a caller that has the bytes before it. If the
// registry sends no part of a blob, all of it is requested.
func (d *download) begin() error {
	if d.off == 0 {
		return d.open()
	}
	b, err := d.r.get(d.ctx, d.path, d.off)
	var answer *transport.Error
	if err != nil && (!errors.As(err, &answer) ||
		answer.StatusCode != http.StatusRequestedRangeNotSatisfiable) {
		return err
	}
	if err == nil && b.status == http.StatusPartialContent && d.checkRange(b) == nil &&
		(b.length < 0 || b.length == d.desc.Size-d.off) {
		d.cur, d.from = b, d.off
		return nil
	}
	d.off = 0
	if err == nil && b.status == http.StatusOK && (b.length < 0 || b.length == d.desc.Size) {
		d.cur, d.from = b, 0
		return nil
	}
	if err == nil {
		_ = b.Close()
	}
	return d.open()
}

func (d *download) checkRange(b *body) error {
	want := fmt.Sprintf("bytes %d-%d/", d.off, d.desc.Size-1)
	got := b.header.Get("Content-Range")
	if d.off == 0 || got != want+strconv.FormatInt(d.desc.Size, 10) && got != want+"*" {
		return d.wrong("asked for bytes from %d on, the registry answers with %.80q", d.off, got)
	}
	return nil
}

func (d *download) wrong(format string, args ...any) error {
	return oci.ErrUnusable.New("reading %s from %s: %s", d.desc.Digest, d.r.ref.Registry,
		fmt.Sprintf(format, args...)).
		Hint("the registry, or something on the way to it, is broken: try later, or ask " +
			"whoever runs it")
}

func (d *download) Read(p []byte) (int, error) {
	if d.done {
		return 0, fs.ErrClosed
	}
	for {
		var n int
		var err error
		if d.cur == nil {
			err = d.open()
		}
		opened := err == nil
		if opened {
			n, err = d.cur.Read(p)
			d.off += int64(n)
		}
		switch {
		case n > 0 || err == nil:
			return n, nil // an error that came with data comes again
		case d.off >= d.desc.Size:
			return 0, io.EOF
		}
		if err := d.cut(err, opened); err != nil {
			return 0, err
		}
	}
}

// cut decides after an error whether to continue, and waits before that. opened says that the error
// came from a body.
func (d *download) cut(err error, opened bool) error {
	if opened {
		_ = d.cur.Close()
		d.cur = nil
	}
	if d.off-d.from >= cutBytes {
		d.cuts = 0
	}
	d.cuts++
	same := opened && d.cuts > 1 && d.off == d.from && ended(err) // the registry has no more
	d.from = d.off                                                // what came counts once
	if d.cuts > maxCuts || same || d.ctx.Err() != nil || !opened && !ended(err) && !transient(err) {
		return d.broken(err, opened)
	}
	wait := d.r.opt.Timing.Backoff << (d.cuts - 1)
	if !d.r.pauses.take(wait) {
		return d.broken(err, opened)
	}
	if err := pause(d.ctx, wait); err != nil {
		return d.explain(err)
	}
	return nil
}

// broken reports a blob that ends too early as an unexpected EOF: verified then says how early.
func (d *download) broken(err error, opened bool) error {
	if opened && d.ctx.Err() == nil && ended(err) {
		return io.ErrUnexpectedEOF
	}
	return d.explain(err)
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func (d *download) explain(err error) error {
	doing := "reading " + d.desc.Digest + " from " + d.r.ref.Registry
	var answer *transport.Error
	// the registry has no more bytes
	if errors.As(err, &answer) && answer.StatusCode == http.StatusRequestedRangeNotSatisfiable &&
		d.off > 0 {
		return io.ErrUnexpectedEOF
	}
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound &&
		strings.HasPrefix(d.path, "manifests/") {
		return oci.ErrUnusable.New(
			"%s: the index of %s names this entry, and the registry has it no more (status 404%s)",
			doing, d.r.ref, words(answer)).
			Hint("push the image again with all its platforms: somebody deleted this one").
			Hint("--variant takes another entry: hpc3 explain %s", d.r.ref)
	}
	return d.r.explain(d.ctx, doing, err)
}

func (d *download) Close() error {
	d.done = true
	if d.cur == nil {
		return nil
	}
	err := d.cur.Close()
	d.cur = nil
	return err
}
