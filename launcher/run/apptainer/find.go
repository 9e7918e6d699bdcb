package apptainer

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// Find returns the path of Apptainer and, if this user cannot use it, the reason. It asks the file
// system and the user database. Works finds out whether the program starts.
func Find(ctx context.Context, getenv func(string) string, uid int) (path, whyNot string) {
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		file := filepath.Join(dir, "apptainer")
		info, err := os.Stat(file)
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 || !filepath.IsAbs(dir) ||
			process.HasShims(dir) {
			continue
		}
		if _, known := inside.FindAccount(ctx, uid); !known {
			return file, "this node does not know user " + strconv.Itoa(uid) +
				", and Apptainer runs no unknown user"
		}
		return file, ""
	}
	return "", "it is not installed"
}

// rootless tells whether Apptainer makes a user namespace, in which the kernel does not read an
// image for it.
func (s *start) rootless() bool { return Rootless(s.Program.Path, s.Program.Conf) }

// Rootless tells whether an Apptainer makes a user namespace for this user.
func Rootless(apptainer string, conf Conf) bool {
	return os.Geteuid() != 0 && (!hasSetuidStarter(apptainer) || conf.Is("allow setuid", "no"))
}

// unpacks tells whether Apptainer has no program that reads an image for it, as far as can be seen.
// A script in Apptainer's place may know of one.
func (s *start) unpacks() bool {
	if !s.rootless() || isScript(s.Program.Path) {
		return false
	}
	own := ownDirs(s.Program.Path)
	return process.FindSquashfuse(process.SquashfuseLL, own...) == "" &&
		process.FindSquashfuse("squashfuse", own...) == ""
}

func isScript(file string) bool {
	f, err := outside.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, len("#!"))
	_, err = io.ReadFull(f, start)
	return err == nil && string(start) == "#!"
}

// installPrefix returns the directory below which an Apptainer is installed.
func installPrefix(apptainer string) string {
	if file, err := filepath.EvalSymlinks(apptainer); err == nil {
		apptainer = file
	}
	return filepath.Dir(filepath.Dir(apptainer))
}

// ownDirs returns the directories of programs that only this Apptainer uses.
func ownDirs(apptainer string) []string {
	prefix := installPrefix(apptainer)
	return []string{
		filepath.Join(prefix, "libexec/apptainer/bin"),
		filepath.Join(prefix, "lib/apptainer/bin"),
	}
}

// hasSetuidStarter tells whether Apptainer has a setuid starter, and so needs no user namespace.
func hasSetuidStarter(apptainer string) bool {
	for _, dir := range ownDirs(apptainer) {
		info, err := os.Stat(filepath.Join(dir, "starter-suid"))
		if err == nil && info.Mode()&os.ModeSetuid != 0 {
			return true
		}
	}
	return false
}

// Works starts Apptainer and a user namespace, or finds its setuid starter. It returns why
// Apptainer would not work, or "".
func Works(apptainer string) string {
	out, err := exec.Command(apptainer, "--version").CombinedOutput()
	if err != nil {
		return "apptainer --version: " +
			strings.TrimSpace(err.Error()+" "+fault.OneLine(string(out)))
	}
	if hasSetuidStarter(apptainer) {
		return ""
	}
	if os.Geteuid() == 0 {
		return missingCapabilities()
	}
	if err := CanMakeNamespaces(); err != nil {
		return "no user namespace can be made: " + err.Error()
	}
	return ""
}

// missingCapabilities says why Apptainer does not run for root: it wants every capability that the
// kernel knows, and in a virtual machine or a container root may have fewer.
func missingCapabilities() string {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	raw, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil || unix.Capget(&head, &data[0]) != nil {
		return "" // nothing is known against it
	}
	last, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || last > 62 {
		return ""
	}
	have := uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted)
	if all := uint64(1)<<(last+1) - 1; have&all != all {
		return "root lacks capabilities here, and Apptainer wants all of them"
	}
	return ""
}

// CanMakeNamespaces makes a real user and mount namespace: no setting tells for sure (AppArmor,
// seccomp, a chroot).
func CanMakeNamespaces() error {
	cmd := exec.Command(process.Self, "--version")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS}
	return cmd.Run()
}
