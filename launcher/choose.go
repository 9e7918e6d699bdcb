package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/probe"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Choice is what came out of looking at the index: an entry, or none and the reasons.
type Choice struct {
	Reference oci.Reference
	Nodes     []facts.Node // what was matched against: this node, or those of --nodes-file, or --platform as a node; none for a SIF
	Index     oci.Index    // without entries for a SIF
	Result    match.Result // Chosen is an index into Index.Entries, -1 where none fits
	Cached    bool         // the index came from the cache

	entry    oci.Entry  // the chosen one; where it was an index itself, the chosen one of that
	every    bool       // for every node: what the image says of nodes is not held against any
	looks    bool       // only looks: nothing in the caches is set aside
	passedBy []PassedBy // tags beside the reference that are none of its variants
	key      string     // the name of the reference in the cache
	source   fetch.Source
}

// Close lets go of the registry or archive.
func (c *Choice) Close() {
	if c.source != nil {
		_ = c.source.Close() // opened for reading
	}
}

// Entry returns the chosen entry, and whether there is one.
func (c *Choice) Entry() (oci.Entry, bool) { return c.entry, c.Result.Chosen >= 0 }

// Choose reads the index and picks the entry for this node. Where nothing fits, or --variant asks for what cannot run, the
// error is of class nomatch, and the choice with its reasons comes beside it.
func (r *Road) Choose(ctx context.Context, image string) (*Choice, error) {
	if r.Site.PassedBy != "" {
		r.note("HPC3_CONFIG is passed by, since jobs follow the site's file: %s", r.Site.PassedBy)
	}
	ref, err := r.reference(image)
	if err != nil {
		return nil, err
	}
	if err := r.registryOnly(ref); err != nil {
		return nil, err
	}
	r.tellFiles()
	r.tellMisspelt()
	c := &Choice{Reference: ref, Result: match.Result{Chosen: -1}}
	if ref.Transport == oci.SIF {
		return c, nil
	}
	if c.Nodes, err = r.Nodes(ctx); err != nil {
		return nil, err
	}
	r.note("node: %s", nodesLine(c.Nodes, r.Option.Platform))
	if err := r.readCandidates(ctx, c); err != nil {
		c.Close()
		return nil, besides(image, ref, err)
	}
	r.tellIndex(c)
	if err := r.pick(ctx, c); err != nil {
		return c, c.nameTags(err)
	}
	return c, nil
}

// Node returns the facts that are matched against.
func (r *Road) Node(ctx context.Context) (facts.Node, error) {
	r.tellFiles()
	if r.Option.Platform != "" {
		node, err := match.NodeFor(r.Option.Platform)
		r.Clock.Done("probe", "--platform "+r.Option.Platform)
		return node, err
	}
	if r.Given != nil {
		return *r.Given, nil
	}
	node, err := probe.Node(ctx, r.probeOptions())
	if err != nil {
		if r.ProbeRoot != "" {
			return facts.Node{}, fault.New(fault.Usage, "reading the recorded node %s: %w", r.ProbeRoot, outside.Reason(err)).Hint("it is a directory with proc/cpuinfo, sys … of that node")
		}
		return facts.Node{}, fault.New(fault.Engine, "probing this node: %w", err).Hint("report this together with /proc/cpuinfo")
	}
	if node, err = r.labelled(node); err != nil {
		return facts.Node{}, err
	}
	r.Clock.Done("probe", node.CPU.Target)
	return node, nil
}

