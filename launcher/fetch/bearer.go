package fetch

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// bearer sends a token with every request to the registry, and to it only. All requests of a session share the token; when it has
// expired, the first that sees so gets another and the others wait for that. go-containerregistry's own lets each ask for one, and asks
// without a scope where the registry's challenge names none.
type bearer struct {
	inner     http.RoundTripper
	reg       name.Registry
	challenge *transport.Challenge

	mu     sync.Mutex
	auth   authn.Authenticator
	scopes []string
	token  string
	fixed  bool // the user's own token: there is no other to be had
	worked bool // the registry took this token: if it refuses it later, it has expired
}

// exchange gets a token. The caller holds mu, or is alone.
func (b *bearer) exchange(ctx context.Context) error {
	got, err := transport.Exchange(ctx, b.reg, b.auth, b.inner, b.scopes, b.challenge)
	if err != nil {
		return err
	}
	b.token, b.worked = got.Token, false
	if got.AccessToken != "" { // some registries answer so
		b.token = got.AccessToken
	}
	if got.RefreshToken != "" {
		b.auth = authn.FromConfig(authn.AuthConfig{IdentityToken: got.RefreshToken})
	}
	return nil
}

func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != b.reg.RegistryStr() {
		return b.inner.RoundTrip(req)
	}
	b.mu.Lock()
	token := b.token
	b.mu.Unlock()
	resp, err := b.send(req, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !rewind(req) {
		return resp, err
	}
	other, err := b.renew(req.Context(), token, scopeOf(resp.Header))
	if err != nil || other == token {
		if err != nil {
			_ = resp.Body.Close() // the error says more
			return nil, err
		}
		return resp, nil
	}
	_ = resp.Body.Close() // it only says that the token is of no use
	return b.send(req, other)
}

func (b *bearer) send(req *http.Request, token string) (*http.Response, error) {
	with := req.Clone(req.Context())
	with.Header.Set("Authorization", "Bearer "+token)
	resp, err := b.inner.RoundTrip(with)
	if err == nil && resp.StatusCode != http.StatusUnauthorized {
		b.mu.Lock()
		b.worked = b.worked || b.token == token
		b.mu.Unlock()
	}
	return resp, err
}

// renew returns the token to try after the registry refused one: what another request got meanwhile, else a new one if
// that may help. Else it is the same.
func (b *bearer) renew(ctx context.Context, refused, scope string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := scope == "" || slices.Contains(b.scopes, scope)
	if b.token != refused || b.fixed || known && !b.worked {
		return b.token, nil
	}
	if !known { // in front, since some token servers look at the first only
		b.scopes = append([]string{scope}, b.scopes...)
	}
	err := b.exchange(ctx)
	return b.token, err
}

// scopeOf returns the scope that a challenge asks for; empty if it names none.
func scopeOf(h http.Header) string {
	for _, field := range h.Values("WWW-Authenticate") {
		if found := regexp.MustCompile(`(?i)[ ,]scope="([^"]*)"`).FindStringSubmatch(field); found != nil {
			return found[1]
		}
	}
	return ""
}
