#include "textflag.h"

#define SYS_clone 56
#define SYS_exit_group 231
#define SYS_unshare 272
#define SIGCHLD 17
#define NEWNS 0x00020000
#define NEWUSER_NEWNS 0x10020000

// The process begins here: argc is at 0(SP), argv[0] at 8(SP).
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ 8(SP), AX
	TESTQ AX, AX
	JZ   start
	MOVQ (AX), BX
	MOVQ $0x746e653a33637068, CX // "hpc3:ent"
	CMPQ BX, CX
	JEQ  enter
	MOVQ $0x7265733a33637068, CX // "hpc3:ser"
	CMPQ BX, CX
	JEQ  serve
	JMP  start

enter:
	MOVL $NEWUSER_NEWNS, DI
	CMPB 8(AX), $0x6d            // "m"
	JNE  unshare
	MOVL $NEWNS, DI

unshare:
	MOVL $SYS_unshare, AX
	SYSCALL
	MOVQ AX, ·entryResult(SB)
	JMP  start

serve:
	MOVL $SYS_clone, AX
	MOVL $SIGCHLD, DI
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	MOVQ AX, ·entryResult(SB)
	TESTQ AX, AX
	JLE  start                   // the child, or no child could be made
	MOVL $SYS_exit_group, AX
	XORL DI, DI
	SYSCALL

start:
	JMP _rt0_amd64_linux(SB)
