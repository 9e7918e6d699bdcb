// Command floor does what no conversion can leave out, and nothing else: floor LAYOUT OUT reads the
// layers of the one image in an OCI layout, checks the digests of the blobs, inflates them, takes
// the digests of the content, compresses it in blocks of 128 KiB as launcher/squashfs does, and
// writes the blocks to OUT and to the disk. Each step has goroutines of its own, so that all
// processors are busy. What a conversion takes longer than this is the price of reading the archive
// and writing a file system. With -klauspost the library's gzip inflates instead of
// launcher/gunzip.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/hpc3-project/hpc3/launcher/gunzip"
)

const (
	blockSize = 128 << 10
	ahead     = 64 // blocks between two steps
)

func main() {
	args := os.Args[1:]
	library := len(args) > 0 && args[0] == "-klauspost"
	if library {
		args = args[1:]
	}
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: floor [-klauspost] LAYOUT OUT")
		os.Exit(2)
	}
	if err := run(args[0], args[1], library); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(layout, out string, library bool) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	c, err := newCompressors(f)
	if err != nil {
		return err
	}
	layers, diffIDs, err := image(layout)
	for i := 0; err == nil && i < len(layers); i++ {
		err = layer(blob(layout, layers[i]), layers[i], diffIDs[i], library, c)
	}
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func blob(layout, digest string) string {
	return filepath.Join(layout, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
}

// image returns the digests of the layers, compressed and not.
func image(layout string) (layers, diffIDs []string, err error) {
	type descriptor struct{ Digest string }
	var index struct{ Manifests []descriptor }
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := read(filepath.Join(layout, "index.json"), &index); err != nil {
		return nil, nil, err
	}
	if len(index.Manifests) != 1 {
		return nil, nil, fmt.Errorf("%s holds %d images, not one", layout, len(index.Manifests))
	}
	if err := read(blob(layout, index.Manifests[0].Digest), &manifest); err != nil {
		return nil, nil, err
	}
	if err := read(blob(layout, manifest.Config.Digest), &config); err != nil {
		return nil, nil, err
	}
	for _, l := range manifest.Layers {
		layers = append(layers, l.Digest)
	}
	if len(layers) != len(config.RootFS.DiffIDs) {
		return nil, nil, errors.New("the config knows other layers than the manifest")
	}
	return layers, config.RootFS.DiffIDs, nil
}

func read(file string, into any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// compressors compress blocks in parallel and write them as they come.
type compressors struct {
	blocks chan []byte
	free   chan []byte
	done   sync.WaitGroup
	mu     sync.Mutex
	err    error
}

func newCompressors(w io.Writer) (*compressors, error) {
	c := &compressors{blocks: make(chan []byte, ahead), free: make(chan []byte, 2*ahead)}
	for range cap(c.free) {
		c.free <- nil
	}
	for range runtime.GOMAXPROCS(0) {
		// The options of launcher/squashfs.
		z, err := zstd.NewWriter(nil, zstd.WithWindowSize(blockSize),
			zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithAllLitEntropyCompression(true),
			zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, err
		}
		c.done.Go(func() {
			var packed []byte
			for b := range c.blocks {
				packed = z.EncodeAll(b, packed[:0])
				c.mu.Lock()
				_, err := w.Write(packed)
				c.err = errors.Join(c.err, err)
				c.mu.Unlock()
				c.free <- b
			}
		})
	}
	return c, nil
}

func (c *compressors) close() error {
	close(c.blocks)
	c.done.Wait()
	return c.err
}

// layer reads a blob in one goroutine, inflates it in another and takes the digest of its content
// in a third.
func layer(file, digest, diffID string, library bool, c *compressors) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	in, feed := io.Pipe()
	packed := sha256.New()
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{feed},
			struct{ io.Reader }{io.TeeReader(f, packed)}, make([]byte, 256<<10))
		feed.CloseWithError(err)
	}()
	inflated, failed := make(chan []byte, ahead), make(chan error, 1)
	go func() { failed <- inflate(in, library, inflated, c.free) }()
	content := sha256.New()
	for b := range inflated {
		content.Write(b)
		c.blocks <- b
	}
	if err := <-failed; err != nil {
		return err
	}
	for want, sum := range map[string][]byte{digest: packed.Sum(nil), diffID: content.Sum(nil)} {
		if got := "sha256:" + hex.EncodeToString(sum); got != want {
			return fmt.Errorf("%s instead of %s", got, want)
		}
	}
	return nil
}

func inflate(r io.Reader, library bool, to chan<- []byte, free <-chan []byte) error {
	defer close(to)
	z, err := open(r, library)
	if err != nil {
		return err
	}
	for {
		b := <-free
		if b == nil {
			b = make([]byte, blockSize)
		}
		n, err := io.ReadFull(z, b[:blockSize])
		to <- b[:n]
		// which the digest tells apart from a blob that is cut short
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
	}
}

func open(r io.Reader, library bool) (io.Reader, error) {
	if library {
		return gzip.NewReader(r)
	}
	return gunzip.NewReader(r)
}
