package inside

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// account is a user's line in the user database.
type account struct {
	Name     string
	uid, gid string
	gecos    string
	home     string
}

// Line returns the account's line for the container, with HOME as the home directory and a shell
// that the image has.
func (a account) Line(home, shell string) string {
	fields := []string{a.Name, "x", a.uid, a.gid, a.gecos, home, shell}
	for i, f := range fields {
		fields[i] = strings.Join(
			strings.FieldsFunc(f, func(r rune) bool { return r == ':' || r == '\n' }), "")
	}
	return strings.Join(fields, ":")
}

// The user database of an image and of a node.
const (
	PasswdFile = "/etc/passwd"
	GroupFile  = "/etc/group"
)

// MaxDatabase bounds a passwd or group file. That of a site with 100,000 users is below 16 MiB.
const MaxDatabase = 32 << 20

// GetentLimit bounds a query to the node's name service: a directory server that hangs must not
// stop a start.
const GetentLimit = 2 * time.Second

// FindAccount looks for the caller's account in the node's passwd file, then in its name service
// (LDAP, SSSD).
func FindAccount(ctx context.Context, uid int) (account, bool) {
	id := strconv.Itoa(uid)
	if f, err := os.Open(PasswdFile); err == nil {
		defer f.Close()
		if line, ok := findLines(f, id)[id]; ok {
			return parseAccount(line), true
		}
	}
	line, ok := getent(ctx, "passwd", id)[id]
	return parseAccount(line), ok
}

// findName returns the node's passwd line of a user name; "" if the node does not know it.
func findName(ctx context.Context, name string) string {
	if raw, err := os.ReadFile(PasswdFile); err == nil {
		for line := range strings.Lines(string(raw)) {
			if strings.HasPrefix(line, name+":") {
				return strings.TrimSuffix(line, "\n")
			}
		}
	}
	for _, line := range getent(ctx, "passwd", name) {
		return line
	}
	return ""
}

// AccountHome returns the home directory of the caller's account; "" if the node does not know the
// caller.
func AccountHome(ctx context.Context) string {
	who, _ := FindAccount(ctx, os.Getuid())
	return who.home
}

// getent queries the node's name service for ids, and returns the lines of those it knows.
func getent(ctx context.Context, database string, ids ...string) map[string]string {
	for _, program := range []string{"/usr/bin/getent", "/bin/getent"} {
		if _, err := os.Stat(program); err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, GetentLimit)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, append([]string{database}, ids...)...)
		cmd.WaitDelay = GetentLimit // its children may keep the pipe open after it ends
		out, _ := cmd.Output()      // it fails if one id is unknown, and prints the others
		return findLines(bytes.NewReader(out), ids...)
	}
	return nil
}

func parseAccount(line string) account {
	f := append(strings.Split(line, ":"), "", "", "", "", "", "")
	return account{Name: f[0], uid: f[2], gid: f[3], gecos: f[4], home: f[5]}
}

// findLines returns the first line of each wanted id. The id of a user or group is the third field
// of its line.
func findLines(r io.Reader, wanted ...string) map[string]string {
	found, left := make(map[string]string, len(wanted)), make(map[string]bool, len(wanted))
	for _, id := range wanted {
		left[id] = true
	}
	scan := bufio.NewScanner(io.LimitReader(r, MaxDatabase))
	scan.Buffer(nil, MaxDatabase) // a group's line names all its members
	for len(left) > 0 && scan.Scan() {
		fields := strings.SplitN(scan.Text(), ":", 4)
		if len(fields) > 2 && left[fields[2]] {
			found[fields[2]] = scan.Text()
			delete(left, fields[2])
		}
	}
	return found
}

// Synthetic makes up an account for a user whom the node does not know either.
func Synthetic(uid, gid int) account {
	id := strconv.Itoa(uid)
	return account{Name: "user" + id, uid: id, gid: strconv.Itoa(gid)}
}

// GroupLines returns a line, without members, for each of the caller's groups. The names come from
// the node's group file or its name service; if neither knows the group, one is made up.
func GroupLines(ctx context.Context, gids []int) []string {
	slices.Sort(gids)
	var ids []string
	for _, gid := range slices.Compact(gids) {
		ids = append(ids, strconv.Itoa(gid))
	}
	known := map[string]string{}
	// without the file there are no names, which are only a convenience
	if f, err := os.Open("/etc/group"); err == nil {
		defer f.Close()
		known = findLines(f, ids...)
	}
	if missing := slices.DeleteFunc(slices.Clone(ids),
		func(id string) bool { return known[id] != "" }); len(missing) > 0 {
		maps.Copy(known, getent(ctx, "group", missing...))
	}
	var lines []string
	for _, id := range ids {
		name, _, _ := strings.Cut(known[id], ":")
		if name == "" {
			name = "group" + id
		}
		lines = append(lines, name+":x:"+id+":")
	}
	return lines
}

// WithUser returns a passwd file that begins with the caller's line, so that it wins for the
// caller's uid and name even if the image gives that uid to someone else. The line of root stays
// the image's, if the image has one.
func WithUser(passwd []byte, line string) []byte {
	id := strings.Split(line, ":")[2]
	if id == "0" && len(findLines(bytes.NewReader(passwd), id)) > 0 {
		return passwd
	}
	return append([]byte(line+"\n"), passwd...)
}

// WithAccounts returns a passwd file with those of the lines whose names it lacks added.
func WithAccounts(passwd []byte, lines []string) []byte {
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		if bytes.HasPrefix(passwd, []byte(name+":")) ||
			bytes.Contains(passwd, []byte("\n"+name+":")) {
			continue
		}
		if len(passwd) > 0 && passwd[len(passwd)-1] != '\n' {
			passwd = append(slices.Clip(passwd), '\n')
		}
		passwd = append(append(slices.Clip(passwd), line...), '\n')
	}
	return passwd
}

// WithGroups returns a group file with those of the lines whose ids it lacks added.
func WithGroups(group []byte, lines []string) []byte {
	group = slices.Clone(group)
	var ids []string
	for _, line := range lines {
		ids = append(ids, strings.Split(line, ":")[2])
	}
	known := findLines(bytes.NewReader(group), ids...)
	for i, line := range lines {
		if _, has := known[ids[i]]; has {
			continue
		}
		if len(group) > 0 && group[len(group)-1] != '\n' {
			group = append(group, '\n')
		}
		group = append(append(group, line...), '\n')
	}
	return group
}
