package image

import (
	"context"
	"os"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/caches"
	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// Cached returns the document of a name that a cache has; nil with --pull always.
func (s *Source) Cached(name choose.Name) ([]byte, error) {
	key, err := s.key(name)
	if err != nil || s.Option.Pull == option.Always {
		return nil, err
	}
	if !name.Tags && name.Reference.Digest != "" {
		return s.Caches.Blob(name.Reference.Digest)
	}
	return s.Caches.Pinned(key)
}

// key returns what the caches know a name by. Of a local file that was looked for it stays what it
// was then.
func (s *Source) key(name choose.Name) (string, error) {
	if name.Tags {
		return caches.TagsKey(name.Reference), nil
	}
	if key, ok := s.keys[name.Reference.String()]; ok {
		return key, nil
	}
	key, err := caches.Key(name.Reference)
	if err == nil {
		s.keys[name.Reference.String()] = key
	}
	return key, err
}

// Remember keeps a document in the user's cache, and what its name stands for.
func (s *Source) Remember(name choose.Name, raw []byte, mediaType string) error {
	key, err := s.key(name)
	if err != nil {
		return err
	}
	return s.Caches.Remember(key, raw, mediaType)
}

// Root asks the registry or archive for the index or manifest of the reference, or of one that
// differs by its tag.
func (s *Source) Root(
	ctx context.Context, ref oci.Reference,
) (raw []byte, mediaType string, err error) {
	if s.Option.Pull == option.Never {
		return nil, "", s.never(ref)
	}
	src, err := s.open(ctx)
	if err != nil {
		return nil, "", err
	}
	if ref.Tag != s.ref.Tag {
		src = fetch.Tagged(src, ref.Tag)
	}
	return src.Root(ctx)
}

// forbidden is why something is not asked for.
const forbidden = "--pull never forbids to"

func (s *Source) never(ref oci.Reference) error {
	return choose.ErrNotCached.New("the image %s is not in the cache, and "+forbidden+" fetch it",
		ref).
		Hint("run it once with --pull missing, or: hpc3 pull %s", ref.Name)
}

// Tags asks the registry for all tags of the repository.
func (s *Source) Tags(ctx context.Context) ([]string, error) {
	if s.Option.Pull == option.Never {
		return nil, choose.ErrNotCached.New("the tags beside %s are not in the cache, and "+
			forbidden+" ask for them", s.ref).
			Hint("run it once with --pull missing, or: hpc3 pull %s", s.ref.Name)
	}
	src, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	return fetch.Tags(ctx, src)
}

// Blob returns a manifest, an index or a config from a cache, else from the registry or archive,
// and keeps it in the user's cache.
func (s *Source) Blob(ctx context.Context, d oci.Descriptor) ([]byte, error) {
	if !s.Asks {
		raw, err := s.Caches.Blob(d.Digest)
		if err != nil || raw != nil {
			return raw, err
		}
	}
	if s.Option.Pull == option.Never {
		return nil, choose.ErrNotCached.New("%s of %s is not in the cache, and "+forbidden+
			" fetch it", d.Digest, s.ref).
			Hint("run it once with --pull missing")
	}
	src, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := src.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	return raw, s.Caches.Keep(d.Digest, raw)
}

// open opens the registry or archive, once.
func (s *Source) open(ctx context.Context) (fetch.Source, error) {
	if s.src != nil {
		return s.src, nil
	}
	mirrors, fallback := s.mirrors()
	src, err := fetch.Open(ctx, s.ref, fetch.Options{
		AuthFile: s.Option.AuthFile, Env: s.Host.Getenv, HomeDir: s.Host.Getenv("HOME"),
		PlainHTTP: s.plainHTTP, TokenServers: s.Site.TokenServers, UserAgent: "hpc3/" + s.Version,
		Mirrors: mirrors, NoFallback: !fallback, Detail: s.Detail, Scratch: s.scratch,
		Note: func(text string) { s.Notef("%s", text) },
	})
	if err != nil {
		return nil, err
	}
	s.src = src
	s.Caches.Uses(src)
	return src, nil
}

// mirrors returns where the site says that images of the registry are, in the words of fetch.
func (s *Source) mirrors() (list []fetch.Mirror, fallback bool) {
	endpoints, fallback := s.Site.MirrorsOf(s.ref.Registry)
	for _, e := range endpoints {
		list = append(list, fetch.Mirror{Scheme: e.Scheme, Host: e.Host, Path: e.Path})
	}
	return list, fallback
}

func (s *Source) plainHTTP(registry string) bool {
	return slices.Contains(s.Site.PlainHTTP, registry)
}

// scratch is for an archive that is compressed as a whole. It can be as large as an image, for
// which the cache has room.
func (s *Source) scratch() (*os.File, error) {
	own, err := s.Caches.Own()
	if err != nil {
		return nil, err
	}
	s.Sayf("unpacking %s, which is compressed as a whole", s.ref.Path)
	return own.Scratch()
}
