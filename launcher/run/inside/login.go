package inside

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// Words returns the words that are executed in the container.
func (v *View) Words(img Files) ([]string, error) {
	switch v.Entrypoint {
	case option.Image:
		return v.imageWords(img)
	case option.None:
		if len(v.Args) == 0 {
			return nil, noCommand()
		}
		return v.plainWords(img, v.Args), nil
	default:
		return v.loginWords(img, v.Args)
	}
}

// loginWords runs a command, with its exact arguments, in a login shell. If there is no command, it
// runs the shell.
func (v *View) loginWords(img Files, command []string) ([]string, error) {
	if img.Bare() {
		if len(command) == 0 {
			return nil, noShell()
		}
		v.Note("the image has no shell; the command is run without one, and no profile is read")
		return command, nil
	}
	v.noteUnreadDotfiles()
	chosen := !img.Known || !v.HasConfig && img.sh != ""
	if !chosen && img.bash == "" {
		v.Note("the image has no bash; its login shell is " + img.sh)
	}
	switch {
	case len(command) == 0:
		script := v.straighten() + v.source() + v.takePath() + findBash + v.level(0) + becomeShell
		return []string{
			cmp.Or(img.sh, img.bash, "/bin/sh"), "-c", script, v.ErrorPrefix,
			v.shellScript(img),
		}, nil
	case chosen:
		return append([]string{
			"/bin/sh", "-c", v.straighten() + v.source() + chooseShell,
			v.ErrorPrefix, v.bashScript(), v.shScript(img),
		}, command...), nil
	case img.bash != "":
		return append([]string{
			img.bash, "--noprofile", "-l", "-c", v.straighten() + v.bashScript(),
			v.ErrorPrefix,
		}, command...), nil
	}
	return append([]string{img.sh, "-c", v.straighten() + v.shScript(img), v.ErrorPrefix},
		command...), nil
}

// bashScript reads the profile in bash and becomes the command. It reads the profile at top level:
// in a function, the variables that the profile declares would be local.
func (v *View) bashScript() string {
	return v.facts() + v.explain() + ended + guard + orderPath + `_hpc3_w=("$@"); set --
{ ` + onExit + onExec + readProfile + v.dotfiles(bashFiles) + `builtin unset -f builtin exec set shopt trap type unset
trap - EXIT DEBUG; set +aefuvxT
set -- "${_hpc3_w[@]}"
` + forget + v.finalPath() + `type -P -- "$1" >/dev/null || _hpc3_why "$1"
shopt -s execfail
` + v.level(1) + v.execWords(true) + `_hpc3_why "$1"
}`
}

// shScript does the same in another shell. It uses a function, so that the profile does not see the
// command's words as its own.
func (v *View) shScript(img Files) string {
	load := onExit + "_hpc3_source; _hpc3_path\n" + v.dotfiles(shFiles) +
		"trap - EXIT; set +aefuvx\n"
	if v.mayExec(img) {
		load = trial + load
	}
	return v.facts() + v.explain() + ended + sourceProfile + orderPath + "_hpc3_load() {\n" + load +
		"}\n{ _hpc3_load\n" + v.finalPath() + v.findAndExec() + "}"
}

// shellScript is what a login shell without a command runs first.
func (v *View) shellScript(img Files) string {
	files := redHat
	if v.Dotfiles {
		files = "if [ -n \"${BASH_VERSION-}\" ]; then " + bashFiles + "else " + shFiles + "fi\n"
	}
	try := ""
	if v.mayExec(img) {
		try = "if [ $_hpc3_m = stdin ] && [ -z \"${BASH_VERSION-}\" ]; then " + trial + "fi\n"
	}
	return v.facts() + ended + guard + sourceProfile + orderPath + shellTools + "{ " + beginShell +
		try + onShellExit +
		"if [ $_hpc3_m = stdin ] && [ -n \"${BASH_VERSION-}\" ]; then " + onExec + "fi\n" +
		readProfile + files + v.finalPath() + endShell + firstPrompt + mark + "_hpc3_clean\n}"
}

