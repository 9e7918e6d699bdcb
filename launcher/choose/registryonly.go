package choose

import (
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/settings"
)

// registryOnly refuses the name of a registry in the place of an image's. If a # begins a comment,
// as in a line of #SBATCH, that is what is left of HOST:PORT#NAME.
func registryOnly(ref oci.Reference, set settings.Settings) error {
	host, port, tagged := strings.Cut(strings.ToLower(ref.Name), ":")
	switch {
	case ref.Transport != oci.Registry || strings.ContainsAny(ref.Name, "/#@"):
		return nil // there is a name of an image
	case tagged && strings.Trim(port, "0123456789") != "" || !tagged && !set.Host.Plugin:
		return nil // a tag, or no port
	case !strings.Contains(host, ".") && host != "localhost" && !knownRegistry(set, host, port):
		return nil
	}
	return fault.New(fault.Reference,
		"image reference %q: it is a registry's name, and an image's is missing", ref.Name).
		Hint("in a line of #SBATCH a # begins a comment: write %s/NAME:TAG", ref.Name).
		Hint("docker://%s is the image of that name on %s", ref.Name, oci.DefaultRegistry)
}

// knownRegistry tells whether the site's file or a file with credentials names a registry.
func knownRegistry(set settings.Settings, host, port string) bool {
	known := fetch.AuthHosts(set.Option.AuthFile, set.Host.Getenv, set.Host.Getenv("HOME"))
	known = append(append(known, set.Site.PlainHTTP...), set.Site.TokenServers...)
	for _, m := range set.Site.Mirrors {
		known = append(known, m.Registry)
		for _, e := range m.Mirrors {
			known = append(known, e.Host)
		}
	}
	for _, k := range known {
		h, p, hasPort := strings.Cut(strings.ToLower(k), ":")
		if h == host && (!hasPort || p == port) {
			return true
		}
	}
	return false
}
