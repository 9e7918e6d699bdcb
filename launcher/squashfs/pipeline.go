package squashfs

import (
	"io"
	"sync"
)

// Output is what a file system is written to; an *os.File is one. It is cut at the end of the file system, since content that
// turned out to be a duplicate may have been written beyond it.
type Output interface {
	io.WriteSeeker
	Truncate(size int64) error
}

// output counts what is written, from the start of the file system.
type output struct {
	w    Output
	base int64 // of the file system in w
	at   int64
}

func newOutput(w Output) (*output, error) {
	base, err := w.Seek(0, io.SeekCurrent)
	return &output{w: w, base: base}, err
}

func (o *output) write(b []byte) error {
	n, err := o.w.Write(b)
	o.at += int64(n)
	return err
}

func (o *output) seek(at int64) error {
	_, err := o.w.Seek(o.base+at, io.SeekStart)
	o.at = at
	return err
}

// pipeline compresses blocks in parallel and writes them in the order they were given, so that the bytes do not depend on
// how many workers there are. Buffers go round: there are as many as blocks may be on their way.
type pipeline struct {
	out       *output
	blockSize int
	free      chan []byte
	todo      chan *task
	order     chan *task
	written   sync.WaitGroup
	workers   sync.WaitGroup
	closeOnce sync.Once
	failed    chan struct{} // closed at the first error
	err       error

	// Only the goroutine that writes uses these, until it has ended.
	start     int64 // of the file being written
	large     map[content]*Inode
	fragments []fragmentEntry
}

type fragmentEntry struct {
	Start uint64
	Size  uint32
	_     uint32
}

// task is a step of the writing goroutine: a block of a file, a fragment block, or the beginning or end of a file.
type task struct {
	raw    []byte
	packed []byte        // nil: stored as it is
	ready  chan struct{} // closed when packed is set; nil where there is nothing to compress
	apply  func(t *task) error
}

func newPipeline(out *output, opt Options) (*pipeline, error) {
	ahead := 2*opt.Workers + 2
	p := &pipeline{
		out: out, blockSize: opt.BlockSize, free: make(chan []byte, ahead+1), todo: make(chan *task, ahead),
		order: make(chan *task, ahead), failed: make(chan struct{}), large: make(map[content]*Inode),
	}
	for range ahead + 1 { // one more for the fragment block that is being filled
		p.free <- nil
	}
	for range opt.Workers {
		c, err := newCompressor(opt.Compression, opt.Level)
		if err != nil {
			close(p.todo)
			p.workers.Wait()
			return nil, err
		}
		p.workers.Go(func() { p.work(c) })
	}
	p.written.Go(p.writeAll)
	return p, nil
}

// buffer returns a buffer of a block's size, waiting until one is free. After an error there is always one, since
// nobody gives any back.
func (p *pipeline) buffer() []byte {
	select {
	case b := <-p.free:
		if b == nil {
			b = make([]byte, p.blockSize)
		}
		return b[:p.blockSize]
	case <-p.failed:
		return make([]byte, p.blockSize)
	}
}

func (p *pipeline) work(c compressor) {
	scratch := make([]byte, 0, p.blockSize+p.blockSize/8)
	for t := range p.todo {
		if !allZero(t.raw) {
			t.packed = append([]byte(nil), c.compress(scratch[:0], t.raw)...)
		}
		close(t.ready)
	}
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7] != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (p *pipeline) writeAll() {
	for t := range p.order {
		if t.ready != nil {
			<-t.ready
		}
		if p.err == nil {
			if err := t.apply(t); err != nil {
				p.err = err
				close(p.failed)
			}
		}
		if t.raw != nil && p.err == nil {
			p.free <- t.raw
		}
	}
}

// give hands a task to the workers, if there is something to compress, and to the writer.
func (p *pipeline) give(t *task) error {
	select {
	case <-p.failed:
		return p.err
	default:
	}
	if t.raw != nil {
		t.ready = make(chan struct{})
		p.todo <- t
	}
	p.order <- t
	return nil
}

// put writes a block as it came out of compression and returns its size word.
func (p *pipeline) put(t *task) (uint32, error) {
	if t.packed == nil {
		return uint32(len(t.raw)) | storedBlock, p.out.write(t.raw)
	}
	return uint32(len(t.packed)), p.out.write(t.packed)
}

func (p *pipeline) begin(in *Inode) {
	_ = p.give(&task{apply: func(*task) error { // an error comes with the next block
		p.start = p.out.at
		in.start = p.start
		return nil
	}})
}

func (p *pipeline) block(in *Inode, i int, raw []byte) error {
	return p.give(&task{raw: raw, apply: func(t *task) error {
		if t.packed == nil && allZero(t.raw) {
			in.sparse += int64(len(t.raw))
			return nil // a hole: size word 0, no bytes
		}
		word, err := p.put(t)
		in.blocks[i] = word
		return err
	}})
}

// end looks whether a file with the same content was written before; if so the one just written is taken back. A large
// file costs its compression twice then, and never memory.
func (p *pipeline) end(in *Inode, key content) {
	_ = p.give(&task{apply: func(*task) error { // an error comes with the next call
		same, ok := p.large[key]
		if !ok {
			p.large[key] = in
			return nil
		}
		in.start, in.blocks, in.sparse = same.start, same.blocks, same.sparse
		return p.out.seek(p.start)
	}})
}

func (p *pipeline) fragment(raw []byte) error {
	return p.give(&task{raw: raw, apply: func(t *task) error {
		at := p.out.at
		word, err := p.put(t)
		p.fragments = append(p.fragments, fragmentEntry{Start: uint64(at), Size: word})
		return err
	}})
}

// close waits until everything given is written and ends the goroutines. It may be called again.
func (p *pipeline) close() {
	p.closeOnce.Do(func() {
		close(p.todo)
		close(p.order)
		p.workers.Wait()
		p.written.Wait()
	})
}
