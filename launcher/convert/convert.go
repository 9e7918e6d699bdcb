// Package convert makes a SIF of an OCI image in one pass: it reads, checks, inflates and flattens
// each layer, and compresses the files that remain straight into the SIF's SquashFS. There is no
// unpacked tree and no temporary copy.
//
// Layers are read topmost first, so that a file that a higher layer replaces, or hides by a
// whiteout, is never compressed. The same image gives the same bytes on any machine, whatever the
// reference and the number of workers: no time in a SIF comes from the clock, nor from the
// environment (SOURCE_DATE_EPOCH), since the image has its own.
//
// Files keep the image's numeric owners and modes; the reader of the SIF decides what they mean.
// hpc3's own engine and Apptainer both show all files as the caller's, since a user namespace knows
// no other owner. Devices are kept as they are in the image; both engines mount the SIF so that no
// device in it can be opened, and bind the node's /dev. A character device 0:0, which overlay would
// treat as a deleted file, becomes an empty file. Of the extended attributes, security.capability
// and user.* except user.overlay.* are kept. Times are whole seconds from 1970 to 2106, as SquashFS
// stores them.
//
// The tree gets what Apptainer adds to its own SIFs: /.singularity.d with the image's environment,
// labels and start scripts, links to them from the root, and the directories that binds need. A
// file of the image at one of these paths is replaced.
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

// Layer is a layer and the way to read it: compressed, as the registry stores it. The reader that
// Open returns must check the digest itself.
type Layer struct {
	oci.Descriptor
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Image is an image to convert.
type Image struct {
	Manifest, Config []byte // as the registry sent them
	ManifestDigest   string
	Reference        string  // for messages
	Layers           []Layer // the lowest first

	// Origin is written into a SIF that is given away as a file. It is zero for a SIF of the cache,
	// which is found by its manifest's digest: many references and indexes lead to one manifest,
	// and all must give the same bytes.
	Origin Provenance
}

// Options of a conversion. The zero value means zstd at its fastest level with one worker per
// processor.
type Options struct {
	Compression string // "zstd" (also ""), "gzip" or "lz4"
	Level       int
	Workers     int

	// Written is called with the number of bytes of each write to the file system; it may be nil.
	Written func(n int)
}

// SIF writes the image to f, which must be empty. After an error the content of f is useless.
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

// explain adds what was being done. An error of a layer keeps its own class.
func explain(err error, img Image) error {
	return fault.New(fault.Convert, "converting %s: %w", img.Reference, err)
}

// partition writes the SquashFS when the SIF library asks for the content of the partition. As an
// io.WriterTo it gets the file itself and writes straight into it.
type partition struct {
	ctx    context.Context //nolint:containedctx // io.WriterTo has no parameter for it
	img    Image
	config oci.Config
	opt    Options
	sums   []byte // checksums of the file system; set once it is written
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
		Compression: compression(p.opt.Compression), Level: p.opt.Level, Workers: p.opt.Workers,
		ModTime: uint32(max(0, min(p.created().Unix(), math.MaxUint32))),
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
	if err := flat.readMissing(p.ctx, tree.missing()); err != nil {
		return 0, err
	}
	size, err := fsw.FinishTree(tree, 0)
	p.sums = fsw.Sums()
	return size, err
}

// created returns the image's own time: with the clock's time, no two SIFs would be equal.
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
