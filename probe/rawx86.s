//go:build amd64 || 386

#include "textflag.h"

// func rawCPUID(leaf, sub uint32) (eax, ebx, ecx, edx uint32)
TEXT ·rawCPUID(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	MOVL DX, edx+20(FP)
	RET

// func rawXCR0() (eax, edx uint32)
TEXT ·rawXCR0(SB), NOSPLIT, $0-8
	MOVL $0, CX
	XGETBV
	MOVL AX, eax+0(FP)
	MOVL DX, edx+4(FP)
	RET
