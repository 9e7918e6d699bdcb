package run

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
)

// stage is what the maker, and a joining task, need to know, handed over in a file in memory.
type stage struct {
	Words     []string // what is executed
	Env       []string
	Mounts    []bindMount
	Workdirs  []string // tried in this order
	Strict    bool     // the first of Workdirs was asked for by name
	Passwd    string   // line for the caller
	Accounts  []string // lines for others, where the image does not know their names
	Groups    []string // lines for the caller's groups
	Writable  bool
	KeepPrivs bool // root keeps his capabilities
	Tool      bool // hpc3 enters, and ends with its own statuses where it cannot
	Parent    int  // the process with which the command is to end; 0: none
	UID, GID  int
	Ignored   uint64 // the signals that the caller ignores: bit N is signal N
	Blocked   uint64 // his signal mask
	FileSize  uint64 // his limit of file sizes
	Prefix    string // of messages
	SIF       string // its name, for messages

	Squashfuse string // the program that serves it; "": we do
	Fallback   bool   // we do where it fails
}

// bindMount is one bind. They are made in their order.
type bindMount struct {
	Kind     device.Kind // a bind, unless it says otherwise
	Source   string
	Target   string
	Options  []string
	Optional bool // nothing is said where the source is not there
	Visible  bool // only where the target is not the same directory already
	Exact    bool // at this very path, though a symlink of the image leads it into a directory of the node
	Sealed   bool // of the system: read-only once all is in it
}

// errNUL is what the kernel would say of such a word, less clearly.
var errNUL = errors.New("a word, a variable or a path holds a NUL byte")

// pack writes a stage as words with a NUL behind each, which no word can hold, so that every other byte arrives as it was.
func (st *stage) pack() ([]byte, error) {
	var p packer
	p.list(st.Words)
	p.list(st.Env)
	p.number(len(st.Mounts))
	for _, m := range st.Mounts {
		p.text(string(m.Kind))
		p.text(m.Source)
		p.text(m.Target)
		p.list(m.Options)
		p.flag(m.Optional)
		p.flag(m.Visible)
		p.flag(m.Exact)
		p.flag(m.Sealed)
	}
	p.list(st.Workdirs)
	p.flag(st.Strict)
	p.text(st.Passwd)
	p.list(st.Accounts)
	p.list(st.Groups)
	p.flag(st.Writable)
	p.flag(st.KeepPrivs)
	p.flag(st.Tool)
	p.number(st.Parent)
	p.number(st.UID)
	p.number(st.GID)
	p.number(int(st.Ignored))
	p.number(int(st.Blocked))
	p.number(int(st.FileSize))
	p.text(st.Prefix)
	p.text(st.SIF)
	p.text(st.Squashfuse)
	p.flag(st.Fallback)
	return p.raw, p.err
}

// unpack reads what pack has written.
func unpack(raw []byte) (stage, error) {
	var st stage
	u := unpacker{rest: string(raw)}
	st.Words = u.list()
	st.Env = u.list()
	for range u.count() {
		st.Mounts = append(st.Mounts, bindMount{
			Kind: device.Kind(u.text()), Source: u.text(), Target: u.text(), Options: u.list(), Optional: u.flag(), Visible: u.flag(), Exact: u.flag(), Sealed: u.flag(),
		})
	}
	st.Workdirs = u.list()
	st.Strict = u.flag()
	st.Passwd = u.text()
	st.Accounts = u.list()
	st.Groups = u.list()
	st.Writable = u.flag()
	st.KeepPrivs = u.flag()
	st.Tool = u.flag()
	st.Parent = u.number()
	st.UID = u.number()
	st.GID = u.number()
	st.Ignored = uint64(u.number())
	st.Blocked = uint64(u.number())
	st.FileSize = uint64(u.number())
	st.Prefix = u.text()
	st.SIF = u.text()
	st.Squashfuse = u.text()
	st.Fallback = u.flag()
	if u.rest != "" {
		u.bad = true
	}
	if u.bad || len(st.Words) == 0 {
		return stage{}, errors.New("the plan is damaged")
	}
	return st, nil
}

func readPlan(fd int) (stage, error) {
	raw, err := readMemory(fd)
	if err != nil {
		return stage{}, err
	}
	return unpack(raw)
}

type packer struct {
	raw []byte
	err error
}

func (p *packer) text(s string) {
	if strings.IndexByte(s, 0) >= 0 {
		p.err = errNUL
	}
	p.raw = append(append(p.raw, s...), 0)
}

func (p *packer) number(n int) { p.text(strconv.Itoa(n)) }

func (p *packer) flag(b bool) { p.text(strconv.FormatBool(b)) }

func (p *packer) list(words []string) {
	p.number(len(words))
	for _, w := range words {
		p.text(w)
	}
}

type unpacker struct {
	rest string
	bad  bool
}

func (u *unpacker) text() string {
	s, rest, ok := strings.Cut(u.rest, "\x00")
	u.rest, u.bad = rest, u.bad || !ok
	return s
}

func (u *unpacker) number() int {
	n, err := strconv.Atoi(u.text())
	u.bad = u.bad || err != nil
	return n
}

func (u *unpacker) flag() bool {
	b, err := strconv.ParseBool(u.text())
	u.bad = u.bad || err != nil
	return b
}

// count reads the length of a list: never more than bytes are left.
func (u *unpacker) count() int {
	n := u.number()
	if n < 0 || n > len(u.rest) {
		u.bad = true
		return 0
	}
	return n
}

func (u *unpacker) list() []string {
	n := u.count()
	if n == 0 {
		return nil
	}
	words := make([]string, n)
	for i := range words {
		words[i] = u.text()
	}
	return words
}

// writeMemory returns the descriptor of a file in memory that holds raw.
func writeMemory(raw []byte) (int, error) {
	fd, err := unix.MemfdCreate("hpc3-plan", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, err
	}
	if err := writeAll(fd, raw); err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func writeAll(fd int, raw []byte) error {
	for len(raw) > 0 {
		n, err := unix.Write(fd, raw)
		if err != nil {
			return err
		}
		raw = raw[n:]
	}
	return nil
}

// readMemory reads such a file from its beginning, and closes it.
func readMemory(fd int) ([]byte, error) {
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return nil, err
	}
	raw := make([]byte, s.Size)
	for at := 0; at < len(raw); {
		n, err := unix.Pread(fd, raw[at:], int64(at))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("it is cut short")
		}
		at += n
	}
	return raw, unix.Close(fd)
}
