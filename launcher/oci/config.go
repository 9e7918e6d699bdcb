package oci

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// Config is the part of an image config that running the image needs.
type Config struct {
	OS           string
	Architecture string // GOARCH spelling
	Variant      string
	OSVersion    string
	OSFeatures   []string
	Created      time.Time // zero where not stated
	Env          []string  // NAME=VALUE, in order
	Entrypoint   []string
	Cmd          []string
	WorkingDir   string // absolute and clean, or empty
	User         string
	Labels       map[string]string
	StopSignal   string
	DiffIDs      []string // digest of each layer uncompressed, the lowest first
	Faults       []string // what was left out, and why
}

// DefaultPath is the PATH of a command if the image does not set one; it is docker's.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Path returns the PATH that the image sets, else the default.
func (c Config) Path() string {
	list := DefaultPath
	for _, v := range c.Env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			list = value
		}
	}
	return list
}

// Limits of a config. The kernel takes 128 KiB for one argument or variable (MAX_ARG_STRLEN) and by
// default 2 MiB for all; an image may use half of that.
const (
	maxString  = 128<<10 - 1
	maxStrings = 1 << 20
	maxArgs    = 4096
	maxName    = 256 // of a user or signal
)

// ParseConfig reads an image config. A part that cannot be used while the rest can, such as a
// variable without "=", is left out and reported in Faults. Errors are ErrUnusable.
func ParseConfig(raw []byte) (Config, error) {
	d := &decoder{what: "image config"}
	doc := d.document(raw)
	c := Config{
		OS:           strings.ToLower(d.text("os", doc["os"])),
		Architecture: Architecture(d.text("architecture", doc["architecture"])),
		Variant:      strings.ToLower(d.text("variant", doc["variant"])),
		OSVersion:    d.text("os.version", doc["os.version"]),
		OSFeatures:   d.texts("os.features", doc["os.features"]),
	}
	c.created(d.text("created", doc["created"]))
	c.process(d, d.object("config", doc["config"]))
	c.DiffIDs = d.texts("rootfs.diff_ids", d.object("rootfs", doc["rootfs"])["diff_ids"])
	for i, id := range c.DiffIDs {
		if !ValidDigest(id) {
			d.fail("rootfs.diff_ids[%d]: %.80q is no digest", i, id)
		}
	}
	if d.err != nil {
		return Config{}, d.err
	}
	return c, nil
}

func (c *Config) omit(format string, args ...any) {
	c.Faults = append(c.Faults, fmt.Sprintf(format, args...))
}

func (c *Config) created(text string) {
	if text == "" {
		return
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		c.omit("created: %.40q is no time", text)
		return
	}
	c.Created = t
}

// process reads the member "config" of a config.
func (c *Config) process(d *decoder, m members) {
	c.environment(d.texts("config.Env", m["Env"]))
	c.Entrypoint = d.arguments("config.Entrypoint", m["Entrypoint"])
	c.Cmd = d.arguments("config.Cmd", m["Cmd"])
	c.workingDir(d.text("config.WorkingDir", m["WorkingDir"]))
	c.User = c.name("User", d.text("config.User", m["User"]))
	c.StopSignal = c.name("StopSignal", d.text("config.StopSignal", m["StopSignal"]))
	c.Labels = d.pairs("config.Labels", m["Labels"])
}

// arguments reads a command. Unlike variables, no argument can be left out.
func (d *decoder) arguments(at string, raw []byte) []string {
	args := d.texts(at, raw)
	if len(args) > maxArgs {
		d.fail("%s: %d arguments, the limit is %d", at, len(args), maxArgs)
		return nil
	}
	total := 0
	for i, arg := range args {
		total += len(arg) + 1
		switch {
		case strings.Contains(arg, "\x00"):
			d.fail("%s[%d]: holds a NUL", at, i)
		case len(arg) > maxString || total > maxStrings:
			d.fail("%s[%d]: too long, the limits are %d bytes for one and %d for all", at, i,
				maxString, maxStrings)
		}
	}
	return args
}

func (c *Config) environment(env []string) {
	total := 0
	for i, e := range env {
		name, _, ok := strings.Cut(e, "=")
		switch {
		case !ok || name == "":
			c.omit("Env[%d]: %.80q is not NAME=VALUE", i, e)
		case strings.Contains(e, "\x00"):
			c.omit("Env[%d]: %.80q holds a NUL", i, name)
		case len(e) > maxString:
			c.omit("Env[%d]: %.80q has %d bytes, the limit is %d", i, name, len(e), maxString)
		case total+len(e)+1 > maxStrings:
			c.omit("Env[%d] and what follows: all together have more than %d bytes", i, maxStrings)
			return
		default:
			total += len(e) + 1
			c.Env = append(c.Env, e)
		}
	}
}

// workingDir takes a directory of the image. One of the kernel's file systems is none:
// /proc/self/fd/8 has led out of containers before (CVE-2024-21626).
func (c *Config) workingDir(dir string) {
	if dir == "" {
		return
	}
	clean := path.Clean("/" + dir)
	first, _, _ := strings.Cut(clean[1:], "/")
	switch {
	case strings.Contains(dir, "\x00") || len(dir) > maxPath:
		c.omit("WorkingDir: %.80q is no directory", dir)
	case first == "proc" || first == "sys" || first == "dev":
		c.omit("WorkingDir: %.80q is not of the image", clean)
	default:
		c.WorkingDir = clean
	}
}

// name accepts a short word such as a user or signal.
func (c *Config) name(what, s string) string {
	unprintable := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
	if len(s) > maxName || unprintable {
		c.omit("%s: %.80q is no name", what, s)
		return ""
	}
	return s
}
