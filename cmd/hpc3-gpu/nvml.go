//go:build cgo

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// library is the name under which the driver installs NVML; the dynamic linker finds it.
const library = "libnvidia-ml.so.1"

// nvmlError is an error with the number that NVML returned.
type nvmlError struct {
	code int
	text string
}

func (e *nvmlError) Error() string { return e.text }

// ask asks NVML for everything that the launcher wants to know.
func ask(setting string, set bool) facts.NVML {
	answer, err := query(setting, set)
	if err == nil {
		return answer
	}
	failed := facts.NVML{Error: err.Error()}
	var e *nvmlError
	if errors.As(err, &e) {
		failed.Code = e.code
	}
	return failed
}

func query(setting string, set bool) (facts.NVML, error) {
	if err := loadable(); err != nil {
		return facts.NVML{}, err
	}
	return driver{nvml.New(nvml.WithLibraryPath(library))}.answer(setting, set)
}

func (d driver) answer(setting string, set bool) (facts.NVML, error) {
	if err := d.check("starting NVML", d.Init()); err != nil {
		return facts.NVML{}, err
	}
	defer func() { _ = d.Shutdown() }() // the process ends
	var answer facts.NVML
	var err error
	if answer.Driver, err = d.version(); err != nil {
		return facts.NVML{}, err
	}
	answer.CUDA = d.cuda()
	devices, err := d.devices()
	if err != nil {
		return facts.NVML{}, err
	}
	answer.GPUs, err = d.visible(devices, setting, set)
	return answer, err
}

// loadable checks that NVML can be loaded and started: go-nvml hides the linker's reason, and calls
// functions that it has not looked up.
func loadable() error {
	lib := dl.New(library, dl.RTLD_LAZY|dl.RTLD_GLOBAL)
	if err := lib.Open(); err != nil {
		text := fmt.Sprintf("loading %s: %v", library, err)
		return &nvmlError{int(nvml.ERROR_LIBRARY_NOT_FOUND), text}
	}
	defer func() { _ = lib.Close() }() // go-nvml loads it again
	for _, name := range []string{"nvmlShutdown", "nvmlErrorString"} {
		if err := lib.Lookup(name); err != nil {
			return missing("%s is not NVML: it has no %s", library, name)
		}
	}
	if lib.Lookup("nvmlInit_v2") != nil && lib.Lookup("nvmlInit") != nil {
		return missing("%s is not NVML: it has no nvmlInit", library)
	}
	return nil
}

// missing is an error about a function that the library does not have.
func missing(format string, args ...any) error {
	return &nvmlError{int(nvml.ERROR_FUNCTION_NOT_FOUND), fmt.Sprintf(format, args...)}
}

// driver is NVML, loaded. A call of a function that an old library lacks ends the process: ask has
// first.
type driver struct{ nvml.Interface }

// has tells whether the library has one of these functions.
func (d driver) has(names ...string) bool {
	for _, name := range names {
		if d.Extensions().LookupSymbol(name) == nil {
			return true
		}
	}
	return false
}

// check turns a return code into an error. A Return itself is an error, even if it says success.
func (d driver) check(doing string, ret nvml.Return) error {
	if ret == nvml.SUCCESS {
		return nil
	}
	text := fmt.Sprintf("NVML error %d", int(ret))
	if ret == nvml.ERROR_LIBRARY_NOT_FOUND || d.has("nvmlErrorString") {
		text = fmt.Sprintf("%s (NVML error %d)", strings.ToLower(ret.Error()), int(ret))
	}
	return &nvmlError{int(ret), doing + ": " + text}
}

func (d driver) lacks(name string) error {
	return missing("the driver's NVML has no %s", name)
}

func (d driver) version() (string, error) {
	if !d.has("nvmlSystemGetDriverVersion") {
		return "", d.lacks("nvmlSystemGetDriverVersion")
	}
	version, ret := d.SystemGetDriverVersion()
	return version, d.check("asking for the driver version", ret)
}

// cuda returns the newest CUDA version that the driver supports; "" if it does not say, as before
// 396.
func (d driver) cuda() string {
	var v int
	ret := nvml.ERROR_FUNCTION_NOT_FOUND
	switch {
	case d.has("nvmlSystemGetCudaDriverVersion_v2"):
		v, ret = d.SystemGetCudaDriverVersion_v2()
	case d.has("nvmlSystemGetCudaDriverVersion"):
		v, ret = d.SystemGetCudaDriverVersion()
	}
	if ret != nvml.SUCCESS || v <= 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d", v/1000, v%1000/10)
}

