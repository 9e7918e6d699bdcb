package fetch

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// challenge is what a registry requires of its clients, RFC 9110, section 11. Without a scheme it
// requires nothing.
type challenge struct {
	scheme string            // "basic", "bearer"; lower case
	params map[string]string // by their names in lower case
}

// ping asks a registry what it requires, by the only scheme allowed for it.
func ping(ctx context.Context, reg name.Registry, scheme string, tr http.RoundTripper) (
	challenge, error,
) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		scheme+"://"+reg.RegistryStr()+"/v2/", nil)
	if err != nil {
		return challenge{}, err
	}
	client := &http.Client{Transport: tr, CheckRedirect: checkRedirect}
	resp, err := client.Do(req)
	if err != nil {
		return challenge{}, err
	}
	defer resp.Body.Close()
	if err := checkStatus(resp, http.StatusOK, http.StatusUnauthorized); err != nil {
		return challenge{}, err
	}
	_ = drain(resp.Body) // so that the connection can be used again
	if resp.StatusCode == http.StatusOK {
		return challenge{}, nil
	}
	return best(challenges(resp.Header)), nil
}

// best returns the first challenge that hpc3 can answer, else the first.
func best(all []challenge) challenge {
	known := slices.IndexFunc(all,
		func(c challenge) bool { return c.scheme == "basic" || c.scheme == "bearer" })
	switch {
	case known >= 0:
		return all[known]
	case len(all) > 0:
		return all[0]
	}
	return challenge{}
}

// challenges reads the WWW-Authenticate fields of a header, each of which may hold several. What
// cannot be read is left out.
func challenges(h http.Header) []challenge {
	var all []challenge
	for _, s := range h.Values("WWW-Authenticate") {
		first := len(all)
		for s = strings.TrimLeft(s, " \t,"); s != ""; s = strings.TrimLeft(s, " \t,") {
			end := strings.IndexAny(s, " \t,=")
			if end < 0 {
				end = len(s)
			}
			word, rest := strings.ToLower(s[:end]), strings.TrimLeft(s[end:], " \t")
			if value, ok := strings.CutPrefix(rest, "="); ok {
				text, behind, err := linkValue(strings.TrimLeft(value, " \t"))
				if err != nil {
					break
				}
				if len(all) > first && word != "" {
					all[len(all)-1].params[word] = text
				}
				s = behind
				continue
			}
			all = append(all, challenge{scheme: word, params: map[string]string{}})
			s = rest
		}
	}
	return all
}
