// Package fault adds to an error what a user needs beside its text: a class that scripts can rely
// on, hints, and an exit status. Every room may wrap its errors with it; only cmd prints them.
package fault

import (
	"cmp"
	"errors"
	"fmt"
)

// Class is the word in brackets of the last line of a failure, "hpc3-run: error[CLASS]: …".
// The words are interface: none is renamed, others may be added.
type Class string

// The classes, in the order of the road.
const (
	Usage     Class = "usage"     // the command line or an HPC3_ variable is wrong
	Config    Class = "config"    // a settings file is wrong or unreadable
	Reference Class = "reference" // the image reference is malformed, or names nothing that exists
	Auth      Class = "auth"      // the registry wants other credentials, or none could be had
	Network   Class = "network"   // the registry could not be reached
	Registry  Class = "registry"  // the registry, or an archive, answered with something unusable
	NoMatch   Class = "nomatch"   // no entry of the index fits
	Policy    Class = "policy"    // the site forbids it
	Cache     Class = "cache"     // the cache cannot be read or written
	Convert   Class = "convert"   // the image cannot be made into a SIF
	Engine    Class = "engine"    // the container could not be set up
	Mount     Class = "mount"     // a bind could not be made
	Exec      Class = "exec"      // the command could not be started
)

// Exit statuses of hpc3-run that are not the command's own. They are interface.
const (
	StatusFailed        = 125 // hpc3 failed before the command started
	StatusNotExecutable = 126 // the command was found but cannot be executed
	StatusNotFound      = 127 // the command was not found in the image
)

// Error is an error with its class. Err is never nil.
type Error struct {
	Class    Class
	Err      error
	Hints    []string       // sentences that say what to do, in order, without a full stop
	Status   int            // the exit status of hpc3-run; zero means StatusFailed
	Sentinel *SentinelError // what errors.Is finds the error by; nil for none
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error without its class.
func (e *Error) Unwrap() error { return e.Err }

// Is lets errors.Is find the sentinel.
func (e *Error) Is(target error) bool { return e.Sentinel != nil && target == error(e.Sentinel) }

// New makes an error of class c from a format as fmt.Errorf takes it, so that %w wraps.
func New(c Class, format string, args ...any) *Error {
	return &Error{Class: c, Err: fmt.Errorf(format, args...)}
}

// Hint adds a sentence that says what to do, and returns e.
func (e *Error) Hint(format string, args ...any) *Error {
	e.Hints = append(e.Hints, fmt.Sprintf(format, args...))
	return e
}

// Exit sets the exit status of hpc3-run, and returns e.
func (e *Error) Exit(status int) *Error {
	e.Status = status
	return e
}

// Like gives e the class and the sentinel of err if err has a class, and returns e.
func (e *Error) Like(err error) *Error {
	if known := innermost(err); known != nil {
		e.Class, e.Sentinel = known.Class, known.Sentinel
	}
	return e
}

// WithHint adds a hint to any error and keeps its class.
func WithHint(err error, format string, args ...any) *Error {
	return New(ClassOf(err), "%w", err).Hint(format, args...)
}

// Of returns the class, the hints and the exit status of err. The innermost Error of the chain
// decides the class and the status: the place that saw the failure knows it best. Hints are listed
// from the innermost outwards. An error without a class gets the class fallback.
func Of(err error, fallback Class) (class Class, hints []string, status int) {
	class, status = fallback, StatusFailed
	for {
		var e *Error
		if !errors.As(err, &e) {
			return class, hints, status
		}
		if e.Class != "" {
			class = e.Class
		}
		status = cmp.Or(e.Status, StatusFailed)
		hints = append(append([]string(nil), e.Hints...), hints...)
		err = e.Err
	}
}

// ClassOf returns the class of err as Of does; "" if it has none. A class is for people: to decide
// what to do next, code asks for a room's sentinel errors by errors.Is.
func ClassOf(err error) Class {
	class, _, _ := Of(err, "")
	return class
}

// innermost returns the last Error of the chain that has a class; nil if there is none.
func innermost(err error) (last *Error) {
	for {
		var e *Error
		if !errors.As(err, &e) {
			return last
		}
		if e.Class != "" {
			last = e
		}
		err = e.Err
	}
}
