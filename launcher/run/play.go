package run

import (
	"encoding/binary"
	"math"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// A task that joins its step's container has only system calls left to make, which are known before it enters, and Go's start takes longer than
// all of them. So they are written down, and the entry makes them. Where one ends unlike what was foreseen, the entry gives up: Go starts,
// makes all of them once more, which harms nothing, and says what is wrong.

// Where the entry maps the calls: it is free in the program at its start, on every architecture, and the calls' pointers are
// written for it. The same numbers stand in the entry's source.
const (
	playAddress = 0x1000000000
	playLength  = 0x4000000 // a mapping may be longer than its file
)

// call is one system call. Its result is good if it is, as an unsigned number, at least want, and at most span more.
type call struct {
	number     uintptr
	args       [6]arg
	want, span uint64
	good, bad  int // how many calls to go on by; 0: give up
}

// arg is an argument: a number, or a pointer into the data.
type arg struct {
	number  uint64
	pointer bool
}

func number(n int) arg { return arg{number: uint64(n)} }

// player collects calls. The data that their pointers point at follows them.
type player struct {
	calls []call
	data  []byte
	moved []int // where in data pointers are
}

// need adds a call that must succeed.
func (p *player) need(n uintptr, args ...arg) *call {
	c := call{number: n, span: math.MaxInt64, good: 1}
	copy(c.args[:], args)
	p.calls = append(p.calls, c)
	return &p.calls[len(p.calls)-1]
}

// try adds a call that may fail.
func (p *player) try(n uintptr, args ...arg) { p.need(n, args...).bad = 1 }

func (p *player) text(s string) arg {
	a := arg{uint64(len(p.data)), true}
	p.data = append(append(p.data, s...), 0)
	return a
}

func (p *player) numbers(list ...uint64) arg {
	for len(p.data)%8 != 0 {
		p.data = append(p.data, 0)
	}
	a := arg{uint64(len(p.data)), true}
	for _, n := range list {
		p.data = binary.NativeEndian.AppendUint64(p.data, n)
	}
	return a
}

// vector is a list of words as execve takes it.
func (p *player) vector(words []string) arg {
	list := make([]uint64, len(words)+1)
	for i, w := range words {
		list[i] = p.text(w).number
	}
	a := p.numbers(list...)
	for i := range words {
		p.moved = append(p.moved, int(a.number)+8*i)
	}
	return a
}

// pack returns the calls as the entry reads them: numbers of eight bytes, in the order of call's fields, the last two in bytes.
func (p *player) pack() []byte {
	const size = 11 * 8
	base := uint64(playAddress + size*len(p.calls))
	raw := make([]byte, 0, size*len(p.calls)+len(p.data))
	add := func(n uint64) { raw = binary.NativeEndian.AppendUint64(raw, n) }
	for _, c := range p.calls {
		add(uint64(c.number))
		for _, a := range c.args {
			if a.pointer {
				a.number += base
			}
			add(a.number)
		}
		add(c.want)
		add(c.span)
		add(uint64(c.good * size))
		add(uint64(c.bad * size))
	}
	for _, at := range p.moved {
		binary.NativeEndian.PutUint64(p.data[at:], binary.NativeEndian.Uint64(p.data[at:])+base)
	}
	return append(raw, p.data...)
}

// play is what become does, as calls; fds end with exec.
func (st *stage) play(fds []int, hardFileSize uint64) []byte {
	p := player{calls: make([]call, 0, 128)}
	for _, fd := range fds {
		p.need(unix.SYS_FCNTL, number(fd), number(unix.F_SETFD), number(unix.FD_CLOEXEC))
	}
	for i, dir := range st.Workdirs {
		c := p.need(unix.SYS_CHDIR, p.text(dir))
		c.good = len(st.Workdirs) - i
		if i+1 < len(st.Workdirs) {
			c.bad = 1
		}
	}
	if !st.KeepPrivs {
		p.try(unix.SYS_PRCTL, number(unix.PR_CAP_AMBIENT), number(unix.PR_CAP_AMBIENT_CLEAR_ALL))
		for c := range 64 {
			p.try(unix.SYS_PRCTL, number(unix.PR_CAPBSET_DROP), number(c))
		}
		p.need(unix.SYS_CAPSET, p.numbers(unix.LINUX_CAPABILITY_VERSION_3), p.numbers(0, 0, 0))
		p.need(unix.SYS_PRCTL, number(unix.PR_SET_NO_NEW_PRIVS), number(1))
	}
	ignore := p.numbers(1, 0, 0, 0, 0, 0, 0, 0) // SIG_IGN
	for n := range 64 {
		if st.Ignored&(1<<n) != 0 {
			p.need(unix.SYS_RT_SIGACTION, number(n), ignore, number(0), number(8))
		}
	}
	p.need(unix.SYS_RT_SIGPROCMASK, number(unix.SIG_SETMASK), p.numbers(st.Blocked), number(0), number(8))
	p.need(unix.SYS_PRLIMIT64, number(0), number(unix.RLIMIT_FSIZE), p.numbers(st.FileSize, hardFileSize))
	if st.Parent != 0 {
		p.need(unix.SYS_PRCTL, number(unix.PR_SET_PDEATHSIG), number(int(unix.SIGKILL)))
		c := p.need(unix.SYS_GETPPID)
		c.want, c.span = uint64(st.Parent), 0
	}
	p.exec(st)
	p.giveUp()
	if raw := p.pack(); len(raw) <= playLength {
		return raw
	}
	p = player{}
	p.giveUp()
	return p.pack()
}

// giveUp adds a call that cannot succeed.
func (p *player) giveUp() { p.need(unix.SYS_FCNTL, number(-1), number(unix.F_GETFD)) }

// exec looks for the command as find does.
func (p *player) exec(st *stage) {
	word := st.Words[0]
	words, env := p.vector(st.Words), p.vector(st.Env)
	if strings.Contains(word, "/") {
		p.need(unix.SYS_EXECVE, p.text(word), words, env)
		return
	}
	for dir := range strings.SplitSeq(lookup(st.Env, "PATH"), ":") {
		if dir != "" && word != "" {
			file := p.text(path.Join(dir, word))
			p.need(unix.SYS_FACCESSAT, number(unix.AT_FDCWD), file, number(unix.X_OK)).bad = 2
			p.need(unix.SYS_EXECVE, file, words, env)
		}
	}
}
