package probe

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hpc3-project/hpc3/probe/facts"
	"github.com/klauspost/cpuid/v2"
)

const milan = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7763\nstepping\t: 1\n" +
	"flags\t\t: fpu mmx sse sse2 lm abm sse4a ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c lahf_lm bmi1 avx2 bmi2 rdseed " +
	"clflushopt clwb xsaveopt xsavec clzero vaes vpclmulqdq pclmulqdq fsgsbase\n\n"

// cacheOf returns an ld.so.cache of one library.
func cacheOf(flags uint32, soname, name string) []byte {
	const header, entry = 48, 24
	raw := make([]byte, header+entry)
	copy(raw, "glibc-ld.so.cache1.1")
	binary.LittleEndian.PutUint32(raw[20:], 1)
	binary.LittleEndian.PutUint32(raw[header:], flags)
	binary.LittleEndian.PutUint32(raw[header+4:], header+entry)
	binary.LittleEndian.PutUint32(raw[header+8:], uint32(header+entry+len(soname)+1))
	return append(raw, soname+"\x00"+name+"\x00"...)
}

// record writes a made-up node; a text that begins with "-> " is a link.
func record(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(files[name], "-> "); ok {
			err = os.Symlink(target, file)
		} else {
			err = os.WriteFile(file, []byte(files[name]), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRecordedNode(t *testing.T) {
	root := record(t, map[string]string{
		"proc/cpuinfo":                                              milan,
		"proc/sys/kernel/osrelease":                                 "5.14.0-427.el9.x86_64\n",
		"proc/sys/kernel/hostname":                                  "n1\n",
		"proc/driver/nvidia/version":                                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version:  gcc\n",
		"proc/driver/nvidia/gpus/0000:01:00.0/information":          "Model: \t\t NVIDIA A100-SXM4-80GB\nIRQ:   \t\t 80\nGPU UUID: \t GPU-11111111\nDevice Minor: \t 0\n",
		"sys/class/infiniband/mlx5_0/node_type":                     "1: CA\n",
		"sys/class/infiniband/mlx5_0/ports/1/link_layer":            "InfiniBand\n",
		"sys/class/infiniband/mlx5_0/ports/1/state":                 "4: ACTIVE\n",
		"sys/class/infiniband/mlx5_1/node_type":                     "1: CA\n",
		"sys/class/infiniband/mlx5_1/ports/1/link_layer":            "Ethernet\n",
		"sys/class/infiniband/mlx5_1/ports/1/state":                 "1: DOWN\n",
		"sys/class/infiniband/efa_0/device/driver":                  "-> ../../../bus/pci/drivers/efa",
		"sys/class/kfd/kfd/topology/nodes/0/properties":             "cpu_cores_count 64\nsimd_count 0\n",
		"sys/class/kfd/kfd/topology/nodes/10/properties":            "simd_count 440\ngfx_target_version 90402\n",
		"sys/class/kfd/kfd/topology/nodes/2/properties":             "simd_count 440\ngfx_target_version 90010\n",
		"sys/class/kfd/kfd/topology/nodes/2/mem_banks/0/properties": "heap_type 1\nsize_in_bytes 68702699520\n",
		"dev/cxi0":                       "",
		"etc/ld.so.cache":                string(cacheOf(0x0303, "libmpi.so.40", "/opt/ompi/lib/libmpi.so.40")),
		"opt/ompi/lib/libmpi.so.40":      "-> libmpi.so.40.30.6",
		"opt/ompi/lib/libmpi.so.40.30.6": "",
	})
	got, err := Node(context.Background(), Options{Root: root, Labels: []string{"rack_b", "cluster_1", "rack_b"}})
	if err != nil {
		t.Fatal(err)
	}
	got.CPU.Features = nil
	want := facts.Node{
		SchemaVersion: 1, Hostname: "n1", OS: "linux", Arch: "amd64", Kernel: "5.14.0-427.el9.x86_64",
		CPU: facts.CPU{
			Vendor: "AuthenticAMD", Family: 25, Model: 1, Stepping: 1, Name: "AMD EPYC 7763", Target: "zen3", Strict: "zen2",
			Rule: "bounded", Missing: []string{"pku"}, Level: 3,
		},
		GPUs: []facts.GPU{
			{Vendor: "nvidia", Name: "NVIDIA A100-SXM4-80GB", Arch: "8.0"},
			{Vendor: "amd", Arch: "gfx90a", MemoryBytes: 68702699520},
			{Vendor: "amd", Arch: "gfx942"},
		},
		NVIDIA: &facts.NVIDIA{Driver: "550.54.15", CUDA: "12.4"},
		MPI:    []facts.MPI{{Implementation: "openmpi", Version: "4.1.6", Soname: "libmpi.so.40"}},
		Fabric: []string{"cxi", "efa", "infiniband"}, Labels: []string{"cluster_1", "rack_b"},
		Unknown: []facts.Unknown{{What: "glibc", Why: "there is no directory of libraries to read it from"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Node() (-want +got):\n%s", diff)
	}
}

// A record that holds nothing but the CPU says so of the rest, and takes nothing from this machine.
func TestBareRecord(t *testing.T) {
	root := record(t, map[string]string{"proc/cpuinfo": "Features : fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n" +
		"CPU implementer : 0x41\nCPU part : 0xd0c\n"})
	got, err := Node(context.Background(), Options{Root: root, Env: func(string) string { return "/usr/lib/x86_64-linux-gnu" }})
	if err != nil {
		t.Fatal(err)
	}
	if got.Arch != "arm64" || got.CPU.Target != "neoverse_n1" || got.CPU.Vendor != "ARM" || got.CPU.Model != 0xd0c || got.Kernel != "" || got.Hostname != "" {
		t.Errorf("Node() = %+v", got)
	}
	var unknown []string
	for _, u := range got.Unknown {
		unknown = append(unknown, u.What)
	}
	slices.Sort(unknown)
	if diff := cmp.Diff([]string{"fabric", "glibc", "gpus", "mpi"}, unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
}

func TestUnusableRecords(t *testing.T) {
	for name, root := range map[string]string{
		"no directory":    filepath.Join(t.TempDir(), "none"),
		"no cpuinfo":      t.TempDir(),
		"unknown cpuinfo": record(t, map[string]string{"proc/cpuinfo": "vendor_id : IBM/S360\n"}),
		"link outwards":   record(t, map[string]string{"proc/cpuinfo": "-> /proc/cpuinfo"}),
	} {
		if n, err := Node(context.Background(), Options{Root: root}); err == nil {
			t.Errorf("%s: Node() = %+v, want an error", name, n)
		}
	}
}

func TestThisNode(t *testing.T) {
	n, err := Node(context.Background(), Options{Env: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	if n.OS != runtime.GOOS || n.Arch != runtime.GOARCH || n.Kernel == "" || n.Hostname == "" {
		t.Errorf("Node() = %+v", n)
	}
	target, ok := facts.LookupTarget(n.CPU.Target)
	if !ok || target.Root() != facts.FamilyOf(runtime.GOARCH) || !target.DescendsFrom(n.CPU.Strict) {
		t.Errorf("CPU = %+v", n.CPU)
	}
	if runtime.GOARCH == "amd64" && n.CPU.Level != cpuid.CPU.X64Level() {
		t.Errorf("level = %d, by the cpuid package %d", n.CPU.Level, cpuid.CPU.X64Level())
	}
	again := facts.Node{}
	raw, err := json.Marshal(n)
	if err == nil {
		err = json.Unmarshal(raw, &again)
	}
	if diff := cmp.Diff(n, again); err != nil || diff != "" {
		t.Errorf("the JSON does not read back: %v\n%s", err, diff)
	}
}

// For every feature that a target lists, it is known what reports it.
func TestEveryFeatureHasASource(t *testing.T) {
	var known []string
	for _, f := range cpuidFeatures() {
		known = append(known, f.name)
	}
	known = append(known, cpuidLacks()...)
	known = append(known, "avx10_2") // see cpuidAnswers.features
	for _, b := range cpuidBits() {
		known = append(known, b.name)
	}
	for _, key := range []uint64{16, 26} {
		known = append(known, hwcapNames(key)...)
	}
	for _, name := range slices.Concat(facts.Targets(), facts.Later()) {
		target, _ := facts.LookupTarget(name)
		for _, f := range target.Features {
			if !slices.Contains(known, f) {
				t.Errorf("%s lists %s, which nothing reports", name, f)
			}
		}
	}
}

func TestEmulation(t *testing.T) {
	told := processor{vendor: "AuthenticAMD", number: 26, model: 2, features: newSet([]string{"avx2", "avx512f", "pku"})}
	guest := processor{vendor: "AuthenticAMD", number: 26, model: 2, features: newSet([]string{"avx2"})}
	for _, c := range []struct {
		name       string
		cpu        processor
		hypervisor string
		want       bool
	}{
		{"the same", told, "", true},
		{"an old kernel hides features", processor{vendor: "AuthenticAMD", number: 26, model: 2, features: newSet([]string{"avx2", "avx512f", "gfni"})}, "TCGTCGTCGTCG", true},
		{"qemu-user with the numbers of its host", guest, "TCGTCGTCGTCG", false},
		{"a hypervisor", guest, "KVMKVMKVM", true},
		{"another model", processor{vendor: "AuthenticAMD", number: 26, model: 1, features: told.features}, "", false},
		{"another vendor", processor{vendor: "GenuineIntel", number: 26, model: 2, features: told.features}, "", false},
	} {
		if got := c.cpu.isDescribed(told, c.hypervisor); got != c.want {
			t.Errorf("%s: isDescribed() = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAuxv(t *testing.T) {
	var auxv []byte
	for _, n := range []uint64{6, 4096, 16, 1<<0 | 1<<1 | 1<<22 | 1<<40, 26, 1 << 1, 0, 0} {
		auxv = binary.LittleEndian.AppendUint64(auxv, n)
	}
	got := slices.Sorted(maps.Keys(auxvFeatures(append(auxv, 1, 2, 3))))
	if diff := cmp.Diff([]string{"asimd", "fp", "sve", "sve2"}, got); diff != "" {
		t.Errorf("auxvFeatures() (-want +got):\n%s", diff)
	}
}

func TestDriverVersion(t *testing.T) {
	for text, want := range map[string]string{
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version:  gcc version 12.2.0": "550.54.15",
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (root@n1)":                             "580.159.04",
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  390.30  Wed Jan 31 22:08:49 PST 2018":                                      "390.30",
		"NVRM version: NVIDIA UNIX  Tue Mar 5 22:23:56":                                                                             "",
		"": "",
	} {
		if got := parseDriver(text); got != want {
			t.Errorf("parseDriver(%q) = %q, want %q", text, got, want)
		}
	}
	for driver, want := range map[string]string{"390.30": "9.1", "535.104.05": "12.2", "580.159.04": "13.0", "540.4.0": "", "999.1": "", "x": ""} {
		if got := cudaOfDriver(driver); got != want {
			t.Errorf("cudaOfDriver(%s) = %q, want %q", driver, got, want)
		}
	}
}

func TestModelNames(t *testing.T) {
	for model, want := range map[string]string{
		"Tesla V100-SXM2-32GB": "7.0", "NVIDIA A100-PCIE-40GB": "8.0", "NVIDIA H100 80GB HBM3": "9.0", "NVIDIA GH200 480GB": "9.0",
		"NVIDIA L40S": "8.9", "Tesla T4": "7.5", "NVIDIA GeForce RTX 4090": "", "NVIDIA A1000": "", "": "",
	} {
		if got := facts.DataCentreCapability(model); got != want {
			t.Errorf("DataCentreCapability(%q) = %q, want %q", model, got, want)
		}
	}
}

func TestGfxName(t *testing.T) {
	for version, want := range map[uint64]string{90010: "gfx90a", 90402: "gfx942", 90008: "gfx908", 110000: "gfx1100", 0: ""} {
		if got := gfxName(version); got != want {
			t.Errorf("gfxName(%d) = %q, want %q", version, got, want)
		}
	}
}

func TestLibraryCache(t *testing.T) {
	got, err := parseCache(append([]byte("ld.so-1.7.0\x00older format before it"), cacheOf(0x0303, "libmpi.so.12", "/usr/lib/../lib64/libmpi.so.12")...), 0x0303, nil)
	if diff := cmp.Diff(map[string]string{"libmpi.so.12": "usr/lib64/libmpi.so.12"}, got); err != nil || diff != "" {
		t.Errorf("parseCache() error %v (-want +got):\n%s", err, diff)
	}
	if got, err := parseCache(cacheOf(0x0003, "libmpi.so.12", "/lib/libmpi.so.12"), 0x0303, nil); err != nil || len(got) != 0 {
		t.Errorf("a library of 32 bits: %v, %v", got, err)
	}
	for name, raw := range map[string][]byte{
		"empty": nil, "short": []byte("glibc-ld.so.cache1.1"),
		"count beyond the end":  append([]byte("glibc-ld.so.cache1.1\xff\xff\xff\xff"), make([]byte, 100)...),
		"text without an end":   cacheOf(0x0303, "libmpi.so.12", "/lib/libmpi.so.12")[:80],
		"relative path":         cacheOf(0x0303, "libmpi.so.12", "lib/libmpi.so.12"),
		"offset beyond the end": cacheOf(0x0303, "libmpi.so.12", "/lib/libmpi.so.12")[:72],
	} {
		if got, err := parseCache(raw, 0x0303, nil); err == nil {
			t.Errorf("%s: parseCache() = %v, want an error", name, got)
		}
	}
}

func TestMPIPlaces(t *testing.T) {
	dir := record(t, map[string]string{
		"cray/lib-abi-mpich/libmpi.so.12": "", "old/lib/libmpi.so.12": "", "old/lib/libopen-rte.so.12": "",
		"ompi/lib/libmpi.so.40": "-> libmpi.so.40.40.7", "ompi/lib/libmpi.so.40.40.7": "", "ompi/bin/mpirun": "",
		"pc/libmpi.so.40": "", "pc/pkgconfig/ompi.pc": "Name: Open MPI\nVersion: 4.1.7a1\n",
		"std/lib/libmpi_abi.so.0": "", "bare/libmpi.so.40": "", "bare/libmpi_abi.so.1": "", "bare/libmpi.so.40.50.0": "",
	})
	env := map[string]string{
		"CRAY_MPICH_DIR": dir + "/cray", "I_MPI_ROOT": dir + "/old", "PATH": "relative:/nowhere:" + dir + "/ompi/bin",
		"LD_LIBRARY_PATH": dir + "/pc::" + dir + "/bare/", "MPI_HOME": dir + "/std",
	}
	n := facts.Node{Arch: runtime.GOARCH}
	p := prober{node: &n, fsys: os.DirFS("/"), env: func(name string) string { return env[name] }}
	var got []facts.MPI
	for _, d := range p.mpiDirs() {
		for _, soname := range slices.Sorted(maps.Keys(implementations())) {
			if p.exists(d + "/" + soname) {
				p.addMPI(soname, d+"/"+soname)
			}
		}
	}
	got = n.MPI
	want := []facts.MPI{
		{Implementation: "mpiabi", Soname: "libmpi_abi.so.0"},
		{Implementation: "openmpi", Soname: "libmpi.so.12"},
		{Implementation: "mpich", Soname: "libmpi.so.12"},
		{Implementation: "openmpi", Soname: "libmpi.so.40", Version: "4.1.7a1"},
		{Implementation: "openmpi", Soname: "libmpi.so.40"},
		{Implementation: "mpiabi", Soname: "libmpi_abi.so.1"},
		{Implementation: "openmpi", Soname: "libmpi.so.40", Version: "5.0.7"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("MPI (-want +got):\n%s", diff)
	}
}

// MPI 6 has its number in the name of Open MPI's library, Cray a library for each compiler, and PMI
// is a fact beside them.
func TestNewerMPI(t *testing.T) {
	const cray = "opt/cray/pe/mpich/8.1.29/ofi/gnu/12.3"
	const lib = "usr/lib/x86_64-linux-gnu"
	cache := func(libraries ...string) string {
		const header, entry = 48, 24
		raw := make([]byte, header+entry*len(libraries))
		copy(raw, "glibc-ld.so.cache1.1")
		binary.LittleEndian.PutUint32(raw[20:], uint32(len(libraries)))
		for i, name := range libraries {
			e := raw[header+i*entry:]
			binary.LittleEndian.PutUint32(e, 0x0303)
			binary.LittleEndian.PutUint32(e[4:], uint32(len(raw)))
			binary.LittleEndian.PutUint32(e[8:], uint32(len(raw)+len(filepath.Base(name))+1))
			raw = append(raw, filepath.Base(name)+"\x00/"+name+"\x00"...)
		}
		return string(raw)
	}
	root := record(t, map[string]string{
		"proc/cpuinfo": milan,
		"etc/ld.so.cache": cache(lib+"/libmpi.so.40", lib+"/libmpi_abi.so.1", lib+"/libpmix.so.2", lib+"/libpmi2.so.0", "opt/cray/pe/lib64/libmpi_gnu_123.so.12",
			"opt/cray/pe/lib64/libmpi_cray.so.12", lib+"/libmpi_usempi.so.12", lib+"/libmpi_mpifh.so.40"),
		lib + "/libmpi.so.40":    "-> libmpi.so.40.50.1",
		lib + "/libmpi_abi.so.1": "", lib + "/libmpi.so.40.50.1": "",
		lib + "/libpmix.so.2": "-> pmix2/lib/libpmix.so.2.13.7", lib + "/pmix2/lib/libpmix.so.2.13.7": "",
		lib + "/libpmi2.so.0":                    "",
		"opt/cray/pe/lib64/libmpi_gnu_123.so.12": "-> ../mpich/8.1.29/ofi/gnu/12.3/lib/libmpi_gnu_123.so.12",
		"opt/cray/pe/lib64/libmpi_cray.so.12":    "",
		cray + "/lib/libmpi_gnu_123.so.12":       "",
		cray + "/lib-abi-mpich/libmpi.so.12":     "",
		lib + "/slurm-wlm/mpi_pmi2.so":           "",
		lib + "/slurm-wlm/mpi_pmix_v5.so":        "",
		lib + "/slurm-wlm/mpi_pmix.so":           "-> mpi_pmix_v5.so",
	})
	n, err := Node(context.Background(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]facts.MPI{
		{Implementation: "mpiabi", Soname: "libmpi_abi.so.1"},
		{Implementation: "mpich", Soname: "libmpi.so.12"},
		{Implementation: "mpich", Soname: "libmpi_cray.so.12"},
		{Implementation: "mpich", Soname: "libmpi_gnu_123.so.12"},
		{Implementation: "openmpi", Soname: "libmpi.so.40", Version: "6.0.1"},
	}, n.MPI); diff != "" {
		t.Errorf("MPI (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]facts.PMI{
		{Implementation: "pmi2", Slurm: true},
		{Implementation: "pmi2", Soname: "libpmi2.so.0"},
		{Implementation: "pmix", Version: "5", Slurm: true},
		{Implementation: "pmix", Version: "5.0.7", Soname: "libpmix.so.2"},
	}, n.PMI); diff != "" {
		t.Errorf("PMI (-want +got):\n%s", diff)
	}
}

func TestCrayModule(t *testing.T) {
	dir := record(t, map[string]string{"lib/libmpi_cray.so.12": "", "lib/libmpifort_cray.so.12": "", "lib/libmpi_cray.so": "", "lib-abi-mpich/libmpi.so.12": ""})
	n := facts.Node{Arch: "amd64"}
	p := prober{node: &n, fsys: os.DirFS("/"), env: func(name string) string { return map[string]string{"CRAY_MPICH_DIR": dir}[name] }}
	p.crayMPI()
	want := []facts.MPI{{Implementation: "mpich", Soname: "libmpi_cray.so.12"}, {Implementation: "mpich", Soname: "libmpi.so.12"}}
	if diff := cmp.Diff(want, n.MPI); diff != "" {
		t.Errorf("MPI (-want +got):\n%s", diff)
	}
}

func TestGlibc(t *testing.T) {
	n, err := Node(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/etc/debian_version")
	if err != nil || !strings.HasPrefix(string(text), "12.") {
		t.Skip("not Debian 12, whose glibc is known to be 2.36")
	}
	if n.Glibc != "2.36" {
		t.Errorf("glibc = %q, want 2.36", n.Glibc)
	}
}

func BenchmarkNode(b *testing.B) {
	for b.Loop() {
		if _, err := Node(context.Background(), Options{Env: os.Getenv}); err != nil {
			b.Fatal(err)
		}
	}
}

// Our reader of versions says the same as the standard library's.
func TestDefinedVersions(t *testing.T) {
	f, err := os.Open("/lib/" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux-gnu/libc.so.6")
	if err != nil {
		t.Skipf("no C library to read: %v", err)
	}
	defer f.Close()
	got, err := symbolVersions(f, runtime.GOARCH, elf.SHT_GNU_VERDEF, definitionNames)
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	defined, err := file.DynamicVersions()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, v := range defined {
		want = append(want, v.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("versions (-debug/elf +ours):\n%s", diff)
	}
	if _, err := symbolVersions(f, "ppc64le", elf.SHT_GNU_VERDEF, definitionNames); !errors.Is(err, errForeign) {
		t.Errorf("as a library of another architecture: %v, want %v", err, errForeign)
	}
}

// Whatever a file holds, reading it ends, in bounds.
func FuzzDefinedVersions(f *testing.F) {
	header := func(section elf.Section64, rest string) []byte {
		h := elf.Header64{Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Machine: uint16(elf.EM_X86_64), Shoff: 64, Shentsize: 64, Shnum: 1}
		raw, _ := binary.Append(nil, binary.LittleEndian, h)
		raw, _ = binary.Append(raw, binary.LittleEndian, section)
		return append(raw, rest...)
	}
	f.Add(header(elf.Section64{Type: uint32(elf.SHT_GNU_VERDEF), Off: 128, Size: 28}, "\x01\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x14\x00\x00\x00\x14\x00\x00\x00\x80\x00\x00\x00GLIBC_2.36"))
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		names, err := symbolVersions(bytes.NewReader(raw), "amd64", elf.SHT_GNU_VERDEF, definitionNames)
		if err == nil && len(names) == 0 {
			t.Errorf("neither names nor an error")
		}
		for _, n := range names {
			if len(n) > maxName {
				t.Errorf("a name of %d bytes: %q", len(n), n)
			}
		}
	})
}
