// Package facts describes what a node is: plain data without cgo or I/O, and the table of
// microarchitectures.
package facts

// SchemaVersion is the version of the JSON form of Node. A reader refuses a greater one.
const SchemaVersion = 1

// Node is one node, as far as choosing an image goes. Its JSON form is what "hpc3 probe --json"
// prints and what a node file holds; a node file needs only os, arch and cpu.target. Absent
// hardware is an empty field; what could not be found out is in Unknown.
type Node struct {
	SchemaVersion int    `json:"schemaVersion"`
	Hostname      string `json:"hostname,omitempty"`
	OS            string `json:"os"`               // GOOS spelling: "linux"
	Arch          string `json:"arch"`             // GOARCH spelling: "amd64", "arm64"
	Kernel        string `json:"kernel,omitempty"` // as uname -r prints it
	Glibc         string `json:"glibc,omitempty"`  // "2.36"; empty on a node without glibc
	CPU           CPU    `json:"cpu"`
	// Those that this process may use, in the driver's order.
	GPUs   []GPU   `json:"gpus,omitempty"`
	NVIDIA *NVIDIA `json:"nvidia,omitempty"` // nil without a loaded NVIDIA driver
	MPI    []MPI   `json:"mpi,omitempty"`
	// Sorted: "cxi", "efa", "infiniband", "opa", "roce".
	Fabric  []string  `json:"fabric,omitempty"`
	Labels  []string  `json:"labels,omitempty"` // the site's words for the node, sorted
	Unknown []Unknown `json:"unknown,omitempty"`

	// No choice depends on the following; nil if nothing is known about it.
	PMI       []PMI      `json:"pmi,omitempty"`
	OSRelease *OSRelease `json:"osRelease,omitempty"`
	Container *Container `json:"container,omitempty"`
}

// OSRelease is the distribution of a node, by os-release(5).
type OSRelease struct {
	ID        string `json:"id,omitempty"`        // "debian"
	VersionID string `json:"versionId,omitempty"` // "12"; empty for a distribution without versions
}

// CPU is the processor of a node.
type CPU struct {
	// As the CPU names itself: "AuthenticAMD", "GenuineIntel", "ARM".
	Vendor   string `json:"vendor,omitempty"`
	Family   int    `json:"family,omitempty"`
	Model    int    `json:"model,omitempty"` // ARM: the part number
	Stepping int    `json:"stepping,omitempty"`
	Name     string `json:"name,omitempty"` // marketing name, as /proc/cpuinfo prints it
	// The archspec name that rules selection, or one of Later.
	Target string `json:"target"`
	// archspec's own answer; above Target only if the site states it.
	Strict string `json:"strict,omitempty"`
	// How Target was found: "strict", "bounded", "relaxed" or RuleSite.
	Rule string `json:"rule,omitempty"`
	// Features of Target that this CPU does not show, sorted; none with "strict".
	Missing []string `json:"missing,omitempty"`
	// The x86-64 psABI level, 1 to 4; 0 on other architectures.
	Level    int      `json:"level,omitempty"`
	Features []string `json:"features,omitempty"` // /proc/cpuinfo spelling, sorted
	// The length of ARM's SVE vectors: 128, 256, 512 …; 0 without SVE, or if it is not known.
	SVEBits int `json:"sveBits,omitempty"`
	// Targets beyond Target and its ancestors whose images run here by Features, sorted: see
	// Beside. The choice derives them anew, and believes no list.
	Compatible []string `json:"compatible,omitempty"`
	Emulated   bool     `json:"emulated"` // true under qemu-user
}

// RuleSite is the Rule of a CPU whose Target the site stated: the site's word wins, so that even
// features in Missing count as present.
const RuleSite = "site"

// GPU is one accelerator that this process may use.
type GPU struct {
	Vendor string `json:"vendor"` // "nvidia", "amd", "intel"
	// As the driver prints it; Intel: data-centre GPUs only.
	Name string `json:"name,omitempty"`
	// NVIDIA: the compute capability, "9.0"; AMD: "gfx90a"; Intel: "pvc" or empty.
	Arch        string `json:"arch,omitempty"`
	MemoryBytes uint64 `json:"memoryBytes,omitempty"` // 0 if the driver does not state it
}

// NVIDIA is the NVIDIA driver of a node.
type NVIDIA struct {
	Driver string `json:"driver"`         // "580.159.04"
	CUDA   string `json:"cuda,omitempty"` // the newest CUDA version that it supports, "13.0"
}

// MPI is one MPI implementation installed on a node.
type MPI struct {
	Implementation string `json:"implementation"`    // "openmpi", "mpich", "mpiabi"
	Version        string `json:"version,omitempty"` // "4.1.4"; empty if not known
	Soname         string `json:"soname,omitempty"`  // "libmpi.so.40"
}

// PMI is one way in which ranks can find each other on a node: a library for programs, or a plugin
// of Slurm's for srun --mpi.
type PMI struct {
	Implementation string `json:"implementation"`    // "pmi2", "pmix"
	Version        string `json:"version,omitempty"` // "5.0.7"; a plugin's "5"; empty if not known
	Soname         string `json:"soname,omitempty"`  // "libpmix.so.2"; empty for a plugin
	Slurm          bool   `json:"slurm,omitempty"`   // a plugin of Slurm's
}

// Container is what a node offers to container engines, as far as its files tell. Only a trial is
// certain, as doctor makes it: a profile of AppArmor may allow more, a chroot or a seccomp filter
// less.
type Container struct {
	// No setting forbids users without privileges to mount in a namespace of their own.
	UserNamespaces bool `json:"userNamespaces"`
	// The kernel has FUSE, and this process may open /dev/fuse.
	FUSE bool `json:"fuse"`
	// overlay in user namespaces: Linux 5.11 and newer. What distributions add to older kernels is
	// not detected.
	Overlay bool `json:"overlay"`
	// The kernel can mount SquashFS, which takes privileges.
	SquashFS  bool   `json:"squashfs"`
	Apptainer string `json:"apptainer"` // path of the program; empty without one
}

// Unknown is a fact that could not be found out: neither present nor absent.
type Unknown struct {
	What string `json:"what"` // "gpus", "cpu.features" …
	Why  string `json:"why"`
}
