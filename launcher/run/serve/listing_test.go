package serve

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

type memoryFile struct {
	data []byte
	at   int64
}

func (m *memoryFile) Write(p []byte) (int, error) {
	if need := m.at + int64(len(p)); need > int64(len(m.data)) {
		m.data = append(m.data, make([]byte, need-int64(len(m.data)))...)
	}
	m.at += int64(copy(m.data[m.at:], p))
	return len(p), nil
}

func (m *memoryFile) Seek(off int64, whence int) (int64, error) {
	if whence == io.SeekCurrent {
		off += m.at
	}
	m.at = off
	return off, nil
}

func (m *memoryFile) Truncate(size int64) error {
	m.data = m.data[:size]
	return nil
}

// directories makes an image with this many directories, each with this many names.
func directories(t *testing.T, dirs, names int) (*imageFS, []uint64) {
	t.Helper()
	var out memoryFile
	w, err := squashfs.NewWriter(&out, squashfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	top := &squashfs.Dir{Meta: squashfs.Meta{Mode: 0o755}, Entries: map[string]squashfs.Node{}}
	for d := range dirs {
		dir := &squashfs.Dir{Meta: squashfs.Meta{Mode: 0o755}, Entries: map[string]squashfs.Node{}}
		one := w.Special(squashfs.Meta{}, squashfs.Fifo, 0, 0)
		for n := range names {
			dir.Entries[fmt.Sprintf("a name of some length %07d", n)] = one
		}
		top.Entries[fmt.Sprint(d)] = dir
	}
	if _, err := w.Finish(top); err != nil {
		t.Fatal(err)
	}
	img, err := squashfs.Open(bytes.NewReader(out.data))
	if err != nil {
		t.Fatal(err)
	}
	i := newImageFS(img, -1, -1, roomy, &damage{})
	nodes := make([]uint64, dirs)
	for d := range nodes {
		ref, err := img.Resolve(fmt.Sprint(d))
		if err != nil {
			t.Fatal(err)
		}
		nodes[d] = i.node(ref)
	}
	return i, nodes
}

// part reads on in a directory. It returns the number of names before the first one that it did not
// read.
func part(t *testing.T, i *imageFS, node, at uint64, size int) uint64 {
	t.Helper()
	out := fuse.NewDirEntryList(make([]byte, size), at)
	if st := i.ReadDir(nil, &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: node}, Offset: at}, out); st != fuse.OK {
		t.Fatalf("names %d and on of %#x: %v", at, node, st)
	}
	return out.Offset
}

// Only little is kept of directories that are listed at the same time, however many names they
// have.
func TestListingsTakeLittle(t *testing.T) {
	const dirs, names = 8, 200_000
	i, nodes := directories(t, dirs, names)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	at := make([]uint64, dirs)
	for round, left := 0, dirs; left > 0; round++ {
		for d, node := range nodes {
			if at[d] == names {
				continue
			}
			if at[d] = part(t, i, node, at[d], 256<<10); at[d] == names {
				left--
			}
		}
		if round%10 != 0 {
			continue
		}
		if used := int64(heap()) - int64(before); used > 4<<20 {
			t.Fatalf("after %d rounds through %d directories, %d bytes are kept", round+1, dirs, used)
		}
	}
	for d, node := range nodes {
		if n := part(t, i, node, names, 4096); n != names {
			t.Errorf("directory %d goes on behind its last name, to %d", d, n)
		}
	}
}

// A directory can be read from any position, by any number of readers.
func TestListingFromAnywhere(t *testing.T) {
	const names = 3000
	i, nodes := directories(t, 2, names)
	for _, at := range []uint64{0, 1, 255, 256, 257, 2999, 3000, 4000, 17, 0} {
		out := fuse.NewDirEntryList(make([]byte, 1<<20), at)
		if st := i.ReadDir(nil, &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: nodes[0]}, Offset: at}, out); st != fuse.OK {
			t.Fatal(st)
		}
		if want := max(at, names); out.Offset != want {
			t.Errorf("from %d: up to %d, want %d", at, out.Offset, want)
		}
	}
	at := make([]uint64, 200) // more readers than positions that are kept
	for done := 0; done < len(at); {
		done = 0
		for r := range at {
			if at[r] < names {
				at[r] = part(t, i, nodes[r%2], at[r], 8192)
			} else {
				done++
			}
		}
	}
}
