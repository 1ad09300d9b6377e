package jsep

import (
	"errors"
	"fmt"

	"github.com/openparley/webrtc/sdp"
)

// The names of Error, as in W3C's DOMException and RTCError.
const (
	NameInvalidState        = "InvalidStateError"
	NameInvalidAccess       = "InvalidAccessError"
	NameInvalidModification = "InvalidModificationError"
	NameOperation           = "OperationError"
	NameType                = "TypeError"
	NameNotSupported        = "NotSupportedError"
	// NameSDPSyntax is the errorDetail of an RTCError; Line tells where.
	NameSDPSyntax = "sdp-syntax-error"
)

// Sentinels for errors.Is; each matches every Error with its name.
var (
	ErrInvalidState        = &Error{Name: NameInvalidState}
	ErrInvalidAccess       = &Error{Name: NameInvalidAccess}
	ErrInvalidModification = &Error{Name: NameInvalidModification}
	ErrOperation           = &Error{Name: NameOperation}
	ErrType                = &Error{Name: NameType}
	ErrNotSupported        = &Error{Name: NameNotSupported}
	ErrSDPSyntax           = &Error{Name: NameSDPSyntax}
)

// Error is every error of this package. Name is the exception that W3C raises.
type Error struct {
	Name   string
	Reason string
	// Line is sdpLineNumber of a syntax error, zero if unknown.
	Line int
	// Err is the cause, if there is one.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	s := "jsep: " + e.Name
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel of the same name.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Name == e.Name && t.Reason == ""
}

func fail(name, format string, args ...any) error {
	return &Error{Name: name, Reason: fmt.Sprintf(format, args...)}
}

func syntaxError(err error) error {
	e := &Error{Name: NameSDPSyntax, Err: err}
	var se *sdp.SyntaxError
	if errors.As(err, &se) {
		e.Line = se.Line
	}
	return e
}
