// Package choose goes from a reference to one image: it reads the index, takes the best entry for
// the nodes, and reads what that says of itself, until nothing more is to be learned. What comes
// out is final: nobody picks again.
//
// It reads documents of a Source, which knows of caches and registries, and no layers.
package choose

import (
	"context"
	"errors"
	"fmt"

	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Source is where the documents of one reference, and of the tags beside it, are read.
type Source interface {
	// Cached returns the document of a name that a cache has; nil if none has it, or it is not to
	// be asked.
	Cached(name Name) ([]byte, error)
	// Root asks the registry or archive for the index or manifest of a reference.
	Root(ctx context.Context, ref oci.Reference) (raw []byte, mediaType string, err error)
	// Tags asks the registry for all tags of the repository.
	Tags(ctx context.Context) ([]string, error)
	// Remember has later choices find a document in a cache.
	Remember(name Name, raw []byte, mediaType string) error
	// Blob returns a manifest, an index or a config.
	Blob(ctx context.Context, d oci.Descriptor) ([]byte, error)
	// Config returns the config of an image that is a SIF in a cache; made tells whether it is.
	Config(digest, arch string) (config []byte, made bool, err error)
	// Floor returns what is known of the needs of an image's code; nil if nothing is.
	Floor(digest string) *oci.Floor
}

// Name is what a cache knows a document by: what a reference names, or the list of the tags beside
// it.
type Name struct {
	Reference oci.Reference
	Tags      bool
}

// Request is what an image is chosen by.
type Request struct {
	Reference oci.Reference
	Written   string       // as the user wrote it; "" if the working directory was looked at
	Nodes     []facts.Node // at least one
	Platform  string       // that the nodes stand for, by --platform
	Variants  option.Variants
	Variant   string   // the entry that is wanted: its position, or a digest; "" for the best
	Force     bool     // what would be chosen is run, whatever it says of itself
	Labels    []string // words that tags may have, beside the vocabulary and those of the nodes
	// how the repository's tags are made, if the site says so
	TagPatterns []match.TagPattern

	CPUFeatures   bool // see match.Policy
	WarnMismatch  bool // labels that contradict the index are no error
	UnreadIsKnown bool // a config that cannot be had is no error: see Chosen.Unread
	NoNext        bool // see Again: nodes that were given all take the same entry
}

// Chosen is the image that is taken.
type Chosen struct {
	Reference oci.Reference
	Nodes     []facts.Node
	Index     oci.Index       // with what was read of its entries
	At        int             // the taken one of Index.Entries; -1 if none is
	Why       string          // it is taken or, if none is, what would have to change
	Reasons   []match.Verdict // of all entries, in their order
	Entry     oci.Entry       // of the image: the taken one, or what is taken of it
	Config    oci.Config      // what the image says of itself
	PassedBy  []PassedBy      // tags beside the reference that are none of its variants
	Unread    string          // why Config was not read, and might change the choice
	// The CUDA release that the image's cuda-compat has to bring, see match.Verdict; "" for none.
	CUDACompat string

	policy match.Policy
}

// Found tells whether there is an image.
func (c Chosen) Found() bool { return c.At >= 0 }

// Taken returns the entry of the index that is taken: Entry, or the index in which that is.
func (c Chosen) Taken() oci.Entry { return c.Index.Entries[c.At] }

// Platform returns what the image is for.
func (c Chosen) Platform() string { return PlatformOf(c.Entry) }

// Arch returns the architecture of the image; one that states none was matched as the node's.
func (c Chosen) Arch() string {
	if c.Entry.Platform != nil && c.Entry.Platform.Architecture != "" {
		return c.Entry.Platform.Architecture
	}
	return c.Nodes[0].Arch
}

// which names the taken entry in a message.
func (c Chosen) which() string {
	return fmt.Sprintf("entry %d of %s", c.Taken().Position, c.Reference)
}

// PlatformOf returns what an entry says it is for.
func PlatformOf(e oci.Entry) string {
	if w := e.Wants(); w != "" {
		return w
	}
	return "no platform"
}

// chooser is a choice that is being made.
type chooser struct {
	Request
	notes.Notes
	from     Source
	patterns []match.TagPattern // how the tags beside the reference are made, if that is said
	cached   bool               // the index came from a cache
	asked    bool               // the registry or archive was asked for one, or for tags
	told     string             // see tellChoice
	c        Chosen
}

func newChooser(req Request, from Source, tell notes.Notes) *chooser {
	// By --force what would be chosen is run, whatever it says of itself.
	policy := match.Policy{CPUFeatures: req.CPUFeatures, Unheard: req.Force && req.Variant == ""}
	return &chooser{
		Request: req, Notes: tell, from: from, patterns: req.TagPatterns,
		c: Chosen{Reference: req.Reference, Nodes: req.Nodes, At: -1, policy: policy},
	}
}

// Image chooses an image. If nothing fits, or the entry that the user named cannot run, the error
// is match.ErrNoMatch, and Chosen has the reasons.
func Image(ctx context.Context, req Request, from Source, tell notes.Notes) (Chosen, error) {
	ch := newChooser(req, from, tell)
	if err := ch.look(ctx); err != nil {
		return ch.c, err
	}
	err := ch.settle(ctx)
	unread := errors.Is(err, fetch.ErrUnreachable) || errors.Is(err, ErrNotCached)
	if unread && req.UnreadIsKnown && ctx.Err() == nil {
		ch.c.Unread = err.Error()
		return ch.c, nil
	}
	return ch.c, err
}

// look reads the index and takes an entry by what that says.
func (ch *chooser) look(ctx context.Context) error {
	if err := ch.readCandidates(ctx); err != nil {
		return HintFiles(ch.Written, ch.Reference, err)
	}
	ch.tellIndex()
	return ch.nameTags(ch.pick(ctx))
}

// Every gives take each image of the index or, of a choice among tags, of each tag: those for other
// nodes too. What they say of nodes is not held against any.
func Every(
	ctx context.Context, req Request, from Source, tell notes.Notes, take func(Chosen) error,
) error {
	ch := newChooser(req, from, tell)
	err := ch.look(ctx)
	if err != nil && !errors.Is(err, match.ErrNoMatch) {
		return err
	}
	if err := ch.resolveAll(ctx); err != nil {
		return err
	}
	if ch.c.Index.Entries, err = ch.flat(ctx, ch.c.Index.Entries, 0); err != nil {
		return err
	}
	taken, last := 0, error(match.ErrNoMatch.New("%s holds no image", req.Reference))
	for i, entry := range ch.c.Index.Entries {
		if entry.Attestation || len(entry.Faults) > 0 {
			continue
		}
		ch.c.At, ch.c.Entry, ch.c.Why, ch.c.Reasons = i, entry, "--all-variants", nil
		var none notImageError
		err := ch.check(ctx)
		if errors.As(err, &none) {
			ch.Notef("%s is passed over: cannot be used: %s", ch.c.which(), none.why)
			last = err
			continue
		}
		if err == nil {
			err = take(ch.c)
		}
		if err != nil {
			return err
		}
		taken++
	}
	if taken == 0 {
		return last
	}
	return nil
}

// check reads what an image says of itself, and refuses one that contradicts its index.
func (ch *chooser) check(ctx context.Context) error {
	raw, err := ch.ownConfig(ctx)
	if err != nil {
		return err
	}
	if ch.c.Config, err = oci.ParseConfig(raw); err != nil {
		return err
	}
	return ch.agrees(ch.c.Config)
}

// Digest returns the digest of the index that the reference names now; "" for an image without one,
// or one whose variants are tags. The nodes are asked for only if tags are looked at.
func Digest(
	ctx context.Context, req Request, from Source, tell notes.Notes,
	nodes func() ([]facts.Node, error),
) (string, error) {
	ch := newChooser(req, from, tell)
	err := ch.readOwnIndex(ctx)
	switch {
	case err == nil && req.Variants == option.IndexVariants,
		err == nil && req.Variants == option.AnyVariants && !ch.mayHaveVariants():
		return ch.c.Index.Digest, nil
	case err != nil && (!namesNone(err) || req.Variants == option.IndexVariants):
		return "", err
	}
	if ch.Nodes, err = nodes(); err != nil {
		return "", err
	}
	ch.c.Nodes = ch.Nodes
	err = ch.readCandidates(ctx)
	return ch.c.Index.Digest, err // "" for one of tags
}

// ByIndex chooses by the words of an index alone.
func ByIndex(req Request, index oci.Index) Chosen {
	ch := newChooser(req, nil, notes.Notes{})
	ch.c.Index = index
	ch.take(ch.bestOf(index.Entries))
	if ch.c.Found() {
		ch.c.Entry = index.Entries[ch.c.At]
	}
	return ch.c
}

// take notes what came out of matching.
func (ch *chooser) take(r match.Result) {
	ch.c.At, ch.c.Why, ch.c.Reasons = r.Chosen, r.Why, r.Verdicts
}
