package device

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// node makes a root out of paths; what ends in "/" is a directory.
func node(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil && strings.HasSuffix(name, "/") {
			err = os.MkdirAll(file, 0o755)
		} else if err == nil {
			err = os.WriteFile(file, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// gpuNode is a node with two NVIDIA GPUs whose order on the PCI bus is not that of their minors.
func gpuNode() map[string]string {
	return map[string]string{
		"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "", "dev/nvidia-uvm": "", "dev/nvidia-caps/nvidia-cap1": "", "dev/sda": "", "dev/mem": "",
		"proc/driver/nvidia/gpus/0000:3b:00.0/information": "Model: \t A100\nGPU UUID: \t GPU-aaaa\nDevice Minor: \t 1\n",
		"proc/driver/nvidia/gpus/0000:af:00.0/information": "Model: \t A100\nGPU UUID: \t GPU-bbbb\nDevice Minor: \t 0\n",
		"usr/bin/nvidia-smi": "", "usr/lib64/libcuda.so.1": "", "usr/lib64/libnvidia-ml.so.1": "", "usr/lib64/libnvidia-encode.so.1": "", "usr/lib64/libc.so.6": "",
	}
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := env[name]
		return value, set
	}
}

func look(root string, env map[string]string, hidden ...string) Found {
	return Find(Ask{
		Root: root, Arch: runtime.GOARCH, Lookup: lookup(env), Libc: func() Libc { return Libc{Dir: "/usr/lib64", Minor: 31} },
		refused: func(path string) error {
			if slices.Contains(hidden, "/"+strings.TrimPrefix(strings.TrimPrefix(path, root), "/")) {
				return unix.EPERM // as the device controller of cgroups has it
			}
			return unix.Access(path, unix.R_OK)
		},
	})
}

func (f Found) targets(prefix string) []string {
	var found []string
	for _, m := range f.Mounts {
		if strings.HasPrefix(m.Target, prefix) {
			found = append(found, m.Target)
		}
	}
	return found
}

func TestVisibleDevices(t *testing.T) {
	root := node(t, gpuNode())
	both, none := []string{"/dev/nvidia0", "/dev/nvidia1"}, []string(nil)
	for _, tt := range []struct {
		name   string
		env    map[string]string
		hidden []string
		want   []string
		warn   string
	}{
		{"not set", nil, nil, both, ""},
		{"all", map[string]string{"NVIDIA_VISIBLE_DEVICES": "all"}, nil, both, ""},
		{"none", map[string]string{"NVIDIA_VISIBLE_DEVICES": "none"}, nil, none, ""},
		{"void", map[string]string{"NVIDIA_VISIBLE_DEVICES": "void"}, nil, none, ""},
		{"empty", map[string]string{"NVIDIA_VISIBLE_DEVICES": ""}, nil, none, ""},
		{"index, by the bus", map[string]string{"NVIDIA_VISIBLE_DEVICES": "0"}, nil, both[1:], ""},
		{"indices", map[string]string{"NVIDIA_VISIBLE_DEVICES": "1,0"}, nil, both, ""},
		{"UUID", map[string]string{"NVIDIA_VISIBLE_DEVICES": "GPU-bbbb"}, nil, both[:1], ""},
		{"part of a GPU", map[string]string{"NVIDIA_VISIBLE_DEVICES": "1:0"}, nil, both[:1], ""},
		{"old MIG name", map[string]string{"NVIDIA_VISIBLE_DEVICES": "MIG-GPU-aaaa/1/0"}, nil, both[1:], ""},
		{"MIG", map[string]string{"NVIDIA_VISIBLE_DEVICES": "MIG-1234"}, nil, both, ""},
		{"no such", map[string]string{"NVIDIA_VISIBLE_DEVICES": "7"}, nil, none, `no GPU "7"`},
		{"hidden by the cgroup", nil, []string{"/dev/nvidia0"}, both[1:], ""},
		{"asked for and hidden", map[string]string{"NVIDIA_VISIBLE_DEVICES": "1"}, []string{"/dev/nvidia0"}, none, "not for this job"},
		{"all hidden", nil, both, none, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := look(root, tt.env, tt.hidden...)
			if diff := cmp.Diff(tt.want, slices.DeleteFunc(f.targets("/dev/nvidia"), func(p string) bool { return !slices.Contains(both, p) })); diff != "" {
				t.Errorf("GPUs differ (-want +got):\n%s", diff)
			}
			if f.NVIDIA != (tt.want != nil) {
				t.Errorf("NVIDIA = %v", f.NVIDIA)
			}
			if got := strings.Join(f.Warnings, "\n"); !strings.Contains(got, tt.warn) || tt.warn == "" && got != "" {
				t.Errorf("warnings %q, want %q", got, tt.warn)
			}
			if mig := slices.Contains(f.Env, "CUDA_VISIBLE_DEVICES=MIG-1234"); mig != (tt.name == "MIG") {
				t.Errorf("environment %q", f.Env)
			}
		})
	}
}

func TestDriverFiles(t *testing.T) {
	root := node(t, gpuNode())
	f := look(root, nil)
	if diff := cmp.Diff([]string{"/usr/bin/nvidia-smi", "/usr/lib64/libcuda.so.1", "/usr/lib64/libnvidia-ml.so.1"}, f.targets("/usr/")); diff != "" {
		t.Errorf("compute and utility differ (-want +got):\n%s", diff)
	}
	f = look(root, map[string]string{"NVIDIA_DRIVER_CAPABILITIES": "video"})
	if diff := cmp.Diff([]string{"/usr/lib64/libnvidia-encode.so.1"}, f.targets("/usr/")); diff != "" {
		t.Errorf("video differs (-want +got):\n%s", diff)
	}
	for _, p := range []string{"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-caps/nvidia-cap1"} {
		if !slices.Contains(f.targets("/dev/"), p) {
			t.Errorf("%s is missing", p)
		}
	}
}

func TestNodeWithoutDevices(t *testing.T) {
	f := look(node(t, map[string]string{"dev/sda": "", "dev/mem": "", "dev/null": ""}), nil)
	for _, p := range []string{"/dev/sda", "/dev/mem"} {
		if slices.Contains(f.targets("/dev/"), p) {
			t.Errorf("%s is in the container", p)
		}
	}
	if f.NVIDIA || len(f.Notes)+len(f.Warnings)+len(f.Env)+len(f.Dirs) != 0 {
		t.Errorf("something was found where nothing is: %+v", f)
	}
}

func TestOtherDevices(t *testing.T) {
	root := node(t, map[string]string{
		"dev/kfd": "", "dev/dri/renderD128": "", "dev/dri/renderD129": "", "dev/accel/accel0": "", "dev/infiniband/uverbs0": "", "dev/cxi0": "", "dev/hfi1_0": "",
		"dev/knem": "", "dev/xpmem": "", "dev/gdrdrv": "", "dev/vfio/vfio": "",
	})
	f := look(root, nil, "/dev/dri/renderD129")
	got := f.targets("/dev/")
	for _, p := range []string{"kfd", "dri/renderD128", "accel/accel0", "infiniband", "cxi0", "hfi1_0", "knem", "xpmem", "gdrdrv"} {
		if !slices.Contains(got, "/dev/"+p) {
			t.Errorf("/dev/%s is missing", p)
		}
	}
	for _, p := range []string{"/dev/dri/renderD129", "/dev/vfio", "/dev/vfio/vfio"} {
		if slices.Contains(got, p) {
			t.Errorf("%s is in the container", p)
		}
	}
	if len(f.Notes) != 2 {
		t.Errorf("notes: %q, want one for the fabric and one for GPUs", f.Notes)
	}
}

func TestMPI(t *testing.T) {
	root := node(t, map[string]string{"var/spool/pmix.1.0/": "", "run/munge/": "", "tmp/ompi/s/": "", "etc/topo.xml": ""})
	f := look(root, map[string]string{
		"PMIX_SERVER_TMPDIR": "/var/spool/pmix.1.0", "PMIX_SYSTEM_TMPDIR": "/no/such", "PMIX_SERVER_URI2": "pmix-server:12:/tmp/ompi/s/pmix-1",
		"PMIX_SERVER_URI41": "ns.0;tcp4://127.0.0.1:4711", "PMIX_SECURITY_MODE": "munge,native", "NCCL_TOPO_FILE": "/etc/topo.xml",
	})
	if diff := cmp.Diff([]string{"/var/spool/pmix.1.0", "/tmp/ompi/s", "/run/munge", "/etc/topo.xml"}, f.Dirs); diff != "" {
		t.Errorf("places differ (-want +got):\n%s", diff)
	}
	if f = look(root, nil); len(f.Dirs) != 0 {
		t.Errorf("outside of a job: %q", f.Dirs)
	}
	f = Find(Ask{Root: root, Arch: runtime.GOARCH, Lookup: lookup(nil), Libc: func() Libc { return Libc{} }, Places: []string{"/tmp/ompi", "/no/such", "tmp"}})
	if diff := cmp.Diff([]string{"/tmp/ompi"}, f.Dirs); diff != "" {
		t.Errorf("places that no variable names differ (-want +got):\n%s", diff)
	}
}

const specification = `cdiVersion: 0.5.0
kind: nvidia.com/gpu
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
  deviceNodes: [{path: /dev/nvidiactl}]
  mounts:
  - {hostPath: /usr/lib64/libcuda.so.1, containerPath: /usr/lib64/libcuda.so.1, options: [ro, nosuid]}
  - {hostPath: /usr/bin/nvidia-smi, containerPath: /usr/bin/nvidia-smi, options: [ro]}
  - {hostPath: /no/such, containerPath: /no/such}
  hooks:
  - {hookName: createContainer, path: /usr/bin/nvidia-ctk, args: [nvidia-ctk, hook, create-symlinks, --link, "libcuda.so.1::/usr/lib/elsewhere/libcuda.so"]}
  - {hookName: createContainer, path: /usr/bin/nvidia-ctk, args: [nvidia-ctk, hook, update-ldcache, --folder, /usr/lib64]}
  - {hookName: createContainer, path: /usr/bin/nvidia-cdi-hook, args: [nvidia-cdi-hook, enable-cuda-compat, --host-driver-version=535.161.08]}
  - {hookName: createContainer, path: /usr/bin/other, args: [other, do]}
devices:
- name: "0"
  containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}
- name: GPU-x
  containerEdits: {deviceNodes: [{path: /dev/gpu-x, hostPath: /dev/nvidia1}]}
`

func TestCDI(t *testing.T) {
	files := gpuNode()
	files["etc/cdi/nvidia.yaml"], files["etc/cdi/other.json"] = specification, `{"cdiVersion": "0.5.0", "kind": "vendor.com/net", "devices": []}`
	root := node(t, files)
	for _, tt := range []struct {
		name, value string
		hidden      []string
		want        []string
	}{
		{"all", "all", nil, []string{"/dev/nvidiactl", "/dev/nvidia0", "/dev/gpu-x"}},
		{"one", "0", nil, []string{"/dev/nvidiactl", "/dev/nvidia0"}},
		{"by UUID", "GPU-x", nil, []string{"/dev/nvidiactl", "/dev/gpu-x"}},
		{"one hidden", "all", []string{"/dev/nvidia1"}, []string{"/dev/nvidiactl", "/dev/nvidia0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := look(root, map[string]string{"NVIDIA_VISIBLE_DEVICES": tt.value}, tt.hidden...)
			got := append(f.targets("/dev/nvidia"), f.targets("/dev/gpu")...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("devices differ (-want +got):\n%s", diff)
			}
			link := Mount{Kind: Symlink, Source: "libcuda.so.1", Target: "/usr/lib64/libcuda.so"}
			if !slices.Contains(f.Mounts, link) || !slices.Contains(f.targets("/usr/"), "/usr/bin/nvidia-smi") || slices.Contains(f.targets("/"), "/no/such") {
				t.Errorf("mounts: %+v", f.Mounts)
			}
			if notes := strings.Join(f.Notes, "\n"); !strings.Contains(notes, "hook other do of the specification is not run") || strings.Contains(notes, "ldcache") || strings.Contains(notes, "cuda-compat") {
				t.Errorf("notes: %s", notes)
			}
			if !slices.Contains(f.Env, "NVIDIA_VISIBLE_DEVICES=void") || len(f.Warnings) != 0 {
				t.Errorf("environment %q, warnings %q", f.Env, f.Warnings)
			}
		})
	}
	files["etc/cdi/nvidia.yaml"] = "kind: [broken"
	f := look(node(t, files), nil)
	if len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], "passing over") || !slices.Contains(f.targets("/dev/"), "/dev/nvidia0") {
		t.Errorf("a broken specification: %q, %q", f.Warnings, f.targets("/dev/"))
	}
}

