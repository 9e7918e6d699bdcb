#include "textflag.h"

#define SYS_mmap 9
#define SYS_rt_sigaction 13
#define SYS_rt_sigprocmask 14
#define SYS_writev 20
#define SYS_madvise 28
#define SYS_clone 56
#define SYS_wait4 61
#define SYS_sysinfo 99
#define SYS_exit_group 231
#define SYS_unshare 272
#define SYS_prlimit64 302
#define SYS_setns 308
#define SIGCHLD 17
#define SIG_IGN 1
#define VM_VFORK 0x4100
#define WALL 0x40000000
#define RLIMIT_NPROC 6
#define EAGAIN 11
#define EINVAL 22
#define NEWNS 0x00020000
#define NEWUSER 0x10000000
#define NEWUSER_NEWNS 0x10020000
#define PLAY_ADDRESS 0x1000000000
#define PLAY_LENGTH 0x4000000
#define PROT_READ 1
#define PRIVATE_FIXED_NOREPLACE 0x100002
#define POPULATE_READ 22
#define POPULATE_WRITE 23

// A descriptor's number, seven bits in each of three bytes behind argv[0]'s name, whose eighth keeps them from being zero.
#define DESCRIPTOR(b0, b1, b2, to, free) \
	MOVBLZX b0(R12), to; \
	ANDL $0x7f, to; \
	MOVBLZX b1(R12), free; \
	ANDL $0x7f, free; \
	SHLL $7, free; \
	ORL free, to; \
	MOVBLZX b2(R12), free; \
	ANDL $0x7f, free; \
	SHLL $14, free; \
	ORL free, to

#define FORK(flags) \
	MOVL $SYS_clone, AX; \
	MOVL flags, DI; \
	XORL SI, SI; \
	XORL DX, DX; \
	XORL R10, R10; \
	XORL R8, R8; \
	SYSCALL

#define POPULATE(from, to, how) \
	LEAQ from, DI; \
	ANDQ $~0xfff, DI; \
	LEAQ to, SI; \
	SUBQ DI, SI; \
	MOVL how, DX; \
	MOVL $SYS_madvise, AX; \
	SYSCALL

// The process begins here: argc is at 0(SP), argv[0] at 8(SP).
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ $0, ·entryResult(SB)
	MOVQ 8(SP), R12
	TESTQ R12, R12
	JZ   plain
	MOVQ (R12), BX
	MOVQ $0x696f6a3a33637068, CX // "hpc3:joi"
	CMPQ BX, CX
	JEQ  join
	MOVQ $0x7265733a33637068, CX // "hpc3:ser"
	CMPQ BX, CX
	JEQ  serve

plain:
	LEAQ ·entryLimits(SB), R13
	JMP  limit

signals:
	MOVL $SYS_rt_sigprocmask, AX
	XORL DI, DI
	XORL SI, SI
	LEAQ -64(SP), DX
	MOVL $8, R10
	SYSCALL
	MOVQ -64(SP), BX
	MOVQ BX, ·entryBlocked(SB)
	XORL BX, BX
	MOVL $1, R12

signal:
	MOVL $SYS_rt_sigaction, AX
	MOVL R12, DI
	XORL SI, SI
	LEAQ -64(SP), DX
	MOVL $8, R10
	SYSCALL
	TESTQ AX, AX
	JNZ  next
	CMPQ -64(SP), $SIG_IGN
	JNE  next
	BTSQ R12, BX

next:
	INCL R12
	CMPL R12, $64
	JLT  signal
	MOVQ BX, ·entryIgnored(SB)
	JMP  start

	// The number at SI, decimal, into BX; with no limit in R13 it is the status to end with.
decimal:
	MOVQ 8(SI), CX
	MOVQ 0(SI), SI
	XORL BX, BX

digit:
	TESTQ CX, CX
	JZ   parsed
	IMUL3Q $10, BX, BX
	MOVBLZX (SI), AX
	LEAQ -48(BX)(AX*1), BX        // "0"
	INCQ SI
	DECQ CX
	JMP  digit

parsed:
	TESTQ R13, R13
	JNZ  read
	MOVQ BX, DI
	MOVL $SYS_exit_group, AX
	SYSCALL

read:
	MOVL $SYS_prlimit64, AX
	XORL DI, DI
	MOVQ 0(R13), SI               // resource
	XORL DX, DX
	LEAQ -64(SP), R10
	SYSCALL
	TESTQ AX, AX
	JNZ  enough
	MOVQ 8(R13), AX               // at
	LEAQ -64(SP), DX
	MOVQ (DX)(AX*1), R15
	MOVQ 16(R13), CX              // shift
	SHRQ CX, R15
	MOVQ BX, R14
	CMPQ 0(R13), $RLIMIT_NPROC
	JNE  compare
	// As many as all users of the node have, and those needed, are surely to be had.
	MOVL $SYS_sysinfo, AX
	LEAQ -256(SP), DI
	SYSCALL
	MOVWLZX -176(SP), AX          // procs
	ADDQ AX, BX

compare:
	CMPQ R15, BX
	JCC  enough
	CMPQ 0(R13), $RLIMIT_NPROC
	JNE  short
	MOVQ R14, R12
	MOVL $VM_VFORK, R9

	// As many processes as are needed, each a child of the one before, which waits for it.
