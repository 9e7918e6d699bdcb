// Package apptainer starts a command through Apptainer. It finds the program, reads its settings,
// refuses what Apptainer would fail at, and executes it with flags that express the plan.
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

	"github.com/hpc3-project/hpc3/launcher/device"
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

// Memory keeps what later starts can use. Each function may be nil, except Keep.
type Memory struct {
	// Keep writes a file that containers on any node may have bound while they run.
	Keep func(raw []byte) (file string, err error)
	// Proven tells whether something has worked on this node.
	Proven func(name string) bool
	Prove  func(name string) // records that it has
}

// Means are what a start through Apptainer needs in addition to the view.
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

// Exec makes this process Apptainer, which becomes the command. It returns only with an error: an
// UnfitError if hpc3's own engine may succeed.
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
	found, err := s.Devices(img)
	if err != nil {
		return err
	}
	env, late := s.env(ctx, img, found)
	args, err := s.args(ctx, img, found)
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

// countBinds counts the binds in Apptainer's arguments, and names each under -d.
func (s *start) countBinds(args []string) (n int) {
	for i, arg := range args {
		if arg == "--mount" || arg == "--scratch" || arg == "--home" {
			n++
			s.Detail("mount: " + args[i+1])
		}
	}
	return n
}

// shareFlag makes Apptainer put the tasks that one process has started into one container.
const shareFlag = "--sharens"

// args returns Apptainer's arguments up to the image. Its warnings are suppressed: tryOut has shown
// them.
func (s *start) args(
	ctx context.Context, img inside.Files, found device.Found,
) ([]string, error) {
	args := append([]string{"apptainer", "--silent", "exec"}, s.home(ctx)...)
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

// home makes Apptainer bind the home directory, unless the site's settings prevent that. In that
// case Apptainer may still bind the account's home directory by itself.
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

// mayNotBind tells whether Apptainer binds only what the site's settings say.
func (s *start) mayNotBind() bool { return s.Program.Conf.Is("user bind control", "no") }

// databases returns binds of a user database if Apptainer's own would lack somebody. Apptainer adds
// the caller to the image's users. It does not do so if the image has no such file, or has a
// symlink there, and it does not add users whom programs of the node look up.
func (s *start) databases(ctx context.Context, img inside.Files, accounts []string) []option.Mount {
	if !img.Known || s.mayNotBind() {
		return nil
	}
	who, _ := inside.FindAccount(ctx, os.Getuid()) // Find has checked that it exists
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

// prepared makes the image's shell do some steps before the command: it sets variables that
// Apptainer refuses (HOME and some others), and changes to the working directory, because Apptainer
// would end with a status of its own if that does not exist.
func (s *start) prepared(img inside.Files, late, words []string) []string {
	if len(late) == 0 && s.Workdir == "" || img.Bare() {
		return words
	}
	return slices.Concat([]string{
		img.AnyShell(), "-c", inside.PrepareScript, s.ErrorPrefix,
		s.Workdir,
	}, late, []string{"--"}, words)
}

// mountFlag writes a mount as Apptainer reads it: as CSV, so that a path may contain commas and
// quotes. Its binds and its scratch directories, which are in memory, are always nosuid and nodev.
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

// env returns the environment of Apptainer's own process: the caller's variables, and settings for
// Apptainer. Variables that the image or the options set must not affect programs of the node,
// neither Apptainer nor what it starts. They get names with a prefix, which Apptainer removes in
// the container. Those that Apptainer does not let anybody set are returned as late.
func (s *start) env(
	ctx context.Context, img inside.Files, found device.Found,
) (list, late []string) {
	who, _ := inside.FindAccount(ctx, os.Getuid()) // Find has checked that it exists
	env := s.Callers(img)
	wanted := s.Environment(env, who.Name, inside.HomeIn(s.Home), img)
	if found.Compat != "" {
		// Apptainer appends the directory of the driver's libraries.
		wanted.Prepend("LD_LIBRARY_PATH", found.Compat)
	}
	s.TellEnvironment(env, wanted)
	if gpus, set := s.Asked("NVIDIA_VISIBLE_DEVICES"); set && gpus != "all" {
		wanted.Complete("CUDA_VISIBLE_DEVICES=" + gpus) // --nv brings all GPUs
	}
	late = s.passInside(env, wanted)
	s.passBinds(env)
	env.Set("APPTAINER_NO_EVAL", "1") // otherwise Apptainer expands such values as a shell does
	env.Set("HOME", inside.HomeIn(s.Home))
	// the PATH by which Apptainer finds its helpers; the image sets its own
	env.Set("PATH", withoutShims(inside.Lookup(s.HostEnv, "PATH")))
	return env.List(), late
}

// withoutShims returns a PATH without the directories of modules: their commands call hpc3-run
// again, and with that Apptainer.
func withoutShims(path string) string {
	dirs := slices.DeleteFunc(filepath.SplitList(path), process.HasShims)
	return strings.Join(dirs, string(filepath.ListSeparator))
}

// insidePrefix marks, in the environment of Apptainer, a variable for the container.
const insidePrefix = "APPTAINERENV_"

// settledLate are variables that Apptainer itself sets in a container, and does not let anybody
// set.
var settledLate = []string{ //nolint:gochecknoglobals // a constant list
	"HOME", "APPTAINER_NAME", "APPTAINER_CONTAINER", "APPTAINER_INSTANCE", "APPTAINER_SHELL",
	"APPTAINER_APPNAME", "SINGULARITY_SHELL", "SINGULARITY_APPNAME",
}

// notPassed are variables that no shell lets anybody set, and those by which Apptainer passes PATH
// to its own scripts.
var notPassed = []string{"UID", "EUID", "GID", "PPID", "IFS", "SING_USER_DEFINED_*"} //nolint:gochecknoglobals // a constant list

// passInside gives Apptainer the variables of the container that the caller lacks, or has with
// another value. It returns those that have to be set in the container.
func (s *start) passInside(env, wanted *inside.Environ) (late []string) {
	asked := map[string]bool{} // by -e, which overrides the image
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
		case !asked[name] && saysInside(env, name): // the caller set it for the container
		case name == "HOME" && !asked[name]: // Apptainer's --home sets it
		case name == "PATH" && !asked[name] && !s.HasConfig: // the image's PATH is in its scripts
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

// ownBinds is a variable in a container of Apptainer. It holds the binds that the caller asked for
// by Apptainer's variables.
const ownBinds = "HPC3_APPTAINER_BIND"

// passBinds gives Apptainer the binds that the caller asks for by its variables. In a container
// these variables name all its binds, by their paths in there. A step that Slurm's client starts
// from there would bind what the node has at those paths.
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

// askedBinds returns the binds that the caller asks for by Apptainer's variables, in Apptainer's
// syntax.
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
