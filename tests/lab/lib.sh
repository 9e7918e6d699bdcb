# Shared by the scripts of the lab: where its parts are kept, and how one is made. To be sourced, by
# bash.
# shellcheck shell=bash disable=SC2034 # lab_here is for who sources this

lab_dir=${HPC3_LAB:-/var/cache/hpc3-lab}
lab_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "lab: $*" >&2; }

# The Debian mirror that this machine is set up with, whether or not apt has read its lists.
mirror() {
	apt-get indextargets --no-release-info --format '$(SITE)' 'Created-By: Packages' | grep -m 1 '/debian/\?$' ||
		{ say "apt knows no Debian mirror"; exit 1; }
}

# part NAME KEY COMMAND…: prints the path of a part, made by COMMAND with the path as its last word,
# if it is missing. A part is found again by the text KEY, so a new KEY makes a new part; it is
# built under another name and renamed when it is whole. A part that no test asked for in a day is
# removed when something is made; until then another checkout may be using it.
part() {
	local name=$1 key at
	key=$(printf '%s' "$2" | sha256sum | cut -c1-12)
	shift 2
	at=$lab_dir/$name-$key
	mkdir -p "$lab_dir"
	exec 9>"$lab_dir/$name.lock"
	flock -n 9 || { say "waiting for another who makes $name"; flock 9; }
	if [ ! -e "$at" ]; then
		say "making $name, once; it is kept in $lab_dir"
		find "$lab_dir" -mindepth 1 -maxdepth 1 \( -name "$name-*.new" -o \( -name "$name-????????????" -o -name "work.*" \) -mmin +1440 \) -exec rm -rf {} +
		"$@" "$at.new" >&2 9>&-
		mv "$at.new" "$at"
	fi
	touch "$at" # when it was last asked for
	exec 9>&-
	echo "$at"
}
