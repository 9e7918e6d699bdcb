package store

import (
	"fmt"
	"os"
	"syscall"
)

// damagedSuffix ends the name of a SIF that a start found damaged. No start uses it; the next
// process that makes the image, or gc, removes it.
const damagedSuffix = ".damaged"

// Aside is the path to which a damaged SIF of a cache is renamed.
func Aside(file string) string { return file + damagedSuffix }

// DamageMark is the path of a file in this store that marks a SIF as damaged. The SIF is in another
// cache, where the caller cannot rename it. The mark counts for a day, and only for the present
// inode; it is empty if there is no file.
func (s *Store) DamageMark(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return s.path(noticeFile(fmt.Sprint(file, " ", st.Ino, " is damaged")))
}

// Damaged reports whether there is such a mark.
func (s *Store) Damaged(file string) bool {
	mark := s.DamageMark(file)
	info, err := os.Lstat(mark)
	return mark != "" && err == nil && s.trusted(info)
}
