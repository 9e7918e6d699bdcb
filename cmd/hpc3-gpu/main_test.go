//go:build cgo

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// childVariable makes the test binary be hpc3-gpu, so that each case loads its own library in a
// process of its own.
const childVariable = "HPC3_TEST_GPU"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// buildStub builds a stand-in for NVML and returns the directory that holds it.
func buildStub(t *testing.T, flags ...string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skipf("no C compiler to build a stand-in for NVML: %v", err)
	}
	dir := t.TempDir()
	args := append([]string{"-shared", "-fPIC", "-D_GNU_SOURCE", "-Wl,-soname," + library, "-o", filepath.Join(dir, library), "testdata/nvml.c"}, flags...)
	if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("building the stand-in: %v\n%s", err, out)
	}
	return dir
}

// helper runs hpc3-gpu with the library of a directory.
func helper(t *testing.T, dir string, env ...string) (facts.NVML, int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append([]string{childVariable + "=1", "LD_LIBRARY_PATH=" + dir}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	var answer facts.NVML
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("hpc3-gpu prints %q, %v; stderr: %s", out, err, stderr.String())
	}
	return answer, cmd.ProcessState.ExitCode()
}

func gpu(name, arch string, mib uint64, uuid string, mig bool) facts.NVMLGPU {
	return facts.NVMLGPU{GPU: facts.GPU{Vendor: "nvidia", Name: name, Arch: arch, MemoryBytes: mib << 20}, UUID: uuid, MIG: mig}
}

func TestAnswers(t *testing.T) {
	const two = "NVSTUB=driver=580.159.04;cuda=13000;gpu=NVIDIA H100 80GB HBM3,9.0,81559,0;gpu=NVIDIA A100-SXM4-40GB,8.0,40960,1"
	h100, a100 := gpu("NVIDIA H100 80GB HBM3", "9.0", 81559, "GPU-10081559", false), gpu("NVIDIA A100-SXM4-40GB", "8.0", 40960, "GPU-20040960", true)
	dir := buildStub(t)
	for _, c := range []struct {
		name string
		env  []string
		want []facts.NVMLGPU
	}{
		{"all", []string{two}, []facts.NVMLGPU{h100, a100}},
		{"one by number", []string{two, "CUDA_VISIBLE_DEVICES=1"}, []facts.NVMLGPU{a100}},
		{"in another order", []string{two, "CUDA_VISIBLE_DEVICES=1, 0"}, []facts.NVMLGPU{a100, h100}},
		{"by the beginning of a UUID", []string{two, "CUDA_VISIBLE_DEVICES=GPU-2"}, []facts.NVMLGPU{a100}},
		{"what follows a wrong one is hidden", []string{two, "CUDA_VISIBLE_DEVICES=0,7,1"}, []facts.NVMLGPU{h100}},
		{"none", []string{two, "CUDA_VISIBLE_DEVICES="}, nil},
		{"Slurm's word for none", []string{two, "CUDA_VISIBLE_DEVICES=NoDevFiles"}, nil},
		{"an instance", []string{two, "CUDA_VISIBLE_DEVICES=MIG-1"}, []facts.NVMLGPU{a100}},
		{"an instance that is not there", []string{two, "CUDA_VISIBLE_DEVICES=MIG-none"}, nil},
		{"no MIG", []string{"NVSTUB=driver=580.159.04;cuda=13000;gpu=Tesla T4,7.5,15360,-1"}, []facts.NVMLGPU{gpu("Tesla T4", "7.5", 15360, "GPU-10015360", false)}},
		{"hidden by the cgroup", []string{two + ",4"}, []facts.NVMLGPU{h100}},
		{"a lost GPU that is not wanted", []string{two + ",15", "CUDA_VISIBLE_DEVICES=0"}, []facts.NVMLGPU{h100}},
		{"no GPUs", []string{"NVSTUB=driver=580.159.04;cuda=13000"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, status := helper(t, dir, c.env...)
			want := facts.NVML{SchemaVersion: 1, Driver: "580.159.04", CUDA: "13.0", GPUs: c.want}
			if diff := cmp.Diff(want, got); diff != "" || status != 0 {
				t.Errorf("status %d (-want +got):\n%s", status, diff)
			}
		})
	}
}

// A library without the newer functions must not end the process.
func TestOldDriver(t *testing.T) {
	got, status := helper(t, buildStub(t, "-DOLD"), "NVSTUB=driver=390.30;gpu=Tesla M10,5.0,8192")
	want := facts.NVML{SchemaVersion: 1, Driver: "390.30", GPUs: []facts.NVMLGPU{gpu("Tesla M10", "5.0", 8192, "GPU-10008192", false)}}
	if diff := cmp.Diff(want, got); diff != "" || status != 0 {
		t.Errorf("status %d (-want +got):\n%s", status, diff)
	}
}

func TestFaults(t *testing.T) {
	stub := buildStub(t)
	text := t.TempDir()
	if err := os.WriteFile(filepath.Join(text, library), []byte("not a library"), 0o644); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if out, err := exec.Command("gcc", "-shared", "-o", filepath.Join(other, library), "-xc", "/dev/null").CombinedOutput(); err != nil {
		t.Fatalf("building an empty library: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name, dir, stub string
		code            int
	}{
		{"no library", t.TempDir(), "", 12},
		{"text in its place", text, "", 12},
		{"another library in its place", other, "", 13},
		{"driver not loaded", stub, "init=9", 9},
		{"library and driver differ", stub, "init=18", 18},
		{"a lost GPU", stub, "gpu=NVIDIA H100,9.0,81559,0,15", 15},
		{"a GPU without capability", stub, "gpu=NVIDIA H100,0.0,81559,0", 999},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, status := helper(t, c.dir, "NVSTUB="+c.stub)
			if got.Error == "" || got.Code != c.code || got.GPUs != nil || got.Driver != "" || status != 1 {
				t.Errorf("answer %+v, status %d; want an error of code %d and status 1", got, status, c.code)
			}
			t.Log(got.Error)
		})
	}
}
