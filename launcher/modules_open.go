package launcher

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/image"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/programs"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// opened is an image whose file system can be read.
type opened struct {
	path     string // of the SIF, absolute
	contents convert.Contents
	files    inside.Files // its file system, in an open file
	image    image.Image  // keeps the SIF of a cache from being cleared
}

func (o *opened) close() {
	_ = o.files.File.Close() // opened for reading
	o.image.Close()
}

// open opens the image, which is fetched as a pull does if no cache has it.
func (l *look) open(ctx context.Context) error {
	if l.img != nil {
		return nil
	}
	l.Upkeep().MendShared()
	source := l.source(l.chosen.Reference, false)
	defer source.Close()
	img, err := source.Obtain(ctx, l.chosen)
	if err != nil {
		return err
	}
	l.Upkeep().WarnPrivate(img.Path)
	return l.openImage(img)
}

// openCached opens the image if a cache has it; otherwise l.img stays nil.
func (l *look) openCached() error {
	if l.img != nil {
		return nil
	}
	path, err := l.caches().SIF(l.chosen.Entry.Digest, l.chosen.Arch())
	if err != nil || path == "" {
		return err
	}
	if err := l.openFile(path); err != nil {
		l.Notef("the image in the cache is not looked into: %v", err)
	}
	return nil
}

// openFile opens a SIF by its path.
func (l *look) openFile(path string) error {
	img, err := image.File(l.ref, path)
	if err != nil {
		return err
	}
	return l.openImage(img)
}

func (l *look) openImage(img image.Image) error {
	o := &opened{path: img.Path, contents: img.Contents, image: img}
	var err error
	if o.files.File, err = outside.Open(img.Path); err == nil {
		o.files.FS, err = inside.OpenImage(o.files.File, img.Contents.Offset,
			inside.Checksums(img.Contents.Sums))
	}
	if err != nil {
		o.close()
		return fault.New(fault.Engine, "opening the image in %s: %w", img.Path, err).
			Hint("make or fetch it anew")
	}
	l.img = o
	return nil
}

// maxLabels bounds the labels of a SIF, as those of a config are bounded.
const maxLabels = oci.MaxDocument

// labels are those that Apptainer writes into the SIFs that it builds; nil for none.
func (o *opened) labels() map[string]string {
	var labels map[string]string
	raw := o.files.Read("/.singularity.d/labels.json", maxLabels)
	if json.Unmarshal(raw, &labels) != nil {
		return nil
	}
	return labels
}

// programs looks for commands in the image. If it may be run, its rpm is asked.
func (l *look) programs(ctx context.Context) programs.Image {
	img := programs.Image{FS: l.img.files.FS}
	if l.cannotAsk() == "" {
		img.Rpm = func(args ...string) ([]byte, error) {
			out, err := l.ask(ctx, maxRpm, append([]string{"rpm"}, args...)...)
			switch {
			case err != nil:
				return nil, err
			case out.cut:
				return nil, fmt.Errorf("it prints more than %d bytes", maxRpm)
			}
			return out.kept, nil
		}
	}
	return img
}
