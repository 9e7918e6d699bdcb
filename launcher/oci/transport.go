package oci

import (
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// foreign lists transports of other programs. An image with such a name is docker://WORD.
var foreign = []struct { //nolint:gochecknoglobals // a constant table
	prefixes  []string
	why, hint string // %s stands for what follows the transport
}{
	{
		[]string{"docker-daemon", "dockerd", "docker-image"},
		"hpc3 does not use the docker daemon",
		"docker save %s -o FILE.tar, then docker-archive:FILE.tar",
	},
	{
		[]string{"containers-storage", "podman"},
		"hpc3 does not read podman's images",
		"podman save %s -o FILE.tar, then docker-archive:FILE.tar",
	},
	{
		[]string{"library", "shub", "oras"},
		"hpc3 fetches no SIFs",
		"apptainer pull FILE.sif %p%s, then FILE.sif",
	},
	{
		[]string{"http", "https", "ftp"},
		"hpc3 downloads no files",
		"download it and name the file: FILE.sif, docker-archive:FILE.tar, oci-archive:FILE.tar",
	},
	{
		[]string{"instance"},
		"there are no instances",
		"hpc3 exec JOB enters the container of a running job",
	},
	{
		[]string{"dir", "ostree", "nix", "tarball"},
		"hpc3 does not read that",
		"skopeo copy %p%s oci:DIR makes an OCI layout of it, which is oci:DIR",
	},
	{
		[]string{"sandbox", "localimage", "squashfs", "sqsh", "img", "simg"},
		"hpc3 does not read that",
		"apptainer build FILE.sif %s makes a SIF of it, which is FILE.sif",
	},
	{
		[]string{"file", "path", "local"},
		"a path needs a transport in front",
		"write oci:%s, oci-archive:%s, docker-archive:%s or sif:%s",
	},
}

// refuseForeign refuses a transport that hpc3 does not know; nil if there is none.
func refuseForeign(s, prefix, rest string) error {
	path, scheme := strings.CutPrefix(rest, "//")
	scheme = scheme && hasScheme(s)
	if !scheme {
		path = rest
	}
	switch {
	case prefix == s:
		return nil
	case scheme && slices.Contains([]Transport{Layout, LayoutArchive, DockerArchive, SIF},
		Transport(prefix)):
		return unknown(s, prefix+"://").
			Hint("write %s:%s for a local image, without slashes: oci:DIR, oci-archive:FILE, "+
				"docker-archive:FILE, sif:FILE", prefix, path).
			Hint("write docker://%s for an image of a registry", path)
	case scheme && (prefix == "http" || prefix == "https"):
		if name := pageOf(path); name != "" {
			return unknown(s, prefix).Hint("the image of this page is docker://%s", name)
		}
	}
	if prefix == "docker" && !scheme && strings.ContainsAny(rest, ":/") { // as Shifter writes it
		return unknown(s, prefix).Hint("write docker://%s", path)
	}
	for _, f := range foreign {
		if slices.Contains(f.prefixes, prefix) && path != "" {
			text := strings.NewReplacer("%p", s[:len(s)-len(path)], "%s", path).Replace(f.hint)
			return fault.New(fault.Reference, "image reference %q: unknown transport %q: %s", s,
				prefix, f.why).Hint("%s", text)
		}
	}
	if !scheme && (!startsPath(rest) || strings.Trim(prefix, lower+"-+") != "") ||
		slices.Contains([]Transport{Layout, LayoutArchive, DockerArchive, SIF},
			Transport(prefix)) || startsPath(prefix) {
		return nil
	}
	return unknown(s, prefix).
		Hint("write docker://%s for an image of a registry", strings.TrimLeft(path, "./")).
		Hint("known are docker://, oci:, oci-archive:, docker-archive: and sif:")
}

func unknown(s, prefix string) *fault.Error {
	return fault.New(fault.Reference, "image reference %q: unknown transport %q", s, prefix)
}

func startsPath(s string) bool {
	return strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") ||
		strings.HasPrefix(s, "~")
}

// pageOf returns the image that a registry's web page shows; "" for another page.
func pageOf(url string) string {
	url = strings.TrimSuffix(url, "/")
	for prefix, registry := range map[string]string{
		"hub.docker.com/r/": "", "hub.docker.com/_/": "", "docker.io/": "docker.io/",
		"quay.io/repository/": "quay.io/", "ghcr.io/": "ghcr.io/",
	} {
		if name, ok := strings.CutPrefix(url, prefix); ok &&
			repositoryPattern().MatchString(strings.SplitN(name, ":", 2)[0]) {
			return registry + name
		}
	}
	return ""
}
