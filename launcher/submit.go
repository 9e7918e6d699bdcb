package launcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/nodes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/launcher/store"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// submitLimit bounds what is asked of a registry while a user waits for a job to be submitted.
const submitLimit = 10 * time.Second

// Submitted is what is known of an image when a job with it is submitted.
type Submitted struct {
	Digest string // of the index, for every node to run the same; "" if not known or named
	Doubt  error  // what could not be found out, and does not keep the job from being submitted
}

// Submit looks for the image of a job before the job waits, and pulls it if the site wants that.
// written is the image as the user wrote it, before its path was made absolute. An error means that
// the job could not run.
func (r *Road) Submit(ctx context.Context, image, written string) (Submitted, error) {
	ref, err := choose.Reference(image, r.Settings)
	if err != nil {
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
			troubled := errors.Is(err, fetch.ErrUnreachable) || errors.Is(err, oci.ErrUnusable)
			if r.Site.Unreachable == site.Refuse || !troubled {
				return Submitted{}, choose.HintFiles(image, ref, err)
			}
			return Submitted{Doubt: err}, nil
		}
	}
	if r.Site.PullAt == site.AtSubmission && r.Option.Pull != option.Never {
		return s, r.pullForNodes(ctx, image)
	}
	return s, nil
}

// submitFile looks for an image that is a file or directory. It is refused if it cannot be used, or
// is missing below the working directory or the home. By any other absolute path the nodes may have
// it on a disk of their own.
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
	switch err = fault.Reason(err); {
	case missing == nil:
		return Submitted{}, fault.New(fault.Reference, "opening %s: %w", file, err)
	case here:
		return Submitted{}, fault.New(fault.Reference, "opening %s: %w", ref, err).
			Hint("what only the nodes have is named by its absolute path, outside of the home")
	}
	absent := fault.New(fault.Reference, "%s is not on this machine: %w", ref, err)
	return Submitted{Doubt: absent}, nil
}

// indexDigest returns the digest of the index that a name stands for now; "" for an image without
// one, or one whose variants are tags.
func (r *Road) indexDigest(ctx context.Context, ref oci.Reference) (string, error) {
	late := fetch.ErrUnreachable.New("asking %s: no answer within %s", ref.Registry, submitLimit)
	if proxy := fetch.Proxy(ref.Registry, r.Host.Getenv); proxy != "" {
		late = late.Hint("it is asked by %s", proxy)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, submitLimit, late)
	defer cancel()
	src := r.source(ref, true)
	defer src.Close()
	digest, err := choose.Digest(ctx, r.requestFor(ref, ""), src, r.Notes,
		func() ([]facts.Node, error) {
			return r.nodes().All(ctx)
		})
	if errors.Is(err, choose.ErrNotCached) || errors.Is(err, store.ErrUnusable) {
		return "", nil // the nodes may have it
	}
	return digest, lateCause(ctx, err)
}

// lateCause says why a context ended, if that is why something failed.
func lateCause(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

// pullForNodes brings what the nodes will choose into the cache: for those of the nodes file their
// entries, else every entry.
func (r *Road) pullForNodes(ctx context.Context, image string) error {
	if r.Option.NodesFile == "" {
		r.Sayf("pulling every variant of %s before the job is submitted", image)
		_, err := r.Pull(ctx, image, Pulling{All: true})
		return err
	}
	list, err := nodes.ReadAll(ctx, r.Option.NodesFile)
	if err != nil {
		return err
	}
	r.Sayf("pulling %s for the nodes before the job is submitted", image)
	for _, node := range list {
		r.Given = &node
		if _, err := r.Pull(ctx, image, Pulling{}); err != nil {
			return err
		}
	}
	return nil
}
