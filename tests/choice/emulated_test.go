package choice

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// emulatedVariants are the entries of the index, each with the -march of its program; first the
// levels, in order.
var emulatedVariants = []struct{ platform, march string }{
	{"linux/amd64", "x86-64"},
	{"linux/amd64/v2", "x86-64-v2"},
	{"linux/amd64/v3", "x86-64-v3"},
	{"linux/amd64:nehalem", "nehalem"},
	{"linux/amd64:ivybridge", "ivybridge"},
	{"linux/amd64:haswell", "haswell"},
	{"linux/amd64:zen", "znver1"},
	{"linux/amd64:zen2", "znver2"},
}

// TestRefusedVariantsFail runs hpc3 and the programs of an index on the same emulated CPUs: what
// hpc3 says fits runs, and what it refuses for want of a feature ends by SIGILL. qemu refuses every
// instruction whose CPUID bit is off; it emulates no AVX-512, so levels end at v3.
func TestRefusedVariantsFail(t *testing.T) {
	lab.Needs(t, "qemu", !testing.Short(), "it runs 200 programs")
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("the programs are built by this machine's compiler, for amd64")
	}
	emulator, err := exec.LookPath("qemu-x86_64-static")
	lab.Needs(t, "qemu", err == nil, fmt.Sprintf("qemu-user-static is not installed: %v", err))
	compiler, err := exec.LookPath("gcc")
	lab.Needs(t, "qemu", err == nil, fmt.Sprintf("gcc is not installed: %v", err))
	e := emulation{emulator: emulator, dir: t.TempDir()}
	e.build(t, compiler)
	for _, tt := range []struct {
		cpu    string
		level  int
		chosen string // the platform
	}{
		{"qemu64", 1, "linux/amd64"},
		{"kvm64", 1, "linux/amd64"},
		{"Penryn", 1, "linux/amd64"},
		{"Nehalem,-popcnt", 1, "linux/amd64"},
		{"EPYC-Rome,-cx16", 1, "linux/amd64"},
		{"Nehalem", 2, "linux/amd64:nehalem"},
		{"Westmere", 2, "linux/amd64:nehalem"},
		{"SandyBridge", 2, "linux/amd64:nehalem"},
		{"IvyBridge", 2, "linux/amd64:ivybridge"},
		{"Opteron_G5", 2, "linux/amd64/v2"}, // it has AVX and FMA, not AVX2
		{"Snowridge", 2, "linux/amd64:nehalem"},
		{"Haswell,-avx2", 2, "linux/amd64:ivybridge"},
		{"Haswell,-movbe", 2, "linux/amd64:ivybridge"},
		{"Haswell,-fma", 2, "linux/amd64:ivybridge"},
		{"Haswell,-bmi2", 2, "linux/amd64:ivybridge"},
		{"Haswell,-f16c", 2, "linux/amd64:nehalem"},
		{"Haswell", 3, "linux/amd64:haswell"},
		{"Skylake-Server", 3, "linux/amd64:haswell"},
		{"EPYC", 3, "linux/amd64:zen"},
		{"EPYC-Rome", 3, "linux/amd64:zen2"},
		{"EPYC-Rome,-sse4a", 3, "linux/amd64/v3"},
		{"Dhyana", 3, "linux/amd64/v3"}, // of no vendor that targets know
	} {
		t.Run(tt.cpu, func(t *testing.T) { e.test(t, tt.cpu, tt.level, tt.chosen) })
	}
	t.Logf("%d programs that fit ran, %d refused for features ended by SIGILL, %d refused for the vendor or age alone ran all the same", e.ran, e.failed, e.foreign)
	if e.foreign == 0 {
		t.Error("nothing was refused for its vendor")
	}
}

// emulation holds the programs, and counts what became of them.
type emulation struct {
	emulator, dir        string
	ran, failed, foreign int
}

