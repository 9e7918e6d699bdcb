package convert_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// holed writes a file with holes.
func holed(t *testing.T, path string, size int64, marks ...int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range marks {
		if _, err := f.WriteAt(fmt.Appendf(nil, "data at %d", at), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Skipf("a file of %d bytes: %v", size, err)
	}
}

// sparseTar packs a directory with GNU tar, in one of its formats for sparse files.
func sparseTar(t *testing.T, dir string, how ...string) []byte {
	t.Helper()
	out, err := exec.Command("tar", append(append(how, "-S", "-C", dir, "--sort=name", "--numeric-owner", "-cf", "-"), ".")...).Output()
	if err != nil {
		t.Fatalf("tar %q: %v", how, err)
	}
	return out
}

// Sparse files of any format, with few fragments or many, have the content that Go's tar package
// reads.
func TestSparseFilesOfManyFragments(t *testing.T) {
	dir := t.TempDir()
	var many []int64
	for i := range int64(150) {
		many = append(many, i*300_000)
	}
	holed(t, dir+"/many", 50_000_001, many...)
	holed(t, dir+"/few", 1<<20, 0, 400_000)
	holed(t, dir+"/hole", 3<<20)
	holed(t, dir+"/end", 1<<20, 1<<20-20)
	holed(t, dir+"/plain", 20, 0)
	for _, how := range [][]string{{"--format=gnu"}, {"--format=pax", "--sparse-version=0.0"}, {"--format=pax", "--sparse-version=0.1"}, {"--format=pax", "--sparse-version=1.0"}} {
		t.Run(strings.Join(how, " "), func(t *testing.T) {
			raw := sparseTar(t, dir, how...)
			want := map[string]string{}
			for r := tar.NewReader(bytes.NewReader(raw)); ; {
				h, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				sum := sha256.New()
				if _, err = io.Copy(sum, r); err != nil {
					t.Fatal(err)
				}
				if h.Typeflag != tar.TypeDir {
					want[filepath.Clean(h.Name)] = fmt.Sprintf("%d %x", h.Size, sum.Sum(nil))
				}
			}
			// A higher layer hides one of the files, so that its content is skipped.
			for _, over := range []string{"nothing=1", "few=1", "many=1"} {
				path, err := sif(t, image(t, nil, raw, layerTar(t, over)), convert.Options{})
				if err != nil {
					t.Fatal(err)
				}
				c, err := convert.Inspect(path)
				if err != nil {
					t.Fatal(err)
				}
				hidden, _, _ := strings.Cut(over, "=")
				got := inSIF(t, path, c)
				for name, content := range want {
					if n := got[name]; name != hidden && fmt.Sprintf("%d %s", n.Size, n.Content) != content {
						t.Errorf("over %s: %s is %d %s, want %s", over, name, n.Size, n.Content, content)
					}
				}
			}
		})
	}
}

// Holes of any size cost almost nothing; reading 256 GiB of zeros takes 38 s of processor time.
func TestLargeHoles(t *testing.T) {
	dir := t.TempDir()
	holed(t, dir+"/large", 256<<30, 100<<30)
	for _, how := range []string{"--format=gnu", "--format=pax"} {
		raw := sparseTar(t, dir, how)
		begin := processors(t)
		path, err := sif(t, image(t, nil, raw), convert.Options{})
		if took := processors(t) - begin; err != nil || took > 5 {
			t.Fatalf("%s: %.1f s of the processors, %v; want less than 5", how, took, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
			t.Errorf("%s: the SIF has %d bytes, %v", how, info.Size(), err)
		}
		if out, err := readAt(t, path, "large", 100<<30-4, 20); err != nil || out != "\x00\x00\x00\x00data at 10737418" {
			t.Errorf("%s: the middle reads as %q, %v", how, out, err)
		}
	}
}

// processors returns the processor time of this process in seconds.
func processors(t *testing.T) float64 {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// An archive is damaged if a map does not match the stored data.
func TestSparseMapThatDoesNotFit(t *testing.T) {
	dir := t.TempDir()
	holed(t, dir+"/f", 1<<20, 300_000)
	raw := sparseTar(t, dir, "--format=pax", "--sparse-version=1.0")
	for _, change := range [][2]string{{"\n4096\n", "\n8192\n"}, {"\n4096\n", "\n1024\n"}, {"\n4096\n", "\n-096\n"}, {"\n299008\n", "\n-99008\n"}} {
		bad := bytes.Replace(raw, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(bad, raw) {
			t.Fatalf("the archive has no %q", change[0])
		}
		_, err := sif(t, image(t, nil, bad), convert.Options{})
		if class, _, _ := fault.Of(err, ""); err == nil || class == "" {
			t.Errorf("%q: SIF = %v of class %q, want an error", change, err, class)
		}
	}
}

func readAt(t *testing.T, sif, name string, at int64, n int) (string, error) {
	t.Helper()
	c, err := convert.Inspect(sif)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(sif)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fsys, err := squashfs.Open(io.NewSectionReader(f, c.Offset, c.Size))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := fsys.Resolve(name)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = fsys.ReadAt(ref, b, at)
	return string(b), err
}