try:
	FORK(R9)
	TESTQ AX, AX
	JEQ  child
	CMPQ AX, $-EAGAIN
	JEQ  none
	CMPQ AX, $-EINVAL
	JEQ  emulated
	MOVL $0, -64(SP)
	MOVQ AX, DI
	LEAQ -64(SP), SI
	MOVL $WALL, DX
	XORL R10, R10
	MOVL $SYS_wait4, AX
	SYSCALL
	MOVL -64(SP), BX
	TESTL BX, BX
	JNZ  none
	CMPQ R12, R14
	JEQ  few
	XORL DI, DI
	MOVL $SYS_exit_group, AX
	SYSCALL

child:
	DECQ R12
	JNZ  try
	XORL DI, DI
	MOVL $SYS_exit_group, AX
	SYSCALL

none:
	CMPQ R12, R14
	JEQ  short
	MOVL $1, DI
	MOVL $SYS_exit_group, AX
	SYSCALL

emulated:                         // qemu knows no child without a signal
	CMPL R9, $VM_VFORK
	JNE  enough
	MOVL $(VM_VFORK|SIGCHLD), R9
	JMP  try

few:
	MOVQ $1, ·entryFew(SB)

enough:
	ADDQ $80, R13                 // the size of entryLimit
	LEAQ ·entryLimits+240(SB), AX
	CMPQ R13, AX
	JEQ  signals

limit:
	MOVQ 24(R13), SI              // need
	JMP  decimal

short:
	LEAQ -64(SP), DI
	MOVQ R15, AX
	MOVL $10, CX

print:
	XORL DX, DX
	DIVQ CX
	ADDL $0x30, DX                // "0"
	DECQ DI
	MOVB DX, (DI)
	TESTQ AX, AX
	JNZ  print
	MOVQ DI, ·entryNumber(SB)
	LEAQ -64(SP), AX
	SUBQ DI, AX
	MOVQ AX, ·entryNumber+8(SB)
	XORL CX, CX
	LEAQ -256(SP), BX

said:
	MOVQ 32(R13)(CX*8), SI        // a string looks like an iovec
	MOVQ 0(SI), AX
	MOVQ AX, 0(BX)
	MOVQ 8(SI), AX
	MOVQ AX, 8(BX)
	ADDQ $16, BX
	INCQ CX
	CMPQ CX, $6
	JLT  said
	MOVL $SYS_writev, AX
	MOVL $2, DI
	LEAQ -256(SP), SI
	MOVL $6, DX
	SYSCALL
	XORL R13, R13
	LEAQ ·entryStatus(SB), SI
	JMP  decimal

join:
	CMPB 8(R12), $0x6d           // "m"
	JEQ  mountns
	DESCRIPTOR(9, 10, 11, DI, SI)
	MOVL $NEWUSER, SI
	MOVL $SYS_setns, AX
	SYSCALL
	TESTQ AX, AX
	JNZ  joined

mountns:
	DESCRIPTOR(12, 13, 14, DI, SI)
	MOVL $NEWNS, SI
	MOVL $SYS_setns, AX
	SYSCALL

joined:
	MOVQ AX, ·entryResult(SB)
	TESTQ AX, AX
	JNZ  start
	MOVL $SYS_mmap, AX
	MOVQ $PLAY_ADDRESS, DI
	MOVL $PLAY_LENGTH, SI
	MOVL $PROT_READ, DX
	MOVL $PRIVATE_FIXED_NOREPLACE, R10
	DESCRIPTOR(15, 16, 17, R8, R9)
	XORL R9, R9
	SYSCALL
	MOVQ $PLAY_ADDRESS, BX
	CMPQ AX, BX
	JNE  start

play:
	MOVQ 0(BX), AX
	MOVQ 8(BX), DI
	MOVQ 16(BX), SI
	MOVQ 24(BX), DX
	MOVQ 32(BX), R10
	MOVQ 40(BX), R8
	MOVQ 48(BX), R9
	SYSCALL
	SUBQ 56(BX), AX
	CMPQ AX, 64(BX)
	JHI  failed
	ADDQ 72(BX), BX
	JMP  play

failed:
	MOVQ 80(BX), AX
	ADDQ AX, BX
	TESTQ AX, AX
	JNZ  play
	JMP  start

serve:
	MOVQ 16(SP), R12             // argv[1]
	TESTQ R12, R12
	JZ   start
	FORK($SIGCHLD)
	TESTQ AX, AX
	JLT  end
	JEQ  maker
	FORK($SIGCHLD)
	TESTQ AX, AX
	JEQ  start                   // the file server

end:
	MOVQ AX, DI
	SHRQ $63, DI                 // 1 where no child could be made
	MOVL $SYS_exit_group, AX
	SYSCALL

maker:
	MOVQ $1, ·entryMaker(SB)
	MOVL $NEWUSER_NEWNS, DI
	CMPB (R12), $0x6d            // "m"
	JNE  unshare
	MOVL $NEWNS, DI

unshare:
	MOVL $SYS_unshare, AX
	SYSCALL
	MOVQ AX, ·entryResult(SB)

start:
	// All pages of the program at once: the faults of a start, one by one, take longer. A kernel older than 5.14 refuses.
	POPULATE(runtime·text(SB), runtime·etext(SB), $POPULATE_READ)
	POPULATE(runtime·rodata(SB), runtime·erodata(SB), $POPULATE_READ)
	POPULATE(runtime·noptrdata(SB), runtime·edata(SB), $POPULATE_WRITE)
	JMP _rt0_amd64_linux(SB)
