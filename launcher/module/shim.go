package module

import "strings"

// Shim returns the script that runs a command of the module on the node where it is called.
func (m Module) Shim(command string) []byte {
	return []byte("#!/bin/sh\n# " + ours + " command\nexport HPC3_SHIM=" + shWord(m.FullName()) +
		"\nexec " + shWord(m.Launcher) + " " + shWord(m.Image) + " " + command + " \"$@\"\n")
}

// shWord returns a text as one word of a shell.
func shWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
