package native

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Some stages of a start only make system calls that are known before they begin, and Go's start
// takes longer than all of them. So they are recorded in a file in memory, and played by the
// entry. A stage that stops at one of its calls goes on in Go.

// playAddress is where a recording is mapped, and what its pointers are written for: it is free
// when a program starts, on every architecture.
const playAddress = 0x1000000000

// callList is the beginning of a recording.
type callList struct {
	calls *call
	plan  *byte // what Go needs to know if the calls stop
	size  int   // of the plan
}

// call is one system call. Its result is good if it is, as an unsigned number, at least want, and
// at most span more.
type call struct {
	number          uintptr
	args            [6]uintptr
	want, span      uint64
	good, bad, zero int // how many calls to go on by; zero: if the result is 0, unless this is 0
	purpose         purpose
}

const callSize = int(unsafe.Sizeof(call{}))

// stop ends the calls: Go starts.
const stop = math.MinInt

// purpose says what a call is for, and so what it means if the calls stop there.
type purpose int

const (
	toPrepare purpose = iota
	toEnter
	toChangeDir
	toDropPrivileges
	toEndWithParent
	toFind
	toExecute
	toServe
	toMake
)

// recording collects calls. The data that they point at lies before them.
type recording struct {
	calls []call
	data  []byte
}

func newRecording(plan []byte) *recording {
	const header = int(unsafe.Sizeof(callList{}))
	r := &recording{calls: make([]call, 0, 128), data: make([]byte, header, header+2*len(plan))}
	binary.NativeEndian.PutUint64(r.data[unsafe.Offsetof(callList{}.plan):], uint64(r.end()))
	binary.NativeEndian.PutUint64(r.data[unsafe.Offsetof(callList{}.size):], uint64(len(plan)))
	r.data = append(r.data, plan...)
	return r
}

// must adds a call at which the calls stop if it fails.
func (r *recording) must(p purpose, number uintptr, args ...uintptr) *call {
	c := call{number: number, span: math.MaxInt64, good: 1, bad: stop, purpose: p}
	copy(c.args[:], args)
	r.calls = append(r.calls, c)
	return &r.calls[len(r.calls)-1]
}

// may adds a call that may fail.
func (r *recording) may(number uintptr, args ...uintptr) *call {
	c := r.must(toPrepare, number, args...)
	c.bad = 1
	return c
}

// end is the address of what is added next.
func (r *recording) end() uintptr { return playAddress + uintptr(len(r.data)) }

func (r *recording) text(s string) uintptr {
	at := r.end()
	r.data = append(append(r.data, s...), 0)
	return at
}

func (r *recording) numbers(list ...uint64) uintptr {
	r.align()
	at := r.end()
	for _, n := range list {
		r.data = binary.NativeEndian.AppendUint64(r.data, n)
	}
	return at
}

func (r *recording) align() {
	for len(r.data)%8 != 0 {
		r.data = append(r.data, 0)
	}
}

// vector is a list of words as execve takes it.
func (r *recording) vector(words []string) uintptr {
	list := make([]uint64, len(words)+1)
	for i, w := range words {
		list[i] = uint64(r.text(w))
	}
	return r.numbers(list...)
}

// file is the recording as playFile reads it.
func (r *recording) file() []byte {
	r.align()
	binary.NativeEndian.PutUint64(r.data[unsafe.Offsetof(callList{}.calls):], uint64(r.end()))
	first := (*byte)(unsafe.Pointer(unsafe.SliceData(r.calls)))
	return append(r.data, unsafe.Slice(first, callSize*len(r.calls))...)
}
