#include "textflag.h"

#define SYS_mmap 90
#define SYS_wait4 114
#define SYS_sysinfo 116
#define SYS_clone 120
#define SYS_writev 146
#define SYS_rt_sigaction 173
#define SYS_rt_sigprocmask 174
#define SYS_madvise 205
#define SYS_exit_group 234
#define SYS_unshare 282
#define SYS_prlimit64 325
#define SYS_setns 350
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
	MOVBZ b0(R14), to; \
	ANDCC $0x7f, to; \
	MOVBZ b1(R14), free; \
	ANDCC $0x7f, free; \
	SLD  $7, free; \
	OR   free, to; \
	MOVBZ b2(R14), free; \
	ANDCC $0x7f, free; \
	SLD  $14, free; \
	OR   free, to

#define FORK(flags) \
	MOVD flags, R3; \
	MOVD $0, R4; \
	MOVD $0, R5; \
	MOVD $0, R6; \
	MOVD $0, R7; \
	SYSCALL $SYS_clone

#define POPULATE(from, to, how) \
	MOVD $from, R3; \
	ANDCC $~0xffff, R3; \
	MOVD $to, R4; \
	SUB  R3, R4; \
	MOVD how, R5; \
	SYSCALL $SYS_madvise

// The process begins here: argc is at 0(R1), argv[0] at 8(R1). A system call reports an error by the overflow bit. R13
// is left alone: the runtime's entry looks at it.
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	XOR  R0, R0                    // the assembler takes it for zero
	MOVD R0, ·entryResult(SB)
	MOVD 8(R1), R14
	CMP  R14, $0
	BEQ  plain
	MOVD (R14), R15
	MOVD $0x696f6a3a33637068, R16 // "hpc3:joi"
	CMP  R15, R16
	BEQ  join
	MOVD $0x7265733a33637068, R16 // "hpc3:ser"
	CMP  R15, R16
	BEQ  serve

plain:
	MOVD $·entryLimits(SB), R14
	BR   limit

signals:
	XOR  R0, R0
	MOVD $0, R3
	MOVD $0, R4
	ADD  $-64, R1, R5
	MOVD $8, R6
	SYSCALL $SYS_rt_sigprocmask
	MOVD -64(R1), R14
	MOVD R14, ·entryBlocked(SB)
	MOVD $0, R14
	MOVD $1, R15

signal:
	MOVD R15, R3
	MOVD $0, R4
	ADD  $-64, R1, R5
	MOVD $8, R6
	SYSCALL $SYS_rt_sigaction
	BVS  next
	MOVD -64(R1), R16
	CMP  R16, $SIG_IGN
	BNE  next
	MOVD $1, R16
	SLD  R15, R16, R16
	OR   R16, R14, R14

next:
	ADD  $1, R15, R15
	CMP  R15, $64
	BLT  signal
	MOVD R14, ·entryIgnored(SB)
	BR   start

	// The number at R15, decimal, into R16; with no limit in R14 it is the status to end with.
decimal:
	MOVD 8(R15), R17
	MOVD 0(R15), R15
	MOVD $0, R16

digit:
	CMP  R17, $0
	BEQ  parsed
	MULLD $10, R16
	MOVBZ (R15), R18
	ADD  $-0x30, R18               // "0"
	ADD  R18, R16
	ADD  $1, R15
	ADD  $-1, R17
	BR   digit

parsed:
	CMP  R14, $0
	BNE  read
	MOVD R16, R3
	SYSCALL $SYS_exit_group

read:
	MOVD $0, R3
	MOVD 0(R14), R4                // resource
	MOVD $0, R5
	ADD  $-64, R1, R6
	SYSCALL $SYS_prlimit64
	BVS  enough
	XOR  R0, R0                    // the call may have changed it
	MOVD 8(R14), R15               // at
	ADD  $-64, R1, R17
	ADD  R15, R17
	MOVD (R17), R17
	MOVD 16(R14), R15              // shift
	SRD  R15, R17
	MOVD R16, R18
	MOVD 0(R14), R15
	CMP  R15, $RLIMIT_NPROC
	BNE  compare
	// As many as all users of the node have, and those needed, are surely to be had.
	ADD  $-256, R1, R3
	SYSCALL $SYS_sysinfo
	XOR  R0, R0
	MOVHZ -176(R1), R15            // procs
	ADD  R15, R16

compare:
	CMPU R17, R16
	BGE  enough
	MOVD 0(R14), R15
	CMP  R15, $RLIMIT_NPROC
	BNE  short
	MOVD R18, R19
	MOVD $VM_VFORK, R20

	// As many processes as are needed, each a child of the one before, which waits for it.
try:
	FORK(R20)
	BVC  forked
	CMP  R3, $EAGAIN
	BEQ  none
	CMP  R3, $EINVAL
	BEQ  emulated
	BR   enough

forked:
	XOR  R0, R0
	CMP  R3, $0
	BEQ  child
	MOVD R0, -64(R1)
	ADD  $-64, R1, R4
	MOVD $WALL, R5
	MOVD $0, R6
	SYSCALL $SYS_wait4
	MOVWZ -64(R1), R15
	CMP  R15, $0
	BNE  none
	CMP  R18, R19
	BEQ  few
	MOVD $0, R3
	SYSCALL $SYS_exit_group

child:
	ADD  $-1, R19
	CMP  R19, $0
	BNE  try
	MOVD $0, R3
	SYSCALL $SYS_exit_group

