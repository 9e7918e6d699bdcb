// Package progress tells what happens before a command starts or a tool is done: nothing if it is
// quick, else enough not to look hung. On a terminal it rewrites one line in place and removes it
// at the end; in a file, where lines stay, it writes one now and then.
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
	redraw   = 100 * time.Millisecond // between two drawings of a terminal's line
	quick    = 500 * time.Millisecond // the longest walk without a line
	interval = 10 * time.Second       // between two lines of a file
	window   = 3 * time.Second        // of which the rate is the mean
	logged   = 80                     // columns of a file's line, if they suffice
)

// erase goes to the start of the line and removes what stands there: ECMA-48, EL.
const erase = "\r\x1b[K"

// Options say what is told, and where.
type Options struct {
	Program string     // in front of each line that stays
	Quiet   bool       // tells nothing; errors are printed elsewhere
	Verbose bool       // tells notes as well
	Width   func() int // columns of the terminal, 0 = unknown; nil = no terminal to draw on
}

// Teller writes lines that stay, and how far a walk is. It may be used by several goroutines.
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
	in int64 // bytes received
}

// New returns a teller that writes to out.
func New(out io.Writer, opt Options) *Teller { return &Teller{out: out, opt: opt} }

// Width returns Options.Width: nil unless out is a terminal on which a line can be rewritten. If CI
// is set, the terminal is only simulated and its output kept.
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

// Columns returns the width of the terminal that out is: 0 = it is none. A terminal of unknown
// width has 80 columns.
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

// Stop ends what Watch began, and removes its line from the terminal.
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
	n := len(t.samples)
	restarted := n > 0 && e.In-e.Kept < t.samples[n-1].in
	if restarted || e.Image != t.image {
		t.image, t.begun, t.told, t.samples = e.Image, now, now, nil
	}
	t.samples = append(t.samples, sample{now, e.In - e.Kept})
	for now.Sub(t.samples[0].at) > window {
		t.samples = t.samples[1:]
	}
	switch {
	case t.opt.Width != nil && now.Sub(t.begun) >= quick:
		t.draw(now, e)
	case t.opt.Width == nil && now.Sub(t.told) >= interval:
		t.log(now, e)
	}
}

// log writes a line of a file. That the walk waits was said when it began to.
func (t *Teller) log(now time.Time, e notes.Event) {
	if e.Phase == notes.Wait {
		return
	}
	t.told = now
	name, said := e.Image, describe(e, t.rate(), 0, true)
	if len(t.opt.Program)+len(name)+len(said)+2*len(": ") > logged {
		name = short(name)
	}
	fmt.Fprintf(t.out, "%s: %s: %s\n", t.opt.Program, name, said)
}

func (t *Teller) draw(now time.Time, e notes.Event) {
	width := t.opt.Width()
	if width <= 0 {
		width = 80
	}
	said := describe(e, t.rate(), now.Sub(t.begun), false)
	t.drawn = true
	// Some terminals begin the next line once the last column is full.
	fmt.Fprint(t.out, erase+fit(short(e.Image), said, width-1))
}

// rate returns the bytes received in a second, of late.
func (t *Teller) rate() float64 {
	first, last := t.samples[0], t.samples[len(t.samples)-1]
	took := last.at.Sub(first.at).Seconds()
	if took <= 0 {
		return 0
	}
	return float64(last.in-first.in) / took
}
