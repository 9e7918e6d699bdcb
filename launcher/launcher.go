// Package launcher is the road: probe the node, match the best entry of the image index, fetch that entry only,
// convert it to a SIF, and run it. It walks through the rooms in this order, and nothing else does.
package launcher

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/launcher/store"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Host is the process that walks the road, as the operating system shows it: what a room needs of the outside comes
// from here, so that a test can give another.
type Host struct {
	Environ []string // NAME=VALUE
	Cwd     string   // "" where it cannot be told
	UID     int
	Arch    string // GOARCH of this node
	Name    string // host name

	Plugin bool // the Slurm plugin handles the job, and the settings are those of the site
}

// ThisHost is this process, in an environment. Whether it has a terminal only its caller can say.
func ThisHost(environ []string) Host {
	h := Host{Environ: environ, UID: os.Getuid(), Arch: runtime.GOARCH}
	h.Cwd, _ = os.Getwd()     // a directory that is gone is no working directory
	h.Name, _ = os.Hostname() // a node without a name has no words of its own
	return h
}

// Getenv returns the value of a variable, "" where it is not set. Of two settings of one name the last counts.
func (h Host) Getenv(name string) string {
	for i := len(h.Environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(h.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// Road is one walk. The functions may be nil; those of Note, Detail and Waiting may be called from several goroutines.
type Road struct {
	Host     Host
	Site     site.Site
	Option   option.Run
	Clock    *Clock
	Note     func(text string) // what -v shows
	Detail   func(text string) // what -d shows beside it
	Waiting  func(text string) // something takes long; told once
	Progress *Progress         // filled as the walk goes; nil counts nothing
	Version  string

	Given     *facts.Node // match against this node instead of probing
	ProbeRoot string      // probe the recorded node below this directory
	Elsewhere bool        // the command will not run on this node
	Parent    int         // the process with which the command is to end; 0: none

	cache   *store.Store
	tiers   []tier // of the site; see caches
	looked  bool   // at these
	sources []fetch.Source
	private atomic.Bool       // something was used that not everybody may read
	held    map[string][]byte // blobs by digest that the cache could not take; nil for none
	engine  struct {          // chosen once
		name option.Engine
		path string
		conf run.ApptainerConf
	}
	server     *run.Server // started ahead; nil for none
	toldFiles  bool        // see tellFiles
	toldChoice string      // see tellChoice
	tight      bool        // no copies of layers are made: there is no room for them
	sparing    bool        // nor are there any: they made room
	copies     copies
}

// xdg returns the directory of an XDG variable, by default DIR in the home; "" where there is no home.
func xdg(h Host, variable, dir string) string {
	if d := h.Getenv(variable); filepath.IsAbs(d) {
		return d
	}
	if home := h.Getenv("HOME"); filepath.IsAbs(home) && home != "/" {
		return filepath.Join(home, dir)
	}
	return ""
}

// CacheDir returns the directory of the cache: HPC3_CACHEDIR, the site's choice, $XDG_CACHE_HOME/hpc3, ~/.cache/hpc3. For a
// user without a home of his own it is a directory in TMPDIR that only he can read.
func (r *Road) CacheDir() string {
	if dir := r.Host.Getenv("HPC3_CACHEDIR"); dir != "" {
		return dir
	}
	if r.Site.CacheDir != "" {
		return r.Site.CacheDir
	}
	if dir := homeCache(r.Host); dir != "" && usableBelow(filepath.Dir(dir)) {
		return dir
	}
	dir := filepath.Join(tempDir(r.Host), "hpc3-"+itoa(r.Host.UID))
	r.note("there is no home that can be written, so the cache is %s", dir)
	return dir
}

// homeCache returns the cache in the caller's home, whether or not it can be written; "" without a home.
func homeCache(h Host) string {
	dir := xdg(h, "XDG_CACHE_HOME", ".cache")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "hpc3")
}

// usableBelow tells whether dir, or what exists of its parents, can be written: a cluster's accounts may have a HOME
// that exists on the login nodes only, or none at all ("/nonexistent").
func usableBelow(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err == nil {
			return info.IsDir() && writable(dir)
		}
		parent := filepath.Dir(dir)
		if parent == dir || !os.IsNotExist(err) {
			return false
		}
		dir = parent
	}
}

func tempDir(h Host) string {
	if dir := h.Getenv("TMPDIR"); filepath.IsAbs(dir) {
		return dir
	}
	return "/tmp"
}

// Store returns the cache, opened at the first call.
func (r *Road) Store() (*store.Store, error) {
	if r.cache != nil {
		return r.cache, nil
	}
	s, err := store.OpenWith(r.CacheDir(), r.optionsOf(r.CacheDir()))
	if err != nil {
		return nil, err
	}
	s.OnWait = func(string) {
		r.Progress.at(Wait)
		r.waiting("another process is converting this image; waiting for it")
	}
	r.cache = s
	return s, nil
}

// First tells whether nobody has asked for these words before, among those who share the user's cache.
func (r *Road) First(words string) (bool, error) {
	s, err := r.Store()
	if err != nil {
		return false, err
	}
	return s.First(words)
}

// Walk is the whole road: it returns only with an error, since the process becomes the command.
func (r *Road) Walk(ctx context.Context, image string, command []string) error {
	if err := r.CheckPlatform(); err != nil {
		return err
	}
	choice, err := r.Choose(ctx, image)
	if err != nil {
		return err
	}
	defer choice.Close()
	start, err := r.Prepare(ctx, choice, command)
	if err != nil {
		return err
	}
	return start.Exec(ctx)
}
