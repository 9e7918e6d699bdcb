package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/notes"
)

// Target is a file that a SIF is written to.
type Target struct {
	File string
	Deep bool // all programs are looked at for what they need
	// Fits is asked when it is known what the code needs; nil for yes
	Fits func() bool
}

// Save writes the SIF of a choice to a file, whole or not at all. If it does not fit, it is not
// written.
func (s *Source) Save(ctx context.Context, c choose.Chosen, to Target) (written bool, err error) {
	file := to.File
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return false, cannotWrite(file, errors.New("it is a directory"))
	}
	img, err := s.gather(ctx, c, filepath.Dir(file))
	if err != nil {
		return false, err
	}
	img.Origin = convert.Provenance{
		Reference: c.Reference.String(), IndexDigest: c.Index.Digest, Variant: c.Platform(),
		Why: c.Why,
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".hpc3-*.sif")
	if err != nil {
		return false, cannotWrite(file, err)
	}
	defer func() {
		if !written {
			_ = f.Close()           // err says why, if it is no choice
			_ = os.Remove(f.Name()) // nothing half-written stays
		}
	}()
	defer s.Progress.At(notes.Idle)
	if err := s.convert(ctx, f, c, img); err != nil {
		return false, err
	}
	own, err := s.Caches.Own()
	if err != nil {
		own = nil // the file needs none
	}
	s.learn(own, f, c, to.Deep)
	if to.Fits != nil && !to.Fits() {
		return false, nil
	}
	if err := publish(f, file); err != nil {
		return false, cannotWrite(file, err)
	}
	s.Clock.Done("image", "written to "+file)
	return true, nil
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
	return fault.New(fault.Convert, "writing %s: %w", file, fault.Reason(err)).
		Hint("name another file with -o")
}
