package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// proxies are the proxies that the environment names, in the variables that curl and Go read. Hosts
// on this machine need none.
type proxies struct {
	env    func(string) string
	direct func(*url.URL) bool // NO_PROXY names it
}

// proxy is one of them. Its URL may hold a password, which no message repeats.
type proxy struct {
	url      *url.URL
	variable string
}

func newProxies(env func(string) string) *proxies {
	const placeholder = "http://any.invalid"
	noProxy := cmp.Or(env("NO_PROXY"), env("no_proxy"))
	use := (&httpproxy.Config{
		HTTPProxy: placeholder, HTTPSProxy: placeholder, NoProxy: noProxy,
	}).ProxyFunc()
	return &proxies{env: env, direct: func(u *url.URL) bool {
		via, err := use(u)
		return via == nil && err == nil
	}}
}

// of returns the proxy for a URL; nil for none.
func (p *proxies) of(u *url.URL) (*proxy, error) {
	if p.direct(u) {
		return nil, nil
	}
	for _, name := range []string{
		strings.ToUpper(u.Scheme) + "_PROXY", u.Scheme + "_proxy",
		"ALL_PROXY", "all_proxy",
	} {
		value := p.env(name)
		if value == "" {
			continue
		}
		at, err := parseProxy(value)
		if err != nil {
			return nil, ErrUnreachable.New("%s names no proxy that can be used: %w", name, err).
				Hint("it reads http://HOST:PORT, or https:// or socks5:// for a proxy that is "+
					"asked so; correct or unset it").
				Hint("NO_PROXY=%s asks this registry without a proxy", u.Hostname())
		}
		return &proxy{at, name}, nil
	}
	return nil, nil
}

// parseProxy reads the value of such a variable. Its errors quote nothing of it.
func parseProxy(value string) (*url.URL, error) {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("it is not the URL of a proxy")
	}
	// otherwise the host would be part of the name or password
	if strings.Contains(u.Path+"?"+u.RawQuery+"#"+u.Fragment, "@") {
		return nil, errors.New("a /, ? or # of its password is to be written as %2F, %3F or %23")
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, errors.New("its port is not valid")
		}
	}
	if u.Scheme == "socks" { // as desktops set it
		u.Scheme = "socks5"
	}
	if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return nil, fmt.Errorf("hpc3 knows http, https and socks5 proxies, and no %.20q", u.Scheme)
	}
	return u, nil
}

func (p *proxy) String() string {
	return fmt.Sprintf("the proxy %s://%s (%s)", p.url.Scheme, p.url.Host, p.variable)
}

// Proxy names the proxy for a registry, for messages about waiting; empty for none.
func Proxy(registry string, env func(string) string) string {
	p, err := newProxies(env).of(&url.URL{Scheme: "https", Host: registry})
	if p == nil || err != nil {
		return ""
	}
	return p.String()
}

// proxyError is a failure of a proxy, or one that may be.
type proxyError struct {
	*proxy
	host   string // that was asked by it
	status int    // of the proxy's answer; 0 if none came
	maybe  bool   // the registry's fault as well
	err    error
}

func (e *proxyError) Error() string { return e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }

// viaProxy tells failures of proxies from those of the hosts behind them.
type viaProxy struct {
	inner *http.Transport
	of    func(*url.URL) (*proxy, error)
}

func (v *viaProxy) RoundTrip(req *http.Request) (*http.Response, error) {
	p, err := v.of(req.URL)
	if err != nil {
		return nil, err
	}
	resp, err := v.inner.RoundTrip(req)
	if p == nil || err != nil && req.Context().Err() != nil {
		return resp, err
	}
	e := &proxyError{proxy: p, host: req.URL.Host, err: err}
	if err == nil {
		if resp.StatusCode != http.StatusProxyAuthRequired {
			return resp, nil
		}
		e.status, e.err = resp.StatusCode, errors.Join(errConnect, resp.Body.Close())
		return nil, e
	}
	var refused connectError
	var op *net.OpError
	if errors.As(err, &refused) {
		e.status = refused.status
	}
	tunnel := req.URL.Scheme == "https" || strings.HasPrefix(p.url.Scheme, "socks")
	e.maybe = tunnel && e.status == 0 && !errors.As(err, new(silentError)) &&
		!strings.Contains(err.Error(), "malformed HTTP") &&
		(!errors.As(err, &op) || op.Op != "proxyconnect" && !strings.HasPrefix(op.Op, "socks"))
	return nil, e
}

