// Package fetch reads images from where they are: a registry, an OCI layout, a tar file of one, or what docker save
// writes. It asks for what it is asked for and nothing more, and every byte that it hands out was checked against the
// digest and the size of its descriptor.
//
// Errors are of package fault: reference for what does not exist, auth for credentials, network for a registry that
// cannot be reached, registry for one (or an archive) that answers with something unusable.
package fetch

import (
	"context"
	"crypto/x509"
	"io"
	"os"
	"time"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Options says how to reach a registry. The zero value works for public images.
type Options struct {
	AuthFile     string                     // --authfile: looked into before all other files with credentials
	Env          func(name string) string   // the user's environment, as os.Getenv; nil is an empty one
	HomeDir      string                     // where ~/.docker/config.json is looked for; none if empty
	TokenServers []string                   // HOST[:PORT] of token servers with private addresses that a registry may send to; the site's own
	PlainHTTP    func(registry string) bool // registries without TLS beside those of the loopback interface; nil for none
	UserAgent    string                     // "hpc3/1.0"; sent to registries
	Scratch      func() (*os.File, error)   // makes an empty file that is gone when it is closed, for a compressed archive; nil refuses these
	RootCAs      *x509.CertPool             // nil for the system's
	Timing       Timing

	Mirrors    []Mirror          // asked in order, before the registry itself
	NoFallback bool              // the registry itself is not asked, if there are mirrors
	Note       func(text string) // told of mirrors that serve or are passed over, concurrently; may be nil
	Detail     func(text string) // told of each request, and where credentials were looked for, concurrently; may be nil
}

// Timing bounds every wait. The zero value of each field is its default.
type Timing struct {
	Connect    time.Duration // for a connection, and again for its TLS handshake; 15 s
	Document   time.Duration // for a manifest, an index, a config or a whole list of tags, tries and all; 5 min
	Stall      time.Duration // for the header of an answer, and for each 16 KiB of its body; 60 s
	Backoff    time.Duration // the first pause before a second try, doubled each time; 500 ms
	RetryAfter time.Duration // the longest pause that a registry may ask for; 60 s
	Pauses     time.Duration // all pauses of a source together; 3 min
	Helper     time.Duration // for a credential helper; 30 s
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	set(&t.Connect, 15*time.Second)
	set(&t.Document, 5*time.Minute)
	set(&t.Stall, time.Minute)
	set(&t.Backoff, 500*time.Millisecond)
	set(&t.RetryAfter, time.Minute)
	set(&t.Pauses, 3*time.Minute)
	set(&t.Helper, 30*time.Second)
	return t
}

// Source is one image or image index at its place. Its methods may be called concurrently.
type Source interface {
	// Root returns the index or manifest that the reference names and its media type, by one request. Its digest was
	// checked if the reference pins one.
	Root(ctx context.Context) (raw []byte, mediaType string, err error)
	// Blob returns a manifest, an index or a config.
	Blob(ctx context.Context, d oci.Descriptor) ([]byte, error)
	// Layer returns the bytes of a layer as they are stored, compressed or not. Whether they are the right ones is
	// known at the end: only an io.EOF says so, hence read up to it. Reading after ctx ends fails.
	Layer(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error)
	Close() error
}

// Open returns the source of a reference, of any transport but sif. A registry is not spoken to before it is asked for
// something; what lies in the file system is opened.
func Open(ctx context.Context, ref oci.Reference, opt Options) (Source, error) {
	opt.Timing = opt.Timing.withDefaults()
	if opt.Env == nil {
		opt.Env = func(string) string { return "" }
	}
	if opt.Note == nil {
		opt.Note = func(string) {}
	}
	switch ref.Transport {
	case oci.Registry:
		if len(opt.Mirrors) > 0 {
			return newMirrored(ref, opt)
		}
		return newRegistry(ref, opt)
	case oci.Layout:
		return openLayout(ref, opt)
	case oci.LayoutArchive:
		return openLayoutArchive(ctx, ref, opt)
	case oci.DockerArchive:
		return openDockerArchive(ctx, ref, opt)
	}
	return nil, ErrNotFound.New("fetching %s: there is nothing to fetch by transport %q", ref, ref.Transport)
}

// acceptable refuses descriptors that cannot be fetched safely.
func acceptable(d oci.Descriptor) error {
	switch {
	case !oci.ValidDigest(d.Digest):
		return oci.ErrUnusable.New("fetching what the image names: %.80q is no digest", d.Digest).Hint("it is broken where it is stored: push or copy the image again")
	case d.Size < 0:
		return oci.ErrUnusable.New("fetching %s: a size of %d", d.Digest, d.Size).Hint("it is broken where it is stored: push or copy the image again")
	case len(d.URLs) > 0:
		// The host would be of the image author's choice, and so would be what a node of the site asks it for.
		return oci.ErrUnusable.New("fetching %s: it is a foreign layer, to be fetched from %.80q", d.Digest, d.URLs[0]).
			Hint("push the image again with its foreign layers: hpc3 fetches from the image's own registry only")
	}
	return nil
}

// whole reads a manifest or config.
func whole(d oci.Descriptor, open func() (io.ReadCloser, error)) ([]byte, error) {
	if d.Size > oci.MaxDocument {
		return nil, oci.ErrUnusable.New("fetching %s: it has %d bytes, the limit is %d", d.Digest, d.Size, oci.MaxDocument)
	}
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
