//go:build !amd64 && !arm64 && !ppc64le && !riscv64

#include "textflag.h"

// There is no entry of ours for this architecture: the native engine says so, and the Makefile links the program without it.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	RET
