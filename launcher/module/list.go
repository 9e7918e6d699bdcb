package module

import "context"

// ListFile is the list of a tree: what "hpc3 module --update" makes.
const ListFile = "modules.toml"

// ReadList reads the list of a directory: modules.toml or, without that, the only file there that
// ends in ".toml". file is its path. Errors name file and line.
func ReadList(ctx context.Context, dir string) (wanted []Wanted, file string, err error) {
	return nil, "", nil
}
