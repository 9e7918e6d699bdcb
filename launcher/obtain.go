package launcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Obtain returns the path of the chosen entry's SIF, fetched and converted where the cache lacks it. The choice may change to the next
// best entry, where the image itself says that it is not for this node.
func (r *Road) Obtain(ctx context.Context, c *Choice) (string, error) {
	if c.Reference.Transport == oci.SIF {
		r.note("image: %s", c.Reference.Path)
		return c.Reference.Path, nil
	}
	path, err := r.obtain(ctx, c)
	if err != nil && ctx.Err() == nil && r.worthAgain(ctx, err) {
		path, err = r.obtain(ctx, c)
	}
	return path, err
}

func (r *Road) obtain(ctx context.Context, c *Choice) (string, error) {
	path, err := r.settle(ctx, c)
	if err != nil {
		return "", err
	}
	if path != "" {
		store.Used(path)
		r.Clock.Done("image", "from the cache")
		r.tellImage(c, path, "from the cache")
		return path, nil
	}
	img, err := r.image(ctx, c, r.sifDir())
	if err != nil {
		return "", err
	}
	r.Progress.about(img.Reference)
	defer r.Progress.at(Idle)
	if path, err = r.makeSIF(ctx, c, img); err != nil {
		return "", err
	}
	r.Clock.Done("image", "fetched and converted")
	r.tellImage(c, path, "fetched into")
	return path, nil
}

// makeSIF converts the image into the first of the site's caches that takes it, else into the user's.
func (r *Road) makeSIF(ctx context.Context, c *Choice, img convert.Image) (string, error) {
	for _, t := range r.caches() {
		if !r.fills(t) || !r.anonymous() {
			continue
		}
		path, err := t.store.CreateSIF(ctx, c.entry.Digest, c.arch(), func(f *os.File) error { return r.convert(ctx, f, c, r.onlyPublic(img)) })
		if err == nil || !r.elsewhere(ctx, t, err) {
			return path, err
		}
	}
	s, err := r.Store()
	if err != nil {
		return "", err
	}
	return s.CreateSIF(ctx, c.entry.Digest, c.arch(), func(f *os.File) error { return r.convert(ctx, f, c, img) })
}

// Save writes the chosen entry's SIF to a file, whole or not at all.
func (r *Road) Save(ctx context.Context, c *Choice, file string) (err error) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return cannotWrite(file, errors.New("it is a directory"))
	}
	if _, err := r.settle(ctx, c); err != nil {
		return err
	}
	img, err := r.image(ctx, c, filepath.Dir(file))
	if err != nil {
		return err
	}
	img.Origin = convert.Provenance{Reference: c.Reference.String(), IndexDigest: c.Index.Digest, Variant: platformOf(c.entry), Why: c.Result.Why}
	f, err := os.CreateTemp(filepath.Dir(file), ".hpc3-*.sif")
	if err != nil {
		return cannotWrite(file, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()           // err says why already
			_ = os.Remove(f.Name()) // nothing half-written stays
		}
	}()
	defer r.Progress.at(Idle)
	if err := r.convert(ctx, f, c, img); err != nil {
		return err
	}
	if err := publish(f, file); err != nil {
		return cannotWrite(file, err)
	}
	r.Clock.Done("image", "written to "+file)
	return nil
}

func publish(f *os.File, file string) error {
	if err := f.Chmod(0o755); err != nil { // a SIF starts itself through run-singularity
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func cannotWrite(file string, err error) error {
	return fault.New(fault.Convert, "writing %s: %w", file, outside.Reason(err)).Hint("name another file with -o")
}

// garbagePercent is for conversions, whose memory is mostly the tree of names: a collector that comes sooner than at twice of it costs nothing to
// speak of (GROMACS: 3 % of the processors' time), and keeps an image of 150,000 files below 128 MiB.
const garbagePercent = 40

func (r *Road) convert(ctx context.Context, f *os.File, c *Choice, img convert.Image) error {
	defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent))
	defer r.Host.widen()()
	r.waiting("fetching and converting " + called(c.Reference) + " (" + platformOf(c.entry) + ")")
	for {
		watched, written := r.Progress.begin(img)
		err := convert.SIF(ctx, f, watched, convert.Options{Compression: r.Site.Compression, Level: r.Site.CompressionLevel, Written: written})
		again := r.over(ctx, err) && r.rewind(f, err)
		if !again && !r.anew(ctx, f, c, err) {
			r.Progress.at(Publish)
			return err
		}
	}
}

// sifDir is the cache that a SIF is to be put into, if it is not private.
func (r *Road) sifDir() string {
	for _, t := range r.caches() {
		if r.fills(t) {
			return t.Dir
		}
	}
	return r.CacheDir()
}

// image gathers what the conversion into a directory reads: the manifest and config now, the layers when they are opened.
func (r *Road) image(ctx context.Context, c *Choice, dir string) (convert.Image, error) {
	raw, manifest, config, err := r.document(ctx, c)
	if err != nil {
		return convert.Image{}, err
	}
	if r.Option.Pull == option.Never {
		return convert.Image{}, fault.New(fault.Cache, "the image %s is not in the cache, and --pull never forbids to fetch it", c.Reference).Hint("run it once with --pull missing, or: hpc3 pull %s", c.Reference.Name)
	}
	src, err := r.open(ctx, c)
	if err != nil {
		return convert.Image{}, err
	}
	img := convert.Image{Manifest: raw, Config: config, ManifestDigest: c.entry.Digest, Reference: c.Reference.String()}
	r.lookAhead(dir, manifest.Layers)
	r.tight = c.Reference.Transport == oci.Registry && r.tooTight(manifest.Layers)
	for _, d := range manifest.Layers {
		img.Layers = append(img.Layers, convert.Layer{Descriptor: d, Open: r.layerOpener(c, src, d)})
	}
	return img, nil
}

// document returns the manifest of the chosen image, as bytes too, and its config.
func (r *Road) document(ctx context.Context, c *Choice) (raw []byte, manifest oci.Manifest, config []byte, err error) {
	if raw, err = r.blob(ctx, c, c.entry.Descriptor); err != nil {
		return nil, oci.Manifest{}, nil, err
	}
	if manifest, err = oci.ParseManifest(raw); err != nil {
		return nil, oci.Manifest{}, nil, c.broken(err)
	}
	which := c.which()
	if kind := artifact(manifest); kind != "" {
		return nil, oci.Manifest{}, nil, noImage(which, kind)
	}
	if config, err = r.blob(ctx, c, manifest.Config); err == nil {
		_, err = asImage(which, manifest, config)
	}
	return raw, manifest, config, err
}

// scratch is for an archive that is compressed as a whole. It can be as large as an image, for which the cache has room.
func (r *Road) scratch(ref oci.Reference) (*os.File, error) {
	s, err := r.Store()
	if err != nil {
		return nil, err
	}
	r.waiting("unpacking " + ref.Path + ", which is compressed as a whole")
	return s.Scratch()
}
