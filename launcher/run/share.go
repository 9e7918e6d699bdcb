package run

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// The tasks that a step has on a node share one container, or those that a launcher of MPI has started: ranks read one another's memory
// (process_vm_readv), for which they must be of one user namespace, and the image is mounted once.
//
// They meet at a Unix socket in the abstract name space, which leaves nothing behind. Its name is a hash of all that makes the container,
// so that only tasks meet whose containers would be the same. Whoever binds the name makes the container, and its file server inherits the
// socket; the others get descriptors of the namespaces from it and enter them.

// shareWait bounds how long a task waits for another's container, which takes milliseconds to make.
const shareWait = 10 * time.Second

// listenWait bounds how long a name may be bound where nobody listens: its owner listens in the next instruction.
const listenWait = time.Second

// shareBacklog is how many tasks may ask at once.
const shareBacklog = 4096

// group names the tasks that share a container with this one; "" where it has one of its own.
func group(getenv func(string) string) string {
	if job, step := getenv("SLURM_JOB_ID"), getenv("SLURM_STEP_ID"); job != "" && step != "" && getenv("SLURM_STEP_NUM_TASKS") != "1" {
		return strings.Join([]string{"slurm", job, step, getenv("SLURMD_NODENAME"), getenv("SLURM_NODEID")}, " ")
	}
	if name := getenv("PMIX_NAMESPACE"); name != "" {
		return "pmix " + name
	}
	if getenv("PMI_RANK") != "" && getenv("PMI_SIZE") != "1" { // Hydra's proxy is the parent of a node's ranks
		return "pmi " + processName(os.Getppid())
	}
	return ""
}

// MayJoin tells whether a task may be about to enter the container of another.
func MayJoin(getenv func(string) string) bool { return group(getenv) != "" }

// MPIJob names the MPI job that this process is a rank of, alike for all of its ranks; "" for none, or one rank alone.
func MPIJob(getenv func(string) string) string {
	step := make([]string, 0, 4)
	for _, name := range []string{"SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_SRUN_COMM_PORT"} {
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
	return "pmi " + processName(os.Getppid())
}

// apartEnv has ranks that have a container each do without reading one another's memory, and without the descriptors of one another's processes:
// UCX, by which MPICH goes, finds out too late that it may not, and ends; Open MPI 4 warns and may hang. Instead of memory, UCX would take TCP for
// large messages between neighbours, and MPICH 4.0 hangs in MPI_Finalize over TCP now and then: it is left out where no rank needs it.
func apartEnv(getenv func(string) string) []string {
	transports := "^posix,cma"
	if onOneNode(getenv) {
		transports += ",tcp"
	}
	return []string{"UCX_TLS=" + transports, "OMPI_MCA_btl_vader_single_copy_mechanism=none"}
}

// onOneNode tells whether all ranks of an MPI job are known to be on one node. The steps in which a launcher of MPI runs, or an interactive shell,
// have a task for each node.
func onOneNode(getenv func(string) string) bool {
	for _, launcher := range [][2]string{{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"}, {"PMI_SIZE", "MPI_LOCALNRANKS"}} {
		if all, here := getenv(launcher[0]), getenv(launcher[1]); all != "" && here != "" {
			return all == here
		}
	}
	tasks := getenv("SLURM_STEP_NUM_TASKS")
	return getenv("SLURM_STEP_NUM_NODES") == "1" && tasks != "" && tasks != "1"
}

// apart tells whether this is a rank of MPI that will be in a user namespace of its own.
func (p *Plan) apart() bool {
	if MPIJob(p.getenv) == "" {
		return false
	}
	if p.Engine == option.Native {
		return p.Alone && !canMount()
	}
	return p.rootless() && !p.sharesNS()
}

func (p *Plan) getenv(name string) string { return lookup(p.HostEnv, name) }

// FirstOfNode tells whether a rank is the first one of its node, as far as its environment says.
func FirstOfNode(getenv func(string) string) bool {
	for _, name := range []string{"SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"} {
		if local := getenv(name); local != "" {
			return local == "0"
		}
	}
	return true
}

// processName is a process's number and the time of its start, which no later process has again.
func processName(pid int) string {
	if _, f := processStat(pid); len(f) > 19 {
		return strconv.Itoa(pid) + " " + f[19]
	}
	return strconv.Itoa(pid)
}

// processStat is what the kernel says of a process: the name of its program, and all from its state on; nothing where it has ended.
func processStat(pid int) (program string, fields []string) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", nil
	}
	front, rest, _ := strings.Cut(string(raw), ") ") // the name may hold blanks
	_, program, _ = strings.Cut(front, "(")
	return program, strings.Fields(rest)
}

