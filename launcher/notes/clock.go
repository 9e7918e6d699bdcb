package notes

import (
	"fmt"
	"io"
	"time"
)

// Clock notes what each step of the road cost.
type Clock struct {
	last  time.Time
	first time.Time
	steps []step
}

type step struct {
	name string
	cost time.Duration
	what string
}

// NewClock starts a clock at now.
func NewClock(now time.Time) *Clock { return &Clock{first: now, last: now} }

// Done says that the step which began when the last one ended is over. One that is gone through
// again is the same step, with what came out at last. A nil clock notes nothing.
func (c *Clock) Done(name, what string) {
	if c == nil {
		return
	}
	now := time.Now()
	cost := now.Sub(c.last)
	c.last = now
	if n := len(c.steps); n > 0 && c.steps[n-1].name == name {
		c.steps[n-1].cost += cost
		c.steps[n-1].what = what
		return
	}
	c.steps = append(c.steps, step{name, cost, what})
}

// Print writes a line for each step, "PREFIX: time: NAME COST WHAT", and one for their sum. The
// unit is the millisecond. The lines fit a terminal of so many columns; 0 is for a file.
func (c *Clock) Print(w io.Writer, prefix string, width int) {
	for _, s := range c.steps {
		head := fmt.Sprintf("%s: time: %-8s %9.1f ms  ", prefix, s.name, milliseconds(s.cost))
		fmt.Fprint(w, Fold(head, s.what, width))
	}
	fmt.Fprintf(w, "%s: time: %-8s %9.1f ms\n", prefix, "total", milliseconds(c.last.Sub(c.first)))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
