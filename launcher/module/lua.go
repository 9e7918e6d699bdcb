package module

import "strconv"

// Lua returns the module file for Lmod. bin is the directory of the shims.
func (m Module) Lua(bin string) []byte {
	return []byte("--\n-- " + ours + "\nprepend_path(\"PATH\", " + strconv.Quote(bin) + ")\n")
}
