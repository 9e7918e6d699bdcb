package fault

import "errors"

// Reason returns the innermost error of a chain: why something failed, without the operation and
// the file, which the caller's sentence names already. Of joined errors it follows the first.
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
