package convert_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	siflib "github.com/sylabs/sif/v2/pkg/sif"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// A SIF has checksums that cover its whole file system.
func TestChecksumsOfSIF(t *testing.T) {
	path, err := sif(t, image(t, nil, layerTar(t, "a=1", "dir/", "dir/b=2")), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := convert.Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Sums.Size == 0 || c.Sums.Offset != c.Offset+c.Size || c.Sums.Offset+c.Sums.Size != int64(len(raw)) {
		t.Fatalf("checksums %+v, file system from %d to %d of %d bytes", c.Sums, c.Offset, c.Offset+c.Size, len(raw))
	}
	sums, err := squashfs.ParseSums(raw[c.Sums.Offset:])
	if err != nil {
		t.Fatal(err)
	}
	fsys, err := squashfs.OpenChecked(io.NewSectionReader(bytes.NewReader(raw), c.Offset, c.Size), sums)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Resolve("dir/b"); err != nil {
		t.Error(err)
	}
}

// A SIF is refused if any bit of its config or provenance is wrong: the config determines what runs
// and in which environment.
func TestInspectDamaged(t *testing.T) {
	path, err := sif(t, image(t, map[string]any{"Env": []string{"A=b"}}, layerTar(t, "a=1")), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	img, err := siflib.LoadContainerFromPath(path, siflib.OptLoadWithFlag(os.O_RDONLY))
	if err != nil {
		t.Fatal(err)
	}
	defer img.UnloadContainer()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.sif")
	for _, id := range []uint32{1, 3} {
		d, err := img.GetDescriptor(siflib.WithID(id))
		if err != nil {
			t.Fatal(err)
		}
		for at := d.Offset(); at < d.Offset()+d.Size(); at++ {
			raw[at] ^= 1
			if err := os.WriteFile(damaged, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			raw[at] ^= 1
			if c, err := convert.Inspect(damaged); err == nil {
				t.Fatalf("%s, byte %d: %+v", d.Name(), at-d.Offset(), c)
			}
		}
	}
}
