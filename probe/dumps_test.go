package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// The dumps are /proc/cpuinfo texts named system-distribution-target, as archspec keeps them in
// tests/targets; the target is archspec's own answer. HPC3_CPUINFO_DIR names another directory of
// the same form.
func TestCPUInfoDumps(t *testing.T) {
	dir, given := os.LookupEnv("HPC3_CPUINFO_DIR")
	if !given {
		dir = filepath.FromSlash("../../shared/data/archspec/tests/targets")
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("no cpuinfo dumps, HPC3_CPUINFO_DIR names some: %v", err)
		}
	} else if _, err := os.Stat(dir); err != nil && !filepath.IsAbs(dir) {
		dir = filepath.Join("..", dir) // the test runs in probe, its user stands above
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, e := range entries {
		system, rest, _ := strings.Cut(e.Name(), "-")
		if system != "linux" && system != "bgq" { // the others are sysctl and CPUID, see TestForeignDumps
			continue
		}
		tried++
		t.Run(e.Name(), func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ := strings.Cut(rest, "-")
			target := want
			if e.Name() == "linux-ubuntu24.04-alderlake" {
				target = "arrowlake_s" // its kernel prints none of what that adds; linux-ubuntu26.04-arrowlake_s is the same machine
			}
			if given {
				target = ""
			}
			testDump(t, string(raw), want, target)
		})
	}
	if tried == 0 {
		t.Errorf("%s holds no dump named linux-DISTRIBUTION-TARGET", dir)
	}
	if !given && tried != 42 {
		t.Errorf("tried %d dumps, want 42", tried)
	}
}

// testDump checks archspec's answer and, unless it is empty, the target.
func testDump(t *testing.T, text, want, ours string) {
	target, ok := facts.LookupTarget(want)
	if !ok {
		t.Fatalf("%q is no target", want)
	}
	info := parseCPUInfo(text)
	// POWER's cpuinfo does not tell the byte order, so that the family is the expected one's.
	cpu := info.cpu(target.Root())
	if cpu.Strict != want {
		t.Errorf("strict = %s, want %s", cpu.Strict, want)
	}
	if named := target.Root() == "x86_64" || target.Root() == "aarch64"; named && ours != "" && cpu.Target != ours {
		t.Errorf("target = %s by rule %s, want %s: no niche feature may rename a recorded core", cpu.Target, cpu.Rule, ours)
	}
	if got := facts.FamilyOf(info.arch()); got != target.Root() && got+"le" != target.Root() && got != target.Root()+"le" {
		t.Errorf("family by the text = %s, want %s", got, target.Root())
	}
}

// The dumps of other systems are not what a node of ours has. What they show of the CPU goes
// through the same rule.
func TestForeignDumps(t *testing.T) {
	dir := filepath.FromSlash("../../shared/data/archspec/tests/targets")
	files, err := filepath.Glob(filepath.Join(dir, "[dw]*"))
	if err != nil || len(files) == 0 {
		t.Skipf("no dumps of other systems: %v", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := strings.SplitN(name, "-", 3)
			p := sysctl(string(raw))
			if parts[0] == "windows" {
				p = cpuidDump(t, string(raw))
			}
			if p.family == "" { // Apple's, which sysctl names by product
				words := strings.Fields(string(raw)[strings.Index(string(raw), "brand_string:")+len("brand_string:"):])
				if words[1] == "processor" { // the first of them had no other name
					words[1] = "M1"
				}
				if target, ok := facts.LookupTarget(words[1]); !ok || target.Name != parts[2] || target.Vendor != words[0] {
					t.Errorf("%q is %s of %s, want %s", words[:2], target.Name, target.Vendor, parts[2])
				}
				return
			}
			if got := p.find().strict; got != parts[2] {
				t.Errorf("strict = %s, want %s", got, parts[2])
			}
		})
	}
	if len(files) != 10 {
		t.Errorf("tried %d dumps, want 10", len(files))
	}
}

// sysctl reads what macOS says of an Intel CPU; its words are archspec's but for these.
func sysctl(text string) processor {
	p := processor{features: set{}}
	spelling := map[string]string{"sse4.1": "sse4_1", "sse4.2": "sse4_2", "avx1.0": "avx", "lahf": "lahf_lm", "sha": "sha_ni", "lzcnt": "abm", "clfsopt": "clflushopt"}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); key {
		case "machdep.cpu.vendor":
			p.family, p.vendor = "x86_64", value
		case "machdep.cpu.features", "machdep.cpu.leaf7_features", "machdep.cpu.extfeatures":
			for word := range strings.FieldsSeq(strings.ToLower(value)) {
				if other := spelling[word]; other != "" {
					word = other
				}
				p.features[word] = struct{}{}
				if word == "xsave" { // macOS does not name its parts
					p.features["xsavec"], p.features["xsaveopt"] = struct{}{}, struct{}{}
				}
			}
		}
	}
	p.features.addImplied()
	return p
}

// cpuidDump reads lines of leaf, subleaf, EAX, EBX, ECX and EDX. The bits are those of Intel's
// manual, volume 2A, CPUID.
func cpuidDump(t *testing.T, text string) processor {
	t.Helper()
	bits := map[[2]int]string{ // leaf and register; bit and feature
		{1, 2}:          "0 sse3 1 pclmulqdq 9 ssse3 12 fma 13 cx16 19 sse4_1 20 sse4_2 22 movbe 23 popcnt 25 aes 26 xsave 28 avx 29 f16c 30 rdrand",
		{1, 3}:          "23 mmx 25 sse 26 sse2",
		{7, 1}:          "0 fsgsbase 3 bmi1 5 avx2 8 bmi2 16 avx512f 17 avx512dq 18 rdseed 19 adx 21 avx512ifma 23 clflushopt 24 clwb 28 avx512cd 29 sha_ni 30 avx512bw 31 avx512vl",
		{7, 2}:          "1 avx512vbmi 6 avx512_vbmi2 8 gfni 9 vaes 10 vpclmulqdq 11 avx512_vnni 12 avx512_bitalg 14 avx512_vpopcntdq 22 rdpid",
		{13, 0}:         "0 xsaveopt 1 xsavec",
		{0x80000001, 2}: "0 lahf_lm 5 abm",
	}
	p := processor{family: "x86_64", vendor: "GenuineIntel", features: set{}}
	for line := range strings.Lines(text) {
		var leaf, sub int
		var reg [4]uint32
		if _, err := fmt.Sscanf(line, "%d, %d, %d, %d, %d, %d", &leaf, &sub, &reg[0], &reg[1], &reg[2], &reg[3]); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if sub > 0 && leaf != 13 {
			continue
		}
		for i, value := range reg {
			words := strings.Fields(bits[[2]int{leaf, i}])
			for j := 0; j < len(words); j += 2 {
				if bit, err := strconv.Atoi(words[j]); err == nil && value>>bit&1 != 0 {
					p.features[words[j+1]] = struct{}{}
				}
			}
		}
	}
	p.features.addImplied()
	return p
}
