// Package notes is how a walk tells what it does: notes for -v and -d, words for every user, what
// each step cost, how far an image is, and tables that fit a terminal.
package notes

import (
	"fmt"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// Notes is where a walk tells what it does. Its functions may be nil, and may be called from
// several goroutines. The zero value tells nothing.
type Notes struct {
	Note     func(text string) // what -v shows
	Detail   func(text string) // what -d shows beside it
	Say      func(text string) // what every user is shown: a warning, or what takes long
	Clock    *Clock            // nil notes nothing
	Progress *Progress         // filled as the walk goes; nil counts nothing
}

// Notef tells what -v shows, in one line.
func (n Notes) Notef(format string, args ...any) {
	if n.Note != nil {
		n.Note(fault.OneLine(fmt.Sprintf(format, args...)))
	}
}

// Detailf tells what -d shows beside it, in one line.
func (n Notes) Detailf(format string, args ...any) {
	if n.Detail != nil {
		n.Detail(fault.OneLine(fmt.Sprintf(format, args...)))
	}
}

// Sayf tells what every user is shown.
func (n Notes) Sayf(format string, args ...any) {
	if n.Say != nil {
		n.Say(fmt.Sprintf(format, args...))
	}
}