// build compiles the program of every variant and writes the index.
func (e *emulation) build(t *testing.T, compiler string) {
	t.Helper()
	index := map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeIndex}
	var entries []oci.Descriptor
	for _, v := range emulatedVariants {
		file := filepath.Join(e.dir, v.march)
		cmd := exec.Command(compiler, "-Wall", "-Werror", "-O3", "-march="+v.march, "-static", "-o", file, "testdata/level.c")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
		p, _, err := oci.ParsePlatform(v.platform)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestOf([]byte(v.march)), Size: 2, Platform: &p})
	}
	index["manifests"] = entries
	raw, err := json.Marshal(index)
	if err == nil {
		err = os.WriteFile(filepath.Join(e.dir, "index.json"), raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program on a CPU. It reports whether it ended by SIGILL.
func (e *emulation) run(t *testing.T, cpu, program string, args ...string) (stdout []byte, illegal bool) {
	t.Helper()
	cmd := exec.Command(e.emulator, append([]string{"-cpu", cpu, program}, args...)...)
	cmd.Dir = e.dir // a core may be left
	cmd.Env = []string{"HOME=" + e.dir, "HPC3_CONFIG=" + os.DevNull}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr // qemu warns of every feature that it does not emulate
	stdout, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGILL {
			return stdout, true
		}
	}
	if err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	return stdout, false
}

func (e *emulation) test(t *testing.T, cpu string, level int, chosen string) {
	out, illegal := e.run(t, cpu, filepath.Join(lab.Programs(), "hpc3"), "explain", "--index", "index.json", "--json")
	var told launcher.Explanation
	if err := json.Unmarshal(out, &told); err != nil || illegal || len(told.Entries) != len(emulatedVariants) {
		t.Fatalf("hpc3 explain prints %q, illegal instruction: %v; %v", out, illegal, err)
	}
	if told.Chosen == nil || told.Chosen.Platform != chosen {
		t.Errorf("chosen %+v, want %s", told.Chosen, chosen)
	}
	if told.Chosen != nil && !told.Entries[told.Chosen.Position].Fits {
		t.Errorf("chosen %+v, which does not fit", told.Chosen)
	}
	failed := 0
	for i, entry := range told.Entries {
		v := emulatedVariants[i]
		_, illegal := e.run(t, cpu, filepath.Join(e.dir, v.march))
		lacking := lacks(entry.Reasons)
		switch {
		case entry.Fits && illegal:
			t.Errorf("%s fits (%q), and its program ends by SIGILL", entry.Platform, entry.Reasons)
		case entry.Fits:
			e.ran++
		case len(lacking) > 0 && !illegal:
			t.Errorf("%s is refused for want of %q, and its program runs", entry.Platform, lacking)
		case len(lacking) > 0:
			failed++
		case illegal:
			t.Errorf("%s is refused by %q, and its program ends by SIGILL: a feature is missing", entry.Platform, entry.Reasons)
		default: // the CPU of another vendor that has all that is used
			e.foreign++
		}
		if i < 3 && entry.Fits != (level > i) {
			t.Errorf("%s fits: %v, on a CPU of level v%d", entry.Platform, entry.Fits, level)
		}
	}
	e.failed += failed
	if level < 3 && failed == 0 {
		t.Errorf("no refused program failed on a CPU of level v%d", level)
	}
}

// lackPattern finds the features in a sentence such as "needs avx2, bmi2 and 3 more of v3
// (x86_64_v3), which this CPU, nehalem, lacks" and "built for AMD's zen; this CPU, haswell, lacks
// sse4a".
var lackPattern = regexp.MustCompile(`^needs (.*?)(?: and \d+ more)? of .*, lacks$|lacks (.*?)(?: and \d+ more)?$`)

// lacks returns the features that are named as missing, without those that no compiler emits.
func lacks(reasons []string) []string {
	var features []string
	for _, reason := range reasons {
		for _, list := range lackPattern.FindAllStringSubmatch(reason, -1) {
			features = append(features, strings.FieldsFunc(list[1]+list[2], func(r rune) bool { return r == ',' || r == ' ' })...)
		}
	}
	return slices.DeleteFunc(features, func(f string) bool { return f == "and" || slices.Contains(facts.NicheFeatures("x86_64"), f) })
}

// The programs find out what a CPU is, so they have to start on each.
func TestProgramsStartOnEveryCPU(t *testing.T) {
	oldest := map[string]string{"GOAMD64": "v1", "GOARM64": "v8.0", "GOPPC64": "power8", "GORISCV64": "rva20u64"}
	for _, program := range []string{"hpc3", "hpc3-run"} {
		info, err := buildinfo.ReadFile(filepath.Join(lab.Programs(), program))
		if err != nil {
			t.Fatal(err)
		}
		static := slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "0"})
		for _, s := range info.Settings {
			if want, ok := oldest[s.Key]; ok && s.Value != want {
				t.Errorf("%s is built with %s=%s, want %s", program, s.Key, s.Value, want)
			}
		}
		if !static {
			t.Errorf("%s is built with cgo", program)
		}
	}
}