// findAndExec becomes the command in a shell that is not bash.
func (v *View) findAndExec() string {
	return findCommand + forget + v.level(0) + "trap '_hpc3_why \"$1\"' EXIT\n" + v.execWords(false)
}

// dotfiles returns the script that reads the user's own files, or "" if the user did not ask for
// that.
func (v *View) dotfiles(script string) string {
	if v.Dotfiles {
		return script
	}
	return ""
}

// noteUnreadDotfiles names the files of the home directory that a login shell would read.
func (v *View) noteUnreadDotfiles() {
	if v.To.Note == nil || v.Dotfiles || !v.MountHome || HomeIn(v.Home) == "/" {
		return
	}
	var there []string
	for _, name := range []string{".bash_profile", ".bash_login", ".profile"} {
		if file := filepath.Join(v.Home, name); unix.Access(file, unix.R_OK) == nil {
			there = append(there, file)
		}
	}
	if len(there) > 0 {
		v.Note("passed by: " + strings.Join(there, " ") +
			"; --container-dotfiles has login shells read such files")
	}
}

// mayExec tells whether the image's profile, as far as can be seen from outside, may replace the
// shell that reads it.
func (v *View) mayExec(img Files) bool {
	if v.Dotfiles || img.FS == nil ||
		slices.ContainsFunc(v.Mounts,
			func(m option.Mount) bool {
				return Within(m.Target, "/etc") ||
					Within("/etc/profile.d", m.Target)
			}) {
		return true
	}
	files := []string{"/etc/profile"}
	if dir, err := img.FS.Resolve("/etc/profile.d"); err == nil {
		entries, _ := img.FS.ReadDir(dir) // without a list there is nothing to search
		for _, e := range entries {
			files = append(files, "/etc/profile.d/"+e.Name)
		}
	}
	return slices.ContainsFunc(files, func(file string) bool {
		return strings.Contains(string(img.Read(file, MaxDatabase)), "exec")
	})
}

// source sets the environment that the image keeps in scripts, unless Apptainer does.
func (v *View) source() string {
	if v.HasConfig || v.Engine == option.Apptainer {
		return ""
	}
	return sourceEnv
}

func noCommand() error {
	return fault.New(fault.Usage, "--container-entrypoint none needs a command").
		Hint("leave the option out for a login shell")
}

func noShell() error {
	return fault.New(fault.Exec, "starting a login shell: the image has no shell").
		Hint("give a command, or use an image with a shell").Exit(fault.StatusNotFound)
}

// imageWords follows docker's rule: ENTRYPOINT, then the command or, without one, CMD. An
// ENTRYPOINT that contains "$*" would split and expand the arguments. Its purpose is a login shell,
// so hpc3's login shell replaces it and keeps the arguments intact.
func (v *View) imageWords(img Files) ([]string, error) {
	if !v.HasConfig {
		return v.plainWords(img, append([]string{"/.singularity.d/runscript"}, v.Args...)), nil
	}
	command := v.Args
	if len(command) == 0 {
		command = v.Config.Cmd
	}
	if slices.ContainsFunc(v.Config.Entrypoint,
		func(w string) bool { return strings.Contains(w, "$*") }) {
		v.Note("the image's ENTRYPOINT would take arguments apart ($*); hpc3's login shell stands in for it")
		return v.loginWords(img, command)
	}
	words := slices.Concat(v.Config.Entrypoint, command)
	if len(words) == 0 {
		return nil, fault.New(fault.Usage,
			"the image has neither ENTRYPOINT nor CMD, and no command was given").
			Hint("give a command")
	}
	return v.plainWords(img, words), nil
}

// plainWords runs words as they are. If the command does not exist, Apptainer ends with its own
// status 255, so a shell of the image, if there is one, looks for the command first. A shell is
// also needed if the image keeps its environment in scripts.
func (v *View) plainWords(img Files, words []string) []string {
	if img.Known && img.sh == "" || v.Engine == option.Native && v.HasConfig {
		return words
	}
	return append([]string{
		"/bin/sh", "-c",
		v.straighten() + v.source() + explain + "{ " + v.findAndExec() + "}", v.ErrorPrefix,
	},
		words...)
}
