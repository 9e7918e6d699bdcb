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

// Variables name files of the node: sockets, credentials, scratch. A container gets what they name,
// where that is there and the caller's; else it does not get the variable. A program does well
// without an agent that nobody names, and fails at one that it cannot reach.

// named is what comes of such variables.
type named struct {
	Binds []Bind
	gone  []string // the variables that are not passed on
}

// A naming is a variable that names a file of the node.
type naming struct {
	variable string
	may      func(file string) (why string) // tells whether the command may have it: "" is yes
	read     func(v *View, value string) []place
}

// place is what a value names, or one of several: a file, a socket in the abstract name space or,
// with neither, nothing of the node's files.
type place struct{ file, abstract string }

var namings = []naming{ //nolint:gochecknoglobals // a constant table
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

// nameFiles settles what the container gets of what the caller's variables name. One that the image
// sets, or the user anew, is none of the node's.
func (v *View) nameFiles(img Files) named {
	var all named
	var said, why []string
	for _, n := range namings {
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

// reach returns the binds for what a value names, or why none of it can be had.
func (v *View) reach(img Files, n naming, value string) (binds []Bind, refused string) {
	reached := false
	for _, at := range n.read(v, value) {
		why := ""
		switch {
		case at.abstract != "":
			why = listens(at.abstract)
		case at.file != "":
			if why = n.may(at.file); why == "" {
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

// bindNamed adds the binds for a file, by each of its names. A directory of the system hides none
// of the image's.
func (v *View) bindNamed(img Files, file string, binds *[]Bind) (refused string) {
	info, err := os.Stat(file)
	reached := false
	for _, name := range Names(file) {
		switch {
		case InKernel(name) || v.HomeShown && Within(name, HomeIn(v.Home)): // it is there
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

// mine refuses what does not belong to the caller.
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

// writable refuses a directory that is not the caller's and that he may not write either.
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

// listens refuses a socket in the abstract name space that no process of the caller's has made.
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
func oneFile(v *View, value string) []place {
	if !filepath.IsAbs(value) {
		value = path.Join(cmp.Or(v.Cwd, "/"), value)
	}
	return []place{{file: path.Clean(value)}}
}

// credentialCache reads the name of one, TYPE:REST or a path, as libkrb5 and Heimdal do. Those of
// other types are in the kernel, in a daemon or in memory.
func credentialCache(v *View, value string) []place {
	kind, rest, typed := strings.Cut(value, ":")
	switch {
	case !typed || strings.Contains(kind, "/"):
		return oneFile(v, value)
	case kind == "DIR" && strings.HasPrefix(rest, ":"): // one of several in a directory
		return oneFile(v, path.Dir(rest[1:]))
	case slices.Contains([]string{"FILE", "WRFILE", "SCC", "DIR"}, kind):
		return oneFile(v, rest)
	}
	return []place{{}}
}

// busAddress reads addresses of D-Bus: TRANSPORT:KEY=VALUE,..., of which programs try one after
// another, with bytes as %XX.
func busAddress(v *View, value string) []place {
	var all []place
	for address := range strings.SplitSeq(value, ";") {
		transport, keys, _ := strings.Cut(address, ":")
		if address == "" {
			continue
		}
		at := place{}
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
func (n *named) drops(variable string) bool { return slices.Contains(n.gone, variable) }
