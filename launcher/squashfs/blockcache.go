package squashfs

import (
	"container/list"
	"sync"
)

// blockCache keeps the data blocks that were used last. Their buffers are used again and again: a
// server that reads an image would else make garbage as fast as it inflates. A block that somebody
// holds keeps its buffer; where all are held, there are more buffers for as long.
type blockCache struct {
	size int // of a buffer

	mu      sync.Mutex
	limit   int       // buffers
	made    int       // buffers that there are
	spare   [][]byte  // those of no block
	order   list.List // of *held, used last in front
	entries map[uint64]*list.Element
}

// held is a block in its buffer.
type held struct {
	key   uint64
	buf   []byte
	ready chan struct{} // closed when data and err are set
	data  []byte        // in buf
	err   error
	users int
	kept  bool // it is found by its key
}

func newBlockCache(bytes, size int) *blockCache {
	return &blockCache{size: size, limit: max(1, bytes/size), entries: make(map[uint64]*list.Element)}
}

// get returns the block of a key, which fill makes in a buffer if need be. The caller must release
// it. Errors are not kept, but all who waited get the same one.
func (c *blockCache) get(key uint64, fill func(buf []byte) ([]byte, error)) (*held, error) {
	c.mu.Lock()
	if e, ok := c.entries[key]; ok {
		b := e.Value.(*held)
		b.users++
		c.order.MoveToFront(e)
		c.mu.Unlock()
		<-b.ready
		return c.checked(b)
	}
	b := &held{key: key, buf: c.buffer(), ready: make(chan struct{}), users: 1, kept: true}
	c.entries[key] = c.order.PushFront(b)
	c.mu.Unlock()

	b.data, b.err = fill(b.buf[:0])
	if b.err != nil {
		c.mu.Lock()
		c.drop(b)
		c.mu.Unlock()
	}
	close(b.ready)
	return c.checked(b)
}

func (c *blockCache) checked(b *held) (*held, error) {
	if err := b.err; err != nil {
		c.release(b)
		return nil, err
	}
	return b, nil
}

// buffer returns one that is free, made so if need be by throwing out the block that was used least
// recently.
func (c *blockCache) buffer() []byte {
	if n := len(c.spare); n > 0 {
		buf := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return buf
	}
	if c.made >= c.limit {
		for e := c.order.Back(); e != nil; e = e.Prev() {
			if b := e.Value.(*held); b.users == 0 {
				c.drop(b)
				return b.buf
			}
		}
	}
	c.made++
	return make([]byte, 0, c.size)
}

// drop has a block no longer be found.
func (c *blockCache) drop(b *held) {
	if b.kept {
		c.order.Remove(c.entries[b.key])
		delete(c.entries, b.key)
		b.kept = false
	}
}

// release says that a block is not looked at any more.
func (c *blockCache) release(b *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.users--
	switch {
	case b.users > 0:
	case c.made > c.limit:
		c.drop(b)
		c.made--
	case !b.kept:
		c.spare = append(c.spare, b.buf)
	}
}

// forget gives all buffers back that nobody holds.
func (c *blockCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made -= len(c.spare)
	c.spare = nil
	for e := c.order.Back(); e != nil; {
		b := e.Value.(*held)
		e = e.Prev()
		if b.users == 0 {
			c.drop(b)
			c.made--
		}
	}
}
