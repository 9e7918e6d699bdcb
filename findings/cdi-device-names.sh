#!/bin/bash
# The Go library of the Container Device Interface (tags.cncf.io/container-device-interface 1.1.0)
# reads device specifications in YAML in ways that neither the specification nor YAML suggests.
# Each line below is one file with one device. Output seen:
#
#   name: "0" (a string)              vendor.com/gpu=0
#   name: 0 (a number)                vendor.com/gpu=0
#   a second YAML document            vendor.com/gpu=0
#   the suffix .yml                   no device
#   a key that it does not know       no device
#
# The specification defines a device's name as a string and does not mention files of two documents.
# The library uses the digits of a number as the name, ignores everything after "---" without an
# error, and drops all devices of a file with one unknown key.
#
# Status 0: as above. 1: it behaves differently. 2: it could not be tried.
set -euo pipefail

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
unable() { echo "cannot try: $*" >&2; exit 2; }
cat >go.mod <<'END'
module finding

go 1.21

require tags.cncf.io/container-device-interface v1.1.0
END
cat >main.go <<'END'
package main

import (
	"fmt"
	"os"
	"strings"

	"tags.cncf.io/container-device-interface/pkg/cdi"
)

func main() {
	cache, err := cdi.NewCache(cdi.WithSpecDirs(os.Args[1]), cdi.WithAutoRefresh(false))
	if err != nil {
		panic(err)
	}
	if names := cache.ListDevices(); len(names) > 0 {
		fmt.Println(strings.Join(names, " "))
		return
	}
	fmt.Println("no device")
}
END
{ go mod tidy && go build -o list .; } >/dev/null 2>&1 ||
	unable "the library could not be had or built"

head='cdiVersion: "0.6.0"
kind: vendor.com/gpu
devices:'
device() { printf '%s\n- name: %s\n  containerEdits:\n    env: ["X=1"]\n' "$head" "$1"; }

# try WHAT FILE prints what the library finds in a directory with standard input as FILE.
try() {
	rm -rf specs
	mkdir specs
	cat >"specs/$2"
	printf '%-33s %s\n' "$1" "$(./list specs 2>/dev/null)"
}

found=$(
	device '"0"' | try 'name: "0" (a string)' gpu.yaml
	device 0 | try 'name: 0 (a number)' gpu.yaml
	{ device '"0"'; echo ---; device '"1"'; } | try 'a second YAML document' gpu.yaml
	device '"0"' | try 'the suffix .yml' gpu.yml
	{ device '"0"'; echo 'vendorNote: text'; } | try 'a key that it does not know' gpu.yaml
)
echo "$found"
cmp -s <(echo "$found") - <<'END'
name: "0" (a string)              vendor.com/gpu=0
name: 0 (a number)                vendor.com/gpu=0
a second YAML document            vendor.com/gpu=0
the suffix .yml                   no device
a key that it does not know       no device
END
