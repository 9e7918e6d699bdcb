package inside

import (
	"cmp"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Some variables name files of the node: sockets, credentials, scratch directories. A container
// gets such a file if it exists and is the caller's; otherwise it does not get the variable. A
// program manages without an agent of which it is not told, but fails at one that it cannot reach.

// namedFiles says what becomes of such variables.
type namedFiles struct {
	Binds []Bind
	gone  []string // variables that are not passed on
}

// fileVariable is a variable that names a file of the node.
type fileVariable struct {
	variable string
	refuse   func(file string) (why string) // why the command may not have the file; "" if it may
	read     func(v *View, value string) []location
}

// location is what a value names, or one of several: a file, or a socket in the abstract name
// space. If both are "", it is no file of the node.
type location struct{ file, abstract string }

var fileVariables = []fileVariable{ //nolint:gochecknoglobals // a constant table
	{"XDG_RUNTIME_DIR", mine, oneFile},
	{"XAUTHORITY", mine, oneFile},
	{"ICEAUTHORITY", mine, oneFile},
	{"X509_USER_PROXY", mine, oneFile},
	{"X509_USER_CERT", mine, oneFile},
	{"X509_USER_KEY", mine, oneFile},
	{"BEARER_TOKEN_FILE", mine, oneFile},
	{"KRB5CCNAME", mine, credentialCache},
	{"SSH_AUTH_SOCK", mine, oneFile},
	{"DBUS_SESSION_BUS_ADDRESS", mine, busAddress},
	{"SLURM_TMPDIR", writable, oneFile},
	{"HWLOC_XMLFILE", readable, oneFile},
}

// nameFiles decides what the container gets of the files that the caller's variables name. If the
// image or the user sets another value, that names no file of the node.
func (v *View) nameFiles(img Files) namedFiles {
	var all namedFiles
	var said, why []string
	for _, n := range fileVariables {
		value := v.Getenv(n.variable)
		asked, own := Lookup(v.SetEnv, n.variable), Lookup(v.Config.Env, n.variable)
		if value == "" || asked != "" && asked != value || asked == "" &&
			(own != "" || !v.passes(n.variable)) {
			continue
		}
		binds, refused := v.reach(img, n, value)
		if refused != "" && asked == "" {
			all.gone = append(all.gone, n.variable)
			why = append(why, n.variable+" ("+refused+")")
		}
		for _, b := range binds {
			said = append(said, n.variable+" ("+b.Target+")")
		}
		all.Binds = append(all.Binds, binds...)
	}
	if len(said) > 0 {
		v.Note("there for variables that name files: " + strings.Join(said, ", "))
	}
	if len(why) > 0 {
		v.Note("variables that name files, and are not passed on: " + strings.Join(why, ", "))
	}
	return all
}

// reach returns the binds for what a value names, or why the container can have none of it.
func (v *View) reach(img Files, n fileVariable, value string) (binds []Bind, refused string) {
	reached := false
	for _, at := range n.read(v, value) {
		why := ""
		switch {
		case at.abstract != "":
			why = listens(at.abstract)
		case at.file != "":
			if why = n.refuse(at.file); why == "" {
				why = v.bindNamed(img, at.file, &binds)
			}
		}
		if why != "" {
			refused = why
			continue
		}
		reached = true
	}
	if reached {
		refused = ""
	}
	return binds, refused
}

// bindNamed adds the binds for a file, by each of its names. A directory of the system never hides
// the image's.
func (v *View) bindNamed(img Files, file string, binds *[]Bind) (refused string) {
	info, err := os.Stat(file)
	reached := false
	for _, name := range Names(file) {
		switch {
		case InKernel(name) || v.HomeShown && Within(name, HomeIn(v.Home)): // already there
		case err == nil && info.IsDir() && !slices.Contains(img.namesOf(file), name):
			refused = file + " is a directory of the system"
			continue
		default:
			*binds = append(*binds, Bind{Source: file, Target: name, Optional: true, Visible: true})
		}
		reached = true
	}
	if reached {
		return ""
	}
	return refused
}

// mine refuses a file that does not belong to the caller.
func mine(file string) (why string) {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return file + ": " + err.Error()
	}
	if st.Uid != uint32(os.Getuid()) {
		return file + " is not the caller's own"
	}
	return ""
}

// writable refuses a directory that neither belongs to the caller nor is writable to them.
func writable(dir string) (why string) {
	if why = mine(dir); why != "" && unix.Access(dir, unix.W_OK|unix.X_OK) == nil {
		return ""
	}
	return why
}

func readable(file string) (why string) {
	if err := unix.Access(file, unix.R_OK); err != nil {
		return file + ": " + err.Error()
	}
	return ""
}

// listens refuses a socket in the abstract name space unless a process of the caller's has made it.
func listens(name string) (why string) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return "@" + name + ": " + err.Error()
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + name}); err != nil {
		return "@" + name + ": " + err.Error()
	}
	if peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil ||
		peer.Uid != uint32(os.Getuid()) {
		return "@" + name + " is not the caller's own"
	}
	return ""
}

// oneFile reads a value that is a path.
func oneFile(v *View, value string) []location {
	if !filepath.IsAbs(value) {
		value = path.Join(cmp.Or(v.Cwd, "/"), value)
	}
	return []location{{file: path.Clean(value)}}
}

// credentialCache reads the name of a Kerberos credential cache, TYPE:REST or a path, as libkrb5
// and Heimdal do. Caches of other types are in the kernel, in a daemon or in memory.
func credentialCache(v *View, value string) []location {
	kind, rest, typed := strings.Cut(value, ":")
	switch {
	case !typed || strings.Contains(kind, "/"):
		return oneFile(v, value)
	case kind == "DIR" && strings.HasPrefix(rest, ":"): // one of several in a directory
		return oneFile(v, path.Dir(rest[1:]))
	case slices.Contains([]string{"FILE", "WRFILE", "SCC", "DIR"}, kind):
		return oneFile(v, rest)
	}
	return []location{{}}
}

// busAddress reads addresses of D-Bus: TRANSPORT:KEY=VALUE,..., with bytes as %XX. Programs try
// them one after another.
func busAddress(v *View, value string) []location {
	var all []location
	for address := range strings.SplitSeq(value, ";") {
		transport, keys, _ := strings.Cut(address, ":")
		if address == "" {
			continue
		}
		at := location{}
		for pair := range strings.SplitSeq(keys, ",") {
			key, raw, _ := strings.Cut(pair, "=")
			text, err := url.PathUnescape(raw)
			if err != nil || transport != "unix" {
				continue
			}
			switch key {
			case "path":
				at.file = path.Clean(text)
			case "abstract":
				at.abstract = text
			case "runtime":
				at.file = path.Join(v.Getenv("XDG_RUNTIME_DIR"), "bus")
			}
		}
		all = append(all, at)
	}
	return all
}

// drops tells whether a variable is not passed on.
func (n *namedFiles) drops(variable string) bool { return slices.Contains(n.gone, variable) }
