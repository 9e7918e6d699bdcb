// Command large writes an OCI layout of one image that is large in some way, for measuring what a
// conversion takes: large DIR [KIND]. A layer costs some seconds at most: large files are made of a
// piece that is compressed once, since a gzip stream may be put together of members. The kinds are
// in kinds.go.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
)

func main() {
	kind := "files"
	if len(os.Args) == 3 {
		kind = os.Args[2]
	}
	layers := kinds()[kind]
	if len(os.Args) < 2 || len(os.Args) > 3 || layers == nil {
		fmt.Fprintf(os.Stderr, "usage: large DIR [%s]\n",
			strings.Join(slices.Sorted(maps.Keys(kinds())), "|"))
		os.Exit(2)
	}
	if err := run(os.Args[1], layers); err != nil {
		fmt.Fprintln(os.Stderr, "large:", err)
		os.Exit(1)
	}
}

func run(dir string, fills []func(*layer) error) error {
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	var layers []descriptor
	var diffIDs []string
	for _, fill := range fills {
		d, diffID, err := write(blobs, fill)
		if err != nil {
			return err
		}
		layers, diffIDs = append(layers, d), append(diffIDs, diffID)
	}
	config, err := document(blobs, "application/vnd.oci.image.config.v1+json", map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return err
	}
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	manifest, err := document(blobs, mediaType,
		map[string]any{
			"schemaVersion": 2, "mediaType": mediaType, "config": config,
			"layers": layers,
		})
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{"org.opencontainers.image.ref.name": "t"}
	index, err := json.Marshal(
		map[string]any{
			"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
			"manifests": []descriptor{manifest},
		})
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "index.json"), index, 0o644),
		os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`),
			0o644))
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func document(blobs, mediaType string, v any) (descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	sum := sha256.Sum256(raw)
	d := descriptor{
		MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]),
		Size: int64(len(raw)),
	}
	return d, os.WriteFile(filepath.Join(blobs, hex.EncodeToString(sum[:])), raw, 0o644)
}

// layer is a tar archive that is being compressed into a blob.
type layer struct {
	file    *os.File
	packed  hash.Hash
	content hash.Hash
	size    int64
	gz      *gzip.Writer
}

func write(blobs string, fill func(*layer) error) (descriptor, string, error) {
	f, err := os.CreateTemp(blobs, "new-")
	if err != nil {
		return descriptor{}, "", err
	}
	defer f.Close()
	l := &layer{file: f, packed: sha256.New(), content: sha256.New()}
	if l.gz, err = gzip.NewWriterLevel(writer(l.raw), gzip.BestSpeed); err != nil {
		return descriptor{}, "", err
	}
	if err := errors.Join(fill(l), l.gz.Close(), f.Chmod(0o644)); err != nil {
		return descriptor{}, "", err
	}
	sum := hex.EncodeToString(l.packed.Sum(nil))
	d := descriptor{
		MediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
		Digest:    "sha256:" + sum, Size: l.size,
	}
	return d, "sha256:" + hex.EncodeToString(l.content.Sum(nil)),
		os.Rename(f.Name(), filepath.Join(blobs, sum))
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// raw writes bytes of the blob.
func (l *layer) raw(b []byte) (int, error) {
	l.packed.Write(b)
	l.size += int64(len(b))
	return l.file.Write(b)
}

// Write compresses bytes of the archive.
func (l *layer) Write(b []byte) (int, error) {
	l.content.Write(b)
	return l.gz.Write(b)
}

// repeat writes the bytes n times, as members of their own.
func (l *layer) repeat(b []byte, n int) error {
	var member bytes.Buffer
	z, err := gzip.NewWriterLevel(&member, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := z.Write(b); err != nil {
		return err
	}
	if err := errors.Join(z.Close(), l.gz.Close()); err != nil {
		return err
	}
	for range n {
		l.content.Write(b)
		if _, err := l.raw(member.Bytes()); err != nil {
			return err
		}
	}
	l.gz.Reset(writer(l.raw))
	return nil
}