// connectError is a proxy's refusal of CONNECT.
type connectError struct{ status int }

func (e connectError) Error() string { return fmt.Sprintf("%v (status %d)", errConnect, e.status) }

var errConnect = errors.New("the proxy refuses")

func onConnect(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return connectError{resp.StatusCode}
}

// silentError says that a proxy accepted a connection, and then sent nothing.
type silentError struct{ error }

func (e silentError) Unwrap() error { return e.error }

// Timeout is for net's wrapper, which looks no deeper.
func (e silentError) Timeout() bool {
	var timeout net.Error
	return errors.As(e.error, &timeout) && timeout.Timeout()
}

// proxyConn bounds how long a proxy may be silent after it accepted a connection: meanwhile it
// connects to the registry.
type proxyConn struct {
	net.Conn
	limit time.Duration
	said  atomic.Bool // something
}

func (c *proxyConn) Read(p []byte) (int, error) {
	if c.said.Load() {
		return c.Conn.Read(p)
	}
	if err := c.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if n == 0 && err != nil {
		return 0, silentError{err}
	}
	c.said.Store(true)
	return n, errors.Join(err, c.SetReadDeadline(time.Time{}))
}

// dialing returns how connections are made. addr is a proxy's if one is used.
func (p *proxies) dialing(t Timing) func(ctx context.Context, network, addr string) (
	net.Conn, error) {
	dial := (&net.Dialer{Timeout: t.Connect, KeepAlive: 30 * time.Second}).DialContext
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil || !p.has(addr) {
			return c, err
		}
		return &proxyConn{Conn: c, limit: 2 * t.Connect}, nil
	}
}

// has reports whether an address is a proxy's.
func (p *proxies) has(addr string) bool {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		u, err := parseProxy(p.env(name))
		if err != nil {
			continue
		}
		port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme], "1080")
		if net.JoinHostPort(u.Hostname(), port) == addr {
			return true
		}
	}
	return false
}

// explain describes in one line what went wrong with a proxy.
func (e *proxyError) explain(doing string) error {
	if e.status == http.StatusProxyAuthRequired {
		wants := "wants a name and a password"
		if e.url.User != nil {
			wants = "does not take the name and password that stand there"
		}
		return fault.New(fault.Auth, "%s: %s %s (status 407)", doing, e.proxy, wants).
			Hint("they go into %s: http://NAME:PASSWORD@HOST:PORT, with special characters as "+
				"%%40 for @; hpc3 knows no other way to log in", e.variable)
	}
	why, hint := "", "see whether it runs, and whether this node reaches it"
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case e.status == http.StatusForbidden:
		why, hint = "refuses access to "+e.host+" (status 403)",
			"ask whoever runs the proxy to allow it"
	case e.status != 0:
		why, hint = fmt.Sprintf("does not reach %s (status %d)", e.host, e.status),
			"see whether the name of the registry is right; else ask whoever runs the proxy"
	case errors.As(e.err, &dns) && dns.IsNotFound:
		why, hint = "is not found: no host has this name", "see whether it is written right"
	case errors.As(e.err, &dns):
		why, hint = "could not be looked up: "+nameService(dns),
			"see whether this node reaches its name server"
	case errors.As(e.err, &timeout) && timeout.Timeout(),
		errors.Is(e.err, context.DeadlineExceeded), errors.Is(e.err, errStalled):
		why = "does not answer in time"
	default:
		why = "cannot be used: " + short(bare(e.err).Error())
	}
	return ErrUnreachable.New("%s: %s %w", doing, e.proxy, reasonError{why, e.err}).
		Hint("%s; or correct or unset %s", hint, e.variable).
		Hint("NO_PROXY=%s asks this registry without a proxy", hostname(e.host))
}

// repeats reports whether a text holds the proxy's password.
func (p *proxy) repeats(text string) bool {
	if p == nil || p.url.User == nil {
		return false
	}
	password, _ := p.url.User.Password()
	return password != "" && strings.Contains(text, password)
}

func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }
