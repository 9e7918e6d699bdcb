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
	Own     []string // the words of the line of plugstack.conf that loads our own plugin, from its file on; none where it is not set up
}

// Our own plugin, and its library, which it loads from beside itself.
const (
	ownPlugin     = "spank_hpc3.so"
	submitLibrary = "libhpc3spank.so"
)

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
		if len(words) > 1 && path.Base(words[1]) == ownPlugin {
			c.Own = words[1:]
		}
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

// Plugin is our own plugin as a node's Slurm is set up to load it.
type Plugin struct {
	Library     string   // libhpc3spank.so
	Missing     []string // files that it needs and that are not there
	Interactive bool     // salloc may be given --container
}

// PluginOf reads the configuration; conf is as in Features. ok is false where it does not load the plugin. launcher is what hpc3-run is called unless
// plugstack.conf says otherwise.
func PluginOf(fsys fs.FS, conf, launcher string) (p Plugin, ok bool) {
	c, ok := ClientOf(fsys, conf)
	if !ok || len(c.Own) == 0 {
		return Plugin{}, false
	}
	file := c.Own[0]
	p.Library = path.Join(path.Dir(file), submitLibrary)
	for _, w := range c.Own[1:] {
		if named, ok := strings.CutPrefix(w, "launcher="); ok {
			launcher = named
		}
		if named, ok := strings.CutPrefix(w, "library="); ok {
			p.Library = named
		}
	}
	for _, f := range []string{file, p.Library, launcher} {
		if path.IsAbs(f) && !exists(fsys, f) { // Slurm looks for other names in a directory of its own
			p.Missing = append(p.Missing, f)
		}
	}
	// Slurm looks for this word in any place.
	p.Interactive = strings.Contains(value(fsys, c.Conf, "LaunchParameters"), "use_interactive_step")
	return p, true
}
