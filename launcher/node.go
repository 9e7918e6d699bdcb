package launcher

import (
	"encoding/json"
	"io"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// maxNodeFile bounds a node file: that of a node with 16 GPUs and 300 features is below 16 KiB.
const maxNodeFile = 1 << 20

// ReadNode reads a node file, the JSON of hpc3 probe. Only os, arch and cpu.target are needed; unknown fields are those of a
// later version and are passed over.
func ReadNode(name string, r io.Reader) (facts.Node, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxNodeFile+1))
	if err != nil {
		return facts.Node{}, fault.New(fault.Usage, "reading node file %s: %w", name, err)
	}
	bad := func(format string, args ...any) (facts.Node, error) {
		return facts.Node{}, fault.New(fault.Usage, "node file %s "+format, append([]any{name}, args...)...).Hint("hpc3 probe --json writes one")
	}
	if len(raw) > maxNodeFile {
		return bad("is larger than %d bytes", maxNodeFile)
	}
	var n facts.Node
	if err := json.Unmarshal(raw, &n); err != nil {
		return bad("is not a node's JSON: %w", err)
	}
	if n.SchemaVersion > facts.SchemaVersion {
		return bad("has schema version %d, and this hpc3 knows up to %d", n.SchemaVersion, facts.SchemaVersion)
	}
	if n.OS == "" || n.Arch == "" || n.CPU.Target == "" {
		return bad("lacks os, arch or cpu.target")
	}
	target, ok := facts.LookupTarget(n.CPU.Target)
	if !ok {
		return bad("names the microarchitecture %q, which is not known", n.CPU.Target)
	}
	n.CPU.Target = target.Name
	return n, nil
}
