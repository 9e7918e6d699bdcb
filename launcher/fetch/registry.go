package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// registry is an image in a registry, by the OCI distribution specification. go-containerregistry
// does the authentication. Requests, retries and resumption are ours: its remote package ignores
// Retry-After, allows manifests of 100 MiB and cannot resume a blob.
type registry struct {
	ref     oci.Reference
	opt     Options
	base    *http.Transport
	proxies *proxies
	pauses  *pauses
	scheme  string // of a mirror: "http" or "https"; else empty
	ns      string // of a mirror: the registry that it stands for; else empty

	mu      sync.Mutex
	session *session // nil before the first request
	auth    *credentials
	secret  bool // credentials of the user were used
}

// session is the result of the first contact.
type session struct {
	client *http.Client
	reg    name.Registry
	scheme string
	open   http.RoundTripper // for a registry that did not ask for credentials at once; else nil
}

func newRegistry(ref oci.Reference, opt Options) (*registry, error) {
	if _, err := name.NewRegistry(ref.Registry, name.Insecure); err != nil {
		return nil, ErrNotFound.New("fetching %s: %q is no registry", ref, ref.Registry)
	}
	via := newProxies(opt.Env)
	return &registry{
		ref: ref, opt: opt, base: httpTransport(opt, via), proxies: via,
		pauses: &pauses{timing: opt.Timing},
	}, nil
}

func (r *registry) Close() error {
	r.base.CloseIdleConnections()
	return nil
}

func (r *registry) Root(ctx context.Context) (raw []byte, mediaType string, err error) {
	return r.root(ctx, r.ref)
}

// root reads what a reference to the same repository names.
func (r *registry) root(ctx context.Context, ref oci.Reference) (
	raw []byte, mediaType string, err error,
) {
	doing := "reading " + ref.String()
	id := ref.Tag
	if ref.Digest != "" {
		id = ref.Digest
	}
	raw, header, err := r.document(ctx, "manifests/"+id)
	if err != nil {
		return nil, "", r.explain(ctx, doing, err)
	}
	if len(raw) > oci.MaxDocument {
		return nil, "", oci.ErrUnusable.New("%s: it has more than %d bytes", doing, oci.MaxDocument)
	}
	if ref.Digest != "" && !oci.Matches(ref.Digest, raw) {
		return nil, "", oci.ErrUnusable.New("%s: what came has another digest, %s", doing,
			oci.DigestOf(raw)).
			Hint("the registry, or something on the way to it, is broken or dishonest: ask who " +
				"runs it")
	}
	mediaType, err = oci.Sniff(raw, header.Get("Content-Type"))
	return raw, mediaType, err
}

// document returns a document of unknown size, at most one byte more than allowed, and the header
// of the answer.
func (r *registry) document(ctx context.Context, path string) (
	raw []byte, header http.Header, err error,
) {
	ctx, cancel := r.withDocumentLimit(ctx)
	defer cancel()
	for try := 1; ; try++ {
		b, err := r.get(ctx, path, 0)
		if err != nil {
			return nil, nil, err
		}
		raw, err = io.ReadAll(io.LimitReader(b, oci.MaxDocument+1))
		_ = b.Close()
		if err == nil {
			return raw, b.header, nil
		}
		wait, again := r.pauses.after(try, nil, err)
		if !again {
			return nil, nil, err
		}
		if err := pause(ctx, wait); err != nil {
			return nil, nil, err
		}
	}
}

func (r *registry) Blob(ctx context.Context, d oci.Descriptor) ([]byte, error) {
	if err := acceptable(d); err != nil {
		return nil, err
	}
	ctx, cancel := r.withDocumentLimit(ctx)
	defer cancel()
	return readDocument(d, func() (io.ReadCloser, error) { return r.download(ctx, d) })
}

func (r *registry) Layer(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if err := acceptable(d); err != nil {
		return nil, err
	}
	return untilDone(ctx)(r.download(ctx, d))
}