none:
	CMP  R18, R19
	BEQ  short
	MOVD $1, R3
	SYSCALL $SYS_exit_group

emulated:                          // qemu knows no child without a signal
	CMP  R20, $VM_VFORK
	BNE  enough
	MOVD $(VM_VFORK|SIGCHLD), R20
	BR   try

few:
	MOVD $1, R15
	MOVD R15, ·entryFew(SB)

enough:
	XOR  R0, R0
	ADD  $80, R14                  // the size of entryLimit
	MOVD $·entryLimits+240(SB), R15
	CMP  R14, R15
	BEQ  signals

limit:
	MOVD 24(R14), R15              // need
	BR   decimal

short:
	XOR  R0, R0
	ADD  $-64, R1, R15
	MOVD $10, R16

print:
	DIVDU R16, R17, R18
	MULLD R16, R18, R19
	SUB  R19, R17                  // the remainder
	ADD  $0x30, R17                // "0"
	ADD  $-1, R15
	MOVB R17, (R15)
	MOVD R18, R17
	CMP  R17, $0
	BNE  print
	MOVD R15, ·entryNumber(SB)
	ADD  $-64, R1, R16
	SUB  R15, R16
	MOVD R16, ·entryNumber+8(SB)
	ADD  $32, R14, R15
	ADD  $-256, R1, R16
	ADD  $96, R16, R17             // six of an iovec

said:
	MOVD 0(R15), R18               // a string looks like an iovec
	MOVD 0(R18), R19
	MOVD R19, 0(R16)
	MOVD 8(R18), R19
	MOVD R19, 8(R16)
	ADD  $8, R15
	ADD  $16, R16
	CMP  R16, R17
	BNE  said
	MOVD $2, R3
	ADD  $-256, R1, R4
	MOVD $6, R5
	SYSCALL $SYS_writev
	XOR  R0, R0
	MOVD $0, R14
	MOVD $·entryStatus(SB), R15
	BR   decimal

join:
	MOVBZ 8(R14), R15
	CMP  R15, $0x6d                // "m"
	BEQ  mountns
	DESCRIPTOR(9, 10, 11, R3, R4)
	MOVD $0x10000000, R4           // CLONE_NEWUSER
	SYSCALL $SYS_setns
	BVS  refused

mountns:
	DESCRIPTOR(12, 13, 14, R3, R4)
	MOVD $0x00020000, R4           // CLONE_NEWNS
	SYSCALL $SYS_setns
	BVC  joined

refused:
	NEG  R3, R3

joined:
	MOVD R3, ·entryResult(SB)
	CMP  R3, $0
	BNE  start
	DESCRIPTOR(15, 16, 17, R7, R8)
	MOVD $PLAY_ADDRESS, R14
	MOVD R14, R3
	MOVD $PLAY_LENGTH, R4
	MOVD $PROT_READ, R5
	MOVD $PRIVATE_FIXED_NOREPLACE, R6
	MOVD $0, R8
	SYSCALL $SYS_mmap
	BVS  start
	CMP  R3, R14
	BNE  start

play:
	MOVD 0(R14), R9
	MOVD 8(R14), R3
	MOVD 16(R14), R4
	MOVD 24(R14), R5
	MOVD 32(R14), R6
	MOVD 40(R14), R7
	MOVD 48(R14), R8
	SYSCALL R9
	BVC  returned
	NEG  R3, R3

returned:
	XOR  R0, R0                    // the call may have changed it
	MOVD 56(R14), R15
	SUB  R15, R3
	MOVD 64(R14), R15
	CMPU R3, R15
	BGT  failed
	MOVD 72(R14), R15
	ADD  R15, R14
	BR   play

failed:
	MOVD 80(R14), R15
	ADD  R15, R14
	CMP  R15, $0
	BNE  play
	BR   start

serve:
	MOVD 16(R1), R14               // argv[1]
	CMP  R14, $0
	BEQ  start
	FORK($SIGCHLD)
	BVS  failure
	CMP  R3, $0
	BEQ  maker
	FORK($SIGCHLD)
	BVS  failure
	CMP  R3, $0
	BEQ  start                     // the file server
	MOVD $0, R3
	SYSCALL $SYS_exit_group

failure:
	MOVD $1, R3                    // no child could be made
	SYSCALL $SYS_exit_group

maker:
	XOR  R0, R0
	MOVD $1, R3
	MOVD R3, ·entryMaker(SB)
	MOVD $0x10020000, R3           // CLONE_NEWUSER|CLONE_NEWNS
	MOVBZ (R14), R15
	CMP  R15, $0x6d                // "m"
	BNE  unshare
	MOVD $0x00020000, R3           // CLONE_NEWNS

unshare:
	SYSCALL $SYS_unshare
	BVC  unshared
	NEG  R3, R3

unshared:
	XOR  R0, R0
	MOVD R3, ·entryResult(SB)

start:
	// All pages of the program at once: the faults of a start, one by one, take longer. A kernel older than 5.14 refuses.
	POPULATE(runtime·text(SB), runtime·etext(SB), $POPULATE_READ)
	POPULATE(runtime·rodata(SB), runtime·erodata(SB), $POPULATE_READ)
	POPULATE(runtime·noptrdata(SB), runtime·edata(SB), $POPULATE_WRITE)
	BR _rt0_ppc64le_linux(SB)
