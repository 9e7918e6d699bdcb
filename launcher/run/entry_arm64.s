#include "textflag.h"

#define SYS_writev 66
#define SYS_exit_group 94
#define SYS_unshare 97
#define SYS_rt_sigaction 134
#define SYS_rt_sigprocmask 135
#define SYS_sysinfo 179
#define SYS_clone 220
#define SYS_mmap 222
#define SYS_madvise 233
#define SYS_wait4 260
#define SYS_prlimit64 261
#define SYS_setns 268
#define SIGCHLD 17
#define SIG_IGN 1
#define VM_VFORK 0x4100
#define WALL 0x40000000
#define RLIMIT_NPROC 6
#define EAGAIN 11
#define EINVAL 22
#define PLAY_ADDRESS 0x1000000000
#define PLAY_LENGTH 0x4000000
#define PROT_READ 1
#define PRIVATE_FIXED_NOREPLACE 0x100002
#define POPULATE_READ 22
#define POPULATE_WRITE 23

// A descriptor's number, seven bits in each of three bytes behind argv[0]'s name, whose eighth keeps them from being zero.
#define DESCRIPTOR(b0, b1, b2, to, free) \
	MOVBU b0(R9), to; \
	AND  $0x7f, to; \
	MOVBU b1(R9), free; \
	AND  $0x7f, free; \
	ORR  free<<7, to; \
	MOVBU b2(R9), free; \
	AND  $0x7f, free; \
	ORR  free<<14, to

#define FORK(flags) \
	MOVD flags, R0; \
	MOVD $0, R1; \
	MOVD $0, R2; \
	MOVD $0, R3; \
	MOVD $0, R4; \
	MOVD $SYS_clone, R8; \
	SVC

#define POPULATE(from, to, how) \
	MOVD $from, R0; \
	AND  $~0xffff, R0; \
	MOVD $to, R1; \
	SUB  R0, R1; \
	MOVD how, R2; \
	MOVD $SYS_madvise, R8; \
	SVC

// The process begins here: argc is at 0(RSP), argv[0] at 8(RSP).
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVD ZR, ·entryResult(SB)
	MOVD 8(RSP), R9
	CBZ  R9, plain
	MOVD (R9), R10
	MOVD $0x696f6a3a33637068, R11 // "hpc3:joi"
	CMP  R11, R10
	BEQ  join
	MOVD $0x7265733a33637068, R11 // "hpc3:ser"
	CMP  R11, R10
	BEQ  serve

plain:
	SUB  $256, RSP
	MOVD $·entryLimits(SB), R19
	B    limit

signals:
	MOVD $0, R0
	MOVD $0, R1
	MOVD RSP, R2
	MOVD $8, R3
	MOVD $SYS_rt_sigprocmask, R8
	SVC
	MOVD (RSP), R9
	MOVD R9, ·entryBlocked(SB)
	MOVD $0, R9
	MOVD $1, R10

signal:
	MOVD R10, R0
	MOVD $0, R1
	MOVD RSP, R2
	MOVD $8, R3
	MOVD $SYS_rt_sigaction, R8
	SVC
	CBNZ R0, next
	MOVD (RSP), R11
	CMP  $SIG_IGN, R11
	BNE  next
	MOVD $1, R11
	LSL  R10, R11, R11
	ORR  R11, R9, R9

next:
	ADD  $1, R10, R10
	CMP  $64, R10
	BLT  signal
	ADD  $256, RSP
	MOVD R9, ·entryIgnored(SB)
	B    start

	// The number at R10, decimal, into R20; with no limit in R19 it is the status to end with.
decimal:
	MOVD 8(R10), R11
	MOVD 0(R10), R10
	MOVD $0, R20

digit:
	CBZ  R11, parsed
	MOVD $10, R12
	MUL  R12, R20
	MOVBU (R10), R12
	SUB  $0x30, R12               // "0"
	ADD  R12, R20
	ADD  $1, R10
	SUB  $1, R11
	B    digit

parsed:
	CBNZ R19, read
	MOVD R20, R0
	MOVD $SYS_exit_group, R8
	SVC

read:
	MOVD $0, R0
	MOVD 0(R19), R1               // resource
	MOVD $0, R2
	MOVD RSP, R3
	MOVD $SYS_prlimit64, R8
	SVC
	CBNZ R0, enough
	MOVD 8(R19), R10              // at
	MOVD RSP, R11
	ADD  R10, R11
	MOVD (R11), R21
	MOVD 16(R19), R10             // shift
	LSR  R10, R21
	MOVD R20, R22
	MOVD 0(R19), R10
	CMP  $RLIMIT_NPROC, R10
	BNE  compare
	// As many as all users of the node have, and those needed, are surely to be had.
	MOVD RSP, R0
	MOVD $SYS_sysinfo, R8
	SVC
	MOVHU 80(RSP), R10            // procs
	ADD  R10, R20

compare:
	CMP  R20, R21                 // R21 against R20
	BHS  enough
	MOVD 0(R19), R10
	CMP  $RLIMIT_NPROC, R10
	BNE  short
	MOVD R22, R23
	MOVD $VM_VFORK, R24

	// As many processes as are needed, each a child of the one before, which waits for it.
