package run

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// words returns what is executed in the container.
func (p *Plan) words(img image) ([]string, error) {
	switch p.Entrypoint {
	case option.Image:
		return p.imageWords(img)
	case option.None:
		if len(p.Command) == 0 {
			return nil, noCommand()
		}
		return p.plainWords(img, p.Command), nil
	default:
		return p.loginWords(img, p.Command)
	}
}

// loginWords runs a command in a login shell, with exact arguments; without a command, the shell.
func (p *Plan) loginWords(img image, command []string) ([]string, error) {
	if img.bare() {
		if len(command) == 0 {
			return nil, noShell()
		}
		p.note("the image has no shell; the command is run without one, and no profile is read")
		return command, nil
	}
	p.notePassedBy()
	chosen := !img.known || !p.HasConfig && img.sh != ""
	if !chosen && img.bash == "" {
		p.note("the image has no bash; its login shell is " + img.sh)
	}
	switch {
	case len(command) == 0:
		script := p.straighten() + p.source() + p.takePath() + findBash + p.level(0) + becomeShell
		return []string{cmp.Or(img.sh, img.bash, "/bin/sh"), "-c", script, p.ErrorPrefix, p.shellScript(img)}, nil
	case chosen:
		return append([]string{"/bin/sh", "-c", p.straighten() + p.source() + chooseShell, p.ErrorPrefix, p.bashScript(), p.shScript(img)}, command...), nil
	case img.bash != "":
		return append([]string{img.bash, "--noprofile", "-l", "-c", p.straighten() + p.bashScript(), p.ErrorPrefix}, command...), nil
	}
	return append([]string{img.sh, "-c", p.straighten() + p.shScript(img), p.ErrorPrefix}, command...), nil
}

// bashScript reads the profile in bash, at the top, where what it declares is not a function's own, and becomes the command.
func (p *Plan) bashScript() string {
	return p.facts() + explain + ended + guard + orderPath + `_hpc3_w=("$@"); set --
{ ` + onExit + onExec + readProfile + p.dotfiles(bashFiles) + `builtin unset -f builtin exec set shopt trap type unset
trap - EXIT DEBUG; set +aefuvxT
set -- "${_hpc3_w[@]}"
` + forget + p.finalPath() + `type -P -- "$1" >/dev/null || _hpc3_why "$1"
shopt -s execfail
` + p.level(1) + p.execWords(true) + `_hpc3_why "$1"
}`
}

// shScript does it in another shell, in a function, whose words are its own.
func (p *Plan) shScript(img image) string {
	load := onExit + "_hpc3_source; _hpc3_path\n" + p.dotfiles(shFiles) + "trap - EXIT; set +aefuvx\n"
	if p.mayExec(img) {
		load = trial + load
	}
	return p.facts() + explain + ended + sourceProfile + orderPath + "_hpc3_load() {\n" + load + "}\n{ _hpc3_load\n" + p.finalPath() + p.findAndExec() + "}"
}

// shellScript is what a login shell without a command runs first.
func (p *Plan) shellScript(img image) string {
	files := redHat
	if p.Dotfiles {
		files = "if [ -n \"${BASH_VERSION-}\" ]; then " + bashFiles + "else " + shFiles + "fi\n"
	}
	try := ""
	if p.mayExec(img) {
		try = "if [ $_hpc3_m = stdin ] && [ -z \"${BASH_VERSION-}\" ]; then " + trial + "fi\n"
	}
	return p.facts() + ended + guard + sourceProfile + orderPath + shellTools + "{ " + beginShell + try + onShellExit +
		"if [ $_hpc3_m = stdin ] && [ -n \"${BASH_VERSION-}\" ]; then " + onExec + "fi\n" +
		readProfile + files + p.finalPath() + endShell + firstPrompt + mark + "_hpc3_clean\n}"
}

