package run

import (
	"cmp"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// execApptainer becomes "apptainer exec", which becomes the command.
func (p *Plan) execApptainer(ctx context.Context, img image) error {
	words, err := p.words(img)
	if damaged := p.checkImage(img); damaged != nil {
		return damaged
	}
	if err != nil {
		return err
	}
	if err := p.foresee(img, words); err != nil {
		return err
	}
	env, late := p.apptainerEnv(ctx, img)
	args, err := p.apptainerArgs(ctx, img)
	if err != nil {
		return err
	}
	if p.unpacks() {
		p.warn("Apptainer finds no squashfuse_ll here, and unpacks the whole image for each container; install squashfuse, or use --engine native")
	}
	if err := p.tryOut(ctx, img, args, env); err != nil {
		return err
	}
	p.note("engine: apptainer, " + p.Apptainer)
	p.tellContainer("new", p.countBinds(args))
	p.detail("running " + strings.Join(args, " "))
	p.settled()
	if err := startWatch(p.Parent, p.held); err != nil {
		p.note("what Apptainer starts may outlive it or slurmstepd, should one be killed: " + err.Error())
	}
	if err := stillThere(p.Parent); err != nil {
		return fault.New(fault.Engine, "executing %s: %w", p.Apptainer, err)
	}
	err = syscall.Exec(p.Apptainer, append(args, p.prepared(img, late, words)...), env)
	return fault.New(fault.Engine, "executing %s: %w", p.Apptainer, err).Hint("use --engine native")
}

// countBinds counts the binds among Apptainer's words, and names each under -d.
func (p *Plan) countBinds(args []string) (n int) {
	for i, arg := range args {
		if arg == "--mount" || arg == "--scratch" || arg == "--home" {
			n++
			p.detail("mount: " + args[i+1])
		}
	}
	return n
}

// shareFlag has Apptainer put the tasks that one process has started into one container.
const shareFlag = "--sharens"

// apptainerArgs are the words of Apptainer's command line up to the image. Its warnings are left
// out: tryOut has told them.
func (p *Plan) apptainerArgs(ctx context.Context, img image) ([]string, error) {
	args := append([]string{"apptainer", "--silent", "exec"}, p.apptainerHome(ctx)...)
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
	asked, err := p.apptainerMounts()
	if err != nil {
		return nil, err
	}
	mounts := slices.Concat(places, asked)
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
		args = append(args, shareFlag)
	}
	if os.Geteuid() == 0 {
		args = append(args, map[bool]string{true: "--keep-privs", false: "--no-privs"}[p.KeepPrivs])
	}
	args = append(args, p.apptainerDir(img, mounts)...)
	return append(args, p.SIF), nil
}

// apptainerHome has the home directory bound, unless the site's settings keep Apptainer from it:
// then it may bind the one of the account, of itself.
func (p *Plan) apptainerHome(ctx context.Context) []string {
	home := homeIn(p.Home)
	switch {
	case !p.homeShown || p.Conf.is("mount home", "no") || p.mayNotBind() && home != AccountHome(ctx):
		p.homeShown = false
		return []string{"--no-home"}
	case p.mayNotBind():
		return nil
	}
	return []string{"--home", home}
}

// mayNotBind tells whether Apptainer binds nothing but what the site says.
func (p *Plan) mayNotBind() bool { return p.Conf.is("user bind control", "no") }

// apptainerDatabases are the binds of a user database where Apptainer's own would lack somebody.
// Its own has the caller beside the image's users, but it makes none for an image that has no such
// file, or a symlink there, and knows none of those whom programs of the node look up.
func (p *Plan) apptainerDatabases(ctx context.Context, img image, accounts []string) []option.Mount {
	if !img.known || p.mayNotBind() {
		return nil
	}
	who, _ := findAccount(ctx, os.Getuid()) // FindApptainer has made sure of it
	var binds []option.Mount
	keep := func(file string, raw []byte) {
		kept, err := p.Keep(raw)
		if err != nil {
			p.warn("the container's " + file + " does not have what it should: " + err.Error())
			return
		}
		binds = append(binds, option.Mount{Source: kept, Target: file, Options: []string{"ro"}})
	}
	old := img.read(passwdFile, maxDatabase)
	if !img.regular(passwdFile) || len(withAccounts(old, accounts)) != len(old) {
		keep(passwdFile, withAccounts(withUser(old, who.line(homeIn(p.Home), img.shell())), accounts))
	}
	if groups, err := os.Getgroups(); err == nil && !img.regular(groupFile) {
		keep(groupFile, withGroups(img.read(groupFile, maxDatabase), groupLines(ctx, append(groups, os.Getgid()))))
	}
	return binds
}

// prepared has the image's shell do first what Apptainer refuses (HOME and some other variables) or
// fails at with a status of its own (a working directory that is not there).
func (p *Plan) prepared(img image, late, words []string) []string {
	if len(late) == 0 && p.Workdir == "" || img.bare() {
		return words
	}
	return slices.Concat([]string{img.anyShell(), "-c", prepare, p.ErrorPrefix, p.Workdir}, late, []string{"--"}, words)
}

