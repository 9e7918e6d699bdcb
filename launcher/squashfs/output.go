package squashfs

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// Output is what a file system is written to; an *os.File is one. It is cut at the end of the file system, since content that
// turned out to be a duplicate may have been written beyond it.
type Output interface {
	io.WriteSeeker
	Truncate(size int64) error
}

// output counts what is written, from the start of the file system.
type output struct {
	w    Output
	base int64 // of the file system in w
	at   int64

	sums []sum // of what is before at

	file syscall.RawConn // of w; nil where it is no file
	sent int64           // the disk has been asked to take what is before
}

// sendBytes is how much the disk is asked to take at a time.
const sendBytes = 8 << 20

func newOutput(w Output) (*output, error) {
	base, err := w.Seek(0, io.SeekCurrent)
	o := &output{w: w, base: base}
	if f, ok := w.(syscall.Conn); ok && err == nil {
		o.file, err = f.SyscallConn()
	}
	return o, err
}

// write writes a piece, which has a checksum of its own.
func (o *output) write(b []byte) error { return o.writeSummed(b, sumOf(b)) }

// writeSummed writes the pieces of which sums are the checksums.
func (o *output) writeSummed(b []byte, sums ...sum) error {
	if len(b) == 0 {
		return nil
	}
	o.sums = append(o.sums, sums...)
	return o.put(b)
}

func (o *output) put(b []byte) error {
	n, err := o.w.Write(b)
	o.at += int64(n)
	if o.at-o.sent >= sendBytes {
		o.send()
	}
	return err
}

// send lets the kernel begin to write to the disk, beside the compression of what follows: else all is left to the fsync at the
// end, for which everybody waits. It promises nothing, so an error, as of a file system that cannot, is none of ours.
func (o *output) send() {
	if o.file != nil {
		_ = o.file.Control(func(fd uintptr) {
			_ = unix.SyncFileRange(int(fd), o.base+o.sent, o.at-o.sent, unix.SYNC_FILE_RANGE_WRITE)
		})
	}
	o.sent = o.at
}

// takeBack goes back to where a piece begins; what was written from there on does not count.
func (o *output) takeBack(at int64) error {
	for n := len(o.sums); o.at > at && n > 0; n-- {
		o.at -= int64(o.sums[n-1].size)
		o.sums = o.sums[:n-1]
	}
	return o.seek(at)
}

// writeFirst writes the first piece anew.
func (o *output) writeFirst(b []byte) error {
	o.sums[0] = sumOf(b)
	if err := o.seek(0); err != nil {
		return err
	}
	return o.put(b)
}

func (o *output) seek(at int64) error {
	_, err := o.w.Seek(o.base+at, io.SeekStart)
	o.at = at
	o.sent = min(o.sent, at)
	return err
}
