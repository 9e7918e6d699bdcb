package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/notes"
)

// watch has what is read of an image's layers counted, and returns what counts the bytes that are
// written.
func watch(p *notes.Progress, img convert.Image) (watched convert.Image, written func(n int)) {
	if p == nil {
		return img, nil
	}
	total := int64(0)
	for _, l := range img.Layers {
		total += l.Size
	}
	count := p.Begin(img.Reference, len(img.Layers), total)
	img.Layers = slices.Clone(img.Layers)
	for i, l := range img.Layers {
		img.Layers[i].Open = func(ctx context.Context) (io.ReadCloser, error) {
			count.Layer(l.Digest)
			blob, err := l.Open(ctx)
			if err != nil {
				return nil, err
			}
			return count.Read(blob), nil
		}
	}
	return img, count.Wrote
}

// tellImage tells where an image comes from.
func (s *Source) tellImage(c choose.Chosen, path, from string) {
	size := ""
	if info, err := os.Stat(path); err == nil {
		size = fmt.Sprintf(", %.1f MB", float64(info.Size())/1e6)
	}
	cache, _, _ := strings.Cut(path, "/sif/")
	s.Notef("image: %s%s, %s %s", notes.ShortDigest(c.Entry.Digest), size, from, cache)
}
