package oci

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// entry returns the JSON of an index entry with more members.
func entry(more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":7%s}`, MediaTypeManifest, sum, more)
}

func indexOf(entries ...string) string {
	return `{"schemaVersion":2,"mediaType":"` + MediaTypeIndex + `","manifests":[` + strings.Join(entries, ",") + `]}`
}

func TestParseIndexEntries(t *testing.T) {
	const demo = `,"annotations":{"org.supercontainers.`
	tests := []struct {
		name, entry string
		wants       string
		rank        int
		faults      []string
		notes       int
	}{
		{"no platform", entry(""), "", 0, nil, 0},
		{"an empty platform", entry(`,"platform":{}`), "", 0, nil, 0},
		{"features", entry(`,"platform":{"os":"linux","architecture":"amd64","features":["Zen3","zen3","cpu:haswell","nvcap:5.2"]}`), "linux/amd64:zen3:haswell:nv-compute-5-2", 0, nil, 0},
		{"os.features as containerd writes them", entry(`,"platform":{"os":"linux","architecture":"amd64","os.features":["broadwell"]}`), "linux/amd64:broadwell", 0, nil, 0},
		{"other spellings", entry(`,"platform":{"os":"Linux","architecture":"x86_64","variant":"V3"}`), "linux/amd64/v3", 0, nil, 0},
		{"annotation and features", entry(`,"platform":{"os":"linux","architecture":"amd64","features":["zen3"]}` + demo + `hpc3.features":" zen3, efa ,","org.supercontainers.hpc3.rank":"-3"}`), "linux/amd64:zen3:efa", -3, nil, 0},
		{"a rank that is none", entry(`,"platform":{"os":"linux","architecture":"amd64"}` + demo + `hpc3.rank":"99999999999"}`), "linux/amd64", 0, nil, 1},
		{"the canonical key and an alias that differs", entry(`,"platform":{"os":"linux","architecture":"amd64"}` + demo + `hardware.cpu.target.microarch":"zen2","io.archspec.cpu.target":"zen3"}`), "linux/amd64:zen2", 0, nil, 1},
		{"a target that is an architecture", entry(`,"platform":{"os":"linux","architecture":"amd64"},"annotations":{"io.archspec.cpu.target":"amd64"}`), "linux/amd64", 0, nil, 0},
		{"optimised for nothing", entry(`,"platform":{"os":"linux","architecture":"amd64"}` + demo + `hardware.cpu.optimized.mode":"generic","org.supercontainers.hardware.cpu.optimized.version":"skylake"}`), "linux/amd64", 0, nil, 0},
		{"unknown is not stated", entry(`,"platform":{"os":"linux","architecture":"amd64"}` + demo + `hardware.cpu.target.microarch":"unknown"}`), "linux/amd64", 0, nil, 0},
		{"MPI to be replaced", entry(`,"platform":{"os":"linux","architecture":"amd64"}` + demo + `mpi.portability.mode":"mpi_replace","org.supercontainers.openmpi.version":"4.1.6"}`), "linux/amd64:mpi-openmpi-4-1-6", 0, nil, 0},
		{"MPI by another name", entry(`,"platform":{"os":"linux","architecture":"amd64"}` + demo + `mpi.portability.mode":"mpi_replace","org.supercontainers.mpi.provider":"Intel-MPI","org.supercontainers.mpi.version":"2021.5"}`), "linux/amd64:mpi-mpich", 0, nil, 0},
		{"MPI of its own", entry(`,"platform":{"os":"linux","architecture":"amd64"}` + demo + `mpi.provider":"openmpi"}`), "linux/amd64", 0, nil, 0},
		{"null", "null", "", 0, []string{"is empty"}, 0},
		{"no digest", `{"mediaType":"x","size":1}`, "", 0, []string{"has no digest"}, 0},
		{"a digest that climbs", `{"digest":"sha256:../../x","size":1}`, "", 0, []string{`"sha256:../../x" is no digest`}, 0},
		{"a negative size", `{"digest":"` + sum + `","size":-1}`, "", 0, []string{"a size of -1"}, 0},
		{"a huge manifest", `{"digest":"` + sum + `","size":9223372036854775807}`, "", 0, []string{"a manifest of 9223372036854775807 bytes, the limit is 4194304"}, 0},
		{"a feature that is none", entry(`,"platform":{"os":"linux","architecture":"amd64","features":["a b","\u001b[31m"]}`), "linux/amd64", 0, []string{`"a b" is no feature`, `"\x1b[31m" is no feature`}, 0},
		{"an architecture that is none", entry(`,"platform":{"os":"linux","architecture":"a\nb"}`), "linux/a\nb", 0, []string{`"a\nb" is no part of a platform`}, 0},
		{"nulls everywhere", entry(`,"annotations":null,"urls":null,"platform":{"os":"linux","architecture":"amd64","variant":null,"features":[null]},"artifactType":null`), "linux/amd64", 0, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x, err := ParseIndex([]byte(indexOf(entry(""), tt.entry)))
			if err != nil {
				t.Fatalf("ParseIndex: %v", err)
			}
			e := x.Entries[1]
			if e.Position != 1 || e.Wants() != tt.wants || e.Rank != tt.rank || len(e.Notes) != tt.notes {
				t.Errorf("got %q, rank %d, notes %q, want %q, %d, %d notes", e.Wants(), e.Rank, e.Notes, tt.wants, tt.rank, tt.notes)
			}
			if diff := cmp.Diff(tt.faults, e.Faults); diff != "" {
				t.Errorf("faults differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseIndexKinds(t *testing.T) {
	tests := []struct {
		name, entry               string
		image, index, attestation bool
	}{
		{"image", entry(""), true, false, false},
		{"attestation by platform", entry(`,"platform":{"os":"unknown","architecture":"unknown"}`), false, false, true},
		{"attestation by annotation", entry(`,"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`), false, false, true},
		{"artifact", entry(`,"artifactType":"application/x"`), false, false, false},
		{"image that says so", entry(`,"artifactType":"` + MediaTypeConfig + `"`), true, false, false},
		{"index", `{"mediaType":"` + MediaTypeDockerIndex + `","digest":"` + sum + `","size":7}`, false, true, false},
		{"unknown type", `{"mediaType":"text/plain","digest":"` + sum + `","size":7}`, false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x, err := ParseIndex([]byte(indexOf(tt.entry)))
			if err != nil {
				t.Fatal(err)
			}
			e := x.Entries[0]
			if e.IsImage() != tt.image || e.IsIndex() != tt.index || e.Attestation != tt.attestation || len(e.Faults) > 0 {
				t.Errorf("image %v, index %v, attestation %v, faults %q", e.IsImage(), e.IsIndex(), e.Attestation, e.Faults)
			}
		})
	}
}

func TestParseIndexRefuses(t *testing.T) {
	tests := []struct{ name, in, why string }{
		{"empty", "", "not JSON"},
		{"a page", "<html>", "not JSON"},
		{"a list", "[]", "want an object, found a list"},
		{"null", "null", "has no manifests"},
		{"trailing bytes", `{"manifests":[]}{}`, "not JSON"},
		{"too large", strings.Repeat(" ", MaxDocument+1), "the limit is 4194304"},
		{"manifests and layers", `{"manifests":[],"layers":[]}`, "manifests, as an index has, and layers"},
		{"manifests and config", `{"manifests":[],"config":{}}`, "manifests, as an index has, and layers or a config"},
		{"no manifests", `{"schemaVersion":2}`, "has no manifests"},
		{"manifests by another case", `{"Manifests":[]}`, "has no manifests"},
		{"a manifest's media type", `{"mediaType":"` + MediaTypeManifest + `","manifests":[]}`, "its media type is"},
		{"schema 1", `{"schemaVersion":1,"manifests":[]}`, "schema 1"},
		{"schema 3", `{"schemaVersion":3,"manifests":[]}`, "schema version 3"},
		{"a member twice", `{"manifests":[],"manifests":[]}`, `"manifests" is given twice`},
		{"manifests of a wrong type", `{"manifests":{}}`, "manifests: want a list, found an object"},
		{"an entry of a wrong type", `{"manifests":["x"]}`, "manifests[0]: want an object, found a string"},
		{"a size of a wrong type", `{"manifests":[{"size":"7"}]}`, "manifests[0].size: want a number, found a string"},
		{"a broken size", `{"manifests":[{"size":7.5}]}`, "manifests[0].size: 7.5 is no whole number"},
		{"a size out of range", `{"manifests":[{"size":1e99}]}`, "no whole number"},
		{"features of a wrong type", `{"manifests":[{"platform":{"features":"zen3"}}]}`, "manifests[0].platform.features: want a list, found a string"},
		{"an annotation of a wrong type", `{"manifests":[{"annotations":{"a":1}}]}`, `manifests[0].annotations["a"]: want a string, found a number`},
		{"too many entries", indexOf(strings.Repeat("{},", maxEntries) + "{}"), "10001 entries, the limit is 10000"},
		{"depth", `{"manifests":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseIndex([]byte(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.why) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("ParseIndex = %v, want one line with %q", err, tt.why)
			}
			if class, _, _ := fault.Of(err, fault.Engine); class != fault.Registry {
				t.Errorf("class %s, want registry", class)
			}
		})
	}
}

func TestParseIndexTakesTenThousandEntries(t *testing.T) {
	raw := indexOf(strings.Repeat(entry("")+",", maxEntries-1) + entry(""))
	x, err := ParseIndex([]byte(raw))
	if err != nil || len(x.Entries) != maxEntries || x.Digest != DigestOf([]byte(raw)) {
		t.Errorf("ParseIndex: %d entries, %v", len(x.Entries), err)
	}
}

func TestSniff(t *testing.T) {
	tests := []struct{ name, raw, contentType, want, why string }{
		{"index", indexOf(), "", MediaTypeIndex, ""},
		{"index without a type", `{"manifests":[]}`, "application/json", MediaTypeIndex, ""},
		{"manifest without a type", `{"layers":[]}`, "text/plain", MediaTypeManifest, ""},
		{"announced with a parameter", indexOf(), MediaTypeIndex + "; charset=utf-8", MediaTypeIndex, ""},
		{"Docker's name for it", indexOf(), MediaTypeDockerIndex, MediaTypeIndex, ""},
		{"announced as the other", indexOf(), MediaTypeManifest, "", "announced as"},
		{"both", `{"manifests":[],"layers":[]}`, "", "", "neither"},
		{"schema 1", `{"schemaVersion":1,"fsLayers":[]}`, "", "", "schema 1"},
		{"something else", `{"mediaType":"text/plain"}`, "", "", `"text/plain" is neither`},
		{"nothing", ``, "", "", "not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Sniff([]byte(tt.raw), tt.contentType)
			if got != tt.want || (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("Sniff(%s, %q) = %q, %v, want %q, %q", tt.raw, tt.contentType, got, err, tt.want, tt.why)
			}
		})
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(indexOf(entry(""), entry(`,"platform":{"os":"linux","architecture":"amd64","features":["zen3"]}`))))
	f.Add([]byte(`{"manifests":[null,{"size":-1}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := ParseIndex(raw)
		if err != nil {
			if strings.Contains(fault.OneLine(err.Error()), "\n") {
				t.Errorf("ParseIndex(%q): %v", raw, err)
			}
			return
		}
		for i, e := range x.Entries {
			if e.Position != i || len(e.Faults) == 0 && !ValidDigest(e.Digest) {
				t.Errorf("ParseIndex(%q): entry %d is %+v", raw, i, e)
			}
			if e.Platform == nil || len(e.Faults) > 0 || e.Platform.OS == "" || e.Platform.Architecture == "" {
				continue
			}
			if _, _, err := ParsePlatform(e.Wants()); err != nil && len(e.Wants()) <= maxPlatform {
				t.Errorf("ParseIndex(%q): entry %d wants %q: %v", raw, i, e.Wants(), err)
			}
		}
	})
}

// The tokens that annotations state are words, each once; written as a list they are the same
// demands.
func FuzzAnnotations(f *testing.F) {
	f.Add("zen3, nv-compute-8-0,,efa", "7", "cascadelake", "mpich", "3.4", "mpi_replace")
	f.Add("cpu:Broadwell,nvcap:5.2,insttype:c5", "-1", "x86_64", "open-mpi", "4.1.4", "MPI_Replace")
	f.Add("a b,\x00,\u00e9", "1e9", "unknown", "", "", "")
	f.Fuzz(func(t *testing.T, features, rank, microarch, mpi, version, mode string) {
		read := func(a map[string]string) Entry {
			raw, err := json.Marshal(map[string]any{"manifests": []Descriptor{{
				MediaType: MediaTypeManifest, Digest: sum, Size: 7, Platform: &Platform{OS: "linux", Architecture: "amd64"}, Annotations: a,
			}}})
			if err != nil {
				t.Fatal(err)
			}
			x, err := ParseIndex(raw)
			if err != nil {
				t.Skip() // a limit of the document
			}
			return x.Entries[0]
		}
		e := read(map[string]string{AnnotationFeatures: features, AnnotationRank: rank, microarchKeys[0]: microarch, mpiKeys[0]: mpi, mpiVersionKeys[0]: version, mpiModeKeys[0]: mode})
		for i, token := range e.Tokens {
			if !validToken(token) || strings.ToLower(token) != token || slices.Contains(e.Tokens[:i], token) {
				t.Errorf("token %q of %q", token, e.Tokens)
			}
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(rank), 10, 32); err == nil && e.Rank != int(n) || err != nil && (e.Rank != 0 || len(e.Notes) == 0) {
			t.Errorf("rank %q is %d, notes %q", rank, e.Rank, e.Notes)
		}
		if again := read(map[string]string{AnnotationFeatures: strings.Join(e.Tokens, ",")}); !slices.Equal(again.Tokens, e.Tokens) || len(again.Faults) > 0 {
			t.Errorf("%q reads back as %q, faults %q", e.Tokens, again.Tokens, again.Faults)
		}
		for _, text := range slices.Concat(e.Faults, e.Notes) {
			if strings.ContainsAny(text, "\n\x1b\x00") {
				t.Errorf("it says %q", text)
			}
		}
	})
}
