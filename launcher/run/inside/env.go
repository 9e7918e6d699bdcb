package inside

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// dropped are variables of the node that would mislead programs of the image: settings of loaders
// and interpreters that name files of the node, shell start-up files, module functions. A name that
// ends in "*" is a prefix.
var dropped = []string{ //nolint:gochecknoglobals // a constant list
	"LD_*", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PERL5LIB", "PERLLIB", "PERL5OPT",
	"RUBYLIB", "R_LIBS*", "R_HOME",
	"GCONV_PATH", "LOCPATH", "MALLOC_*", "BASH_ENV", "ENV", "BASH_FUNC_*", "BASHOPTS", "SHELLOPTS",
	"CDPATH", "PROMPT_COMMAND",
	"LMOD_*", "__LMOD_*", "_LMFILES_*", "_ModuleTable*", "LOADEDMODULES*", "MODULEPATH*",
	"MODULESHOME", "MODULES_*", "__MODULES_*",
	"MANPATH", "INFOPATH", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH", "LIBRARY_PATH", "CPATH",
	"C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH",
	"GIO_*", "GTK_PATH", "QT_PLUGIN_PATH", "TERMINFO*",
	// They name the directories of another Open MPI. A module sets them, or the mpirun of a node.
	"OPAL_PREFIX", "OPAL_LIBDIR", "PMIX_INSTALL_PREFIX", "OMPI_MCA_mca_base_component_path",
	"PMIX_MCA_mca_base_component_path",
}

// credentials are variables that log in to a registry or open an encrypted image. They are for the
// programs that pull, and the command gets none of them.
var credentials = []string{ //nolint:gochecknoglobals // a constant list
	"DOCKER_USERNAME", "DOCKER_PASSWORD", "DOCKER_AUTH_CONFIG", "CH_IMAGE_USERNAME",
	"CH_IMAGE_PASSWORD",
	"APPTAINER_DOCKER_*", "APPTAINER_LOGIN_*", "APPTAINER_ENCRYPTION_*", "SINGULARITY_DOCKER_*",
	"SINGULARITY_LOGIN_*", "SINGULARITY_ENCRYPTION_*",
}

// ofLogin are the caller's variables that --container-clean-env keeps for a login, as su -l and ssh
// do, and for the network, which Apptainer's --cleanenv also passes.
var ofLogin = []string{ //nolint:gochecknoglobals // a constant list
	"HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLORTERM", "LANG", "LANGUAGE", "LC_*",
	"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
	"FTP_PROXY", "ALL_PROXY", "NO_PROXY",
}

// ofJob are the variables that --container-clean-env keeps because, without them, a program would
// not be a task of its job, or would use what belongs to others: those of batch systems, of
// launchers of MPI ranks, and of the job's share of a node's devices and disks.
var ofJob = []string{ //nolint:gochecknoglobals // a constant list
	"SLURM*", "SRUN_*", "PBS_*", "LSB_*", "FLUX_*", "PMI*", "OMPI_*", "PRTE_*", "PALS_*",
	"MPI_LOCAL*", "TMPDIR",
	"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_MPS_*", "NVIDIA_VISIBLE_DEVICES",
	"AMD_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
	"ZE_AFFINITY_MASK",
}

// ofApptainer are settings for Apptainer's own process.
var ofApptainer = []string{"APPTAINER*", "SINGULARITY*"} //nolint:gochecknoglobals // a constant list

// passes tells whether the command may get a variable of the caller's.
func (v *View) passes(name string) bool {
	return !v.CleanEnv || Matches(ofLogin, name) || Matches(ofJob, name) ||
		v.Engine == option.Apptainer && Matches(ofApptainer, name)
}

// bookkeeping are variables that every shell sets for itself, or the shim of a module for hpc3-run.
// They are not passed on, and no message mentions it.
var bookkeeping = []string{ //nolint:gochecknoglobals // a constant list
	"PATH", "PWD", "OLDPWD", "_", "PS1", option.Shim, option.ShimInside,
}

// DefaultPath is the command's PATH if the image does not set one.
const DefaultPath = oci.DefaultPath

