package fetch

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// bearer sends a token with every request to the registry, and to no other host. All requests of a
// session share the token; when it expires, the first request that is refused gets a new one and
// the others wait for it. go-containerregistry's own lets each request get one, and asks without a
// scope if the registry's challenge names none.
type bearer struct {
	inner  http.RoundTripper
	reg    name.Registry
	server *tokenServer // nil where the token is fixed

	mu     sync.Mutex
	auth   authn.AuthConfig // empty for nobody
	scopes []string
	token  string
	fixed  bool // the user's own token: there is no other to be had
	worked bool // the registry took this token: if it refuses it later, it has expired
}

// exchange gets a token. The caller holds mu, or is the only user.
func (b *bearer) exchange(ctx context.Context) error {
	var got tokenAnswer
	err := error(nil)
	if b.auth.IdentityToken != "" {
		got, err = b.server.refresh(ctx, b.auth.IdentityToken, b.scopes)
	}
	if b.auth.IdentityToken == "" || isMissing(err) { // not all servers know OAuth 2
		got, err = b.server.get(ctx, b.auth.Username, b.auth.Password, b.scopes)
	}
	if err != nil {
		return err
	}
	b.token, b.worked = cmp.Or(got.AccessToken, got.Token), false
	if got.RefreshToken != "" {
		b.auth = authn.AuthConfig{IdentityToken: got.RefreshToken}
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

// renew returns the token to try after the registry refused one: the one that another request got
// meanwhile, or a new one if that may help. Otherwise it returns the same.
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
	return best(challenges(h)).params["scope"]
}