try:
	FORK(R24)
	CBZ  R0, child
	CMN  $EAGAIN, R0
	BEQ  none
	CMN  $EINVAL, R0
	BEQ  emulated
	MOVD ZR, (RSP)
	MOVD RSP, R1
	MOVD $WALL, R2
	MOVD $0, R3
	MOVD $SYS_wait4, R8
	SVC
	MOVWU (RSP), R10
	CBNZ R10, none
	CMP  R22, R23
	BEQ  few
	MOVD $0, R0
	MOVD $SYS_exit_group, R8
	SVC

child:
	SUB  $1, R23
	CBNZ R23, try
	MOVD $0, R0
	MOVD $SYS_exit_group, R8
	SVC

none:
	CMP  R22, R23
	BEQ  short
	MOVD $1, R0
	MOVD $SYS_exit_group, R8
	SVC

emulated:                         // qemu knows no child without a signal
	CMP  $VM_VFORK, R24
	BNE  enough
	MOVD $(VM_VFORK|SIGCHLD), R24
	B    try

few:
	MOVD $1, R10
	MOVD R10, ·entryFew(SB)

enough:
	ADD  $80, R19                 // the size of entryLimit
	MOVD $·entryLimits+240(SB), R10
	CMP  R10, R19
	BEQ  signals

limit:
	MOVD 24(R19), R10             // need
	B    decimal

short:
	ADD  $256, RSP, R10
	MOVD $10, R11

print:
	UDIV R11, R21, R12
	MSUB R11, R21, R12, R13       // the remainder
	ADD  $0x30, R13               // "0"
	SUB  $1, R10
	MOVB R13, (R10)
	MOVD R12, R21
	CBNZ R21, print
	MOVD R10, ·entryNumber(SB)
	ADD  $256, RSP, R11
	SUB  R10, R11
	MOVD R11, ·entryNumber+8(SB)
	ADD  $32, R19, R10
	MOVD RSP, R11
	ADD  $96, R11, R12            // six of an iovec

said:
	MOVD 0(R10), R13              // a string looks like an iovec
	MOVD 0(R13), R14
	MOVD R14, 0(R11)
	MOVD 8(R13), R14
	MOVD R14, 8(R11)
	ADD  $8, R10
	ADD  $16, R11
	CMP  R12, R11
	BNE  said
	MOVD $2, R0
	MOVD RSP, R1
	MOVD $6, R2
	MOVD $SYS_writev, R8
	SVC
	MOVD $0, R19
	MOVD $·entryStatus(SB), R10
	B    decimal

join:
	MOVBU 8(R9), R10
	CMP   $0x6d, R10              // "m"
	BEQ   mountns
	DESCRIPTOR(9, 10, 11, R0, R1)
	MOVD  $0x10000000, R1         // CLONE_NEWUSER
	MOVD  $SYS_setns, R8
	SVC
	CBNZ  R0, joined

mountns:
	DESCRIPTOR(12, 13, 14, R0, R1)
	MOVD  $0x00020000, R1         // CLONE_NEWNS
	MOVD  $SYS_setns, R8
	SVC

joined:
	MOVD R0, ·entryResult(SB)
	CBNZ R0, start
	MOVD $PLAY_ADDRESS, R0
	MOVD $PLAY_LENGTH, R1
	MOVD $PROT_READ, R2
	MOVD $PRIVATE_FIXED_NOREPLACE, R3
	DESCRIPTOR(15, 16, 17, R4, R5)
	MOVD $0, R5
	MOVD $SYS_mmap, R8
	SVC
	MOVD $PLAY_ADDRESS, R9
	CMP  R9, R0
	BNE  start

play:
	MOVD 0(R9), R8
	MOVD 8(R9), R0
	MOVD 16(R9), R1
	MOVD 24(R9), R2
	MOVD 32(R9), R3
	MOVD 40(R9), R4
	MOVD 48(R9), R5
	SVC
	MOVD 56(R9), R10
	SUB  R10, R0
	MOVD 64(R9), R10
	CMP  R10, R0                  // R0 against R10
	BHI  failed
	MOVD 72(R9), R10
	ADD  R10, R9
	B    play

failed:
	MOVD 80(R9), R10
	ADD  R10, R9
	CBNZ R10, play
	B    start

serve:
	MOVD 16(RSP), R9              // argv[1]
	CBZ  R9, start
	FORK($SIGCHLD)
	CMP  $0, R0
	BLT  end
	BEQ  maker
	FORK($SIGCHLD)
	CBZ  R0, start                // the file server

end:
	LSR  $63, R0, R0              // 1 where no child could be made
	MOVD $SYS_exit_group, R8
	SVC

maker:
	MOVD  $1, R0
	MOVD  R0, ·entryMaker(SB)
	MOVD  $0x10020000, R0         // CLONE_NEWUSER|CLONE_NEWNS
	MOVBU (R9), R10
	CMP   $0x6d, R10              // "m"
	BNE   unshare
	MOVD  $0x00020000, R0         // CLONE_NEWNS

unshare:
	MOVD $SYS_unshare, R8
	SVC
	MOVD R0, ·entryResult(SB)

start:
	// All pages of the program at once: the faults of a start, one by one, take longer. A kernel older than 5.14 refuses.
	POPULATE(runtime·text(SB), runtime·etext(SB), $POPULATE_READ)
	POPULATE(runtime·rodata(SB), runtime·erodata(SB), $POPULATE_READ)
	POPULATE(runtime·noptrdata(SB), runtime·edata(SB), $POPULATE_WRITE)
	B _rt0_arm64_linux(SB)