// amdSpecification is what amd-ctk cdi generate writes, and intelSpecification what
// intel-cdi-specs-generator does.
const (
	amdSpecification = `{"cdiVersion": "0.6.0", "kind": "amd.com/gpu", "containerEdits": {}, "devices": [
{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/dri/card1", "type": "c"}, {"path": "/dev/dri/renderD128", "type": "c"}, {"path": "/dev/kfd", "type": "c"}]}},
{"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/dri/card2", "type": "c"}, {"path": "/dev/dri/renderD129", "type": "c"}, {"path": "/dev/kfd", "type": "c"}]}},
{"name": "all", "containerEdits": {"deviceNodes": [{"path": "/dev/dri/card1"}, {"path": "/dev/dri/renderD128"}, {"path": "/dev/dri/card2"}, {"path": "/dev/dri/renderD129"}, {"path": "/dev/kfd"}]}}]}`
	intelSpecification = `cdiVersion: 0.5.0
kind: intel.com/gpu
devices:
- name: 0000-03-00-0-0x0bd5
  containerEdits:
    deviceNodes:
    - {path: /dev/dri/card1, hostPath: /dev/dri/card1, type: c}
    - {path: /dev/dri/renderD128, hostPath: /dev/dri/renderD128, type: c}
    mounts:
    - {hostPath: /dev/dri/by-path/pci-0000:03:00.0-render, containerPath: /dev/dri/by-path/pci-0000:03:00.0-render, type: none, options: [bind, rw]}
- name: 0000-04-00-0-0x0bd5
  containerEdits:
    deviceNodes:
    - {path: /dev/dri/card2, hostPath: /dev/dri/card2, type: c}
    - {path: /dev/dri/renderD129, hostPath: /dev/dri/renderD129, type: c}
    mounts:
    - {hostPath: /dev/dri/by-path/pci-0000:04:00.0-render, containerPath: /dev/dri/by-path/pci-0000:04:00.0-render, type: none, options: [bind, rw]}
`
)

