// Package option says what a user may ask for: the options of hpc3-run and their parsers.
package option

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Mount is one bind of a node's file or directory into the container, or an empty directory in
// memory.
type Mount struct {
	Source  string   // on the node; absolute, or relative to the caller's directory; or Tmpfs
	Target  string   // absolute path in the container
	Options []string // of MountOptions, without duplicates, in the order given
}

// Tmpfs is the source of a directory in memory, as pyxis calls it. A directory of that name is
// "./tmpfs".
const Tmpfs = "tmpfs"

// MountOptions are the words that a bind may carry. Of ro and rw only one may be given.
//
//nolint:gochecknoglobals // a constant list
var MountOptions = []string{"ro", "rw", "nosuid", "nodev", "noexec", "rbind", "bind"}

// ReadOnly tells whether the bind is to be read-only.
func (m Mount) ReadOnly() bool { return slices.Contains(m.Options, "ro") }

// isBind tells whether an option says that the mount is a bind.
func (m Mount) isBind() bool {
	return slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// String returns the form that ParseMount reads.
func (m Mount) String() string {
	s := m.Source + ":" + m.Target
	if len(m.Options) > 0 {
		s += ":" + strings.Join(m.Options, "+")
	}
	return s
}

// ParseMount reads "SRC[:DST[:OPTS]]". OPTS are joined by "+", as in pyxis, since a comma separates
// mounts. "tmpfs:DST[:OPTS]" is a directory in memory. Without DST the source is bound at its own
// path, which must be absolute then. A path cannot hold a colon.
func ParseMount(s string) (Mount, error) {
	parts := strings.Split(s, ":")
	if len(parts) > 3 {
		return Mount{}, fmt.Errorf("mount %q has more than three parts; it is SRC[:DST[:OPTS]]", s)
	}
	m := Mount{Source: parts[0]}
	if m.Source == "" {
		return Mount{}, fmt.Errorf("mount %q names no source", s)
	}
	if strings.ContainsRune(s, 0) {
		return Mount{}, fmt.Errorf("mount %q holds a NUL byte", s)
	}
	m.Target = m.Source
	if len(parts) > 1 && parts[1] != "" {
		m.Target = parts[1]
	}
	if !path.IsAbs(m.Target) {
		return Mount{}, fmt.Errorf("mount %q: the target %q is not an absolute path", s, m.Target)
	}
	m.Target = path.Clean(m.Target)
	if len(parts) == 3 {
		opts, err := parseMountOptions(parts[2])
		if err != nil {
			return Mount{}, fmt.Errorf("mount %q: %w", s, err)
		}
		m.Options = opts
	}
	if m.Source == Tmpfs && m.isBind() {
		return Mount{}, fmt.Errorf(
			"mount %q: a tmpfs is no bind; for a directory of this name write ./%s", s, Tmpfs)
	}
	return m, nil
}

func parseMountOptions(s string) ([]string, error) {
	var opts []string
	for word := range strings.SplitSeq(s, "+") {
		if !slices.Contains(MountOptions, word) {
			known := strings.Join(MountOptions, " ")
			return nil, fmt.Errorf("unknown option %q; known are %s", word, known)
		}
		if !slices.Contains(opts, word) {
			opts = append(opts, word)
		}
	}
	if slices.Contains(opts, "ro") && slices.Contains(opts, "rw") {
		return nil, fmt.Errorf("both ro and rw are given")
	}
	return opts, nil
}

// ParseMounts reads a comma-separated list of mounts. Options may be joined by commas as well, as
// docker and Apptainer write them ("/a:/b:ro,nodev"): a part that is the word of an option belongs
// to the mount before it.
func ParseMounts(s string) ([]Mount, error) {
	var words []string
	for part := range strings.SplitSeq(s, ",") {
		last, isOption := len(words)-1, slices.Contains(MountOptions, part)
		if last >= 0 && isOption && strings.Count(words[last], ":") == 2 {
			words[last] += "+" + part
			continue
		}
		words = append(words, part)
	}
	mounts := make([]Mount, 0, len(words))
	for _, w := range words {
		m, err := ParseMount(w)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// UnmarshalText reads one mount.
func (m *Mount) UnmarshalText(b []byte) error {
	parsed, err := ParseMount(string(b))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}
