#!/bin/bash
# klauspost/cpuid 2.4.2 (Go) takes protection keys for AMX-FP8: every CPU with AVX-512 and PKU, as
# Intel's servers since Skylake-SP are, has that then. Played here is such a CPU, without AMX.
# Output seen:
#
#   AVX512F true
#   AMXTILE false
#   AMXFP8  true
#
# The library reads AMXFP8 from bit 3 of ECX in CPUID leaf 7, which is PKU. Intel's Architecture
# Instruction Set Extensions Programming Reference (319433) has AMX-FP8 in bit 4 of EAX in leaf 1Eh,
# part 1. Without AVX-512 the bit is not looked at. Software that publishes the library's features,
# such as labels of nodes, shows AMXFP8 there.
#
# Status 0: as above. 1: it behaves differently. 2: it could not be tried.
set -euo pipefail

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
unable() { echo "cannot try: $*" >&2; exit 2; }
[ "$(uname -m)" = x86_64 ] || unable "the library asks CPUID on x86 only"
from=$(go mod download -json github.com/klauspost/cpuid/v2@v2.4.2 2>/dev/null | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') || :
[ -n "$from" ] || unable "the library could not be had"
cp -r "$from" library
chmod -R u+w library
cd library
rm -f ./*_test.go
# The library asks the CPU through these variables.
cat >played_test.go <<'END'
package cpuid

import (
	"fmt"
	"testing"
)

func TestPlayed(t *testing.T) {
	cpuid = func(leaf uint32) (a, b, c, d uint32) { return cpuidex(leaf, 0) }
	cpuidex = func(leaf, part uint32) (a, b, c, d uint32) {
		switch {
		case leaf == 0:
			return 7, 0x756e6547, 0x6c65746e, 0x49656e69 // "GenuineIntel"
		case leaf == 1:
			return 0x50654, 0, 1<<28 | 1<<27 | 1<<26, 0 // AVX, OSXSAVE, XSAVE
		case leaf == 7 && part == 0:
			return 0, 1<<16 | 1<<17 | 1<<28 | 1<<30 | 1<<31, 1<<3 | 1<<4, 0 // AVX-512; PKU, OSPKE
		}
		return 0, 0, 0, 0
	}
	xgetbv = func(uint32) (a, b uint32) { return 0xe7, 0 } // SSE, AVX and AVX-512 are saved
	Detect()
	fmt.Println("AVX512F", CPU.Supports(AVX512F))
	fmt.Println("AMXTILE", CPU.Supports(AMXTILE))
	fmt.Println("AMXFP8 ", CPU.Supports(AMXFP8))
}
END
out=$(go test -run TestPlayed . 2>&1) || unable "the library could not be built: $out"
out=$(go test -count=1 -v -run TestPlayed . | grep -E '^(AVX|AMX)') || unable "the test printed nothing"
echo "$out"
[ "$out" = "$(printf 'AVX512F true\nAMXTILE false\nAMXFP8  true')" ]
