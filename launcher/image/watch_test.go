package image

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// keptReader is a layer of which four bytes were here.
type keptReader struct{ io.Reader }

func (keptReader) Kept() int64  { return 4 }
func (keptReader) Close() error { return nil }

func TestWatch(t *testing.T) {
	var p notes.Progress
	hold := func(e notes.Event) {
		t.Helper()
		if diff := cmp.Diff(e, p.Event()); diff != "" {
			t.Errorf("Event(): %s", diff)
		}
	}
	hold(notes.Event{})
	p.About("app:1")
	p.At(notes.Wait)
	hold(notes.Event{Image: "app:1", Phase: notes.Wait})
	open := func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(make([]byte, 10))), nil
	}
	layers := []convert.Layer{
		{Descriptor: oci.Descriptor{Digest: "a", Size: 10}, Open: open}, {Descriptor: oci.Descriptor{Digest: "b", Size: 10}, Open: open},
	}
	img, written := watch(&p, convert.Image{Reference: "app:1", Layers: layers})
	hold(notes.Event{Image: "app:1", Phase: notes.Fetch, Layers: 2, Total: 20})
	for i, want := range []notes.Event{
		{Image: "app:1", Phase: notes.Fetch, Digest: "a", Layer: 1, Layers: 2, In: 10, Total: 20, Out: 3},
		{Image: "app:1", Phase: notes.Convert, Digest: "b", Layer: 2, Layers: 2, In: 20, Total: 20, Out: 6},
	} {
		blob, err := img.Layers[i].Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, blob); err != nil {
			t.Fatal(err)
		}
		written(3)
		hold(want)
	}
	layers[0].Open = func(context.Context) (io.ReadCloser, error) {
		return keptReader{bytes.NewReader(make([]byte, 10))}, nil
	}
	img, _ = watch(&p, convert.Image{Reference: "app:1", Layers: layers})
	blob, err := img.Layers[0].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hold(notes.Event{Image: "app:1", Phase: notes.Fetch, Digest: "a", Layer: 1, Layers: 2, In: 4, Kept: 4, Total: 20})
	for _, in := range []int64{4, 6, 9, 10} {
		if _, err := io.CopyN(io.Discard, blob, min(3, in)); err != nil && in < 10 {
			t.Fatal(err)
		}
		hold(notes.Event{Image: "app:1", Phase: notes.Fetch, Digest: "a", Layer: 1, Layers: 2, In: in, Kept: 4, Total: 20})
	}
	p.At(notes.Publish)
	if got := p.Event().Phase; got != notes.Publish {
		t.Errorf("stage %d, want Publish", got)
	}
	var none *notes.Progress
	none.At(notes.Wait)
	none.About("app:1")
	if got, written := watch(none, img); len(got.Layers) != 2 || written != nil {
		t.Error("no Progress changes what is converted")
	}
}
