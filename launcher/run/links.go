package run

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks bounds the symlinks in a target, as the kernel does.
const maxLinks = 40

// follow returns where a path of the container is below its root, its symlinks followed as they will be inside. What does not exist is
// taken as it is written.
func follow(target string) (string, error) {
	rel, _, err := trace(target, readMerged)
	return rel, err
}

func readMerged(file string) (string, error) { return os.Readlink(merged + file) }

// trace follows the symlinks of an absolute path, and returns the path without them and where the links are.
func trace(target string, readlink func(file string) (string, error)) (rel string, links []string, err error) {
	at := ""
	todo := strings.Split(target, "/")
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if at != "" {
				at = path.Dir(at)
			}
			if at == "/" {
				at = ""
			}
			continue
		}
		link, err := readlink(at + "/" + name)
		if err != nil { // no symlink, or nothing there
			at += "/" + name
			continue
		}
		if links = append(links, at+"/"+name); len(links) > maxLinks {
			return "", nil, unix.ELOOP
		}
		if strings.HasPrefix(link, "/") {
			at = ""
		}
		todo = append(strings.Split(link, "/"), todo...)
	}
	if at == "" {
		return "/", links, nil
	}
	return at, links, nil
}

// readlink reads a symlink of the image. One that cannot be looked into has none.
func (i image) readlink(file string) (string, error) {
	if i.fs == nil {
		return "", fs.ErrNotExist
	}
	dir, err := i.fs.Resolve(path.Dir(file))
	if err != nil {
		return "", err
	}
	ref, err := i.fs.Lookup(dir, path.Base(file))
	if err != nil {
		return "", err
	}
	return i.fs.Readlink(ref)
}

// tangled tells whether the image's /tmp and /var/tmp are one, in which Apptainer has the node's /tmp then.
func (i image) tangled() bool {
	if i.fs == nil {
		return false
	}
	one, _, err := trace("/tmp", i.readlink)
	other, _, err2 := trace("/var/tmp", i.readlink)
	return err == nil && err2 == nil && one == other
}

// astray tells whether the image's symlinks lead a path into one of some directories of the node that it is not in.
func (i image) astray(target string, dirs []string) bool {
	if i.fs == nil || within(target, "/tmp") {
		return false
	}
	if within(target, "/var/tmp") {
		return i.tangled()
	}
	rel, links, err := trace(target, i.readlink)
	return err == nil && len(links) > 0 && leadsInto(rel, target, dirs)
}

// straighten puts directories and files of the container's own in the place of those symlinks of the image that would lead a bind into a
// directory of the node: it would be made over what the node has there, or could not be made. They are put into the upper layer before the
// overlay is mounted: in one that keeps no attributes, no directory can be made where a symlink was.
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
		rel, links, err := trace(s.Target, readlink)
		for ; s.Exact && err == nil && len(links) > 0 && leadsInto(rel, s.Target, node); rel, links, err = trace(s.Target, readlink) {
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

// leadsInto tells whether a path that a target is led to is in one of some directories that the target is not in.
func leadsInto(rel, target string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return within(rel, dir) && !within(target, dir) })
}

// makeUpper makes a directory or an empty file in the upper layer. Directories above it look as the image has them.
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
