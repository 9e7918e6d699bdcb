#include "textflag.h"

// The kernel has left argc, and the words behind it, at the stack pointer. R13 is left alone: the
// runtime's entry looks at it.
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	XOR  R0, R0 // compiled code takes it for zero
	MOVD R1, ·entryStack(SB)
	MOVD ·entryFunction(SB), R11
	MOVD (R11), R12
	MOVD R12, CTR
	CALL (CTR)
	BR   _rt0_ppc64le_linux(SB)
