package squashfs

import (
	"container/list"
	"sync"
)

// metaChunk is an inflated metadata chunk. It is shared; its bytes must not be changed.
type metaChunk struct {
	data []byte
	next uint64 // place of the next chunk
}

// chunkOverhead is the memory that a cached chunk takes beside its bytes. Counting it bounds the
// cache also when chunks are tiny.
const chunkOverhead = 256

func (c metaChunk) cost() int { return cap(c.data) + chunkOverhead }

// chunkCache keeps the most recently used metadata chunks, up to a number of bytes. If several
// readers ask for one chunk at once, one of them inflates it for all.
type chunkCache struct {
	mu      sync.Mutex
	limit   int
	used    int
	order   list.List // of *cachedChunk, the most recently used first
	entries map[uint64]*list.Element
}

type cachedChunk struct {
	key   uint64
	ready chan struct{} // closed when block and err are set
	chunk metaChunk
	err   error
	kept  bool // it counts in used and may be evicted
}

func newChunkCache(limit int) *chunkCache {
	return &chunkCache{limit: limit, entries: make(map[uint64]*list.Element)}
}

// get returns the chunk of a key; if it is not cached, read makes it. An error is not kept, but all
// callers that waited for it get it.
func (c *chunkCache) get(key uint64, read func() (metaChunk, error)) (metaChunk, error) {
	c.mu.Lock()
	if e, ok := c.entries[key]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		found := e.Value.(*cachedChunk)
		<-found.ready
		return found.chunk, found.err
	}
	fresh := &cachedChunk{key: key, ready: make(chan struct{})}
	e := c.order.PushFront(fresh)
	c.entries[key] = e
	c.mu.Unlock()

	fresh.chunk, fresh.err = read()

	c.mu.Lock()
	defer c.mu.Unlock()
	close(fresh.ready)
	if fresh.err != nil {
		c.drop(e)
		return metaChunk{}, fresh.err
	}
	fresh.kept = true
	c.used += fresh.chunk.cost()
	c.shrink()
	return fresh.chunk, nil
}

// shrink evicts the least recently used chunks. Chunks that are still being read stay.
func (c *chunkCache) shrink() {
	for e := c.order.Back(); e != nil && c.used > c.limit; {
		before := e.Prev()
		if old := e.Value.(*cachedChunk); old.kept {
			c.used -= old.chunk.cost()
			c.drop(e)
		}
		e = before
	}
}

func (c *chunkCache) drop(e *list.Element) {
	c.order.Remove(e)
	delete(c.entries, e.Value.(*cachedChunk).key)
}

// forget evicts all chunks that are not being read.
func (c *chunkCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.limit
	c.limit = -1
	c.shrink()
	c.limit = limit
}
