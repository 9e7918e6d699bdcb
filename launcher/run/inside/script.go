package inside

// Scripts that shells of the image run; login.go puts them together. They use only shell built-ins,
// and leave no variable, function or option to the command. The code that runs after the profile is
// in functions or in braces, so that the shell has parsed it before the profile can define an
// alias.

// explain says why a command cannot be run, and ends with the status for it: 126 if it exists, 127
// if it does not. Messages begin with $0. In a trap, a plain "exit" would end with the status from
// before the trap.
const explain = `_hpc3_why() {
_hpc3_n="\"$1\""
case $1 in *[!A-Za-z0-9_./+@%:,=\ -]*) _hpc3_n='the command' ;; esac
if ( case $1 in '') exit 1;; */*) [ -e "$1" ]; exit $?;; esac
IFS=:; set -f; for d in $PATH; do [ -f "$d/$1" ] && exit 0; done; exit 1 )
then set -- 126 'it is there, but cannot be executed' 'look at its mode, its first line and its architecture'
else case $1 in
*/*) set -- 127 'no such command in the image' 'a path is one of the image, or of a directory that is bound with -B' ;;
*) set -- 127 'no such command in the image' "see what is there: ls /usr/bin; cd, functions and pipes need a shell: sh -c '...'" ;;
esac; fi
printf '%s: error[exec]: running %s: %s\n%s: hint: %s\n' "$0" "$_hpc3_n" "$2" "$0" "$3" >&2
` + explainMore + `exit "$1"
}
`

// explainMore is the place of another hint.
const explainMore = ": more\n"

// ended says which file of the profile has ended the shell, and ends with 125. If _hpc3_f does not
// name that file, the files of profile.d are read once more, in a subshell, until one does not
// return.
const ended = `_hpc3_ended() {
trap - EXIT; set +aefuvx
_hpc3_f=${_hpc3_f:-$(_hpc3_find)}
case $_hpc3_f in *[!A-Za-z0-9_./+@%:,=\ -]*) _hpc3_f='one of its files' ;; esac
printf '%s: error[exec]: reading the login profile: %s %s\n' "$_hpc3_0" "$_hpc3_f" "$1" >&2
printf '%s: hint: --container-entrypoint none runs a command without the profile\n' "$_hpc3_0" >&2
exit 125
}
_hpc3_find() {
_hpc3_l=$( exec 3>&1 >/dev/null 2>&1 </dev/null
for _hpc3_g in /etc/profile.d/*.sh; do
[ ! -r "$_hpc3_g" ] || { printf '%s\n' "$_hpc3_g" >&3; . "$_hpc3_g"; }
done
echo /etc/profile >&3 )
printf '%s\n' "${_hpc3_l##*
}"
}
`

// onExit lets a shell notice that its profile ends it.
const onExit = `trap '_hpc3_ended "ended the shell with status $?"' EXIT
`

// onShellExit does so for a shell that goes on. If Ctrl-C has interrupted the profile in bash, the
// trap is still set when the user leaves the shell.
const onShellExit = `trap '_hpc3_x=$?; case ${BASH_COMMAND-. /etc/profile} in ". /etc/profile"|*_hpc3_*) _hpc3_ended "ended the shell with status $_hpc3_x" ;; esac' EXIT
`

// guard makes bash note which file it reads, and refuses an exec there that would replace the
// shell: no trap would ever run. An exec that only redirects, or runs in a subshell, is allowed.
const guard = `_hpc3_exec() {
[ "$BASH_SUBSHELL" = 0 ] || return 0
_hpc3_g=$1
while :; do case $_hpc3_g in
command\ *|builtin\ *) ;;
[A-Za-z_]*=*\ *) case ${_hpc3_g%%=*} in *[!A-Za-z0-9_]*) break ;; esac ;;
*) break ;;
esac; _hpc3_g=${_hpc3_g#* }; done
case $_hpc3_g in exec\ [\<\>\&]*|exec\ [0-9]*[\<\>]*|exec\ {*}[\<\>]*) return 0 ;; exec\ *) ;; *) return 0 ;; esac
trap - DEBUG
_hpc3_ended 'would replace the shell by another program (exec)'
}
`

// The shell also runs the trap at its own end, as if that were our own command once more.
const onExec = `trap 'case $BASH_COMMAND:${BASH_SOURCE-} in ". /etc/profile:"*|*_hpc3_*) ;; *:*/*) _hpc3_f=$BASH_SOURCE ;; esac
case $BASH_COMMAND in *exec\ *) _hpc3_exec "$BASH_COMMAND" ;; esac' DEBUG; set -T
`

// trial does for other shells what guard does for bash: if the profile may contain an exec, it is
// read in a subshell first, to see whether it returns.
const trial = `case $( { _hpc3_source; } >/dev/null 2>&1 </dev/null; echo _hpc3_back ) in
*_hpc3_back*) ;;
*) _hpc3_ended 'would end the shell, or replace it by another program (exec)' ;;
esac
`

