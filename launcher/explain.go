package launcher

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Explanation says which entry of an index is chosen for a node, and why not each other one. It is the JSON of hpc3 explain.
type Explanation struct {
	SchemaVersion int              `json:"schemaVersion"`
	Reference     string           `json:"reference"`
	IndexDigest   string           `json:"indexDigest"`
	Chosen        *Chosen          `json:"chosen"` // null where nothing fits
	Why           string           `json:"why,omitempty"`
	Entries       []ExplainedEntry `json:"entries"`            // all of the index, in its order
	PassedBy      []PassedBy       `json:"passedBy,omitempty"` // tags beside the reference that are no candidates

	node string
}

// Chosen is the entry that is taken.
type Chosen struct {
	Position int    `json:"position"` // in manifests[] of the index, from 0
	Digest   string `json:"digest"`
	Platform string `json:"platform"`
	Tag      string `json:"tag,omitempty"`
	Why      string `json:"why"`
	Unread   string `json:"unread,omitempty"` // why what the image says of itself was not read, and may change the choice
}

// ExplainedEntry is one entry of the index with at least one reason.
type ExplainedEntry struct {
	Position int      `json:"position"`
	Digest   string   `json:"digest"` // empty for a tag that was not looked at
	Platform string   `json:"platform"`
	Tag      string   `json:"tag,omitempty"` // where the entries are tags
	Fits     bool     `json:"fits"`
	Reasons  []string `json:"reasons"`
}

// Explain judges the entries of an image's index. As a pull and a start do, it reads of the one that would be chosen what that says of itself,
// and of no other anything.
func (r *Road) Explain(ctx context.Context, image string) (Explanation, error) {
	c, err := r.Choose(ctx, image)
	if c == nil {
		return Explanation{}, err
	}
	defer c.Close()
	if c.Reference.Transport == oci.SIF {
		return Explanation{}, fault.New(fault.Usage, "%s is one image, not an index with a choice", c.Reference).Hint("hpc3-run runs it as it is")
	}
	unread := ""
	if err == nil {
		unread, err = r.foresee(ctx, c)
	}
	if class, _, _ := fault.Of(err, ""); err != nil && class != fault.NoMatch {
		return Explanation{}, err
	}
	return r.explain(c, c.Reference.Name, unread), nil
}

// ExplainIndex judges the entries of an index that was read from a file, by its words alone.
func (r *Road) ExplainIndex(ctx context.Context, name string, raw []byte) (Explanation, error) {
	index, err := oci.ParseIndex(raw)
	if err != nil {
		return Explanation{}, fmt.Errorf("%s: %w", name, err)
	}
	nodes, err := r.Nodes(ctx)
	if err != nil {
		return Explanation{}, err
	}
	c := &Choice{Nodes: nodes, Index: index}
	if c.Result = r.bestOf(c, index.Entries); c.Result.Chosen >= 0 {
		c.entry = index.Entries[c.Result.Chosen]
	}
	return r.explain(c, name, ""), nil
}

func (r *Road) explain(c *Choice, name, unread string) Explanation {
	e := Explanation{
		SchemaVersion: 1, Reference: name, IndexDigest: c.Index.Digest, Entries: []ExplainedEntry{}, PassedBy: c.passedBy,
		node: nodesLine(c.Nodes, r.Option.Platform),
	}
	for i, v := range c.Result.Verdicts {
		entry := c.Index.Entries[i]
		if entry.Tag != "" {
			entry, _ = r.meant(c, entry)
		}
		e.Entries = append(e.Entries, ExplainedEntry{entry.Position, entry.Digest, platformOf(entry), entry.Tag, v.Fits, v.Reasons})
	}
	if c.Result.Chosen < 0 {
		e.Why = c.Result.Why
		return e
	}
	e.Chosen = c.chosen(unread)
	return e
}

// chosen is the entry that is taken. unread is as in Chosen.
func (c *Choice) chosen(unread string) *Chosen {
	entry := c.Index.Entries[c.Result.Chosen]
	return &Chosen{entry.Position, c.entry.Digest, platformOf(c.entry), entry.Tag, c.Result.Why, unread}
}

// JSON returns the explanation as JSON, indented.
func (e Explanation) JSON() ([]byte, error) { return json.MarshalIndent(e, "", "  ") }

