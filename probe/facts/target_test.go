package facts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table agrees with archspec's own file, if that is available.
func TestTableIsThatOfArchspec(t *testing.T) {
	raw, err := os.ReadFile(filepath.FromSlash("../../../shared/data/archspec/cpu/microarchitectures.json"))
	if err != nil {
		t.Skipf("no copy of archspec's microarchitectures.json to compare with: %v", err)
	}
	var file struct {
		Microarchitectures map[string]struct {
			From, Features []string
			Vendor         string
			Generation     int
			CPUPart        string
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if got, want := len(Targets()), len(file.Microarchitectures); got != want {
		t.Errorf("the table has %d targets, archspec %d", got, want)
	}
	for name, m := range file.Microarchitectures {
		slices.Sort(m.Features)
		want := Target{Name: name, Vendor: m.Vendor, Parents: m.From, Features: slices.Compact(m.Features), Generation: m.Generation, Part: m.CPUPart}
		if want.Part == "Unknown" {
			want.Part = ""
		}
		got, ok := LookupTarget(name)
		if !ok {
			t.Errorf("LookupTarget(%q) finds nothing", name)
			continue
		}
		if diff := cmp.Diff(orEmpty(want), orEmpty(got)); diff != "" {
			t.Errorf("LookupTarget(%q) differs from archspec (-archspec +ours):\n%s", name, diff)
		}
	}
}

func orEmpty(t Target) Target {
	if len(t.Parents) == 0 {
		t.Parents = nil
	}
	if len(t.Features) == 0 {
		t.Features = nil
	}
	return t
}

func TestDepths(t *testing.T) {
	for name, want := range map[string]int{
		"x86_64": 0, "x86_64_v4": 3, "nehalem": 4, "haswell": 9, "skylake_avx512": 13, "icelake": 16, "sapphirerapids": 17,
		"mic_knl": 11, "arrowlake_s": 14, "excavator": 6, "zen": 3, "zen4": 7, "zen5": 8, "neoverse_n1": 4, "neoverse_v1": 7,
		"neoverse_v2": 9, "neoverse_v3ae": 12, "a64fx": 3, "thunderx2": 2, "ampere1a": 10, "power10le": 3, "x60": 1,
	} {
		target, ok := LookupTarget(name)
		if !ok || target.Depth() != want {
			t.Errorf("depth of %s = %d, %v, want %d", name, target.Depth(), ok, want)
		}
	}
}

// What archspec does not know stands beside its table: it changes none of archspec's targets, and
// adds to one.
func TestLaterTargets(t *testing.T) {
	type addition struct {
		parent string
		adds   []string
	}
	olympus := strings.Fields(`aes afp asimd asimddp asimdfhm asimdhp asimdrdm atomics bf16 bti cpuid crc32 dcpodp dcpop dgh dit ecv evtstrm
		f8dp2 f8dp4 f8fma faminmax fcma flagm flagm2 fp fphp frint i8mm ilrcpc jscvt lrcpc lut paca pacg pmull rng sb sha1 sha2 sha3 sha512 sm3
		sm4 ssbs sve sve2 sveaes svebf16 svebitperm svei8mm svepmull svesha3 svesm4 uscat wfxt`)
	later := map[string]addition{
		"diamondrapids": {"graniterapids", []string{
			"amx_avx512", "amx_complex", "amx_fp8", "amx_movrs", "amx_tf32", "apx_f", "avx10_2", "avx512_fp16", "avx_ifma", "avx_ne_convert",
			"avx_vnni", "avx_vnni_int16", "avx_vnni_int8", "cmpccxadd", "movrs", "sha512", "sm3", "sm4",
		}},
		"sierraforest":     {"arrowlake", nil},
		"grandridge":       {"sierraforest", nil},
		"clearwaterforest": {"arrowlake_s", nil},
		"pantherlake":      {"arrowlake_s", nil},
		"zen6":             {"zen5", []string{"avx512_fp16", "avx_ifma", "avx_ne_convert", "avx_vnni_int8"}},
		"dhyana":           {"x86_64_v3", []string{"adx", "aes", "clflushopt", "clzero", "fsgsbase", "pclmulqdq", "rdrand", "rdseed", "sse4a", "xsavec", "xsaveopt"}},
		"neoverse_v3":      {"neoverse_v3ae", nil},
		"neoverse_n3":      {"neoverse_n2", []string{"afp", "bti", "dgh", "dit", "ecv", "paca", "pacg", "svebitperm", "wfxt"}},
		"olympus":          {"armv9.2a", olympus},
		"monaka":           {"armv9.2a", slices.Sorted(slices.Values(append([]string{"hbc", "mops"}, olympus...)))},
		"p550":             {"riscv64", nil},
		"x100":             {"riscv64", nil},
		"c920":             {"riscv64", nil},
		"sg2044":           {"c920", nil},
		"s390x":            {}, "z13": {"s390x", nil}, "z14": {"z13", nil}, "z15": {"z14", nil}, "z16": {"z15", nil}, "z17": {"z16", nil},
		"loongarch64": {}, "la464": {"loongarch64", nil}, "la664": {"la464", nil},
		"armv9.1a":      {"armv9.0a", nil},
		"cooperlake":    {"cascadelake", []string{"avx512_bf16"}},
		"tigerlake":     {"icelake", []string{"avx512_vp2intersect", "movdir64b", "movdiri"}},
		"graniterapids": {"sapphirerapids", []string{"amx_fp16"}},
		"power11":       {"power10", nil},
		"power11le":     {"power10le", nil},
	}
	for name, want := range later {
		target, ok := LookupTarget(name)
		parent, _ := LookupTarget(want.parent)
		added := slices.DeleteFunc(target.Features, func(f string) bool { return slices.Contains(parent.Features, f) })
		if diff := cmp.Diff(want.adds, slices.Concat(added)); !ok || diff != "" || want.parent != "" && (target.Depth() < parent.Depth()+1 || !target.DescendsFrom(want.parent)) {
			t.Errorf("LookupTarget(%q) = %+v, %v; adds (-want +got):\n%s", name, target, ok, diff)
		}
		if target.Generation != 0 && target.Generation != parent.Generation+1 {
			t.Errorf("generation of %s is %d", name, target.Generation)
		}
		if !slices.Contains(Later(), name) || slices.Contains(Targets(), name) {
			t.Errorf("%s is to be among the later targets %v, and not among archspec's", name, Later())
		}
	}
	if got, want := Later(), len(later); len(got) != want {
		t.Errorf("%d later targets, the test knows %d: %v", len(got), want, got)
	}
}

func TestDescent(t *testing.T) {
	for _, c := range []struct {
		target, from string
		want         bool
	}{
		{"zen3", "zen3", true},
		{"zen3", "zen2", true},
		{"zen3", "x86_64_v3", true},
		{"zen3", "x86_64", true},
		{"zen3", "x86_64_v4", false},
		{"zen3", "haswell", false},
		{"zen2", "zen3", false},
		{"mic_knl", "x86_64_v4", false},
		{"skylake", "x86_64_v4", false},
		{"neoverse_v2", "neoverse_v1", false},
		{"a64fx", "neoverse_n1", false},
		{"power9le", "power9", false},
		{"zen3", "", false},
	} {
		target, _ := LookupTarget(c.target)
		if got := target.DescendsFrom(c.from); got != c.want {
			t.Errorf("%s descends from %q: %v, want %v", c.target, c.from, got, c.want)
		}
	}
	if (Target{}).DescendsFrom("x86_64") {
		t.Error("the zero target descends from x86_64")
	}
}

func TestTableIsSound(t *testing.T) {
	for _, name := range slices.Concat(Targets(), Later()) {
		target, _ := LookupTarget(name)
		above := target.Ancestors()
		sorted := slices.Clone(above)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(above) || slices.Contains(above, name) {
			t.Errorf("ancestors of %s are not distinct others: %v", name, above)
		}
		for _, a := range above {
			if _, ok := targets().target(a); !ok {
				t.Errorf("%s has the ancestor %q, which is no target", name, a)
			}
		}
		if root, ok := LookupTarget(target.Root()); !ok || len(root.Parents) > 0 {
			t.Errorf("root of %s is %q", name, target.Root())
		}
		if !slices.IsSorted(target.Features) {
			t.Errorf("features of %s are not sorted: %v", name, target.Features)
		}
	}
}

func TestAliases(t *testing.T) {
	for alias, want := range map[string]string{
		"graviton": "cortex_a72", "Graviton2": "neoverse_n1", "altra": "neoverse_n1", "graviton3": "neoverse_v1",
		"graviton3e": "neoverse_v1", "graviton4": "neoverse_v2", "grace": "neoverse_v2", "c4a": "neoverse_v2", "axion-c4a": "neoverse_v2", "n4a": "neoverse_n3", "axion-n4a": "neoverse_n3",
		"graviton5": "neoverse_v3", "cobalt200": "neoverse_v3", "fujitsu-monaka": "monaka", "vera": "olympus", "znver6": "zen6", "sg2042": "c920", "loong64": "loongarch64",
		"cobalt100": "neoverse_n2", "ampereone": "ampere1a", "x86-64": "x86_64", "x86-64-v2": "x86_64_v2",
		"x86-64-v3": "x86_64_v3", "X86-64-V4": "x86_64_v4", "knl": "mic_knl", "znver1": "zen", "naples": "zen", "znver2": "zen2",
		"rome": "zen2", "znver3": "zen3", "milan": "zen3", "znver4": "zen4", "genoa": "zen4", "bergamo": "zen4", "znver5": "zen5",
		"turin": "zen5", "skylake-avx512": "skylake_avx512", "skylake_sp": "skylake_avx512", "emeraldrapids": "sapphirerapids",
		"x86_64_v1": "x86_64", "amd64": "x86_64", "ZEN3": "zen3",
	} {
		if got, ok := LookupTarget(alias); !ok || got.Name != want {
			t.Errorf("LookupTarget(%q) = %q, %v, want %q", alias, got.Name, ok, want)
		}
	}
	for _, name := range []string{"", "axion", "atomlake", "zen99", "x86-64-v5", "generic", "+", "zen3 "} {
		if got, ok := LookupTarget(name); ok {
			t.Errorf("LookupTarget(%q) = %q, want none", name, got.Name)
		}
	}
}

func TestLookupGivesACopy(t *testing.T) {
	first, _ := LookupTarget("zen3")
	first.Features[0], first.Parents[0] = "changed", "changed"
	again, _ := LookupTarget("zen3")
	if again.Features[0] == "changed" || again.Parents[0] == "changed" {
		t.Error("a caller can change the table")
	}
}

func TestFamilies(t *testing.T) {
	for goarch, want := range map[string]string{
		"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "riscv64": "riscv64", "386": "x86", "s390x": "s390x", "loong64": "loongarch64", "mips64": "", "": "",
	} {
		got := FamilyOf(goarch)
		if got != want {
			t.Errorf("FamilyOf(%q) = %q, want %q", goarch, got, want)
		}
		if back := ArchOf(got); got != "" && back != goarch || got == "" && back != "" {
			t.Errorf("ArchOf(%q) = %q, want %q", got, back, goarch)
		}
		if _, ok := LookupTarget(got); got != "" && !ok {
			t.Errorf("the family %q is no target", got)
		}
	}
	for _, family := range []string{"x86_64", "aarch64"} {
		var all []string
		for _, name := range Targets() {
			target, _ := LookupTarget(name)
			if target.Root() == family {
				all = append(all, target.Features...)
			}
		}
		for _, f := range NicheFeatures(family) {
			if !slices.Contains(all, f) || strings.ToLower(f) != f {
				t.Errorf("niche feature %q of %s is in no target", f, family)
			}
		}
	}
}
