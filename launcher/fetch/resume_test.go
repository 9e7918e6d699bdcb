package fetch_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Whoever has the first bytes of a layer gets the others, from the registry or the first mirror
// that has them; all are checked.
func TestResume(t *testing.T) {
	const size = 100_000
	whole := func(w http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Range")
		return false
	}
	of := func(a answer) answer {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/blobs/") && a(w, r)
		}
	}
	wrong := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") == "" {
			return false
		}
		w.Header().Set("Content-Range", "bytes 0-9/300000")
		w.WriteHeader(http.StatusPartialContent)
		return true
	}
	damaged := bytes.Repeat([]byte("x"), size)
	for _, tt := range []struct {
		name    string
		answers []answer // of mirrors and, last, the registry
		kept    []byte
		from    int64
		class   fault.Class // of the error; "" for none
	}{
		{"a registry", []answer{nil}, layer[:size], size, ""},
		{"nothing is kept", []answer{nil}, nil, 0, ""},
		{"no ranges", []answer{of(whole)}, layer[:size], 0, ""},
		{"no ranges, and what is kept is damaged", []answer{of(whole)}, damaged, 0, ""},
		{"416", []answer{of(func(w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("Range") != "" && status(416)(w, r)
		})}, layer[:size], 0, ""},
		{"another range", []answer{of(wrong)}, layer[:size], 0, ""},
		{"what is kept is damaged", []answer{nil}, damaged, size, fault.Registry},
		{"it is gone", []answer{of(status(404))}, layer[:size], 0, fault.Registry},
		{"a mirror", []answer{nil, nil}, layer[:size], size, ""},
		{"a mirror that lacks it", []answer{of(status(404)), nil}, layer[:size], size, ""},
		{"a mirror without ranges", []answer{of(whole), nil}, layer[:size], 0, ""},
		{"what is kept is damaged, with mirrors", []answer{nil, nil}, damaged, size, fault.Registry},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var hosts []*host
			for _, a := range tt.answers {
				h := serve(t)
				h.answer = a
				hosts = append(hosts, h)
			}
			last := len(hosts) - 1
			var noted notes
			src := hosts[last].open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(hosts[:last]...), Note: noted.note})
			blob, from, err := fetch.Resume(t.Context(), src, descriptor(layer, oci.MediaTypeLayer), bytes.NewReader(tt.kept), int64(len(tt.kept)))
			if err == nil {
				defer blob.Close()
				var got []byte
				if got, err = io.ReadAll(blob); err == nil && !bytes.Equal(got, layer) {
					t.Errorf("%d bytes are not the layer", len(got))
				}
			}
			if from != tt.from {
				t.Errorf("from byte %d on, want %d", from, tt.from)
			}
			if tt.class != "" {
				wantFault(t, err, tt.class, "")
			} else if err != nil {
				t.Error(err)
			}
			if said := strings.Join(noted.said, "; "); strings.Contains(said, "passed over") && !strings.Contains(said, "status 404") {
				t.Errorf("a mirror is blamed: %s", said)
			}
		})
	}
}