// device is a GPU, or an instance of one in MIG mode, with the reason why it cannot be used.
type device struct {
	facts.NVMLGPU
	err error
}

// devices returns the GPUs that this process may open; the driver heeds the job's cgroup.
func (d driver) devices() ([]device, error) {
	counts := d.has("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount")
	if !counts || !d.has("nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex") {
		return nil, d.lacks("nvmlDeviceGetHandleByIndex")
	}
	count, ret := d.DeviceGetCount()
	if err := d.check("counting GPUs", ret); err != nil {
		return nil, err
	}
	var found []device
	for i := range count {
		handle, ret := d.DeviceGetHandleByIndex(i)
		switch ret {
		case nvml.SUCCESS:
			found = append(found, d.describe(handle, handle))
		case nvml.ERROR_NO_PERMISSION: // hidden
		default:
			found = append(found, device{err: d.check(fmt.Sprintf("asking for GPU %d", i), ret)})
		}
	}
	return found, nil
}

// describe asks for a device. The compute capability is known of the whole GPU.
func (d driver) describe(handle, whole nvml.Device) device {
	one := device{NVMLGPU: facts.NVMLGPU{GPU: facts.GPU{Vendor: "nvidia"}}}
	if d.has("nvmlDeviceGetName") {
		if name, ret := handle.GetName(); ret == nvml.SUCCESS {
			one.Name = name
		}
	}
	if d.has("nvmlDeviceGetUUID") {
		if uuid, ret := handle.GetUUID(); ret == nvml.SUCCESS {
			one.UUID = uuid
		}
	}
	if d.has("nvmlDeviceGetMemoryInfo") {
		if memory, ret := handle.GetMemoryInfo(); ret == nvml.SUCCESS {
			one.MemoryBytes = memory.Total
		}
	}
	if d.has("nvmlDeviceGetMigMode") {
		if mode, _, ret := whole.GetMigMode(); ret == nvml.SUCCESS {
			one.MIG = mode == nvml.DEVICE_MIG_ENABLE
		}
	}
	if !d.has("nvmlDeviceGetCudaComputeCapability") {
		one.err = d.lacks("nvmlDeviceGetCudaComputeCapability")
		return one
	}
	major, minor, ret := whole.GetCudaComputeCapability()
	if one.err = d.check("asking for the compute capability of "+one.Name, ret); one.err == nil {
		one.Arch = fmt.Sprintf("%d.%d", major, minor)
	}
	return one
}

// visible returns the devices that CUDA_VISIBLE_DEVICES leaves. The fault of a device counts if it
// is one of them.
func (d driver) visible(devices []device, setting string, set bool) ([]facts.NVMLGPU, error) {
	var uuids, instances []string
	for _, one := range devices {
		uuids = append(uuids, one.UUID)
	}
	for word := range strings.SplitSeq(setting, ",") {
		if word = strings.TrimSpace(word); strings.HasPrefix(word, "MIG-") {
			if one, ok := d.instance(word); ok {
				devices, instances = append(devices, one), append(instances, word)
			}
		}
	}
	var left []facts.NVMLGPU
	for _, i := range facts.Visible(setting, set, uuids, instances...) {
		if devices[i].err != nil {
			return nil, devices[i].err
		}
		left = append(left, devices[i].NVMLGPU)
	}
	return left, nil
}

// instance returns the part of a GPU that has this UUID.
func (d driver) instance(uuid string) (device, bool) {
	byUUID := d.has("nvmlDeviceGetHandleByUUID")
	if !byUUID || !d.has("nvmlDeviceGetDeviceHandleFromMigDeviceHandle") {
		return device{}, false
	}
	part, ret := d.DeviceGetHandleByUUID(uuid)
	if ret != nvml.SUCCESS {
		return device{}, false
	}
	whole, ret := part.GetDeviceHandleFromMigDeviceHandle()
	if ret != nvml.SUCCESS {
		return device{}, false
	}
	return d.describe(part, whole), true
}
