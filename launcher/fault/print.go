package fault

import (
	"fmt"
	"io"
	"strings"
)

// Print writes err to w in the form that scripts rely on, "PREFIX: error[CLASS]: WHAT: WHY" and a
// line "PREFIX: hint: …" for each hint, and returns the exit status. Text from a registry or a file
// loses its line breaks and control characters: they could forge a line or steer a terminal.
func Print(w io.Writer, prefix string, err error, fallback Class) int {
	class, hints, status := Of(err, fallback)
	fmt.Fprintf(w, "%s: error[%s]: %s\n", prefix, class, OneLine(err.Error()))
	for _, h := range hints {
		fmt.Fprintf(w, "%s: hint: %s\n", prefix, OneLine(h))
	}
	return status
}

// OneLine returns s as one printable line: white space is collapsed to single blanks, other control
// characters become "?".
func OneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
