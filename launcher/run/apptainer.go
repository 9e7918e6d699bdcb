package run

import (
	"cmp"
	"context"
	"encoding/csv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// execApptainer becomes "apptainer exec", which becomes the command.
func (p *Plan) execApptainer(ctx context.Context, img image, words []string) error {
	if err := p.foresee(img, words); err != nil {
		return err
	}
	args, err := p.apptainerArgs(ctx, img, p.prepared(img, words))
	if err != nil {
		return err
	}
	if p.unpacks() {
		p.warn("Apptainer finds no squashfuse_ll here, and unpacks the whole image for each container; install squashfuse, or use --engine native")
	}
	p.note("running " + strings.Join(args[:len(args)-len(words)], " "))
	env := p.apptainerEnv(ctx, img)
	if err := startWatch(p.Parent); err != nil {
		p.note("what Apptainer starts may outlive it or slurmstepd, should one be killed: " + err.Error())
	}
	if err := stillThere(p.Parent); err != nil {
		return fault.New(fault.Engine, "executing %s: %w", p.Apptainer, err)
	}
	err = syscall.Exec(p.Apptainer, args, env)
	return fault.New(fault.Engine, "executing %s: %w", p.Apptainer, err).Hint("use --engine native")
}

func (p *Plan) apptainerArgs(ctx context.Context, img image, words []string) ([]string, error) {
	args := []string{"apptainer", "--quiet", "exec"}
	if p.homeShown {
		args = append(args, "--home", homeIn(p.Home))
	} else {
		args = append(args, "--no-home")
	}
	found := p.devices(img)
	devices, err := p.apptainerDevices(ctx, img, found)
	if err != nil {
		return nil, err
	}
	args = append(args, devices...)
	places, err := p.apptainerPlaces(img, found.Dirs)
	if err != nil {
		return nil, err
	}
	mounts := slices.Concat(places, p.Mounts)
	for _, m := range mounts {
		flag, spec, err := mountFlag(m)
		if err != nil {
			return nil, err
		}
		args = append(args, flag, spec)
	}
	if p.Writable {
		args = append(args, "--writable-tmpfs")
	}
	if p.sharesNS() {
		args = append(args, "--sharens")
	}
	if os.Geteuid() == 0 {
		args = append(args, map[bool]string{true: "--keep-privs", false: "--no-privs"}[p.KeepPrivs])
	}
	args = append(args, p.apptainerDir(img, mounts)...)
	return append(append(args, p.SIF), words...), nil
}

// apptainerAccounts is the bind of a user database that has those whom programs of the node look up, where the image lacks one: Apptainer's own has
// the caller beside the image's.
func (p *Plan) apptainerAccounts(ctx context.Context, img image) []option.Mount {
	old, accounts := img.read(passwdFile, maxDatabase), p.accounts(ctx)
	if len(withAccounts(old, accounts)) == len(old) {
		return nil
	}
	who, _ := findAccount(ctx, os.Getuid()) // FindApptainer has made sure of it
	file, err := p.Keep(withAccounts(withUser(old, who.line(homeIn(p.Home), img.shell())), accounts))
	if err != nil {
		p.warn("the node's Slurm client will not work in this image, which does not know SlurmUser " + p.ClientUser + ": " + err.Error())
		return nil
	}
	return []option.Mount{{Source: file, Target: passwdFile, Options: []string{"ro"}}}
}

// prepared has the image's shell do first what Apptainer refuses (another HOME) or fails at with a status of its own (a working directory
// that is not there).
func (p *Plan) prepared(img image, words []string) []string {
	home := lookup(p.SetEnv, "HOME")
	if home == "" && p.Workdir == "" || img.bare() {
		return words
	}
	return append([]string{"/bin/sh", "-c", prepare, p.ErrorPrefix, home, p.Workdir}, words...)
}

// mountFlag writes a mount as Apptainer reads it: CSV, so that a path may hold commas and quotes. Its binds and its scratch directories,
// which are in memory, are nosuid and nodev in any case.
func mountFlag(m option.Mount) (flag, spec string, err error) {
	if slices.Contains(m.Options, "noexec") {
		return "", "", fault.New(fault.Mount, "binding %s: Apptainer knows no option noexec", m.Source).Hint("use --engine native")
	}
	flag, fields := "--mount", []string{"type=bind", "source=" + filepath.Clean(m.Source), "destination=" + m.Target}
	switch {
	case m.Source == option.Tmpfs && m.ReadOnly():
		return "", "", fault.New(fault.Mount, "mounting a tmpfs at %s: Apptainer makes none that is read-only", m.Target).Hint("use --engine native")
	case m.Source == option.Tmpfs:
		flag, fields = "--scratch", []string{m.Target}
	case m.ReadOnly():
		fields = append(fields, "ro")
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write(fields); err != nil {
		return "", "", err
	}
	w.Flush()
	return flag, strings.TrimSuffix(b.String(), "\n"), w.Error()
}

// apptainerEnv is the command's environment. Apptainer passes it on but for what the image sets, and takes what is to win over the
// image by a name of its own.
func (p *Plan) apptainerEnv(ctx context.Context, img image) []string {
	who, _ := findAccount(ctx, os.Getuid()) // FindApptainer has made sure of it
	env := p.environment(who.name, homeIn(p.Home), img)
	for _, e := range p.Config.Env {
		if name, value, _ := strings.Cut(e, "="); value == "" { // which it would leave unset
			env.set("APPTAINERENV_"+name, value)
		}
	}
	for _, e := range p.SetEnv {
		name, value, _ := strings.Cut(e, "=")
		if name != "HOME" { // see prepared
			env.set("APPTAINERENV_"+name, value)
		}
	}
	if gpus, set := p.asked("NVIDIA_VISIBLE_DEVICES"); set && gpus != "all" {
		env.complete("CUDA_VISIBLE_DEVICES=" + gpus) // its --nv brings all
	}
	p.passBinds(env)
	env.set("APPTAINER_NO_EVAL", "1")          // or it would expand such a value as a shell does
	env.set("PATH", lookup(p.HostEnv, "PATH")) // where Apptainer finds its helpers; the image sets its own
	return env.list()
}

// ownBinds holds, in a container of Apptainer, the binds that its caller asked for by Apptainer's variables.
const ownBinds = "HPC3_APPTAINER_BIND"

// passBinds gives Apptainer the binds that the caller asks for by its variables. In a container these name all its binds, by where they are in
// there: a step that Slurm's client starts from there would bind what the node has at those places.
func (p *Plan) passBinds(env *environ) {
	var asked []string
	for _, name := range []string{"BIND", "BINDPATH"} {
		if bind := cmp.Or(p.getenv("APPTAINER_"+name), p.getenv("SINGULARITY_"+name)); bind != "" {
			asked = append(asked, bind)
		}
		env.unset("APPTAINER_" + name)
		env.unset("SINGULARITY_" + name)
	}
	binds := strings.Join(asked, ",")
	if p.getenv("APPTAINER_CONTAINER") != "" {
		binds = p.getenv(ownBinds)
	}
	env.unset(ownBinds)
	if binds != "" {
		env.set("APPTAINER_BIND", binds)
		env.set(ownBinds, binds)
	}
}

// FindApptainer returns the path of Apptainer and, where it cannot be used by this user, why not. It asks the file system and the user database;
// whether the program starts is for Works to find out.
func FindApptainer(ctx context.Context, getenv func(string) string, uid int) (path, whyNot string) {
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		file := filepath.Join(dir, "apptainer")
		info, err := os.Stat(file)
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 || !filepath.IsAbs(dir) {
			continue
		}
		if _, known := findAccount(ctx, uid); !known {
			return file, "this node does not know user " + strconv.Itoa(uid) + ", and Apptainer runs no unknown user"
		}
		return file, ""
	}
	return "", "it is not installed"
}

// sharesNS tells whether Apptainer is to have the tasks that one process has started, slurmstepd or mpirun, in one container. Not unless somebody says
// so: a task that gets there when the first one has ended fails, and not every command of several tasks is a program of MPI, where they wait for
// one another.
func (p *Plan) sharesNS() bool {
	return p.ShareNS && group(p.getenv) != "" || isTrue(p.getenv("APPTAINER_SHARENS")) || isTrue(p.getenv("SINGULARITY_SHARENS"))
}

func isTrue(value string) bool {
	yes, err := strconv.ParseBool(value)
	return err == nil && yes
}

// rootless tells whether Apptainer makes a user namespace, in which the kernel reads it no image.
func (p *Plan) rootless() bool { return os.Geteuid() != 0 && !hasSetuidStarter(p.Apptainer) }

// unpacks tells whether Apptainer has nothing that reads an image to it, as far as can be seen: a script in its place knows where to look.
func (p *Plan) unpacks() bool {
	if !p.rootless() || isScript(p.Apptainer) {
		return false
	}
	own := apptainerDirs(p.Apptainer)
	return findSquashfuse(squashfuseLL, own...) == "" && findSquashfuse("squashfuse", own...) == ""
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

// apptainerDirs are where an Apptainer has the programs that are for itself alone.
func apptainerDirs(apptainer string) []string {
	if file, err := filepath.EvalSymlinks(apptainer); err == nil {
		apptainer = file
	}
	prefix := filepath.Dir(filepath.Dir(apptainer))
	return []string{filepath.Join(prefix, "libexec/apptainer/bin"), filepath.Join(prefix, "lib/apptainer/bin")}
}

// hasSetuidStarter tells whether Apptainer makes no user namespaces.
func hasSetuidStarter(apptainer string) bool {
	for _, dir := range apptainerDirs(apptainer) {
		info, err := os.Stat(filepath.Join(dir, "starter-suid"))
		if err == nil && info.Mode()&os.ModeSetuid != 0 {
			return true
		}
	}
	return false
}

// Works starts Apptainer and a user namespace, or finds its setuid starter, and returns why it would not work, or "".
func Works(apptainer string) string {
	out, err := exec.Command(apptainer, "--version").CombinedOutput()
	if err != nil {
		return "apptainer --version: " + strings.TrimSpace(err.Error()+" "+fault.OneLine(string(out)))
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

// missingCapabilities says why Apptainer will not run for root: it wants every capability that the kernel knows, and in a virtual
// machine or container root may have fewer.
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

// CanMakeNamespaces makes a user and a mount namespace for real: no setting tells for sure (AppArmor, seccomp, a chroot).
func CanMakeNamespaces() error {
	cmd := exec.Command(selfExe, "--version")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS}
	return cmd.Run()
}
