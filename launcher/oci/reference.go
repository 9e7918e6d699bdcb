package oci

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// Transport is where an image comes from.
type Transport string

// The transports, as their prefix in a reference; a registry reference has none, or "docker://".
const (
	Registry      Transport = "registry"
	Layout        Transport = "oci"            // a directory with an OCI image layout
	LayoutArchive Transport = "oci-archive"    // the same as a tar file
	DockerArchive Transport = "docker-archive" // what docker save writes
	SIF           Transport = "sif"
)

// Limits of a reference. A path is bounded by the kernel's PATH_MAX, a repository and a tag by the
// distribution specification.
const (
	maxReference  = 4096 + 512
	maxPath       = 4095
	maxRepository = 255
	maxHost       = 255 + len(":65535")
)

// DefaultRegistry is the registry of a reference that names none.
const DefaultRegistry = "docker.io"

// Reference names an image. The zero value names none.
type Reference struct {
	Transport  Transport
	Registry   string // "docker.io", "localhost:5000"; registry references only
	Repository string // "library/debian"
	// registry: "latest" if neither tag nor digest was given; local: an image of the layout or
	// archive, or empty
	Tag    string
	Digest string // empty if the reference pins none
	Path   string // local transports: the directory or file, as written
	Name   string // the whole reference, as the user wrote it
}

