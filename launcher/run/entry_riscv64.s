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
	MOVBU b0(X18), to; \
	AND  $0x7f, to; \
	MOVBU b1(X18), free; \
	AND  $0x7f, free; \
	SLL  $7, free; \
	OR   free, to; \
	MOVBU b2(X18), free; \
	AND  $0x7f, free; \
	SLL  $14, free; \
	OR   free, to

#define FORK(flags) \
	MOV  flags, A0; \
	MOV  $0, A1; \
	MOV  $0, A2; \
	MOV  $0, A3; \
	MOV  $0, A4; \
	MOV  $SYS_clone, A7; \
	ECALL

#define POPULATE(from, to, how) \
	MOV  $from, A0; \
	AND  $~0xffff, A0; \
	MOV  $to, A1; \
	SUB  A0, A1; \
	MOV  how, A2; \
	MOV  $SYS_madvise, A7; \
	ECALL

// The process begins here: argc is at 0(X2), argv[0] at 8(X2).
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOV  ZERO, ·entryResult(SB)
	MOV  8(X2), X18
	BEQZ X18, plain
	// argv[0] may lie at any address: byte by byte, since not every processor reads eight at once there.
	MOV  $7, X19
	MOV  $0, X20

byte:
	ADD  X18, X19, X21
	MOVBU (X21), X22
	SLL  $8, X20, X20
	OR   X22, X20, X20
	ADD  $-1, X19, X19
	BGE  X19, ZERO, byte
	MOV  $0x696f6a3a33637068, X21 // "hpc3:joi"
	BEQ  X20, X21, join
	MOV  $0x7265733a33637068, X21 // "hpc3:ser"
	BEQ  X20, X21, serve

plain:
	ADD  $-256, X2
	MOV  $·entryLimits(SB), X18
	JMP  limit

signals:
	MOV  $0, A0
	MOV  $0, A1
	MOV  X2, A2
	MOV  $8, A3
	MOV  $SYS_rt_sigprocmask, A7
	ECALL
	MOV  (X2), X18
	MOV  X18, ·entryBlocked(SB)
	MOV  $0, X18
	MOV  $1, X19

signal:
	MOV  X19, A0
	MOV  $0, A1
	MOV  X2, A2
	MOV  $8, A3
	MOV  $SYS_rt_sigaction, A7
	ECALL
	BNEZ A0, next
	MOV  (X2), X20
	MOV  $SIG_IGN, X21
	BNE  X20, X21, next
	SLL  X19, X21, X21
	OR   X21, X18, X18

next:
	ADD  $1, X19, X19
	MOV  $64, X20
	BLT  X19, X20, signal
	ADD  $256, X2
	MOV  X18, ·entryIgnored(SB)
	JMP  start

	// The number at X19, decimal, into X20; with no limit in X18 it is the status to end with.
decimal:
	MOV  8(X19), X21
	MOV  0(X19), X19
	MOV  $0, X20

digit:
	BEQZ X21, parsed
	MOV  $10, X22
	MUL  X22, X20
	MOVBU (X19), X22
	ADD  $-0x30, X22              // "0"
	ADD  X22, X20
	ADD  $1, X19
	ADD  $-1, X21
	JMP  digit

parsed:
	BNEZ X18, read
	MOV  X20, A0
	MOV  $SYS_exit_group, A7
	ECALL

read:
	MOV  $0, A0
	MOV  0(X18), A1               // resource
	MOV  $0, A2
	MOV  X2, A3
	MOV  $SYS_prlimit64, A7
	ECALL
	BNEZ A0, enough
	MOV  8(X18), X19              // at
	ADD  X2, X19
	MOV  (X19), X21
	MOV  16(X18), X19             // shift
	SRL  X19, X21
	MOV  X20, X23
	MOV  0(X18), X19
	MOV  $RLIMIT_NPROC, X24
	BNE  X19, X24, compare
	// As many as all users of the node have, and those needed, are surely to be had.
	MOV  X2, A0
	MOV  $SYS_sysinfo, A7
	ECALL
	MOVHU 80(X2), X19             // procs
	ADD  X19, X20

compare:
	BGEU X21, X20, enough
	MOV  0(X18), X19
	MOV  $RLIMIT_NPROC, X24
	BNE  X19, X24, short
	MOV  X23, X24
	MOV  $VM_VFORK, X25

	// As many processes as are needed, each a child of the one before, which waits for it.
try:
	FORK(X25)
	BEQZ A0, child
	MOV  $-EAGAIN, X19
	BEQ  A0, X19, none
	MOV  $-EINVAL, X19
	BEQ  A0, X19, emulated
	MOV  ZERO, (X2)
	MOV  X2, A1
	MOV  $WALL, A2
	MOV  $0, A3
	MOV  $SYS_wait4, A7
	ECALL
	MOVWU (X2), X19
	BNEZ X19, none
	BEQ  X23, X24, few
	MOV  $0, A0
	MOV  $SYS_exit_group, A7
	ECALL

