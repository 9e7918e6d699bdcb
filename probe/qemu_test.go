package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// childVariable makes the test binary print what it finds, and end: under qemu it is the program
// that probes.
const childVariable = "HPC3_TEST_PROBE"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	n, err := Node(context.Background(), Options{})
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(n)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// matrixEntry is one CPU model of qemu-user and what is to be found under it. Strict answers and
// those of other architectures depend on the version of qemu.
type matrixEntry struct {
	Arch, Model, Vendor, FMS, Expect string
	Level                            int
	Strict                           map[string]string
	Results                          map[string]json.RawMessage
}

// emulatedArchs are the architectures of the matrix with qemu's word for each.
var emulatedArchs = []struct{ arch, qemu string }{{"amd64", "x86_64"}, {"arm64", "aarch64"}, {"ppc64le", "ppc64le"}}

// qemu-user answers CPUID as many CPUs would. On x86 it shows the host's /proc/cpuinfo, which must
// not be believed. bookworm's shows that on every architecture; trixie's shows the emulated one on
// ARM, and knows more models.
func TestQEMUMatrix(t *testing.T) {
	entries := readMatrix(t)
	for _, a := range emulatedArchs {
		t.Run(a.arch, func(t *testing.T) {
			dir := t.TempDir()
			var binary string // built once for both
			for _, release := range []string{"bookworm", "trixie"} {
				t.Run(release, func(t *testing.T) {
					emulator := emulatorOf(t, release, a.qemu)
					version := emulatorVersion(t, emulator)
					if binary == "" {
						binary = testBinary(t, a.arch, dir)
					}
					known := 0
					for _, e := range entries {
						if e.Arch != a.arch {
							continue
						}
						if _, _, ok := e.expected(t, version); ok {
							known++
						}
						t.Run(e.Model, func(t *testing.T) { e.test(t, emulator, version, binary) })
					}
					if known == 0 {
						t.Errorf("the table says nothing of %s in qemu %s", a.arch, version)
					}
				})
			}
		})
	}
}

// emulatorOf returns the emulator of an architecture in a Debian release: bookworm's is installed,
// trixie's is a part of the lab, which is fetched only if the environment asks for qemu.
func emulatorOf(t *testing.T, release, arch string) string {
	t.Helper()
	if release == "bookworm" {
		path, err := exec.LookPath("qemu-" + arch + "-static")
		if err != nil {
			missing(t, "qemu-user-static is not installed: %v", err)
		}
		return path
	}
	if testing.Short() || !required() {
		t.Skip("trixie's qemu is fetched only where HPC3_REQUIRE names qemu, and by no short run")
	}
	var stderr bytes.Buffer
	cmd := exec.Command("../tests/lab/qemu-trixie")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return filepath.Join(lines[len(lines)-1], "qemu-"+arch)
}

// missing skips, or fails if the environment says that qemu is there.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if required() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func required() bool {
	return slices.Contains(strings.Split(os.Getenv("HPC3_REQUIRE"), ","), "qemu")
}

func readMatrix(t *testing.T) []matrixEntry {
	raw, err := os.ReadFile(filepath.FromSlash("../../shared/data/probe_matrix.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no table of what qemu's models are: %v", err)
	}
	var entries []matrixEntry
	if err == nil {
		err = json.Unmarshal(raw, &entries)
	}
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// emulatorVersion returns "7.2" of "qemu-x86_64 version 7.2.22 (Debian …".
func emulatorVersion(t *testing.T, path string) string {
	out, err := exec.Command(path, "--version").Output()
	_, after, found := strings.Cut(string(out), " version ")
	numbers := strings.SplitN(after, ".", 3)
	if err != nil || !found || len(numbers) < 3 {
		t.Fatalf("%s --version prints %q, %v", path, out, err)
	}
	return numbers[0] + "." + numbers[1]
}

// testBinary returns a static test binary of this package for an architecture, on amd64 one that
// runs on every CPU; one that has to be built is put into dir.
func testBinary(t *testing.T, arch, dir string) string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if arch == runtime.GOARCH && runsOnAny() {
		return self
	}
	if testing.Short() {
		t.Skipf("building a test binary for %s takes long", arch)
	}
	file := filepath.Join(dir, "probe.test")
	cmd := exec.Command("go", "test", "-c", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOAMD64=v1", "GOARCH="+arch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		missing(t, "building for %s: %v\n%s", arch, err, out)
	}
	return file
}

// runsOnAny reports whether this binary was built without demands on the CPU and without cgo's race
// detector.
func runsOnAny() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && !slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "GOAMD64" && s.Value != "v1" || s.Key == "-race" && s.Value == "true"
	})
}

func (e matrixEntry) test(t *testing.T, emulator, version, binary string) {
	target, strict, ok := e.expected(t, version)
	if !ok {
		t.Skipf("nothing is known of %s in qemu %s", e.Model, version)
	}
	cmd := exec.Command(emulator, "-cpu", e.Model, binary)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	var n facts.Node
	if err := json.Unmarshal(out, &n); err != nil {
		t.Fatalf("%v prints %q: %v", cmd.Args, out, err)
	}
	if n.CPU.Target != target || strict != "" && n.CPU.Strict != strict {
		t.Errorf("target %s, strict %s; want %s, %s (rule %s, missing %v)", n.CPU.Target, n.CPU.Strict, target, strict, n.CPU.Rule, n.CPU.Missing)
	}
	if e.Arch == "amd64" {
		fms := fmt.Sprintf("%d/%d/%d", n.CPU.Family, n.CPU.Model, n.CPU.Stepping)
		if model, _, given := strings.Cut(e.Model, "family="); strings.HasPrefix(model, "max") && !given {
			fms = e.FMS // what "max" is by itself differs between versions
		}
		if !n.CPU.Emulated || n.CPU.Vendor != e.Vendor || fms != e.FMS || n.CPU.Level != e.Level {
			t.Errorf("emulated %v, %s %s, level %d; want true, %s %s, %d", n.CPU.Emulated, n.CPU.Vendor, fms, n.CPU.Level, e.Vendor, e.FMS, e.Level)
		}
	}
}

// expected returns what is to be found under a version of qemu; strict is empty if the table does
// not state it.
func (e matrixEntry) expected(t *testing.T, version string) (target, strict string, ok bool) {
	if e.Arch == "amd64" {
		return e.Expect, e.Strict[version], true
	}
	raw, ok := e.Results[version]
	if !ok || string(raw) == "null" {
		return "", "", false
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		target, _, _ = strings.Cut(text, " ") // "ppc64le (host cpuinfo)"
		return target, "", true
	}
	var arm struct{ Auxv, Strict string }
	if err := json.Unmarshal(raw, &arm); err != nil {
		t.Fatal(err)
	}
	return arm.Auxv, arm.Strict, true
}
