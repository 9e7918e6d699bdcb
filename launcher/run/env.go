package run

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// dropped are variables of the node that would mislead programs of the image: loader and interpreter settings that name files
// of the node, shell start-up files, module functions. A name that ends in "*" is a prefix.
var dropped = []string{ //nolint:gochecknoglobals // a constant list
	"LD_*", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PERL5LIB", "PERLLIB", "PERL5OPT", "RUBYLIB", "R_LIBS*", "R_HOME",
	"GCONV_PATH", "LOCPATH", "MALLOC_*", "BASH_ENV", "ENV", "BASH_FUNC_*", "BASHOPTS", "SHELLOPTS", "CDPATH", "PROMPT_COMMAND",
	"LMOD_*", "__LMOD_*", "_LMFILES_*", "_ModuleTable*", "LOADEDMODULES*", "MODULEPATH*", "MODULESHOME", "MODULES_*", "__MODULES_*",
	"MANPATH", "INFOPATH", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH", "LIBRARY_PATH", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH",
	"GIO_*", "GTK_PATH", "QT_PLUGIN_PATH", "TERMINFO*",
	// Where another Open MPI lies: of a module, or set by the mpirun of a node.
	"OPAL_PREFIX", "OPAL_LIBDIR", "PMIX_INSTALL_PREFIX", "OMPI_MCA_mca_base_component_path", "PMIX_MCA_mca_base_component_path",
}

// credentials are variables that log in to a registry or open an encrypted image, for the programs
// that pull. The command gets none of them.
var credentials = []string{ //nolint:gochecknoglobals // a constant list
	"DOCKER_USERNAME", "DOCKER_PASSWORD", "DOCKER_AUTH_CONFIG", "CH_IMAGE_USERNAME", "CH_IMAGE_PASSWORD",
	"APPTAINER_DOCKER_*", "APPTAINER_LOGIN_*", "APPTAINER_ENCRYPTION_*", "SINGULARITY_DOCKER_*", "SINGULARITY_LOGIN_*", "SINGULARITY_ENCRYPTION_*",
}

// ofLogin are the variables that --container-clean-env leaves of the caller's: those of a login, as su -l and ssh have it, and of the network, which
// Apptainer's --cleanenv passes as well.
var ofLogin = []string{ //nolint:gochecknoglobals // a constant list
	"HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLORTERM", "LANG", "LANGUAGE", "LC_*",
	"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY",
}

// ofJob are those it leaves since a program would not be a task of its job without them, or would take what is another's: of batch systems, of
// what starts ranks of MPI, and of the share in a node's devices and disks.
var ofJob = []string{ //nolint:gochecknoglobals // a constant list
	"SLURM*", "SRUN_*", "PBS_*", "LSB_*", "FLUX_*", "PMI*", "OMPI_*", "PRTE_*", "PALS_*", "MPI_LOCAL*", "TMPDIR",
	"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_MPS_*", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
	"ZE_AFFINITY_MASK",
}

// ofApptainer are settings of Apptainer's, for its own process.
var ofApptainer = []string{"APPTAINER*", "SINGULARITY*"} //nolint:gochecknoglobals // a constant list

// passes tells whether a variable of the caller's may be one of the command's.
func (p *Plan) passes(name string) bool {
	return !p.CleanEnv || matches(ofLogin, name) || matches(ofJob, name) || p.Engine == option.Apptainer && matches(ofApptainer, name)
}

// bookkeeping are variables that every shell sets for itself. They are not passed on either, which is not worth a word.
var bookkeeping = []string{"PATH", "PWD", "OLDPWD", "_", "PS1"} //nolint:gochecknoglobals // a constant list

// defaultPath is what a command gets where the image says nothing, as docker has it.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// callers returns the variables of the node less those dropped. Each drop is told, once for all.
func (p *Plan) callers(img image) *environ {
	env := newEnviron()
	var gone []string
	for _, e := range p.HostEnv {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" || slices.Contains(bookkeeping, name) {
			continue
		}
		if p.named.drops(name) {
			continue
		}
		if !p.passes(name) || matches(dropped, name) || matches(credentials, name) || isLocale(name) && slices.Contains(img.lacks, value) {
			gone = append(gone, name)
			continue
		}
		env.set(name, value)
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		p.note("variables of the node that are not passed on: " + strings.Join(slices.Compact(gone), " "))
	}
	return env
}

// environment returns what the command gets: the caller's variables, over them the image's, over
// them what was set.
func (p *Plan) environment(caller *environ, userName, home string, img image) *environ {
	env := caller.clone()
	env.set("PATH", defaultPath)
	for _, e := range p.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		env.set(name, value)
	}
	env.set("HOME", home)
	env.setDefault("USER", userName)
	env.setDefault("LOGNAME", userName)
	env.set("SHELL", img.shell())
	for _, e := range p.SetEnv {
		name, value, _ := strings.Cut(e, "=")
		env.set(name, value)
	}
	if p.apart() {
		instead := apartEnv(p.getenv)
		p.note("ranks of MPI with a container each cannot read one another's memory; set for them, unless they are: " + strings.Join(instead, " "))
		for _, e := range instead {
			env.complete(e)
		}
	}
	if p.ownMPI(img, env.values["PATH"]) {
		p.note("an mpirun of the image starts its ranks in this step; set for it, unless they are: " + strings.Join(inOneStep, " "))
		for _, e := range inOneStep {
			env.complete(e)
		}
	}
	return env
}

// matches tells whether a list has a name, or a prefix of it that ends in "*".
func matches(list []string, name string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		prefix, isPrefix := strings.CutSuffix(pattern, "*")
		return name == pattern || isPrefix && strings.HasPrefix(name, prefix)
	})
}

// environ is an ordered set of variables.
type environ struct {
	names  []string
	values map[string]string
}

func newEnviron() *environ { return &environ{values: map[string]string{}} }

func (e *environ) clone() *environ {
	return &environ{names: slices.Clone(e.names), values: maps.Clone(e.values)}
}

func (e *environ) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environ) setDefault(name, value string) {
	if e.values[name] == "" && value != "" {
		e.set(name, value)
	}
}

// complete sets a variable, NAME=VALUE, that is not set.
func (e *environ) complete(variable string) {
	name, value, _ := strings.Cut(variable, "=")
	if _, set := e.values[name]; !set {
		e.set(name, value)
	}
}

func (e *environ) unset(name string) {
	delete(e.values, name)
	e.names = slices.DeleteFunc(e.names, func(n string) bool { return n == name })
}

func (e *environ) list() []string {
	list := make([]string, len(e.names))
	for i, n := range e.names {
		list[i] = n + "=" + e.values[n]
	}
	return list
}

// lookup returns a variable of a list.
func lookup(env []string, name string) string {
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// homeIn returns the HOME of the command: the user's where it is a path, else the root.
func homeIn(home string) string {
	if path.IsAbs(home) {
		return home
	}
	return "/"
}
