package fetch_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// issuer lets in who has one of its good tokens, "t1", "t2" and so on, and notes for which scopes
// it was asked.
type issuer struct {
	url    string
	scope  string // of the challenge; "" = it names none
	mu     sync.Mutex
	asked  []string
	good   int // the token that is good; 0 = the last
	grants bool
}

func (i *issuer) answer(w http.ResponseWriter, r *http.Request) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path == "/token" {
		i.asked = append(i.asked, strings.Join(r.URL.Query()["scope"], " "))
		fmt.Fprintf(w, `{"token":"t%d"}`, len(i.asked))
		return true
	}
	good := i.good
	if good == 0 {
		good = len(i.asked)
	}
	if i.grants && good > 0 && r.Header.Get("Authorization") == fmt.Sprintf("Bearer t%d", good) {
		return false
	}
	challenge := `Bearer realm="` + i.url + `/token",service="test"`
	if i.scope != "" && r.URL.Path != "/v2/" {
		challenge += `,scope="` + i.scope + `"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func (i *issuer) expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.good = len(i.asked) + 1
}

func serveTokens(t *testing.T, i *issuer) *host {
	h := serve(t)
	i.url = h.URL
	h.answer = i.answer
	return h
}

const pullScope = "repository:app:pull"

func TestExpiredTokenIsRenewedOnceForAll(t *testing.T) {
	i := &issuer{grants: true}
	src := serveTokens(t, i).open(t, "app:1", fetch.Options{})
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.expire()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := readLayer(t, src, descriptor(layer, oci.MediaTypeLayer)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if want := []string{pullScope, pullScope}; !slices.Equal(i.asked, want) {
		t.Errorf("tokens were asked for with %q, want %q", i.asked, want)
	}
}

func TestScopeOfTheChallengeIsAskedFor(t *testing.T) {
	i := &issuer{grants: true, scope: "repository:behind/app:pull", good: 2}
	if _, _, err := serveTokens(t, i).open(t, "app:1", fetch.Options{}).Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{pullScope, "repository:behind/app:pull " + pullScope}; !slices.Equal(i.asked, want) {
		t.Errorf("tokens were asked for with %q, want %q", i.asked, want)
	}
}

func TestUselessTokenIsNotAskedForAgain(t *testing.T) {
	for _, scope := range []string{"", pullScope} {
		i := &issuer{scope: scope}
		_, _, err := serveTokens(t, i).open(t, "app:1", fetch.Options{}).Root(t.Context())
		wantFault(t, err, fault.Auth, "wants credentials")
		if len(i.asked) != 1 {
			t.Errorf("with the scope %q %d tokens were asked for, want 1", scope, len(i.asked))
		}
	}
}

func TestTokenServerThatRefusesLater(t *testing.T) {
	i := &issuer{grants: true}
	h := serveTokens(t, i)
	src := h.open(t, "app:1", fetch.Options{})
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.expire()
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/token" {
			return i.answer(w, r)
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	_, err := src.Blob(t.Context(), descriptor(config, oci.MediaTypeConfig))
	var known *fault.Error
	if !errors.As(err, &known) || known.Class != fault.Auth {
		t.Errorf("Blob without a new token = %v, want an error of class auth", err)
	}
}
