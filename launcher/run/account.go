package run

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// account is what a line of the user database says of a user.
type account struct {
	name     string
	uid, gid string
	gecos    string
}

// line returns the account's line for the container, where the home is HOME and the shell one that the image has.
func (a account) line(home, shell string) string {
	fields := []string{a.name, "x", a.uid, a.gid, a.gecos, home, shell}
	for i, f := range fields {
		fields[i] = strings.NewReplacer(":", "", "\n", "").Replace(f)
	}
	return strings.Join(fields, ":")
}

// maxDatabase bounds a passwd or group file: that of a site with 100,000 users is below 16 MiB.
const maxDatabase = 32 << 20

// getentLimit bounds the question to the node's name service: a directory server that hangs must not stop a start.
const getentLimit = 2 * time.Second

// findAccount asks the node for the caller's line: its passwd file first, then its name service (LDAP, SSSD).
func findAccount(ctx context.Context, uid int) (account, bool) {
	id := strconv.Itoa(uid)
	if f, err := os.Open("/etc/passwd"); err == nil {
		defer f.Close()
		if line, ok := findLine(f, id); ok {
			return parseAccount(line), true
		}
	}
	for _, getent := range []string{"/usr/bin/getent", "/bin/getent"} {
		if _, err := os.Stat(getent); err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, getentLimit)
		defer cancel()
		out, err := exec.CommandContext(ctx, getent, "passwd", id).Output()
		if err != nil {
			return account{}, false
		}
		line, ok := findLine(bytes.NewReader(out), id)
		return parseAccount(line), ok
	}
	return account{}, false
}

func parseAccount(line string) account {
	f := append(strings.Split(line, ":"), "", "", "", "", "")
	return account{name: f[0], uid: f[2], gid: f[3], gecos: f[4]}
}

// findLine returns the first line whose third field, the number of a user or group, is want.
func findLine(r io.Reader, want string) (string, bool) {
	scan := bufio.NewScanner(io.LimitReader(r, maxDatabase))
	for scan.Scan() {
		fields := strings.Split(scan.Text(), ":")
		if len(fields) > 2 && fields[2] == want {
			return scan.Text(), true
		}
	}
	return "", false
}

// synthetic makes up an account for a user whom the node does not know either.
func synthetic(uid, gid int) account {
	id := strconv.Itoa(uid)
	return account{name: "user" + id, uid: id, gid: strconv.Itoa(gid)}
}

// groupLines returns a line for each of the caller's groups, by the node's group file or made up, without members.
func groupLines(gids []int) []string {
	slices.Sort(gids)
	raw, err := os.ReadFile("/etc/group")
	if err != nil {
		raw = nil // the names are a convenience
	}
	var lines []string
	for _, gid := range slices.Compact(gids) {
		id := strconv.Itoa(gid)
		line, ok := findLine(bytes.NewReader(raw), id)
		if !ok {
			line = "group" + id + ":x:" + id + ":"
		}
		lines = append(lines, strings.Join(strings.Split(line, ":")[:3], ":")+":")
	}
	return lines
}

// withUser returns a passwd file with the caller's line, before all others, so that it answers for his number and his name
// even where the image has someone else of that number. Root is the image's own, where the image knows root.
func withUser(passwd []byte, line string) []byte {
	id := strings.Split(line, ":")[2]
	if _, known := findLine(bytes.NewReader(passwd), id); known && id == "0" {
		return passwd
	}
	return append([]byte(line+"\n"), passwd...)
}

// withGroups returns a group file with lines for the numbers that it lacks.
func withGroups(group []byte, lines []string) []byte {
	group = slices.Clone(group)
	for _, line := range lines {
		if _, known := findLine(bytes.NewReader(group), strings.Split(line, ":")[2]); known {
			continue
		}
		if len(group) > 0 && group[len(group)-1] != '\n' {
			group = append(group, '\n')
		}
		group = append(append(group, line...), '\n')
	}
	return group
}
