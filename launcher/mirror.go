package launcher

import (
	"context"
	"io"
	"os"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
)

// mirrors returns what the site says of where a registry's images are, in the words of fetch.
func (r *Road) mirrors(registry string) (list []fetch.Mirror, fallback bool) {
	endpoints, fallback := r.Site.MirrorsOf(registry)
	for _, e := range endpoints {
		list = append(list, fetch.Mirror{Scheme: e.Scheme, Host: e.Host, Path: e.Path})
	}
	return list, fallback
}

// anew makes f, in which a mirror's wrong bytes may have ended up, ready for another conversion. It tells whether there is to be one:
// err is that of the last, which does not say that the layers were wrong where the archive in them fell apart before their end.
func (r *Road) anew(ctx context.Context, f *os.File, c *Choice, err error) bool {
	class, _, _ := fault.Of(err, "")
	if class != fault.Registry || ctx.Err() != nil || !fetch.Elsewhere(c.source) {
		return false
	}
	return r.rewind(f, err)
}

// rewind empties a file that is to be written again.
func (r *Road) rewind(f *os.File, why error) bool {
	r.waiting("the conversion begins anew: " + fault.OneLine(why.Error()))
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false
	}
	return f.Truncate(0) == nil
}
