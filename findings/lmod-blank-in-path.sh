#!/bin/bash
# Lmod 8.6.19 (Debian bookworm; 8.7.60 of trixie does the same) reads no file in Tcl whose path
# holds a blank: it splits the path there. The same module in Lua loads, and Environment Modules
# loads that in Tcl. Beside a .version file, which is Tcl too, Lmod does not load one in Lua either.
#
# Output seen:
#
#   Tcl, plain path             loaded
#   Tcl, a blank in the path    wrong # args: should be "main modfile"
#   Lua, a blank in the path    loaded
#   Lua beside a .version file  couldn't read file "path/c/.version": no such file or directory
#
# Status 0: as above. 1: it behaves differently. 2: it could not be tried.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unable() { echo "cannot try: $*" >&2; exit 2; }
chmod 0755 .
apt-get download -q lmod=8.6.19-1 lua5.3 lua-filesystem lua-json lua-lpeg lua-posix lua-term tcl8.6 libtcl8.6 >/dev/null 2>&1 ||
	unable "apt-get download of Lmod 8.6.19 failed"
for package in ./*.deb; do dpkg -x "$package" root; done
lib=$(echo "$PWD"/root/usr/lib/*-linux-gnu)
lmod=$PWD/root/usr/share/lmod/8.6.19/libexec/lmod
# Its paths are fixed when it is built.
sed -i -E "s#([\";])/usr/(share|lib)/#\1$PWD/root/usr/\2/#g" "$lmod"
mkdir bin && ln -s ../root/usr/bin/tclsh8.6 bin/tclsh
export PATH=$PWD/bin:$PWD/root/usr/bin:$PATH LD_LIBRARY_PATH=$lib TCL_LIBRARY=$PWD/root/usr/share/tcltk/tcl8.6
export HOME=$PWD LMOD_IGNORE_CACHE=yes
lua5.3 "$lmod" bash --version 2>&1 | grep -q 'Version 8\.6\.19' || unable "this Lmod does not run: $(lua5.3 "$lmod" bash --version 2>&1)"

mkdir -p plain/a "a path"/{b,c,d}
printf '#%%Module\nsetenv LOADED yes\n' | tee plain/a/1 >"a path/b/1"
echo 'setenv("LOADED", "yes")' | tee "a path/c/1.lua" >"a path/d/1.lua"

# try WHAT DIRECTORY MODULE prints why Lmod does not load a module, or that it does.
try() {
	local said
	said=$(MODULEPATH="$PWD/$2" lua5.3 "$lmod" bash load "$3" 2>&1) || :
	said=$(grep -o -m 1 -e "wrong # args: .*" -e "couldn't read file .*" -e 'LOADED=yes' -e 'LOADED="yes"' <<<"$said" || echo "something else")
	case $said in LOADED*) said=loaded ;; esac
	printf '%-27s %s\n' "$1" "$said"
}

found=$(
	try 'Tcl, plain path' plain a
	try 'Tcl, a blank in the path' 'a path' b
	try 'Lua, a blank in the path' 'a path' d
	printf '#%%Module\nset ModulesVersion 1\n' >"a path/c/.version"
	try 'Lua beside a .version file' 'a path' c
)
echo "$found"
cmp -s <(echo "$found") - <<'END'
Tcl, plain path             loaded
Tcl, a blank in the path    wrong # args: should be "main modfile"
Lua, a blank in the path    loaded
Lua beside a .version file  couldn't read file "path/c/.version": no such file or directory
END
