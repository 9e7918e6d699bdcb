package squashfs

import (
	"container/list"
	"sync"
)

// blockCache keeps the most recently used data blocks. It reuses their buffers: otherwise a server
// that reads an image would produce garbage as fast as it inflates. A block in use keeps its
// buffer; while all buffers are in use, the cache allocates more and frees them afterwards.
type blockCache struct {
	size int // of a buffer

	mu      sync.Mutex
	limit   int       // how many buffers are kept
	made    int       // how many buffers exist
	spare   [][]byte  // buffers without a block
	order   list.List // of *heldBlock, the most recently used first
	entries map[uint64]*list.Element
}

// heldBlock is a block in its buffer.
type heldBlock struct {
	key   uint64
	buf   []byte
	ready chan struct{} // closed when data and err are set
	data  []byte        // in buf
	err   error
	users int
	kept  bool // get finds it by its key
}

func newBlockCache(bytes, size int) *blockCache {
	limit := max(1, bytes/size)
	return &blockCache{size: size, limit: limit, entries: make(map[uint64]*list.Element)}
}

// get returns the block of a key; if it is not cached, fill makes it in a buffer. The caller must
// release the block. An error is not kept, but all callers that waited for it get it.
func (c *blockCache) get(key uint64, fill func(buf []byte) ([]byte, error)) (*heldBlock, error) {
	c.mu.Lock()
	if e, ok := c.entries[key]; ok {
		b := e.Value.(*heldBlock)
		b.users++
		c.order.MoveToFront(e)
		c.mu.Unlock()
		<-b.ready
		return c.checked(b)
	}
	b := &heldBlock{key: key, buf: c.buffer(), ready: make(chan struct{}), users: 1, kept: true}
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

func (c *blockCache) checked(b *heldBlock) (*heldBlock, error) {
	if err := b.err; err != nil {
		c.release(b)
		return nil, err
	}
	return b, nil
}

// buffer returns a free buffer. If there is none, it evicts the least recently used block.
func (c *blockCache) buffer() []byte {
	if n := len(c.spare); n > 0 {
		buf := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return buf
	}
	if c.made >= c.limit {
		for e := c.order.Back(); e != nil; e = e.Prev() {
			if b := e.Value.(*heldBlock); b.users == 0 {
				c.drop(b)
				return b.buf
			}
		}
	}
	c.made++
	return make([]byte, 0, c.size)
}

// drop removes a block from the cache, so that get no longer finds it.
func (c *blockCache) drop(b *heldBlock) {
	if b.kept {
		c.order.Remove(c.entries[b.key])
		delete(c.entries, b.key)
		b.kept = false
	}
}

// release ends one use of a block.
func (c *blockCache) release(b *heldBlock) {
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

// forget frees all buffers that are not in use.
func (c *blockCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made -= len(c.spare)
	c.spare = nil
	for e := c.order.Back(); e != nil; {
		b := e.Value.(*heldBlock)
		e = e.Prev()
		if b.users == 0 {
			c.drop(b)
			c.made--
		}
	}
}
