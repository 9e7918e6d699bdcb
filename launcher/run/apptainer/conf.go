package apptainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// Conf holds the settings of a site's apptainer.conf. The zero value has none, so that every
// setting has Apptainer's default.
type Conf struct {
	File string // "" if none was found
	said map[string][]string
}

// maxConf bounds an apptainer.conf. The one that comes with Apptainer is below 32 KiB.
const maxConf = 1 << 20

// directive finds a setting as Apptainer's own parser does.
var directive = regexp.MustCompile(`(?m)^\s*([a-zA-Z _-]+)[[:blank:]]*=[[:blank:]]*(.*)$`)

// ReadConf reads the settings of an Apptainer. A missing file is no error.
func ReadConf(apptainer string, getenv func(string) string) (Conf, error) {
	for _, file := range confFiles(apptainer, getenv) {
		raw, err := outside.Read(file, maxConf)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Conf{File: file}, fmt.Errorf("reading %s: %w", file, fault.Reason(err))
		}
		return parseConf(file, raw), nil
	}
	return Conf{}, nil
}

// confFiles returns the paths of an apptainer.conf. The caller may name one, unless there is a
// setuid starter, which would refuse that. Otherwise the paths are those of packages and of builds
// from source.
func confFiles(apptainer string, getenv func(string) string) []string {
	var files []string
	if os.Geteuid() == 0 || !hasSetuidStarter(apptainer) {
		for _, name := range []string{"APPTAINER_CONFIG_FILE", "SINGULARITY_CONFIG_FILE"} {
			if file := getenv(name); file != "" {
				return []string{file}
			}
		}
	}
	if prefix := installPrefix(apptainer); prefix != "/usr" {
		files = append(files, filepath.Join(prefix, "etc/apptainer/apptainer.conf"))
	}
	return append(files, "/etc/apptainer/apptainer.conf", "/usr/local/etc/apptainer/apptainer.conf")
}

func parseConf(file string, raw []byte) Conf {
	c := Conf{File: file, said: map[string][]string{}}
	for _, m := range directive.FindAllSubmatch(raw, -1) {
		key, value := strings.TrimSpace(string(m[1])), strings.TrimSpace(string(m[2]))
		for v := range strings.SplitSeq(value, ",") {
			if value != "" {
				c.said[key] = append(c.said[key], strings.TrimSpace(v))
			}
		}
	}
	return c
}

// Is tells whether the site gave a setting one of these values. Of several lines the first counts.
func (c Conf) Is(setting string, values ...string) bool {
	said := c.said[setting]
	return len(said) > 0 && slices.Contains(values, said[0])
}

// Wanted is what a start asks of Apptainer, as far as the options say.
type Wanted struct {
	Home     bool // the home directory is to be bound
	Binds    bool // something else is to be bound, by an option
	Writable bool
	Rootless bool // Apptainer makes a user namespace
}

// Departure is a setting of the site that makes a start through Apptainer differ from the manual.
type Departure struct {
	Setting string // as written in the file
	Effect  string
	Fatal   bool // Apptainer cannot start
}

func (d Departure) String() string { return d.Setting + ": " + d.Effect }

// Departures lists them in a fixed order.
func (c Conf) Departures(w Wanted) []Departure {
	var all []Departure
	add := func(when bool, setting, value, effect string, fatal bool) {
		if when && c.Is(setting, value) {
			all = append(all, Departure{setting + " = " + value, effect, fatal})
		}
	}
	add(true, "allow container sif", "no", "Apptainer runs no SIF", true)
	add(w.Rootless, "allow user ns", "no", "Apptainer makes no user namespace, which it needs here",
		true)
	add(w.Binds, "user bind control", "no", "Apptainer binds nothing that a user names", true)
	add(!w.Binds, "user bind control", "no",
		"the current directory and TMPDIR are not bound, nor a home other than the account's",
		false)
	add(w.Writable, "enable overlay", "no", "Apptainer makes no writable layer", true)
	if c.Is("enable underlay", "no") {
		add(true, "enable overlay", "no", "Apptainer makes no mount point that the image lacks",
			false)
	}
	add(w.Home, "mount home", "no", "the home directory is not bound", false)
	add(true, "mount tmp", "no", "/tmp and /var/tmp are the image's", false)
	add(true, "mount proc", "no", "/proc is empty", false)
	add(true, "mount sys", "no", "/sys is empty", false)
	add(true, "mount dev", "no", "/dev is the image's", false)
	add(true, "mount dev", "minimal", "/dev has no GPUs and no fabric", false)
	add(true, "config passwd", "no", "the image's user database does not know the caller", false)
	add(true, "config group", "no", "the image's user database does not know the caller's groups",
		false)
	add(true, "config resolv_conf", "no", "/etc/resolv.conf is the image's", false)
	if c.said != nil && !slices.ContainsFunc(c.said["bind path"],
		func(b string) bool { return b == "/etc/hosts" || strings.HasPrefix(b, "/etc/hosts:") }) {
		all = append(all, Departure{
			"no bind path = /etc/hosts", "/etc/hosts is the image's",
			false,
		})
	}
	return all
}
