package fault

import "fmt"

// SentinelError lets the callers of a room tell what happened: errors.Is finds it in every error
// that it made. It fixes the class that users are shown.
type SentinelError struct {
	class Class
	text  string
}

// Sentinel returns an error for a package variable ErrX. The text is what it prints by itself.
func Sentinel(c Class, text string) *SentinelError { return &SentinelError{c, text} }

func (s *SentinelError) Error() string { return s.text }

// New makes an error from a format as fmt.Errorf takes it; %w wraps.
func (s *SentinelError) New(format string, args ...any) *Error {
	return &Error{Class: s.class, Err: fmt.Errorf(format, args...), Sentinel: s}
}
