package fetch

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// maxAuthFile bounds a file with credentials; with dozens of registries it has some KiB.
const maxAuthFile = 1 << 20

// credentials are what was found, and where.
type credentials struct {
	authn.AuthConfig
	from     string   // the file or helper; empty if nothing was found
	searched []string // the files that are there
}

// chain is where credentials are looked for.
type chain struct {
	authFile string
	env      func(string) string
	home     string
	limit    time.Duration
}

// authPath is a file that may hold credentials. A file that the user named must exist.
type authPath struct {
	path  string
	named string // the option or variable; empty for a default
}

// paths returns the files in order: those that the user names, then podman's, then docker's.
func (c chain) paths() []authPath {
	var list []authPath
	add := func(named, dir string, rest ...string) {
		if dir != "" {
			list = append(list, authPath{filepath.Join(append([]string{dir}, rest...)...), named})
		}
	}
	config := c.env("XDG_CONFIG_HOME")
	if config == "" && c.home != "" {
		config = filepath.Join(c.home, ".config")
	}
	add("--authfile", c.authFile)
	add("HPC3_AUTH_FILE", c.env("HPC3_AUTH_FILE"))
	add("REGISTRY_AUTH_FILE", c.env("REGISTRY_AUTH_FILE"))
	add("", c.env("XDG_RUNTIME_DIR"), "containers", "auth.json")
	add("", config, "containers", "auth.json")
	if docker := c.env("DOCKER_CONFIG"); docker != "" {
		add("", docker, "config.json")
	} else if c.home != "" {
		add("", c.home, ".docker", "config.json")
	}
	return list
}

// lookup returns the first credentials for this repository, or anonymous ones.
func (c chain) lookup(ctx context.Context, registry, repository string) (credentials, error) {
	var searched []string
	for _, p := range c.paths() {
		file, err := readAuthFile(p)
		if errors.Is(err, fs.ErrNotExist) && p.named == "" {
			continue
		}
		if err != nil {
			return credentials{}, authFileFault(p, err)
		}
		searched = append(searched, p.path)
		found, from, err := c.in(ctx, p, file, registry, repository)
		if err != nil || from != "" {
			return credentials{found, from, searched}, err
		}
	}
	return credentials{searched: searched}, nil
}

func authFileFault(p authPath, err error) error {
	err = fault.Reason(err)
	e := fault.New(fault.Auth, "reading credentials from %s: %w", p.path, err)
	if p.named != "" {
		return e.Hint("%s names this file: name another one, or none", p.named)
	}
	return e.Hint("mend or move the file: podman login and docker login write such files")
}

// authFile is the part of docker's config.json about credentials; podman's auth.json has the same
// form.
type authFile struct {
	Auths       map[string]authEntry `json:"auths"`
	CredHelpers map[string]string    `json:"credHelpers"`
	CredsStore  string               `json:"credsStore"`
}

type authEntry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func readAuthFile(p authPath) (authFile, error) {
	var file authFile
	raw, err := outside.Read(p.path, maxAuthFile)
	if err != nil || len(raw) == 0 { // an empty one is taken as docker takes it
		return file, err
	}
	return parseAuthFile(raw)
}

// parseAuthFile reads such a file. Its errors never quote the file.
func parseAuthFile(raw []byte) (authFile, error) {
	var file authFile
	err := json.Unmarshal(raw, &file)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return file, fmt.Errorf("at byte %d: %s should be of type %s", wrong.Offset, wrong.Field,
			wrong.Type)
	case err != nil:
		return file, errors.New("it is not JSON")
	}
	return file, nil
}

// in searches one file, the most specific key first: HOST/a/b, HOST/a, HOST. For each key a helper
// precedes a password in the file; the helper for everything comes last.
func (c chain) in(ctx context.Context, p authPath, file authFile, registry, repository string) (
	found authn.AuthConfig, from string, err error,
) {
	for _, key := range keys(registry, repository) {
		if name, ok := pick(file.CredHelpers, key); ok && name != "" {
			return c.help(ctx, name, p, serverName(key))
		}
		entry, ok := pick(file.Auths, key)
		if !ok || entry == (authEntry{}) { // docker leaves empty ones behind
			continue
		}
		found, err := entry.config()
		if err != nil {
			return found, "", fault.New(fault.Auth,
				"reading credentials from %s: the entry of %s: %w", p.path, key, err).
				Hint("log in again: podman login %s, or docker login %s", registry, registry)
		}
		return found, p.path, nil
	}
	if file.CredsStore != "" {
		return c.help(ctx, file.CredsStore, p, serverName(registry))
	}
	return authn.AuthConfig{}, "", nil
}

// keys returns the keys under which credentials for a repository may be stored, the most specific
// first.
func keys(registry, repository string) []string {
	list := []string{}
	path := registry + "/" + repository
	for ; path != registry; path = path[:strings.LastIndexByte(path, '/')] {
		list = append(list, path)
	}
	return append(list, registry)
}

// pick returns the entry for key. Docker also writes keys as URLs, and has its own key for Docker
// Hub.
func pick[V any](m map[string]V, key string) (V, bool) {
	if v, ok := m[key]; ok {
		return v, true
	}
	var names []string
	for name := range m {
		if normalKey(name) == key {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		var none V
		return none, false
	}
	return m[slices.Min(names)], true
}

// normalKey returns a key as podman writes it: HOST or HOST/PATH.
func normalKey(key string) string {
	rest, isHTTPS := strings.CutPrefix(key, "https://")
	rest, isHTTP := strings.CutPrefix(rest, "http://")
	host, path, _ := strings.Cut(rest, "/")
	host = strings.ToLower(host)
	hub := host == "index.docker.io" || host == "registry-1.docker.io" ||
		host == oci.DefaultRegistry
	if hub {
		host = oci.DefaultRegistry
	}
	path = strings.Trim(path, "/")
	if isHTTPS || isHTTP || hub && (path == "v1" || path == "v2") || path == "" {
		return host
	}
	return host + "/" + path
}

// serverName is docker's name of a registry for credential helpers.
func serverName(key string) string {
	if key == oci.DefaultRegistry {
		return authn.DefaultAuthKey
	}
	return key
}

func (e authEntry) config() (authn.AuthConfig, error) {
	c := authn.AuthConfig{
		Username: e.Username, Password: e.Password,
		IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken,
	}
	if e.Auth == "" {
		return c, nil
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(e.Auth))
	user, password, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok || user == "" {
		return c, errors.New("it is not USER:PASSWORD in base64")
	}
	c.Username, c.Password = user, strings.Trim(password, "\x00")
	return c, nil
}

// AuthHosts returns the registries, HOST[:PORT], that the files with credentials name. An
// unreadable file names none: it is reported when it is needed.
func AuthHosts(file string, env func(name string) string, home string) []string {
	var hosts []string
	for _, p := range (chain{authFile: file, env: env, home: home}).paths() {
		known, err := readAuthFile(p)
		if err != nil {
			continue
		}
		for _, names := range []iter.Seq[string]{
			maps.Keys(known.Auths),
			maps.Keys(known.CredHelpers),
		} {
			for name := range names {
				host, _, _ := strings.Cut(normalKey(name), "/")
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}
