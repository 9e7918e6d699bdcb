package launcher

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/image"
	"github.com/hpc3-project/hpc3/launcher/module"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// look is an image that a module is made of: the entry for this node, and what is known of it.
type look struct {
	*Road
	launcher string // the path of hpc3-run; "" if it is not known
	ref      oci.Reference
	from     *image.Source // nil for a SIF
	chosen   choose.Chosen
	config   oci.Config
	labels   map[string]string // those of the image, over the annotations of its index
	notes    []string

	img   *opened  // nil until it is needed
	login []string // see path
}

func (l *look) close() {
	if l.from != nil {
		l.from.Close()
	}
	if l.img != nil {
		l.img.close()
	}
}

// remark keeps a note for the user.
func (l *look) remark(format string, args ...any) {
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

// take takes the entry for this node or, if none fits, the first image. If asks, the documents
// come from the registry even if a cache has them.
func (l *look) take(ctx context.Context, name string, asks bool) error {
	request, err := l.request(ctx, name)
	if err != nil {
		return err
	}
	if l.ref = request.Reference; l.ref.Path != "" && !filepath.IsAbs(l.ref.Path) {
		l.ref.Path = filepath.Join(l.Host.Cwd, l.ref.Path)
	}
	if l.ref.Transport == oci.SIF {
		return l.chooseSIF()
	}
	l.from = image.Open(request.Reference, image.Options{
		Settings: l.Settings, Notes: l.Notes, Caches: l.caches(), Version: l.Version, Looks: true,
		Asks: asks,
	})
	var fits bool
	if l.chosen, fits, err = choose.OrFirst(ctx, request, l.from, l.Notes); err != nil {
		return err
	}
	if !fits {
		l.remark("no entry of %s fits this node: labels and commands are those of %s", l.ref,
			l.chosen.Platform())
	}
	l.config, l.labels = l.chosen.Config, map[string]string{}
	for _, pairs := range []map[string]string{
		l.chosen.Index.Annotations, l.chosen.Entry.Annotations, l.config.Labels,
	} {
		for k, v := range pairs {
			l.labels[k] = v
		}
	}
	return nil
}

// chooseSIF reads what a SIF says of itself.
func (l *look) chooseSIF() error {
	l.chosen = choose.Chosen{Reference: l.ref, At: -1}
	if err := l.openFile(l.ref.Path); err != nil {
		return err
	}
	var err error
	if len(l.img.contents.Config) > 0 {
		l.config, err = oci.ParseConfig(l.img.contents.Config)
	}
	// Apptainer keeps only the inner part of a config, which as a whole says nothing.
	if l.labels = l.config.Labels; l.labels == nil {
		l.labels = l.img.labels()
	}
	return err
}

// digest is that of the image's manifest; "" for a SIF that does not tell.
func (l *look) digest() string {
	switch {
	case l.chosen.Found():
		return l.chosen.Entry.Digest
	case l.img != nil:
		return l.img.contents.Provenance.ManifestDigest
	}
	return ""
}

// identify gives a module its reference and its name.
func (l *look) identify(m *module.Module, w module.Wanted) error {
	ref := l.ref
	if w.Pin && ref.Digest == "" {
		ref.Digest = cmp.Or(m.IndexDigest, m.ImageDigest)
		if err := l.refusePin(); err != nil {
			return err
		}
	}
	m.Image, m.Pinned = ref.String(), ref.Digest != ""
	name, version := module.SplitName(w.Name)
	m.Name = cmp.Or(name, defaultName(ref))
	if m.Version = cmp.Or(version, l.defaultVersion()); m.Version == "" {
		return fault.New(fault.Usage, "%s: the reference has no tag to name the version by", ref).
			Hint("name the module: --name %s/VERSION", m.Name)
	}
	if err := module.CheckName(m.FullName()); err != nil {
		return fault.New(fault.Usage, "%w", err).Hint("name it yourself: --name NAME/VERSION")
	}
	return nil
}

// refusePin refuses to pin what no digest names.
func (l *look) refusePin() error {
	switch {
	case l.ref.Transport == oci.SIF:
		return fault.New(fault.Usage, "%s cannot be pinned: a SIF is found by its path alone", l.ref).
			Hint("leave out --pin")
	case l.chosen.Taken().Tag != "":
		return fault.New(fault.Usage,
			"%s cannot be pinned: its variants are tags, which no digest names together", l.ref).
			Hint("leave out --pin, or name one image: --variants index")
	}
	return nil
}

// defaultName is the last part of the repository, or the name of a file without what says its kind.
func defaultName(ref oci.Reference) string {
	if ref.Transport == oci.Registry {
		return ref.Repository[strings.LastIndexByte(ref.Repository, '/')+1:]
	}
	name := filepath.Base(ref.Path)
	for _, kind := range []string{".gz", ".tgz", ".zst", ".xz", ".bz2", ".tar", ".oci", ".sif"} {
		if short := strings.TrimSuffix(name, kind); short != "" {
			name = short
		}
	}
	return name
}

// defaultVersion is the tag, else what the image says; "" if only a digest is known.
func (l *look) defaultVersion() string {
	if l.ref.Tag != "" && l.ref.Tag != "latest" {
		return l.ref.Tag
	}
	version := strings.TrimSpace(l.labels["org.opencontainers.image.version"])
	if version == "" && (l.ref.Digest == "" || l.ref.Tag != "") {
		return "latest"
	}
	return version
}