// The grammar of the distribution specification, as docker reads it. Patterns are compiled on first
// use: most starts need none.
//
//nolint:gochecknoglobals // constant once compiled
var (
	hostPattern = pattern(
		`^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|` +
			`\[[a-f0-9:]+\])(?::([0-9]{1,5}))?$`)
	repositoryPattern = pattern(
		`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
)

func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

const (
	digits  = "0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz"
	letters = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// isTag reports whether s is a tag: up to 128 letters, digits and signs, not beginning with a dot
// or a hyphen.
func isTag(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, letters+digits+"_.-") == "" &&
		!strings.ContainsAny(s[:1], ".-")
}

// hasScheme reports whether s begins with a scheme, as in "http://".
func hasScheme(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && scheme != "" && strings.Contains(letters, scheme[:1]) &&
		strings.Trim(scheme, letters+digits+"+.-") == ""
}

// ParseReference parses a reference in docker's form ("debian", "host:5000/name:tag@sha256:…",
// "docker://…"), in pyxis's ("REGISTRY#NAME"), or one to a local image: "oci:DIR[:TAG]",
// "oci-archive:FILE[:TAG]", "docker-archive:FILE[:TAG]", "sif:FILE" and any path that ends in
// ".sif". A local layout or archive may also be pinned with "@sha256:…". As in other tools, DIR
// ends at the first colon. Errors are of class fault.Reference.
func ParseReference(s string) (Reference, error) {
	if err := checkText(s); err != nil {
		return Reference{}, err
	}
	ref, err := parseTransport(s)
	if err != nil {
		return Reference{}, err
	}
	ref.Name = s
	return ref, nil
}

// checkText refuses what no reference may contain, so that later errors may quote the reference.
func checkText(s string) error {
	switch {
	case s == "":
		return fault.New(fault.Reference, "the image reference is empty").
			Hint("name an image, such as debian:12 or oci:DIR")
	case len(s) > maxReference:
		return fault.New(fault.Reference, "the image reference has %d bytes, the limit is %d",
			len(s), maxReference)
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return fault.New(fault.Reference, "image reference %q: holds a control character", s)
		}
	}
	return nil
}

func parseTransport(s string) (Reference, error) {
	if rest, ok := strings.CutPrefix(s, "docker://"); ok {
		return parseRegistry(s, rest)
	}
	prefix, rest, _ := strings.Cut(s, ":")
	if err := refuseForeign(s, prefix, rest); err != nil {
		return Reference{}, err
	}
	switch t := Transport(prefix); t {
	case Layout, LayoutArchive, DockerArchive:
		return parseLocal(s, t, rest)
	case SIF:
		return sifFile(s, rest)
	}
	if strings.HasSuffix(s, ".sif") {
		return sifFile(s, s)
	}
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") ||
		strings.HasPrefix(s, "~") || s == "." || s == ".." {
		return Reference{}, fault.New(fault.Reference,
			"image reference %q: is a path, and lacks a transport", s).
			Hint("write oci:%s for an OCI layout, oci-archive:%s or docker-archive:%s for a tar "+
				"file, sif:%s for a SIF file", s, s, s, s)
	}
	return parseRegistry(s, s)
}

func sifFile(s, path string) (Reference, error) {
	ref := Reference{Transport: SIF, Path: path}
	return ref, checkPath(s, path)
}

func checkPath(s, path string) error {
	switch {
	case path == "":
		return fault.New(fault.Reference, "image reference %q: names no file or directory", s).
			Hint("write the path after the colon")
	case len(path) > maxPath:
		return fault.New(fault.Reference, "image reference: a path of %d bytes, the limit is %d",
			len(path), maxPath)
	}
	return nil
}

// parseLocal parses what follows the colon of a local transport other than SIF:
// PATH[:TAG][@DIGEST].
func parseLocal(s string, t Transport, rest string) (Reference, error) {
	ref := Reference{Transport: t}
	if at := strings.LastIndex(rest, "@sha"); at >= 0 {
		ref.Digest, rest = rest[at+1:], rest[:at]
		if !ValidDigest(ref.Digest) {
			return Reference{}, badDigest(s, ref.Digest)
		}
	}
	path, tag, tagged := strings.Cut(rest, ":")
	ref.Path, ref.Tag = path, tag
	if tagged && tag == "" {
		return Reference{}, fault.New(fault.Reference, "image reference %q: the tag is empty", s).
			Hint("leave out the last colon")
	}
	return ref, checkPath(s, path)
}

func badDigest(s, digest string) error {
	return fault.New(fault.Reference, "image reference %q: %q is no digest", s, digest).
		Hint("a digest is sha256: and 64 lower-case hexadecimal digits")
}

// parseRegistry parses rest, the reference s without its transport.
func parseRegistry(s, rest string) (Reference, error) {
	ref := Reference{Transport: Registry}
	host, name, pyxis := strings.Cut(rest, "#")
	if !pyxis {
		host, name = "", rest
	} else if strings.Contains(host, "@") {
		return Reference{}, fault.New(fault.Reference, "image reference %q: names a user", s).
			Hint("leave out USER@: credentials come from the file of --authfile")
	}
	name, digest, pinned := strings.Cut(name, "@")
	if pinned && !ValidDigest(digest) {
		return Reference{}, badDigest(s, digest)
	}
	ref.Digest = digest
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		ref.Tag, name = name[colon+1:], name[:colon]
		if !isTag(ref.Tag) {
			return Reference{}, fault.New(fault.Reference, "image reference %q: %q is no tag", s,
				ref.Tag).
				Hint("a tag has up to 128 letters, digits, dots, hyphens and underscores and " +
					"begins with neither a dot nor a hyphen")
		}
	}
	if ref.Tag == "" && ref.Digest == "" {
		ref.Tag = "latest"
	}
	if first, remainder, ok := strings.Cut(name, "/"); !pyxis && ok && isHost(first) {
		host, name = first, remainder
	}
	var err error
	ref.Registry, err = registryHost(s, host, pyxis)
	if err != nil {
		return Reference{}, err
	}
	ref.Repository, err = repository(s, ref.Registry, name)
	return ref, err
}

// isHost reports whether the first part of a reference is a registry, by docker's rule.
func isHost(first string) bool {
	return strings.ContainsAny(first, ".:") || strings.EqualFold(first, "localhost")
}

func registryHost(s, host string, given bool) (string, error) {
	if host == "" && !given {
		return DefaultRegistry, nil
	}
	host = strings.ToLower(host)
	match := hostPattern().FindStringSubmatch(host)
	if match == nil || len(host) > maxHost {
		return "", fault.New(fault.Reference, "image reference %q: %q is no registry", s, host).
			Hint("a registry is a host name, with a port where needed: registry.example.org:5000")
	}
	if port, err := strconv.Atoi(match[1]); match[1] != "" && (err != nil || port == 0 ||
		port > 65535) {
		return "", fault.New(fault.Reference, "image reference %q: there is no port %s", s,
			match[1])
	}
	if host == "index.docker.io" {
		return DefaultRegistry, nil
	}
	return host, nil
}

func repository(s, registry, name string) (string, error) {
	if repositoryPattern().MatchString(name) && registry == DefaultRegistry &&
		!strings.Contains(name, "/") {
		name = "library/" + name
	}
	switch {
	case len(name) > maxRepository:
		return "", fault.New(fault.Reference,
			"image reference: a repository of %d bytes, the limit is %d", len(name), maxRepository)
	case repositoryPattern().MatchString(name):
		return name, nil
	}
	err := fault.New(fault.Reference, "image reference %q: %q is no repository name", s, name)
	if folded := strings.ToLower(name); folded != name && repositoryPattern().MatchString(folded) {
		return "", err.Hint("repository names are lower case: %s", folded)
	}
	return "", err.Hint(
		"a repository name has lower-case letters and digits, separated by single dots, hyphens, " +
			"underscores and slashes")
}

// String returns the reference in full, with registry, tag and transport even if the user left them
// out. ParseReference reads it back to the same reference except for Name.
func (r Reference) String() string {
	if r.Transport == "" {
		return ""
	}
	if r.Transport != Registry {
		return fmt.Sprintf("%s:%s%s", r.Transport, r.Path, r.suffix())
	}
	separator := "/"
	if !isHost(r.Registry) {
		separator = "#"
	}
	s := r.Registry + separator + r.Repository + r.suffix()
	if again, err := parseTransport(s); err != nil || again.Transport != Registry {
		return "docker://" + s // a registry called "oci", a tag that ends in ".sif"
	}
	return s
}

// suffix returns ":tag@digest", or the parts that are set.
func (r Reference) suffix() string {
	s := ""
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}
