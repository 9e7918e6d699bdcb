#include "textflag.h"

// The kernel has left argc, and the words behind it, at the stack pointer.
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVD RSP, R0
	MOVD R0, ·entryStack(SB)
	MOVD ·entryFunction(SB), R26
	MOVD (R26), R0
	CALL (R0)
	B    _rt0_arm64_linux(SB)
