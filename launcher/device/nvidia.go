package device

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// gpu is an NVIDIA GPU of the node.
type gpu struct {
	uuid  string
	model string
	node  string // /dev/nvidia0
}

// nvidiaGPUs adds NVIDIA's GPUs: by the node's CDI specifications, else by what is known of the
// driver.
func (a *Ask) nvidiaGPUs(f *Found) {
	wanted, wantsAny := a.wanted(nvidia)
	nodes := a.nodes("/dev/nvidia[0-9]*")
	if !wantsAny || len(nodes) == 0 {
		return
	}
	f.NVIDIA = true
	if applied, _ := a.cdi(f, nvidia, wanted); applied {
		return
	}
	chosen := a.choose(f, wanted, nodes)
	if len(chosen) == 0 {
		f.NVIDIA = false
		return
	}
	nodes = append(chosen, a.nodes("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools",
		"/dev/nvidia-modeset", "/dev/nvidia-caps/*", "/dev/nvidia-caps-imex-channels/*")...)
	f.bind(a, nodes...)
	f.note("NVIDIA: " + strings.Join(nodes, " "))
	a.driverFiles(f)
}

// wanted returns the words of a vendor's variable, none for all GPUs, and whether any GPU is
// wanted. "void" and an empty value mean none, as in NVIDIA's own container runtime.
func (a *Ask) wanted(v vendor) (words []string, wantsAny bool) {
	if v.variable == "" {
		return nil, true
	}
	value, set := a.Lookup(v.variable)
	switch value {
	case "":
		return nil, !set
	case "all":
		return nil, true
	case "void", "none":
		return nil, false
	}
	for word := range strings.SplitSeq(value, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words, len(words) > 0
}

// choose returns the nodes that the words name, of those that the job may use.
func (a *Ask) choose(f *Found, words, nodes []string) []string {
	if len(words) == 0 {
		return nodes
	}
	gpus := a.gpus(nodes)
	var chosen []string
	for _, word := range words {
		switch i := findGPU(gpus, word); {
		// Only the driver's library knows of which GPU it is a part.
		case strings.HasPrefix(word, "MIG-") && i < 0:
			chosen = append(chosen, nodes...)
			if a.getenv("CUDA_VISIBLE_DEVICES") == "" {
				f.Env = []string{"CUDA_VISIBLE_DEVICES=" + a.getenv("NVIDIA_VISIBLE_DEVICES")}
			}
		case i < 0:
			f.warn(fmt.Sprintf("NVIDIA_VISIBLE_DEVICES: this node has no GPU %q", word))
		case !slices.Contains(nodes, gpus[i].node):
			f.warn(fmt.Sprintf("NVIDIA_VISIBLE_DEVICES: GPU %s is not for this job", word))
		default:
			chosen = append(chosen, gpus[i].node)
		}
	}
	sort.Strings(chosen)
	return slices.Compact(chosen)
}

// findGPU returns the index of the GPU that a word names: an index, a UUID or the beginning of one,
// or a MIG device as INDEX:PART or MIG-GPU-UUID/GI/CI; -1 for none.
func findGPU(gpus []gpu, word string) int {
	index, _, _ := strings.Cut(word, ":")
	if n, err := strconv.Atoi(index); err == nil {
		if n < 0 || n >= len(gpus) {
			return -1
		}
		return n
	}
	uuid, _, _ := strings.Cut(strings.TrimPrefix(word, "MIG-"), "/")
	if !strings.HasPrefix(uuid, "GPU-") {
		return -1
	}
	return slices.IndexFunc(gpus, func(g gpu) bool { return strings.HasPrefix(g.uuid, uuid) })
}

// gpus lists the node's GPUs in the order of their indices, which is that of the PCI bus; if the
// driver does not list them, by their nodes.
func (a *Ask) gpus(nodes []string) []gpu {
	// Sorted; the pattern is well formed.
	files, _ := filepath.Glob(a.at("/proc/driver/nvidia/gpus/*/information"))
	var gpus []gpu
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var g gpu
		for line := range strings.Lines(string(raw)) {
			name, value, _ := strings.Cut(line, ":")
			switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
			case "Model":
				g.model = value
			case "GPU UUID":
				g.uuid = value
			case "Device Minor":
				g.node = "/dev/nvidia" + value
			}
		}
		gpus = append(gpus, g)
	}
	if len(gpus) == 0 {
		for _, n := range nodes {
			gpus = append(gpus, gpu{node: n})
		}
	}
	return gpus
}

