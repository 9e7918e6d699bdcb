#include "textflag.h"

// The kernel has left argc, and the words behind it, at the stack pointer.
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOV  X2, ·entryStack(SB)
	MOV  ·entryFunction(SB), X26
	MOV  (X26), X5
	CALL X5
	JMP  _rt0_riscv64_linux(SB)
