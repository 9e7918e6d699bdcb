package launcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/site"
)

// submitLimit bounds what is asked of a registry while someone waits for his job to be submitted.
const submitLimit = 10 * time.Second

// Submitted is what is known of an image when a job with it is submitted.
type Submitted struct {
	Digest string // of the index, so that every node runs the same; "" where there is none, it is not known, or the name has it
	Doubt  error  // what could not be found out, and does not keep the job from being submitted
}

// Submit looks for the image of a job before the job waits, and pulls it where the site wants that. Of the image written is what the user wrote, before
// its path was made absolute. An error means that the job could not run.
func (r *Road) Submit(ctx context.Context, image, written string) (Submitted, error) {
	ref, err := r.reference(image)
	if err != nil {
		return Submitted{}, err
	}
	if err := r.registryOnly(ref); err != nil {
		return Submitted{}, err
	}
	doubt, err := r.submitPlatform(ctx)
	if err != nil {
		return Submitted{}, err
	}
	if ref.Transport != oci.Registry {
		return r.submitFile(ref, written)
	}
	s := Submitted{Doubt: doubt}
	if ref.Digest == "" {
		if s.Digest, err = r.indexDigest(ctx, ref); err != nil {
			if class, _, _ := fault.Of(err, ""); r.Site.Unreachable == site.Refuse || class != fault.Network && class != fault.Registry {
				return Submitted{}, besides(image, ref, err)
			}
			return Submitted{Doubt: err}, nil
		}
	}
	if r.Site.PullAt == site.AtSubmission && r.Option.Pull != option.Never {
		return s, r.pullForNodes(ctx, image)
	}
	return s, nil
}

// submitFile looks for an image that is a file or directory. One that cannot be used is refused, and so is one that is missing where it is looked for
// from here: below the working directory or the home. By any other absolute path the nodes may have it on a disk of their own.
func (r *Road) submitFile(ref oci.Reference, written string) (Submitted, error) {
	file := ref.Path
	if ref.Transport == oci.Layout {
		file = filepath.Join(file, "index.json")
	}
	f, err := outside.Open(file)
	if err == nil {
		return Submitted{}, f.Close()
	}
	_, missing := os.Stat(ref.Path)
	asked, _ := oci.ParseReference(written)                // one that is none names no path
	home := strings.TrimSuffix(r.Host.Getenv("HOME"), "/") // "/" is nobody's
	here := !filepath.IsAbs(asked.Path) || home != "" && strings.HasPrefix(ref.Path, home+"/")
	switch err = outside.Reason(err); {
	case missing == nil:
		return Submitted{}, fault.New(fault.Reference, "opening %s: %w", file, err)
	case here:
		return Submitted{}, fault.New(fault.Reference, "opening %s: %w", ref, err).
			Hint("what only the nodes have is named by its absolute path, outside of the home")
	}
	return Submitted{Doubt: fault.New(fault.Reference, "%s is not on this machine: %w", ref, err)}, nil
}

// indexDigest returns the digest of the index that a name stands for now; "" for an image without one, or whose variants are tags.
func (r *Road) indexDigest(ctx context.Context, ref oci.Reference) (string, error) {
	late := fault.New(fault.Network, "asking %s: no answer within %s", ref.Registry, submitLimit)
	if proxy := fetch.Proxy(ref.Registry, r.Host.Getenv); proxy != "" {
		late = late.Hint("it is asked by %s", proxy)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, submitLimit, late)
	defer cancel()
	c := &Choice{Reference: ref}
	defer c.Close()
	err := r.readIndex(ctx, c)
	class, _, _ := fault.Of(err, "")
	switch {
	case err == nil && r.Option.Variants != option.TagVariants:
		return c.Index.Digest, nil
	case err != nil && class == fault.Cache:
		return "", nil // --pull never: the nodes may have it
	case err != nil && (class != fault.Reference || r.Option.Variants == option.IndexVariants):
		return "", lateCause(ctx, err)
	}
	if c.Nodes, err = r.Nodes(ctx); err != nil {
		return "", err
	}
	return "", lateCause(ctx, r.readCandidates(ctx, c))
}

// lateCause says why a context ended, where that is why something failed.
func lateCause(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

// pullForNodes brings what the nodes will choose into the cache: for those of the nodes file their entries, else every entry.
func (r *Road) pullForNodes(ctx context.Context, image string) error {
	if r.Option.NodesFile == "" {
		r.waiting("pulling every variant of " + image + " before the job is submitted")
		_, err := r.Pull(ctx, image, "", true)
		return err
	}
	nodes, err := ReadNodes(ctx, r.Option.NodesFile)
	if err != nil {
		return err
	}
	r.waiting("pulling " + image + " for the nodes before the job is submitted")
	for _, node := range nodes {
		r.Given = &node
		if _, err := r.Pull(ctx, image, "", false); err != nil {
			return err
		}
	}
	return nil
}
