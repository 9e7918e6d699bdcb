package fetch_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// packers compress an archive as a whole, each in a way that tools have.
func packers(t *testing.T) map[string]func([]byte) []byte {
	t.Helper()
	through := func(open func(io.Writer) (io.WriteCloser, error)) func([]byte) []byte {
		return func(raw []byte) []byte {
			var b bytes.Buffer
			w, err := open(&b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(raw); err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
	}
	zip := through(func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	zst := through(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) })
	return map[string]func([]byte) []byte{
		"gzip": zip,
		"gzip of several members": func(raw []byte) []byte { // as pigz and bgzip write
			half := len(raw) / 2
			return append(zip(raw[:half]), zip(raw[half:])...)
		},
		"zstd": zst,
		"zstd behind a skippable frame": func(raw []byte) []byte { // as pzstd writes
			frame := binary.LittleEndian.AppendUint32(nil, 0x184d2a50)
			frame = append(binary.LittleEndian.AppendUint32(frame, 4), 1, 2, 3, 4)
			return append(frame, zst(raw)...)
		},
		"xz": through(func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		"bzip2": func(raw []byte) []byte {
			cmd := exec.Command("bzip2", "-c")
			cmd.Stdin = bytes.NewReader(raw)
			out, err := cmd.Output()
			if err != nil {
				t.Skip("bzip2 is not installed")
			}
			return out
		},
	}
}

// An archive that is compressed as a whole is read as one that is not, through a file that is gone
// afterwards.
func TestCompressedArchives(t *testing.T) {
	plain := map[string]string{"oci-archive": writeTar(t, layoutFiles(t, ""), nil), "docker-archive": writeTar(t, dockerFiles(t), map[string]string{"b/layer.tar": "../a/layer.tar"})}
	for name, pack := range packers(t) {
		for transport, file := range plain {
			t.Run(name+" "+transport, func(t *testing.T) {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				packed := pack(raw)
				tag := map[string]string{"docker-archive": ":2"}[transport]
				if err := readPacked(t, transport, packed, tag); err != nil {
					t.Error(err)
				}
				wantFault(t, readPacked(t, transport, packed[:len(packed)/2], tag), fault.Registry, "unpacking ")
				damaged := bytes.Clone(packed)
				for i := len(damaged) / 3; i < len(damaged)/3+8; i++ {
					damaged[i] ^= 0x55
				}
				if err := readPacked(t, transport, damaged, tag); err == nil {
					t.Error("a damaged archive is read")
				}
			})
		}
	}
}

func readPacked(t *testing.T, transport string, packed []byte, tag string) error {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "image.tar.x")
	if err := os.WriteFile(file, packed, 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := oci.ParseReference(transport + ":" + file + tag)
	if err != nil {
		t.Fatal(err)
	}
	scratch := 0
	src, err := fetch.Open(t.Context(), ref, fetch.Options{Scratch: func() (*os.File, error) {
		scratch++
		f, err := os.CreateTemp(dir, "scratch")
		if err == nil {
			err = os.Remove(f.Name())
		}
		return f, err
	}})
	if err != nil {
		return err
	}
	defer src.Close()
	if scratch != 1 {
		t.Errorf("%d files were made", scratch)
	}
	return readSource(t, src, transport)
}

// What has no place to be unpacked is refused in words.
func TestCompressedArchiveWithoutScratch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.tar.gz")
	if err := os.WriteFile(file, []byte("\x1f\x8b\x08\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, readAll(t, "oci-archive:"+file), fault.Registry, "compressed as a whole (gzip)")
}

// A window that would take more memory than is allowed is refused by its limit.
func TestWindowOfCompressedArchive(t *testing.T) {
	// A frame's header (RFC 8878, 3.1.1.1): no single segment, a window of 2^(10+21) bytes.
	packed := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3}, bytes.Repeat([]byte{0}, 64)...)
	err := readPacked(t, "oci-archive", packed, "")
	wantFault(t, err, fault.Registry, "window is larger than 512 MiB")
	if _, hints, _ := fault.Of(err, ""); !strings.Contains(strings.Join(hints, " "), "--long=29") {
		t.Errorf("hints %q", hints)
	}
}
