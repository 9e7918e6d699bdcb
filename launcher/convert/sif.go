package convert

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/sylabs/sif/v2/pkg/sif"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// The names of the objects that hpc3 puts into a SIF.
const (
	nameConfig     = "oci-config.json"
	nameManifest   = "oci-manifest.json"
	nameProvenance = "hpc3.json"
	namePartition  = "rootfs.squashfs"
	nameSums       = "rootfs.crc32c"
)

// launchLine makes a SIF executable as a program on machines with Apptainer.
const launchLine = "#!/usr/bin/env run-singularity\n"

// Provenance tells where a SIF came from. A SIF of the cache has only the first two fields.
type Provenance struct {
	SchemaVersion  int    `json:"schemaVersion"`
	ManifestDigest string `json:"manifestDigest"`
	Reference      string `json:"reference,omitempty"`
	IndexDigest    string `json:"indexDigest,omitempty"`
	Variant        string `json:"variant,omitempty"` // what the index says the entry is for
	Why            string `json:"why,omitempty"`     // why the entry was chosen
}

// Contents is the part of a SIF's content that is needed to run it.
type Contents struct {
	Offset     int64  // of the root file system in the file
	Size       int64  // of the root file system
	Sums       Part   // checksums of the root file system, for squashfs.ParseSums
	Arch       string // GOARCH spelling; "" if it is not stated
	Overlay    bool   // there is a partition that Apptainer mounts over the root file system
	Config     []byte // the OCI image config; nil in a SIF that hpc3 did not make
	Provenance Provenance
}

func writeSIF(f *os.File, p *partition) error {
	var objects []sif.DescriptorInput
	add := func(t sif.DataType, r io.Reader, opts ...sif.DescriptorInputOpt) error {
		o, err := sif.NewDescriptorInput(t, r, opts...)
		objects = append(objects, o)
		return err
	}
	origin := p.img.Origin
	origin.SchemaVersion, origin.ManifestDigest = 1, p.img.ManifestDigest
	provenance, err := json.Marshal(origin)
	if err != nil {
		return err
	}
	for _, o := range []struct {
		name string
		data []byte
	}{{nameConfig, p.img.Config}, {nameManifest, p.img.Manifest}, {nameProvenance, provenance}} {
		err := add(sif.DataGenericJSON, bytes.NewReader(o.data),
			sif.OptObjectName(o.name), sif.OptMetadata(sumOf(o.data)))
		if err != nil {
			return err
		}
	}
	err = add(sif.DataPartition, p, sif.OptObjectName(namePartition),
		sif.OptPartitionMetadata(sif.FsSquash, sif.PartPrimSys, p.config.Architecture))
	if err != nil {
		return fmt.Errorf("the architecture %q: %w", p.config.Architecture, err)
	}
	// The checksums follow the partition: they are known only when it is written.
	sums := &lazyReader{data: func() []byte { return p.sums }}
	if err := add(sif.DataGeneric, sums, sif.OptObjectName(nameSums)); err != nil {
		return err
	}
	img, err := sif.CreateContainer(f,
		sif.OptCreateDeterministic(), sif.OptCreateWithID(identity(p.img.ManifestDigest)),
		sif.OptCreateWithTime(p.created()), sif.OptCreateWithLaunchScript(launchLine),
		sif.OptCreateWithDescriptors(objects...), sif.OptCreateWithCloseOnUnload(false))
	if err != nil {
		return err
	}
	return img.UnloadContainer()
}