// newDownload returns the blob from a byte on; nothing is requested yet.
func (r *registry) newDownload(ctx context.Context, d oci.Descriptor, from int64) *download {
	room := "blobs/"
	if oci.IsManifest(d.MediaType) || oci.IsIndex(d.MediaType) {
		room = "manifests/"
	}
	return &download{ctx: ctx, r: r, path: room + d.Digest, desc: d, off: from}
}

func (r *registry) download(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	dl := r.newDownload(ctx, d, 0)
	if err := dl.open(); err != nil {
		return nil, dl.explain(err)
	}
	return verify(dl, d, r.ref.Registry), nil
}

func (r *registry) resume(ctx context.Context, d oci.Descriptor, kept io.Reader, size int64) (
	blob io.ReadCloser, from int64, err error,
) {
	if err := acceptable(d); err != nil {
		return nil, 0, err
	}
	dl := r.newDownload(ctx, d, size)
	if err := dl.begin(); err != nil {
		return nil, 0, dl.explain(err)
	}
	return stoppable{verify(&joined{dl, kept, dl.off}, d, r.ref.Registry), ctx}, dl.off, nil
}

// get requests something of the repository, from a byte on. The caller closes the body.
func (r *registry) get(ctx context.Context, path string, from int64) (*body, error) {
	s, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	b, err := r.ask(ctx, s, path, from)
	var answer *transport.Error
	if s.open == nil || !errors.As(err, &answer) || answer.StatusCode != http.StatusUnauthorized {
		return b, err
	}
	if s, err2 := r.relogin(ctx, s); err2 != nil {
		return nil, err2
	} else if s != nil {
		return r.ask(ctx, s, path, from)
	}
	return nil, err
}

func (r *registry) ask(ctx context.Context, s *session, path string, from int64) (*body, error) {
	to := fmt.Sprintf("%s://%s/v2/%s/%s", s.scheme, s.reg.RegistryStr(), r.ref.Repository,
		r.named(path))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(path, "manifests/") {
		req.Header.Set("Accept", strings.Join(oci.MediaTypes(), ","))
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := checkStatus(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	return asBody(resp, r.opt.Timing.Stall), nil
}

// named tells a mirror which registry the image is from, as containerd does: a mirror of several
// registries needs to know.
func (r *registry) named(path string) string {
	switch {
	case r.ns == "" || strings.Contains(path, "ns="): // it is in a link of the mirror's own
		return path
	case strings.Contains(path, "?"):
		return path + "&ns=" + url.QueryEscape(r.ns)
	}
	return path + "?ns=" + url.QueryEscape(r.ns)
}

// connect returns the session, and begins it if there is none: one request asks whether the
// registry wants credentials, and only if so, a second one gets a token.
func (r *registry) connect(ctx context.Context) (*session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		return r.session, nil
	}
	var first, err error
	for _, scheme := range r.schemes() {
		r.session, err = r.begin(ctx, scheme)
		if err == nil || !wantsTLS(err) {
			break
		}
		first = err
	}
	if first != nil && err != nil && withoutTLS(err) {
		err = first // it was asked in the right way at first
	}
	return r.session, err
}

// schemes are the schemes to try, in order. A registry on this machine may have TLS or not.
func (r *registry) schemes() []string {
	switch {
	case r.scheme != "":
		return []string{r.scheme}
	case r.opt.PlainHTTP != nil && r.opt.PlainHTTP(r.ref.Registry):
		return []string{"http"}
	case isLoopback(r.ref.Registry):
		return []string{"http", "https"}
	}
	return []string{"https"}
}

// wantsTLS reports whether an answer to a plain request looks like a TLS server's: 400, or a
// hang-up.
func wantsTLS(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode == http.StatusBadRequest
	}
	return errors.Is(err, io.EOF) || strings.Contains(err.Error(), "malformed HTTP")
}

// checkCertificates refuses a file of certificates that could block, before the library opens it by
// name.
func (r *registry) checkCertificates() error {
	file := r.opt.Env("SSL_CERT_FILE")
	if file == "" || r.opt.RootCAs != nil {
		return nil
	}
	f, err := outside.Open(file)
	if errors.As(err, &outside.KindError{}) {
		return fault.New(fault.Config, "reading certificates: %w", err).
			Hint("SSL_CERT_FILE names this file: correct or unset it")
	}
	if err == nil {
		_ = f.Close() // it was only looked at
	}
	return nil // the library does without what is not there
}

