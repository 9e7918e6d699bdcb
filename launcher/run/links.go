package run

import (
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

// readlink reads a symlink of the image.
func (i image) readlink(file string) (string, error) {
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
	return err == nil && len(links) > 0 && slices.ContainsFunc(dirs, func(dir string) bool { return within(rel, dir) && !within(target, dir) })
}

// straighten returns where the target of a bind is, as follow does. Where a symlink of the image leads it into a directory of the node,
// it takes the symlink away: the bind would be made over what the node has there, or could not be made.
func (c *container) straighten(target string) (string, error) {
	for range maxLinks {
		rel, links, err := trace(target, readMerged)
		if err != nil || len(links) == 0 || c.ownsAbove(rel) {
			return rel, err
		}
		gone := false
		for _, link := range slices.Backward(links) {
			if gone, err = c.removeLink(link); gone || err != nil {
				break
			}
		}
		if err != nil || !gone { // all of them are the node's, and lead where they lead on the node
			return rel, err
		}
	}
	return "", unix.ELOOP
}

// ownsAbove tells whether a path is in a file system of the container's own, or would be if it were made.
func (c *container) ownsAbove(rel string) bool {
	for ; ; rel = path.Dir(rel) {
		fd, err := openIn(c.root, rel)
		if err != nil && rel != "/" {
			continue
		}
		if err != nil {
			return false
		}
		err = c.mustOwn(fd)
		_ = unix.Close(fd)
		return err == nil
	}
}

// removeLink removes a symlink, unless it is in a directory of the node.
func (c *container) removeLink(link string) (bool, error) {
	dir, err := openIn(c.root, path.Dir(link))
	if err != nil {
		return false, err
	}
	defer unix.Close(dir)
	if c.mustOwn(dir) != nil {
		return false, nil
	}
	err = unix.Unlinkat(dir, path.Base(link), 0)
	return err == nil, err
}

// untangle keeps /tmp and /var/tmp of the node apart in an image that has one of them be the other.
func (c *container) untangle(sources []source) error {
	for _, pair := range [][2]string{{"/tmp", "/var/tmp"}, {"/var/tmp", "/tmp"}} {
		isPair := func(s source) bool { return s.Exact && s.Source == pair[0] && s.Target == pair[0] }
		if !slices.ContainsFunc(sources, isPair) {
			continue
		}
		rel, links, err := trace(pair[0], readMerged)
		if err != nil || len(links) == 0 || !within(rel, pair[1]) {
			continue
		}
		if _, err := c.removeLink(links[len(links)-1]); err != nil {
			return err
		}
	}
	return nil
}
