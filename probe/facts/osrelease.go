package facts

import "strings"

// ParseOSRelease reads lines in the syntax of a shell, ID=debian and VERSION_ID="12": the last one
// of a name counts.
func ParseOSRelease(text string) OSRelease {
	var r OSRelease
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
