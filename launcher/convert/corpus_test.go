package convert_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// entry is an entry of a layer. The defaults of its fields are owner root, mode 0644 or 0755, a
// time of its own and the format PAX.
type entry struct {
	tar.Header
	data string
}

func file(name, data string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, data}
}

func dir(name string, mode int64) entry {
	return entry{Header: tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: mode}}
}

func symlink(name, target string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o644}}
}

func hard(name, to string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to, Mode: 0o600, Uid: 77}} // of a link only the name counts
}

func special(name string, kind byte, major, minor int64) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: kind, Devmajor: major, Devminor: minor, Mode: 0o660, Format: tar.FormatGNU}}
}

func (e entry) mode(mode int64) entry     { e.Mode = mode; return e }
func (e entry) owner(u, g int) entry      { e.Uid, e.Gid = u, g; return e }
func (e entry) at(t time.Time) entry      { e.ModTime = t; return e }
func (e entry) format(f tar.Format) entry { e.Format = f; return e }

func (e entry) xattr(name, value string) entry {
	records := maps.Clone(e.PAXRecords)
	if records == nil {
		records = map[string]string{}
	}
	records["SCHILY.xattr."+name] = value
	e.PAXRecords = records
	return e
}

// pack makes a layer's archive of entries.
func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, e := range entries {
		if e.Format == tar.FormatUnknown {
			e.Format = tar.FormatPAX
		}
		if e.ModTime.IsZero() {
			e.ModTime = time.Unix(1_500_000_000+int64(i)*1000, 0)
		}
		e.Size = int64(len(e.data))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// blob is a layer of the corpus.
type blob struct {
	raw    []byte // the archive
	stored []byte // as an image holds it; nil for raw by gzip
	media  string // "" for gzip's
	oracle []byte // an archive with the same meaning, if umoci cannot read raw; nil for raw
}

func packed(t testing.TB, entries ...entry) blob { return blob{raw: pack(t, entries...)} }

// sparseArchive is made by GNU tar, because Go's package writes no sparse files. The file has holes
// at its begin, in the middle and at its end.
func sparseArchive(t testing.TB, args ...string) []byte {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{1 << 20, 1<<20 + 300_000, 2 << 20} {
		if _, err := f.WriteAt([]byte(strings.Repeat("data", 2000)), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(3<<20 + 17); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tar", append(args, "-C", filepath.Dir(f.Name()), "--numeric-owner", "--mtime=@1400000000", "-cf", "-", "sparse")...).Output()
	if err != nil {
		t.Fatalf("tar %q: %v", args, err)
	}
	return out
}

// capability is cap_net_raw=ep as the kernel stores it (VFS_CAP_REVISION_2).
const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// corpus returns images that each test one thing, with their layers from the lowest.
func corpus(t testing.TB) map[string][]blob {
	t.Helper()
	one := func(entries ...entry) blob { return packed(t, entries...) }
	block := func(n int) string { return strings.Repeat("0123456789abcdef", n/16+1)[:n] }
	long := strings.Repeat("a-rather-long-directory/", 14)
	sub := time.Unix(1_600_000_000, 900_000_000)
	images := map[string][]blob{
		"types": {one(
			dir(".", 0o755), dir("d", 0o700), file("d/f", "x"), hard("h", "d/f"), symlink("s", "d/f"), hard("hs", "s"),
			special("null", tar.TypeChar, 1, 3), special("big", tar.TypeChar, 4095, 1<<20-1), special("disk", tar.TypeBlock, 259, 65536),
			special("fifo", tar.TypeFifo, 0, 0), hard("hfifo", "fifo"), hard("hnull", "null"), entry{Header: tar.Header{Name: "old", Typeflag: tar.TypeRegA, Mode: 0o644, Format: tar.FormatUSTAR}}, //nolint:staticcheck // as old archives have it
		), one(hard("d/disk", "disk"), special("null", tar.TypeChar, 1, 5))},
		"whiteouts": {
			one(file("f", "1"), dir("d", 0o755), file("d/a", "1"), file("d/b", "2"), symlink("s", "d"), special("p", tar.TypeFifo, 0, 0), dir("deep", 0o755), dir("deep/x", 0o755), file("deep/x/y", "1")),
			one(file(".wh.f", ""), file("d/.wh.a", ""), file(".wh.s", ""), file(".wh.p", ""), file("deep/.wh.x", ""), file(".wh.nothing", ""), file("no/.wh.thing", "")),
			one(file("f", "again"), dir("deep/x", 0o711), file("deep/x/z", "1")),
		},
		// A whiteout after the directory that it is about is tested by TestFlatten, not here. By
		// the image specification it hides lower layers only, so that the directory's entry remains
		// in force; umoci removes the lower files and leaves the directory with the clock's time.
		"whiteouts around the new file": {
			one(file("a", "1"), file("b", "1"), dir("d", 0o755), file("d/x", "1"), symlink("e", "a")),
			one(file(".wh.a", ""), file("a", "2"), file("b", "2"), file(".wh.b", ""), file(".wh.d", ""), dir("d", 0o700), file("d/y", "2"), symlink("e", "b"), file(".wh.e", "")),
		},
		"opaque": {
			one(dir("a", 0o755), file("a/x", "1"), dir("a/s", 0o755), file("a/s/x", "1"), dir("b", 0o750), file("b/x", "1"), dir("c", 0o750), file("c/x", "1"), dir("c/d", 0o755), file("c/d/e", "1")),
			one(dir("a", 0o755), file("a/.wh..wh..opq", ""), file("a/y", "2"), dir("b", 0o755), file("b/y", "2"), file("b/.wh..wh..opq", ""), file("c/.wh..wh..opq", ""), dir("c/d", 0o700), file("c/d/f", "2")),
			one(file("a/z", "3"), file("c/d/g", "3")),
		},
		"files and directories change places": {
			one(dir("a", 0o755), file("a/x", "0"), file("b", "0"), symlink("c", "a"), dir("d", 0o755), file("d/x", "0"), dir("g", 0o755)),
			one(file("a", "1"), dir("b", 0o755), file("b/x", "1"), dir("c", 0o755), file("c/x", "1"), symlink("d", "b"), special("g", tar.TypeFifo, 0, 0)),
			one(dir("a", 0o711), file("a/y", "2"), file("b", "2"), file("c", "2"), dir("d", 0o755), dir("g", 0o700), file("g/x", "2")),
		},
		"through symlinks": {
			one(dir("usr", 0o755), dir("usr/lib", 0o755), file("usr/lib/x", "0"), file("usr/lib/y", "0"), symlink("lib", "usr/lib"), dir("var", 0o755), symlink("var/abs", "/usr/lib"), symlink("usr/lib/64", "32"), dir("usr/lib/32", 0o755), dir("opq", 0o755), file("opq/x", "0"), symlink("o", "opq")),
			one(file("lib/x", "1"), file("var/abs/z", "1"), dir("lib/new", 0o700), file("lib/new/f", "1"), file("lib/64/a", "1"), hard("hard", "lib/x"), hard("usr/hard", "usr/lib/z")),
			one(file("lib/.wh.y", ""), file("lib/new/g", "2"), file("o/.wh..wh..opq", ""), file("o/y", "2"), hard("late", "lib/x")),
		},
		"hard links": {
			one(file("a", "1").mode(0o600).owner(5, 6), hard("b", "a"), file("c", "1"), file("k", "kept"), hard("k2", "k"), dir("d", 0o755), hard("d/k3", "k2"), file("w", "gone"), hard("w2", "w"), hard("w3", "w2")),
			one(hard("e", "a"), file("c", "2"), hard("f", "c"), hard("d/g", "k")),
			one(file("a", "3"), file(".wh.w", ""), hard("h", "e"), file("k", "3")),
		},
		"modes and owners": {one(
			dir(".", 0o751).owner(3, 4), file("setuid", "x").mode(0o4755), file("setgid", "x").mode(0o2711), file("all", "x").mode(0o7777), file("none", "x").mode(0), dir("sticky", 0o1777), dir("sg", 0o2770).owner(70_000, 80_000),
			file("sg/f", "x").owner(65_536, 1<<31), file("max", "").owner(1<<32-2, 1<<32-2), symlink("s", "x").owner(7, 8), special("p", tar.TypeFifo, 0, 0).owner(9, 10).mode(0o622),
		)},
		"xattrs": {
			one(file("u", "x").xattr("user.a", "1").xattr("user.bin", "\xff\xfe\x01").xattr("user.empty.not", strings.Repeat("v", 2000)), file("cap", "x").mode(0o755).xattr("security.capability", capability), dir("d", 0o755).xattr("user.d", "dir"), file("same", "y").xattr("user.a", "1"), hard("hard", "u"),
				dir("opaque", 0o755).xattr("user.overlay.opaque", "x").xattr("user.own", "1"), file("opaque/gone", "").xattr("user.overlay.whiteout", "y"), file("others", "x").xattr("trusted.t", "1").xattr("system.posix_acl_access", acl).xattr("user.kept", "1")),
			one(dir("d", 0o755), file("same", "z").xattr("user.a", "2")),
			one(file("d/f", "1")),
		},
		"sparse files": {
			{raw: sparseArchive(t, "-S", "--format=gnu"), oracle: sparseArchive(t, "-S", "--format=pax")}, // umoci refuses the type 'S'
			{raw: sparseArchive(t, "-S", "--format=pax", "--sparse-version=0.0", "--transform=s/sparse/v00/")},
			{raw: sparseArchive(t, "-S", "--format=pax", "--sparse-version=0.1", "--transform=s/sparse/v01/")},
			{raw: sparseArchive(t, "-S", "--format=pax", "--sparse-version=1.0", "--transform=s/sparse/v10/")},
		},
		"names": {one(
			file(long+"f", "1"), file(strings.Repeat("n", 255), "1"), file(long+strings.Repeat("n", 200), "1").format(tar.FormatGNU), symlink("longlink", long+"f"), hard("longhard", long+"f"),
			file("new\nline", "1"), file("a blank ", "1"), file("ü", "1"), file("u\u0308", "1"), file("\xff\xfe", "1").format(tar.FormatGNU), file("-rf", "1"), file("back\\slash", "1"), file("*?[x]", "1"), file("\x01\x7f\t", "1"), file("...", "1"), file(".hidden", "1"), file("wh.file", "1"), file("a.wh.b", "1"),
			dir("ünter\nlinie", 0o755), file("ünter\nlinie/x", "1"), file("./dotted/./x", "1"), file("/absolute", "1"), file("d//double", "1"), file("Case", "1"), file("case", "2"), symlink("odd\nlink", "new\nline/../\xff").format(tar.FormatGNU),
		)},
		"sizes": {one(
			file("0", ""), file("1", "x"), file("131071", block(131071)), file("131072", block(131072)), file("131073", block(131073)), file("262144", block(262144)), file("holes", strings.Repeat("\x00", 400_000)+"x"), file("zeros", strings.Repeat("\x00", 131072)),
			file("same1", block(131072)), file("same2", block(131073)), file("small1", "duplicate"), file("small2", "duplicate"), file("also empty", ""),
		), one(file("same3", block(131073)), file("1", "y"))},
		"twice in one layer": {one(
			file("f", "1"), file("f", "2").mode(0o600), dir("d", 0o755), file("d/x", "1"), dir("d", 0o700), file("g", "1"), symlink("g", "f"), symlink("h", "f"), file("h", "3"), file("i", "1"), dir("i", 0o755), file("i/j", "1"), dir("k", 0o755), file("k/l", "1"), file("k", "2"), file("m", "1"), hard("n", "m"), file("m", "2"),
		), one(file("f", "3"), file("f", "4"))},
		"times": {one(
			dir("d", 0o755).at(time.Unix(1000, 0)), file("d/epoch", "").at(time.Unix(0, 0)), file("d/before", "").at(time.Unix(-86400, 0)), file("d/future", "").at(time.Unix(5_000_000_000, 0)), file("d/2106", "").at(time.Unix(1<<32-1, 0)), file("d/sub", "").at(sub), symlink("d/s", "x").at(time.Unix(2000, 0)), special("d/p", tar.TypeFifo, 0, 0).at(time.Unix(3000, 0)),
		), one(file("d/later", "1")), one(file("d/.wh.later", ""))},
		"directories behind what is in them": {one(file("d/e/f", "1"), dir("d/e", 0o711).owner(1, 2).at(time.Unix(5, 0)), dir("d", 0o2755).owner(3, 4).at(time.Unix(6, 0))), one(file("d/e/g", "1"))},
		"parents without an entry":           {one(file("a/b/c", "1"), file("x/y", "1")), one(file("a/b/d", "2"), dir("x", 0o711).at(time.Unix(9, 0)), special("p/q/r", tar.TypeFifo, 0, 0))},
	}
	images["compressions"] = compressions(t)
	return images
}

// acl is an access list in the kernel's form: user 1000 may read.
const acl = "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x04\x00\xe8\x03\x00\x00\x04\x00\x04\x00\xff\xff\xff\xff\x10\x00\x04\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff"

// compressions are the ways in which an image stores a layer. umoci gets gzip in place of zstd.
func compressions(t testing.TB) []blob {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	raws := [4][]byte{pack(t, file("zstd", "1")), pack(t, file("plain", "1")), pack(t, file("members", strings.Repeat("1", 2000))), pack(t, file("zframes", "1"))}
	return []blob{
		{raw: raws[0], stored: enc.EncodeAll(raws[0], nil), media: oci.MediaTypeLayerZstd, oracle: raws[0]},
		{raw: raws[1], stored: raws[1], media: oci.MediaTypeLayer},
		{raw: raws[2], stored: append(gzipped(t, raws[2][:1000]), gzipped(t, raws[2][1000:])...)},
		{raw: raws[3], stored: append(enc.EncodeAll(raws[3][:700], nil), enc.EncodeAll(raws[3][700:], nil)...), media: oci.MediaTypeLayerZstd, oracle: raws[3]},
	}
}

// corpusImage makes two images of blobs: the one to convert, and the one for umoci.
func corpusImage(t testing.TB, blobs []blob) (ours, oracle convert.Image) {
	t.Helper()
	var raws, plain [][]byte
	for _, b := range blobs {
		raws = append(raws, b.raw)
		if b.oracle == nil {
			b.oracle = b.raw
		}
		plain = append(plain, b.oracle)
	}
	ours, oracle = image(t, nil, raws...), image(t, nil, plain...)
	for i, b := range blobs {
		if b.stored == nil {
			continue
		}
		l := convert.Layer{
			Descriptor: oci.Descriptor{MediaType: b.media, Digest: digest(b.stored), Size: int64(len(b.stored))},
			Open:       func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.stored)), nil },
		}
		if ours.Layers[i] = l; b.media == "" {
			ours.Layers[i].MediaType = oci.MediaTypeLayerGzip
		}
		if b.oracle == nil {
			oracle.Layers[i] = ours.Layers[i]
		}
	}
	return ours, oracle
}

// The tree of every image is the one that umoci unpacks, as read by package squashfs and by
// unsquashfs.
func TestCorpus(t *testing.T) {
	needOracles(t)
	for name, blobs := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			ours, oracle := corpusImage(t, blobs)
			sameTree(t, ours, umociUnpack(t, oracle))
		})
	}
	for _, lab := range []string{"login-image", "demo-image"} {
		t.Run(lab, func(t *testing.T) {
			img := labImage(t, lab)
			sameTree(t, img, umociUnpack(t, img))
		})
	}
}
