package module

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of free text, in bytes: what "module avail", "whatis" and "help" print stays readable,
// whatever an image says of itself.
const (
	maxLine = 200
	maxText = 1 << 10
	maxHelp = 8 << 10
)

// columns is the width of a help text.
const columns = 78

// isControl tells whether a character is a control character, or one that changes the direction or
// the lines of a text.
func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) ||
		r == '\u2028' || r == '\u2029'
}

// Line makes one line of an author's text, as a record keeps it.
func Line(s string) string { return plain(s, maxText) }

// Text makes lines of an author's text, as a record keeps them.
func Text(s string) string { return strings.Join(lines(s), "\n") }

// plain makes one line of a text of at most limit bytes: invalid bytes are replaced, and control
// characters and runs of blanks become one blank.
func plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	return bound(strings.Join(strings.Fields(s), " "), limit)
}

// bound cuts a text behind limit bytes, between two characters.
func bound(s string, limit int) string {
	const more = "…"
	if len(s) <= limit {
		return s
	}
	s = s[:max(0, limit-len(more))]
	for s != "" && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + more
}

// lines returns a text of several lines as such, of at most maxHelp bytes, each as plain as one
// line is, without blank ones at its ends. Blanks at the beginning of a line stay: they may be
// those of an example.
func lines(s string) []string {
	s = strings.ReplaceAll(bound(strings.ToValidUTF8(s, "\ufffd"), maxHelp), "\t", "    ")
	var all []string
	for line := range strings.Lines(s) {
		text := strings.TrimLeft(line, " ")
		all = append(all, strings.TrimRight(line[:len(line)-len(text)]+plain(text, maxHelp), " "))
	}
	for len(all) > 0 && all[0] == "" {
		all = all[1:]
	}
	for len(all) > 0 && all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

// wrapped joins words to lines that fit the width of a help text.
func wrapped(words []string) (all []string) {
	const indent = "  "
	line := indent
	for _, word := range words {
		if len(line)+len(" ")+len(word) > columns && line != indent {
			all = append(all, line)
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return append(all, line)
}

// title is what the module is, in a line.
func (m Module) title() string {
	for _, s := range append([]string{m.Title}, lines(m.Description)...) {
		if s := plain(s, maxLine); s != "" {
			return s
		}
	}
	return plain(m.FullName(), maxLine)
}

// whatis returns the lines that "module whatis" prints.
func (m Module) whatis() []string {
	const where = ": the variant is chosen on the node that runs it"
	image := plain(m.Image, maxLine/2) + where
	all := []string{
		"Name: " + plain(m.Name, maxLine), "Version: " + plain(m.Version, maxLine),
		"Description: " + bound(m.title(), maxLine-len(image)-len("Description: ; ")) + "; " + image,
	}
	if url := plain(m.URL, maxLine); url != "" {
		all = append(all, "URL: "+url)
	}
	return all
}

// help returns the lines that "module help" prints. They tell what is known offline.
func (m Module) help() []string {
	all := []string{m.title()}
	add := func(more ...string) {
		if len(more) > 0 {
			all = append(append(all, ""), more...)
		}
	}
	if d := lines(m.Description); len(d) != 1 || d[0] != m.title() {
		add(d...)
	}
	add(lines(m.Help)...)
	add(append([]string{"Commands, which run in the image on the node where they are called:"},
		wrapped(m.Commands)...)...)
	if len(m.Variants) > 0 {
		add("Variants, of which each node gets the one that suits it best:")
		for _, v := range m.Variants {
			all = append(all, "  "+plain(v, maxLine))
		}
	}
	add("Image: " + plain(m.Image, maxHelp))
	if m.IndexDigest != "" && !m.Pinned {
		all = append(all, "Its index, when this module was written: "+plain(m.IndexDigest, maxLine))
	}
	if url := plain(m.URL, maxLine); url != "" {
		all = append(all, "URL: "+url)
	}
	add("HPC3_ variables say how the commands run, such as HPC3_CONTAINER_MOUNTS=/data;",
		"they are in hpc3-run(1).")
	return all
}

// comment makes a text fit a comment of one line in sh, Tcl and Lua: a backslash at the end of a
// line of Tcl would continue it.
func comment(s string) string {
	s = plain(s, maxHelp)
	if strings.HasSuffix(s, `\`) {
		s += " ."
	}
	return s
}

// header returns the comments that begin a module file. The first of them tells that it is hpc3's.
func (m Module) header() []string {
	return []string{
		ours + " has written this file, and writes it again.",
		comment(m.FullName() + ": commands in " + m.Image),
	}
}
