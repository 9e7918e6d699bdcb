#include "textflag.h"

// The kernel has left argc, and the words behind it, at the stack pointer.
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ  SP, ·entryStack(SB)
	XORPS X15, X15 // compiled code takes it for zero
	MOVQ  ·entryFunction(SB), DX
	CALL  (DX)
	JMP   _rt0_amd64_linux(SB)
