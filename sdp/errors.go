package sdp

import "fmt"

// SyntaxError says what is wrong with a description and where. The W3C calls it an RTCError with the detail
// "sdp-syntax-error" and the line number sdpLineNumber.
type SyntaxError struct {
	// Line counts from 1; zero: the description as a whole.
	Line int
	// Text is the line, shortened if it is long.
	Text   string
	Reason string
	// Err is the cause, if there is one.
	Err error
}

// Error implements error.
func (e *SyntaxError) Error() string {
	s := "sdp: " + e.Reason
	if e.Line > 0 {
		s = fmt.Sprintf("sdp: line %d: %s: %q", e.Line, e.Reason, e.Text)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }
