package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
)

// kinds are the images that can be written, each by what writes its layers, the lowest first.
func kinds() map[string][]func(*layer) error {
	return map[string][]func(*layer) error{
		"files":  {largeFiles, manyFiles}, // 8 GiB of files
		"empty":  {entries(emptyFiles)},
		"links":  {entries(linked), entries(overLinked)},
		"xattrs": {entries(attributes)},
	}
}

const (
	piece      = 32 << 20
	smallFiles = 150_000
	smallSize  = 6 << 10
	empties    = 1_000_000
	links      = 10_000 // of each kind
	attributed = 1000
)

func largeFiles(l *layer) error {
	text, noisy := make([]byte, 0, piece), make([]byte, piece)
	rnd := rand.New(rand.NewPCG(1, 1))
	for len(text) < piece-64 {
		text = fmt.Appendf(text, "%08x step %d energy %d\n", rnd.Uint32(), len(text),
			rnd.IntN(1000))
	}
	text = text[:piece]
	for i := range piece / 8 {
		noisy[i] = byte(rnd.Uint32())
	}
	for _, f := range []struct {
		name  string
		bytes []byte
		times int
	}{{"zeros", make([]byte, piece), 128}, {"text", text, 68}, {"noisy", noisy, 40}} {
		if err := tar.NewWriter(l).
			WriteHeader(&tar.Header{
				Name: f.name, Mode: 0o644,
				Size: int64(len(f.bytes)) * int64(f.times), Typeflag: tar.TypeReg,
			}); err != nil {
			return err
		}
		if err := l.repeat(f.bytes, f.times); err != nil { // a multiple of 512: no padding
			return err
		}
	}
	return tar.NewWriter(l).Close()
}

func manyFiles(l *layer) error {
	t := tar.NewWriter(l)
	for i := range smallFiles {
		b := bytes.Repeat(fmt.Appendf(nil, "small file %d\n", i), smallSize/16)[:smallSize*2/3]
		h := tar.Header{
			Name: fmt.Sprintf("small/%03d/%d", i%1000, i), Mode: 0o644,
			Size: int64(len(b)), Typeflag: tar.TypeReg,
		}
		if err := t.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := t.Write(b); err != nil {
			return err
		}
	}
	return t.Close()
}

// entries makes a layer of a function that gives it entries.
func entries(fill func(add func(h tar.Header, data string))) func(*layer) error {
	return func(l *layer) error {
		t := tar.NewWriter(l)
		var failed error
		fill(func(h tar.Header, data string) {
			if h.Mode, h.Size, h.Format = 0o755, int64(len(data)), tar.FormatPAX; h.Typeflag == 0 {
				h.Typeflag = tar.TypeReg
			}
			err := t.WriteHeader(&h)
			if err == nil {
				_, err = t.Write([]byte(data))
			}
			failed = errors.Join(failed, err)
		})
		return errors.Join(failed, t.Close())
	}
}

func emptyFiles(add func(tar.Header, string)) {
	for i := range empties {
		add(tar.Header{Name: fmt.Sprintf("empty/%03d/%d", i%1000, i)}, "")
	}
}

// linked has hard links into a directory that the layer above takes away, as package managers'
// caches are, hard links to files that the layer above replaces, and symlinks through which it
// writes directories.
func linked(add func(tar.Header, string)) {
	for _, name := range []string{"cache", "env", "old", "kept", "real", "way"} {
		add(tar.Header{Name: name, Typeflag: tar.TypeDir}, "")
	}
	for i := range links {
		add(tar.Header{Name: fmt.Sprint("cache/", i)}, fmt.Sprintf("package %d\n", i))
		add(tar.Header{
			Name: fmt.Sprint("env/", i), Typeflag: tar.TypeLink,
			Linkname: fmt.Sprint("cache/", i),
		}, "")
		add(tar.Header{Name: fmt.Sprint("old/", i)}, fmt.Sprintf("old %d\n", i))
		add(tar.Header{
			Name: fmt.Sprint("kept/", i), Typeflag: tar.TypeLink,
			Linkname: fmt.Sprint("old/", i),
		}, "")
		add(tar.Header{Name: fmt.Sprint("real/", i), Typeflag: tar.TypeDir}, "")
		add(tar.Header{
			Name: fmt.Sprint("way/", i), Typeflag: tar.TypeSymlink,
			Linkname: fmt.Sprint("/real/", i),
		}, "")
	}
}

func overLinked(add func(tar.Header, string)) {
	add(tar.Header{Name: ".wh.cache"}, "")
	for i := range links {
		add(tar.Header{Name: fmt.Sprint("old/", i)}, fmt.Sprintf("new %d\n", i))
		add(tar.Header{Name: fmt.Sprintf("way/%d/new", i), Typeflag: tar.TypeDir}, "")
		add(tar.Header{Name: fmt.Sprintf("way/%d/new/file", i)}, "through\n")
	}
}

// attributes has files whose extended attributes are all different and as many as may be.
func attributes(add func(tar.Header, string)) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for i := range attributed {
		value := make([]byte, 60_000)
		for j := range value {
			value[j] = byte(rnd.Uint32())
		}
		add(tar.Header{
			Name:       fmt.Sprint(i),
			PAXRecords: map[string]string{"SCHILY.xattr.user.a": string(value)},
		}, "")
	}
}
