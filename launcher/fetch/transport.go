package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	statusTries  = 4       // requests in all, where the registry is busy
	networkTries = 2       // requests in all, where the network fails
	maxRedirects = 5       // docker's registries redirect a blob once
	maxHeader    = 1 << 16 // bytes of an answer's header; Go's own limit is 10 MiB
	// bytes read of an error's text, or discarded so that the connection can be reused
	maxErrorBytes = 1 << 15
)

// httpTransport makes connections within the limits of opt, through the proxies of its environment.
func httpTransport(opt Options, via *proxies) *http.Transport {
	t := opt.Timing
	return &http.Transport{
		Proxy: func(req *http.Request) (*url.URL, error) {
			p, err := via.of(req.URL)
			if p == nil || err != nil {
				return nil, err
			}
			return p.url, nil
		},
		OnProxyConnectResponse: onConnect,
		DialContext:            via.dialing(t),
		TLSClientConfig:        &tls.Config{RootCAs: opt.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    t.Connect,
		ResponseHeaderTimeout:  t.Stall,
		MaxResponseHeaderBytes: maxHeader,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true, // digests are over the bytes as they are stored
	}
}

// guard refuses requests without encryption where it is required. It sits below everything that
// follows redirects or challenges, or guesses the scheme.
type guard struct {
	inner  http.RoundTripper
	host   string              // the registry
	scheme string              // the only one to speak to it
	plain  func(*url.URL) bool // another host that may be asked without encryption; nil for none
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	plain := req.URL.Scheme != "https"
	switch {
	case req.URL.Host == g.host && req.URL.Scheme != g.scheme:
		return nil, refusedError{req.URL.Host, "is not asked by " + req.URL.Scheme}
	case req.URL.Host != g.host && plain && (g.scheme != "http" || !isLoopback(req.URL.Host)) &&
		(g.plain == nil || !g.plain(req.URL)):
		return nil, refusedError{req.URL.Host, "would be asked without encryption"}
	}
	return g.inner.RoundTrip(req)
}

// refusedError is a request that was not sent.
type refusedError struct{ host, why string }

func (e refusedError) Error() string { return fmt.Sprintf("%s %s", e.host, e.why) }

// isLoopback reports whether a host, with or without a port, is this machine.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// checkRedirect bounds redirects, and keeps a remote registry from pointing at services of this
// machine or its cloud.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return refusedError{req.URL.Host, fmt.Sprintf("is redirect number %d", len(via))}
	}
	from, to := via[0].URL.Hostname(), req.URL.Hostname()
	addr, err := netip.ParseAddr(to)
	local := isLoopback(to) || err == nil && (addr.Unmap().IsLinkLocalUnicast() ||
		addr.IsUnspecified())
	if local && !isLoopback(from) && to != from {
		return refusedError{
			req.URL.Host,
			"is an address of this machine, to which a registry may not redirect",
		}
	}
	return nil
}

// retrier repeats requests, with pauses, if that may help.
type retrier struct {
	inner  http.RoundTripper
	pauses *pauses
}

func (t *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, err := t.inner.RoundTrip(req)
		wait, again := t.pauses.after(try, resp, err)
		if !again || req.Context().Err() != nil || !rewind(req) {
			return resp, err
		}
		if resp != nil {
			_ = drain(resp.Body)
			_ = resp.Body.Close()
		}
		if err := pause(req.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// rewind prepares a request for being sent again, if possible.
func rewind(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	req.Body = body
	return err == nil
}

// pauses decides how long to wait before the next try. The total for a source is bounded.
type pauses struct {
	timing Timing
	hasty  bool // there is another place to ask, which goes before asking this one again
	mu     sync.Mutex
	spent  time.Duration
}

// after returns the pause after a number of tries, and whether to try again at all.
func (p *pauses) after(tries int, resp *http.Response, err error) (time.Duration, bool) {
	switch {
	case p.hasty:
		return 0, false
	case err != nil && (tries >= networkTries || !transient(err)):
		return 0, false
	case err == nil && (tries >= statusTries || !busy(resp.StatusCode)):
		return 0, false
	}
	wait := p.timing.Backoff << (tries - 1)
	wait += rand.N(wait/4 + 1) // so that the nodes of a job do not come back all at once
	if resp != nil {
		if asked, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
			wait = asked
		}
	}
	return wait, wait <= p.timing.RetryAfter && p.take(wait)
}

// take counts a pause, unless the total would be too long.
func (p *pauses) take(wait time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spent+wait > p.timing.Pauses {
		return false
	}
	p.spent += wait
	return true
}

// busy reports whether the same request may succeed later.
func busy(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// transient reports whether the network may recover at once. A refused connection or an unknown
// host does not.
func transient(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary || dns.IsTimeout
	}
	if errors.As(err, new(silentError)) { // it was waited for long enough
		return false
	}
	var timeout net.Error
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &timeout) && timeout.Timeout()
}

// maxRetryAfter keeps the arithmetic safe; much less is obeyed.
const maxRetryAfter = 365 * 24 * time.Hour

// retryAfter reads the header field of RFC 9110, section 10.2.3: seconds or a date.
func retryAfter(field string, now time.Time) (time.Duration, bool) {
	field = strings.TrimSpace(field)
	if seconds, err := strconv.ParseUint(field, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter), true
	}
	date, err := http.ParseTime(field)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), 0), maxRetryAfter), true
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
