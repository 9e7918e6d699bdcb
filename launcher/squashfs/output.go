package squashfs

import "io"

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
}

func newOutput(w Output) (*output, error) {
	base, err := w.Seek(0, io.SeekCurrent)
	return &output{w: w, base: base}, err
}

func (o *output) write(b []byte) error {
	n, err := o.w.Write(b)
	o.at += int64(n)
	return err
}

func (o *output) seek(at int64) error {
	_, err := o.w.Seek(o.base+at, io.SeekStart)
	o.at = at
	return err
}
