// Package facts says what a node is: plain data without cgo or I/O, and the table of microarchitectures.
package facts

// SchemaVersion is the version of the JSON form of Node. A reader refuses a greater one.
const SchemaVersion = 1

// Node is one node as far as choosing an image goes. Its JSON form is what "hpc3 probe --json" prints and what a
// node file holds; of a node file only os, arch and cpu.target are needed. Absent hardware is an empty field;
// what could not be asked stands in Unknown.
type Node struct {
	SchemaVersion int       `json:"schemaVersion"`
	Hostname      string    `json:"hostname,omitempty"`
	OS            string    `json:"os"`               // GOOS spelling: "linux"
	Arch          string    `json:"arch"`             // GOARCH spelling: "amd64", "arm64"
	Kernel        string    `json:"kernel,omitempty"` // as uname -r prints it
	Glibc         string    `json:"glibc,omitempty"`  // "2.36"; empty on a node without glibc
	CPU           CPU       `json:"cpu"`
	GPUs          []GPU     `json:"gpus,omitempty"`   // visible to this process, in the driver's order
	NVIDIA        *NVIDIA   `json:"nvidia,omitempty"` // nil without a loaded NVIDIA driver
	MPI           []MPI     `json:"mpi,omitempty"`
	Fabric        []string  `json:"fabric,omitempty"` // sorted: "cxi", "efa", "infiniband", "opa", "roce"
	Labels        []string  `json:"labels,omitempty"` // words the site gave this node, sorted
	Unknown       []Unknown `json:"unknown,omitempty"`

	// No choice depends on what follows; nil where nothing is known of it.
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
	Vendor   string   `json:"vendor,omitempty"` // as the CPU names itself: "AuthenticAMD", "GenuineIntel", "ARM"
	Family   int      `json:"family,omitempty"`
	Model    int      `json:"model,omitempty"` // ARM: the part number
	Stepping int      `json:"stepping,omitempty"`
	Name     string   `json:"name,omitempty"`     // marketing name, as /proc/cpuinfo prints it
	Target   string   `json:"target"`             // archspec name that rules selection, or one of Later
	Strict   string   `json:"strict,omitempty"`   // archspec's own answer; never above Target, unless the site states that
	Rule     string   `json:"rule,omitempty"`     // how Target was found: "strict", "bounded", "relaxed" or RuleSite
	Missing  []string `json:"missing,omitempty"`  // features of Target that this CPU does not show, sorted; not set with "strict"
	Level    int      `json:"level,omitempty"`    // x86-64 psABI level 1 to 4; 0 on other architectures
	Features []string `json:"features,omitempty"` // /proc/cpuinfo spelling, sorted
	Emulated bool     `json:"emulated"`           // true under qemu-user
}

// RuleSite is the Rule of a CPU of which the site stated the Target: its word wins, so that even features in Missing count as there.
const RuleSite = "site"

// GPU is one accelerator that this process may use.
type GPU struct {
	Vendor      string `json:"vendor"`                // "nvidia", "amd", "intel"
	Name        string `json:"name,omitempty"`        // as the driver prints it; Intel: of data-centre GPUs only
	Arch        string `json:"arch,omitempty"`        // NVIDIA: compute capability, "9.0"; AMD: "gfx90a"; Intel: "pvc" or empty
	MemoryBytes uint64 `json:"memoryBytes,omitempty"` // 0 where the driver does not say
}

// NVIDIA is the NVIDIA driver of a node.
type NVIDIA struct {
	Driver string `json:"driver"`         // "580.159.04"
	CUDA   string `json:"cuda,omitempty"` // the newest CUDA version the driver supports, "13.0"
}

// MPI is one MPI implementation installed on a node.
type MPI struct {
	Implementation string `json:"implementation"`    // "openmpi", "mpich", "mpiabi"
	Version        string `json:"version,omitempty"` // "4.1.4"; empty where it could not be read
	Soname         string `json:"soname,omitempty"`  // "libmpi.so.40"
}

// Container is what a node offers to container engines, as far as its files tell. Only a trial is sure, as doctor makes it: a profile
// of AppArmor may allow more, a chroot or a seccomp filter less.
type Container struct {
	UserNamespaces bool   `json:"userNamespaces"` // no setting forbids users without privileges to mount in a namespace of their own
	FUSE           bool   `json:"fuse"`           // the kernel has FUSE, and this process may open /dev/fuse
	Overlay        bool   `json:"overlay"`        // overlay in user namespaces: Linux 5.11 and newer; what distributions add to older ones is not seen
	SquashFS       bool   `json:"squashfs"`       // the kernel can mount SquashFS, which takes privileges
	Apptainer      string `json:"apptainer"`      // path of the program; empty without one
}

// Unknown is a fact that could not be asked: neither present nor absent.
type Unknown struct {
	What string `json:"what"` // "gpus", "cpu.features" …
	Why  string `json:"why"`
}
