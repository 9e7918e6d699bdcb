package probe

import (
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// osRelease sets which distribution the node has, by os-release(5): the file in /etc, else the one in /usr/lib.
func (p *prober) osRelease() {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if text, err := readFile(p.fsys, name, maxSmall); err == nil {
			if r := parseOSRelease(text); r != (facts.OSRelease{}) {
				p.node.OSRelease = &r
			}
			return
		}
	}
}

// parseOSRelease reads lines as of a shell, ID=debian and VERSION_ID="12": the last of a name counts.
func parseOSRelease(text string) facts.OSRelease {
	var r facts.OSRelease
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ID":
			r.ID = unquoted(value)
		case "VERSION_ID":
			r.VersionID = unquoted(value)
		}
	}
	return r
}

// unquoted takes the quotes off a word.
func unquoted(word string) string {
	if len(word) >= 2 && (word[0] == '"' || word[0] == '\'') && word[len(word)-1] == word[0] {
		return word[1 : len(word)-1]
	}
	return word
}
