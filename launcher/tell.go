package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

func (r *Road) note(format string, args ...any) {
	if r.Note != nil {
		r.Note(fmt.Sprintf(format, args...))
	}
}

func (r *Road) waiting(text string) {
	if r.Waiting != nil {
		r.Waiting(text)
	}
}

// counter returns a function that sums what it is given and reports the sum. Layers are read by several goroutines.
func (r *Road) counter(ref oci.Reference) func(int64) {
	if r.Progress == nil {
		return nil
	}
	var sum atomic.Int64
	return func(n int64) { r.Progress(ref.String(), sum.Add(n)) }
}

func (r *Road) plainHTTP(registry string) bool {
	for _, known := range r.Site.PlainHTTP {
		if known == registry {
			return true
		}
	}
	return false
}

// bare returns the reason of a file error without its path, which our own sentence has named.
func bare(err error) error {
	var perr *fs.PathError
	if errors.As(err, &perr) {
		return perr.Err
	}
	return err
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }

func itoa(n int) string { return strconv.Itoa(n) }
