package inside

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks bounds the symlinks in a path, as the kernel does.
const maxLinks = 40

// Trace follows the symlinks of an absolute path. It returns the path without symlinks, and the
// paths of the symlinks.
func Trace(
	target string, readlink func(file string) (string, error),
) (rel string, links []string, err error) {
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

// LeadsInto tells whether rel, to which symlinks lead target, is in one of these directories
// although target is not.
func LeadsInto(rel, target string, dirs []string) bool {
	return slices.ContainsFunc(dirs,
		func(dir string) bool { return Within(rel, dir) && !Within(target, dir) })
}
