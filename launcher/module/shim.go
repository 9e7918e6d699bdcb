package module

import (
	"maps"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// shimText is a shim; its words in capitals are replaced. It changes no variable of the caller but
// those that begin with HPC3_, and starts no process, so that hpc3-run finds everything as the
// caller left it: its own variables begin with HPC3_SHIM_. It names no variable that may be unset
// without a default, and lets no condition fail, since bash takes "set -eu" from the environment.
const shimText = `#!/bin/sh
# hpc3 module command: ABOUT
# hpc3 module has written this file, and writes it again.
if [ -d /.singularity.d ]; then # in a container
	case ${HPC3_INDEX_DIGEST-},${HPC3_IMAGE_DIGEST-},${HPC3_IMAGE_REF-} in
	SAME) # of this image, which has the command
		if [ "${HPC3_SHIM_INSIDE-}" = "$$" ]; then
			printf '%s\n' COPIES >&2
			exit 127
		fi
		HPC3_SHIM_PATH=${PATH-}:
		while [ -n "$HPC3_SHIM_PATH" ]; do
			HPC3_SHIM_DIR=${HPC3_SHIM_PATH%%:*}
			HPC3_SHIM_PATH=${HPC3_SHIM_PATH#*:}
			[ ! -e "${HPC3_SHIM_DIR:-.}/.hpc3-shims" ] || continue
			HPC3_SHIM_FILE=${HPC3_SHIM_DIR:-.}/COMMAND
			[ -f "$HPC3_SHIM_FILE" ] && [ -x "$HPC3_SHIM_FILE" ] || continue
			[ ! "$HPC3_SHIM_FILE" -ef "$0" ] || continue
			export HPC3_SHIM_INSIDE="$$"
			exec "$HPC3_SHIM_FILE" "$@"
		done
		printf '%s\n' ABSENT >&2
		exit 127
		;;
	esac
fi
if [ -n "${HPC3_SHIM-}" ]; then
	printf '%s\n' CALLED >&2
	exit 125
fi
OPTIONSexport HPC3_SHIM=MODULE
LAUNCHif command -v hpc3-run >/dev/null; then
	exec hpc3-run IMAGE COMMAND "$@"
fi
if [ -d /.singularity.d ]; then
	printf '%s\n' NESTED >&2
else
	printf '%s\n' MISSING >&2
fi
exit 125
`

// Shim returns the script that runs a command of the module on the node where it is called.
func (m Module) Shim(command string) []byte {
	run := " " + shWord(m.Image) + " " + command + ` "$@"` + "\n"
	launch, launcher := "", "it is not in PATH"
	if m.Launcher != "" {
		launch = "[ ! -x " + shWord(m.Launcher) + " ] || exec " + shWord(m.Launcher) + run
		launcher = "there is no " + m.Launcher + ", and " + launcher
	}
	is := command + ", a command of the module " + m.FullName()
	return []byte(strings.NewReplacer(
		"ABOUT", comment(command+" of "+m.FullName()+", in "+m.Image),
		"SAME", m.same(),
		"COPIES", said("exec", is+", calls itself: PATH leads to copies of it",
			"remove the copies; they are small scripts"),
		"ABSENT", said("exec", "no directory of PATH in this container has "+is,
			"its image is "+m.Image+"; in a login shell PATH is what the image says"),
		"CALLED", said("engine", "hpc3-run itself has called "+is,
			"put the directory of the node's own "+command+" in PATH before that of the module"),
		"NESTED", said("engine", "this is a container of another image, and "+is+", runs in "+m.Image,
			"call it outside of containers"),
		"MISSING", said("engine", "this node lacks hpc3-run: "+launcher,
			"install hpc3 on the node, or put the directory of its hpc3-run into PATH"),
		"OPTIONS", m.shimOptions(), "MODULE", shWord(m.FullName()), "LAUNCH", launch,
		"COMMAND", command, " IMAGE", " "+shWord(m.Image),
	).Replace(shimText))
}

// same are the patterns of a container of this image: by its digests or by its name, behind which a
// digest may be.
func (m Module) same() string {
	patterns := []string{"*,*," + shWord(m.Image), "*,*," + shWord(m.Image+"@") + "*"}
	if m.IndexDigest != "" {
		patterns = append(patterns, shWord(m.IndexDigest)+",*")
	}
	if m.ImageDigest != "" {
		patterns = append(patterns, "*,"+shWord(m.ImageDigest)+",*")
	}
	return strings.Join(patterns, " | ")
}

// said returns the words of an error and a hint, as fault.Print writes them.
func said(class, what, hint string) string {
	const name = "hpc3-run: "
	return shWord(name+"error["+class+"]: "+plain(what, maxHelp)) + " " +
		shWord(name+"hint: "+plain(hint, maxHelp))
}

// shimOptions returns the lines that set the module's options for hpc3-run: a list is put before
// the caller's, so that this one counts where both say something, and another value is set only if
// the caller has none.
func (m Module) shimOptions() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m.Options)) {
		o, known := optionOf(key)
		if !known || len(m.Options[key]) == 0 {
			continue
		}
		variable, values := option.Variable(key), m.Options[key]
		switch {
		case key == "container_env":
			b.WriteString(strings.ReplaceAll(envLines, "VARIABLE", variable))
			before(&b, variable, values, "\n")
		case key == "container_env_file":
			before(&b, variable, values, "\n")
		case o.Kind == option.List:
			before(&b, variable, values, ",")
		default:
			theirs := "${" + variable + "-}"
			for other := range option.All() {
				if other.Kind == option.Opposite && other.SettingsKey() == key {
					theirs += "${" + option.Variable(other.Name) + "-}"
				}
			}
			b.WriteString(`[ -n "` + theirs + `" ] || export ` + variable + "=" + shWord(values[0]) + "\n")
		}
	}
	return b.String()
}

// before writes the line that puts values before those of the caller.
func before(b *strings.Builder, variable string, values []string, between string) {
	theirs := strings.NewReplacer("VARIABLE", variable, ",", between).
		Replace(`"${VARIABLE:+,$VARIABLE}"`)
	b.WriteString("export " + variable + "=" + shWord(strings.Join(values, between)) + theirs + "\n")
}

// envLines makes lines of variables that the caller has joined by commas: the module's may have a
// comma in a value.
const envLines = `case ${VARIABLE-} in
*'
'* | '') ;;
*)
	HPC3_SHIM_REST=$VARIABLE,
	export VARIABLE=
	while [ -n "$HPC3_SHIM_REST" ]; do
		VARIABLE="${VARIABLE:+$VARIABLE
}${HPC3_SHIM_REST%%,*}"
		HPC3_SHIM_REST=${HPC3_SHIM_REST#*,}
	done
	;;
esac
`

// shWord returns a text as one word of a shell.
func shWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