// driNode is a node with two GPUs of one kernel driver, and a console that is none.
func driNode(t *testing.T, driver string, files map[string]string) string {
	t.Helper()
	all := map[string]string{
		"dev/dri/card0": "", "dev/dri/card1": "", "dev/dri/card2": "", "dev/dri/renderD128": "", "dev/dri/renderD129": "",
		"dev/dri/by-path/pci-0000:03:00.0-render": "", "dev/dri/by-path/pci-0000:04:00.0-render": "",
		"sys/bus/pci/drivers/" + driver + "/": "", "sys/bus/pci/drivers/ast/": "",
	}
	if driver == "amdgpu" {
		all["dev/kfd"] = ""
	}
	for name, content := range files {
		all[name] = content
	}
	root := node(t, all)
	for card, by := range map[string]string{"card0": "ast", "card1": driver, "card2": driver, "renderD128": driver, "renderD129": driver} {
		dir := filepath.Join(root, "sys/class/drm", card, "device")
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = os.Symlink("../../../../bus/pci/drivers/"+by, filepath.Join(dir, "driver"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// GPUs of AMD and Intel come by their CDI specifications, where the node has any.
func TestCDIOfOthers(t *testing.T) {
	card := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, "/dev/"+name)
		}
		return paths
	}
	// The console's card brings the directory of names, unless the specification has them.
	names := card("dri/by-path")
	one, all := card("dri/by-path", "dri/card0", "dri/card1", "dri/renderD128", "kfd"), card("dri/by-path", "dri/card0", "dri/card1", "dri/card2", "dri/renderD128", "dri/renderD129", "kfd")
	render := card("dri/card0", "dri/card1", "dri/card2", "dri/renderD128", "dri/renderD129")
	byPath := card("dri/by-path/pci-0000:03:00.0-render", "dri/by-path/pci-0000:04:00.0-render")
	amdFile, intelFile := map[string]string{"etc/cdi/amd.json": amdSpecification}, map[string]string{"etc/cdi/intel.yaml": intelSpecification}
	broken := map[string]string{"etc/cdi/amd.json": `{"kind": `}
	for _, tt := range []struct {
		name, driver string
		files, env   map[string]string
		hidden       []string
		want         []string
		note, warn   string
	}{
		{"AMD, all", "amdgpu", amdFile, nil, nil, all, "AMD: by ", ""},
		{"AMD, all by name", "amdgpu", amdFile, map[string]string{"AMD_VISIBLE_DEVICES": "all"}, nil, all, "AMD: by ", ""},
		{"AMD, one", "amdgpu", amdFile, map[string]string{"AMD_VISIBLE_DEVICES": "0"}, nil, one, "AMD: by ", ""},
		{"AMD, one hidden", "amdgpu", amdFile, nil, card("dri/card2", "dri/renderD129"), one, "AMD: by ", ""},
		{"AMD, none", "amdgpu", amdFile, map[string]string{"AMD_VISIBLE_DEVICES": "none"}, nil, append(names, "/dev/dri/card0"), "", ""},
		{"AMD, no such", "amdgpu", amdFile, map[string]string{"AMD_VISIBLE_DEVICES": "7"}, nil, append(names, "/dev/dri/card0"), "", "AMD_VISIBLE_DEVICES: the specification of this node's GPUs has no device 7"},
		{"AMD, without a specification", "amdgpu", nil, nil, nil, all, "GPUs: /dev/dri/card0", ""},
		{"AMD, one, without a specification", "amdgpu", nil, map[string]string{"AMD_VISIBLE_DEVICES": "0"}, nil, all, "", "AMD_VISIBLE_DEVICES=0: no CDI specification of amd.com/gpu"},
		{"AMD, a broken specification", "amdgpu", broken, nil, nil, all, "", "passing over"},
		{"AMD, a specification for others", "amdgpu", intelFile, nil, nil, all, "", ""},
		{"Intel, all", "xe", intelFile, nil, nil, append(byPath, render...), "Intel: by ", ""},
		{"Intel, one hidden", "i915", intelFile, nil, append(card("dri/card2", "dri/renderD129"), byPath[1]), append(byPath[:1:1], card("dri/card0", "dri/card1", "dri/renderD128")...), "Intel: by ", ""},
		{"Intel asks no variable", "xe", intelFile, map[string]string{"AMD_VISIBLE_DEVICES": "none"}, nil, append(byPath, render...), "Intel: by ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := look(driNode(t, tt.driver, tt.files), tt.env, tt.hidden...)
			got := append(f.targets("/dev/dri/"), f.targets("/dev/kfd")...)
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tt.want))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("devices differ (-want +got):\n%s", diff)
			}
			if notes := strings.Join(f.Notes, "\n"); !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
			if warnings := strings.Join(f.Warnings, "\n"); !strings.Contains(warnings, tt.warn) || tt.warn == "" && warnings != "" {
				t.Errorf("warnings %q, want %q", warnings, tt.warn)
			}
		})
	}
}

