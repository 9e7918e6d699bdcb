//go:build !amd64 && !arm64 && !ppc64le && !riscv64

#include "textflag.h"

// This architecture has no entry, so no programs are built for it.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	RET
