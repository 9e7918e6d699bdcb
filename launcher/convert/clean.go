package convert

import (
	"path"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// refuse returns an error about content that no layer should have.
func refuse(format string, args ...any) error {
	return oci.ErrUnusable.New(format, args...).
		Hint("the image is damaged, or was not made by a build; ask whoever published it")
}

// Bounds of a path: how many parts it may have (the kernel's limit is 4096 bytes in total), and how
// long a part may be (NAME_MAX).
const (
	maxDepth = 2048
	maxName  = 255
)

// clean returns the parts of a path in a layer, relative to the root even if it begins with a
// slash, as in old archives. A path that leads out of the root is refused: no build makes one.
func clean(name string) ([]string, error) {
	relative := path.Clean(strings.TrimLeft(name, "/"))
	if relative == ".." || strings.HasPrefix(relative, "../") {
		return nil, refuse("it leads out of the image's root")
	}
	name = path.Clean("/" + name)[1:]
	if name == "" {
		return nil, nil
	}
	return checked(name)
}

// checked returns the parts of a path. It refuses parts that cannot be names.
func checked(name string) ([]string, error) {
	if strings.ContainsRune(name, 0) {
		return nil, refuse("the path %.80q holds a NUL byte", name)
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return nil, refuse("a path is %d directories deep", len(parts))
	}
	for _, part := range parts {
		if len(part) > maxName {
			return nil, refuse("a name of %d bytes, the limit is %d", len(part), maxName)
		}
	}
	return parts, nil
}