// driverFiles adds the driver's libraries, programs and settings.
func (a *Ask) driverFiles(f *Found) {
	capabilities := a.capabilities()
	names, files := []string{}, []string{"/run/nvidia-persistenced", "/run/nvidia-fabricmanager"}
	for _, c := range parts {
		if slices.Contains(capabilities, c.capability) || slices.Contains(capabilities, "all") {
			names, files = append(names, c.libraries...), append(files, c.files...)
		}
	}
	for _, file := range files {
		if a.exists(file) {
			f.bind(a, file)
		}
	}
	a.libraries(f, names)
}

// capabilities returns what the driver is wanted for.
func (a *Ask) capabilities() []string {
	value := a.getenv("NVIDIA_DRIVER_CAPABILITIES")
	if value == "" {
		value = "compute,utility"
	}
	return strings.Split(strings.ReplaceAll(value, " ", ""), ",")
}

// part holds the files of one capability: libraries by the beginning of their names, up to ".so",
// and others.
type part struct {
	capability string
	libraries  []string
	files      []string
}

var parts = []part{ //nolint:gochecknoglobals // a constant table
	{"compute", []string{
		"libcuda", "libcudadebugger", "libnvidia-ptxjitcompiler", "libnvidia-nvvm",
		"libnvidia-opencl", "libnvidia-gpucomp", "libnvidia-allocator", "libnvidia-compiler",
		"libnvidia-fatbinaryloader", "libnvidia-pkcs11", "libnvidia-pkcs11-openssl3",
		"libnvidia-tileiras",
	}, []string{
		"/etc/OpenCL/vendors/nvidia.icd", "/usr/bin/nvidia-cuda-mps-control",
		"/usr/bin/nvidia-cuda-mps-server",
	}},
	{"utility", []string{
		"libnvidia-ml", "libnvidia-cfg", "libnvidia-nscq", "libnvidia-sandboxutils",
	}, []string{
		"/usr/bin/nvidia-smi", "/usr/bin/nvidia-debugdump", "/usr/bin/nvidia-persistenced",
	}},
	{"video", []string{
		"libnvidia-encode", "libnvcuvid", "libnvidia-opticalflow", "libvdpau_nvidia",
	}, nil},
	{"graphics", graphics, graphicsFiles},
	{"display", graphics, graphicsFiles},
	{"ngx", []string{"libnvidia-ngx"}, nil},
}

var graphics = []string{ //nolint:gochecknoglobals // a constant list
	"libnvidia-eglcore", "libnvidia-glcore", "libnvidia-tls", "libnvidia-glsi", "libnvidia-fbc",
	"libnvidia-rtcore", "libnvidia-glvkspirv", "libnvidia-egl-gbm", "libnvidia-egl-wayland",
	"libnvidia-allocator", "libnvidia-gpucomp", "libnvoptix", "libGLX_nvidia", "libEGL_nvidia",
	"libGLESv2_nvidia", "libGLESv1_CM_nvidia",
}

var graphicsFiles = []string{ //nolint:gochecknoglobals // a constant list
	"/usr/share/glvnd/egl_vendor.d/10_nvidia.json", "/usr/share/vulkan/icd.d/nvidia_icd.json",
	"/etc/vulkan/icd.d/nvidia_icd.json", "/usr/share/vulkan/implicit_layer.d/nvidia_layers.json",
	"/usr/share/egl/egl_external_platform.d/15_nvidia_gbm.json", "/usr/share/nvidia/nvoptix.bin",
}

// isLibrary reports whether a soname is of one of the libraries.
func isLibrary(soname string, names []string) bool {
	name, _, ok := strings.Cut(path.Base(soname), ".so")
	return ok && slices.Contains(names, name)
}
