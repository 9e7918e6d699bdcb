package launcher

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// CheckPlatform refuses a --platform whose programs cannot run on this node, before anything is asked of a registry. By --force they are
// tried all the same.
func (r *Road) CheckPlatform() error {
	if r.Option.Platform == "" || r.Option.Force {
		return nil
	}
	node, err := match.NodeFor(r.Option.Platform)
	if err != nil {
		return err
	}
	why := r.cannotRun(node.OS, node.Arch)
	if why == "" {
		return nil
	}
	return fault.New(fault.NoMatch, "--platform %s asks for an image that cannot run here: %s", r.Option.Platform, why).
		Hint("for another node: hpc3 pull --platform fetches it, hpc3 explain and --dry-run say what that gets").
		Hint("--force runs it all the same")
}

// submitPlatform refuses a job with a --platform that no node of the cluster has, before it waits for one. Where Slurm does not say what the nodes
// are, that is a doubt: they may be others than the machine where jobs are submitted.
func (r *Road) submitPlatform(ctx context.Context) (doubt, err error) {
	if r.Option.Platform == "" || r.Option.Force {
		return nil, nil
	}
	node, err := match.NodeFor(r.Option.Platform)
	if err != nil {
		return nil, err
	}
	why := r.cannotRun(node.OS, node.Arch)
	if why == "" {
		return nil, nil
	}
	archs, err := clusterArchs(ctx)
	switch {
	case node.OS == "linux" && err != nil:
		return fault.New(fault.NoMatch, "--platform %s cannot run on this machine (%s), and what the nodes are is not known: %w", r.Option.Platform, why, err), nil
	case node.OS == "linux" && slices.Contains(archs, node.Arch):
		return nil, nil
	case node.OS == "linux":
		why = fmt.Sprintf("it is for %s, and the nodes are %s", node.Arch, strings.Join(archs, ", "))
	}
	return nil, fault.New(fault.NoMatch, "--platform %s asks for an image that no node of this cluster runs: %s", r.Option.Platform, why).
		Hint("leave --platform out: each node chooses for itself").
		Hint("HPC3_FORCE=1 submits it all the same, for nodes with an emulator (binfmt_misc)")
}

// clusterLimit bounds what is asked of Slurm's controller while someone waits for his job to be submitted.
const clusterLimit = 5 * time.Second

// clusterArchs returns the architectures of the cluster's nodes, sorted, as far as their slurmd has said them.
func clusterArchs(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	shown, err := exec.CommandContext(ctx, "scontrol", "-o", "show", "node").Output()
	if err != nil {
		return nil, fmt.Errorf("scontrol show node: %w", err)
	}
	var archs []string
	for word := range bytes.FieldsSeq(shown) {
		if arch, ok := bytes.CutPrefix(word, []byte("Arch=")); ok && !slices.Contains(archs, oci.Architecture(string(arch))) {
			archs = append(archs, oci.Architecture(string(arch)))
		}
	}
	if len(archs) == 0 {
		return nil, errors.New("scontrol show node names no architecture")
	}
	slices.Sort(archs)
	return archs, nil
}

// checkSIF refuses a SIF whose programs cannot run on this node.
func (r *Road) checkSIF(sif string, contents convert.Contents) error {
	if contents.Arch == "" || r.Option.Force {
		return nil
	}
	if why := r.cannotRun("linux", contents.Arch); why != "" {
		return fault.New(fault.NoMatch, "%s cannot run here: %s", sif, why).Hint("--force runs it all the same")
	}
	return nil
}

// cannotRun says why programs of a platform do not run on this node; "" where they do.
func (r *Road) cannotRun(system, arch string) string {
	switch {
	case system != "linux":
		return fmt.Sprintf("it is for %s, and this node runs linux", system)
	case arch == r.Host.Arch:
		return ""
	}
	why := fmt.Sprintf("it is for %s, and this node is %s", arch, r.Host.Arch)
	switch handler, fixed := emulator(os.DirFS("/proc/sys/fs/binfmt_misc"), arch); {
	case fixed:
		r.note("%s, but the kernel runs its programs by %s (binfmt_misc)", why, handler)
		return ""
	case handler != "":
		return why + "; " + handler + " of binfmt_misc lacks the flag F, without which no container finds its emulator"
	}
	return why + ", where binfmt_misc has no emulator for it"
}

// machines are architectures by the header of their programs: the number of elf(5), whether they have 64 bits, and the byte order.
var machines = map[string]struct { //nolint:gochecknoglobals // a constant table
	number uint16
	wide   bool
	order  binary.ByteOrder
}{
	"386": {3, false, binary.LittleEndian}, "amd64": {62, true, binary.LittleEndian}, "arm": {40, false, binary.LittleEndian}, "arm64": {183, true, binary.LittleEndian},
	"loong64": {258, true, binary.LittleEndian}, "ppc64": {21, true, binary.BigEndian}, "ppc64le": {21, true, binary.LittleEndian},
	"riscv64": {243, true, binary.LittleEndian}, "s390x": {22, true, binary.BigEndian},
}

// emulator returns which handler of binfmt_misc the kernel starts programs for an architecture by, "" for none, and whether it holds the
// emulator open, which is not in the containers. The directory is the kernel's; the first that matches is as good as any other.
func emulator(dir fs.FS, arch string) (handler string, fixed bool) {
	m, known := machines[arch]
	entries, err := fs.ReadDir(dir, ".")
	if !known || err != nil {
		return "", false
	}
	header := append([]byte("\x7fELF\x01\x01\x01"), make([]byte, 13)...)
	if m.wide {
		header[4] = 2
	}
	if m.order == binary.ByteOrder(binary.BigEndian) {
		header[5] = 2
	}
	m.order.PutUint16(header[16:], 2) // an executable
	m.order.PutUint16(header[18:], m.number)
	if status, err := fs.ReadFile(dir, "status"); err != nil || !bytes.HasPrefix(status, []byte("enabled")) {
		return "", false
	}
	for _, e := range entries {
		raw, err := fs.ReadFile(dir, e.Name())
		if err != nil || !handles(string(raw), header) {
			continue
		}
		fixed = strings.Contains(field(string(raw), "flags:"), "F")
		if handler = e.Name(); fixed {
			break
		}
	}
	return handler, fixed
}

// handles tells whether a handler, as the kernel prints it, is for programs with a header.
func handles(text string, header []byte) bool {
	magic, err := hex.DecodeString(field(text, "magic"))
	if err != nil || len(magic) == 0 || !strings.HasPrefix(text, "enabled\n") {
		return false
	}
	mask, err := hex.DecodeString(field(text, "mask"))
	offset, bad := strconv.Atoi(cmp.Or(field(text, "offset"), "0"))
	if err != nil || bad != nil || offset < 0 || offset+len(magic) > len(header) {
		return false
	}
	for i, b := range magic {
		differs := b ^ header[offset+i]
		if i < len(mask) {
			differs &= mask[i]
		}
		if differs != 0 {
			return false
		}
	}
	return true
}

// field returns what stands behind a word at the beginning of a line.
func field(text, name string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return value
		}
	}
	return ""
}
