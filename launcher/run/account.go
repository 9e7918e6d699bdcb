package run

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// account is a line of the user database.
type account struct {
	line string // name:x:uid:gid:gecos:home:shell
	name string
}

// maxDatabase bounds a passwd or group file: that of a site with 100,000 users is below 16 MiB.
const maxDatabase = 32 << 20

// getentLimit bounds the question to the node's name service: a directory server that hangs must not stop a start.
const getentLimit = 2 * time.Second

// findAccount asks the node for the caller's line: its passwd file first, then its name service (LDAP, SSSD).
func findAccount(uid int) (account, bool) {
	id := strconv.Itoa(uid)
	if f, err := os.Open("/etc/passwd"); err == nil {
		defer f.Close()
		if line, ok := findLine(f, 2, id); ok {
			return parseAccount(line), true
		}
	}
	for _, getent := range []string{"/usr/bin/getent", "/bin/getent"} {
		if _, err := os.Stat(getent); err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), getentLimit)
		defer cancel()
		out, err := exec.CommandContext(ctx, getent, "passwd", id).Output()
		if err != nil {
			return account{}, false
		}
		line, ok := findLine(bytes.NewReader(out), 2, id)
		return parseAccount(line), ok
	}
	return account{}, false
}

func parseAccount(line string) account {
	name, _, _ := strings.Cut(line, ":")
	return account{line: line, name: name}
}

// findLine returns the first line whose field at index is want.
func findLine(r io.Reader, index int, want string) (string, bool) {
	scan := bufio.NewScanner(io.LimitReader(r, maxDatabase))
	for scan.Scan() {
		fields := strings.Split(scan.Text(), ":")
		if len(fields) > index && fields[index] == want {
			return scan.Text(), true
		}
	}
	return "", false
}

// synthetic makes a line for a user whom the node does not know either.
func synthetic(uid, gid int, home, shell string) account {
	name := "user" + strconv.Itoa(uid)
	home = strings.NewReplacer(":", "", "\n", "").Replace(home)
	return account{name: name, line: strings.Join([]string{name, "x", strconv.Itoa(uid), strconv.Itoa(gid), "", home, shell}, ":")}
}

// groupLines returns lines for the caller's groups, by the node's group file or made up.
func groupLines(gids []int) map[int]string {
	lines := make(map[int]string, len(gids))
	raw, err := os.ReadFile("/etc/group")
	if err != nil {
		raw = nil // the names are a convenience
	}
	for _, gid := range gids {
		id := strconv.Itoa(gid)
		line, ok := findLine(bytes.NewReader(raw), 2, id)
		if !ok {
			line = "group" + id + ":x:" + id + ":"
		}
		fields := strings.Split(line, ":")
		lines[gid] = strings.Join(fields[:3], ":") + ":"
	}
	return lines
}

// addLine returns a database with a line added, unless it knows the id already. Its own lines stay as they are.
func addLine(database []byte, index, id int, line string) []byte {
	if _, ok := findLine(bytes.NewReader(database), index, strconv.Itoa(id)); ok {
		return database
	}
	if len(database) > 0 && database[len(database)-1] != '\n' {
		database = append(database, '\n')
	}
	return append(append(database, line...), '\n')
}

func itoa(n int) string { return strconv.Itoa(n) }
