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

// memory bounds what the file server uses of the job's memory, in bytes.
type memory struct {
	total    int // of Go's runtime: everything except the program itself
	meta     int // of metadata chunks
	data     int // of data blocks
	requests int // the kernel's, at the same time
}

// The server's memory if the job has enough, and if it has little. The program itself takes another
// 11 MB, which all servers of a node share.
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

// memoryFor returns what the server may use if the job's limit is this many bytes.
func memoryFor(limit int64) memory {
	if limit < tightBelow {
		return tight
	}
	return roomy
}

// memoryLimit returns the lowest limit of memory of this process's cgroup and of those above it, in
// bytes.
func memoryLimit() int64 {
	raw, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return math.MaxInt64
	}
	return memoryLimitOf(string(raw), os.ReadFile)
}

// memoryLimitOf does so for the content of /proc/self/cgroup, for both versions of cgroups.
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

// idleAfter is how long the server must get no question before it gives its memory back.
const idleAfter = 2 * time.Second

// frugal makes a file server give its memory back when it becomes idle. It does not wake an idle
// server.
type frugal struct {
	after  time.Duration // without a question
	forget func()        // releases what can be made again
	asked  atomic.Bool
	armed  atomic.Bool
}

// use records that something was asked.
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

// look gives memory back if nothing was asked since its last call.
func (f *frugal) look() {
	if f.asked.Swap(false) {
		time.AfterFunc(f.after, f.look)
		return
	}
	f.forget()
	debug.FreeOSMemory() // the first call moves what sync.Pools hold to where the second frees it
	debug.FreeOSMemory()
	f.armed.Store(false)
	if f.asked.Load() {
		f.arm()
	}
}
