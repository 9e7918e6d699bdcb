package oci

import (
	"mime"
	"slices"
)

// Media types that hpc3 understands: the image specification's, and Docker's older ones for the
// same things.
const (
	MediaTypeIndex          = "application/vnd.oci.image.index.v1+json"
	MediaTypeManifest       = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeConfig         = "application/vnd.oci.image.config.v1+json"
	MediaTypeLayer          = "application/vnd.oci.image.layer.v1.tar"
	MediaTypeLayerGzip      = "application/vnd.oci.image.layer.v1.tar+gzip"
	MediaTypeLayerZstd      = "application/vnd.oci.image.layer.v1.tar+zstd"
	MediaTypeEmpty          = "application/vnd.oci.empty.v1+json"
	MediaTypeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	MediaTypeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// IsIndex reports whether a media type is that of an index.
func IsIndex(mediaType string) bool {
	return mediaType == MediaTypeIndex || mediaType == MediaTypeDockerIndex
}

// IsManifest reports whether a media type is that of a manifest.
func IsManifest(mediaType string) bool {
	return mediaType == MediaTypeManifest || mediaType == MediaTypeDockerManifest
}

// IsConfig reports whether a media type is that of an image config.
func IsConfig(mediaType string) bool {
	return mediaType == MediaTypeConfig || mediaType == MediaTypeDockerConfig
}

// MediaTypes returns what to accept from a registry, the best first.
func MediaTypes() []string {
	return []string{
		MediaTypeIndex, MediaTypeManifest, MediaTypeDockerIndex,
		MediaTypeDockerManifest,
	}
}

// Sniff returns the media type of raw, an index or a manifest. The document's own statement
// decides; a contentType that names the other kind is refused, because two clients might then see
// two images under one digest. A document without a media type is identified by its members.
func Sniff(raw []byte, contentType string) (string, error) {
	d := &decoder{what: "image"}
	m := d.document(raw)
	own := d.text("mediaType", m["mediaType"])
	if d.err != nil {
		return "", d.err
	}
	if own == "" {
		own = memberType(m)
	}
	if !IsIndex(own) && !IsManifest(own) {
		return "", unusableType(own, d.number("schemaVersion", m["schemaVersion"]))
	}
	announced, _, _ := mime.ParseMediaType(contentType)
	if slices.Contains(MediaTypes(), announced) && IsIndex(announced) != IsIndex(own) {
		return "", ErrUnusable.New("reading image: it is announced as %s, and says of itself %s",
			announced, own)
	}
	return own, nil
}

func memberType(m members) string {
	index := m.has("manifests")
	image := m.has("layers") || m.has("config")
	switch {
	case index && !image:
		return MediaTypeIndex
	case image && !index:
		return MediaTypeManifest
	}
	return ""
}

func unusableType(mediaType string, version int64) error {
	if version == 1 {
		return ErrUnusable.New(
			"reading image: it has Docker's schema 1, which no registry should serve since 2019").
			Hint("push the image again with a present-day tool")
	}
	if mediaType == "" {
		return ErrUnusable.New("reading image: it is neither an index nor a manifest")
	}
	return ErrUnusable.New("reading image: %.120q is neither an index nor a manifest", mediaType)
}
