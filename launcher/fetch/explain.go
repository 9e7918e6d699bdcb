package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// maxAnswer bounds how much of a registry's own message is quoted.
const maxAnswer = 200

// explain describes in one line, with a class and a hint, what failed on the way to the registry.
// The line holds no credentials: it leaves out URLs, which may be signed, and any answer that
// repeats what was sent.
func (r *registry) explain(ctx context.Context, doing string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) { // without the request that http wraps around it
		return known
	}
	if ended := ctx.Err(); ended != nil && errors.Is(context.Cause(ctx), errSlow) {
		err = errSlow
	} else if ended != nil {
		return ErrUnreachable.New("%s: %w", doing, ended)
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		return r.explainAnswer(doing, answer)
	}
	return r.explainNetwork(doing, err)
}

func (r *registry) explainAnswer(doing string, answer *transport.Error) error {
	host := r.ref.Registry
	if answer.Request != nil {
		host = answer.Request.URL.Host
	}
	said, via := words(answer), r.plainProxy(answer)
	if via.repeats(said) {
		said = ""
	}
	switch status := answer.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return via.maybe(r.authFault(doing, host, status, said))
	case status == http.StatusNotFound:
		return r.notFound(doing, answer, said)
	case status == http.StatusTooManyRequests:
		return oci.ErrUnusable.New("%s: %s limits how often it is asked (status 429%s)", doing,
			host, said).
			Hint("try later, or log in for a higher limit").
			Hint("an image that is in the cache needs no registry: name it by digest, or leave " +
				"--pull at missing")
	case status >= http.StatusInternalServerError:
		return via.maybe(oci.ErrUnusable.New("%s: %s is in trouble (status %d%s)", doing, host,
			status, said).
			Hint("try later: the fault is with the registry"))
	default:
		return oci.ErrUnusable.New("%s: %s refuses the request (status %d%s)", doing, host, status,
			said).
			Hint("see whether %s is a container registry", host)
	}
}

// plainProxy returns the proxy that may have answered instead: a request without encryption does
// not show it. It is nil if there is none.
func (r *registry) plainProxy(answer *transport.Error) *proxy {
	if answer.Request == nil || answer.Request.URL.Scheme != "http" {
		return nil
	}
	p, err := r.proxies.of(answer.Request.URL)
	if err != nil {
		return nil // then nothing was asked
	}
	return p
}

// maybe adds that the answer may be the proxy's.
func (p *proxy) maybe(e *fault.Error) error {
	if p == nil {
		return e
	}
	return e.Hint("it is asked through %s: the answer may be the proxy's", p)
}

func (r *registry) notFound(doing string, answer *transport.Error, said string) error {
	path := ""
	if answer.Request != nil {
		path = answer.Request.URL.Path
	}
	switch {
	case strings.Contains(path, "/blobs/"):
		return oci.ErrUnusable.New("%s: the registry has lost it (status 404%s)", doing, said).
			Hint("push the image again: a part of it is gone")
	case strings.Contains(path, "/manifests/"):
		return ErrNotFound.New("%s: no such image, or no right to see it (status 404%s)", doing,
			said).
			Hint("see whether name and tag are right: in full it reads %s", r.ref)
	case strings.HasSuffix(path, "/tags/list"):
		return oci.ErrUnusable.New("%s: there is no such list (status 404%s)", doing, said).
			Hint("see whether the repository is right: %s/%s", r.ref.Registry, r.ref.Repository)
	}
	return oci.ErrUnusable.New("%s: %s does not answer as a registry does (status 404)", doing,
		r.ref.Registry).
		Hint("see whether %s is the name of a registry, and its port the right one", r.ref.Registry)
}

