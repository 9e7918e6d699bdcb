package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/site"
)

func (r *Road) note(format string, args ...any) {
	if r.Note != nil {
		r.Note(fault.OneLine(fmt.Sprintf(format, args...)))
	}
}

// noteText is for those who have the whole text.
func (r *Road) noteText(text string) { r.note("%s", text) }

func (r *Road) detail(format string, args ...any) {
	if r.Detail != nil {
		r.Detail(fault.OneLine(fmt.Sprintf(format, args...)))
	}
}

func (r *Road) waiting(text string) {
	if r.Waiting != nil {
		r.Waiting(text)
	}
}

// tellFiles tells which files and directories the walk goes by.
func (r *Road) tellFiles() {
	if r.Detail == nil || r.toldFiles {
		return
	}
	r.toldFiles = true
	r.detail("file: %s", cmp.Or(r.Site.File, site.DefaultFile+", which is not there")+": the site's settings")
	if dir := xdg(r.Host, "XDG_CONFIG_HOME", ".config"); dir != "" {
		file, state := filepath.Join(dir, "hpc3", "hpc3.toml"), ""
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			state = ", which is not there"
		}
		r.detail("file: %s%s: your settings", file, state)
	}
	for _, t := range r.caches() {
		state := "of the site"
		if t.home {
			state = "in your home, for reading"
		}
		if t.err != nil {
			state += ", passed over: " + rootCause(t.err).Error()
		}
		r.detail("cache: %s: %s", t.Dir, state)
	}
	r.detail("cache: %s: yours", r.CacheDir())
}

// tellIndex tells where the index, or what stands for one, was found.
func (r *Road) tellIndex(c *Choice) {
	from := "from the cache"
	switch {
	case c.source != nil && c.Reference.Transport == oci.Registry:
		from = "from the registry"
	case c.source != nil:
		from = "from the file"
	}
	what := called(c.Reference)
	if c.Reference.Digest == "" {
		what += ", " + ShortDigest(c.Index.Digest)
	}
	switch {
	case len(c.Index.Entries) > 0 && c.Index.Entries[0].Tag != "":
		what = fmt.Sprintf("none, but %d tags of %s", len(c.Index.Entries), called(c.Reference))
	case c.Index.Digest == "":
		what = called(c.Reference) + ", which is one image"
	}
	r.note("index: %s, %s", what, from)
}

// tellChoice tells which entry it is to be. That may change when the image says more of itself.
func (r *Road) tellChoice(c *Choice) {
	e, why := c.Index.Entries[c.Result.Chosen], c.Result.Why
	if wants := platformOf(e); !strings.Contains(why, wants) {
		why = wants + ": " + why
	}
	if text := fmt.Sprintf("choice: entry %d of %d, %s", e.Position, len(c.Index.Entries), why); text != r.toldChoice {
		r.toldChoice = text
		r.note("%s", text)
	}
}

// tellImage tells where the image comes from.
func (r *Road) tellImage(c *Choice, path, from string) {
	size := ""
	if info, err := os.Stat(path); err == nil {
		size = fmt.Sprintf(", %.1f MB", float64(info.Size())/1e6)
	}
	cache, _, _ := strings.Cut(path, "/sif/")
	r.note("image: %s%s, %s %s", ShortDigest(c.entry.Digest), size, from, cache)
}

// called is a reference in a message that goes by: with a short digest, if it has one.
func called(ref oci.Reference) string {
	text := ref.String()
	if ref.Digest == "" {
		return text
	}
	return strings.Replace(text, ref.Digest, ShortDigest(ref.Digest), 1)
}

// ShortDigest returns as much of a digest as tells images apart; --variant takes it.
func ShortDigest(digest string) string {
	return digest[:min(len(digest), len("sha256:")+12)]
}

func (r *Road) plainHTTP(registry string) bool {
	for _, known := range r.Site.PlainHTTP {
		if known == registry {
			return true
		}
	}
	return false
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }

func itoa(n int) string { return strconv.Itoa(n) }
