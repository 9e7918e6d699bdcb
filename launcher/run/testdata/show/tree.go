package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// tree prints all that can be known of the files below a directory. The size of a directory is its
// file system's own business, and so is how many names it has.
func tree(top string) error {
	return filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		fmt.Printf("%s mode %o owner %d %d time %d device %d", path, st.Mode, st.Uid, st.Gid,
			st.Mtim.Sec, st.Rdev)
		if !entry.IsDir() {
			fmt.Printf(" size %d links %d", st.Size, st.Nlink)
		}
		switch entry.Type() {
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			fmt.Printf(" to %q %v", target, err)
		case 0:
			raw, err := os.ReadFile(path)
			fmt.Printf(" content %x %v", sha256.Sum256(raw), err)
			value := make([]byte, 256)
			n, err := syscall.Getxattr(path, "user.hpc3", value)
			fmt.Printf(" attribute %q %v", value[:max(n, 0)], err)
		}
		fmt.Println()
		return nil
	})
}
