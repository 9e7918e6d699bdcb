package run

// Scripts that shells of the image run. Each is one word of a command line; $0 is the name that messages begin with. They use
// nothing but what a shell has built in, and leave no variable, function or option to the command.

// addPath takes the image's own PATH from the words and puts those entries behind that the profile dropped: Debian's
// /etc/profile, for one, replaces PATH, and images keep programs where only their ENV says.
const addPath = `_hpc3_p=$1:; shift
` + appendPath

const appendPath = `while [ -n "$_hpc3_p" ]; do
_hpc3_d=${_hpc3_p%%:*}; _hpc3_p=${_hpc3_p#*:}
case :$PATH: in *:"$_hpc3_d":*) ;; *) [ -z "$_hpc3_d" ] || PATH=$PATH:$_hpc3_d ;; esac
done
unset _hpc3_p _hpc3_d
`

// promptPath is bash's PROMPT_COMMAND that does the same with _hpc3_p, the PATH of the image and a colon, and takes itself out again. What
// others have put around it, the user's own files for one, stays.
const promptPath = `: _hpc3_a
` + appendPath + `PROMPT_COMMAND=${PROMPT_COMMAND/: _hpc3_a*_hpc3_z/:}
[ "$PROMPT_COMMAND" != : ] || unset PROMPT_COMMAND; : _hpc3_z`

// explain says why a command cannot be run, and ends with the status for it: 126 it is there, 127 it is not.
const explain = `_hpc3_why() {
_hpc3_n="\"$1\""
case $1 in *[!A-Za-z0-9_./+@%:,=\ -]*) _hpc3_n='the command' ;; esac
if ( case $1 in '') exit 1;; */*) [ -e "$1" ]; exit;; esac
IFS=:; set -f; for d in $PATH; do [ -f "$d/$1" ] && exit 0; done; exit 1 )
then set -- 126 'it is there, but cannot be executed' 'look at its mode, its first line and its architecture'
else set -- 127 'no such command in the image' "words of a shell itself (cd, functions, pipes) need one: sh -c '...'"; fi
printf '%s: error[exec]: running %s: %s\n%s: hint: %s\n' "$0" "$_hpc3_n" "$2" "$0" "$3" >&2
exit "$1"
}
`

const bashExec = explain + `type -P -- "$1" >/dev/null || _hpc3_why "$1"
shopt -s execfail
exec -- "$@"
_hpc3_why "$1"`

// shExec looks for the command first, as a plain shell has a message of its own where exec fails, and then ends.
const shExec = explain + `_hpc3_w=
case $1 in
*/*) [ ! -f "$1" ] || [ ! -x "$1" ] || _hpc3_w=x ;;
?*) _hpc3_w=$(IFS=:; set -f; for d in $PATH; do [ ! -f "$d/$1" ] || [ ! -x "$d/$1" ] || { echo x; break; }; done) ;;
esac
[ -n "$_hpc3_w" ] || _hpc3_why "$1"
unset _hpc3_w
trap '_hpc3_why "$1"' EXIT
exec "$@"`

// shellExec becomes a shell that leaves PATH as it is, where a login shell would read the profile once more. Red Hat's bash reads /etc/bashrc, where its prompt is set, only through the user's own file.
const shellExec = `case $1 in
*/bash) [ -f ~/.bashrc ] || [ ! -f /etc/bashrc ] || set -- "$1" --rcfile /etc/bashrc ;;
esac
exec "$@"`

// sourceEnv sets the environment of a SIF that hpc3 did not make, which is in scripts.
const sourceEnv = `for _hpc3_f in /.singularity.d/env/*.sh; do [ ! -f "$_hpc3_f" ] || . "$_hpc3_f"; done; unset _hpc3_f
`

// prepare sets HOME, and changes to a working directory or else ends. A word that is empty says nothing.
const prepare = `if [ -n "$1" ]; then HOME=$1; export HOME; fi
if [ -n "$2" ] && ! { CDPATH=; cd -- "$2"; } 2>/dev/null; then
printf '%s: error[mount]: changing to the working directory %s: it is not there, or closed to this user\n' "$0" "$2" >&2
printf '%s: hint: it must exist in the image or be bound with -B\n' "$0" >&2
exit 125
fi
shift 2; exec "$@"`

// chooseShell finds the login shell of an image of which little is known, and takes its PATH for the image's. Its words are a script
// for bash, one for another shell, promptPath where bash is to be a login shell on a terminal, and the command.
const chooseShell = `_hpc3_b=$1 _hpc3_s=$2 _hpc3_t=$3; shift 3
for _hpc3_c in /bin/bash /usr/bin/bash; do
if [ -x "$_hpc3_c" ]; then
if [ -n "$_hpc3_t" ]; then
export _hpc3_p="$PATH:" PROMPT_COMMAND="$_hpc3_t${PROMPT_COMMAND:+
$PROMPT_COMMAND}"
exec "$_hpc3_c" --rcfile /etc/profile -l
fi
[ $# -gt 0 ] || set -- "$_hpc3_c"
exec "$_hpc3_c" --rcfile /etc/profile -l -c "$_hpc3_b" "$0" "$PATH" "$@"
fi; done
[ $# -gt 0 ] || set -- /bin/sh
exec /bin/sh -l -c "$_hpc3_s" "$0" "$PATH" "$@"`
