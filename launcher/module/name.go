package module

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// Limits of names. A file system takes 255 bytes, and a file that is being written has a longer
// name than it has in the end.
const (
	maxCommand = 128
	maxPart    = 200
	maxName    = 1024
	maxList    = 64 << 10 // of names in a label: a thousand commands and more
)

// ownCommands are names that no module may take from the user: its shims would hide what they need.
var ownCommands = []string{"hpc3", "hpc3-run", "module", "ml"} //nolint:gochecknoglobals // constant

// shellWords are what bash runs itself: its builtins (compgen -b) and reserved words (compgen -k).
//
//nolint:gochecknoglobals // a constant list
var shellWords = strings.Fields(`. : [ alias bg bind break builtin caller cd command compgen complete
	compopt continue declare dirs disown echo enable eval exec exit export false fc fg getopts hash
	help history jobs kill let local logout mapfile popd printf pushd pwd read readarray readonly
	return set shift shopt source suspend test times trap true type typeset ulimit umask unalias
	unset wait if then else elif fi case esac for select while until do done in function time { } !
	[[ ]] coproc`)

// CheckCommand tells why a command cannot have a shim; nil if it can. The error has no class.
func CheckCommand(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the name of a command is empty")
	case slices.Contains(shellWords, name):
		return fmt.Errorf("the command %q is a builtin of the shell, which runs that itself", name)
	case slices.Contains(ownCommands, name):
		return fmt.Errorf("the command %q would hide the one that modules need", name)
	case len(name) > maxCommand:
		return fmt.Errorf("the name of the command %.32q… has %d bytes, the limit is %d",
			name, len(name), maxCommand)
	case strings.ContainsAny(name[:1], "-.%"):
		return fmt.Errorf("the name of the command %q begins with %q", name, name[:1])
	}
	if bad := strings.Trim(name, letters+digits+"._+-@:%"); bad != "" {
		return fmt.Errorf("the name of the command %q holds %s", name, called(bad))
	}
	return nil
}

// called names the first character of s.
func called(s string) string {
	r := []rune(s)[0]
	switch {
	case r == '/':
		return "a slash"
	case strings.ContainsRune(" \t", r):
		return "a blank"
	case strings.ContainsRune("'\"`", r):
		return "a quote"
	case r == '\n':
		return "a line break"
	}
	return fmt.Sprintf("%q", string(r))
}

// CheckName tells why NAME/VERSION cannot be a module here; nil if it can. The error has no class.
func CheckName(full string) error {
	_, version := SplitName(full)
	if version == "" && len(full) <= maxName {
		return fmt.Errorf("the name of the module %q has no version; it is NAME/VERSION", full)
	}
	return CheckModule(full)
}

// CheckModule tells why NAME or NAME/VERSION is no name of a module, such as one that conflicts;
// nil if it is one. The error has no class.
func CheckModule(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("the name of the module %.32q… has %d bytes, the limit is %d",
			name, len(name), maxName)
	}
	for part := range strings.SplitSeq(name, "/") {
		if why := wrongPart(part); why != "" {
			return fmt.Errorf("the name of the module %q %s", name, why)
		}
	}
	return nil
}

// wrongPart says why a part of a module's name is refused; "" if it is not. Environment Modules
// takes "@", "=", "~" and a "+" before other characters for the beginning of a version or variant,
// and finds no module whose name has them. Lmod loads none that begins with two underscores, and
// drops ".lua" from the names of directories too.
func wrongPart(part string) string {
	switch bad := strings.Trim(strings.TrimRight(part, "+"), letters+digits+"._-"); {
	case part == "":
		return "has an empty part"
	case len(part) > maxPart:
		return fmt.Sprintf("has a part of %d bytes, the limit is %d", len(part), maxPart)
	case strings.ContainsAny(part[:1], ".-+"):
		return fmt.Sprintf("has a part that begins with %q", part[:1])
	case bad != "" && strings.ContainsAny(bad[:1], "@=~+"):
		return fmt.Sprintf("holds %q, which Environment Modules reads as its own", bad[:1])
	case bad != "":
		return "holds " + called(bad)
	case strings.HasPrefix(part, "__"):
		return `has a part that begins with "__", which Lmod passes by`
	case strings.HasSuffix(part, ".lua"):
		return "has a part that ends in .lua, as files of Lmod do"
	}
	return ""
}

// SplitName splits NAME/VERSION at its last slash. Without a slash there is no version.
func SplitName(full string) (name, version string) {
	if at := strings.LastIndexByte(full, '/'); at >= 0 {
		return full[:at], full[at+1:]
	}
	return full, ""
}

// ParseNames splits the list of a label at its commas. Blanks around a name do not count, nor does
// a name's second place in the list. What the names may be is for CheckCommand, CheckModule and
// CheckFamily. Errors are of class fault.Reference.
func ParseNames(list string) ([]string, error) {
	if len(list) > maxList {
		return nil, fault.New(fault.Reference, "a list of names has %d bytes, the limit is %d",
			len(list), maxList)
	}
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.Trim(name, " \t\r\n")
		if name == "" {
			if strings.Trim(list, " \t\r\n") == "" {
				return nil, nil
			}
			return nil, fault.New(fault.Reference, "the list %.80q has an empty name", list)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// CheckFamily tells why a family cannot have this name; nil if it can. Modules 5 makes a variable
// of it. The error has no class.
func CheckFamily(name string) error {
	if name == "" || len(name) > maxCommand || strings.Trim(name, letters+digits+"_") != "" {
		return fmt.Errorf("the family %.80q: its name is letters, digits and underscores", name)
	}
	return nil
}

// checkWords tells what is wrong with the first wrong word of a module: a command, a module that it
// names, or a family. The error has no class.
func checkWords(commands, modules, families []string) error {
	for _, words := range []struct {
		list  []string
		check func(string) error
	}{{commands, CheckCommand}, {modules, CheckModule}, {families, CheckFamily}} {
		for _, word := range words.list {
			if err := words.check(word); err != nil {
				return err
			}
		}
	}
	return nil
}
