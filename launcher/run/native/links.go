package native

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// follow resolves a path of the container, relative to its root: symlinks are followed as they will
// be inside. Components that do not exist are kept as they are written.
func follow(target string) (string, error) {
	rel, _, err := inside.Trace(target, readMerged)
	return rel, err
}

func readMerged(file string) (string, error) { return os.Readlink(merged + file) }

// straighten replaces symlinks of the image by directories and files of the container's own, if
// they would lead a bind into a directory of the node: the bind would cover what the node has
// there, or could not be made. It does so in the upper layer before the overlay is mounted: in an
// overlay that keeps no attributes, no directory can be made in the place of a symlink.
func straighten(sources []source) error {
	gone := map[string]bool{}
	readlink := func(file string) (string, error) {
		if gone[file] {
			return "", unix.EINVAL
		}
		return os.Readlink(lower + file)
	}
	node := []string{"/tmp", "/var/tmp"}
	for _, s := range sources {
		rel, links, err := inside.Trace(s.Target, readlink)
		for ; s.Exact && err == nil && len(links) > 0 &&
			inside.LeadsInto(rel, s.Target, node); rel, links, err = inside.Trace(s.Target,
			readlink) {
			link := links[len(links)-1]
			gone[link] = true
			if err := makeUpper(link, s.isDir() || link != s.Target); err != nil {
				return err
			}
		}
		if err == nil { // else the bind says what is wrong
			node = append(node, rel)
		}
	}
	return nil
}

// makeUpper makes a directory or an empty file in the upper layer. Directories above it look as the
// image has them.
func makeUpper(file string, dir bool) error {
	for end := 1; end < len(file); end++ {
		if file[end] != '/' {
			continue
		}
		above := file[:end]
		info, err := os.Stat(lower + above)
		if err != nil {
			return err
		}
		err = os.Mkdir(upper+above, 0o700)
		if err == nil {
			err = os.Chmod(upper+above, info.Mode())
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if dir {
		return os.Mkdir(upper+file, 0o755)
	}
	return os.WriteFile(upper+file, nil, 0o644)
}
