// Package module writes modules for Environment Modules and Lmod whose commands run in an image: a
// module file, and for each command a shim, a small script that becomes hpc3-run on the node where
// it is called. A tree is a directory of such modules; it can be given to "module use".
package module

// Format is the language of a module file.
type Format string

// The formats. Environment Modules reads Tcl, and Lmod both.
const (
	Tcl Format = "tcl"
	Lua Format = "lua"
)

// Module is one module, and what is needed to write it again. It is the JSON of its record.
type Module struct {
	SchemaVersion int      `json:"schemaVersion"`
	Name          string   `json:"name"`    // "gromacs", "bio/gromacs"
	Version       string   `json:"version"` // "2021.5"
	Image         string   `json:"image"`   // the reference in full; with the digest if it is pinned
	Pinned        bool     `json:"pinned,omitempty"`
	IndexDigest   string   `json:"indexDigest,omitempty"` // when it was written; "" without an index
	ImageDigest   string   `json:"imageDigest,omitempty"` // of the manifest that Commands were read of
	Commands      []string `json:"commands"`              // sorted
	Variants      []string `json:"variants,omitempty"`    // platforms of the index, in its order
	Title         string   `json:"title,omitempty"`       // free text, as all down to URL
	Description   string   `json:"description,omitempty"`
	Help          string   `json:"help,omitempty"` // several lines
	URL           string   `json:"url,omitempty"`
	Conflicts     []string `json:"conflicts,omitempty"` // modules, besides others of this name
	Needs         []string `json:"needs,omitempty"`     // modules that have to be loaded before
	Families      []string `json:"families,omitempty"`  // "mpi"
	// hpc3.toml's keys and their values, which a user's own HPC3_ variables override
	Options map[string][]string `json:"options,omitempty"`
	Formats []Format            `json:"formats"`
	Default bool                `json:"default,omitempty"` // of the versions beside it
	Listed  bool                `json:"listed,omitempty"`  // it comes from the tree's list
	// the path of hpc3-run where the module was written. Elsewhere the shims look for it in PATH
	Launcher string `json:"launcher"`
}

// FullName is what a user loads.
func (m Module) FullName() string { return m.Name + "/" + m.Version }