// shareName is the name of the socket at which those meet who share this container; "" for a container of its own.
func (st *stage) shareName(group string, sif *os.File) string {
	if group == "" {
		return ""
	}
	same := *st
	same.Words, same.Env, same.Workdirs, same.Strict = []string{""}, nil, nil, false
	same.KeepPrivs, same.Prefix, same.Parent = false, "", 0
	same.Ignored, same.Blocked, same.FileSize = 0, 0, 0
	same.Mounts = slices.DeleteFunc(slices.Clone(same.Mounts), func(m bindMount) bool { return m.Target == device.Console }) // one task of a step may have it
	raw, err := same.pack()
	if err != nil {
		return ""
	}
	var file unix.Stat_t
	if err := unix.Fstat(int(sif.Fd()), &file); err != nil {
		return ""
	}
	hash := sha256.New()
	// Not the time of its change: every start notes there that the file is in use.
	fmt.Fprintln(hash, group, file.Dev, file.Ino, file.Size, len(raw))
	for _, ns := range []string{"user", "mnt", "pid"} { // what the caller sees of the node
		link, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			return ""
		}
		fmt.Fprintln(hash, link)
	}
	hash.Write(raw)
	return "@hpc3-" + hex.EncodeToString(hash.Sum(nil))
}

// namespaces are descriptors of a container's.
type namespaces struct{ mount, user int }

// aloneError says that this task gets a container of its own, and why.
type aloneError struct{ why string }

func (e aloneError) Error() string { return e.why }

// meet returns the socket that this task is to answer at, or the namespaces that it is to enter.
func meet(name string) (listener int, ns *namespaces, err error) {
	end := time.Now().Add(shareWait)
	listening := time.Now()
	for time.Now().Before(end) {
		listener, err = listen(name)
		if !errors.Is(err, unix.EADDRINUSE) {
			return listener, nil, err
		}
		ns, err = ask(name)
		if err == nil {
			return -1, ns, nil
		}
		if errors.As(err, new(aloneError)) {
			return -1, nil, err
		}
		if !errors.Is(err, unix.ECONNREFUSED) {
			listening = time.Now()
		} else if time.Since(listening) > listenWait {
			return -1, nil, aloneError{"somebody has taken the place where the tasks of this step meet, and is not there"}
		}
		time.Sleep(time.Millisecond) // the name is bound and not listened at yet, or its container just ended
	}
	return -1, nil, aloneError{"another task of this step did not make its container in time"}
}

func listen(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
	if err == nil {
		err = unix.Listen(fd, shareBacklog)
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// ask gets the namespaces from the file server at the name.
func ask(name string) (*namespaces, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(int64(shareWait))
	for _, o := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, o, &limit); err != nil {
			return nil, err
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return nil, err
	}
	if peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil || int(peer.Uid) != os.Getuid() {
		return nil, aloneError{"another user sits at the place where the tasks of this step meet"}
	}
	answer, fds, err := receiveFDs(fd)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil, aloneError{"another task of this step did not make its container in time"}
	case err != nil:
		return nil, err
	case answer == answerClosed:
		return nil, aloneError{"the namespaces of the step's container cannot be read"}
	case answer != answerHere || len(fds) != 2:
		closeAll(fds)
		return nil, errors.New("the container has ended")
	}
	return &namespaces{mount: fds[0], user: fds[1]}, nil
}
