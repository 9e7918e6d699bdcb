package launcher

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/image"
	"github.com/hpc3-project/hpc3/launcher/nodes"
	"github.com/hpc3-project/hpc3/launcher/notes"
)

// Planned says what would run and why. It is the JSON of hpc3-run --dry-run.
type Planned struct {
	SchemaVersion int      `json:"schemaVersion"`
	Reference     string   `json:"reference"`
	IndexDigest   string   `json:"indexDigest,omitempty"` // empty where there is no index
	Chosen        *Chosen  `json:"chosen"`                // null for a SIF, which is run as it is
	Cached        string   `json:"cached,omitempty"`      // the SIF; "" if it would be made
	CannotRun     string   `json:"cannotRun,omitempty"`   // why this node does not run it
	Engine        string   `json:"engine"`
	Command       []string `json:"command"` // empty for an interactive login shell

	node string
}

// Plan says what a start would run. It fetches no layer, and changes nothing. Its errors are those
// of a start.
func (r *Road) Plan(ctx context.Context, name string, command []string) (Planned, error) {
	request, err := r.request(ctx, name)
	if err != nil {
		return Planned{}, err
	}
	request.UnreadIsKnown = true
	src := r.source(request.Reference, true)
	defer src.Close()
	chosen, err := r.choose(ctx, request, src)
	if err != nil {
		return Planned{}, err
	}
	if !chosen.Found() {
		img, err := image.File(chosen.Reference, chosen.Reference.Path)
		if err == nil {
			err = r.refuseArch(img)
		}
		if err != nil {
			return Planned{}, err
		}
	}
	engine, err := r.Engine(ctx)
	if err != nil {
		return Planned{}, err
	}
	p := Planned{
		SchemaVersion: 1, Reference: chosen.Reference.String(), Engine: string(engine.Name),
		Command: append([]string{}, command...),
	}
	if !chosen.Found() {
		return p, nil
	}
	p.IndexDigest, p.node = chosen.Index.Digest, nodes.Line(chosen.Nodes, r.Option.Platform)
	p.Chosen = explained(chosen)
	if on := chosen.Entry.Platform; on != nil {
		p.CannotRun = r.cannotRun(on.OS, on.Architecture)
	}
	p.Cached, err = r.caches().SIF(chosen.Entry.Digest, chosen.Arch())
	return p, err
}

// JSON returns the plan as JSON, indented.
func (p Planned) JSON() ([]byte, error) { return json.MarshalIndent(p, "", "  ") }

// Table returns the plan as a person reads it, in lines that fit a terminal of so many columns; 0
// is for a file.
func (p Planned) Table(width int) string {
	var b strings.Builder
	line := func(what, value string) {
		if value != "" {
			b.WriteString(notes.Fold(fmt.Sprintf("%-8s ", what), fault.OneLine(value), width))
		}
	}
	line("image", p.Reference)
	if chosen := p.Chosen; chosen != nil {
		line("index", p.IndexDigest)
		line("node", p.node)
		line("chosen", fmt.Sprintf("entry %d, %s", chosen.Position, chosen.Platform))
		line("tag", chosen.Tag)
		line("digest", chosen.Digest)
		line("why", chosen.Why)
		line("unread", chosen.Unread)
		line("cached", cmp.Or(p.Cached, "no"))
		if p.CannotRun != "" {
			line("here", "it cannot run: "+p.CannotRun)
		}
	}
	line("engine", p.Engine)
	line("command", quoted(p.Command))
	return b.String()
}

func quoted(command []string) string {
	if len(command) == 0 {
		return "(an interactive login shell)"
	}
	words := make([]string, len(command))
	for i, w := range command {
		words[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
