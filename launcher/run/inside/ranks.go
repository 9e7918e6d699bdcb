package inside

import (
	"os"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// Share says whether the tasks of a step share a container, as the user asked.
type Share int

// The zero value leaves the decision to the engine: in the native engine tasks share, in Apptainer
// they do not.
const (
	ShareByEngine Share = iota
	ShareAsked
	ShareNever
)

// Sharing says how a task shares its container with the other tasks that its step, or a launcher of
// MPI, has on the node.
type Sharing struct {
	With  Sharers
	Group string // names the tasks of one container; "" unless With is Meet
}

// Sharers says which tasks a container is for.
type Sharers int

// The values of Sharers.
const (
	Alone  Sharers = iota // this task
	Apart                 // this rank of MPI, in a user namespace that no other rank is in
	Meet                  // the tasks of Group, which meet at a socket
	Forked                // the tasks that one process has started; Apptainer finds them
)

// ShareNative decides how tasks share with the native engine. ownUser tells whether a container
// gets a user namespace of its own.
func (v *View) ShareNative(ownUser bool) Sharing {
	name := group(v.Getenv)
	switch {
	case v.Share != ShareNever && name != "":
		return Sharing{With: Meet, Group: name}
	case v.Share == ShareNever && ownUser && MPIJob(v.Getenv) != "":
		return Sharing{With: Apart}
	}
	return Sharing{}
}

// ShareApptainer decides how tasks share with Apptainer, which shares only on request: a task that
// starts after the first one has ended fails. Ranks of MPI wait for one another, but not every
// command of several tasks is an MPI program.
func (v *View) ShareApptainer(ownUser bool) Sharing {
	switch {
	case v.Share == ShareAsked &&
		group(v.Getenv) != "", isTrue(v.Getenv("APPTAINER_SHARENS")),
		isTrue(v.Getenv("SINGULARITY_SHARENS")):
		return Sharing{With: Forked}
	case ownUser && MPIJob(v.Getenv) != "":
		return Sharing{With: Apart}
	}
	return Sharing{}
}

func isTrue(value string) bool {
	yes, err := strconv.ParseBool(value)
	return err == nil && yes
}

// group names the tasks that share a container with this one; "" if it has a container of its own.
func group(getenv func(string) string) string {
	if job, step := getenv("SLURM_JOB_ID"), getenv("SLURM_STEP_ID"); job != "" && step != "" &&
		getenv("SLURM_STEP_NUM_TASKS") != "1" {
		return strings.Join([]string{
			"slurm", job, step, getenv("SLURMD_NODENAME"),
			getenv("SLURM_NODEID"),
		}, " ")
	}
	if name := getenv("PMIX_NAMESPACE"); name != "" {
		return "pmix " + name
	}
	// The parent of a node's ranks is Hydra's proxy.
	if getenv("PMI_RANK") != "" && getenv("PMI_SIZE") != "1" {
		return "pmi " + process.Name(os.Getppid())
	}
	return ""
}

// MayJoin tells whether a task may be about to enter the container of another.
func MayJoin(getenv func(string) string) bool { return group(getenv) != "" }

// MPIJob names the MPI job that this process is a rank of. All ranks of the job get the same name;
// it is "" if there is no job, or only one rank.
func MPIJob(getenv func(string) string) string {
	step := make([]string, 0, 4)
	for _, name := range []string{
		"SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_STEP_ID",
		"SLURM_SRUN_COMM_PORT",
	} {
		step = append(step, getenv(name))
	}
	switch {
	case getenv("PMIX_NAMESPACE") != "":
		return strings.Join(append(step, "pmix", getenv("PMIX_NAMESPACE")), " ")
	case getenv("PMI_RANK") == "" || getenv("PMI_SIZE") == "1":
		return ""
	case getenv("PMI_FD") != "" && getenv("SLURM_STEP_ID") != "" && getenv("SLURM_LOCALID") != "":
		return strings.Join(append(step, "pmi"), " ")
	}
	return "pmi " + process.Name(os.Getppid())
}

// apartEnv returns variables for ranks that have a container each. They keep MPI from reading other
// ranks' memory, and from using the descriptors of their processes. Without them UCX, which MPICH
// uses, finds out too late that it may not, and ends; Open MPI 4 warns and may hang. UCX would then
// use TCP for large messages between neighbours, and MPICH 4.0 sometimes hangs in MPI_Finalize over
// TCP, so TCP is excluded if no rank needs it.
func apartEnv(getenv func(string) string) []string {
	transports := "^posix,cma"
	if onOneNode(getenv) {
		transports += ",tcp"
	}
	return []string{"UCX_TLS=" + transports, "OMPI_MCA_btl_vader_single_copy_mechanism=none"}
}

// onOneNode tells whether all ranks of an MPI job are known to be on one node. A step that runs a
// launcher of MPI or an interactive shell has one task for each node, so one task proves nothing.
func onOneNode(getenv func(string) string) bool {
	for _, launcher := range [][2]string{
		{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"},
		{"PMI_SIZE", "MPI_LOCALNRANKS"},
	} {
		if all, here := getenv(launcher[0]), getenv(launcher[1]); all != "" && here != "" {
			return all == here
		}
	}
	tasks := getenv("SLURM_STEP_NUM_TASKS")
	return getenv("SLURM_STEP_NUM_NODES") == "1" && tasks != "" && tasks != "1"
}

// FirstOfNode tells whether a rank is the first of its node, as far as its environment says.
func FirstOfNode(getenv func(string) string) bool {
	for _, name := range []string{
		"SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK",
		"MPI_LOCALRANKID",
	} {
		if local := getenv(name); local != "" {
			return local == "0"
		}
	}
	return true
}

// Getenv returns a variable of the caller's; "" if it is not set.
func (v *View) Getenv(name string) string { return Lookup(v.HostEnv, name) }