const sourceProfile = `_hpc3_source() { [ ! -r /etc/profile ] || . /etc/profile; }
`

// orderPath puts PATH together: first what the profile has added, then the PATH of the image's ENV
// (_hpc3_e), then the rest of the profile's. Some profiles replace PATH (Debian's does), while
// images keep programs in directories that only their ENV names.
const orderPath = `_hpc3_add() {
_hpc3_l=$1:
while [ -n "$_hpc3_l" ]; do
_hpc3_d=${_hpc3_l%%:*}; _hpc3_l=${_hpc3_l#*:}
case ":$_hpc3_o:$2:" in *":$_hpc3_d:"*) ;; *) _hpc3_o=${_hpc3_o:+$_hpc3_o:}$_hpc3_d ;; esac
done
}
_hpc3_path() {
_hpc3_o=
_hpc3_add "${PATH-}" "$_hpc3_e:` + DefaultPath + `:"
_hpc3_add "$_hpc3_e" :
_hpc3_add "${PATH-}" :
[ -z "$_hpc3_o" ] || { PATH=$_hpc3_o; export PATH; }
}
`

const readProfile = `[ ! -r /etc/profile ] || . /etc/profile
_hpc3_path
`

// The files that a login shell reads in the home directory.
const (
	bashFiles = `for _hpc3_g in ~/.bash_profile ~/.bash_login ~/.profile; do
[ ! -r "$_hpc3_g" ] || { _hpc3_f=$_hpc3_g; . "$_hpc3_g"; break; }
done
`
	shFiles = `_hpc3_f=~/.profile; [ ! -r "$_hpc3_f" ] || . "$_hpc3_f"
`
)

// findCommand looks for the command before exec does: if exec fails, a plain shell prints a message
// of its own and ends.
const findCommand = `_hpc3_w=
case $1 in
*/*) [ ! -f "$1" ] || [ ! -x "$1" ] || _hpc3_w=x ;;
?*) _hpc3_w=$(IFS=:; set -f; for d in $PATH; do [ ! -f "$d/$1" ] || [ ! -x "$d/$1" ] || { echo x; break; }; done) ;;
esac
[ -n "$_hpc3_w" ] || _hpc3_why "$1"
`

// forget unsets what is left of the scripts.
const forget = `unset _hpc3_0 _hpc3_b _hpc3_c _hpc3_d _hpc3_e _hpc3_f _hpc3_g _hpc3_l _hpc3_m _hpc3_n _hpc3_o _hpc3_p _hpc3_w _hpc3_x
`

// sourceEnv sets the environment of a SIF that hpc3 did not make: it is in scripts.
const sourceEnv = `for _hpc3_f in /.singularity.d/env/*.sh; do [ ! -f "$_hpc3_f" ] || . "$_hpc3_f"; done; unset _hpc3_f
`

// PrepareScript changes to the working directory $1, unless that is empty, and ends if that fails.
// It then sets the variables that follow, up to the word --.
const PrepareScript = `if [ -n "$1" ] && ! { CDPATH=; cd -- "$1"; } 2>/dev/null; then
printf '%s: error[mount]: changing to the working directory %s: it is not there, or closed to this user\n' "$0" "$1" >&2
printf '%s: hint: it must exist in the image or be bound with -B\n' "$0" >&2
exit 125
fi
shift; while [ "$1" != -- ]; do export "$1"; shift; done
shift; exec "$@"`

// findBash sets _hpc3_b to the path of the image's bash, or to nothing.
const findBash = `for _hpc3_b in /bin/bash /usr/bin/bash ''; do [ -z "$_hpc3_b" ] || [ ! -x "$_hpc3_b" ] || break; done
`

// chooseShell runs a command in the login shell of an image of which little is known. It uses the
// PATH that it finds as the image's. Its words are a script for bash, one for another shell, and
// the command.
const chooseShell = findBash + `_hpc3_e=$PATH; export _hpc3_e
_hpc3_1=$1 _hpc3_2=$2; shift 2
[ -z "$_hpc3_b" ] || exec "$_hpc3_b" --noprofile -l -c "$_hpc3_1" "$0" "$@"
exec /bin/sh -c "$_hpc3_2" "$0" "$@"`

