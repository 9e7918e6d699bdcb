package fault

import "errors"

// Reason returns the innermost error of a chain: why something failed, without what was tried and with which file,
// which the sentence around it says. Of joined errors the first counts.
func Reason(err error) error {
	for {
		inner := errors.Unwrap(err)
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			inner = joined.Unwrap()[0]
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}