func (r *registry) begin(ctx context.Context, scheme string) (*session, error) {
	reg, err := name.NewRegistry(r.ref.Registry, name.Insecure) // the guard sees to security
	if err != nil {
		return nil, err
	}
	var tr http.RoundTripper = &viaProxy{r.base, r.proxies.of}
	if r.opt.Detail != nil {
		tr = &requestLog{tr, r.opt.Detail}
	}
	tr = &stallLimit{inner: tr, stall: r.opt.Timing.Stall}
	tr = &guard{
		inner: tr, host: reg.RegistryStr(), scheme: scheme,
		plain: func(u *url.URL) bool {
			return r.tokenServer(u) && r.opt.PlainHTTP != nil && r.opt.PlainHTTP(u.Host)
		},
	}
	tr = transport.NewUserAgent(&retrier{inner: tr, pauses: r.pauses}, r.opt.UserAgent)
	if err := r.checkCertificates(); err != nil && scheme == "https" {
		return nil, err
	}
	wanted, err := ping(ctx, reg, scheme, tr)
	if err != nil {
		return nil, err
	}
	if wanted.scheme != "" {
		if tr, err = r.login(ctx, reg, scheme, tr, wanted); err != nil {
			return nil, err
		}
	}
	s := newSession(reg, scheme, tr)
	if wanted.scheme == "" {
		s.open = tr
	}
	return s, nil
}

func newSession(reg name.Registry, scheme string, tr http.RoundTripper) *session {
	return &session{
		client: &http.Client{Transport: tr, CheckRedirect: checkRedirect}, reg: reg,
		scheme: scheme,
	}
}

// relogin begins a session with a password, for a registry that admits everybody at first and then
// wants one for this image. It returns nil if there is no password.
func (r *registry) relogin(ctx context.Context, old *session) (*session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != old {
		return r.session, nil
	}
	tr, err := r.login(ctx, old.reg, old.scheme, old.open, challenge{scheme: "basic"})
	if err != nil || r.auth.from == "" {
		return nil, err
	}
	r.session = newSession(old.reg, old.scheme, tr)
	return r.session, nil
}

// login answers a challenge. Credentials are looked up now, not earlier: a helper may be slow or
// ask for a PIN.
func (r *registry) login(ctx context.Context, reg name.Registry, scheme string,
	tr http.RoundTripper, wanted challenge,
) (http.RoundTripper, error) {
	found, err := r.chain().lookup(ctx, r.ref.Registry, r.ref.Repository)
	if err != nil {
		return nil, err
	}
	if r.opt.Detail != nil {
		r.opt.Detail(fmt.Sprintf("credentials: for %s from %s", r.ref.Registry, cmp.Or(found.from,
			"nowhere; looked in "+cmp.Or(strings.Join(found.searched, ", "), "no file"))))
	}
	r.auth = &found
	r.secret = r.secret || found.from != ""
	if wanted.scheme != "bearer" {
		auth := authn.Anonymous
		if found.from != "" {
			auth = authn.FromConfig(found.AuthConfig)
		}
		return transport.FromToken(reg, auth, tr, &transport.Challenge{Scheme: wanted.scheme},
			&transport.Token{})
	}
	b := &bearer{
		inner: tr, reg: reg, auth: found.AuthConfig, token: found.RegistryToken,
		fixed: found.RegistryToken != "",
	}
	b.scopes = []string{"repository:" + r.ref.Repository + ":" + transport.PullScope}
	if b.fixed {
		return b, nil
	}
	if b.server, err = r.newTokenServer(wanted, reg.RegistryStr(), scheme, tr); err != nil {
		return nil, err
	}
	return b, b.exchange(ctx)
}

func (r *registry) chain() chain {
	o := r.opt
	return chain{authFile: o.AuthFile, env: o.Env, home: o.HomeDir, limit: o.Timing.Helper}
}
