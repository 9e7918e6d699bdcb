package squashfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// pipeline compresses blocks in parallel and writes them in the order they were submitted, so that
// the bytes do not depend on the number of workers. Tasks are reused with their buffers; their
// number bounds how many blocks are in flight.
type pipeline struct {
	out       *output
	blockSize int
	free      chan *task
	todo      chan *task
	order     chan *task
	written   sync.WaitGroup
	workers   sync.WaitGroup
	closeOnce sync.Once
	failed    chan struct{} // closed at the first error
	err       error
	first     bool // the next block is the first of a file

	// Only the writing goroutine uses these, until it has ended.
	start     int64     // where the current file begins
	sum       hash.Hash // over its blocks
	large     map[largeKey]*Inode
	fragments []fragmentEntry
}

type fragmentEntry struct {
	Start uint64
	Size  uint32
	_     uint32
}

// task is a step of the writing goroutine: a block of a file, its end, or a fragment block.
type task struct {
	raw        []byte        // content; empty if there is nothing to compress
	wantDigest bool          // digest is needed
	ready      chan struct{} // closed when the results are set; nil if there is nothing to compress
	apply      func(t *task) error

	// The results of pack.
	packed []byte // what is written: compressed, or raw if compression would not save anything
	word   uint32 // the size word of packed
	check  sum    // the checksum of packed
	hole   bool   // raw is all zeros
	digest [sha256.Size]byte

	buffer  []byte // of raw
	scratch []byte // of packed
}

func newPipeline(out *output, opt Options) (*pipeline, error) {
	ahead := 2*opt.Workers + 16 // enough that one slow block stalls no worker
	p := &pipeline{
		out: out, blockSize: opt.BlockSize,
		free: make(chan *task, ahead+1), todo: make(chan *task, ahead),
		order: make(chan *task, ahead), failed: make(chan struct{}),
		large: make(map[largeKey]*Inode), sum: sha256.New(),
	}
	for range ahead + 1 { // one more for the fragment block that is being filled
		p.free <- nil
	}
	for range opt.Workers {
		c, err := newCompressor(opt)
		if err != nil {
			close(p.todo)
			p.workers.Wait()
			return nil, err
		}
		p.workers.Go(func() {
			for t := range p.todo {
				t.pack(c)
				close(t.ready)
			}
		})
	}
	p.written.Go(p.writeAll)
	return p, nil
}

// task returns a task whose content is a buffer of a block's size. It waits until one is free;
// after an error it makes a new one, because none is returned to the pool any more.
func (p *pipeline) task() *task {
	var t *task
	select {
	case t = <-p.free:
	case <-p.failed:
	}
	if t == nil {
		t = &task{
			buffer:  make([]byte, p.blockSize),
			scratch: make([]byte, 0, p.blockSize+p.blockSize/8), // incompressible data grows
		}
	}
	return &task{raw: t.buffer, buffer: t.buffer, scratch: t.scratch}
}

// pack does the work that can be done in parallel. The digest is that of the compressed block: it
// is shorter than the content and identifies it just as well, since compression is deterministic.
func (t *task) pack(c compressor) {
	if t.wantDigest && allZero(t.raw) { // a fragment block cannot be a hole
		t.hole = true
		return
	}
	t.packed = c.compress(t.scratch[:0], t.raw)
	t.word = uint32(len(t.packed))
	if t.packed == nil {
		t.packed, t.word = t.raw, uint32(len(t.raw))|storedBlock
	}
	t.check = sumOf(t.packed)
	if t.wantDigest {
		t.digest = sha256.Sum256(t.packed)
	}
}

// allZero compares b with itself shifted by one byte, which bytes.Equal does with vector
// instructions.
func allZero(b []byte) bool { return b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1]) }

func (p *pipeline) writeAll() {
	for t := range p.order {
		if t.ready != nil {
			<-t.ready
		}
		if p.err != nil {
			continue
		}
		if err := t.apply(t); err != nil {
			p.err = err
			close(p.failed)
		} else if t.buffer != nil {
			p.free <- t
		}
	}
}

// enqueue passes a task to the workers, if there is something to compress, and to the writer.
func (p *pipeline) enqueue(t *task) error {
	select {
	case <-p.failed:
		return p.err
	default:
	}
	if t.buffer != nil {
		t.ready = make(chan struct{})
		p.todo <- t
	}
	p.order <- t
	return nil
}

// begin starts a file of blocks.
func (p *pipeline) begin() { p.first = true }

// fileStep returns what the writer does for a block of a file; the first one also resets the state.
func (p *pipeline) fileStep(do func(t *task) error) func(t *task) error {
	if !p.first {
		return do
	}
	p.first = false
	return func(t *task) error {
		p.start = p.out.at
		p.sum.Reset()
		return do(t)
	}
}

// block adds a block to a file.
func (p *pipeline) block(in *Inode, t *task) error {
	t.wantDigest = true
	t.apply = p.fileStep(func(t *task) error {
		p.addSize(in, t.word)
		if t.hole {
			in.blocks.sparse += int64(len(t.raw))
			return nil
		}
		p.sum.Write(t.digest[:])
		return p.out.writeSummed(t.packed, t.check)
	})
	return p.enqueue(t)
}

// hole adds a hole to a file; size is a multiple of the block size.
func (p *pipeline) hole(in *Inode, size int64) error {
	return p.enqueue(&task{apply: p.fileStep(func(*task) error {
		for range size / int64(p.blockSize) {
			p.addSize(in, 0)
		}
		in.blocks.sparse += size
		return nil
	})})
}

// addSize adds the size word of a block to a file.
func (p *pipeline) addSize(in *Inode, word uint32) {
	in.blocks.words = append(in.blocks.words, word)
	var raw [4]byte
	binary.LittleEndian.PutUint32(raw[:], word)
	p.sum.Write(raw[:])
}

// end finishes a file. If a file with the same content was written before, the new one is taken
// back. A duplicate of a large file costs its compression, but no memory.
func (p *pipeline) end(in *Inode) error {
	return p.enqueue(&task{apply: func(*task) error {
		in.place = uint64(p.start)
		key := largeKey{in.size, [sha256.Size]byte(p.sum.Sum(nil))}
		same, ok := p.large[key]
		if !ok {
			p.large[key] = in
			return nil
		}
		in.place, in.blocks = same.place, same.blocks
		return p.out.takeBack(p.start)
	}})
}

func (p *pipeline) fragment(t *task) error {
	t.apply = func(t *task) error {
		p.fragments = append(p.fragments, fragmentEntry{Start: uint64(p.out.at), Size: t.word})
		return p.out.writeSummed(t.packed, t.check)
	}
	return p.enqueue(t)
}

// close waits until all tasks are written and ends the goroutines. It may be called repeatedly.
func (p *pipeline) close() {
	p.closeOnce.Do(func() {
		close(p.todo)
		close(p.order)
		p.workers.Wait()
		p.written.Wait()
	})
}
