package module

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// Tcl returns the module file for Environment Modules and Lmod. bin is the directory of the shims.
func (m Module) Tcl(bin string) []byte {
	var b strings.Builder
	b.WriteString("#%Module\n")
	for _, line := range m.header() {
		b.WriteString("# " + line + "\n")
	}
	b.WriteString("\nproc ModulesHelp {} {\n")
	for _, line := range m.help() {
		b.WriteString("    puts stderr " + tclWord(line) + "\n")
	}
	b.WriteString("}\n\n")
	for _, line := range m.whatis() {
		b.WriteString("module-whatis " + tclWord(line) + "\n")
	}
	b.WriteString("\nconflict " + tclWord(m.Name) + "\n")
	for _, name := range m.Conflicts {
		b.WriteString("conflict " + tclWord(name) + "\n")
	}
	for _, name := range m.Needs {
		b.WriteString("prereq " + tclWord(name) + "\n")
	}
	for _, name := range m.Families { // Environment Modules has families since 5.1
		b.WriteString("if {[llength [info commands family]]} { family " + tclWord(name) + " }\n")
	}
	b.WriteString("\nprepend-path PATH " + tclWord(bin) + "\n")
	return []byte(b.String())
}

// tclWord returns a text as one word of Tcl, in quotes and in ASCII: what a file in another
// character set means depends on the locale. Nothing in it is substituted, and its braces do not
// count in a body that is in braces.
func tclWord(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case strings.ContainsRune("\\\"$[]{}", r):
			b.WriteString(`\` + string(r))
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		default: // a character beyond 16 bits is two for Tcl 8
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}
