package module

import (
	"fmt"
	"strings"
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
		case r > 0xffff: // Tcl 8 has no such characters: Lmod would print halves of a pair
			b.WriteString(`\ufffd`)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
