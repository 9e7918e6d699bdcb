package fault

import "fmt"

// SentinelError is one of the errors by which a room lets its callers tell what happened, and the class
// under which users are told of it. errors.Is finds it in each error that it made.
type SentinelError struct {
	class Class
	text  string
}

// Sentinel returns an error for a variable of a room, ErrX. The text is for whoever prints it alone.
func Sentinel(c Class, text string) *SentinelError { return &SentinelError{c, text} }

func (s *SentinelError) Error() string { return s.text }

// New makes an error from a format as fmt.Errorf takes it, so that %w wraps.
func (s *SentinelError) New(format string, args ...any) *Error {
	return &Error{Class: s.class, Err: fmt.Errorf(format, args...), Sentinel: s}
}
