// Package interrupt ends a program on a signal: its context at once, so that nothing half-made
// stays, and the process a moment later, whatever it waits for. A read of a file system that does
// not answer heeds no context, nor does the question to a name server.
package interrupt

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// grace is the time for a program to tidy up: it ends within a second of the signal.
const grace = 800 * time.Millisecond

// SignalError is why a context ended.
type SignalError struct{ syscall.Signal }

func (s SignalError) Error() string { return s.String() }

// Context returns a context that any of the signals ends. A program that still runs after grace is
// ended with the status that last returns. A signal that is ignored at the start (nohup, a
// background job of a script) stays ignored.
func Context(
	last func(SignalError) (status int), signals ...os.Signal,
) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	caught := make(chan os.Signal, 1)
	for _, s := range signals {
		if !signal.Ignored(s) {
			signal.Notify(caught, s)
		}
	}
	over := make(chan struct{})
	go func() {
		select {
		case <-over:
		case s := <-caught:
			number, _ := s.(syscall.Signal) // there are no others here
			End(cancel, SignalError{number}, over, last)
		}
	}()
	return ctx, func() { signal.Stop(caught); close(over) }
}

// End ends a context and, unless over is closed before, the process after grace.
func End(
	cancel context.CancelCauseFunc, why SignalError,
	over <-chan struct{}, last func(SignalError) (status int),
) {
	cancel(why)
	select {
	case <-over:
	case <-time.After(grace):
		os.Exit(last(why))
	}
}
