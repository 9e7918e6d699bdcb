package launcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/image"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// refusePlatform refuses a --platform whose programs cannot run on this node, before anything is
// asked of a registry. By --force they are tried all the same.
func (r *Road) refusePlatform() error {
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
	return fault.New(fault.NoMatch, "--platform %s asks for an image that cannot run here: %s",
		r.Option.Platform, why).
		Hint("for another node: hpc3 pull --platform fetches it, " +
			"hpc3 explain and --dry-run say what that gets").
		Hint("--force runs it all the same")
}

// submitPlatform refuses a job with a --platform that no node of the cluster has, before it waits
// for one. If Slurm does not say what the nodes are, that is a doubt: the machine where jobs are
// submitted may differ.
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
		return fault.New(fault.NoMatch,
			"--platform %s cannot run on this machine (%s), "+
				"and what the nodes are is not known: %w",
			r.Option.Platform, why, err), nil
	case node.OS == "linux" && slices.Contains(archs, node.Arch):
		return nil, nil
	case node.OS == "linux":
		why = fmt.Sprintf("it is for %s, and the nodes are %s", node.Arch,
			strings.Join(archs, ", "))
	}
	return nil, fault.New(fault.NoMatch,
		"--platform %s asks for an image "+
			"that no node of this cluster runs: %s",
		r.Option.Platform, why).
		Hint("leave --platform out: each node chooses for itself").
		Hint("HPC3_FORCE=1 submits it all the same, for nodes with an emulator (binfmt_misc)")
}

// clusterLimit bounds what is asked of Slurm's controller while a user waits for a job to be
// submitted.
const clusterLimit = 5 * time.Second

// clusterArchs returns the architectures of the cluster's nodes, sorted, as far as their slurmd has
// said them.
func clusterArchs(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	shown, err := exec.CommandContext(ctx, "scontrol", "-o", "show", "node").Output()
	if err != nil {
		return nil, fmt.Errorf("scontrol show node: %w", err)
	}
	var archs []string
	for word := range bytes.FieldsSeq(shown) {
		name, ok := bytes.CutPrefix(word, []byte("Arch="))
		if arch := oci.Architecture(string(name)); ok && !slices.Contains(archs, arch) {
			archs = append(archs, arch)
		}
	}
	if len(archs) == 0 {
		return nil, errors.New("scontrol show node names no architecture")
	}
	slices.Sort(archs)
	return archs, nil
}

// refuseArch refuses a SIF whose programs cannot run on this node.
func (r *Road) refuseArch(img image.Image) error {
	if img.Contents.Arch == "" || r.Option.Force {
		return nil
	}
	if why := r.cannotRun("linux", img.Contents.Arch); why != "" {
		return fault.New(fault.NoMatch, "%s cannot run here: %s", img.Path, why).
			Hint("--force runs it all the same")
	}
	return nil
}

// cannotRun says why programs of a platform do not run on this node; "" if they do.
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
		r.Notef("%s, but the kernel runs its programs by %s (binfmt_misc)", why, handler)
		return ""
	case handler != "":
		return why + "; " + handler +
			" of binfmt_misc lacks the flag F, without which no container finds its emulator"
	}
	return why + ", where binfmt_misc has no emulator for it"
}
