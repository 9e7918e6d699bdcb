package squashfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// pipeline compresses blocks in parallel and writes them in the order they were given, so that the bytes do not depend on
// how many workers there are. Tasks go round with their buffers: there are as many as blocks may be on their way.
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
	first     bool // the next block is a file's first

	// Only the goroutine that writes uses these, until it has ended.
	start     int64     // of the file being written
	sum       hash.Hash // over its blocks
	large     map[content]*Inode
	fragments []fragmentEntry
}

type fragmentEntry struct {
	Start uint64
	Size  uint32
	_     uint32
}

// task is a step of the writing goroutine: a block of a file, a fragment block, or the end of a file.
type task struct {
	raw   []byte        // content; empty: nothing to compress
	sum   bool          // wanted: digest
	ready chan struct{} // closed when the fields below are set; nil where there is nothing to compress
	apply func(t *task) error

	packed []byte // what is written: compressed, or raw where that would not be smaller
	word   uint32 // its size word
	check  sum    // its checksum
	hole   bool   // raw is all zeros
	digest [sha256.Size]byte

	buffer  []byte // of raw
	scratch []byte // of packed
}

func newPipeline(out *output, opt Options) (*pipeline, error) {
	ahead := 2*opt.Workers + 16 // enough that one slow block keeps nobody waiting
	p := &pipeline{
		out: out, blockSize: opt.BlockSize, free: make(chan *task, ahead+1), todo: make(chan *task, ahead),
		order: make(chan *task, ahead), failed: make(chan struct{}), large: make(map[content]*Inode), sum: sha256.New(),
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

// task returns one with a buffer of a block's size as its content, waiting until one is free. After an error there is always
// one, since nobody gives any back.
func (p *pipeline) task() *task {
	var t *task
	select {
	case t = <-p.free:
	case <-p.failed:
	}
	if t == nil {
		t = &task{buffer: make([]byte, p.blockSize), scratch: make([]byte, 0, p.blockSize+p.blockSize/8)} // incompressible data grows a little
	}
	return &task{raw: t.buffer, buffer: t.buffer, scratch: t.scratch}
}

// pack does what can be done in parallel. The digest is of what is written, which is less than the content, and tells as
// much: one content gives one result, and the other way round.
func (t *task) pack(c compressor) {
	if t.sum && allZero(t.raw) { // a fragment block cannot be a hole
		t.hole = true
		return
	}
	t.packed = c.compress(t.scratch[:0], t.raw)
	t.word = uint32(len(t.packed))
	if t.packed == nil {
		t.packed, t.word = t.raw, uint32(len(t.raw))|storedBlock
	}
	t.check = sumOf(t.packed)
	if t.sum {
		t.digest = sha256.Sum256(t.packed)
	}
}

// allZero compares b with itself, a byte further on: the machine has instructions for that.
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

// give hands a task to the workers, if there is something to compress, and to the writer.
func (p *pipeline) give(t *task) error {
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

// begin begins a file of blocks.
func (p *pipeline) begin() { p.first = true }

// step is what a block of a file does when its turn has come.
func (p *pipeline) step(do func(t *task) error) func(t *task) error {
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

// block writes the next block of a file.
func (p *pipeline) block(in *Inode, t *task) error {
	t.sum = true
	t.apply = p.step(func(t *task) error {
		p.word(in, t.word)
		if t.hole {
			in.blocks.sparse += int64(len(t.raw))
			return nil
		}
		p.sum.Write(t.digest[:])
		return p.out.writeSummed(t.packed, t.check)
	})
	return p.give(t)
}

// hole adds a hole of so many bytes, which are whole blocks, to a file.
func (p *pipeline) hole(in *Inode, size int64) error {
	return p.give(&task{apply: p.step(func(*task) error {
		for range size / int64(p.blockSize) {
			p.word(in, 0)
		}
		in.blocks.sparse += size
		return nil
	})})
}

func (p *pipeline) word(in *Inode, word uint32) {
	in.blocks.words = append(in.blocks.words, word)
	var raw [4]byte
	binary.LittleEndian.PutUint32(raw[:], word)
	p.sum.Write(raw[:])
}

// end looks whether a file with the same content was written before; if so the one just written is taken back. A large
// file costs its compression twice then, and never memory.
func (p *pipeline) end(in *Inode) error {
	return p.give(&task{apply: func(*task) error {
		in.place = uint64(p.start)
		key := content{in.size, [sha256.Size]byte(p.sum.Sum(nil))}
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
	return p.give(t)
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