// findAndExec becomes the command in a shell that is not bash.
func (p *Plan) findAndExec() string {
	return findCommand + forget + p.level(0) + "trap '_hpc3_why \"$1\"' EXIT\n" + p.execWords(false)
}

// dotfiles is the reading of the user's own files, where it is asked for.
func (p *Plan) dotfiles(script string) string {
	if p.Dotfiles {
		return script
	}
	return ""
}

// notePassedBy names the files of the home that a login shell would read.
func (p *Plan) notePassedBy() {
	if p.Note == nil || p.Dotfiles || !p.MountHome || homeIn(p.Home) == "/" {
		return
	}
	var there []string
	for _, name := range []string{".bash_profile", ".bash_login", ".profile"} {
		if file := filepath.Join(p.Home, name); unix.Access(file, unix.R_OK) == nil {
			there = append(there, file)
		}
	}
	if len(there) > 0 {
		p.note("passed by: " + strings.Join(there, " ") + "; --container-dotfiles has login shells read such files")
	}
}

// mayExec tells whether the image's profile, as far as can be seen from outside, may replace the shell that reads it.
func (p *Plan) mayExec(img image) bool {
	if p.Dotfiles || img.fs == nil || slices.ContainsFunc(p.Mounts, func(m option.Mount) bool { return within(m.Target, "/etc") || within("/etc/profile.d", m.Target) }) {
		return true
	}
	files := []string{"/etc/profile"}
	if dir, err := img.fs.Resolve("/etc/profile.d"); err == nil {
		entries, _ := img.fs.ReadDir(dir) // none are none
		for _, e := range entries {
			files = append(files, "/etc/profile.d/"+e.Name)
		}
	}
	return slices.ContainsFunc(files, func(file string) bool {
		return strings.Contains(string(img.read(file, maxDatabase)), "exec")
	})
}

// source sets the environment that the image keeps in scripts, unless Apptainer does.
func (p *Plan) source() string {
	if p.HasConfig || p.Engine == option.Apptainer {
		return ""
	}
	return sourceEnv
}

func noCommand() error {
	return fault.New(fault.Usage, "--container-entrypoint none needs a command").Hint("leave the option out for a login shell")
}

func noShell() error {
	return fault.New(fault.Exec, "starting a login shell: the image has no shell").
		Hint("give a command, or use an image with a shell").Exit(fault.StatusNotFound)
}

// imageWords is docker's rule: ENTRYPOINT, then the command or else CMD. An ENTRYPOINT that holds "$*" would split and
// expand the arguments; it means a login shell, so it gets one that does not.
func (p *Plan) imageWords(img image) ([]string, error) {
	if !p.HasConfig {
		return p.plainWords(img, append([]string{"/.singularity.d/runscript"}, p.Command...)), nil
	}
	command := p.Command
	if len(command) == 0 {
		command = p.Config.Cmd
	}
	if slices.ContainsFunc(p.Config.Entrypoint, func(w string) bool { return strings.Contains(w, "$*") }) {
		p.note("the image's ENTRYPOINT would take arguments apart ($*); hpc3's login shell stands in for it")
		return p.loginWords(img, command)
	}
	words := slices.Concat(p.Config.Entrypoint, command)
	if len(words) == 0 {
		return nil, fault.New(fault.Usage, "the image has neither ENTRYPOINT nor CMD, and no command was given").Hint("give a command")
	}
	return p.plainWords(img, words), nil
}

// plainWords runs words as they are. Apptainer's own status for a command that is not there is 255, so a shell of the image
// looks for it first, where there is one; and one is needed where the environment is in scripts.
func (p *Plan) plainWords(img image, words []string) []string {
	if img.known && img.sh == "" || p.Engine == option.Native && p.HasConfig {
		return words
	}
	return append([]string{"/bin/sh", "-c", p.straighten() + p.source() + explain + "{ " + p.findAndExec() + "}", p.ErrorPrefix}, words...)
}
