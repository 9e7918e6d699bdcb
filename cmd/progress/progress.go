// Package progress writes what happens before a command starts or a tool is done: nothing where it is quick, and otherwise
// enough not to look hung. On a terminal that is one line which is rewritten in place and leaves nothing behind; in a file, where each line
// stays on record, it is a line now and then.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/notes"
)

const (
	redraw   = 100 * time.Millisecond // how often the line of a terminal is rewritten
	quick    = 500 * time.Millisecond // what takes no longer needs no line
	interval = 10 * time.Second       // between two lines of a file
	window   = 3 * time.Second        // over which the rate is taken
	logged   = 80                     // columns of a line of a file, where they are enough
)

// erase goes to the start of the line and removes what stands there: ECMA-48, EL.
const erase = "\r\x1b[K"

// Options say what is told, and where.
type Options struct {
	Program string     // in front of each line that stays
	Quiet   bool       // nothing but errors, which are not ours
	Verbose bool       // notes as well
	Width   func() int // columns of the terminal, 0 where they cannot be told; nil where there is no terminal to draw on
}

// Teller writes lines that stay, and how far a walk is. Its methods may be called from several goroutines.
type Teller struct {
	out io.Writer
	opt Options

	mu      sync.Mutex
	drawn   bool // a line that will be erased stands on the terminal
	image   string
	begun   time.Time // when the image was seen first
	told    time.Time // the last line of a file
	samples []sample

	stop, ended chan struct{} // nil before Watch
}

type sample struct {
	at time.Time
	in int64 // bytes that came
}

// New returns a teller that writes to out.
func New(out io.Writer, opt Options) *Teller { return &Teller{out: out, opt: opt} }

// Width returns what Options wants: nil unless out is a terminal on which a line can be rewritten. Where CI is set, a
// terminal is a pretence and its output a file.
func Width(out io.Writer, getenv func(string) string) func() int {
	f, ok := out.(*os.File)
	if !ok || getenv("CI") != "" || getenv("TERM") == "" || getenv("TERM") == "dumb" {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return func() int {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return 0
		}
		return int(size.Col)
	}
}

// Columns returns how wide the terminal is that out is; 0 where it is none. One that does not tell has 80.
func Columns(out io.Writer) int {
	f, ok := out.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	switch {
	case err != nil:
		return 0
	case size.Col == 0:
		return 80
	}
	return int(size.Col)
}

// Note writes a line for those who want to know more.
func (t *Teller) Note(text string) {
	if t.opt.Verbose {
		t.line(text)
	}
}

// Say writes a line.
func (t *Teller) Say(text string) {
	if !t.opt.Quiet {
		t.line(text)
	}
}

func (t *Teller) line(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
	fmt.Fprintf(t.out, "%s: %s\n", t.opt.Program, text)
}

// erase removes the line that does not stay. The caller holds mu.
func (t *Teller) erase() {
	if t.drawn {
		fmt.Fprint(t.out, erase)
		t.drawn = false
	}
}

// Watch begins to tell how far a walk is, until Stop.
func (t *Teller) Watch(p *notes.Progress) {
	if t.opt.Quiet || t.stop != nil {
		return
	}
	t.stop, t.ended = make(chan struct{}), make(chan struct{})
	every := redraw
	if t.opt.Width == nil {
		every = time.Second
	}
	ticker := time.NewTicker(every)
	go func() {
		defer close(t.ended)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				t.tick(now, p.Event())
			case <-t.stop:
				return
			}
		}
	}()
}

// Stop ends what Watch began, and leaves the terminal as it would be without.
func (t *Teller) Stop() {
	if t.stop == nil {
		return
	}
	close(t.stop)
	<-t.ended
	t.stop = nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
}

func (t *Teller) tick(now time.Time, e notes.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Phase == notes.Idle {
		t.erase()
		t.image, t.samples = "", nil
		return
	}
	if n := len(t.samples); e.Image != t.image || n > 0 && e.In-e.Kept < t.samples[n-1].in { // another one, or the same anew
		t.image, t.begun, t.told, t.samples = e.Image, now, now, nil
	}
	t.samples = append(t.samples, sample{now, e.In - e.Kept})
	for now.Sub(t.samples[0].at) > window {
		t.samples = t.samples[1:]
	}
	switch {
	case t.opt.Width != nil && now.Sub(t.begun) >= quick:
		t.draw(now, e)
	case t.opt.Width == nil && now.Sub(t.told) >= interval && e.Phase != notes.Wait: // which was said once
		t.told = now
		name, said := e.Image, describe(e, t.rate(), 0, true)
		if len(t.opt.Program)+len(name)+len(said)+2*len(": ") > logged {
			name = short(name)
		}
		fmt.Fprintf(t.out, "%s: %s: %s\n", t.opt.Program, name, said)
	}
}

func (t *Teller) draw(now time.Time, e notes.Event) {
	width := t.opt.Width()
	if width <= 0 {
		width = 80
	}
	text := fit(short(e.Image), describe(e, t.rate(), now.Sub(t.begun), false), width-1) // in the last column some terminals go on to the next line
	t.drawn = true
	fmt.Fprint(t.out, erase+text)
}

// rate returns the bytes that came in a second, lately.
func (t *Teller) rate() float64 {
	first, last := t.samples[0], t.samples[len(t.samples)-1]
	took := last.at.Sub(first.at).Seconds()
	if took <= 0 {
		return 0
	}
	return float64(last.in-first.in) / took
}