// Table returns the explanation as a person reads it, in lines that fit a terminal of so many columns; 0 is for a file.
func (e Explanation) Table(width int) string {
	head := Fold("image  ", fault.OneLine(e.Reference), width)
	if e.IndexDigest != "" {
		head += Fold("index  ", e.IndexDigest, width)
	}
	head += Fold("node   ", fault.OneLine(e.node), width) + "\n"
	foot := ""
	switch {
	case e.Chosen == nil:
		foot = "\n" + Fold("nothing fits: ", fault.OneLine(e.Why), width)
	case e.Chosen.Unread != "":
		foot = "\n" + Fold("", "by the index alone; what the image says of itself was not read: "+fault.OneLine(e.Chosen.Unread), width)
	}
	return head + Rows(e.rows(), width) + foot + e.passedBy(width)
}

// rows are the entries in columns, with a line for each reason.
func (e Explanation) rows() [][]string {
	byTag := slices.ContainsFunc(e.Entries, func(entry ExplainedEntry) bool { return entry.Tag != "" })
	row := func(at, tag, platform, verdict, reason string) []string {
		if byTag {
			return []string{at, fault.OneLine(tag), fault.OneLine(platform), verdict, fault.OneLine(reason)}
		}
		return []string{at, fault.OneLine(platform), verdict, fault.OneLine(reason)}
	}
	rows := [][]string{row("  #", "TAG", "PLATFORM", "VERDICT", "REASON")}
	for _, entry := range e.Entries {
		verdict, mark := "refused", " "
		switch {
		case e.Chosen != nil && e.Chosen.Position == entry.Position:
			verdict, mark = "chosen", "*"
		case entry.Fits:
			verdict = "fits"
		}
		for i, reason := range entry.Reasons {
			if i > 0 {
				rows = append(rows, row("", "", "", "", reason))
				continue
			}
			rows = append(rows, row(fmt.Sprintf("%s %d", mark, entry.Position), entry.Tag, entry.Platform, verdict, reason))
		}
	}
	return rows
}

// passedBy names the tags that are no candidates, as many as one reads.
func (e Explanation) passedBy(width int) string {
	if len(e.PassedBy) == 0 {
		return ""
	}
	more := ""
	var rows [][]string
	for i, p := range e.PassedBy {
		if i == maxNamed {
			more = fmt.Sprintf("  and %d more\n", len(e.PassedBy)-i)
			break
		}
		rows = append(rows, []string{"  " + fault.OneLine(p.Tag), fault.OneLine(p.Reason)})
	}
	return "\npassed by, since they are no variants:\n" + Rows(rows, width) + more
}

// nodesLine is one node in a line, or how many of which CPU there are.
func nodesLine(nodes []facts.Node, platform string) string {
	if len(nodes) == 1 {
		return nodeLine(nodes[0], platform)
	}
	count := map[string]int{}
	for _, n := range nodes {
		count[n.CPU.Target]++
	}
	line := fmt.Sprintf("%d nodes:", len(nodes))
	for _, target := range slices.Sorted(maps.Keys(count)) {
		line += fmt.Sprintf(" %d %s", count[target], target)
	}
	return line
}

// nodeLine is a node in one line.
func nodeLine(n facts.Node, platform string) string {
	if platform != "" {
		return "--platform " + platform
	}
	parts := []string{n.Arch + " " + n.CPU.Target}
	if n.CPU.Level > 0 {
		parts[0] += fmt.Sprintf(" (x86-64-v%d)", n.CPU.Level)
	}
	if n.CPU.Rule == facts.RuleSite {
		parts[0] += " stated by the site"
	}
	if n.CPU.Emulated {
		parts = append(parts, "emulated")
	}
	parts = append(parts, gpus(n.GPUs)...)
	if n.NVIDIA != nil {
		parts = append(parts, "NVIDIA driver "+n.NVIDIA.Driver)
	}
	for _, m := range n.MPI {
		parts = append(parts, strings.TrimSpace(m.Implementation+" "+m.Version))
	}
	parts = append(parts, n.Labels...)
	return strings.Join(parts, ", ")
}

// gpus names each kind of GPU, with how many there are.
func gpus(all []facts.GPU) []string {
	var kinds []string
	count := map[string]int{}
	for _, g := range all {
		kind := strings.TrimSpace(g.Vendor + " " + g.Arch)
		if count[kind]++; count[kind] == 1 {
			kinds = append(kinds, kind)
		}
	}
	for i, kind := range kinds {
		if n := count[kind]; n > 1 {
			kinds[i] = fmt.Sprintf("%d x %s", n, kind)
		}
	}
	return kinds
}
