package launcher

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/slurm"
)

// maxScript bounds what is read of a batch script; Slurm's own limit for a whole one is 4 MiB
// unless a site raises it.
const maxScript = 4 << 20

// standardInput is a batch script that sbatch has read already. It can be read again if it is a
// file.
const standardInput = "/proc/self/fd/0"

// Batch is what sbatch was given. The zero value has no script.
type Batch struct {
	Words   []string    // from the script on; "-" is a script from standard input
	Image   string      // as it was read
	Options [][2]string // of the plugin: name and value
}

// CutShort refuses a job in whose script a # cuts the image or an option of the plugin short, since
// it would be another's. A script that cannot be read again is passed over.
func (b Batch) CutShort(getenv func(string) string) error {
	name, text := b.script(getenv("PATH"))
	for _, cut := range slurm.Cuts(text) {
		image := cut.Option == "container" || cut.Option == "hpc3-image"
		if image && cut.Read != b.Image || !image && !b.has(cut) {
			continue
		}
		err := fault.New(fault.Usage, "%s:%d: %q ends at its #, where a comment begins", name,
			cut.Line, cut.Written)
		slash := strings.Replace(cut.Written, "#", "/", 1)
		if image && sameImage(slash, cut.Written) {
			err = err.Hint("write %s", slash)
		}
		return err.Hint("put quotes around it: --%s=\"%s\"", cut.Option, cut.Written)
	}
	return nil
}

func sameImage(a, b string) bool {
	one, err := oci.ParseReference(a)
	other, err2 := oci.ParseReference(b)
	return err == nil && err2 == nil && one.String() == other.String()
}

// has tells whether what sbatch read is among the options. A site may have given them another
// prefix, and paths are absolute by now.
func (b Batch) has(cut slurm.Cut) bool {
	for _, o := range b.Options {
		kind := strings.TrimPrefix(o[0], "container")
		path := kind == "-mounts" || kind == "-env-file"
		if strings.HasSuffix(cut.Option, kind) && (path || o[1] == cut.Read) {
			return true
		}
	}
	return false
}

// script returns the first of the words that is a script, and its text; "" for none. Slurm looks
// for a name without a slash in PATH first.
func (b Batch) script(path string) (name, text string) {
	for _, word := range b.Words {
		file := word
		switch {
		case word == "-":
			word, file = "standard input", standardInput
		case !strings.Contains(word, "/"):
			file = inPath(word, path)
		}
		raw, err := outside.Read(file, maxScript)
		if err == nil && strings.HasPrefix(string(raw), "#!") {
			return word, string(raw)
		}
	}
	return "", ""
}

func inPath(name, path string) string {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); unix.Access(file, unix.R_OK) == nil {
			return file
		}
	}
	return name
}
