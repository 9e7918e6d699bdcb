package slurm

import (
	"io/fs"
	"path"
	"strings"
)

// Client is what Slurm's client needs to find on a node beside its programs.
type Client struct {
	Conf    string   // slurm.conf
	User    string   // SlurmUser
	Plugins []string // the files that plugstack.conf names, and what lies beside them
}

// submitLibrary is the library of our own plugin, which loads it from beside itself.
const submitLibrary = "libhpc3spank.so"

// ClientOf reads the configuration; conf is as in Features. ok is false where there is none.
func ClientOf(fsys fs.FS, conf string) (c Client, ok bool) {
	if conf == "" {
		conf = usual(fsys)
	}
	if conf == "" {
		return Client{}, false
	}
	c = Client{Conf: conf, User: value(fsys, conf, "SlurmUser")}
	if c.User == "" {
		c.User = "root"
	}
	stack := value(fsys, conf, "PlugStackConfig")
	if stack == "" {
		stack = path.Join(path.Dir(conf), "plugstack.conf")
	}
	c.stack(fsys, stack, 0)
	return c, true
}

// stack reads a plugstack.conf and what it includes. What cannot be read names nothing.
func (c *Client) stack(fsys fs.FS, file string, depth int) {
	raw, err := fs.ReadFile(fsys, rooted(file))
	if err != nil || depth > maxDepth {
		return
	}
	for line := range strings.Lines(string(raw)) {
		words := strings.Fields(uncomment(line))
		switch {
		case len(words) < 2:
		case words[0] == "include":
			pattern := words[1]
			if !path.IsAbs(pattern) {
				pattern = path.Join(path.Dir(file), pattern)
			}
			files, _ := fs.Glob(fsys, rooted(pattern)) // a pattern that is wrong names nothing
			for _, f := range files {
				c.stack(fsys, "/"+f, depth+1)
			}
		case path.IsAbs(words[1]):
			c.Plugins = append(c.Plugins, words[1])
			if beside := path.Join(path.Dir(words[1]), submitLibrary); exists(fsys, beside) {
				c.Plugins = append(c.Plugins, beside)
			}
			for _, w := range words[2:] {
				if library, ok := strings.CutPrefix(w, "library=/"); ok {
					c.Plugins = append(c.Plugins, "/"+library)
				}
			}
		}
	}
}

func exists(fsys fs.FS, file string) bool {
	_, err := fs.Stat(fsys, rooted(file))
	return err == nil
}
