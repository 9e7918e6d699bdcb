// Package convert makes a SIF out of an OCI image, in one pass: each layer is read, checked, inflated and flattened, and what stays
// of it is compressed into the SIF's SquashFS as it comes. There is no unpacked tree and no temporary copy.
//
// Layers are read topmost first, so that a file which a higher layer replaces, or hides by a whiteout, is never compressed. The same
// image gives the same bytes on any machine, by whatever reference it was found and with any number of workers: no time in a SIF is
// the clock's, and the environment is not asked for one (SOURCE_DATE_EPOCH), since the image has its own.
//
// Files keep the numeric owners and the modes of the image; who reads the SIF decides what they mean. Both of hpc3's engines, and
// Apptainer, show all files as the caller's, since a user namespace knows no other owner. Devices are kept as the image has them;
// engines mount the SIF so that none can be opened, and bind the node's /dev. A character device 0:0, which overlay would take for a file
// that is gone, is an empty file. Of extended attributes user.* but for user.overlay.*, and security.capability, are kept; times are whole seconds from 1970 to 2106, as SquashFS has them.
//
// The tree gets what Apptainer puts into its own SIFs: /.singularity.d with the image's environment, labels and start scripts, links to
// them from the root, and the directories that binds need. A file of the image at one of these paths is replaced.
package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Layer is a layer and how to read it: compressed, as the registry keeps it. The reader must check the digest itself.
type Layer struct {
	oci.Descriptor
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Image is what is converted.
type Image struct {
	Manifest, Config []byte // as the registry sent them
	ManifestDigest   string
	Reference        string  // for messages
	Layers           []Layer // the lowest first

	// Origin is written into the SIF, for a file that travels. It stays zero for a SIF that is found again by its manifest's
	// digest: many references and indexes lead to one manifest, and its bytes must be the same for all of them.
	Origin Provenance
}

// Options of a conversion. The zero value is zstd at its fastest level with a worker per processor.
type Options struct {
	Compression string // "zstd" (also ""), "gzip" or "lz4"
	Level       int
	Workers     int
	Written     func(n int) // told of the bytes of the file system as they are written; nil for nobody
}

// SIF writes the image to f, which must be empty. After an error f holds nothing of use.
func SIF(ctx context.Context, f *os.File, img Image, opt Options) error {
	config, err := oci.ParseConfig(img.Config)
	if err != nil {
		return err
	}
	p := &partition{ctx: ctx, img: img, config: config, opt: opt}
	if err := writeSIF(f, p); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return explain(err, img)
	}
	return nil
}

// explain says what was being done. An error of a layer knows its class already.
func explain(err error, img Image) error {
	return fault.New(fault.Convert, "converting %s: %w", img.Reference, err)
}

// partition writes the SquashFS when the SIF's writer asks for its bytes: straight into the file, which it is handed.
type partition struct {
	ctx    context.Context //nolint:containedctx // io.WriterTo has no room for it
	img    Image
	config oci.Config
	opt    Options
	sums   []byte // of the file system, once it is written
}

func (p *partition) Read([]byte) (int, error) {
	return 0, errors.New("the partition is written, not read")
}

// WriteTo writes the file system at the current offset of w, an *os.File.
func (p *partition) WriteTo(w io.Writer) (int64, error) {
	out, ok := w.(squashfs.Output)
	if !ok {
		return 0, fmt.Errorf("the SIF is written to a %T, not to a file", w)
	}
	fsw, err := squashfs.NewWriter(counted(out, p.opt.Written), squashfs.Options{
		Compression: compression(p.opt.Compression), Level: p.opt.Level, Workers: p.opt.Workers, ModTime: uint32(max(0, min(p.created().Unix(), math.MaxUint32))),
	})
	if err != nil {
		return 0, err
	}
	defer fsw.Close()
	flat := newFlattener(fsw, p.img.Layers, p.config.DiffIDs)
	if err := flat.layers(p.ctx); err != nil {
		return 0, err
	}
	tree, err := merge(flat)
	if err != nil {
		return 0, err
	}
	if err := addSingularity(tree, fsw, p.config, p.created().Unix()); err != nil {
		return 0, err
	}
	if err := flat.again(p.ctx, tree.missing()); err != nil {
		return 0, err
	}
	size, err := fsw.FinishTree(tree, 0)
	p.sums = fsw.Sums()
	return size, err
}

// created is the image's own time: the clock's would make each SIF differ.
func (p *partition) created() time.Time {
	if p.config.Created.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return p.config.Created.UTC()
}

func compression(word string) squashfs.Compression {
	switch word {
	case "gzip":
		return squashfs.Gzip
	case "lz4":
		return squashfs.LZ4
	}
	return squashfs.Zstd
}
