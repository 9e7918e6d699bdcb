package inside

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// Text for the scripts of login.go: the values of the View, written for a shell.

// quote writes a word for a shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'"'"'`) + "'" }

// assign returns a line that sets and exports a variable, or unsets it.
func assign(name, value string, set bool) string {
	if !set {
		return "unset " + name + "\n"
	}
	return name + "=" + quote(value) + "; export " + name + "\n"
}

// facts returns the variables that tell the scripts about the View.
func (v *View) facts() string {
	script := "_hpc3_0=" + quote(v.ErrorPrefix) + " _hpc3_p=" + quote(v.Prompt) + "\n"
	if v.HasConfig {
		script += "_hpc3_e=" + quote(Lookup(v.Config.Env, "PATH")) + "\n"
	}
	return script + "_hpc3_f=\n"
}

// Whose says which module the command is of; "" if it is of none.
func (v *View) Whose() string {
	module := Lookup(v.HostEnv, option.Shim)
	if module == "" || len(v.Args) == 0 {
		return ""
	}
	return option.OfModule(v.Args[0], module, Lookup(v.HostEnv, "LOADEDMODULES"))
}

// explain returns the function that says why a command cannot be run, and whose command it is.
func (v *View) explain() string {
	hint := v.Whose()
	if hint == "" {
		return explain
	}
	return strings.Replace(explain, explainMore,
		`printf '%s: hint: %s\n' "$0" `+quote(hint)+" >&2\n", 1)
}

// takePath makes the scripts use the current PATH as that of the image's ENV, for a SIF that hpc3
// did not make.
func (v *View) takePath() string {
	if v.HasConfig {
		return ""
	}
	return "_hpc3_e=$PATH; export _hpc3_e\n"
}

// given returns a variable of the command's environment, and whether it is set.
func (v *View) given(name string) (value string, set bool) {
	if value, set = valueIn(slices.Concat(v.Config.Env, v.SetEnv), name); set {
		return value, true
	}
	if !v.passes(name) {
		return "", false
	}
	return valueIn(v.HostEnv, name)
}

// valueIn returns the last value of a variable in a list.
func valueIn(env []string, name string) (value string, set bool) {
	for _, e := range slices.Backward(env) {
		if value, set = strings.CutPrefix(e, name+"="); set {
			return value, true
		}
	}
	return "", false
}

// finalPath sets PATH if the user set it by an option, whatever the profile says.
func (v *View) finalPath() string {
	value, set := valueIn(v.SetEnv, "PATH")
	if !set {
		return ""
	}
	return assign("PATH", value, true)
}

// straighten undoes what Apptainer's own scripts do to the environment before a shell of the image
// runs: they add directories to PATH, and set a prompt, a PROMPT_COMMAND and USER_PATH.
func (v *View) straighten() string {
	if v.Engine != option.Apptainer {
		return ""
	}
	own := slices.Concat(v.Config.Env, v.SetEnv)
	script := ""
	if v.HasConfig {
		value, set := valueIn(own, "PATH")
		if !set {
			value = DefaultPath
		}
		script = assign("PATH", value, true)
	}
	// the caller's values belong to the caller's own shell
	for _, name := range []string{"PS1", "PROMPT_COMMAND"} {
		value, set := valueIn(own, name)
		script += assign(name, value, set)
	}
	value, set := v.given("USER_PATH")
	return script + assign("USER_PATH", value, set)
}

// level gives SHLVL the value that the command would have without a shell in between. bash
// decrements it at an exec.
func (v *View) level(above int) string {
	value, set := v.given("SHLVL")
	n, err := strconv.Atoi(value)
	if !set || err != nil || above > 0 && n < 0 {
		return assign("SHLVL", value, set)
	}
	return assign("SHLVL", strconv.Itoa(n+above), true)
}

// execWords becomes the command, $@, and restores by env the variables that a shell does not pass
// on unchanged. They are missing if the image has no env, or if the command's name contains "=",
// which env would take for a variable.
func (v *View) execWords(bash bool) string {
	dashes, found := "", "command -v env >/dev/null 2>&1"
	if bash {
		dashes, found = "-- ", "type -P env >/dev/null"
	}
	become := "exec " + dashes + `"$@"` + "\n"
	options, words := "", ""
	if _, set := v.given("SHLVL"); bash && !set { // bash would leave it at 0
		options = " -u SHLVL"
	}
	for _, e := range v.putBack() {
		words += " " + quote(e)
	}
	if options+words == "" {
		return become
	}
	return "case $1 in *=*) ;; *) if " + found + "; then exec " + dashes + "env" + options + " --" +
		words + ` "$@"; fi ;; esac` + "\n" + become
}

// putBack returns the variables of the command's environment that a shell drops or changes.
func (v *View) putBack() []string {
	env := newEnviron()
	for i, list := range [][]string{v.HostEnv, v.Config.Env, v.SetEnv} {
		for _, e := range list {
			name, value, ok := strings.Cut(e, "=")
			if ok && name != "" && ofShells(name) &&
				(i > 0 || v.passes(name) && !Matches(dropped, name) &&
					!Matches(credentials, name) && !slices.Contains(bookkeeping, name)) {
				env.Set(name, value)
			}
		}
	}
	return env.List()
}

// ofShells tells whether no shell can hold a variable, or a shell sets it for itself. bash passes
// on BASH_ENV, UID and HOSTNAME unchanged.
func ofShells(name string) bool {
	return !option.IsName(name) || strings.HasPrefix(name, "BASH_") && name != "BASH_ENV" ||
		slices.Contains([]string{
			"BASH", "BASHOPTS", "BASHPID", "COMP_WORDBREAKS", "EPOCHREALTIME", "EPOCHSECONDS",
			"HISTCMD", "IFS", "LINENO", "OPTERR", "OPTIND", "PPID",
			"PS1", "PS2", "PS4", "RANDOM", "SECONDS", "SHELLOPTS", "SRANDOM",
		}, name)
}
