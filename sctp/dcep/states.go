package dcep

import (
	"errors"

	"github.com/openparley/webrtc/sctp"
)

// Errors that callers branch on.
var (
	// ErrClosed: the channel is closing or closed, or the association is closed.
	ErrClosed = errors.New("dcep: channel closed")
	// ErrNotOpen: the channel is still connecting.
	ErrNotOpen = errors.New("dcep: channel not open")
	// ErrIDInUse: the id of a negotiated channel is taken.
	ErrIDInUse = errors.New("dcep: id in use")
	// ErrNoID: no id is left.
	ErrNoID = errors.New("dcep: no id left")
	// ErrOptions: label or protocol above 65535 bytes, id 65535, or limits that contradict Reliability.
	ErrOptions = errors.New("dcep: invalid options")
)

// Role says which ids a side allocates (RFC 8832 section 6).
type Role uint8

const (
	// RoleUnknown: DTLS has not decided; created channels wait.
	RoleUnknown Role = iota
	// RoleClient is the DTLS client: even ids.
	RoleClient
	// RoleServer is the DTLS server: odd ids.
	RoleServer
)

// State is W3C's RTCDataChannelState.
//
//	connecting ──OPEN sent, or negotiated, and connected──▶ open ──Close, peer's reset──▶ closing ──both reset──▶ closed
//	     └──────────────────────────── Close, association closed ──────────┴────────────────────┴───────────────▶ closed
type State uint8

// The states; the zero value is StateConnecting.
const (
	StateConnecting State = iota
	StateOpen
	StateClosing
	StateClosed
)

func (s State) String() string {
	return [...]string{"connecting", "open", "closing", "closed"}[min(s, StateClosed)]
}

// EventKind says which fields of an Event are set.
type EventKind uint8

const (
	// EventState: the state of the association changed (State, Err). When it is sctp.StateClosed, EventClosed of every channel
	// follows.
	EventState EventKind = iota + 1
	// EventChannel: the peer opened Channel; it is open.
	EventChannel
	// EventOpen: Channel, created here, is open.
	EventOpen
	// EventMessage: Data, IsString, on Channel.
	EventMessage
	// EventBufferedAmountLow: of Channel.
	EventBufferedAmountLow
	// EventClosing: the peer closes Channel.
	EventClosing
	// EventClosed: Channel is closed; Err when it was not closed in order. Its id is not used again before Released.
	EventClosed
)

// Event is one thing that happened. Charge belongs to Credit as soon as the application has consumed the event; it is zero for
// most kinds.
type Event struct {
	Kind     EventKind
	Channel  *Channel
	Data     []byte // EventMessage: what alloc returned, filled; the caller's
	IsString bool
	Charge   int
	State    sctp.State
	Err      error
}

// Config of Channels; the zero value works.
type Config struct {
	// Role, when it is known already.
	Role Role
	// MaxChannels caps the channels that exist at a time, those opened by the peer included; zero: 65535.
	MaxChannels int
	// MaxLabel caps the bytes of label plus protocol that are taken from the peer; zero: 131070, all there can be.
	MaxLabel int
}
