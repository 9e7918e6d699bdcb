package module

// Wanted is what a user asks for: an entry of a tree's list, or the command line.
type Wanted struct {
	Image    string   // as the user wrote it
	Name     string   // NAME, NAME/VERSION, or "": what the image says
	Commands []string // nil = what the image says
	All      bool     // every command that the image has beyond its base system
	Pin      bool     // this very index, whatever the tag comes to mean
	Default  bool     // of the versions of this name
	Formats  []Format // nil = those that the module has, or Tcl
	// modules and families; nil = what the image says, empty = none
	Conflicts, Needs, Families []string
	Title, Description, Help   string // "" = what the image says
	// hpc3.toml's keys and their values
	Options map[string][]string
	Line    int // of the list; 0 = it is not from there, or the line is not known
}
