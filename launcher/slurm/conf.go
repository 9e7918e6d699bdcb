// Package slurm reads what Slurm's configuration files say about a node and its steps. It runs none
// of Slurm's programs and sends no message: a thousand nodes that start at once must not query one
// controller.
package slurm

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Limits of what is read: the largest slurm.conf known to us is below 1 MiB, and sites nest Include
// once or twice.
const (
	maxBytes = 8 << 20
	maxDepth = 8
)

// Node holds the names that a node may have in the configuration.
type Node struct {
	Name string // SLURMD_NODENAME; empty outside of a job
	Host string // host name, with or without a domain
}

// Features returns the words that Slurm's configuration gives a node as its Features, in their
// order. The file is conf, an absolute path, or, if conf is empty, the first existing file of
// Slurm's usual places. Without a file there are none, and no error. fsys is the root of the node's
// files. An error means that there is a file whose part about this node could not be understood.
func Features(fsys fs.FS, conf string, n Node) ([]string, error) {
	if conf == "" {
		conf = defaultConf(fsys)
	}
	if conf == "" {
		return nil, nil
	}
	r := reader{fsys: fsys, node: n, left: maxBytes}
	if _, err := fs.Stat(fsys, rooted(conf)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err := r.file(conf, 0); err != nil {
		return nil, err
	}
	if !r.found {
		return nil, r.doubt
	}
	return r.features, nil
}

// defaultConf returns where Slurm keeps its configuration: what slurmd or sackd fetched if the site
// keeps no files on its nodes, the default, and Debian's former place.
func defaultConf(fsys fs.FS) string {
	for _, dir := range []string{"/run/slurm/conf", "/etc/slurm", "/etc/slurm-llnl"} {
		name := dir + "/slurm.conf"
		if _, err := fs.Stat(fsys, rooted(name)); !errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
	return ""
}

// rooted turns an absolute path into a name below the root of fsys.
func rooted(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name != "" {
		return name
	}
	return "."
}

// reader reads until it has found the node, or everything.
type reader struct {
	fsys     fs.FS
	node     Node
	key      string   // the key to look up instead of the node
	value    string   // its last value
	left     int64    // bytes that may still be read
	cluster  string   // ClusterName, which replaces %c in Include
	defaults []string // Features of NodeName=DEFAULT, for the lines after it
	found    bool
	features []string
	doubt    error // of the first unreadable list of nodes; the node may be in it
}

// file reads a file and the files that it includes.
func (r *reader) file(name string, depth int) error {
	text, err := r.text(name)
	if err != nil {
		return err
	}
	number := 0
	for text != "" && !r.found {
		var line string
		var taken int
		line, text, taken = nextLine(text)
		if err := r.line(line, name, depth); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number+1, err)
		}
		number += taken
	}
	return nil
}

// text returns the content of a file. It refuses anything but a regular file: reading a pipe might
// never end.
func (r *reader) text(name string) (string, error) {
	info, err := fs.Stat(r.fsys, rooted(name))
	if err != nil {
		return "", reading(name, err)
	}
	if !info.Mode().IsRegular() {
		return "", reading(name, errors.New("it is no regular file"))
	}
	f, err := r.fsys.Open(rooted(name))
	if err != nil {
		return "", reading(name, err)
	}
	raw, err := io.ReadAll(io.LimitReader(f, r.left+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", reading(name, err)
	}
	if r.left -= int64(len(raw)); r.left < 0 {
		return "", reading(name,
			fmt.Errorf("it is larger than %d bytes, what it includes counted", maxBytes))
	}
	return string(raw), nil
}

// reading names the file as the user does: fs.PathError lacks the leading slash.
func reading(name string, err error) error {
	var perr *fs.PathError
	if errors.As(err, &perr) {
		err = perr.Err
	}
	return fmt.Errorf("reading %s: %w", name, err)
}

// nextLine returns the first line of a text without its comment, joined with the lines that
// continue it; the rest; and the number of lines taken. As in Slurm, a comment begins at a #
// without a backslash before it, and includes a backslash at its end.
func nextLine(text string) (line, rest string, taken int) {
	var b strings.Builder
	for more := true; more && text != ""; taken++ {
		var one string
		one, text, _ = strings.Cut(text, "\n")
		one = uncomment(one)
		trimmed := strings.TrimRight(one, " \t\r\v\f")
		if more = escaped(trimmed); more {
			one = trimmed[:len(trimmed)-1]
		}
		b.WriteString(one)
	}
	return unescape(b.String()), text, taken
}

func uncomment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && !escaped(line[:i]) {
			return line[:i]
		}
	}
	return line
}