// Callers returns the caller's variables without those that are not passed on. One note names all
// of these.
func (v *View) Callers(img Files) *Environ {
	env := newEnviron()
	var gone []string
	for _, e := range v.HostEnv {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" || slices.Contains(bookkeeping, name) {
			continue
		}
		if v.Named.drops(name) {
			continue
		}
		if !v.passes(name) || Matches(dropped, name) || Matches(credentials, name) ||
			isLocale(name) && slices.Contains(img.lacks, value) {
			gone = append(gone, name)
			continue
		}
		env.Set(name, value)
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		v.Note("variables of the node that are not passed on: " +
			strings.Join(slices.Compact(gone), " "))
	}
	return env
}

// Environment returns the command's variables: the caller's, overridden by the image's, overridden
// by those that were set by option.
func (v *View) Environment(caller *Environ, userName, home string, img Files) *Environ {
	env := caller.clone()
	env.Set("PATH", DefaultPath)
	for _, e := range v.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		env.Set(name, value)
	}
	env.Set("HOME", home)
	env.setDefault("USER", userName)
	env.setDefault("LOGNAME", userName)
	env.Set("SHELL", img.Shell())
	for _, e := range v.SetEnv {
		name, value, _ := strings.Cut(e, "=")
		env.Set(name, value)
	}
	env.Unset(option.Shim) // even if an image or -e sets it: a shim in the container would refuse
	env.Unset(option.ShimInside)
	if v.Sharing.With == Apart {
		instead := apartEnv(v.Getenv)
		v.Note("ranks of MPI with a container each cannot read one another's memory; set for them, unless they are: " + strings.Join(instead, " "))
		for _, e := range instead {
			env.Complete(e)
		}
	}
	if v.imageMPI(img, env.Values["PATH"]) {
		v.Note("an mpirun of the image starts its ranks in this step; set for it, unless they are: " + strings.Join(inOneStep, " "))
		for _, e := range inOneStep {
			env.Complete(e)
		}
	}
	return env
}

// Matches tells whether a list contains a name, or a pattern that ends in "*" and matches it.
func Matches(list []string, name string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		prefix, isPrefix := strings.CutSuffix(pattern, "*")
		return name == pattern || isPrefix && strings.HasPrefix(name, prefix)
	})
}

// Environ is an ordered set of variables.
type Environ struct {
	Names  []string
	Values map[string]string
}

func newEnviron() *Environ { return &Environ{Values: map[string]string{}} }

func (e *Environ) clone() *Environ {
	return &Environ{Names: slices.Clone(e.Names), Values: maps.Clone(e.Values)}
}

// Set sets a variable.
func (e *Environ) Set(name, value string) {
	if _, ok := e.Values[name]; !ok {
		e.Names = append(e.Names, name)
	}
	e.Values[name] = value
}

func (e *Environ) setDefault(name, value string) {
	if e.Values[name] == "" && value != "" {
		e.Set(name, value)
	}
}

// Complete sets a variable, given as NAME=VALUE, unless it is set.
func (e *Environ) Complete(variable string) {
	name, value, _ := strings.Cut(variable, "=")
	if _, set := e.Values[name]; !set {
		e.Set(name, value)
	}
}

// Prepend puts a directory at the front of a variable that lists some, unless it is there.
func (e *Environ) Prepend(name, dir string) {
	list := e.Values[name]
	switch {
	case list == dir || strings.HasPrefix(list, dir+":"):
	case list == "":
		e.Set(name, dir)
	default:
		e.Set(name, dir+":"+list)
	}
}

// Unset removes a variable.
func (e *Environ) Unset(name string) {
	delete(e.Values, name)
	e.Names = slices.DeleteFunc(e.Names, func(n string) bool { return n == name })
}

// List returns the variables as NAME=VALUE, in their order.
func (e *Environ) List() []string {
	list := make([]string, len(e.Names))
	for i, n := range e.Names {
		list[i] = n + "=" + e.Values[n]
	}
	return list
}

// Lookup returns the value of a variable in a list; "" if it is not there.
func Lookup(env []string, name string) string {
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// HomeIn returns the command's HOME: the user's home directory if it is an absolute path, else "/".
func HomeIn(home string) string {
	if path.IsAbs(home) {
		return home
	}
	return "/"
}
