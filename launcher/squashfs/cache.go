package squashfs

import (
	"container/list"
	"sync"
)

// block is something read and inflated. It is shared: nobody changes its bytes.
type block struct {
	data []byte
	next uint64 // of a metadata chunk: where the next one begins
}

// cache keeps the blocks used last, up to a number of bytes, and lets one reader inflate what several ask for at once.
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
}

func newCache(limit int) *cache {
	return &cache{limit: limit, entries: make(map[uint64]*list.Element)}
}

func (c *cache) get(key uint64, read func() (block, error)) (block, error) {
	c.mu.Lock()
	if e, ok := c.entries[key]; ok {
		c.order.MoveToFront(e)
		found := e.Value.(*cached)
		c.mu.Unlock()
		<-found.ready
		return found.block, found.err
	}
	fresh := &cached{key: key, ready: make(chan struct{})}
	c.entries[key] = c.order.PushFront(fresh)
	c.mu.Unlock()

	fresh.block, fresh.err = read()
	close(fresh.ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	if fresh.err != nil {
		c.drop(c.entries[key])
		return block{}, fresh.err
	}
	c.used += len(fresh.block.data)
	for e := c.order.Back(); e != nil && c.used > c.limit; {
		before := e.Prev()
		old := e.Value.(*cached)
		select {
		case <-old.ready:
			c.used -= len(old.block.data)
			c.drop(e)
		default: // still being read
		}
		e = before
	}
	return fresh.block, nil
}

func (c *cache) drop(e *list.Element) {
	c.order.Remove(e)
	delete(c.entries, e.Value.(*cached).key)
}
