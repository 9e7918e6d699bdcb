package launcher

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

func (r *Road) note(format string, args ...any) {
	if r.Note != nil {
		r.Note(fmt.Sprintf(format, args...))
	}
}

// noteText is for those who have the whole text.
func (r *Road) noteText(text string) { r.note("%s", text) }

func (r *Road) waiting(text string) {
	if r.Waiting != nil {
		r.Waiting(text)
	}
}

func (r *Road) plainHTTP(registry string) bool {
	for _, known := range r.Site.PlainHTTP {
		if known == registry {
			return true
		}
	}
	return false
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }

func itoa(n int) string { return strconv.Itoa(n) }
