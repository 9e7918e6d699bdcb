package run

import (
	"slices"
	"strings"

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
			return nil, fault.New(fault.Usage, "--container-entrypoint none needs a command").Hint("leave the option out for a login shell")
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
			return nil, noShell(p)
		}
		p.note("the image has no shell; the command is run without one, and no profile is read")
		return command, nil
	}
	if !img.known || !p.HasConfig && img.sh != "" {
		return p.chosenShell(command), nil
	}
	login, script := []string{img.bash, "--rcfile", "/etc/profile", "-l"}, bashExec
	if img.bash == "" {
		login, script = []string{img.sh, "-l"}, shExec
		p.note("the image has no bash; its login shell is " + img.sh)
	}
	if len(command) == 0 {
		if !p.ownPath() {
			return login, nil
		}
		if p.Terminal && img.bash != "" {
			p.keepPath()
			return login, nil
		}
		command, script = login[:1], shellExec
	}
	return slices.Concat(login, []string{"-c", addPath + script, p.ErrorPrefix, p.imagePath()}, command), nil
}

// chosenShell leaves the choice of the shell to the image's sh.
func (p *Plan) chosenShell(command []string) []string {
	bash, sh, prompt := addPath+bashExec, addPath+shExec, ""
	if len(command) == 0 {
		bash, sh = addPath+shellExec, addPath+shellExec
		if p.Terminal {
			prompt = promptPath
		}
	}
	return append([]string{"/bin/sh", "-c", p.source() + chooseShell, p.ErrorPrefix, bash, sh, prompt}, command...)
}

// keepPath has bash see to the image's own PATH at its first prompt: a login shell on a terminal has no other moment between its
// profile and the user.
func (p *Plan) keepPath() {
	script := promptPath
	if own := lookup(slices.Concat(p.SetEnv, p.Config.Env), "PROMPT_COMMAND"); own != "" {
		script += "\n" + own
	}
	p.SetEnv = append(slices.Clone(p.SetEnv), "_hpc3_p="+p.imagePath()+":", "PROMPT_COMMAND="+script)
}

// source sets the environment that the image keeps in scripts, unless Apptainer does.
func (p *Plan) source() string {
	if p.HasConfig || p.Engine == option.Apptainer {
		return ""
	}
	return sourceEnv
}

func noShell(p *Plan) error {
	return fault.New(fault.Exec, "starting a login shell in %s: the image has no shell", p.SIF).
		Hint("give a command, or use an image with a shell").Exit(fault.StatusNotFound)
}

// imagePath returns the PATH of the image's own environment.
func (p *Plan) imagePath() string { return lookup(p.Config.Env, "PATH") }

// ownPath tells whether the image keeps programs where no login profile looks for them.
func (p *Plan) ownPath() bool {
	for dir := range strings.SplitSeq(p.imagePath(), ":") {
		if dir != "" && !slices.Contains(strings.Split(defaultPath, ":"), dir) {
			return true
		}
	}
	return false
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
	return append([]string{"/bin/sh", "-c", p.source() + shExec, p.ErrorPrefix}, words...)
}
