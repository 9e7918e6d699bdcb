package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/nodes"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Explanation says which entry of an index is chosen for a node, and why not each other one. It is
// the JSON of hpc3 explain.
type Explanation struct {
	SchemaVersion int               `json:"schemaVersion"`
	Reference     string            `json:"reference"`
	IndexDigest   string            `json:"indexDigest"`
	Chosen        *Chosen           `json:"chosen"` // null where nothing fits
	Why           string            `json:"why,omitempty"`
	Entries       []ExplainedEntry  `json:"entries"` // all of the index, in its order
	PassedBy      []choose.PassedBy `json:"passedBy,omitempty"`

	node string
}

// Chosen is the entry that is taken.
type Chosen struct {
	Position int    `json:"position"` // in manifests[] of the index, from 0
	Digest   string `json:"digest"`
	Platform string `json:"platform"`
	Tag      string `json:"tag,omitempty"`
	Why      string `json:"why"`
	Unread   string `json:"unread,omitempty"` // why the image's config was not read
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

// Explain judges the entries of an image's index. As a pull and a start do, it reads of the one
// that would be chosen what that says of itself, and of no other anything.
func (r *Road) Explain(ctx context.Context, name string) (Explanation, error) {
	request, err := r.request(ctx, name)
	if err != nil {
		return Explanation{}, err
	}
	if request.Reference.Transport == oci.SIF {
		return Explanation{}, fault.New(fault.Usage, "%s is one image, not an index with a choice",
			request.Reference).
			Hint("hpc3-run runs it as it is")
	}
	request.UnreadIsKnown = true
	src := r.source(request.Reference, true)
	defer src.Close()
	chosen, err := choose.Image(ctx, request, src, r.Notes)
	if err != nil && !errors.Is(err, match.ErrNoMatch) {
		return Explanation{}, err
	}
	return r.explain(chosen, request.Reference.Name), nil
}

// ExplainIndex judges the entries of an index that was read from a file, by its words alone.
func (r *Road) ExplainIndex(ctx context.Context, name string, raw []byte) (Explanation, error) {
	index, err := oci.ParseIndex(raw)
	if err != nil {
		return Explanation{}, fmt.Errorf("%s: %w", name, err)
	}
	request := r.requestFor(oci.Reference{}, "")
	r.tellFiles()
	if request.Nodes, err = r.nodes().All(ctx); err != nil {
		return Explanation{}, err
	}
	return r.explain(choose.ByIndex(request, index), name), nil
}

func (r *Road) explain(c choose.Chosen, name string) Explanation {
	e := Explanation{
		SchemaVersion: 1, Reference: name, IndexDigest: c.Index.Digest, Entries: []ExplainedEntry{},
		PassedBy: c.PassedBy, node: nodes.Line(c.Nodes, r.Option.Platform),
	}
	for i, v := range c.Reasons {
		entry := c.Index.Entries[i]
		if entry.Tag != "" {
			entry, _ = c.Meaning(entry)
		}
		if entry.Platform == nil && entry.Nested != nil { // its images tell
			inner, _ := c.Meaning(entry)
			entry.Platform, entry.Tokens = inner.Platform, inner.Tokens
		}
		e.Entries = append(e.Entries, ExplainedEntry{
			entry.Position, entry.Digest, choose.PlatformOf(entry), entry.Tag, v.Fits, v.Reasons,
		})
	}
	if !c.Found() {
		e.Why = c.Why
		return e
	}
	e.Chosen = explained(c)
	return e
}

// explained is the entry that is taken.
func explained(c choose.Chosen) *Chosen {
	entry := c.Taken()
	return &Chosen{entry.Position, c.Entry.Digest, c.Platform(), entry.Tag, c.Why, c.Unread}
}

// JSON returns the explanation as JSON, indented.
func (e Explanation) JSON() ([]byte, error) { return json.MarshalIndent(e, "", "  ") }

// Table returns the explanation as a person reads it, in lines that fit a terminal of so many
// columns; 0 is for a file.
func (e Explanation) Table(width int) string {
	head := notes.Fold("image  ", fault.OneLine(e.Reference), width)
	if e.IndexDigest != "" {
		head += notes.Fold("index  ", e.IndexDigest, width)
	}
	head += notes.Fold("node   ", fault.OneLine(e.node), width) + "\n"
	foot := ""
	switch {
	case e.Chosen == nil:
		foot = "\n" + notes.Fold("nothing fits: ", fault.OneLine(e.Why), width)
	case e.Chosen.Unread != "":
		foot = "\n" + notes.Fold("",
			"by the index alone; what the image says of itself was not read: "+
				fault.OneLine(e.Chosen.Unread), width)
	}
	return head + notes.Rows(e.rows(), width) + foot + e.passedBy(width)
}

// rows are the entries in columns, with a line for each reason.
func (e Explanation) rows() [][]string {
	byTag := slices.ContainsFunc(e.Entries,
		func(entry ExplainedEntry) bool { return entry.Tag != "" })
	row := func(at, tag, platform, verdict, reason string) []string {
		if byTag {
			return []string{
				at, fault.OneLine(tag), fault.OneLine(platform), verdict, fault.OneLine(reason),
			}
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
			at := fmt.Sprintf("%s %d", mark, entry.Position)
			rows = append(rows, row(at, entry.Tag, entry.Platform, verdict, reason))
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
		if i == choose.MaxNamed {
			more = fmt.Sprintf("  and %d more\n", len(e.PassedBy)-i)
			break
		}
		rows = append(rows, []string{"  " + fault.OneLine(p.Tag), fault.OneLine(p.Reason)})
	}
	return "\npassed by, since they are no variants:\n" + notes.Rows(rows, width) + more
}
