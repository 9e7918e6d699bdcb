package probe

import (
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// osRelease sets the node's distribution, by os-release(5): from the file in /etc, else from the
// one in /usr/lib.
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

// parseOSRelease reads lines in the syntax of a shell, ID=debian and VERSION_ID="12": the last one
// of a name counts.
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

// unquoted returns a word without its quotes.
func unquoted(word string) string {
	if len(word) >= 2 && (word[0] == '"' || word[0] == '\'') && word[len(word)-1] == word[0] {
		return word[1 : len(word)-1]
	}
	return word
}
