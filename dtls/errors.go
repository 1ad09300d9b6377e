package dtls

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrClosed: the connection is closed or has failed.
	ErrClosed = errors.New("dtls: connection closed")
	// ErrNotConnected: there are no keys for application data yet.
	ErrNotConnected = errors.New("dtls: not connected")
	// ErrTimeout: the peer did not answer, however often a flight was sent.
	ErrTimeout = errors.New("dtls: handshake timed out")
	// ErrRoleConflict: both sides are clients, or both are servers.
	ErrRoleConflict = errors.New("dtls: both sides have the same role")
	// ErrNoRoom: Seal was given a buffer without room for the record's header or tag.
	ErrNoRoom = errors.New("dtls: no room around the plaintext")
	// ErrKeyExhausted: the key has protected as many records as it may.
	ErrKeyExhausted = errors.New("dtls: record limit of the key reached")

	// ErrMalformed: a record that cannot be parsed was dropped.
	ErrMalformed = errors.New("dtls: malformed record dropped")
	// ErrEpoch: a record of an epoch without keys, or application data in the clear, was dropped.
	ErrEpoch = errors.New("dtls: record of a wrong epoch dropped")
	// ErrReplay: a record that was seen before, or is too old to tell, was dropped.
	ErrReplay = errors.New("dtls: replayed record dropped")
	// ErrUnauthenticated: a record that does not decrypt was dropped.
	ErrUnauthenticated = errors.New("dtls: unauthenticated record dropped")
	// ErrQueued: the record was kept for later; it is not lost.
	ErrQueued = errors.New("dtls: early record queued")
	// ErrOverflow: an early record was dropped because the queue is full.
	ErrOverflow = errors.New("dtls: early record dropped")
)

// Alert is a number of the IANA registry "TLS Alerts".
type Alert uint8

// The alerts that are sent or given a name (RFC 8446 §6).
const (
	AlertCloseNotify            Alert = 0
	AlertUnexpectedMessage      Alert = 10
	AlertBadRecordMAC           Alert = 20
	AlertRecordOverflow         Alert = 22
	AlertHandshakeFailure       Alert = 40
	AlertBadCertificate         Alert = 42
	AlertUnsupportedCertificate Alert = 43
	AlertCertificateUnknown     Alert = 46
	AlertIllegalParameter       Alert = 47
	AlertDecodeError            Alert = 50
	AlertDecryptError           Alert = 51
	AlertProtocolVersion        Alert = 70
	AlertInsufficientSecurity   Alert = 71
	AlertInternalError          Alert = 80
	AlertInappropriateFallback  Alert = 86
	AlertUserCanceled           Alert = 90
	AlertNoRenegotiation        Alert = 100
	AlertMissingExtension       Alert = 109
	AlertUnsupportedExtension   Alert = 110
	AlertCertificateRequired    Alert = 116
	AlertNoApplicationProtocol  Alert = 120
)

var alertNames = map[Alert]string{
	AlertCloseNotify: "close_notify", AlertUnexpectedMessage: "unexpected_message", AlertBadRecordMAC: "bad_record_mac",
	AlertRecordOverflow: "record_overflow", AlertHandshakeFailure: "handshake_failure", AlertBadCertificate: "bad_certificate",
	AlertUnsupportedCertificate: "unsupported_certificate", AlertCertificateUnknown: "certificate_unknown",
	AlertIllegalParameter: "illegal_parameter",
	AlertDecodeError:      "decode_error", AlertDecryptError: "decrypt_error", AlertProtocolVersion: "protocol_version",
	AlertInsufficientSecurity: "insufficient_security", AlertInternalError: "internal_error",
	AlertInappropriateFallback: "inappropriate_fallback", AlertUserCanceled: "user_canceled",
	AlertNoRenegotiation: "no_renegotiation", AlertMissingExtension: "missing_extension",
	AlertUnsupportedExtension: "unsupported_extension", AlertCertificateRequired: "certificate_required",
	AlertNoApplicationProtocol: "no_application_protocol",
}

// String returns the RFC's word for the alert.
func (a Alert) String() string {
	if s, ok := alertNames[a]; ok {
		return s
	}
	return fmt.Sprintf("alert %d", uint8(a))
}

// AlertError is the reason of StateFailed when an alert was sent or received. W3C's RTCError carries both numbers.
type AlertError struct {
	// Alert is the number on the wire.
	Alert Alert
	// Remote: the peer sent it.
	Remote bool
	// Err is what went wrong here; nil if Remote.
	Err error
}

// Error says who gave up and why.
func (e *AlertError) Error() string {
	if e.Remote {
		return "dtls: the peer sent " + e.Alert.String()
	}
	return e.Err.Error() + " (" + e.Alert.String() + ")"
}

// Unwrap returns the local reason.
func (e *AlertError) Unwrap() error { return e.Err }

// fatal makes an error that ends the connection with an alert.
func fatal(a Alert, format string, args ...any) error {
	return &AlertError{Alert: a, Err: fmt.Errorf("dtls: "+format, args...)}
}

var errDecode = &AlertError{Alert: AlertDecodeError, Err: errors.New("dtls: malformed handshake message")}
