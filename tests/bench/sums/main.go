// Command sums measures what the checksums of a SIF cost: sums N SIF reads all files of the image N
// times with them and N times without, in turn, through the reader of hpc3's own file server, and
// compares the least process time of each. For converting it takes the checksums of the whole file
// system once more, compared with compressing and writing all files again. Each is at most 2 %
// more.
package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sums N SIF")
		os.Exit(2)
	}
	n, err := strconv.Atoi(os.Args[1])
	if err == nil {
		err = measure(n, os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sums:", err)
		os.Exit(1)
	}
}

func measure(n int, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := convert.Inspect(path)
	if err != nil {
		return err
	}
	table := make([]byte, c.Sums.Size)
	if _, err := f.ReadAt(table, c.Sums.Offset); err != nil {
		return err
	}
	sums, err := squashfs.ParseSums(table)
	if err != nil {
		return err
	}
	image := io.NewSectionReader(f, c.Offset, c.Size)
	best := [4]time.Duration{1 << 62, 1 << 62, 1 << 62, 1 << 62}
	for range n {
		for i, do := range []func() error{
			func() error { return readAll(image, nil) },
			func() error { return readAll(image, sums) },
			func() error { return writeAll(image) },
			func() error { return checksum(io.NewSectionReader(f, c.Offset, c.Size)) },
		} {
			t, err := took(do)
			if err != nil {
				return err
			}
			best[i] = min(best[i], t)
		}
	}
	report("reading with checksums", float64(best[1])/float64(best[0]))
	report("converting with checksums", 1+float64(best[3])/float64(best[2]))
	return nil
}

func report(what string, ratio float64) {
	const limit = 1.02
	verdict := ""
	if ratio > limit {
		verdict = ": MISSED"
	}
	fmt.Printf("%-40s at most %v times as much, measured %.3f%s\n", what, limit, ratio, verdict)
}

// took returns the time of this process, the user's and the system's, that something takes.
func took(do func() error) (time.Duration, error) {
	var before, after unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &before)
	err = errors.Join(err, do(), unix.Getrusage(unix.RUSAGE_SELF, &after))
	total := func(r unix.Rusage) int64 { return r.Utime.Nano() + r.Stime.Nano() }
	return time.Duration(total(after) - total(before)), err
}

// files calls visit for each regular file below a directory.
func files(f *squashfs.FS, dir squashfs.Ref, visit func(*squashfs.File) error) error {
	entries, err := f.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Type {
		case syscall.S_IFDIR:
			err = files(f, e.Ref, visit)
		case syscall.S_IFREG:
			var file *squashfs.File
			if file, err = f.OpenFile(e.Ref); err == nil {
				err = visit(file)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readAll(image io.ReaderAt, sums *squashfs.Sums) error {
	f, err := squashfs.OpenChecked(image, sums)
	if err != nil {
		return err
	}
	const part = 128 << 10
	return files(f, f.Root(), func(file *squashfs.File) error {
		for at := int64(0); at < file.Size(); at += part {
			v, err := file.View(at, part)
			if err != nil {
				return err
			}
			v.Release()
		}
		return nil
	})
}

// nowhere discards what is written.
type nowhere struct{ at int64 }

func (n *nowhere) Write(p []byte) (int, error) {
	n.at += int64(len(p))
	return len(p), nil
}

func (n *nowhere) Seek(off int64, whence int) (int64, error) {
	if whence == io.SeekCurrent {
		off += n.at
	}
	n.at = off
	return off, nil
}

func (*nowhere) Truncate(int64) error { return nil }

func writeAll(image io.ReaderAt) error {
	f, err := squashfs.Open(image)
	if err != nil {
		return err
	}
	w, err := squashfs.NewWriter(&nowhere{}, squashfs.Options{})
	if err != nil {
		return err
	}
	defer w.Close()
	root := &squashfs.Dir{Entries: map[string]squashfs.Node{}}
	err = files(f, f.Root(), func(file *squashfs.File) error {
		in, err := w.File(squashfs.Meta{}, file.Size(), io.NewSectionReader(file, 0, file.Size()))
		root.Entries[strconv.Itoa(len(root.Entries))] = in
		return err
	})
	if err == nil {
		_, err = w.Finish(root)
	}
	return err
}

// checksum takes the CRC32C of all that there is, a block at a time.
func checksum(r io.Reader) error {
	block := make([]byte, 64<<10)
	table := crc32.MakeTable(crc32.Castagnoli)
	for {
		n, err := io.ReadFull(r, block)
		crc32.Checksum(block[:n], table)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}
