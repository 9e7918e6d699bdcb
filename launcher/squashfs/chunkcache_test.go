package squashfs

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCacheReadsOnce(t *testing.T) {
	c := newChunkCache(1 << 20)
	var reads atomic.Int32
	release := make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			b, err := c.get(7, func() (metaChunk, error) {
				reads.Add(1)
				<-release
				return metaChunk{data: []byte("seven")}, nil
			})
			if string(b.data) != "seven" || err != nil {
				t.Errorf("get() = %q, %v", b.data, err)
			}
		})
	}
	close(release)
	all.Wait()
	if reads.Load() != 1 {
		t.Errorf("8 readers of one block read it %d times", reads.Load())
	}
}

func TestCacheKeepsToItsLimit(t *testing.T) {
	c := newChunkCache(10 * (100 + chunkOverhead))
	for key := range uint64(1000) {
		if _, err := c.get(key, func() (metaChunk, error) { return metaChunk{data: make([]byte, 1, 100)}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if c.order.Len() != 10 || len(c.entries) != 10 || c.used != c.limit {
		t.Errorf("a cache for 10 blocks holds %d, %d of them by key, and %d bytes of %d", c.order.Len(), len(c.entries), c.used, c.limit)
	}
	reads := 0
	for key := uint64(999); key > 989; key-- {
		_, _ = c.get(key, func() (metaChunk, error) { reads++; return metaChunk{}, nil })
	}
	if reads != 0 {
		t.Errorf("%d of the 10 blocks used last were gone", reads)
	}
}

// Errors are not kept, and leave nothing in the cache while others evict chunks at the same time.
func TestCacheForgetsErrors(t *testing.T) {
	c := newChunkCache(1000)
	broken := errors.New("broken")
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range uint64(5000) {
				b, err := c.get(i%13, func() (metaChunk, error) {
					if (i+uint64(n))%3 == 0 {
						return metaChunk{}, broken
					}
					return metaChunk{data: make([]byte, 100)}, nil
				})
				if (err == nil) != (len(b.data) == 100) {
					t.Errorf("get() = %d bytes, %v", len(b.data), err)
				}
			}
		})
	}
	all.Wait()
	if c.used > c.limit || c.used != c.order.Len()*(100+chunkOverhead) {
		t.Errorf("%d blocks of 100 bytes count as %d", c.order.Len(), c.used)
	}
}
