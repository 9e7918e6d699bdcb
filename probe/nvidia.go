package probe

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
	"golang.org/x/sys/unix"
)

// nvmlNotLoaded is NVML_ERROR_DRIVER_NOT_LOADED.
const nvmlNotLoaded = 9

// nvidia sets the NVIDIA driver and its GPUs. NVML knows best; a process of its own asks it,
// because a broken driver may end or hang the process. Without that helper, /proc gives part of the
// answer.
func (p *prober) nvidia(ctx context.Context, opt Options) {
	driver, err := NVIDIADriver(p.fsys)
	if err != nil {
		p.cannotTell("nvidia", "%v", err)
	}
	if driver == "" && (p.recorded || !p.exists("dev/nvidiactl")) {
		if p.recorded && !p.exists("proc/driver") {
			p.cannotTell("gpus", "nothing was recorded in proc/driver")
		}
		return
	}
	if driver != "" {
		p.node.NVIDIA = &facts.NVIDIA{Driver: driver, CUDA: cudaOfDriver(driver)}
	}
	if p.recorded {
		p.listedGPUs()
		return
	}
	answer, err := p.askHelper(ctx, opt, driver)
	switch {
	case errors.Is(err, errNoHelper):
		p.listedGPUs()
	case err != nil:
		p.cannotTell("gpus", "%v", err)
	case answer.Code == nvmlNotLoaded && driver == "":
		// The device node outlived the driver: there is no usable GPU.
	case answer.Error != "":
		p.cannotTell("gpus", "%s", answer.Error)
	default:
		p.take(answer)
	}
}

// take sets what NVML says. Drivers before 396 do not state their CUDA version.
func (p *prober) take(answer facts.NVML) {
	cuda := cmp.Or(answer.CUDA, cudaOfDriver(answer.Driver))
	p.node.NVIDIA = &facts.NVIDIA{Driver: answer.Driver, CUDA: cuda}
	for _, g := range answer.GPUs {
		p.node.GPUs = append(p.node.GPUs, g.GPU)
	}
}

// NVIDIADriver returns the version of the loaded kernel module of NVIDIA; empty without one.
func NVIDIADriver(fsys fs.FS) (string, error) {
	text, err := readFile(fsys, "proc/driver/nvidia/version", maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	version := parseDriver(text)
	if version == "" {
		return "", errors.New("/proc/driver/nvidia/version names no version")
	}
	return version, nil
}

// parseDriver reads /proc/driver/nvidia/version, "NVRM version: NVIDIA UNIX x86_64 Kernel Module
// 550.54.15  Tue …" or "… Open Kernel Module for x86_64  550.54.15  Release Build …": the first
// word of digits and dots, which a time is not. Empty if there is none.
func parseDriver(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	for _, word := range strings.Fields(line) {
		if strings.Contains(word, ".") && strings.Trim(word, "0123456789.") == "" &&
			word[0] != '.' && word[len(word)-1] != '.' {
			return word
		}
	}
	return ""
}

// cudaOfDriver returns the newest CUDA version that a driver supports; empty for an unknown branch,
// and for those of Tegra.
func cudaOfDriver(driver string) string {
	branch, _, _ := strings.Cut(driver, ".")
	n, err := strconv.Atoi(branch)
	if err != nil {
		return ""
	}
	cuda, known := facts.CUDAOfBranch(n)
	if !known {
		return ""
	}
	return cuda
}

// listedGPUs sets the GPUs that the kernel module lists with their models.
func (p *prober) listedGPUs() {
	const dir = "proc/driver/nvidia/gpus"
	var found []facts.GPU
	var uuids []string
	for _, bus := range p.list(dir) {
		text, err := readFile(p.fsys, dir+"/"+bus+"/information", maxSmall)
		if err != nil {
			p.cannotTell("gpus", "%v", err)
			continue
		}
		info := parseCPUInfo(text).values // the same form: "Model: \t\t NVIDIA H100 80GB HBM3"
		if !p.mayOpen(info["Device Minor"]) {
			continue
		}
		model := info["Model"]
		g := facts.GPU{
			Vendor: "nvidia", Name: model, Arch: facts.DataCentreCapability(model),
		}
		found, uuids = append(found, g), append(uuids, info["GPU UUID"])
	}
	setting, set := p.visibleDevices()
	for _, i := range facts.Visible(setting, set, uuids) {
		p.node.GPUs = append(p.node.GPUs, found[i])
		if found[i].Arch == "" {
			p.cannotTell("gpus", "the compute capability of %q is not known without %s",
				found[i].Name, helperName)
		}
	}
}

// mayOpen reports whether this process may use a GPU. A job's cgroup forbids opening the device and
// hides nothing else.
func (p *prober) mayOpen(minor string) bool {
	if _, err := strconv.ParseUint(minor, 10, 16); p.recorded || err != nil {
		return true
	}
	// Without O_NONBLOCK the driver might start the GPU first, which takes seconds.
	f, err := os.OpenFile("/dev/nvidia"+minor, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrPermission)
	}
	f.Close()
	return true
}