func (r *registry) authFault(doing, host string, status int, said string) *fault.Error {
	registry := r.ref.Registry
	r.mu.Lock()
	found := r.auth
	r.mu.Unlock()
	if found == nil || found.from == "" {
		e := fault.New(fault.Auth, "%s: %s wants credentials, and none were found (status %d%s)",
			doing, host, status, said).
			Hint("podman login %s, or docker login %s, or name a file with credentials by "+
				"--authfile", registry, registry)
		if found != nil && len(found.searched) > 0 {
			e = e.Hint("looked in %s", strings.Join(found.searched, ", "))
		}
		return e.Hint(
			"see whether the image exists: many registries answer so for a name that does not")
	}
	return fault.New(fault.Auth, "%s: %s refuses the credentials of %s (status %d%s)", doing, host,
		found.from, status, said).
		Hint("log in again: podman login %s, or docker login %s", registry, registry).
		Hint("see whether the image exists, and whether you may read it")
}

// words returns the registry's message, as ", CODE: message", unless it repeats the credentials
// that were sent.
func words(answer *transport.Error) string {
	if len(answer.Errors) == 0 {
		return ""
	}
	first := answer.Errors[0]
	said := string(first.Code)
	if first.Message != "" {
		said += ": " + first.Message
	}
	if leaks(answer.Request, said) {
		return ""
	}
	return ", " + short(said)
}

func short(s string) string {
	s = strings.ToValidUTF8(fault.OneLine(s), "?")
	if runes := []rune(s); len(runes) > maxAnswer {
		return string(runes[:maxAnswer]) + "…"
	}
	return s
}

func leaks(req *http.Request, said string) bool {
	if req == nil {
		return false
	}
	for _, field := range req.Header.Values("Authorization") {
		_, secret, _ := strings.Cut(field, " ")
		_, password, basic := req.BasicAuth()
		if secret != "" && strings.Contains(said, secret) || basic && password != "" &&
			strings.Contains(said, password) {
			return true
		}
	}
	return false
}

// explainNetwork blames a proxy if it is known to be at fault, otherwise the registry or the
// network.
func (r *registry) explainNetwork(doing string, err error) error {
	var via *proxyError
	if !errors.As(err, &via) {
		return r.explainConnection(doing, err)
	}
	if !via.maybe {
		return via.explain(doing)
	}
	return r.explainConnection(doing, err).
		Hint("it is asked through %s: NO_PROXY=%s asks it without a proxy", via.proxy,
			hostname(via.host))
}

func (r *registry) explainConnection(doing string, err error) *fault.Error {
	host := r.ref.Registry
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var refused refusedError
	var timeout net.Error
	network := func(why, hint string) *fault.Error {
		return ErrUnreachable.New("%s: %w", doing, reasonError{why, err}).Hint("%s", hint)
	}
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return network("no host is called "+dns.Name,
			"see whether the name of the registry is right, and whether this node may look up "+
				"names")
	case errors.As(err, &dns):
		return network("the name "+dns.Name+" could not be looked up: "+nameService(dns),
			"see whether this node reaches its name server, which /etc/resolv.conf names; a "+
				"compute node may need a proxy (HTTPS_PROXY) or a mirror")
	case errors.As(err, &cert):
		return network(short(cert.Err.Error()),
			"if the registry has a certificate of the site's own, add its issuer to the system's "+
				"certificates, or name it in SSL_CERT_FILE")
	case withoutTLS(err):
		return network(host+" speaks no TLS",
			"if that is meant so, the site lists it under plain_http in hpc3.toml")
	case brokenTLS(err):
		return network(
			"no encrypted connection to "+host+" could be made: "+short(bare(err).Error()),
			"the registry, or something on the way to it, and this node agree on no way to "+
				"encrypt: ask whoever runs it")
	case errors.Is(err, syscall.ECONNREFUSED):
		return network(connection(err, host)+": connection refused",
			"see whether the registry runs, and whether its port is right")
	case errors.Is(err, errStalled), errors.Is(err, errSlow), errors.As(err, &timeout) &&
		timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return network(connection(err, host)+" does not answer in time",
			"see whether this node reaches the registry: a compute node may need a proxy "+
				"(HTTPS_PROXY) or a mirror")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), ended(err):
		return network(connection(err, host)+" closed the connection",
			"try again; if it stays so, ask whoever runs the registry")
	// net/http says it in two ways
	case strings.Contains(err.Error(), "response headers exceeded"),
		strings.Contains(err.Error(), "header list"):
		return oci.ErrUnusable.New("%s: %w", doing, reasonError{
			fmt.Sprintf("the header of %s's answer has more than %d bytes", host, maxHeader), err,
		}).
			Hint("see whether %s is a container registry; something on the way to it may add to "+
				"each answer", host)
	case errors.As(err, &refused):
		return oci.ErrUnusable.New("%s: %w", doing, refused).
			Hint("the registry points at a place that hpc3 does not follow it to: ask whoever " +
				"runs it")
	}
	if why, hint := unreachable(err, host); why != "" {
		return network(why, hint)
	}
	return oci.ErrUnusable.New("%s: %w", doing, reasonError{short(bare(err).Error()), err}).
		Hint("see whether %s is a container registry", host)
}

