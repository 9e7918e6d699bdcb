#!/bin/bash
# Environment Modules 5.2.0 (Debian bookworm) lists module files that it cannot load by the name in
# its list: those whose version holds a plus sign, a tilde, an at sign or an equals sign, such as a
# build's 1.2+cuda. Such a word is read as a version with variants. Lmod loads them.
#
# Output seen:
#
#   avail           a/1+cuda a/1-cuda a/1=cuda a/1@cuda a/1~cuda
#   load a/1+cuda   Unable to locate a modulefile for 'a/1+cuda'
#   load a/1-cuda   loaded
#   load a/1=cuda   No module name defined in argument 'a/1=cuda'
#   load a/1@cuda   Unable to locate a modulefile for 'a/1@cuda'
#   load a/1~cuda   Unable to locate a modulefile for 'a/1~cuda'
#
# The manual says that these signs begin a version or a variant in what a user asks for. It does not
# say that files of such names are lost, and the list shows them like all others.
#
# Status 0: as above. 1: it behaves differently. 2: it could not be tried.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unable() { echo "cannot try: $*" >&2; exit 2; }
chmod 0755 .
apt-get download -q environment-modules=5.2.0-1 tcl8.6 libtcl8.6 >/dev/null 2>&1 || unable "apt-get download of environment-modules 5.2.0-1 failed"
for package in ./*.deb; do dpkg -x "$package" root; done
lib=$(echo "$PWD"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH=$lib TCL_LIBRARY=$PWD/root/usr/share/tcltk/tcl8.6 HOME=$PWD MODULEPATH=$PWD/tree
modulecmd() { root/usr/bin/tclsh8.6 "$lib/modulecmd.tcl" bash "$@" 2>&1; }
[[ $(modulecmd --version) == *" 5.2.0 "* ]] || unable "this is not version 5.2.0: $(modulecmd --version)"

mkdir -p tree/a
for sign in + - = @ '~'; do printf '#%%Module\nsetenv LOADED yes\n' >"tree/a/1${sign}cuda"; done

see() {
	printf '%-15s ' avail
	modulecmd avail -t | sed -n 's,^a/.*,&,p' | LC_ALL=C sort | paste -sd ' '
	for sign in + - = @ '~'; do
		said=$(modulecmd load "a/1${sign}cuda") || :
		case $said in
		*LOADED=yes*) said=loaded ;;
		*) said=$(sed -n 's/^ERROR: //p' <<<"$said") ;;
		esac
		printf '%-15s %s\n' "load a/1${sign}cuda" "$said"
	done
}
expected=$(sed -n '/^# Output seen:/,/^# The manual/s/^#   //p' "$0")
seen=$(see)
echo "$seen"
[ "$seen" = "$expected" ]