// Nodes returns the facts of all nodes that the choice is for: those of --nodes-file, else the one. Where the command runs here, this
// node is one of them, whether or not the file knows it.
func (r *Road) Nodes(ctx context.Context) ([]facts.Node, error) {
	if r.Option.NodesFile == "" || r.Option.Platform != "" || r.Given != nil {
		if n := r.Host.Getenv("SLURM_STEP_NUM_NODES"); n != "" && n != "1" && !r.Elsewhere {
			r.note("each of the %s nodes of this step chooses for itself; --nodes-file makes one choice for all", n)
		}
		node, err := r.Node(ctx)
		return []facts.Node{node}, err
	}
	nodes, err := ReadNodes(ctx, r.Option.NodesFile)
	if err != nil {
		return nil, err
	}
	r.Clock.Done("nodes", fmt.Sprintf("%d of %s", len(nodes), r.Option.NodesFile))
	if !r.Elsewhere && !slices.ContainsFunc(nodes, func(n facts.Node) bool { return n.Hostname != "" && n.Hostname == r.Host.Name }) {
		node, err := r.Node(ctx)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

func (r *Road) probeOptions() probe.Options {
	opt := probe.Options{Root: r.ProbeRoot, Labels: r.Site.LabelsOf(r.Host.Name), Env: r.Host.Getenv}
	if s, err := r.Store(); err == nil { // without a cache the GPU helper is asked each time
		opt.Answers = s
	}
	return opt
}

func (r *Road) readIndex(ctx context.Context, c *Choice) error {
	key, err := cacheKey(c.Reference)
	if err != nil {
		return err
	}
	c.key = key
	if r.Option.Pull != option.Always {
		raw, err := r.cachedIndex(c)
		if err != nil {
			return err
		}
		if raw != nil {
			c.Cached = true
			err := r.parseIndex(ctx, c, raw, "")
			r.Clock.Done("index", "from the cache")
			return err
		}
	}
	if r.Option.Pull == option.Never {
		return fault.New(fault.Cache, "the image %s is not in the cache, and --pull never forbids to fetch it", c.Reference).Hint("run it once with --pull missing, or: hpc3 pull %s", c.Reference.Name)
	}
	raw, mediaType, err := r.askIndex(ctx, c)
	if err != nil {
		return err
	}
	if err := r.parseIndex(ctx, c, raw, mediaType); err != nil {
		var none notImageError
		if errors.As(err, &none) { // which it stays: among tags it would be asked for at each start
			return errors.Join(err, r.remember(c.key, raw, mediaType))
		}
		return err
	}
	r.Clock.Done("index", c.Reference.String())
	return r.remember(c.key, raw, mediaType)
}

// fileSuffix begins what a key says of a local file, behind its reference.
const fileSuffix = " size="

// cacheKey is the name under which the cache knows a reference. A local archive or layout may be written anew under
// the same name, so its file's identity is part of the key.
func cacheKey(ref oci.Reference) (string, error) {
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
	return fmt.Sprintf("%s"+fileSuffix+"%d mtime=%d", ref, info.Size(), info.ModTime().UnixNano()), nil
}

func noSuchFile(ref oci.Reference, err error) error {
	err = outside.Reason(err)
	return fault.New(fault.Reference, "opening %s: %w", ref, err).Hint("a name without a transport in front is looked for in a registry; a path is relative to the working directory")
}

// cachedIndex returns the index that the cache holds for the reference, nil where it holds none.
func (r *Road) cachedIndex(c *Choice) ([]byte, error) {
	if c.Reference.Digest != "" {
		return r.cachedBlob(c.Reference.Digest)
	}
	return r.pinned(c.key)
}

func (r *Road) askIndex(ctx context.Context, c *Choice) (raw []byte, mediaType string, err error) {
	src, err := r.open(ctx, c)
	if err != nil {
		return nil, "", err
	}
	return src.Root(ctx)
}

// open opens the registry or archive of the choice, once.
func (r *Road) open(ctx context.Context, c *Choice) (fetch.Source, error) {
	if c.source != nil {
		return c.source, nil
	}
	mirrors, fallback := r.mirrors(c.Reference.Registry)
	src, err := fetch.Open(ctx, c.Reference, fetch.Options{
		AuthFile: r.Option.AuthFile, Env: r.Host.Getenv, HomeDir: r.Host.Getenv("HOME"),
		PlainHTTP: r.plainHTTP, TokenServers: r.Site.TokenServers, UserAgent: "hpc3/" + r.Version,
		Mirrors: mirrors, NoFallback: !fallback, Note: r.noteText, Detail: r.Detail, Scratch: func() (*os.File, error) { return r.scratch(c.Reference) },
	})
	if err != nil {
		return nil, err
	}
	c.source = src
	r.sources = append(r.sources, src)
	return src, nil
}

// parseIndex reads raw as an index, or, for an image without one, as the manifest of its only entry.
func (r *Road) parseIndex(ctx context.Context, c *Choice, raw []byte, mediaType string) error {
	kind, err := oci.Sniff(raw, mediaType)
	if err != nil {
		return c.broken(err)
	}
	if oci.IsIndex(kind) {
		index, err := oci.ParseIndex(raw)
		c.Index = index
		return c.broken(err)
	}
	manifest, err := oci.ParseManifest(raw)
	if err != nil {
		return c.broken(err)
	}
	if kind := artifact(manifest); kind != "" {
		return noImage(c.Reference.String(), kind)
	}
	config, err := r.blob(ctx, c, manifest.Config)
	if err != nil {
		return err
	}
	parsed, err := asImage(c.Reference.String(), manifest, config)
	if err != nil {
		return err
	}
	if !c.Cached {
		if err := r.keep(oci.DigestOf(raw), raw); err != nil {
			return err
		}
	}
	self := oci.Descriptor{MediaType: kind, Digest: oci.DigestOf(raw), Size: int64(len(raw))}
	c.Index = oci.SingleIndex(self, parsed)
	return nil
}

// blob returns a manifest or config from the cache, else from the source, and keeps it in the cache.
func (r *Road) blob(ctx context.Context, c *Choice, d oci.Descriptor) ([]byte, error) {
	raw, err := r.cachedBlob(d.Digest)
	if err != nil || raw != nil {
		return raw, err
	}
	if r.Option.Pull == option.Never {
		return nil, fault.New(fault.Cache, "%s of %s is not in the cache, and --pull never forbids to fetch it", d.Digest, c.Reference).Hint("run it once with --pull missing")
	}
	src, err := r.open(ctx, c)
	if err != nil {
		return nil, err
	}
	if raw, err = src.Blob(ctx, d); err != nil {
		return nil, err
	}
	return raw, r.keep(d.Digest, raw)
}

// platformOf returns what an entry says it is for.
func platformOf(e oci.Entry) string {
	if w := e.Wants(); w != "" {
		return w
	}
	return "no platform"
}

// arch is the architecture of the chosen entry; one that states none was matched as the node's.
func (c *Choice) arch() string {
	if c.entry.Platform != nil && c.entry.Platform.Architecture != "" {
		return c.entry.Platform.Architecture
	}
	return c.Nodes[0].Arch
}

func describe(nodes []facts.Node, platform string) string {
	switch {
	case platform != "":
		return platform
	case len(nodes) > 1:
		return fmt.Sprintf("all of %d nodes", len(nodes))
	}
	return "this node (" + nodes[0].CPU.Target + ")"
}