// nameService says what is wrong with the name service, and names its server.
func nameService(dns *net.DNSError) string {
	who := "the name service"
	if dns.Server != "" {
		who += " (" + dns.Server + ")"
	}
	if dns.IsTimeout || strings.Contains(dns.Err, "connect:") ||
		strings.Contains(dns.Err, "read udp") || strings.Contains(dns.Err, "dial ") {
		return who + " does not answer"
	}
	return who + " says: " + short(dns.Err)
}

// unreachable says what keeps this node from a registry, and what to do; empty for an error that is
// not of the network.
func unreachable(err error, host string) (why, hint string) {
	var op *net.OpError
	if !errors.As(err, &op) {
		return "", ""
	}
	to := connection(err, host)
	addr, _ := op.Addr.(*net.TCPAddr)
	without := errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL)
	switch {
	case without && addr != nil && addr.IP.IsLoopback():
		return to + " is not reached: the loopback interface of this node is down",
			"as root: ip link set lo up"
	case without && addr != nil && addr.IP.To4() == nil:
		return "this node has no route to " + to + ", an IPv6 address",
			"see whether this node has IPv6 (ip -6 route), or the registry an IPv4 address: a " +
				"compute node may need a proxy (HTTPS_PROXY) or a mirror"
	case without:
		return "this node has no route to " + to,
			"see whether its network is up (ip route): a compute node may need a proxy " +
				"(HTTPS_PROXY) or a mirror"
	}
	return to + ": " + short(bare(op).Error()),
		"see whether this node reaches the registry: a compute node may need a proxy " +
			"(HTTPS_PROXY) or a mirror"
}

// brokenTLS reports whether the server speaks TLS but the two sides did not agree.
func brokenTLS(err error) bool {
	var op *net.OpError
	// crypto/tls wraps alerts this way
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	return strings.HasPrefix(bare(err).Error(), "tls: ")
}

// withoutTLS reports whether a server that was asked by https speaks no TLS.
func withoutTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || strings.Contains(err.Error(), "gave HTTP response to HTTPS")
}

// reasonError replaces the text of an error: those of net/http hold URLs and span lines.
type reasonError struct {
	why string
	err error
}

func (e reasonError) Error() string { return e.why }

// Unwrap hides an end of data: the reader of a layer would take it for the layer's end.
func (e reasonError) Unwrap() error {
	if ended(e.err) {
		return nil
	}
	return e.err
}

// connection adds the address of the other end if it is not the registry's name.
func connection(err error, host string) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil && op.Op == "dial" && op.Addr.String() != host {
		return host + " (" + op.Addr.String() + ")"
	}
	return host
}

// bare strips what net/http and net wrap around an error, such as URLs.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return bare(u.Err)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return bare(op.Err)
	}
	// the rest is what came instead
	if strings.Contains(err.Error(), "no token in bearer response") {
		return errors.New("the token server sent no token")
	}
	return err
}
