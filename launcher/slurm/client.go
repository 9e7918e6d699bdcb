package slurm

import (
	"io/fs"
	"path"
	"strings"
)

// Client holds what Slurm's client programs need on a node besides themselves.
type Client struct {
	Conf    string   // slurm.conf
	User    string   // SlurmUser
	Plugins []string // the files that plugstack.conf names, and our library beside them
	Own     []string // of plugstack.conf: our plugin's file and the words after it; nil without it
}

// Our own plugin, and the library that it loads from its own directory.
const (
	ownPlugin     = "spank_hpc3.so"
	submitLibrary = "libhpc3spank.so"
)

// ClientOf reads the configuration; conf is as in Features. ok is false if there is none.
func ClientOf(fsys fs.FS, conf string) (c Client, ok bool) {
	if conf == "" {
		conf = defaultConf(fsys)
	}
	if conf == "" {
		return Client{}, false
	}
	c = Client{Conf: conf, User: valueOf(fsys, conf, "SlurmUser")}
	if c.User == "" {
		c.User = "root"
	}
	stack := valueOf(fsys, conf, "PlugStackConfig")
	if stack == "" {
		stack = path.Join(path.Dir(conf), "plugstack.conf")
	}
	c.readStack(fsys, stack, 0)
	return c, true
}

// readStack reads a plugstack.conf and the files that it includes. It skips a file that cannot be
// read.
func (c *Client) readStack(fsys fs.FS, file string, depth int) {
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
			files, _ := fs.Glob(fsys, rooted(pattern)) // a malformed pattern matches nothing
			for _, f := range files {
				c.readStack(fsys, "/"+f, depth+1)
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

// Plugin describes our plugin as the node's Slurm is configured to load it.
type Plugin struct {
	Library     string   // libhpc3spank.so
	Missing     []string // files that it needs and that do not exist
	Interactive bool     // salloc accepts --container
}

// PluginOf reads the configuration; conf is as in Features. ok is false if it does not load the
// plugin. launcher is the path of hpc3-run unless plugstack.conf names another.
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
		// Slurm looks for a relative name in a directory of its own.
		if path.IsAbs(f) && !exists(fsys, f) {
			p.Missing = append(p.Missing, f)
		}
	}
	// Slurm accepts this word anywhere in the value.
	parameters := valueOf(fsys, c.Conf, "LaunchParameters")
	p.Interactive = strings.Contains(parameters, "use_interactive_step")
	return p, true
}
