package caches

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// FileSuffix begins what a key says of a local file, behind its reference.
const FileSuffix = " size="

// Key is the name by which a cache knows a reference. A local archive or layout may be replaced
// under the same name, so its file's identity is part of the key.
func Key(ref oci.Reference) (string, error) {
	if ref.Transport == oci.Registry {
		return ref.String(), nil
	}
	abs, err := filepath.Abs(ref.Path)
	if err != nil {
		return "", fault.New(fault.Reference, "finding %s: %w", ref, err)
	}
	probed := abs
	if ref.Transport == oci.Layout {
		probed = filepath.Join(abs, "index.json")
	}
	info, err := os.Stat(probed)
	if errors.Is(err, fs.ErrNotExist) && probed != abs {
		if _, missing := os.Stat(abs); missing == nil {
			return "", fetch.NoLayoutError(ref)
		}
	}
	if err != nil {
		return "", noSuchFile(ref, err)
	}
	ref.Path = abs
	return fmt.Sprintf("%s"+FileSuffix+"%d mtime=%d", ref, info.Size(),
		info.ModTime().UnixNano()), nil
}

func noSuchFile(ref oci.Reference, err error) error {
	err = fault.Reason(err)
	return fault.New(fault.Reference, "opening %s: %w", ref, err).
		Hint("a name without a transport in front is looked for in a registry; " +
			"a path is relative to the working directory")
}

// TagsKey is the name by which a cache knows the tags beside a reference. No reference reads so.
func TagsKey(ref oci.Reference) string { return ref.String() + " tags" }
