package probe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hpc3-project/hpc3/probe/facts"
)

const (
	driverText = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
	answerText = `{"schemaVersion":1,"driver":"550.54.15","cuda":"12.4","gpus":[{"vendor":"nvidia","name":"NVIDIA H100 80GB HBM3","arch":"9.0","memoryBytes":85520809984,"uuid":"GPU-1"}]}`
)

// script writes a program that stands for hpc3-gpu and counts its runs in the file runs beside it.
func script(t *testing.T, body string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), helperName)
	text := fmt.Sprintf("#!/bin/sh\necho run >>%q\n%s\n", filepath.Join(filepath.Dir(file), "runs"), body)
	// A process that is started meanwhile would hold the file open for writing, and no one may
	// execute it then.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func runs(t *testing.T, helper string) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(helper), "runs"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(raw), "run\n")
}

// ask probes the NVIDIA GPUs of a made-up machine that is this one.
func ask(root string, opt Options, env map[string]string) facts.Node {
	var n facts.Node
	p := prober{node: &n, fsys: os.DirFS(root), env: func(name string) string { return env[name] }}
	p.nvidia(context.Background(), opt)
	return n
}

func TestHelper(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	if err := os.Unsetenv("CUDA_VISIBLE_DEVICES"); err != nil {
		t.Fatal(err)
	}
	loaded := map[string]string{
		"proc/driver/nvidia/version":                       driverText,
		"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: NVIDIA H100 80GB HBM3\nGPU UUID: GPU-1\nDevice Minor: 250\n",
		"proc/driver/nvidia/gpus/0000:02:00.0/information": "Model: NVIDIA GeForce RTX 4090\nGPU UUID: GPU-2\nDevice Minor: 251\n",
	}
	driver := &facts.NVIDIA{Driver: "550.54.15", CUDA: "12.4"}
	h100 := facts.GPU{Vendor: "nvidia", Name: "NVIDIA H100 80GB HBM3", Arch: "9.0"}
	full := h100
	full.MemoryBytes = 85520809984
	for _, c := range []struct {
		name, helper string
		files        map[string]string
		env          map[string]string
		want         facts.Node // of Unknown only What
	}{
		{"no driver", "exit 1", nil, nil, facts.Node{}},
		{"an answer", "echo '" + answerText + "'", loaded, nil, facts.Node{NVIDIA: driver, GPUs: []facts.GPU{full}}},
		{"an error", `echo '{"schemaVersion":1,"error":"mismatch","code":18}'; exit 1`, loaded, nil, facts.Node{NVIDIA: driver, Unknown: []facts.Unknown{{What: "gpus"}}}},
		{"not loaded", `echo '{"schemaVersion":1,"error":"not loaded","code":9}'; exit 1`, map[string]string{"dev/nvidiactl": ""}, nil, facts.Node{}},
		{"a crash", "kill -BUS $$", loaded, nil, facts.Node{NVIDIA: driver, Unknown: []facts.Unknown{{What: "gpus"}}}},
		{"a missing function", "exit 127", loaded, nil, facts.Node{NVIDIA: driver, Unknown: []facts.Unknown{{What: "gpus"}}}},
		{"nothing", "", loaded, nil, facts.Node{NVIDIA: driver, Unknown: []facts.Unknown{{What: "gpus"}}}},
		{"nonsense", "echo '[]'", loaded, nil, facts.Node{NVIDIA: driver, Unknown: []facts.Unknown{{What: "gpus"}}}},
		{"another version", `echo '{"schemaVersion":2,"driver":"1"}'`, loaded, nil, facts.Node{NVIDIA: driver, Unknown: []facts.Unknown{{What: "gpus"}}}},
		{"too much", "while :; do echo '                                                                        '; done", loaded, nil, facts.Node{NVIDIA: driver, Unknown: []facts.Unknown{{What: "gpus"}}}},
		{"no helper", "-", loaded, nil, facts.Node{NVIDIA: driver, GPUs: []facts.GPU{h100, {Vendor: "nvidia", Name: "NVIDIA GeForce RTX 4090"}}, Unknown: []facts.Unknown{{What: "gpus"}}}},
		{"no helper, one GPU chosen", "-", loaded, map[string]string{"CUDA_VISIBLE_DEVICES": "0"}, facts.Node{NVIDIA: driver, GPUs: []facts.GPU{h100}}},
		{"an unreadable version", "exit 1", map[string]string{"proc/driver/nvidia/version": "what\n"}, nil, facts.Node{Unknown: []facts.Unknown{{What: "nvidia"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := Options{Helper: filepath.Join(t.TempDir(), "none")}
			if c.helper != "-" {
				opt.Helper = script(t, c.helper)
			}
			got := ask(record(t, c.files), opt, c.env)
			for i := range got.Unknown {
				if got.Unknown[i].Why == "" {
					t.Errorf("nothing is said of why %s is not known", got.Unknown[i].What)
				}
				t.Log(got.Unknown[i].Why)
				got.Unknown[i].Why = ""
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHelperThatHangs(t *testing.T) {
	if raw, err := runHelper(context.Background(), script(t, "exec sleep 600"), 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("runHelper() = %q, %v", raw, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if raw, err := runHelper(ctx, script(t, "exec sleep 600"), time.Minute); err == nil {
		t.Errorf("runHelper() of a context that is done = %q, %v", raw, err)
	}
}

// kept is a cache in memory.
type kept map[string][]byte

func (k kept) Answer(name string) []byte { return k[name] }

func (k kept) KeepAnswer(name string, raw []byte) error {
	k[name] = raw
	return nil
}

// The answer is kept for the boot, the driver and the GPUs that the job may use; what could not be
// asked is not kept.
func TestAnswersAreKept(t *testing.T) {
	files := map[string]string{
		"proc/driver/nvidia/version": driverText, "proc/sys/kernel/random/boot_id": "b1\n", "proc/self/cgroup": "0::/job1\n",
	}
	root := record(t, files)
	opt := Options{Answers: kept{}, Helper: script(t, "echo '"+answerText+"'")}
	first := ask(root, opt, nil)
	again := ask(root, opt, nil)
	if diff := cmp.Diff(first, again); diff != "" || len(first.GPUs) != 1 || runs(t, opt.Helper) != 1 {
		t.Errorf("%d runs, want 1; (-first +again):\n%s", runs(t, opt.Helper), diff)
	}
	ask(root, opt, map[string]string{"CUDA_VISIBLE_DEVICES": "0"})
	for _, name := range []string{"proc/self/cgroup", "proc/sys/kernel/random/boot_id"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("another\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		ask(root, opt, nil)
	}
	if n := runs(t, opt.Helper); n != 4 {
		t.Errorf("%d runs, want 4: other GPUs, another job and another boot ask again", n)
	}
	opt.Helper = script(t, `echo '{"schemaVersion":1,"error":"busy","code":19}'`)
	ask(root, opt, nil)
	ask(root, opt, nil)
	if n := runs(t, opt.Helper); n != 2 {
		t.Errorf("%d runs, want 2: an error is not kept", n)
	}
}

func TestKFDVisible(t *testing.T) {
	root := record(t, map[string]string{
		"sys/class/kfd/kfd/topology/nodes/1/properties": "simd_count 440\ngfx_target_version 90010\nunique_id 10\n",
		"sys/class/kfd/kfd/topology/nodes/2/properties": "simd_count 440\ngfx_target_version 90402\nunique_id 255\n",
		"sys/class/kfd/kfd/topology/nodes/3/properties": "simd_count 440\n",
	})
	for setting, want := range map[string][]string{
		"0,1": {"gfx90a", "gfx942"}, "1": {"gfx942"}, "GPU-00000000000000ff,0": {"gfx942", "gfx90a"}, "-1": nil,
	} {
		var n facts.Node
		p := prober{node: &n, fsys: os.DirFS(root), env: func(name string) string { return map[string]string{"ROCR_VISIBLE_DEVICES": setting}[name] }}
		p.amd()
		var got []string
		for _, g := range n.GPUs {
			got = append(got, g.Arch)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(n.Unknown) != 0 {
			t.Errorf("ROCR_VISIBLE_DEVICES=%s: unknown %v (-want +got):\n%s", setting, n.Unknown, diff)
		}
	}
}
