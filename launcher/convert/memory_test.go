package convert_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/convert"
)

// resident returns a line of /proc/self/status about this process's memory, in bytes.
func resident(t *testing.T, line string) (n int) {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(raw)); s.Scan(); {
		if _, err := fmt.Sscanf(s.Text(), line+": %d kB", &n); err == nil {
			return n << 10
		}
	}
	t.Fatalf("/proc/self/status has no %s", line)
	return 0
}

// An entry takes up to 200 bytes beside its name; the rest of a conversion's memory does not depend
// on the image.
func TestMemoryOfAnEntry(t *testing.T) {
	if testing.Short() {
		t.Skip("large layers are not made by a short run")
	}
	const entries, most, basis = 200_000, 200, 24 << 20
	for name, make := range map[string]func(i int) tar.Header{
		"empty files":     func(i int) tar.Header { return tar.Header{Typeflag: tar.TypeReg} },
		"symlinks":        func(i int) tar.Header { return tar.Header{Typeflag: tar.TypeSymlink, Linkname: "x"} },
		"directories":     func(i int) tar.Header { return tar.Header{Typeflag: tar.TypeDir} },
		"hard links":      func(i int) tar.Header { return tar.Header{Typeflag: tar.TypeLink, Linkname: "0/000000"} },
		"fifos":           func(i int) tar.Header { return tar.Header{Typeflag: tar.TypeFifo} },
		"different files": func(i int) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Size: 8} },
	} {
		t.Run(name, func(t *testing.T) {
			var raw bytes.Buffer
			w := tar.NewWriter(&raw)
			for i := range entries {
				h := make(i)
				if h.Name = fmt.Sprintf("%d/%06d", i/5000, i); i == 0 {
					h = tar.Header{Name: h.Name, Typeflag: tar.TypeReg}
				}
				err := w.WriteHeader(&h)
				if err == nil && h.Size > 0 {
					_, err = fmt.Fprintf(w, "%08d", i)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			img := image(t, nil, raw.Bytes())
			raw = bytes.Buffer{}
			defer debug.SetGCPercent(debug.SetGCPercent(40)) // as in the launcher
			debug.FreeOSMemory()
			if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
				t.Skipf("the peak cannot be set back: %v", err)
			}
			before := resident(t, "VmRSS")
			if _, err := sif(t, img, convert.Options{Workers: 2}); err != nil {
				t.Fatal(err)
			}
			took := resident(t, "VmHWM") - before
			t.Logf("%d bytes, %d an entry", took, (took-basis)/entries)
			if took > basis+entries*(most+len("0/000000")) {
				t.Errorf("%d entries took %d bytes, more than %d each", entries, took, most)
			}
		})
	}
}

// The error about an image that exceeds a bound of memory names the bound.
func TestTooManyXattrs(t *testing.T) {
	var all []entry
	for i := range 1100 {
		all = append(all, file(fmt.Sprint(i), "").xattr("user.a", fmt.Sprintf("%0*d", 62_000, i)))
	}
	_, err := sif(t, image(t, nil, pack(t, all...)), convert.Options{})
	if err == nil || !strings.Contains(err.Error(), "the extended attributes take more than 64 MiB") || !strings.Contains(err.Error(), "layer 1") {
		t.Errorf("SIF = %v, want that the extended attributes are too many", err)
	}
}

func TestTooManyLayers(t *testing.T) {
	layer := layerTar(t, "a=1")
	layers := make([][]byte, 1001)
	for i := range layers {
		layers[i] = layer
	}
	if _, err := sif(t, image(t, nil, layers...), convert.Options{}); err == nil || !strings.Contains(err.Error(), "1001 layers, the limit is 1000") {
		t.Errorf("SIF = %v, want that there are too many layers", err)
	}
}
