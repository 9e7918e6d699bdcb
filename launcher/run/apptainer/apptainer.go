// Package apptainer starts a command through Apptainer: it is found, its settings are read, what it
// would fail at is refused, and it is executed with flags that say what the plan says.
package apptainer

import (
	"cmp"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// Program is an Apptainer of the node.
type Program struct {
	Path string
	Conf Conf // the site's settings of it
}

// Memory is what later starts know of this one. Each function may be nil but Keep.
type Memory struct {
	// writes what containers of any node have bound while they run
	Keep func(raw []byte) (file string, err error)
	// tells whether something has worked on this node
	Proven func(name string) bool
	Prove  func(name string) // remembers that it has
}

// Means are what a start through Apptainer needs beside the view.
type Means struct {
	Program Program
	Memory  Memory
	Held    *os.File // keeps the SIF from being cleared; may be nil
	Settled func(option.Engine)
}

// start is a start through Apptainer.
type start struct {
	*inside.View
	Means
}

// Exec makes this process Apptainer, which becomes the command. It returns only with an
// error, an UnfitError if hpc3's own engine may do better.
func Exec(ctx context.Context, v inside.View, img inside.Files, m Means) error {
	s := start{View: &v, Means: m}
	return s.exec(ctx, img)
}

// exec becomes "apptainer exec", which becomes the command.
func (s *start) exec(ctx context.Context, img inside.Files) error {
	s.Sharing = s.ShareApptainer(s.rootless())
	words, err := s.Words(img)
	if damaged := s.CheckImage(img); damaged != nil {
		return damaged
	}
	if err != nil {
		return err
	}
	if err := s.refuse(img, words); err != nil {
		return err
	}
	env, late := s.env(ctx, img)
	args, err := s.args(ctx, img)
	if err != nil {
		return err
	}
	if s.unpacks() {
		s.Warn("Apptainer finds no squashfuse_ll here, and unpacks the whole image for each container; install squashfuse, or use --engine native")
	}
	if err := s.tryOut(ctx, img, args, env); err != nil {
		return err
	}
	s.Note("engine: apptainer, " + s.Program.Path)
	s.TellContainer("new", s.countBinds(args))
	s.Detail("running " + strings.Join(args, " "))
	s.Settled(option.Apptainer)
	if err := startWatch(s.Parent, s.Held); err != nil {
		s.Note("what Apptainer starts may outlive it or slurmstepd, should one be killed: " +
			err.Error())
	}
	if err := process.StillThere(s.Parent); err != nil {
		return fault.New(fault.Engine, "executing %s: %w", s.Program.Path, err)
	}
	err = syscall.Exec(s.Program.Path, append(args, s.prepared(img, late, words)...), env)
	return fault.New(fault.Engine, "executing %s: %w", s.Program.Path, err).
		Hint("use --engine native")
}

// countBinds counts the binds among Apptainer's words, and names each under -d.
func (s *start) countBinds(args []string) (n int) {
	for i, arg := range args {
		if arg == "--mount" || arg == "--scratch" || arg == "--home" {
			n++
			s.Detail("mount: " + args[i+1])
		}
	}
	return n
}

// shareFlag has Apptainer put the tasks that one process has started into one container.
const shareFlag = "--sharens"

// args are the words of Apptainer's command line up to the image. Its warnings are left
// out: tryOut has told them.
func (s *start) args(ctx context.Context, img inside.Files) ([]string, error) {
	args := append([]string{"apptainer", "--silent", "exec"}, s.home(ctx)...)
	found := s.Devices(img)
	devices, err := s.devices(ctx, img, found)
	if err != nil {
		return nil, err
	}
	args = append(args, devices...)
	places, err := s.places(img, found.Dirs)
	if err != nil {
		return nil, err
	}
	asked, err := s.mounts()
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
	if s.Writable {
		args = append(args, "--writable-tmpfs")
	}
	if s.Sharing.With == inside.Forked {
		args = append(args, shareFlag)
	}
	if os.Geteuid() == 0 {
		args = append(args, map[bool]string{true: "--keep-privs", false: "--no-privs"}[s.KeepPrivs])
	}
	args = append(args, s.dir(img, mounts)...)
	return append(args, s.SIF), nil
}

// home has the home directory bound, unless the site's settings keep Apptainer from it:
// then it may bind the one of the account, of itself.
func (s *start) home(ctx context.Context) []string {
	home := inside.HomeIn(s.Home)
	switch {
	case !s.HomeShown || s.Program.Conf.Is("mount home", "no") || s.mayNotBind() &&
		home != inside.AccountHome(ctx):
		s.HomeShown = false
		return []string{"--no-home"}
	case s.mayNotBind():
		return nil
	}
	return []string{"--home", home}
}

// mayNotBind tells whether Apptainer binds nothing but what the site says.
func (s *start) mayNotBind() bool { return s.Program.Conf.Is("user bind control", "no") }

// databases are the binds of a user database where Apptainer's own would lack somebody.
// Its own has the caller beside the image's users, but it makes none for an image that has no such
// file, or a symlink there, and knows none of those whom programs of the node look up.
func (s *start) databases(ctx context.Context, img inside.Files, accounts []string) []option.Mount {
	if !img.Known || s.mayNotBind() {
		return nil
	}
	who, _ := inside.FindAccount(ctx, os.Getuid()) // FindApptainer has made sure of it
	var binds []option.Mount
	keep := func(file string, raw []byte) {
		kept, err := s.Memory.Keep(raw)
		if err != nil {
			s.Warn("the container's " + file + " does not have what it should: " + err.Error())
			return
		}
		binds = append(binds, option.Mount{Source: kept, Target: file, Options: []string{"ro"}})
	}
	old := img.Read(inside.PasswdFile, inside.MaxDatabase)
	if !img.Regular(inside.PasswdFile) || len(inside.WithAccounts(old, accounts)) != len(old) {
		keep(inside.PasswdFile,
			inside.WithAccounts(inside.WithUser(old, who.Line(inside.HomeIn(s.Home), img.Shell())),
				accounts))
	}
	if groups, err := os.Getgroups(); err == nil && !img.Regular(inside.GroupFile) {
		keep(inside.GroupFile,
			inside.WithGroups(img.Read(inside.GroupFile, inside.MaxDatabase),
				inside.GroupLines(ctx, append(groups, os.Getgid()))))
	}
	return binds
}

// prepared has the image's shell do first what Apptainer refuses (HOME and some other variables) or
// fails at with a status of its own (a working directory that is not there).
func (s *start) prepared(img inside.Files, late, words []string) []string {
	if len(late) == 0 && s.Workdir == "" || img.Bare() {
		return words
	}
	return slices.Concat([]string{
		img.AnyShell(), "-c", inside.PrepareScript, s.ErrorPrefix,
		s.Workdir,
	}, late, []string{"--"}, words)
}

// mountFlag writes a mount as Apptainer reads it: CSV, so that a path may hold commas and quotes.
// Its binds and its scratch directories, which are in memory, are nosuid and nodev in any case.
func mountFlag(m option.Mount) (flag, spec string, err error) {
	if slices.Contains(m.Options, "noexec") {
		return "", "", UnfitError{fault.New(fault.Mount,
			"binding %s: Apptainer knows no option noexec", m.Source).Hint("use --engine native")}
	}
	flag, fields := "--mount",
		[]string{"type=bind", "source=" + filepath.Clean(m.Source), "destination=" + m.Target}
	switch {
	case m.Source == option.Tmpfs && m.ReadOnly():
		return "", "", UnfitError{fault.New(fault.Mount,
			"mounting a tmpfs at %s: Apptainer makes none that is read-only", m.Target).
			Hint("use --engine native")}
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

// env is the environment of Apptainer's own process: the caller's, and what Apptainer is
// told. What the image and the options set acts on no program of the node, neither on Apptainer nor
// on what it starts: it goes by names of which Apptainer takes the prefix off in the container.
// Those that Apptainer lets nobody set come back as late.
func (s *start) env(ctx context.Context, img inside.Files) (list, late []string) {
	who, _ := inside.FindAccount(ctx, os.Getuid()) // FindApptainer has made sure of it
	env := s.Callers(img)
	wanted := s.Environment(env, who.Name, inside.HomeIn(s.Home), img)
	s.TellEnvironment(env, wanted)
	if gpus, set := s.Asked("NVIDIA_VISIBLE_DEVICES"); set && gpus != "all" {
		wanted.Complete("CUDA_VISIBLE_DEVICES=" + gpus) // its --nv brings all
	}
	late = s.passInside(env, wanted)
	s.passBinds(env)
	env.Set("APPTAINER_NO_EVAL", "1") // or it would expand such a value as a shell does
	env.Set("HOME", inside.HomeIn(s.Home))
	// where Apptainer finds its helpers; the image sets its own
	env.Set("PATH", inside.Lookup(s.HostEnv, "PATH"))
	return env.List(), late
}

// insidePrefix marks, in the environment of Apptainer, a variable that is for the container.
const insidePrefix = "APPTAINERENV_"

// settledLate are variables that Apptainer sets in a container itself, and lets nobody set.
var settledLate = []string{ //nolint:gochecknoglobals // a constant list
	"HOME", "APPTAINER_NAME", "APPTAINER_CONTAINER", "APPTAINER_INSTANCE", "APPTAINER_SHELL",
	"APPTAINER_APPNAME", "SINGULARITY_SHELL", "SINGULARITY_APPNAME",
}

// notPassed are variables that no shell lets anybody set, and by which Apptainer tells its own
// scripts of the PATH.
var notPassed = []string{"UID", "EUID", "GID", "PPID", "IFS", "SING_USER_DEFINED_*"} //nolint:gochecknoglobals // a constant list

// passInside gives Apptainer the variables of the container that its caller does not have, or not
// with that value. It returns those that have to be set in the container.
func (s *start) passInside(env, wanted *inside.Environ) (late []string) {
	asked := map[string]bool{} // by -e: the image's word for it does not count
	for _, e := range s.SetEnv {
		name, _, _ := strings.Cut(e, "=")
		asked[name] = true
	}
	for _, name := range wanted.Names {
		value := wanted.Values[name]
		caller, has := env.Values[name]
		switch {
		case has && caller == value &&
			!asked[name], !option.IsName(name), inside.Matches(notPassed, name):
		case !asked[name] && saysInside(env, name): // the caller, in Apptainer's words
		case name == "HOME" && !asked[name]: // Apptainer's option --home says it
		case name == "PATH" && !asked[name] && !s.HasConfig: // the image's is in its scripts
		case slices.Contains(settledLate, name):
			late = append(late, name+"="+value)
		default:
			env.Set(insidePrefix+name, value)
		}
	}
	return late
}

// saysInside tells whether the caller sets a variable of the container by one of Apptainer's.
func saysInside(env *inside.Environ, name string) bool {
	names := []string{name}
	if name == "PATH" {
		names = append(names, "PREPEND_PATH", "APPEND_PATH")
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return env.Values[insidePrefix+name] != "" || env.Values["SINGULARITYENV_"+name] != ""
	})
}

// ownBinds holds, in a container of Apptainer, the binds that its caller asked for by Apptainer's
// variables.
const ownBinds = "HPC3_APPTAINER_BIND"

// passBinds gives Apptainer the binds that the caller asks for by its variables. In a container
// these name all its binds, by where they are in there: a step that Slurm's client starts from
// there would bind what the node has at those places.
func (s *start) passBinds(env *inside.Environ) {
	for _, name := range []string{"BIND", "BINDPATH"} {
		env.Unset("APPTAINER_" + name)
		env.Unset("SINGULARITY_" + name)
	}
	env.Unset(ownBinds)
	if binds := s.askedBinds(); binds != "" {
		env.Set("APPTAINER_BIND", binds)
		env.Set(ownBinds, binds)
	}
}

// askedBinds are the binds that the caller asks for by Apptainer's variables, in its words.
func (s *start) askedBinds() string {
	if s.Getenv("APPTAINER_CONTAINER") != "" {
		return s.Getenv(ownBinds)
	}
	var asked []string
	for _, name := range []string{"BIND", "BINDPATH"} {
		if bind := cmp.Or(s.Getenv("APPTAINER_"+name), s.Getenv("SINGULARITY_"+name)); bind != "" {
			asked = append(asked, bind)
		}
	}
	return strings.Join(asked, ",")
}
