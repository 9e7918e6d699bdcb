package convert_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
)

// archive makes a layer of headers. A file's content is zeros, as many as its size says, but at
// most a block.
func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			_, _ = w.Write(make([]byte, min(h.Size, 512))) // Close reports an error
		}
	}
	_ = w.Close() // an error is expected if a file is shorter than its header says
	return b.Bytes()
}

// patched changes bytes of a layer's first header and corrects its checksum.
func patched(raw []byte, at int, field string) []byte {
	raw = bytes.Clone(raw)
	copy(raw[at:], field)
	copy(raw[148:156], "        ")
	sum := 0
	for _, c := range raw[:512] {
		sum += int(c)
	}
	copy(raw[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return raw
}

// sparse makes a layer of a file in PAX's sparse format 1.0. It claims the given size, and has
// three bytes of data at its begin.
func sparse(size string) []byte {
	var records string
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=some/file", "GNU.sparse.realsize=" + size} {
		n := len(r) + 4 // two digits, a blank and a line's end
		records += fmt.Sprintf("%d %s\n", n, r)
	}
	header := func(kind, data string) []byte {
		raw := make([]byte, 512+(len(data)+511)/512*512)
		copy(raw, "x")
		copy(raw[100:], "0000644\x000000000\x000000000\x00"+fmt.Sprintf("%011o\x00", len(data))+"00000000000\x00")
		copy(raw[156:], kind)
		copy(raw[257:], "ustar\x0000")
		copy(raw[512:], data)
		return patched(raw, 0, "x")
	}
	file := string(append([]byte("1\n0\n3\n"), make([]byte, 506)...)) + "abc"
	return append(append(header("x", records), header("0", file)...), make([]byte, 1024)...)
}

// Content that no layer may have is refused with an error that names the layer and the path.
func TestBadEntries(t *testing.T) {
	ustar := archive(t, tar.Header{Name: "some/file", Typeflag: tar.TypeReg, Size: 3, Format: tar.FormatUSTAR})
	deep := strings.Repeat("d/", 3000)
	tests := []struct {
		name  string
		layer []byte
		want  string
	}{
		{"out of the root", layerTar(t, "../etc/passwd=1"), `"../etc/passwd": it leads out of the image's root`},
		{"out of the root by a detour", layerTar(t, "a/../../b=1"), `"a/../../b": it leads out`},
		{"out of the root, absolute", layerTar(t, "/../b=1"), `"/../b": it leads out`},
		{"the directory above", layerTar(t, "../"), `"../": it leads out`},
		{"a whiteout out of the root", layerTar(t, "../.wh.etc="), `"../.wh.etc": it leads out`},
		{"a hard link out of the root", layerTar(t, "a=>../../etc/shadow"), `"a": a hard link to "../../etc/shadow": it leads out`},
		{"a file as the root", archive(t, tar.Header{Name: ".", Typeflag: tar.TypeSymlink, Linkname: "/x"}), `".": the image's root is no directory`},
		{"a type that nobody knows", patched(ustar, 156, "Z"), `"some/file": an entry of unknown type 'Z'`},
		{"a size beyond 2^63", patched(ustar, 124, "\xff\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"), "no tar archive"},
		{"a size of 2^63-1", patched(ustar, 124, "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"), `"some/file": the image has more than`},
		{"a negative size", patched(ustar, 124, "-0000000001\x00"), "no tar archive"},
		{"a size that is no number", patched(ustar, 124, "abcdefghijk\x00"), "no tar archive"},
		{"a file that is cut short", ustar[:514], `"some/file": the layer is no tar archive, or is cut short`},
		{"a sparse file of 8 EiB", sparse("9223372036854775807"), `"some/file": the image has more than`},
		{"a bad header behind a good one", append(layerTar(t, "good=1")[:1024:1024], bytes.Repeat([]byte("x"), 1024)...), `behind "good"`},
		{"an owner beyond 32 bits", archive(t, tar.Header{Name: "x", Typeflag: tar.TypeReg, Uid: 1 << 33, Format: tar.FormatGNU}), `"x": the owner 8589934592:0`},
		{"an owner that means none", archive(t, tar.Header{Name: "x", Typeflag: tar.TypeReg, Gid: 1<<32 - 1, Format: tar.FormatPAX}), `"x": the owner 0:4294967295`},
		{"a device beyond Linux", archive(t, tar.Header{Name: "x", Typeflag: tar.TypeChar, Devmajor: 1 << 12, Format: tar.FormatGNU}), `"x": the device 4096:0`},
		{"a symlink to nothing", layerTar(t, "a->"), `"a": a symlink to a path of 0 bytes`},
		{"a symlink to a path that is too long", layerTar(t, "a->"+strings.Repeat("x", 5000)), `"a": a symlink to a path of 5000 bytes`},
		{"a name that is too long", layerTar(t, strings.Repeat("n", 256)+"=1"), `a name of 256 bytes`},
		{"a path that is too deep", layerTar(t, deep+"f=1"), `a path is 3001 directories deep`},
		{"a file below a file", layerTar(t, "a=1", "a/b=2"), `"a/b": "a" is no directory`},
		{"links in a circle", layerTar(t, "a=>b", "b=>a"), "links go round in a circle"},
		{"a hard link to nothing", layerTar(t, "a=>b"), "no layer holds that file"},
		{"a hard link to a directory", layerTar(t, "d/", "a=>d"), "no layer holds that file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := image(t, nil, layerTar(t, "base=1"), tt.layer)
			_, err := sif(t, img, convert.Options{})
			class, _, _ := fault.Of(err, "")
			if err == nil || class != fault.Registry || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "layer 2") {
				t.Errorf("SIF = %v of class %q; want layer 2, %q and class registry", err, class, tt.want)
			}
		})
	}
}

