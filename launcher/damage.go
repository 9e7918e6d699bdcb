package launcher

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/run"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// aside settles what becomes of the SIF of a choice where it turns out to be damaged. Only those of
// a cache can be made anew.
func (r *Road) aside(c *Choice, sif string) run.Aside {
	if c.Reference.Transport == oci.SIF {
		return run.Aside{}
	}
	a := run.Aside{Name: store.Aside(sif)}
	if own, err := r.Store(); err == nil && !strings.HasPrefix(sif, own.Dir()+string(filepath.Separator)) {
		a.Mark = own.DamageMark(sif)
	}
	return a
}

// inspectCached is convert.Inspect for a SIF of a cache, which has all that hpc3 writes into one.
func inspectCached(sif string) (convert.Contents, error) {
	c, err := convert.Inspect(sif)
	if err == nil && (len(c.Config) == 0 || c.Sums.Size == 0) {
		err = fmt.Errorf("%s is %w: parts of it are not there", sif, convert.ErrNotSIF)
	}
	return c, err
}

// damaged tells whether an error says that a SIF is not what was written, rather than that it could
// not be read.
func damaged(err error) bool {
	return errors.Is(err, convert.ErrNotSIF) && !errors.As(err, new(syscall.Errno))
}

// putAside sets a damaged SIF of a cache aside, and tells whether it will not be found again.
func (r *Road) putAside(c *Choice, sif string, why error) bool {
	f, err := outside.Open(sif)
	if err != nil {
		return false
	}
	defer f.Close()
	if _, gone := r.aside(c, sif).Put(sif, f); !gone {
		return false
	}
	r.waiting("warning: " + why.Error() + "; it is set aside, and the image is made anew")
	return true
}
