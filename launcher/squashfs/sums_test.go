package squashfs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// summed is write, and also returns the table of checksums.
func summed(t testing.TB, entries []entry, opt squashfs.Options) (image, table []byte) {
	t.Helper()
	var out writeSeeker
	w, err := squashfs.NewWriter(&out, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Finish(build(t, w, entries)); err != nil {
		t.Fatal(err)
	}
	return out.data, w.Sums()
}

func checked(image, table []byte) ([]entry, error) {
	sums, err := squashfs.ParseSums(table)
	if err != nil {
		return nil, err
	}
	f, err := squashfs.OpenChecked(bytes.NewReader(image), sums)
	if err != nil {
		return nil, err
	}
	return read(f)
}

// A file system reads the same with and without checksums, and they do not depend on the number of
// workers.
func TestChecksums(t *testing.T) {
	for _, c := range []squashfs.Compression{squashfs.Zstd, squashfs.Gzip, squashfs.LZ4} {
		opt := squashfs.Options{Compression: c, BlockSize: 8192, Workers: 1}
		image, table := summed(t, sample(), opt)
		got, err := checked(image, table)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		if diff := cmp.Diff(list(t, bytes.NewReader(image)), got); diff != "" {
			t.Errorf("%v: reads otherwise with checksums:\n%.400s", c, diff)
		}
		opt.Workers = 7
		if _, again := summed(t, sample(), opt); !bytes.Equal(table, again) {
			t.Errorf("%v: seven workers give other checksums than one", c)
		}
	}
}

// Whichever bit is wrong, only the content that was written is ever returned. An error reports the
// damage, except in tables that nobody reads.
func TestChecksumsFindDamage(t *testing.T) {
	const atFragmentTable = 80 // in the superblock; data, fragments, inodes and directories are before it
	for _, c := range []squashfs.Compression{squashfs.Zstd, squashfs.Gzip, squashfs.LZ4} {
		whole := tiny(t, c)
		image, table := summed(t, tinyEntries(), squashfs.Options{Compression: c, BlockSize: 4096})
		if !bytes.Equal(whole, image) {
			t.Fatal("the same tree gives other bytes")
		}
		want, err := checked(image, table)
		if err != nil {
			t.Fatal(err)
		}
		used := int(binary.LittleEndian.Uint64(image[40:]))
		always := int(binary.LittleEndian.Uint64(image[atFragmentTable:]))
		for bit := range 8 * used {
			read := bit/8 < always && (c != squashfs.LZ4 || bit/8 < 96 || bit/8 >= 106) // there are the options of LZ4
			image[bit/8] ^= 1 << (bit % 8)
			got, err := checked(image, table)
			image[bit/8] ^= 1 << (bit % 8)
			switch {
			case err != nil && !errors.Is(err, squashfs.ErrCorrupt) && bit/8 >= 96:
				t.Fatalf("%v, bit %d: %v", c, bit, err)
			case err == nil && (read || !slices.Equal(got, want)):
				t.Fatalf("%v, bit %d of %d bytes: read without an error", c, bit, used)
			}
		}
	}
}

// A table of checksums that is damaged, or belongs to another file system, is refused.
func TestDamagedChecksums(t *testing.T) {
	image, table := summed(t, tinyEntries(), squashfs.Options{BlockSize: 4096})
	for bit := range 8 * len(table) {
		table[bit/8] ^= 1 << (bit % 8)
		if _, err := squashfs.ParseSums(table); !errors.Is(err, squashfs.ErrCorrupt) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		table[bit/8] ^= 1 << (bit % 8)
	}
	for n := range table {
		if _, err := squashfs.ParseSums(table[:n]); !errors.Is(err, squashfs.ErrCorrupt) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	_, other := summed(t, sample(), squashfs.Options{BlockSize: 4096})
	if _, err := checked(image, other); !errors.Is(err, squashfs.ErrCorrupt) {
		t.Errorf("the checksums of another file system: %v", err)
	}
}

func FuzzParseSums(f *testing.F) {
	_, table := summed(f, tinyEntries(), squashfs.Options{BlockSize: 4096})
	f.Add(table)
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_, _ = squashfs.ParseSums(raw) // only that it ends counts
	})
}