child:
	ADD  $-1, X24
	BNEZ X24, try
	MOV  $0, A0
	MOV  $SYS_exit_group, A7
	ECALL

none:
	BEQ  X23, X24, short
	MOV  $1, A0
	MOV  $SYS_exit_group, A7
	ECALL

emulated:                         // qemu knows no child without a signal
	MOV  $VM_VFORK, X19
	BNE  X19, X25, enough
	MOV  $(VM_VFORK|SIGCHLD), X25
	JMP  try

few:
	MOV  $1, X19
	MOV  X19, ·entryFew(SB)

enough:
	ADD  $80, X18                 // the size of entryLimit
	MOV  $·entryLimits+240(SB), X19
	BEQ  X18, X19, signals

limit:
	MOV  24(X18), X19             // need
	JMP  decimal

short:
	ADD  $256, X2, X19
	MOV  $10, X20

print:
	REMU X20, X21, X22
	DIVU X20, X21
	ADD  $0x30, X22               // "0"
	ADD  $-1, X19
	MOVB X22, (X19)
	BNEZ X21, print
	MOV  X19, ·entryNumber(SB)
	ADD  $256, X2, X20
	SUB  X19, X20
	MOV  X20, ·entryNumber+8(SB)
	ADD  $32, X18, X19
	MOV  X2, X20
	ADD  $96, X20, X21            // six of an iovec

said:
	MOV  0(X19), X22              // a string looks like an iovec
	MOV  0(X22), X23
	MOV  X23, 0(X20)
	MOV  8(X22), X23
	MOV  X23, 8(X20)
	ADD  $8, X19
	ADD  $16, X20
	BNE  X20, X21, said
	MOV  $2, A0
	MOV  X2, A1
	MOV  $6, A2
	MOV  $SYS_writev, A7
	ECALL
	MOV  $0, X18
	MOV  $·entryStatus(SB), X19
	JMP  decimal

join:
	MOVBU 8(X18), X19
	MOV   $0x6d, X20              // "m"
	BEQ   X19, X20, mountns
	DESCRIPTOR(9, 10, 11, A0, A1)
	MOV   $0x10000000, A1         // CLONE_NEWUSER
	MOV   $SYS_setns, A7
	ECALL
	BNEZ  A0, joined

mountns:
	DESCRIPTOR(12, 13, 14, A0, A1)
	MOV   $0x00020000, A1         // CLONE_NEWNS
	MOV   $SYS_setns, A7
	ECALL

joined:
	MOV  A0, ·entryResult(SB)
	BNEZ A0, start
	MOV  $PLAY_ADDRESS, A0
	MOV  $PLAY_LENGTH, A1
	MOV  $PROT_READ, A2
	MOV  $PRIVATE_FIXED_NOREPLACE, A3
	DESCRIPTOR(15, 16, 17, A4, A5)
	MOV  $0, A5
	MOV  $SYS_mmap, A7
	ECALL
	MOV  $PLAY_ADDRESS, X18
	BNE  X18, A0, start

play:
	MOV  0(X18), A7
	MOV  8(X18), A0
	MOV  16(X18), A1
	MOV  24(X18), A2
	MOV  32(X18), A3
	MOV  40(X18), A4
	MOV  48(X18), A5
	ECALL
	MOV  56(X18), X19
	SUB  X19, A0
	MOV  64(X18), X19
	BLTU X19, A0, failed
	MOV  72(X18), X19
	ADD  X19, X18
	JMP  play

failed:
	MOV  80(X18), X19
	ADD  X19, X18
	BNEZ X19, play
	JMP  start

serve:
	MOV  16(X2), X18              // argv[1]
	BEQZ X18, start
	FORK($SIGCHLD)
	BLT  A0, ZERO, end
	BEQZ A0, maker
	FORK($SIGCHLD)
	BEQZ A0, start                // the file server

end:
	SRL  $63, A0, A0              // 1 where no child could be made
	MOV  $SYS_exit_group, A7
	ECALL

maker:
	MOV   $1, A0
	MOV   A0, ·entryMaker(SB)
	MOV   $0x10020000, A0         // CLONE_NEWUSER|CLONE_NEWNS
	MOVBU (X18), X19
	MOV   $0x6d, X20              // "m"
	BNE   X19, X20, unshare
	MOV   $0x00020000, A0         // CLONE_NEWNS

unshare:
	MOV  $SYS_unshare, A7
	ECALL
	MOV  A0, ·entryResult(SB)

start:
	// All pages of the program at once: the faults of a start, one by one, take longer. A kernel older than 5.14 refuses.
	POPULATE(runtime·text(SB), runtime·etext(SB), $POPULATE_READ)
	POPULATE(runtime·rodata(SB), runtime·erodata(SB), $POPULATE_READ)
	POPULATE(runtime·noptrdata(SB), runtime·edata(SB), $POPULATE_WRITE)
	JMP _rt0_riscv64_linux(SB)
