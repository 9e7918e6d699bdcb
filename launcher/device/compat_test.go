package device

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// noted returns a library of 64 bits with nothing but a note, as NVIDIA writes it into the libcuda
// of cuda-compat.
func noted(name, owner, text string) string {
	pad := func(s string) string { return s + strings.Repeat("\x00", (4-len(s)%4)%4) }
	u32 := func(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	u64 := func(n int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
	note := u32(len(owner)+1) + u32(len(text)) + u32(0) + pad(owner+"\x00") + pad(text)
	names := "\x00.shstrtab\x00" + name + "\x00"
	const header, section = 64, 64
	at := header + len(note) + len(names)
	file := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x03\x00\x3e\x00" + u32(1) + u64(0) + u64(0) + u64(at) + u32(0) + "\x40\x00\x38\x00\x00\x00\x40\x00\x03\x00\x01\x00" + note + names
	entry := func(name, kind, offset, size int) string {
		return u32(name) + u32(kind) + u64(0) + u64(0) + u64(offset) + u64(size) + u32(0) + u32(0) + u64(4) + u64(0)
	}
	return file + strings.Repeat("\x00", section) + entry(1, 3, header+len(note), len(names)) + entry(11, 7, header, len(note))
}

const noteName, noteOwner = ".note.cuda.fwd_compatibility", "NVIDIA Corporation"

// compat129 and compat131 are of the packages cuda-compat-12-9 and cuda-compat-13-1.
var (
	compat129 = noted(noteName, noteOwner, `{"format":1,"CUDA version":"12.9","driver":[535,550,560,565,570,575],"device":[1,2,7,8,9,10,11,12,13,14]}`)
	compat131 = noted(noteName, noteOwner, `{"format":1,"CUDA version":"13.1","driver":[535,550,570,575,580,590],"device":[1,2,7,8,9,10,11,12,13,14]}`)
)

func TestCompatNote(t *testing.T) {
	for _, tt := range []struct {
		name, file, cuda string
		branches         []int
	}{
		{"of 12.9", compat129, "12.9", []int{535, 550, 560, 565, 570, 575}},
		{"of Tegra", noted(noteName, noteOwner, `{"format":1,"CUDA version":"13.2"}`), "13.2", nil},
		{"of another section", noted(".note.x", noteOwner, `{"CUDA version":"13.2"}`), "", nil},
		{"of somebody else", noted(noteName, "Somebody", `{"CUDA version":"13.2"}`), "", nil},
		{"that is no JSON", noted(noteName, noteOwner, `CUDA 13.2`), "", nil},
		{"with text for numbers", noted(noteName, noteOwner, `{"CUDA version":"13.2","driver":["535"]}`), "", nil},
		{"cut short", compat129[:len(compat129)-70], "", nil},
		{"in no library", "#!/bin/sh\n", "", nil},
		{"without content", "", "", nil},
	} {
		cuda, branches := compatNote(strings.NewReader(tt.file))
		if cuda != tt.cuda || !slices.Equal(branches, tt.branches) {
			t.Errorf("a note %s: %q, %v, want %q, %v", tt.name, cuda, branches, tt.cuda, tt.branches)
		}
	}
}

func FuzzCompatNote(f *testing.F) {
	f.Add([]byte(compat129))
	f.Fuzz(func(t *testing.T, file []byte) {
		cuda, branches := compatNote(bytes.NewReader(file))
		// Nothing comes from a file that does not name its section.
		if (cuda != "" || len(branches) > 0) && !bytes.Contains(file, []byte(noteName)) {
			t.Errorf("read %q and %v from %q", cuda, branches, file)
		}
	})
}

// The image's cuda-compat goes before the driver's libcuda where NVIDIA supports it, and only
// there.
func TestCUDACompat(t *testing.T) {
	const at = "/usr/local/cuda/compat"
	image129 := map[string]string{at + "/libcuda.so.575.57.08": compat129, at + "/libcuda.so.1": "link"}
	image131 := map[string]string{at + "/libcuda.so.590.44.01": compat131}
	unnoted := map[string]string{at + "/libcuda.so.550.54.15": "no ELF"}
	ngc := map[string]string{at + "/lib.real/libcuda.so.575.57.08": compat129}
	versioned := map[string]string{"/usr/local/cuda-12.4/compat/libcuda.so.550.54.15": "", "/usr/local/cuda-12.9/compat/libcuda.so.575.57.08": compat129, "/usr/local/cuda-9.9/compat/libcuda.so.1": ""}
	for _, tt := range []struct {
		name, driver, model string
		image               map[string]string
		needed              string // by the choice
		env                 map[string]string
		want                string // the directory
		note, unmet         string // part of; a note that begins with "!" is a warning
	}{
		{"as chosen", "535.161.08", "NVIDIA H100 80GB HBM3", image131, "13.1", nil, at, "NVIDIA: " + at + " of the image goes before the libcuda of driver 535.161.08: CUDA 13.1", ""},
		{"nobody asked for it", "535.161.08", "Tesla V100-SXM2-32GB", image129, "", nil, at, "CUDA 12.9", ""},
		{"a newer driver", "590.48.01", "NVIDIA H100 PCIe", image129, "12.9", nil, "", "that is of driver 575.57.08, and the node's, 590.48.01, is not older", ""},
		{"the same driver", "575.57.08", "NVIDIA H100 PCIe", image129, "", nil, "", "is not older", ""},
		{"an older one of the branch", "575.10.10", "NVIDIA H100 PCIe", image129, "", nil, at, "CUDA 12.9", ""},
		{"a desktop GPU", "535.161.08", "NVIDIA GeForce RTX 4090", image129, "", nil, "", "not using " + at + " of the image: that is for data-centre GPUs, and NVIDIA GeForce RTX 4090 is none", ""},
		{"a desktop GPU after all", "535.161.08", "NVIDIA GeForce RTX 4090", image129, "12.9", nil, "", "", "the image has to bring CUDA 12.9 by its cuda-compat, because driver 535.161.08 lacks it; but that is for data-centre GPUs"},
		{"an unknown GPU", "535.161.08", "NVIDIA Graphics Device", image129, "", nil, "", "whether /dev/nvidia0 is one is unknown", ""},
		{"a branch that the package does not name", "545.23.08", "NVIDIA A100-SXM4-40GB", image129, "", nil, "", "does not work with drivers of branch 545", ""},
		{"a branch that it has left", "470.82.01", "NVIDIA A100-SXM4-40GB", image129, "12.9", nil, "", "", "does not work with drivers of branch 470"},
		{"a package without a note", "470.82.01", "NVIDIA A100-SXM4-40GB", unnoted, "12.4", nil, at, "CUDA 12.4", ""},
		{"a package without a note, for another branch", "450.80.02", "NVIDIA A100-SXM4-40GB", unnoted, "", nil, "", "branch 450", ""},
		{"an image of NGC", "535.161.08", "NVIDIA A100-SXM4-40GB", ngc, "12.9", nil, at + "/lib.real", "CUDA 12.9", ""},
		{"the newest of several", "535.161.08", "NVIDIA A100-SXM4-40GB", versioned, "12.9", nil, "/usr/local/cuda-12.9/compat", "CUDA 12.9", ""},
		{"the word lied", "535.161.08", "NVIDIA A100-SXM4-40GB", nil, "12.9", nil, "", "", "but it has no libcuda in /usr/local/cuda/compat"},
		{"the word lied of the release", "535.161.08", "NVIDIA A100-SXM4-40GB", image129, "13.1", nil, "", "", "but that is of CUDA 12.9"},
		{"the word lied where the driver serves", "580.65.06", "NVIDIA A100-SXM4-40GB", nil, "12.9", nil, "", "", ""},
		{"the driver is not known", "", "NVIDIA A100-SXM4-40GB", image129, "12.9", nil, "", "", "because driver of this node lacks it; but the driver of this node is unknown"},
		{"nothing there", "535.161.08", "NVIDIA A100-SXM4-40GB", nil, "", nil, "", "", ""},
		{"only a link's name", "535.161.08", "NVIDIA A100-SXM4-40GB", map[string]string{at + "/libcuda.so.1": "", at + "/libcuda.so.1.1": compat131}, "", nil, "", "", ""},
		{"an image that puts it there itself", "580.65.06", "NVIDIA H100 PCIe", image129, "", map[string]string{"LD_LIBRARY_PATH": "/opt/lib:/usr/local/cuda-12.9/compat/"}, "", "!LD_LIBRARY_PATH, as the image or -e sets it, puts " + at + " before the driver's libcuda, and CUDA may fail with error 803 or 804: that is of driver 575.57.08", ""},
		{"an image that puts it there itself, and rightly", "535.161.08", "NVIDIA H100 PCIe", image129, "", map[string]string{"LD_LIBRARY_PATH": "/usr/local/cuda/compat/lib"}, at, "CUDA 12.9", ""},
		{"an image that puts something else there", "580.65.06", "NVIDIA H100 PCIe", image129, "", map[string]string{"LD_LIBRARY_PATH": "/usr/local/cuda/lib64:/usr/lib/compat"}, "", "NVIDIA: not using", ""},
		{"no GPU for the container", "535.161.08", "NVIDIA A100-SXM4-40GB", nil, "12.9", map[string]string{"NVIDIA_VISIBLE_DEVICES": "none"}, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{
				"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "", "usr/lib64/libcuda.so.1": "",
				"proc/driver/nvidia/gpus/0000:3b:00.0/information": "Model: \t " + tt.model + "\nGPU UUID: \t GPU-aaaa\nDevice Minor: \t 0\n",
				// the job may not use this one
				"proc/driver/nvidia/gpus/0000:af:00.0/information": "Model: \t NVIDIA GeForce GT 710\nGPU UUID: \t GPU-bbbb\nDevice Minor: \t 1\n",
			}
			if tt.driver != "" {
				files["proc/driver/nvidia/version"] = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + tt.driver + "  Tue Mar\n"
			}
			root := node(t, files)
			f := Find(Ask{
				Root: root, Arch: runtime.GOARCH, Lookup: lookup(tt.env), Libc: func() Libc { return Libc{Dir: "/usr/lib64", Minor: 31} },
				refused: func(path string) error {
					if strings.HasSuffix(path, "nvidia1") {
						return unix.EPERM
					}
					return unix.Access(path, unix.R_OK)
				},
				CUDA: tt.needed, Libraries: tt.env["LD_LIBRARY_PATH"], ImageList: func(dir string) []string { return listed(tt.image, dir) },
				ImageOpen: func(file string) io.ReaderAt {
					if content, ok := tt.image[file]; ok {
						return strings.NewReader(content)
					}
					return nil
				},
			})
			notes := strings.Join(f.Notes, "\n")
			for _, w := range f.Warnings {
				notes += "!" + w
			}
			if f.Compat != tt.want || !strings.Contains(notes, tt.note) || tt.note == "" && strings.Contains(notes, "compat") {
				t.Errorf("Compat %q with %q, want %q and %q", f.Compat, notes, tt.want, tt.note)
			}
			if !strings.Contains(f.Unmet, tt.unmet) || tt.unmet == "" && f.Unmet != "" {
				t.Errorf("Unmet %q, want %q", f.Unmet, tt.unmet)
			}
		})
	}
}

// listed returns the names in a directory.
func listed(files map[string]string, dir string) (names []string) {
	for file := range maps.Keys(files) {
		if below, ok := strings.CutPrefix(file, path.Clean(dir)+"/"); ok {
			name, _, _ := strings.Cut(below, "/")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
