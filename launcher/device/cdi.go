package device

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"tags.cncf.io/container-device-interface/specs-go"

	"github.com/hpc3-project/hpc3/launcher/outside"
)

// vendor is a maker of GPUs, as CDI and the variables of its container tools know it.
type vendor struct {
	name     string
	kind     string // of CDI devices
	variable string // names the GPUs that are wanted; "" if its tools have none
}

//nolint:gochecknoglobals // constants
var (
	nvidia = vendor{"NVIDIA", "nvidia.com/gpu", "NVIDIA_VISIBLE_DEVICES"}
	// ROCm/container-toolkit writes amd.com/gpu, with the devices "all", "0", "1", …
	amd = vendor{"AMD", "amd.com/gpu", "AMD_VISIBLE_DEVICES"}
	// intel-cdi-specs-generator writes intel.com/gpu, with a device for each PCI address.
	intel = vendor{"Intel", "intel.com/gpu", ""}
)

// maxSpec limits a CDI specification: that of a node with 16 GPUs, each also split in 7, has some
// 200 KiB.
const maxSpec = 16 << 20

// cdi adds a vendor's GPUs by the first CDI specification of the node that has them, and reports
// whether one does, and whether there is any for this vendor. /var/run/cdi comes first.
func (a *Ask) cdi(f *Found, v vendor, words []string) (applied, described bool) {
	for _, dir := range []string{"/var/run/cdi", "/run/cdi", "/etc/cdi"} {
		files, _ := filepath.Glob(a.at(dir + "/*")) // the pattern is well formed
		for _, file := range files {
			spec, err := readSpec(file)
			if err != nil {
				why := strings.ReplaceAll(err.Error(), "\n", " ")
				f.warn(fmt.Sprintf("passing over %s, which describes devices: %s", file, why))
				continue
			}
			if spec == nil || spec.Kind != v.kind {
				continue
			}
			described = true
			if a.apply(f, v, spec, words) {
				f.note(v.name + ": by " + file)
				return true, true
			}
		}
	}
	return false, described
}

// readSpec reads a specification in YAML or JSON; nil if the file's name says that it is neither.
func readSpec(file string) (*specs.Spec, error) {
	switch path.Ext(file) {
	case ".yaml", ".yml", ".json":
	default:
		return nil, nil //nolint:nilnil // neither a specification nor an error
	}
	raw, err := outside.Read(file, maxSpec)
	if err != nil {
		return nil, err
	}
	// The types have JSON's names only.
	var document map[string]any
	if err := yaml.Unmarshal(raw, &document); err != nil {
		return nil, err
	}
	if raw, err = json.Marshal(asTyped(document, reflect.TypeFor[specs.Spec]())); err != nil {
		return nil, err
	}
	spec := &specs.Spec{}
	return spec, json.Unmarshal(raw, spec)
}

// asTyped returns a value of YAML in the form of a type: a number or a boolean becomes the text
// that was written if the type is text, as in the CDI library. "name: 0" is a GPU's name without
// quotes.
func asTyped(v any, t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case map[string]any:
		typed := make(map[string]any, len(v))
		for key, value := range v {
			typed[key] = asTyped(value, memberType(t, key))
		}
		return typed
	case map[any]any: // a key is not text
		typed := make(map[string]any, len(v))
		for key, value := range v {
			typed[fmt.Sprint(key)] = asTyped(value, memberType(t, fmt.Sprint(key)))
		}
		return typed
	case []any:
		if t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		typed := make([]any, len(v))
		for i, value := range v {
			typed[i] = asTyped(value, t)
		}
		return typed
	case int, int64, uint64, float64, bool:
		if t.Kind() == reflect.String {
			return fmt.Sprint(v)
		}
	}
	return v
}

// memberType returns the type of a member of a struct, by its name in JSON, or of a map's values.
func memberType(t reflect.Type, key string) reflect.Type {
	if t.Kind() == reflect.Map {
		return t.Elem()
	}
	for i := 0; t.Kind() == reflect.Struct && i < t.NumField(); i++ {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name == key {
			return t.Field(i).Type
		}
	}
	return reflect.TypeFor[any]()
}

// apply adds the edits of the specification itself and of the devices that the words name; false if
// it has none of these devices.
func (a *Ask) apply(f *Found, v vendor, spec *specs.Spec, words []string) bool {
	if len(words) == 0 {
		words = []string{"all"}
	}
	edits := []specs.ContainerEdits{spec.ContainerEdits}
	var unknown []string
	for _, word := range words {
		devices := named(spec, word)
		for _, d := range devices {
			if a.usable(d) {
				edits = append(edits, d.ContainerEdits)
			}
		}
		if len(devices) == 0 {
			unknown = append(unknown, word)
		}
	}
	if len(edits) == 1 {
		return false
	}
	for _, word := range unknown {
		f.warn(fmt.Sprintf("%s: the specification of this node's GPUs has no device %q", v.variable,
			word))
	}
	for _, e := range edits {
		a.edit(f, v, e)
	}
	return true
}

