package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Limits of a list of tags. A node reads it while a job waits, and keeps it in memory: the largest
// repositories of variants have some hundred tags, nightly builds some thousand. Registries send up
// to 1,000 at once, or fewer. All pages together are bounded by oci.MaxDocument, which leaves 400
// bytes for a tag of at most 128.
const (
	maxTags     = 10_000
	maxTagPages = 100
	tagsPerPage = 1000
)

// UnlistableError is in the chain if the tags of a repository cannot be listed and asking again
// would not help: the registry forbids it or does not support it, or its list is unusable.
type UnlistableError struct{ err error }

func (e *UnlistableError) Error() string { return e.err.Error() }
func (e *UnlistableError) Unwrap() error { return e.err }

// Tags returns the tags of a source's repository, each once, in the order of the registry. It asks
// page after page, within the limits above. A local source has none.
func Tags(ctx context.Context, src Source) ([]string, error) {
	if l, ok := src.(lister); ok {
		return l.tags(ctx)
	}
	return nil, nil
}

// lister is a source with other tags beside its own.
type lister interface {
	tags(ctx context.Context) ([]string, error)
	tagged(tag string) Source
}

func (r *registry) tags(ctx context.Context) ([]string, error) {
	reg, err := name.NewRegistry(r.ref.Registry, name.Insecure)
	if err != nil {
		return nil, ErrNotFound.New("%q is no registry", r.ref.Registry)
	}
	l := listing{r: r, host: reg.RegistryStr(), doing: fmt.Sprintf("listing the tags of %s/%s",
		r.ref.Registry, r.ref.Repository), known: map[string]bool{}}
	ctx, cancel := r.withDocumentLimit(ctx)
	defer cancel()
	if err := l.read(ctx); err != nil {
		return nil, err
	}
	return l.tags, nil
}

// Tagged returns the source of another tag of the same repository. It shares the connection and the
// login of src, and is closed with it. A local source is returned as it is.
func Tagged(src Source, tag string) Source {
	if l, ok := src.(lister); ok {
		return l.tagged(tag)
	}
	return src
}

func otherTag(ref oci.Reference, tag string) oci.Reference {
	ref.Tag, ref.Digest = tag, ""
	return ref
}

func (r *registry) tagged(tag string) Source { return tagged{r, otherTag(r.ref, tag)} }

// tagged is a registry that another source closes.
type tagged struct {
	*registry
	ref oci.Reference
}

func (t tagged) Root(ctx context.Context) (raw []byte, mediaType string, err error) {
	return t.root(ctx, t.ref)
}

func (tagged) Close() error { return nil }

// listing is a list being read.
type listing struct {
	r     *registry
	host  string // by which the registry is asked
	doing string
	tags  []string
	known map[string]bool // tags
	bytes int
	asked []string // queries
}

func (l *listing) read(ctx context.Context) error {
	query := fmt.Sprintf("n=%d", tagsPerPage)
	for query != "" {
		if len(l.asked) == maxTagPages {
			return l.unusable("it has more than %d pages", maxTagPages)
		}
		if slices.Contains(l.asked, query) {
			return l.unusable("page %d names an earlier one as the next", len(l.asked))
		}
		l.asked = append(l.asked, query)
		raw, header, err := l.r.document(ctx, "tags/list?"+query)
		if err != nil {
			return l.explain(ctx, err)
		}
		if query, err = l.page(raw, header); err != nil {
			return err
		}
	}
	return nil
}

// page takes the tags of a page, and returns the query of the next one; empty at the end.
func (l *listing) page(raw []byte, header http.Header) (next string, err error) {
	if l.bytes += len(raw); l.bytes > oci.MaxDocument {
		return "", l.unusable("it has more than %d bytes", oci.MaxDocument)
	}
	tags, err := oci.ParseTags(raw)
	if err != nil {
		return "", l.unusable("%s", err)
	}
	before := len(l.tags)
	for _, t := range tags {
		if !l.known[t] {
			l.known[t] = true
			l.tags = append(l.tags, t)
		}
	}
	if len(l.tags) > maxTags {
		return "", l.unusable("it has more than %d tags", maxTags)
	}
	link, err := nextLink(header.Values("Link"))
	switch {
	case err != nil:
		return "", l.unusable("page %d: %s", len(l.asked), err)
	case link != "":
		return l.follow(link)
	case len(tags) >= tagsPerPage && len(l.tags) > before:
		// The specification recommends a link beside an incomplete page, and does not require it.
		return fmt.Sprintf("n=%d&last=%s", tagsPerPage, url.QueryEscape(tags[len(tags)-1])), nil
	}
	return "", nil
}

