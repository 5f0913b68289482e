// Package fault is the error that somebody has to act on: a stable code that a
// program can read, a sentence for a person, and a hint that is the next
// command to type. It promises that a code, once published in docs/errors.md,
// keeps its meaning. It does not print, log or choose exit statuses: the
// command line does.
package fault

import (
	"errors"
	"fmt"
)

// Internal is the code of an error nobody gave one.
const Internal = "internal"

// Error is an error with a code and a hint.
type Error struct {
	// Code is stable, lower case with underscores: "node_unreachable".
	Code string

	// Hint says what to do, best as the next command to type. May be empty.
	Hint string

	err error
}

// New makes an Error. The format may wrap a cause with %w.
func New(code, hint, format string, args ...any) *Error {
	return &Error{Code: code, Hint: hint, err: fmt.Errorf(format, args...)}
}

// Error returns the sentence, without code and hint.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns what the format wrapped with %w, if anything.
func (e *Error) Unwrap() error { return errors.Unwrap(e.err) }

// Code returns the outermost code in err's chain, or Internal; "" for nil.
func Code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Hint returns the outermost hint in err's chain that is not empty.
func Hint(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Unwrap()
	}
	return ""
}