// A library that needs a symbol of a glibc newer than that of the image.
func TestGlibcClash(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed")
	}
	root := node(t, gpuNode())
	lib := filepath.Join(root, "usr/lib64/libcuda.so.1")
	source := filepath.Join(t.TempDir(), "a.c")
	if err := os.WriteFile(source, []byte("__asm__(\".symver need, need@GLIBC_2.99\");\nvoid need(void);\nvoid f(void) { need(); }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fake, script := filepath.Join(t.TempDir(), "libc.so.6"), filepath.Join(t.TempDir(), "map")
	other := filepath.Join(t.TempDir(), "b.c")
	if err := errors.Join(os.WriteFile(other, []byte("void need(void) {}\n"), 0o600), os.WriteFile(script, []byte("GLIBC_2.99 { need; };\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libc.so.6", "-Wl,--version-script," + script, "-o", fake, other},
		{"-shared", "-fPIC", "-nostdlib", "-o", lib, source, fake},
	} {
		if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v: %s", err, out)
		}
	}
	f := look(root, nil)
	if len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], "libcuda.so.1 needs glibc 2.99, and the image has 2.31") {
		t.Errorf("warnings: %q", f.Warnings)
	}
	ask := Ask{Root: root, Arch: runtime.GOARCH, Lookup: lookup(nil), Libc: func() Libc { return Libc{Dir: "/lib", Minor: 99} }}
	if f := Find(ask); len(f.Warnings) != 0 {
		t.Errorf("warnings for a newer image: %q", f.Warnings)
	}
	ask.Libc = func() Libc { return Libc{Musl: true} }
	if f := Find(ask); len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], "musl") || len(f.targets("/lib")) != 0 {
		t.Errorf("musl: warnings %q", f.Warnings)
	}
}

// What YAML takes for a number is the name that was written. A specification that is no file is
// passed over at once.
func TestSpecificationWithNumbers(t *testing.T) {
	files := gpuNode()
	files["etc/cdi/nvidia.yaml"] = `cdiVersion: 0.6
kind: nvidia.com/gpu
annotations: {1: 2}
devices:
- name: 0
  containerEdits: {deviceNodes: [{path: /dev/nvidia1, major: 195}], env: [A=1]}
- name: 1
  containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}
`
	root := node(t, files)
	if err := unix.Mkfifo(filepath.Join(root, "etc/cdi/a.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := look(root, map[string]string{"NVIDIA_VISIBLE_DEVICES": "0"})
	if diff := cmp.Diff([]string{"/dev/nvidia1"}, f.targets("/dev/nvidia")); diff != "" {
		t.Errorf("devices differ (-want +got):\n%s", diff)
	}
	if got := strings.Join(f.Warnings, "\n"); !strings.Contains(got, "a.yaml, which describes devices: open ") || !strings.Contains(got, "it is a named pipe") || strings.Contains(got, "nvidia.yaml") {
		t.Errorf("warnings %q", got)
	}
}
