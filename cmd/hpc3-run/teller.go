package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// teller writes what happens before the command starts: nothing where it is quick, and otherwise enough not to look hung.
type teller struct {
	w              io.Writer
	quiet, verbose bool

	mu   sync.Mutex
	last time.Time // of the last progress line
}

// interval is how often progress is told; a line stays on record in a job's output, so it is rare.
const interval = 10 * time.Second

func (t *teller) note(text string) {
	if t.verbose {
		t.say(text)
	}
}

func (t *teller) wait(text string) {
	if !t.quiet {
		t.say(text)
	}
}

func (t *teller) progress(image string, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.last.IsZero() {
		t.last = now
	}
	if t.quiet || now.Sub(t.last) < interval {
		return
	}
	t.last = now
	fmt.Fprintf(t.w, "%s: %s: %.0f MB fetched\n", name, image, float64(bytes)/1e6)
}

func (t *teller) say(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "%s: %s\n", name, text)
}
