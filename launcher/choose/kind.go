package choose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// sifConfig is the media type by which Apptainer and SingularityCE mark a SIF that they push.
const sifConfig = "application/vnd.sylabs.sif.config.v1+json"

// sayNothing are media types of a config that do not tell an image from an artifact: Docker 1.10
// pushed images with the second.
var sayNothing = []string{ //nolint:gochecknoglobals // a constant list
	"", "application/octet-stream", "application/json",
}

// artifact says what a manifest is by its media types, if that is not an image; else empty.
func artifact(m oci.Manifest) string {
	kind := m.Artifact()
	if kind == "" || m.ArtifactType == "" && slices.Contains(sayNothing, m.Config.MediaType) {
		return ""
	}
	return kind
}

// asImage reads the config of an image. For anything else the error is ErrNotImage; name is the
// reference.
func asImage(name string, m oci.Manifest, raw []byte) (oci.Config, error) {
	config, err := oci.ParseConfig(raw)
	known := oci.IsConfig(m.Config.MediaType)
	switch {
	case err != nil && !known:
		return config, noImage(name, m.Artifact())
	case err != nil:
		return config, fmt.Errorf("%s: %w", name, err)
	case config.OS != "" && config.Architecture != "":
		return config, nil
	case !known:
		return config, noImage(name, m.Artifact())
	}
	noLayer := func(d oci.Descriptor) bool { return !isLayer(d.MediaType) }
	if odd := slices.IndexFunc(m.Layers, noLayer); odd >= 0 {
		// A signature has the config of an image, an empty one.
		return config, noImage(name, m.Layers[odd].MediaType)
	}
	lacks := "neither an operating system nor an architecture"
	switch {
	case config.OS != "":
		lacks = "no architecture"
	case config.Architecture != "":
		lacks = "no operating system"
	}
	why := notImageError{"its config names " + lacks + ", so that nobody can tell where it runs"}
	return config, ErrNotImage.New("reading %s: %w", name, why).
		Hint("build the image again with a platform: docker build --platform, " +
			"buildah config --os linux --arch amd64, umoci config --os linux --architecture amd64")
}

// noImage says what something is that is no image.
func noImage(name, kind string) error {
	if kind == sifConfig {
		why := notImageError{"it is a SIF that was pushed as an artifact, not a container image"}
		return ErrNotImage.New("reading %s: %w", name, why).
			Hint("fetch the file and run that: " +
				"apptainer pull FILE.sif oras://…, then hpc3-run FILE.sif")
	}
	why := notImageError{"it is an artifact of type " + printable(kind) + ", not a container image"}
	return ErrNotImage.New("reading %s: %w", name, why).
		Hint("see whether name and tag are right; oras and regctl fetch artifacts")
}

func printable(kind string) string {
	if len(kind) > 120 {
		kind = kind[:120]
	}
	return fault.OneLine(strings.ToValidUTF8(kind, "?"))
}

// isLayer tells whether a media type is one that layers of images have, compressed in whichever
// way; none is stated by some tools.
func isLayer(mediaType string) bool {
	return mediaType == "" || strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.")
}
