package run

import (
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// A login shell runs the command by this script. Its words are the image's own PATH, then the command. Entries of that PATH
// which the profile dropped are put behind, since Debian's /etc/profile, for one, replaces PATH, and images keep programs
// where only their ENV says. The command is looked for first, so that the message is ours; $0 is the name it begins with.
const addPath = `_hpc3_p=$1:; shift
while [ -n "$_hpc3_p" ]; do
_hpc3_d=${_hpc3_p%%:*}; _hpc3_p=${_hpc3_p#*:}
case :$PATH: in *:"$_hpc3_d":*) ;; *) [ -z "$_hpc3_d" ] || PATH=$PATH:$_hpc3_d ;; esac
done
unset _hpc3_p _hpc3_d
`

const bashExec = `_hpc3_fail() {
case $1 in 126) set -- 126 "$2" "it is there, but cannot be executed" "look at its mode and its first line";;
*) set -- "$1" "$2" "no such command in the image" "a shell's own words (cd, functions) need: sh -c '...'";; esac
case $2 in *[!A-Za-z0-9_./+@%:,=\ -]*) printf -v _hpc3_n %q "$2" ;; *) _hpc3_n=\"$2\" ;; esac
printf '%s: error[exec]: running %s: %s\n%s: hint: %s\n' "$0" "$_hpc3_n" "$3" "$0" "$4" >&2
exit "$1"
}
if ! type -P -- "$1" >/dev/null; then
case $1 in */*) [ ! -e "$1" ] || _hpc3_fail 126 "$1" ;; esac
_hpc3_fail 127 "$1"
fi
shopt -s execfail
exec -- "$@"
_hpc3_fail "$?" "$1"`

const shExec = `_hpc3_fail() {
_hpc3_n=$2
case $2 in *[!A-Za-z0-9_./+@%:,=-]*) _hpc3_n="the command" ;; esac
case $1 in 126) set -- 126 "it is there, but cannot be executed" "look at its mode and its first line";;
*) set -- 127 "no such command in the image" "a shell's own words (cd, functions) need: sh -c '...'";; esac
printf '%s: error[exec]: running "%s": %s\n%s: hint: %s\n' "$0" "$_hpc3_n" "$2" "$0" "$3" >&2
exit "$1"
}
if ! command -v -- "$1" >/dev/null 2>&1; then
case $1 in */*) [ ! -e "$1" ] || _hpc3_fail 126 "$1" ;; esac
_hpc3_fail 127 "$1"
fi
exec "$@"`

// A SIF that hpc3 did not make keeps its environment in scripts.
const sourceEnv = `for _hpc3_f in /.singularity.d/env/*.sh; do [ ! -f "$_hpc3_f" ] || . "$_hpc3_f"; done; unset _hpc3_f; exec "$@"`

// words returns what is executed in the container.
func (p *Plan) words(img image) ([]string, error) {
	var words []string
	var err error
	switch p.Entrypoint {
	case option.Image:
		words, err = p.imageWords(img)
	case option.None:
		if len(p.Command) == 0 {
			return nil, fault.New(fault.Usage, "--container-entrypoint none needs a command").Hint("leave the option out for a login shell")
		}
		words = p.plainWords(img, p.Command)
	default:
		words, err = p.loginWords(img, p.Command)
	}
	if err != nil || p.HasConfig || p.Engine == option.Apptainer || img.sh == "" {
		return words, err
	}
	return append([]string{img.sh, "-c", sourceEnv, p.ErrorPrefix}, words...), nil
}

// loginWords runs a command in a login shell, with exact arguments.
func (p *Plan) loginWords(img image, command []string) ([]string, error) {
	bash, sh := img.bash, img.sh
	if !img.known {
		bash = "/bin/bash"
	}
	switch {
	case len(command) == 0 && bash != "":
		return []string{bash, "--rcfile", "/etc/profile", "-l"}, nil
	case len(command) == 0 && sh != "":
		p.note("the image has no bash; its login shell is " + sh)
		return []string{sh, "-l"}, nil
	case len(command) == 0:
		return nil, noShell(p)
	case bash != "":
		return append([]string{bash, "--rcfile", "/etc/profile", "-l", "-c", addPath + bashExec, p.ErrorPrefix, p.imagePath()}, command...), nil
	case sh != "":
		p.note("the image has no bash; the command is run by " + sh)
		return append([]string{sh, "-l", "-c", addPath + shExec, p.ErrorPrefix, p.imagePath()}, command...), nil
	}
	p.note("the image has no shell; the command is run without one, and no profile is read")
	return command, nil
}

// imagePath returns the PATH of the image's own environment.
func (p *Plan) imagePath() string {
	for _, e := range p.Config.Env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			return path
		}
	}
	return ""
}

// imageWords is docker's rule: ENTRYPOINT, then the command or else CMD. An ENTRYPOINT that holds "$*" would split and
// expand the arguments; it means a login shell, so it gets one that does not.
func (p *Plan) imageWords(img image) ([]string, error) {
	if !p.HasConfig {
		return append([]string{"/.singularity.d/runscript"}, p.Command...), nil
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
// looks for it first, where there is one.
func (p *Plan) plainWords(img image, words []string) []string {
	if p.Engine != option.Apptainer || img.sh == "" {
		return words
	}
	return append([]string{img.sh, "-c", shExec, p.ErrorPrefix}, words...)
}
