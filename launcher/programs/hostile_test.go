package programs_test

import (
	"fmt"
	"strings"
	"testing"
)

// An image that was made to take long or much memory gives an answer.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("large images are not made by a short run")
	}
	chain := func(n int, depends string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "Package: p%d\nStatus: install ok installed\nProvides: all\nDepends: %s\n\n", i, strings.ReplaceAll(depends, "NEXT", fmt.Sprintf("p%d", (i+1)%n)))
		}
		return b.String()
	}
	many := files{}
	for i := range 70000 {
		many[fmt.Sprintf("usr/bin/%05d", i)] = "->nowhere"
	}
	hops := files{}
	for i := range 30 {
		hops[fmt.Sprintf("d/%d", i)] = fmt.Sprintf("->%d", i+1)
	}
	for i := range 20000 {
		hops[fmt.Sprintf("usr/bin/%05d", i)] = "->/d/0"
	}
	hops["d/30"] = "+"
	for _, tt := range []struct {
		name  string
		files files
		notes string // the beginning of the first
		most  int    // commands
	}{
		{
			name: "a ring of dependencies", most: 1,
			files: files{"usr/bin/a": "+", "var/lib/dpkg/status": chain(100000, "NEXT"), "var/lib/dpkg/info/p7.list": "/usr/bin/a\n"},
		},
		{
			name: "everything needs everything", most: 1,
			files: files{"usr/bin/a": "+", "var/lib/dpkg/status": chain(20000, "all, all, all, all, NEXT"), "var/lib/dpkg/info/p7.list": "/usr/bin/a\n"},
		},
		{
			name: "more packages than there are", most: 1,
			files: files{"usr/bin/a": "+", "var/lib/dpkg/status": chain(140000, "x")},
		},
		{
			name: "a large data base", notes: "its package data base was not read",
			files: files{"usr/bin/a": "+", "var/lib/dpkg/status": strings.Repeat("\n", 65<<20)},
		},
		{
			name: "a long line", notes: "its package data base was not read",
			files: files{"usr/bin/a": "+", "var/lib/dpkg/status": "Package: " + strings.Repeat("x", 2<<20)},
		},
		{
			name: "a field in many lines", most: 1,
			files: files{"usr/bin/a": "+", "var/lib/dpkg/status": "Package: a\nDepends: b\n" + strings.Repeat(" c,\n", 5<<20)},
		},
		{
			name: "data bases that are none", most: 1,
			files: files{
				"usr/bin/a": "+", "var/lib/dpkg/status/directory": "", "lib/apk/db/installed": "->installed", "var/lib/dpkg/info": "->/dev/zero",
				"var/lib/apt/extended_states": "->.", "etc/apk/world": "->../..",
			},
		},
		{name: "many files", files: many, notes: "there are more than 65536 files in its PATH"},
		{name: "many symlinks to follow", files: hops, most: 20000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			commands, notes, err := tt.files.image(t).Beyond(usual())
			if err != nil || len(commands) > tt.most {
				t.Errorf("Beyond = %d commands, %v; want at most %d", len(commands), err, tt.most)
			}
			if got := strings.Join(notes, "\n"); !strings.HasPrefix(got, tt.notes) || tt.notes == "" && got != "" {
				t.Errorf("Beyond notes %q, want %q", got, tt.notes)
			}
		})
	}
}

// What a strange data base says is read without harm.
func FuzzDatabases(f *testing.F) {
	f.Add(debian()["var/lib/dpkg/status"], alpine()["lib/apk/db/installed"], "Pa\nRb\nVc\nFd\n")
	f.Fuzz(func(t *testing.T, dpkg, apk, rpm string) {
		for _, some := range []files{
			{"usr/bin/a": "+", "var/lib/dpkg/status": dpkg, "var/lib/apt/extended_states": dpkg},
			{"usr/bin/a": "+", "lib/apk/db/installed": apk, "etc/apk/world": apk},
			{"usr/bin/a": "+", "var/lib/rpm/Packages": ""},
		} {
			img := some.image(t)
			img.Rpm = func(...string) ([]byte, error) { return []byte(rpm), nil }
			commands, _, err := img.Beyond([]string{"/usr/bin"})
			if err != nil || len(commands) > 1 || len(commands) == 1 && commands[0] != "a" {
				t.Errorf("Beyond = %q, %v", commands, err)
			}
		}
	})
}
