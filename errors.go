package webrtc

import (
	"errors"
	"fmt"
	"net"
)

// The errors of this package carry the DOMException names of W3C's specification as Go types. Branch on them with
// errors.As, or with errors.Is and an empty value of the type:
//
//	if errors.Is(err, &webrtc.InvalidStateError{}) { … }
//
// An error that says that something was closed also matches net.ErrClosed.

// An InvalidStateError reports a call that the object's present state does not allow.
type InvalidStateError struct{ Err error }

// An InvalidAccessError reports an argument that does not belong to the object it was given to.
type InvalidAccessError struct{ Err error }

// An InvalidModificationError reports a change that is not allowed, such as a session description that was altered
// between CreateOffer and SetLocalDescription.
type InvalidModificationError struct{ Err error }

// An OperationError reports an operation that failed for a reason of its own, such as a full send buffer.
type OperationError struct{ Err error }

// A NotSupportedError reports a request for something that this build does not have.
type NotSupportedError struct{ Err error }

// A SyntaxError reports text that does not parse, such as an ICE server's URL.
type SyntaxError struct{ Err error }

// A TypeError reports an argument of the wrong shape: too long a label, two options that exclude each other.
type TypeError struct{ Err error }

// A RangeError reports a number outside the permitted range.
type RangeError struct{ Err error }

// An RTCError is W3C's RTCError: an OperationError with a detail. [RTCError]
//
// [RTCError]: https://www.w3.org/TR/webrtc/#rtcerror-interface
type RTCError struct {
	// Detail is one of "data-channel-failure", "dtls-failure", "fingerprint-failure", "sctp-failure",
	// "sdp-syntax-error", "hardware-encoder-not-available" and "hardware-encoder-error".
	Detail string
	// SDPLineNumber is the line of an sdp-syntax-error, counted from 1; zero when unknown.
	SDPLineNumber int
	Err           error
}

func (e *InvalidStateError) Error() string        { return named("InvalidStateError", e.Err) }
func (e *InvalidAccessError) Error() string       { return named("InvalidAccessError", e.Err) }
func (e *InvalidModificationError) Error() string { return named("InvalidModificationError", e.Err) }
func (e *OperationError) Error() string           { return named("OperationError", e.Err) }
func (e *NotSupportedError) Error() string        { return named("NotSupportedError", e.Err) }
func (e *SyntaxError) Error() string              { return named("SyntaxError", e.Err) }
func (e *TypeError) Error() string                { return named("TypeError", e.Err) }
func (e *RangeError) Error() string               { return named("RangeError", e.Err) }
func (e *RTCError) Error() string                 { return named("OperationError ("+e.Detail+")", e.Err) }

// Unwrap returns the cause.
func (e *InvalidStateError) Unwrap() error        { return e.Err }
func (e *InvalidAccessError) Unwrap() error       { return e.Err }
func (e *InvalidModificationError) Unwrap() error { return e.Err }
func (e *OperationError) Unwrap() error           { return e.Err }
func (e *NotSupportedError) Unwrap() error        { return e.Err }
func (e *SyntaxError) Unwrap() error              { return e.Err }
func (e *TypeError) Unwrap() error                { return e.Err }
func (e *RangeError) Unwrap() error               { return e.Err }
func (e *RTCError) Unwrap() error                 { return e.Err }

// Is reports whether target is an empty value of the same type.
func (e *InvalidStateError) Is(target error) bool  { return isEmpty[*InvalidStateError](target) }
func (e *InvalidAccessError) Is(target error) bool { return isEmpty[*InvalidAccessError](target) }
func (e *InvalidModificationError) Is(target error) bool {
	return isEmpty[*InvalidModificationError](target)
}
func (e *OperationError) Is(target error) bool    { return isEmpty[*OperationError](target) }
func (e *NotSupportedError) Is(target error) bool { return isEmpty[*NotSupportedError](target) }
func (e *SyntaxError) Is(target error) bool       { return isEmpty[*SyntaxError](target) }
func (e *TypeError) Is(target error) bool         { return isEmpty[*TypeError](target) }
func (e *RangeError) Is(target error) bool        { return isEmpty[*RangeError](target) }
func (e *RTCError) Is(target error) bool {
	_, operation := target.(*OperationError)
	return operation && errors.Unwrap(target) == nil || isEmpty[*RTCError](target)
}

func isEmpty[E error](target error) bool {
	_, same := target.(E) //nolint:errorlint // Is itself compares one link of the chain
	return same && errors.Unwrap(target) == nil
}

func named(name string, err error) string {
	if err == nil {
		return "webrtc: " + name
	}
	return fmt.Sprintf("webrtc: %s: %v", name, err)
}

// Causes that callers may branch on with errors.Is.
var (
	// ErrConnectionClosed reports a call on a PeerConnection after Close. It matches net.ErrClosed.
	ErrConnectionClosed = fmt.Errorf("connection %w", net.ErrClosed)
	// ErrDataChannelNotOpen reports a Send on a channel that is not open (any more).
	ErrDataChannelNotOpen = errors.New("data channel is not open")
	// ErrSendBufferFull reports a Send that would exceed Settings.DataChannelSendBuffer.
	ErrSendBufferFull = errors.New("send buffer is full")
	// ErrMessageTooLarge reports a message larger than the peer's max-message-size.
	ErrMessageTooLarge = errors.New("message is larger than the peer accepts")
	// ErrNoRemoteDescription reports AddICECandidate before SetRemoteDescription.
	ErrNoRemoteDescription = errors.New("there is no remote description")
)

func errClosed() error { return &InvalidStateError{Err: ErrConnectionClosed} }

func invalidState(format string, args ...any) error {
	return &InvalidStateError{Err: fmt.Errorf(format, args...)}
}

func typeError(format string, args ...any) error { return &TypeError{Err: fmt.Errorf(format, args...)} }
