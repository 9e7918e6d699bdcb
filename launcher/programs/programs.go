// Package programs finds the commands that an image offers beyond its base system. The package data
// bases of the image tell what belongs to that.
package programs

import "github.com/hpc3-project/hpc3/launcher/squashfs"

// Image is what is known of an image.
type Image struct {
	FS *squashfs.FS
	// Rpm asks the image's own rpm, which alone knows its data base; nil where nothing of the image
	// may be run
	Rpm func(args ...string) ([]byte, error)
}

// Beyond returns the commands in the directories of path that the base system does not have,
// sorted. notes says what could not be found out.
func (i Image) Beyond(path []string) (commands, notes []string, err error) {
	return nil, nil, nil
}

// Find returns the file that a command is, by the directories of path; "" for none.
func (i Image) Find(path []string, command string) string { return "" }
