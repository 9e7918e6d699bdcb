package squashfs_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Any tree is read back as it was written, and any number of workers writes the same bytes.
func FuzzRoundTrip(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint8(seed), uint8(seed/3), uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, blockLog, comp, workers uint8) {
		opt := squashfs.Options{
			Compression: compressions()[int(comp)%3], BlockSize: 4096 << (blockLog % 6), Workers: 1 + int(workers%4),
		}
		want := randomTree(rand.New(rand.NewPCG(seed, 0)), opt.BlockSize)
		image := write(t, want, opt)
		if diff := cmp.Diff(canonical(want), list(t, bytes.NewReader(image))); diff != "" {
			t.Errorf("%+v: what is read differs from what was written (-written +read):\n%.4000s", opt, diff)
		}
		opt.Workers = 5 - opt.Workers
		if !bytes.Equal(image, write(t, want, opt)) {
			t.Errorf("%+v: another number of workers writes other bytes", opt)
		}
	})
}

// randomTree returns a tree of up to 60 files of all kinds, parents before children.
func randomTree(rng *rand.Rand, blockSize int) []entry {
	entries := []entry{{Path: ".", Mode: unix.S_IFDIR | 0o755, Time: int64(rng.Uint32())}}
	dirs := []string{"."}
	used := map[string]bool{}
	var files []entry
	for range rng.IntN(60) {
		path := filepath.Join(dirs[rng.IntN(len(dirs))], randomName(rng))
		if used[path] {
			continue
		}
		used[path] = true
		e := entry{
			Path: path, Mode: uint32(rng.IntN(0o10000)), UID: rng.Uint32() >> rng.IntN(32), GID: rng.Uint32() >> rng.IntN(32), Time: int64(rng.Uint32()),
		}
		if rng.IntN(4) == 0 {
			prefixes := []string{"user.", "trusted.", "security."}
			e.Xattrs = prefixes[rng.IntN(3)] + "x" + fmt.Sprint(rng.IntN(3)) + "=" + randomBytes(rng, rng.IntN(1+rng.IntN(9000)))
		}
		switch kind := rng.IntN(12); {
		case kind == 0 && len(files) > 0:
			e = entry{Path: path, Link: files[rng.IntN(len(files))].Path}
		case kind < 3:
			e.Mode |= unix.S_IFDIR
			dirs = append(dirs, path)
		case kind == 3:
			e.Mode |= unix.S_IFLNK
			e.Data = randomName(rng) + "/" + randomName(rng)
		case kind == 4:
			e.Mode |= []uint32{unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO, unix.S_IFSOCK}[rng.IntN(4)]
			if e.Mode&unix.S_IFMT == unix.S_IFCHR || e.Mode&unix.S_IFMT == unix.S_IFBLK {
				e.Major, e.Minor = rng.Uint32N(1<<12), rng.Uint32N(1<<20)
			}
		case kind == 5 && len(files) > 0: // the content of another file
			e.Mode |= unix.S_IFREG
			e.Data = files[rng.IntN(len(files))].Data
			files = append(files, e)
		default:
			e.Mode |= unix.S_IFREG
			e.Data = randomContent(rng, blockSize)
			files = append(files, e)
		}
		entries = append(entries, e)
	}
	return entries
}

func randomName(rng *rand.Rand) string {
	name := []byte(randomBytes(rng, 1+rng.IntN(1+rng.IntN(256))))
	for i, c := range name {
		if c == 0 || c == '/' || c == '.' {
			name[i] = 'n'
		}
	}
	return string(name)
}

func randomBytes(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// randomContent returns noise, text and holes, of sizes around the block size.
func randomContent(rng *rand.Rand, blockSize int) string {
	size := rng.IntN(1 + rng.IntN(4*blockSize))
	if rng.IntN(2) == 0 {
		size = max(0, blockSize*rng.IntN(4)+rng.IntN(3)-1)
	}
	var b []byte
	for len(b) < size {
		n := 1 + rng.IntN(2*blockSize)
		switch rng.IntN(3) {
		case 0:
			b = append(b, make([]byte, n)...)
		case 1:
			b = append(b, randomBytes(rng, n)...)
		default:
			b = append(b, bytes.Repeat([]byte("text "), n/5+1)...)
		}
	}
	return string(b[:size])
}

// canonical sorts entries and counts hard links from the first path, as list does.
func canonical(entries []entry) []entry {
	inode := map[string]uint64{}
	var all []found
	for i, e := range entries {
		inode[e.Path] = uint64(i)
		if e.Link != "" {
			path := e.Path
			inode[path] = inode[e.Link]
			e = entries[inode[path]]
			e.Path = path
		}
		all = append(all, found{e, inode[e.Path]})
	}
	return linked(all)
}
