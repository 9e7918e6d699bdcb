package squashfs

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// A block in use does not change, however many others are requested; afterwards its buffer is
// reused.
func TestBlockCache(t *testing.T) {
	const limit, size = 4, 100
	c := newBlockCache(limit*size, size)
	broken := errors.New("broken")
	fill := func(key uint64) func([]byte) ([]byte, error) {
		return func(buf []byte) ([]byte, error) {
			if key%7 == 0 {
				return nil, broken
			}
			return append(buf, bytes.Repeat([]byte{byte(key)}, int(key%size)+1)...), nil
		}
	}
	var all sync.WaitGroup
	for n := range uint64(8) {
		all.Go(func() {
			for i := range uint64(3000) {
				key := (i*n + i) % 23
				b, err := c.get(key, fill(key))
				if (err != nil) != (key%7 == 0) {
					t.Errorf("get(%d) = %v", key, err)
				}
				if err != nil {
					continue
				}
				if want := bytes.Repeat([]byte{byte(key)}, int(key%size)+1); !bytes.Equal(b.data, want) {
					t.Errorf("block %d is another", key)
				}
				c.release(b)
			}
		})
	}
	all.Wait()
	if c.made > limit || c.made != len(c.spare)+len(c.entries) || c.order.Len() != len(c.entries) {
		t.Errorf("%d buffers for %d, %d of them spare, %d by key and %d in order", c.made, limit, len(c.spare), len(c.entries), c.order.Len())
	}
	c.forget()
	if c.made != 0 || len(c.entries) != 0 || c.order.Len() != 0 || c.spare != nil {
		t.Errorf("after forget there are %d buffers, %d by key", c.made, len(c.entries))
	}
}

// More blocks may be in use than the limit of buffers; the extra buffers are freed afterwards.
func TestBlockCacheGrowsForAWhile(t *testing.T) {
	const limit, size = 2, 10
	c := newBlockCache(limit*size, size)
	var held []*heldBlock
	for key := range uint64(10) {
		b, err := c.get(key, func(buf []byte) ([]byte, error) { return append(buf, byte(key)), nil })
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, b)
	}
	c.forget()
	for key, b := range held {
		if string(b.data) != string([]byte{byte(key)}) {
			t.Errorf("block %d is %v", key, b.data)
		}
		c.release(b)
	}
	if c.made != limit || len(c.entries) != limit {
		t.Errorf("%d buffers are left, %d by key", c.made, len(c.entries))
	}
}

// One reader makes the block that several request.
func TestBlockCacheReadsOnce(t *testing.T) {
	c := newBlockCache(1000, 10)
	var reads atomic.Int32
	release := make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			b, err := c.get(7, func(buf []byte) ([]byte, error) {
				reads.Add(1)
				<-release
				return append(buf, "seven"...), nil
			})
			if err != nil || string(b.data) != "seven" {
				t.Errorf("get() = %v", err)
				return
			}
			c.release(b)
		})
	}
	close(release)
	all.Wait()
	if reads.Load() != 1 {
		t.Errorf("8 readers of one block read it %d times", reads.Load())
	}
}
