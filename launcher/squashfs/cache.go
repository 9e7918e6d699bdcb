package squashfs

import (
	"container/list"
	"sync"
)

// block is a metadata chunk that was read and inflated. It is shared: nobody changes its bytes.
type block struct {
	data []byte
	next uint64 // where the next one begins
}

// blockOverhead is what keeping a block costs beside its bytes, so that many tiny ones are bounded too.
const blockOverhead = 256

func (b block) cost() int { return cap(b.data) + blockOverhead }

// cache keeps the metadata chunks used last, up to a number of bytes, and lets one reader inflate what several ask for at once.
type cache struct {
	mu      sync.Mutex
	limit   int
	used    int
	order   list.List // of *cached, used last in front
	entries map[uint64]*list.Element
}

type cached struct {
	key   uint64
	ready chan struct{} // closed when block and err are set
	block block
	err   error
	kept  bool // it counts in used and may be thrown out
}

func newCache(limit int) *cache {
	return &cache{limit: limit, entries: make(map[uint64]*list.Element)}
}

// get returns the block of a key, which read makes if need be. Errors are not kept, but all who waited get the same one.
func (c *cache) get(key uint64, read func() (block, error)) (block, error) {
	c.mu.Lock()
	if e, ok := c.entries[key]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		found := e.Value.(*cached)
		<-found.ready
		return found.block, found.err
	}
	fresh := &cached{key: key, ready: make(chan struct{})}
	e := c.order.PushFront(fresh)
	c.entries[key] = e
	c.mu.Unlock()

	fresh.block, fresh.err = read()

	c.mu.Lock()
	defer c.mu.Unlock()
	close(fresh.ready)
	if fresh.err != nil {
		c.drop(e)
		return block{}, fresh.err
	}
	fresh.kept = true
	c.used += fresh.block.cost()
	c.shrink()
	return fresh.block, nil
}

// shrink throws out what was used least recently. What is still being read stays.
func (c *cache) shrink() {
	for e := c.order.Back(); e != nil && c.used > c.limit; {
		before := e.Prev()
		if old := e.Value.(*cached); old.kept {
			c.used -= old.block.cost()
			c.drop(e)
		}
		e = before
	}
}

func (c *cache) drop(e *list.Element) {
	c.order.Remove(e)
	delete(c.entries, e.Value.(*cached).key)
}

// forget throws everything out that is not being read.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.limit
	c.limit = -1
	c.shrink()
	c.limit = limit
}
