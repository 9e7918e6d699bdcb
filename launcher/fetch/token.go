package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// maxToken bounds the answer of a token server: tokens that list hundreds of repositories have some
// 10 KiB.
const maxToken = 64 << 10

// tokenServer is where a registry sends its clients for a token (distribution's token
// specification).
type tokenServer struct {
	url     *url.URL
	service string
	inner   http.RoundTripper
	allowed func(*url.URL) error
}

// newTokenServer reads a challenge. The realm comes from the registry alone, so allowed checks it.
func (r *registry) newTokenServer(c challenge, host, scheme string, tr http.RoundTripper) (
	*tokenServer, error,
) {
	realm, err := url.Parse(c.params["realm"])
	if err != nil || realm.Host == "" {
		return nil, oci.ErrUnusable.New(
			"asking %s for a token: it names no server to get one from, but %.80q", r.ref.Registry,
			c.params["realm"]).
			Hint("see whether %s is a container registry", r.ref.Registry)
	}
	s := &tokenServer{url: realm, service: c.params["service"], inner: tr}
	s.allowed = func(u *url.URL) error { return r.allowToken(u, host, scheme) }
	return s, s.allowed(realm)
}

// allowToken refuses a token server that only the registry vouches for if it has no encryption, or
// a private address, which may be any service of the site. The registry itself is allowed, and what
// the site lists.
func (r *registry) allowToken(u *url.URL, host, scheme string) error {
	named := r.tokenServer(u)
	plain := r.opt.PlainHTTP != nil && r.opt.PlainHTTP(u.Host)
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return r.refuseToken(u, "it is asked by neither https nor http", "ask whoever runs %s",
			r.ref.Registry)
	case u.Host == host && u.Scheme == scheme:
		return nil
	case u.Scheme == "http" && (!named || !plain) && (scheme != "http" || !isLoopback(u.Host)):
		return r.refuseToken(u, "it has no TLS",
			"if it is the site's own, the site lists it under token_servers and plain_http in "+
				"hpc3.toml: %q", u.Host)
	case isPrivate(u.Hostname()) && !named && (!isLoopback(u.Host) || !isLoopback(host)):
		return r.refuseToken(u, "it has a private address",
			"if it is the site's own, the site lists it under token_servers in hpc3.toml: %q",
			u.Host)
	}
	return nil
}

func (r *registry) refuseToken(u *url.URL, why, hint string, args ...any) error {
	return fault.New(fault.Policy, "fetching %s: the registry sends for a token to %s: %s", r.ref,
		short(u.Scheme+"://"+u.Host), why).Hint(hint, args...)
}

// tokenServer reports whether the site lists a server.
func (r *registry) tokenServer(u *url.URL) bool {
	host := strings.ToLower(u.Host)
	return slices.ContainsFunc(r.opt.TokenServers, func(known string) bool {
		return known == host || known == strings.ToLower(u.Hostname()) && (u.Port() == "" ||
			u.Port() == map[string]string{"http": "80", "https": "443"}[u.Scheme])
	})
}

// isPrivate reports whether a host is an address that has a meaning only on this network or
// machine.
func isPrivate(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return isLoopback(host)
	}
	addr = addr.Unmap()
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() ||
		addr.IsUnspecified() || addr.IsMulticast()
}

// tokenAnswer is what a token server sends.
type tokenAnswer struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"` // some registries answer so
	RefreshToken string `json:"refresh_token"`
}

// get requests a token with a name and password, or anonymously.
func (s *tokenServer) get(ctx context.Context, user, password string, scopes []string) (
	tokenAnswer, error,
) {
	to := *s.url
	query := to.Query()
	query["scope"] = scopes
	query.Set("service", s.service)
	to.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return tokenAnswer{}, err
	}
	if user != "" && password != "" {
		req.SetBasicAuth(user, password)
	}
	return s.ask(req)
}

// refresh requests a token with an identity token, by OAuth 2.
func (s *tokenServer) refresh(ctx context.Context, identity string, scopes []string) (
	tokenAnswer, error,
) {
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {identity}, "client_id": {"hpc3"},
		"service": {s.service}, "scope": {strings.Join(scopes, " ")},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(),
		strings.NewReader(form.Encode()))
	if err != nil {
		return tokenAnswer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.ask(req)
}

// ask sends a request. Its credentials go to no other host, wherever the server redirects to.
func (s *tokenServer) ask(req *http.Request) (tokenAnswer, error) {
	client := &http.Client{
		Transport: s.inner,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			otherHost := next.URL.Host != s.url.Host
			if len(via) > maxRedirects || otherHost && next.Method != http.MethodGet {
				return refusedError{next.URL.Host, "is no place to send credentials to"}
			}
			if otherHost {
				next.Header.Del("Authorization")
			}
			return s.allowed(next.URL)
		},
	}
	resp, err := client.Do(req)
	if err != nil {
		return tokenAnswer{}, err
	}
	defer resp.Body.Close()
	if err := checkStatus(resp, http.StatusOK); err != nil {
		return tokenAnswer{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxToken+1))
	if err != nil {
		return tokenAnswer{}, err
	}
	var answer tokenAnswer
	switch err := json.Unmarshal(raw, &answer); {
	case len(raw) > maxToken:
		return answer, fmt.Errorf("the token server's answer has more than %d bytes", maxToken)
	case err != nil:
		return answer, errors.New("the token server's answer is not JSON")
	case answer.Token == "" && answer.AccessToken == "":
		return answer, errors.New("the token server sent no token")
	}
	return answer, nil
}

// isMissing reports whether a server does not support a request of this kind.
func isMissing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}