// identity derives the SIF's id from the manifest's digest, as a UUID of version 8, which is meant
// for such uses.
func identity(digest string) string {
	sum := sha256.Sum256([]byte(digest))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// maxObject bounds a JSON object of a SIF. A config from a registry is not larger.
const maxObject = oci.MaxDocument

// ErrNotSIF is wrapped by errors about a file that is not, or no longer, a SIF that can be run.
var ErrNotSIF = errors.New("no SIF that can be run")

// Inspect reads the headers of a SIF and the objects that hpc3 put into it, not the file system.
func Inspect(path string) (Contents, error) {
	f, err := outside.Open(path)
	if err != nil {
		return Contents{}, cannotOpen(path, err)
	}
	defer f.Close()
	return InspectFile(f)
}

// InspectFile is Inspect for a SIF that is open. Where the file is read next does not change.
func InspectFile(f *os.File) (Contents, error) {
	info, err := f.Stat()
	if err != nil {
		return Contents{}, fault.New(fault.Reference, "opening the SIF %s: %w", f.Name(), err)
	}
	c, err := inspect(f, info.Size())
	if err != nil {
		return Contents{}, fault.New(fault.Reference, "%s is %w: %w", f.Name(), ErrNotSIF, err).
			Hint("make or fetch it anew")
	}
	return c, nil
}

// cannotOpen returns the error about a file that cannot be opened.
func cannotOpen(path string, err error) error {
	err = fault.Reason(err)
	e := fault.New(fault.Reference, "opening the SIF %s: %w", path, err)
	if errors.As(err, &outside.KindError{}) {
		return e.Hint("an unpacked directory cannot be run; name an image")
	}
	return e.Hint("see whether the name is right; a path is relative to the working directory")
}

var errShort = errors.New("the file is cut short")

func inspect(f *os.File, size int64) (Contents, error) {
	img, err := sif.LoadContainer(withoutUnused(f), sif.OptLoadWithCloseOnUnload(false))
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return Contents{}, errShort
		}
		return Contents{}, err
	}
	root, err := img.GetDescriptor(sif.WithPartitionType(sif.PartPrimSys))
	if err != nil {
		return Contents{}, errors.New("it holds no root file system")
	}
	kind, _, arch, err := root.PartitionMetadata()
	if err != nil {
		return Contents{}, err
	}
	if kind != sif.FsSquash {
		return Contents{}, fmt.Errorf("its root file system is %v, not SquashFS", kind)
	}
	if root.Offset() < 0 || root.Size() < 0 || root.Offset() > size ||
		root.Size() > size-root.Offset() {
		return Contents{}, errShort
	}
	c := Contents{Offset: root.Offset(), Size: root.Size(), Arch: arch}
	if arch == "unknown" {
		c.Arch = ""
	}
	ofRoot := func(d sif.Descriptor) (bool, error) { // the rule that Apptainer uses
		return root.GroupID() == 0 || d.GroupID() == root.GroupID(), nil
	}
	over, err := img.GetDescriptors(sif.WithPartitionType(sif.PartOverlay), ofRoot)
	if err != nil {
		return Contents{}, err
	}
	c.Overlay = len(over) > 0
	if c.Sums, err = sumsIn(img, size); err != nil {
		return Contents{}, err
	}
	raw, err := object(img, nameProvenance, size)
	if err != nil || raw == nil {
		return c, err
	}
	// Apptainer has an object of the same name, which holds the inner part of the config alone.
	if c.Config, err = object(img, nameConfig, size); err != nil {
		return Contents{}, err
	}
	return c, json.Unmarshal(raw, &c.Provenance)
}

// object returns the JSON object of that name, or nil if there is none.
func object(img *sif.FileImage, name string, size int64) ([]byte, error) {
	named := func(d sif.Descriptor) (bool, error) { return d.Name() == name, nil }
	d, err := img.GetDescriptor(sif.WithDataType(sif.DataGenericJSON), named)
	if errors.Is(err, sif.ErrObjectNotFound) || errors.Is(err, sif.ErrNoObjects) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if d.Size() < 0 || d.Size() > maxObject || d.Offset() < 0 || d.Offset() > size-d.Size() {
		return nil, errShort
	}
	data, err := io.ReadAll(d.GetReader())
	if err == nil {
		err = checkObject(d, data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// readOnly is a file that the SIF library cannot write.
type readOnly struct{ io.ReaderAt }

func (readOnly) Write([]byte) (int, error)      { return 0, fs.ErrPermission }
func (readOnly) Seek(int64, int) (int64, error) { return 0, fs.ErrPermission }
func (readOnly) Truncate(int64) error           { return fs.ErrPermission }

// Offsets in a SIF: in the global header, and in a descriptor of the table that it points to.
const (
	headerSize     = 128
	atFree         = 80 // how many descriptors are not in use
	atTotal        = 88 // how many descriptors there are
	atTable        = 96
	descriptorSize = 585
	atInUse        = 4
)

// maxUsed bounds the descriptors that withoutUnused reads.
const maxUsed = 64

// withoutUnused hides the unused descriptors at the end of a SIF's table. The SIF library reads
// each descriptor by reflection: a SIF has room for 48, of which few are in use, and reading all
// takes a tenth of a start. If there are unused descriptors before the last used one, or anything
// is odd, the library sees the file as it is.
func withoutUnused(f io.ReaderAt) readOnly {
	head := make([]byte, headerSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return readOnly{f}
	}
	number := binary.LittleEndian.Uint64
	free, total, at := number(head[atFree:]), number(head[atTotal:]), int64(number(head[atTable:]))
	used := total - free
	if free > total || used > maxUsed || at < headerSize {
		return readOnly{f}
	}
	table := make([]byte, used*descriptorSize)
	if _, err := f.ReadAt(table, at); err != nil {
		return readOnly{f}
	}
	for i := range used {
		if table[i*descriptorSize+atInUse] == 0 {
			return readOnly{f}
		}
	}
	binary.LittleEndian.PutUint64(head[atFree:], 0)
	binary.LittleEndian.PutUint64(head[atTotal:], used)
	return readOnly{withHeader{f, head}}
}

// withHeader is a file whose first bytes are replaced.
type withHeader struct {
	io.ReaderAt
	head []byte
}

func (h withHeader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(h.head)) {
		return h.ReaderAt.ReadAt(p, off)
	}
	n := copy(p, h.head[off:])
	if n == len(p) {
		return n, nil
	}
	more, err := h.ReaderAt.ReadAt(p[n:], off+int64(n))
	return n + more, err
}
