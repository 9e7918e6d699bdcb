package module

import (
	"fmt"
	"strings"
)

// Lua returns the module file for Lmod. bin is the directory of the shims.
func (m Module) Lua(bin string) []byte {
	var b strings.Builder
	b.WriteString("-- -*- lua -*-\n")
	for _, line := range m.header() {
		b.WriteString("-- " + line + "\n")
	}
	b.WriteString("\nhelp(" + luaWord(strings.Join(m.help(), "\n")) + ")\n\n")
	for _, line := range m.whatis() {
		b.WriteString("whatis(" + luaWord(line) + ")\n")
	}
	b.WriteString("\nconflict(" + luaWord(m.Name) + ")\n")
	for _, name := range m.Conflicts {
		b.WriteString("conflict(" + luaWord(name) + ")\n")
	}
	for _, name := range m.Needs {
		b.WriteString("prereq(" + luaWord(name) + ")\n")
	}
	for _, name := range m.Families {
		b.WriteString("family(" + luaWord(name) + ")\n")
	}
	b.WriteString("\nprepend_path(\"PATH\", " + luaWord(bin) + ")\n")
	return []byte(b.String())
}

// luaWord returns a text as one of Lua, in quotes and in ASCII. A line of it is a line of the file.
func luaWord(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '\n':
			b.WriteString("\\\n")
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c < 0x7f:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\%03d`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
