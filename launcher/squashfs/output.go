package squashfs

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// Output is the destination of a file system, such as an *os.File. It is truncated at the end of
// the file system: a duplicate that was written and taken back may have reached further.
type Output interface {
	io.WriteSeeker
	Truncate(size int64) error
}

// output writes to an Output at offsets that count from the start of the file system.
type output struct {
	w    Output
	base int64 // where the file system begins in w
	at   int64

	sums []sum // of the pieces before at

	file syscall.RawConn // of w; nil if w is not a file
	sent int64           // the kernel was asked to write the bytes before this offset to the disk
}

// sendBytes is how many bytes the kernel is asked to write to the disk at a time.
const sendBytes = 8 << 20

func newOutput(w Output) (*output, error) {
	base, err := w.Seek(0, io.SeekCurrent)
	o := &output{w: w, base: base}
	if f, ok := w.(syscall.Conn); ok && err == nil {
		o.file, err = f.SyscallConn()
	}
	return o, err
}

// write writes one piece and notes its checksum.
func (o *output) write(b []byte) error { return o.writeSummed(b, sumOf(b)) }

// writeSummed writes pieces whose checksums are given.
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

// send asks the kernel to start writing to the disk while compression continues. Otherwise all
// writing is left to the fsync at the end, for which everybody waits. This is only a hint, so
// errors do not matter, such as that of a file system that cannot do it.
func (o *output) send() {
	if o.file != nil {
		_ = o.file.Control(func(fd uintptr) {
			_ = unix.SyncFileRange(int(fd), o.base+o.sent, o.at-o.sent, unix.SYNC_FILE_RANGE_WRITE)
		})
	}
	o.sent = o.at
}

// takeBack returns to the start of a piece and discards what was written from there on.
func (o *output) takeBack(at int64) error {
	for n := len(o.sums); o.at > at && n > 0; n-- {
		o.at -= int64(o.sums[n-1].size)
		o.sums = o.sums[:n-1]
	}
	return o.seek(at)
}

// writeFirst overwrites the first piece.
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