// named returns the devices that a word names. "all" is the device of that name or, without one,
// every device.
func named(spec *specs.Spec, word string) []specs.Device {
	i := slices.IndexFunc(spec.Devices, func(d specs.Device) bool { return d.Name == word })
	switch {
	case i >= 0:
		return spec.Devices[i : i+1]
	case word == "all":
		return spec.Devices
	}
	return nil
}

// usable reports whether the job may use a device: at least one of its GPUs.
func (a *Ask) usable(d specs.Device) bool {
	return slices.ContainsFunc(d.ContainerEdits.DeviceNodes, func(n *specs.DeviceNode) bool {
		return a.allowed(a.at(hostPath(n)))
	})
}

func hostPath(n *specs.DeviceNode) string {
	if n.HostPath != "" {
		return n.HostPath
	}
	return n.Path
}

func (a *Ask) edit(f *Found, v vendor, e specs.ContainerEdits) {
	var nodes []string
	for _, n := range e.DeviceNodes {
		if from := a.at(hostPath(n)); a.allowed(from) && path.IsAbs(n.Path) {
			if f.add(Mount{Source: from, Target: n.Path}) {
				nodes = append(nodes, n.Path)
			}
		}
	}
	if len(nodes) > 0 {
		f.note(v.name + ": " + strings.Join(nodes, " "))
	}
	f.Env = append(f.Env, e.Env...)
	a.specMounts(f, v, e.Mounts)
	for _, h := range e.Hooks {
		a.hook(f, v, h)
	}
}

// add appends a mount unless it is there, and reports whether it did: two devices may name the same
// node, as all of AMD's name /dev/kfd.
func (f *Found) add(m Mount) bool {
	if slices.Contains(f.Mounts, m) {
		return false
	}
	f.Mounts = append(f.Mounts, m)
	return true
}

// specMounts binds the files of a specification. A library goes where the image's loader finds it,
// because hooks that run ldconfig in the container are not run.
func (a *Ask) specMounts(f *Found, v vendor, mounts []*specs.Mount) {
	var libraries []string
	for _, m := range mounts {
		switch {
		case !a.exists(m.HostPath) || !path.IsAbs(m.ContainerPath):
		// A name of a device, as in /dev/dri/by-path: its cgroup counts like that of the device.
		case strings.HasPrefix(m.HostPath, "/dev/") && !a.allowed(a.at(m.HostPath)):
		case isShared(m.HostPath):
			libraries = append(libraries, m.HostPath)
		default:
			f.add(Mount{
				Source: a.at(m.HostPath), Target: m.ContainerPath,
				ReadOnly: slices.Contains(m.Options, "ro"),
			})
		}
	}
	if len(libraries) == 0 {
		return
	}
	libc, ok := a.loader(f)
	if !ok {
		return
	}
	for _, file := range libraries {
		name := path.Base(file)
		f.add(Mount{Source: a.at(file), Target: path.Join(libc.Dir, name), ReadOnly: true})
		if soname := a.soname(file); soname != name && soname != "" {
			f.add(Mount{Kind: Symlink, Source: name, Target: path.Join(libc.Dir, soname)})
		}
	}
	f.note(v.name + ": " + strconv.Itoa(len(libraries)) + " libraries in " + libc.Dir)
	a.checkGlibc(f, "the node's GPU driver", libraries, libc)
}

// soname returns the name by which programs load a library; "" if it has none.
func (a *Ask) soname(file string) string {
	f, err := outside.Open(a.at(file))
	if err != nil {
		return ""
	}
	defer f.Close()
	lib, err := elf.NewFile(f)
	if err != nil {
		return ""
	}
	names, err := lib.DynString(elf.DT_SONAME)
	if err != nil || len(names) == 0 {
		return ""
	}
	return path.Base(names[0])
}

func isShared(file string) bool {
	name := path.Base(file)
	return strings.HasPrefix(name, "lib") &&
		(strings.HasSuffix(name, ".so") || strings.Contains(name, ".so."))
}

// link adds a symlink; that of a library goes beside the libraries.
func (a *Ask) link(f *Found, target, link string) {
	if isShared(link) {
		libc, ok := a.loader(f)
		if !ok {
			return
		}
		target, link = path.Base(target), path.Join(libc.Dir, path.Base(link))
	}
	f.add(Mount{Kind: Symlink, Source: target, Target: link})
}

// hook does what a known hook would do, and notes others.
func (a *Ask) hook(f *Found, v vendor, h *specs.Hook) {
	switch {
	case slices.Contains(h.Args, "create-symlinks"):
		for i, arg := range h.Args {
			value, joined := strings.CutPrefix(arg, "--link=")
			if arg == "--link" && i+1 < len(h.Args) {
				value, joined = h.Args[i+1], true
			}
			target, link, ok := strings.Cut(value, "::")
			if !joined || !ok || !path.IsAbs(link) {
				continue
			}
			a.link(f, target, link)
		}
	case slices.Contains(h.Args, "update-ldcache"): // the loader finds the libraries anyway
	case slices.Contains(h.Args, "enable-cuda-compat"): // see compat
	default:
		f.note(v.name + ": the hook " + strings.Join(h.Args, " ") + " of the specification is not run")
	}
}
