package serve

import (
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// memory is what the file server may use of the job's, in bytes.
type memory struct {
	total    int // of Go's runtime: all but the program itself
	meta     int // of metadata chunks
	data     int // of data blocks
	requests int // of the kernel's at a time
}

// The server's memory where the job has enough of it, and where it has little. The program itself
// takes 11 MB beside it, which all servers of a node share.
var (
	roomy = memory{total: MaxMemory, meta: 2 << 20, data: 6 << 20, requests: 16} //nolint:gochecknoglobals // constant
	tight = memory{total: 16 << 20, meta: 1 << 20, data: 2 << 20, requests: 6}   //nolint:gochecknoglobals // constant
)

// MaxProcessors bounds how many files are inflated at once: the job has more use for a large node.
const MaxProcessors = 8

// MaxMemory is the most that a server uses of Go's runtime.
const MaxMemory = 22 << 20

// tightBelow is the limit of memory below which a job has little.
const tightBelow = 256 << 20

// memoryFor is what the server may use where a job's limit is so many bytes.
func memoryFor(limit int64) memory {
	if limit < tightBelow {
		return tight
	}
	return roomy
}

// memoryLimit is the least limit of memory of this process's cgroup and of those above it, in
// bytes.
func memoryLimit() int64 {
	raw, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return math.MaxInt64
	}
	return memoryLimitOf(string(raw), os.ReadFile)
}

// memoryLimitOf reads it of what /proc/self/cgroup says, for both versions of cgroups.
func memoryLimitOf(cgroup string, read func(file string) ([]byte, error)) int64 {
	least := int64(math.MaxInt64)
	for line := range strings.Lines(cgroup) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, dir, _ := strings.Cut(rest, ":")
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case strings.Contains(","+controllers+",", ",memory,"):
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case controllers != "":
			continue
		}
		for ; ; dir = path.Dir(dir) {
			raw, err := read(path.Join(root, dir, file))
			if n, bad := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil &&
				bad == nil {
				least = min(least, n)
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return least
}

// idleAfter is how long nothing is asked of the server before it gives its memory back.
const idleAfter = 2 * time.Second

// frugal has a file server give its memory back when it is idle. Idle it is not woken for that.
type frugal struct {
	after  time.Duration // without a question
	forget func()        // empties what can be made again
	asked  atomic.Bool
	armed  atomic.Bool
}

// use notes that something was asked.
func (f *frugal) use() {
	if !f.asked.Load() {
		f.asked.Store(true)
	}
	f.arm()
}

func (f *frugal) arm() {
	if f.armed.CompareAndSwap(false, true) {
		time.AfterFunc(f.after, f.look)
	}
}

// look gives memory back where nothing was asked since it was called last.
func (f *frugal) look() {
	if f.asked.Swap(false) {
		time.AfterFunc(f.after, f.look)
		return
	}
	f.forget()
	debug.FreeOSMemory() // which moves what sync.Pools hold to where the second finds it
	debug.FreeOSMemory()
	f.armed.Store(false)
	if f.asked.Load() {
		f.arm()
	}
}