// Symlinks are kept as they are written, wherever they lead: a conversion follows none of them.
func TestLinksOutOfTheRootAreKept(t *testing.T) {
	path, err := sif(t, image(t, nil, layerTar(t, "abs->/etc/passwd", "up->../../../../etc/passwd", "gone->/no/such/file", "twice->abs")), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"abs->/etc/passwd", "gone->/no/such/file", "twice->abs", "up->../../../../etc/passwd"}
	if diff := cmp.Diff(want, theirs(tree(t, path))); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

// A layer may have several gzip members, as estargz and pigz make them, and zeros after its
// archive. Anything else after a gzip stream makes it a damaged layer.
func TestAroundAnArchive(t *testing.T) {
	raw := layerTar(t, "a=1", "b=2")
	split := append(gzipped(t, raw[:700]), gzipped(t, raw[700:])...)
	tests := []struct {
		name string
		blob []byte
		raw  []byte // inflated
		want string // of the error, "" for none
	}{
		{"members", split, raw, ""},
		{"an empty member at the end", append(gzipped(t, raw), gzipped(t, nil)...), raw, ""},
		{"zeros behind the archive", gzipped(t, append(bytes.Clone(raw), make([]byte, 4096)...)), append(bytes.Clone(raw), make([]byte, 4096)...), ""},
		{"no end mark", gzipped(t, raw[:len(raw)-1024]), raw[:len(raw)-1024], ""},
		{"garbage behind the stream", append(gzipped(t, raw), "garbage garbage"...), raw, "inflating"},
		{"a member that is cut short", split[:len(split)-9], raw, "inflating"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := image(t, nil, tt.raw)
			img.Layers[0].Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tt.blob)), nil }
			path, err := sif(t, img, convert.Options{})
			if tt.want != "" {
				if class, _, _ := fault.Of(err, ""); err == nil || class != fault.Registry || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("SIF = %v of class %q, want %q of class registry", err, class, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"a=1", "b=2"}, theirs(tree(t, path))); diff != "" {
				t.Errorf("differs (-want +got):\n%s", diff)
			}
		})
	}
}

// The error about a layer that cannot be read names its media type, if that is unusual.
func TestMediaTypes(t *testing.T) {
	const oci = "application/vnd.oci.image.layer."
	raw := layerTar(t, "a=1")
	odd := append([]byte("\x04\x22\x4d\x18"), raw...) // lz4's first bytes
	tests := []struct {
		name, media string
		blob        []byte
		want        string // of the error, "" for none
	}{
		{"gzip by a wrong name", oci + "v1.tar+zstd", gzipped(t, raw), ""},
		{"not distributable, but there", oci + "nondistributable.v1.tar+gzip", gzipped(t, raw), ""},
		{"lz4", oci + "v1.tar+lz4", odd, `layer 1 (` + digest(odd) + `) of type "` + oci + `v1.tar+lz4"`},
		{"lz4 by gzip's name", oci + "v1.tar+gzip", odd, "no tar archive"},
		{"encrypted", oci + "v1.tar+gzip+encrypted", odd, "the layer is encrypted"},
		{"no layer", "application/octet-stream", odd, `of type "application/octet-stream"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := image(t, nil, raw)
			img.Layers[0].MediaType, img.Layers[0].Digest = tt.media, digest(tt.blob)
			img.Layers[0].Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tt.blob)), nil }
			_, err := sif(t, img, convert.Options{})
			if tt.want == "" && err == nil {
				return
			}
			if class, _, _ := fault.Of(err, ""); tt.want == "" || err == nil || class != fault.Registry || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("SIF = %v of class %q, want %q of class registry", err, class, tt.want)
			}
		})
	}
}
