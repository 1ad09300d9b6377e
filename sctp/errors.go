package sctp

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrClosed: the association is closed, shutting down, or was never connected and then closed.
	ErrClosed = errors.New("sctp: association closed")
	// ErrMessageTooLarge: the message is larger than the peer accepts (its max-message-size).
	ErrMessageTooLarge = errors.New("sctp: message too large")
	// ErrBufferFull: the message would take the queued bytes beyond Config.SendBuffer.
	ErrBufferFull = errors.New("sctp: send buffer full")
	// ErrEmptyMessage: SCTP cannot carry a message of no bytes (RFC 9260 section 3.3.1); RFC 8831 has PPIDs for that.
	ErrEmptyMessage = errors.New("sctp: empty message")
	// ErrStreamID: the stream is beyond what was negotiated.
	ErrStreamID = errors.New("sctp: stream out of range")
	// ErrStreamResetting: the stream's outgoing direction is being reset.
	ErrStreamResetting = errors.New("sctp: stream is being reset")
	// ErrTooManyResets: the cap of queued stream resets is reached.
	ErrTooManyResets = errors.New("sctp: too many queued stream resets")
	// ErrTimeout: the peer did not answer (Association.Max.Retrans or Max.Init.Retransmits was exceeded).
	ErrTimeout = errors.New("sctp: peer does not answer")
	// ErrPeerRestarted: the peer lost its state and began a new association.
	ErrPeerRestarted = errors.New("sctp: peer restarted")
	// ErrProtocol: the peer broke a rule that leaves no way on.
	ErrProtocol = errors.New("sctp: protocol violation")
	// ErrResources: the peer forced more buffering than Config allows.
	ErrResources = errors.New("sctp: out of resource")
)

// AbortError is the error of an association that the peer ended with ABORT (RFC 9260 section 3.3.7).
type AbortError struct {
	// Cause is the code of the first error cause; zero: none was given.
	Cause uint16
	// Reason is the text of a user-initiated abort, at most 128 bytes; it is the peer's and untrusted.
	Reason string
}

func (e *AbortError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("sctp: aborted by peer: cause %d: %q", e.Cause, e.Reason)
	}
	return fmt.Sprintf("sctp: aborted by peer: cause %d", e.Cause)
}

// Unwrap makes errors.Is(err, ErrClosed) true.
func (e *AbortError) Unwrap() error { return ErrClosed }

// Errors of HandlePacket: why a packet or chunk was dropped. They serve logs; nothing needs to be done about them.
var (
	errShortPacket     = errors.New("sctp: short packet")
	errPorts           = errors.New("sctp: wrong ports")
	errChecksum        = errors.New("sctp: wrong checksum")
	errVerificationTag = errors.New("sctp: wrong verification tag")
	errChunkLength     = errors.New("sctp: bad chunk length")
	errParamLength     = errors.New("sctp: bad parameter length")
	errBundling        = errors.New("sctp: chunk must not be bundled")
	errUnexpected      = errors.New("sctp: chunk not expected in this state")
	errCookie          = errors.New("sctp: bad cookie")
	errBadInit         = errors.New("sctp: bad INIT")
)