// follow returns the query of a link. The rest of it must equal the original request: credentials
// go to no other place, and no other host says which tags a repository has.
func (l *listing) follow(link string) (query string, err error) {
	base := &url.URL{Scheme: "https", Host: l.host, Path: "/v2/" + l.r.ref.Repository +
		"/tags/list"}
	target, err := url.Parse(link)
	if err != nil {
		return "", l.unusable("page %d names %.80q as the next, which is no URL", len(l.asked),
			link)
	}
	target = base.ResolveReference(target)
	// a registry behind a proxy may believe that it has no TLS
	web := target.Scheme == "https" || target.Scheme == "http"
	if !web || !strings.EqualFold(target.Host, base.Host) || target.Path != base.Path ||
		target.User != nil || target.RawQuery == "" {
		return "", l.unusable("page %d names a place elsewhere as the next, %.80q", len(l.asked),
			target.Host+target.Path)
	}
	return target.RawQuery, nil
}

// unusable is an error about what the registry answered.
func (l *listing) unusable(format string, args ...any) error {
	return &UnlistableError{oci.ErrUnusable.New("%s: %s", l.doing,
		short(fmt.Sprintf(format, args...))).
		Hint("an image whose variants are entries of an index needs no list of tags")}
}

// explain describes a failed request. Some answers mean that there is no list for this caller.
func (l *listing) explain(ctx context.Context, err error) error {
	explained := l.r.explain(ctx, l.doing, err)
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return explained
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed:
		return &UnlistableError{explained}
	}
	return explained
}

// nextLink returns the target of the link with the relation "next" in the Link fields of a header,
// RFC 8288 (formerly 5988), section 3; empty if there is none. A malformed field is an error: a
// list with a further page must not pass for complete.
func nextLink(fields []string) (string, error) {
	for _, rest := range fields {
		for rest = strings.TrimLeft(rest, " \t,"); rest != ""; rest = strings.TrimLeft(rest,
			" \t,") {
			target, after, ok := strings.Cut(rest, ">")
			if !ok || len(target) < 2 || target[0] != '<' {
				return "", fmt.Errorf("%.80q is no Link header", rest)
			}
			rels, after, err := linkRelations(after)
			if err != nil {
				return "", err
			}
			if slices.Contains(rels, "next") {
				return target[1:], nil
			}
			rest = after
		}
	}
	return "", nil
}

// linkRelations reads the parameters of a link up to the next comma, and returns the words of the
// first "rel".
func linkRelations(s string) (rels []string, rest string, err error) {
	whole, found := s, false
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return rels, s, nil
		}
		if s[0] != ';' {
			return nil, "", fmt.Errorf("%.80q are no parameters of a Link header", whole)
		}
		s = strings.TrimLeft(s[1:], " \t")
		end := strings.IndexAny(s, " \t;,=")
		if end < 0 {
			end = len(s)
		}
		param, value := s[:end], ""
		s = strings.TrimLeft(s[end:], " \t")
		if strings.HasPrefix(s, "=") {
			if value, s, err = linkValue(strings.TrimLeft(s[1:], " \t")); err != nil {
				return nil, "", err
			}
		}
		// RFC 8288, section 3.3: later ones are ignored
		if strings.EqualFold(param, "rel") && !found {
			rels, found = strings.Fields(strings.ToLower(value)), true
		}
	}
}

// linkValue reads a token or a quoted string, RFC 9110, section 5.6.
func linkValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t;,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", fmt.Errorf("%.80q is a quoted string without an end", s)
}