// escaped reports whether s ends in an odd number of backslashes.
func escaped(s string) bool { return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1 }

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// line reads one line. It skips all but Include, ClusterName and what is looked up.
func (r *reader) line(line, file string, depth int) error {
	line = strings.TrimSpace(line)
	if word, rest, ok := cutWord(line); ok && strings.EqualFold(word, "include") {
		return r.include(rest, file, depth)
	}
	if what := cmp.Or(r.key, "NodeName"); !hasPrefixFold(line, what) &&
		!hasPrefixFold(line, "ClusterName") {
		return nil
	}
	settings := parseSettings(line)
	switch {
	case len(settings) == 0:
	case settings[0].key == "clustername":
		r.cluster = settings[0].value
	case strings.EqualFold(settings[0].key, r.key):
		r.value = settings[0].value
	case settings[0].key == "nodename":
		r.nodes(settings, file)
	}
	return nil
}

// cutWord returns the first word of a line and the rest; ok is false if nothing follows it.
func cutWord(line string) (word, rest string, ok bool) {
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return "", "", false
	}
	return line[:i], strings.TrimSpace(line[i:]), true
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func (r *reader) include(name, file string, depth int) error {
	if strings.HasPrefix(name, "=") {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("files include one another more than %d deep", maxDepth)
	}
	name = strings.ReplaceAll(name, "%c", r.cluster)
	if !path.IsAbs(name) {
		name = path.Join(path.Dir(file), name)
	}
	return r.file(name, depth+1)
}

// nodes reads a NodeName line.
func (r *reader) nodes(settings []setting, file string) {
	features := r.defaults
	if given, ok := lookup(settings, "feature", "features"); ok {
		features = splitWords(given)
	}
	list := settings[0].value
	if strings.EqualFold(list, "DEFAULT") {
		r.defaults = features
		return
	}
	hosts, _ := lookup(settings, "nodehostname")
	is, err := r.node.in(list, hosts)
	if err != nil && r.doubt == nil {
		r.doubt = fmt.Errorf("reading %s: %w", file, err)
	}
	if is && err == nil {
		r.found, r.features = true, features
	}
}

// in reports whether a list names the node. NodeName decides if it is known; a host is looked up by
// both of its names.
func (n Node) in(list, hosts string) (bool, error) {
	if n.Name != "" {
		return listed(list, n.Name)
	}
	short, _, _ := strings.Cut(n.Host, ".")
	for _, name := range []string{n.Host, short} {
		for _, l := range []string{list, hosts} {
			if is, err := listed(l, name); is || err != nil {
				return is, err
			}
		}
	}
	return false, nil
}

func splitWords(s string) []string {
	var words []string
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words
}

// setting is KEY=VALUE, the key in lower case.
type setting struct{ key, value string }

// pair returns Slurm's own expression for a setting (src/common/parse_config.c).
//
//nolint:gochecknoglobals // constant once compiled
var pair = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*([A-Za-z0-9_.]+)\s*[-*+/]?=\s*(?:"([^"]*)"|(\S+))(?:\s|$)`)
})

// parseSettings returns the settings of a line, up to the first text that is not one.
func parseSettings(line string) []setting {
	var settings []setting
	for m := pair().FindStringSubmatch(line); m != nil; m = pair().FindStringSubmatch(line) {
		settings = append(settings, setting{strings.ToLower(m[1]), m[2] + m[3]})
		line = line[len(m[0]):]
	}
	return settings
}

// lookup returns the value of the first setting with one of these keys.
func lookup(settings []setting, keys ...string) (string, bool) {
	i := slices.IndexFunc(settings, func(s setting) bool { return slices.Contains(keys, s.key) })
	if i < 0 {
		return "", false
	}
	return settings[i].value, true
}
