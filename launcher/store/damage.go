package store

import (
	"fmt"
	"os"
	"syscall"
)

// damagedSuffix ends the name of a SIF that a start has found damaged. No start takes it; the next
// that makes the image, or gc, removes it.
const damagedSuffix = ".damaged"

// Aside is the path that a damaged SIF of a cache gets.
func Aside(file string) string { return file + damagedSuffix }

// DamageMark is the path of a file in this store that says of a SIF of another cache, into which
// the caller cannot write, that it is damaged. It is heeded for a day, and for the file that is
// there now; empty where there is none.
func (s *Store) DamageMark(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return s.path(wordFile(fmt.Sprint(file, " ", st.Ino, " is damaged")))
}

// Damaged tells whether there is such a mark.
func (s *Store) Damaged(file string) bool {
	mark := s.DamageMark(file)
	info, err := os.Lstat(mark)
	return mark != "" && err == nil && s.trusted(info)
}