// mountFlag writes a mount as Apptainer reads it: CSV, so that a path may hold commas and quotes. Its binds and its scratch directories,
// which are in memory, are nosuid and nodev in any case.
func mountFlag(m option.Mount) (flag, spec string, err error) {
	if slices.Contains(m.Options, "noexec") {
		return "", "", unfit{fault.New(fault.Mount, "binding %s: Apptainer knows no option noexec", m.Source).Hint("use --engine native")}
	}
	flag, fields := "--mount", []string{"type=bind", "source=" + filepath.Clean(m.Source), "destination=" + m.Target}
	switch {
	case m.Source == option.Tmpfs && m.ReadOnly():
		return "", "", unfit{fault.New(fault.Mount, "mounting a tmpfs at %s: Apptainer makes none that is read-only", m.Target).Hint("use --engine native")}
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

// apptainerEnv is the environment of Apptainer's own process: the caller's, and what Apptainer is
// told. What the image and the options set acts on no program of the node, neither on Apptainer nor
// on what it starts: it goes by names of which Apptainer takes the prefix off in the container.
// Those that Apptainer lets nobody set come back as late.
func (p *Plan) apptainerEnv(ctx context.Context, img image) (list, late []string) {
	who, _ := findAccount(ctx, os.Getuid()) // FindApptainer has made sure of it
	env := p.callers(img)
	inside := p.environment(env, who.name, homeIn(p.Home), img)
	p.tellEnvironment(env, inside)
	if gpus, set := p.asked("NVIDIA_VISIBLE_DEVICES"); set && gpus != "all" {
		inside.complete("CUDA_VISIBLE_DEVICES=" + gpus) // its --nv brings all
	}
	late = p.passInside(env, inside)
	p.passBinds(env)
	env.set("APPTAINER_NO_EVAL", "1") // or it would expand such a value as a shell does
	env.set("HOME", homeIn(p.Home))
	env.set("PATH", lookup(p.HostEnv, "PATH")) // where Apptainer finds its helpers; the image sets its own
	return env.list(), late
}

// insidePrefix marks, in the environment of Apptainer, a variable that is for the container.
const insidePrefix = "APPTAINERENV_"

// settledLate are variables that Apptainer sets in a container itself, and lets nobody set.
var settledLate = []string{ //nolint:gochecknoglobals // a constant list
	"HOME", "APPTAINER_NAME", "APPTAINER_CONTAINER", "APPTAINER_INSTANCE", "APPTAINER_SHELL", "APPTAINER_APPNAME", "SINGULARITY_SHELL", "SINGULARITY_APPNAME",
}

// notPassed are variables that no shell lets anybody set, and by which Apptainer tells its own
// scripts of the PATH.
var notPassed = []string{"UID", "EUID", "GID", "PPID", "IFS", "SING_USER_DEFINED_*"} //nolint:gochecknoglobals // a constant list

// passInside gives Apptainer the variables of the container that its caller does not have, or not
// with that value. It returns those that have to be set in the container.
func (p *Plan) passInside(env, inside *environ) (late []string) {
	asked := map[string]bool{} // by -e: the image's word for it does not count
	for _, e := range p.SetEnv {
		name, _, _ := strings.Cut(e, "=")
		asked[name] = true
	}
	for _, name := range inside.names {
		value := inside.values[name]
		caller, has := env.values[name]
		switch {
		case has && caller == value && !asked[name], !option.IsName(name), matches(notPassed, name):
		case !asked[name] && saysInside(env, name): // the caller, in Apptainer's words
		case name == "HOME" && !asked[name]: // Apptainer's option --home says it
		case name == "PATH" && !asked[name] && !p.HasConfig: // the image's is in its scripts
		case slices.Contains(settledLate, name):
			late = append(late, name+"="+value)
		default:
			env.set(insidePrefix+name, value)
		}
	}
	return late
}

// saysInside tells whether the caller sets a variable of the container by one of Apptainer's.
func saysInside(env *environ, name string) bool {
	names := []string{name}
	if name == "PATH" {
		names = append(names, "PREPEND_PATH", "APPEND_PATH")
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return env.values[insidePrefix+name] != "" || env.values["SINGULARITYENV_"+name] != ""
	})
}

// ownBinds holds, in a container of Apptainer, the binds that its caller asked for by Apptainer's variables.
const ownBinds = "HPC3_APPTAINER_BIND"

// passBinds gives Apptainer the binds that the caller asks for by its variables. In a container these name all its binds, by where they are in
// there: a step that Slurm's client starts from there would bind what the node has at those places.
func (p *Plan) passBinds(env *environ) {
	for _, name := range []string{"BIND", "BINDPATH"} {
		env.unset("APPTAINER_" + name)
		env.unset("SINGULARITY_" + name)
	}
	env.unset(ownBinds)
	if binds := p.askedBinds(); binds != "" {
		env.set("APPTAINER_BIND", binds)
		env.set(ownBinds, binds)
	}
}

// askedBinds are the binds that the caller asks for by Apptainer's variables, in its words.
func (p *Plan) askedBinds() string {
	if p.getenv("APPTAINER_CONTAINER") != "" {
		return p.getenv(ownBinds)
	}
	var asked []string
	for _, name := range []string{"BIND", "BINDPATH"} {
		if bind := cmp.Or(p.getenv("APPTAINER_"+name), p.getenv("SINGULARITY_"+name)); bind != "" {
			asked = append(asked, bind)
		}
	}
	return strings.Join(asked, ",")
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
