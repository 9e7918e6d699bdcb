// Package fetch reads images from their source: a registry, an OCI layout, a tar file of one, or
// the output of docker save. It requests nothing that the caller did not ask for, and checks every
// byte against the digest and size of its descriptor before the caller can take it for complete.
//
// Errors are of package fault: ErrNotFound if the image does not exist, class auth for credentials,
// ErrUnreachable for a registry that cannot be reached, oci.ErrUnusable for a registry or archive
// that answers with something unusable.
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
	// --authfile: searched before all other files with credentials
	AuthFile string
	// the user's environment, as os.Getenv; nil is an empty one
	Env func(name string) string
	// where ~/.docker/config.json is looked for; none if empty
	HomeDir string
	// HOST[:PORT] of token servers with private addresses that the site allows
	TokenServers []string
	// reports registries without TLS, beside those on the loopback interface; nil for none
	PlainHTTP func(registry string) bool
	UserAgent string // "hpc3/1.0"; sent to registries
	// makes an empty file that vanishes when closed, to unpack a compressed archive; nil refuses
	// these
	Scratch func() (*os.File, error)
	RootCAs *x509.CertPool // nil for the system's
	Timing  Timing

	Mirrors    []Mirror // asked in order, before the registry itself
	NoFallback bool     // the registry itself is not asked, if there are mirrors
	// receives which mirrors serve or are passed over; called concurrently; may be nil
	Note func(text string)
	// receives each request, and where credentials were searched; called concurrently; may be nil
	Detail func(text string)
}

// Timing bounds every wait. The zero value of each field is its default.
type Timing struct {
	Connect time.Duration // for a connection, and again for its TLS handshake; 15 s
	// for a manifest, an index, a config or a whole list of tags, including retries; 5 min
	Document   time.Duration
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

// Source is one image or image index in its place. Its methods may be called concurrently.
type Source interface {
	// Root returns the index or manifest that the reference names and its media type, by one
	// request. If the reference pins a digest, it was checked.
	Root(ctx context.Context) (raw []byte, mediaType string, err error)
	// Blob returns a manifest, an index or a config.
	Blob(ctx context.Context, d oci.Descriptor) ([]byte, error)
	// Layer returns the bytes of a layer as stored, compressed or not. Only io.EOF says that they
	// were the right ones, so read up to it. Reading after ctx ends fails.
	Layer(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error)
	Close() error
}

// Open returns the source of a reference, of any transport but sif. It opens local files, but
// contacts no registry: the first call of a method does.
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
	return nil, ErrNotFound.New("fetching %s: there is nothing to fetch by transport %q", ref,
		ref.Transport)
}

// acceptable refuses descriptors that cannot be fetched safely.
func acceptable(d oci.Descriptor) error {
	switch {
	case !oci.ValidDigest(d.Digest):
		return oci.ErrUnusable.New("fetching what the image names: %.80q is no digest", d.Digest).
			Hint("it is broken where it is stored: push or copy the image again")
	case d.Size < 0:
		return oci.ErrUnusable.New("fetching %s: a size of %d", d.Digest, d.Size).
			Hint("it is broken where it is stored: push or copy the image again")
	case len(d.URLs) > 0:
		// Otherwise the author of an image could choose a host, and what a node of the site asks it
		// for.
		return oci.ErrUnusable.New("fetching %s: it is a foreign layer, to be fetched from %.80q",
			d.Digest, d.URLs[0]).
			Hint("push the image again with its foreign layers: hpc3 fetches from the image's " +
				"own registry only")
	}
	return nil
}

// readDocument reads a manifest or config.
func readDocument(d oci.Descriptor, open func() (io.ReadCloser, error)) ([]byte, error) {
	if d.Size > oci.MaxDocument {
		return nil, oci.ErrUnusable.New("fetching %s: it has %d bytes, the limit is %d", d.Digest,
			d.Size, oci.MaxDocument)
	}
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
