package site

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// Mirror names the mirrors that are asked for images of a registry before the registry itself.
type Mirror struct {
	Registry string     `toml:"registry"` // "docker.io"; "*" = all that no other table names
	Mirrors  []Endpoint `toml:"mirrors"`  // asked in this order
	Fallback *bool      `toml:"fallback"` // the registry is asked in the end; nil = yes
}

// Endpoint is a mirror: [http://|https://]HOST[:PORT][/PATH].
type Endpoint struct {
	Scheme string // "http", "https"; "" = as for a registry of this name
	Host   string // with its port
	Path   string // in front of each repository
}

// UnmarshalText reads one endpoint.
func (e *Endpoint) UnmarshalText(b []byte) error {
	scheme, rest, has := strings.Cut(string(b), "://")
	if !has {
		scheme, rest = "", string(b)
	}
	if has && scheme != "http" && scheme != "https" {
		return fmt.Errorf("the mirror %q begins with neither http:// nor https://", b)
	}
	host, path, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if host = strings.ToLower(host); !isHost(host) {
		return fmt.Errorf("the mirror %q does not name a HOST[:PORT]", b)
	}
	const part = `[a-z0-9]+([._-]+[a-z0-9]+)*`
	if path != "" && !regexp.MustCompile(`^`+part+`(/`+part+`)*$`).MatchString(path) {
		return fmt.Errorf("the path of the mirror %q is not that of a repository", b)
	}
	*e = Endpoint{scheme, host, path}
	return nil
}

// isHost tells whether s is a host name or address, with or without a port, and nothing else.
func isHost(s string) bool {
	u, err := url.Parse("https://" + s)
	return err == nil && u.Host == s && u.Hostname() != "" && !strings.ContainsAny(s, `"' %`)
}

// MirrorsOf returns the mirrors of a registry, in order, and whether it may be asked itself.
func (s Site) MirrorsOf(registry string) (mirrors []Endpoint, fallback bool) {
	fallback = true
	for _, m := range s.Mirrors {
		if m.Registry == registry || m.Registry == "*" && mirrors == nil {
			mirrors, fallback = m.Mirrors, m.Fallback == nil || *m.Fallback
		}
		if m.Registry == registry {
			break
		}
	}
	return mirrors, fallback
}

func (s Site) checkTokenServers() error {
	for _, host := range s.TokenServers {
		if !isHost(host) || host != strings.ToLower(host) {
			return fault.New(fault.Config,
				"%s: token_servers: %q is not a HOST[:PORT] in lower case", s.File, host).
				Hint(`an example: token_servers = ["10.1.0.8:5001", "auth.cluster"]; ` +
					`one without TLS stands in plain_http as well`)
		}
	}
	return nil
}

func (s Site) checkMirrors() error {
	known := map[string]bool{}
	for _, m := range s.Mirrors {
		wrong := func(format string, args ...any) error {
			return fault.New(fault.Config, "%s: mirror: %s", s.File, fmt.Sprintf(format, args...)).
				Hint(`an example: registry = "docker.io", ` +
					`mirrors = ["http://cache.cluster:5000", "mirror.example.org/proxy/docker"]`)
		}
		named := isHost(m.Registry) && m.Registry == strings.ToLower(m.Registry)
		switch {
		case m.Registry == "index.docker.io" || m.Registry == "registry-1.docker.io":
			return wrong(`the registry %q is called "docker.io" here`, m.Registry)
		case m.Registry != "*" && !named:
			return wrong(`%q is no registry: a HOST[:PORT], or "*" for all`, m.Registry)
		case len(m.Mirrors) == 0:
			return wrong("none is named for %s", m.Registry)
		case known[m.Registry]:
			return wrong("there are two tables for %s", m.Registry)
		}
		known[m.Registry] = true
	}
	return nil
}