// becomeShell becomes the login shell, and makes it run a script ($1) before anything else: an
// interactive bash gets it as its first PROMPT_COMMAND, another interactive shell as the file that
// ENV names, and a shell that reads standard input as the beginning of that. The shell itself reads
// these, and none of them is a file of the user's.
const becomeShell = `_hpc3_l=$1 _hpc3_n='' _hpc3_m=stdin
if [ -t 0 ] && [ -t 2 ]; then _hpc3_m=tty; fi
( : <&0 ) 2>/dev/null || exec </dev/null
case $_hpc3_m$_hpc3_b in tty?*) ;; *)
for _hpc3_n in 9 8 7 6 5 4 3 ''; do [ -n "$_hpc3_n" ] && eval "( : <&$_hpc3_n )" 2>/dev/null || break; done
if [ -z "$_hpc3_n" ]; then
printf '%s: error[exec]: starting a login shell: the descriptors 3 to 9 are all open\n%s: hint: close one of them, or give a command\n' "$0" "$0" >&2
exit 125
fi ;;
esac
export _hpc3_m _hpc3_n
case $_hpc3_m$_hpc3_b in
tty?*) [ -z "${PROMPT_COMMAND+x}" ] || export _hpc3_c="$PROMPT_COMMAND"
export PROMPT_COMMAND="$_hpc3_l" ;;
tty) [ -z "${ENV+x}" ] || export _hpc3_c="$ENV"
eval "exec $_hpc3_n<<_hpc3_eof
\$_hpc3_l
_hpc3_eof
"
export ENV="/proc/self/fd/$_hpc3_n"
exec /bin/sh -i ;;
*) eval "exec $_hpc3_n<&0 <<_hpc3_eof
\$_hpc3_l
_hpc3_eof
" ;;
esac
[ -z "$_hpc3_b" ] || exec "$_hpc3_b" --noprofile -l
exec /bin/sh`

// shellTools are functions that the scripts of an interactive shell need as well.
const shellTools = `_hpc3_int() { trap - INT EXIT; _hpc3_clean; kill -INT $$; }
_hpc3_own() { case $(trap) in *"$1"*) return 0 ;; *" $2"*) return 1 ;; esac; }
_hpc3_clean() {
unset -f _hpc3_ended _hpc3_find _hpc3_exec _hpc3_source _hpc3_add _hpc3_path _hpc3_int _hpc3_own _hpc3_clean
` + forget + `}
`

// beginShell restores what becomeShell has changed.
const beginShell = `case $_hpc3_m in
stdin) eval "exec <&$_hpc3_n $_hpc3_n<&-" ;;
*) trap _hpc3_int INT
if [ -n "$_hpc3_n" ]; then
eval "exec $_hpc3_n<&-"; unset ENV; [ -z "${_hpc3_c+x}" ] || export ENV="$_hpc3_c"
else
unset PROMPT_COMMAND; [ -z "${_hpc3_c+x}" ] || export PROMPT_COMMAND="$_hpc3_c"
fi ;;
esac
`

// endShell removes the traps that are still those of the scripts, and then all that the shell must
// not keep. dash does not list its traps, and so loses the profile's.
const endShell = `if _hpc3_own _hpc3_ended EXIT; then trap - EXIT; fi
if [ "$_hpc3_m" = tty ]; then
if _hpc3_own _hpc3_int INT; then trap - INT; fi
elif [ -n "${BASH_VERSION-}" ] && _hpc3_own _hpc3_exec DEBUG; then trap - DEBUG; set +T
fi
`

// redHat reads /etc/bashrc, which sets Red Hat's prompt, for releases whose profile does not read
// it: there, bash would read it through the user's own file.
const redHat = `[ "$_hpc3_m" != tty ] || [ -z "${BASH_VERSION-}" ] || [ -n "${BASHRCSOURCED-}" ] || [ ! -r /etc/bashrc ] || . /etc/bashrc
`

// mark puts _hpc3_p in front of a prompt if that is the default of a shell or a distribution.
const mark = `case $_hpc3_m:${PS1-} in
tty:'\s-\v\$ '|tty:'$ '|tty:'# '|tty:'\w \$ '|\
tty:'${debian_chroot:+($debian_chroot)}\u@\h:\w\$ '|\
tty:'${debian_chroot:+($debian_chroot)}\[\033[01;32m\]\u@\h\[\033[00m\]:\[\033[01;34m\]\w\[\033[00m\]\$ '|\
tty:'\[\e]0;${debian_chroot:+($debian_chroot)}\u@\h: \w\a\]${debian_chroot:+($debian_chroot)}'*|\
tty:'[\u@\h \W]\$ '|tty:'\h:\w\$ '|tty:'\u@\h:\w> '|tty:'\h:\w # '|tty:'\u@\h \w \$ '|\
tty:'${HOSTNAME%%.*}:$PWD# '|tty:'${HOSTNAME%%.*}:$PWD$ '|tty:'\u@\h:\w\$ ') PS1=$_hpc3_p$PS1 ;;
esac
`

// firstPrompt does what the shell would have done by now if the scripts had not used PROMPT_COMMAND
// or ENV for themselves. If ENV names a file in the home directory, that is the user's own and not
// read.
const firstPrompt = `case $_hpc3_m:$_hpc3_n in
tty:) for _hpc3_g in "${PROMPT_COMMAND-}"; do eval "$_hpc3_g"; done ;;
tty:*) case ${ENV-} in ''|*\$*|*\` + "`" + `*|"$HOME"/*) ;; *) [ ! -r "$ENV" ] || . "$ENV" ;; esac ;;
esac
`
