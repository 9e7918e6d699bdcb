package module

import "strings"

// Tcl returns the module file for Environment Modules and Lmod. bin is the directory of the shims.
func (m Module) Tcl(bin string) []byte {
	return []byte("#%Module\n# " + ours + "\nprepend-path PATH " + tclWord(bin) + "\n")
}

// tclWord returns a text as one word of Tcl.
func tclWord(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
