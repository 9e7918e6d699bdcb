package match

import (
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// Each flag that a target lists is a word, in the kernel's spelling and in NFD's.
func TestEveryFeatureIsAWord(t *testing.T) {
	for _, name := range slices.Concat(facts.Targets(), facts.Later()) {
		target := mustTarget(t, name)
		arch := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[target.Root()]
		if arch == "" {
			continue
		}
		for _, f := range target.Features {
			if f == "cpuid" || f == "evtstrm" || f == "flush_l1d" || f == "tsc_adjust" {
				continue // the kernel's own, which no program asks for
			}
			words := []string{f}
			for _, nfd := range facts.NFDOf(facts.Node{Arch: arch, CPU: facts.CPU{Features: []string{f}}}).Flags["cpu.cpuid"] {
				words = append(words, strings.ToLower(nfd))
			}
			for _, w := range words {
				d := newChooser(nil, Policy{}).read(w)
				if d.kind != kindFlags || !slices.Contains(d.flags[target.Root()], f) {
					t.Errorf("%q, a word for %s of %s, is read as %+v", w, f, target.Root(), d)
				}
			}
		}
	}
}

// Where sources differ, the stricter reading is the demand.
func TestFlagWords(t *testing.T) {
	for word, want := range map[string]string{
		"avx2": "x86_64: avx2", "sse4.1": "x86_64: sse4_1", "sse41": "x86_64: sse4_1", "sse4": "x86_64: sse4_1 sse4_2",
		"avx512": "x86_64: avx512f avx512cd avx512bw avx512dq avx512vl", "avx512-vnni": "x86_64: avx512_vnni",
		"avx512vnni": "x86_64: avx512_vnni", "abm": "x86_64: abm popcnt", "lzcnt": "x86_64: abm", "fma3": "x86_64: fma", "cpu-cpuid.avx2": "x86_64: avx2", "cpu.cpuid.sse42": "x86_64: sse4_2",
		"amx-tile": "x86_64: amx_tile", "sha": "x86_64: sha_ni", "pclmul": "x86_64: pclmulqdq", "crc32": "aarch64: crc32; x86_64: sse4_2",
		"sve": "aarch64: sve", "sve2": "aarch64: sve sve2", "sve2-sm4": "aarch64: sve sve2 svesm4", "neon": "aarch64: asimd fp",
		"aes": "aarch64: aes pmull; x86_64: aes", "sm4": "aarch64: sm3 sm4; x86_64: sm4", "lse": "aarch64: atomics",
		"vsx": "ppc64: power7; ppc64le: power8", "efa": "", "cluster_1": "", "avx3": "", "f": "", "": "",
	} {
		var got []string
		flags := readFlag(word)
		for _, family := range []string{"aarch64", "ppc64", "ppc64le", "x86_64"} {
			if flags[family] != nil {
				got = append(got, family+": "+strings.Join(flags[family], " "))
			}
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%q demands %q, want %q", word, text, want)
		}
	}
}

// Flags are held against those of the node, and put an entry where its vectors belong.
func TestFlags(t *testing.T) {
	features := func(target string, more ...string) []string {
		return append(more, mustTarget(t, target).Features...)
	}
	zen3 := facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3", Features: features("zen3", "adx")}}
	zen4 := facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen4", Features: features("zen4", "adx")}}
	file := facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "haswell"}}
	grace := facts.Node{OS: "linux", Arch: "arm64", CPU: facts.CPU{Target: "neoverse_v2", Features: features("neoverse_v2")}}
	named := zen3
	named.Labels = []string{"AVX512"}
	power := facts.Node{OS: "linux", Arch: "ppc64le", CPU: facts.CPU{Target: "power9le"}}
	tests := []struct {
		name      string
		node      facts.Node
		platforms []string
		want      int
		why       string // of the result
	}{
		{"fits", zen3, []string{"linux/amd64:avx2"}, 0, "avx2"},
		{"before none", zen3, []string{"linux/amd64", "linux/amd64:avx2"}, 1, "needs x86_64 with avx2, which this CPU, zen3, has"},
		{"lacks", zen3, []string{"linux/amd64:avx512"}, -1, "needs avx512f, avx512cd, avx512bw, avx512dq and 1 more of avx512, which this CPU, zen3, does not show"},
		{"not in the target, but there", zen3, []string{"linux/amd64:adx"}, 0, "adx"},
		{"another family", zen3, []string{"linux/amd64:sve"}, -1, "needs sve, which no CPU of amd64 has"},
		{"a level says more", zen4, []string{"linux/amd64:avx512", "linux/amd64/v4"}, 1, "v4"},
		{"more than a level", zen4, []string{"linux/amd64/v3", "linux/amd64/v3:avx512"}, 1, "avx512"},
		{"a file without features", file, []string{"linux/amd64:avx2"}, 0, "avx2"},
		{"what each has", file, []string{"linux/amd64:sse2:sse3:cmov"}, 0, "sse2"},
		{"a file does not tell", file, []string{"linux/amd64:adx"}, -1, "needs adx, which not every haswell has; the flags of this node are unknown"},
		{"ARM", grace, []string{"linux/arm64:sve", "linux/arm64:sve2", "linux/arm64"}, 1, "needs aarch64 with sve2"},
		{"POWER", power, []string{"linux/ppc64le:vsx"}, 0, "vsx"},
		{"a newer POWER", power, []string{"linux/ppc64le:mma"}, -1, "needs power10 of mma, which this CPU, power9le, does not show"},
		{"a label of the site", named, []string{"linux/amd64:avx512"}, 0, "avx512"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Best([]facts.Node{tt.node}, entriesOf(t, tt.platforms...), Policy{})
			if r.Chosen != tt.want || !strings.Contains(r.Why, tt.why) {
				t.Errorf("chose %d, want %d; why %q, want %q in it\n%s", r.Chosen, tt.want, r.Why, tt.why, verdicts(r))
			}
			checkShape(t, r)
		})
	}
}
