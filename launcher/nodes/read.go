package nodes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// maxNodeFile bounds a node file: that of a node with 16 GPUs and 300 features is below 16 KiB.
const maxNodeFile = 1 << 20

// maxNodes bounds how many nodes one choice is for.
const maxNodes = 100_000

// Read reads a node file, the JSON of hpc3 probe. Only os, arch and cpu.target are needed; unknown
// fields are those of a later version and are passed over.
func Read(name string, r io.Reader) (facts.Node, error) {
	nodes, err := readNodes(name, r, maxNodeFile)
	if err != nil {
		return facts.Node{}, err
	}
	if len(nodes) != 1 {
		return facts.Node{}, badNode(name, "holds %d nodes, and one is wanted", len(nodes))
	}
	return nodes[0], nil
}

// ReadAll reads the nodes of a job: a file with one or more of those objects, one after another or
// in a list, or a directory of such files. A file may be a pipe.
func ReadAll(ctx context.Context, path string) ([]facts.Node, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, badNode(path, "cannot be read: %w", fault.Reason(err))
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(escapeGlob(path), "*.json")); err != nil {
			return nil, badNode(path, "cannot be read: %w", err)
		}
	}
	var nodes []facts.Node
	for _, file := range files {
		f, err := outside.Stream(ctx, file)
		if err != nil {
			return nil, badNode(file, "cannot be read: %w", fault.Reason(err))
		}
		more, err := readNodes(file, f, maxNodes*maxNodeFile)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		if nodes = append(nodes, more...); len(nodes) > maxNodes {
			return nil, badNode(path, "holds more than %d nodes", maxNodes)
		}
	}
	if len(nodes) == 0 {
		return nil, badNode(path, "holds no node")
	}
	return nodes, nil
}

// escapeGlob has filepath.Glob take a path as it is.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func badNode(name, format string, args ...any) error {
	return fault.New(fault.Usage, "node file %s "+format, append([]any{name}, args...)...).
		Hint("hpc3 probe --json writes one")
}

func readNodes(name string, r io.Reader, limit int64) ([]facts.Node, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, badNode(name, "cannot be read: %w", fault.Reason(err))
	}
	if int64(len(raw)) > limit {
		return nil, badNode(name, "is larger than %d bytes", limit)
	}
	var nodes []facts.Node
	d := json.NewDecoder(bytes.NewReader(raw))
	for {
		var value json.RawMessage
		if err := d.Decode(&value); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, badNode(name, "is not a node's JSON: %s", oci.Place(raw, err))
		}
		more, err := decodeNodes(value, d.InputOffset()-int64(len(value)))
		if err != nil {
			return nil, badNode(name, "is not a node's JSON: %s", oci.Place(raw, err))
		}
		for i := range more {
			if err := checkNode(name, &more[i]); err != nil {
				return nil, err
			}
		}
		if nodes = append(nodes, more...); len(nodes) > maxNodes {
			return nil, badNode(name, "holds more than %d nodes", maxNodes)
		}
	}
	if len(nodes) == 0 {
		return nil, badNode(name, "is empty")
	}
	return nodes, nil
}

// decodeNodes reads one node or a list of them, which begins at an offset of its file.
func decodeNodes(value json.RawMessage, at int64) ([]facts.Node, error) {
	var list []facts.Node
	var err error
	if value[0] == '[' {
		err = json.Unmarshal(value, &list)
	} else {
		list = make([]facts.Node, 1)
		err = json.Unmarshal(value, &list[0])
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		wrong.Offset += at
	}
	return list, err
}

// checkNode refuses a node that nothing can be chosen for, and folds an alias of its
// microarchitecture.
func checkNode(name string, n *facts.Node) error {
	if n.SchemaVersion > facts.SchemaVersion {
		return badNode(name, "has schema version %d, and this hpc3 knows up to %d", n.SchemaVersion,
			facts.SchemaVersion)
	}
	if n.OS == "" || n.Arch == "" || n.CPU.Target == "" {
		return badNode(name, "lacks os, arch or cpu.target")
	}
	target, ok := facts.LookupTarget(n.CPU.Target)
	switch {
	case ok:
		n.CPU.Target = target.Name
	case facts.FamilyOf(oci.Architecture(n.Arch)) != "":
		return badNode(name, "names the microarchitecture %q in cpu.target, which is not known",
			n.CPU.Target)
	}
	return nil
}
