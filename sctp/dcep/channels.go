package dcep

import (
	"errors"
	"time"

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
	// ErrOptions: label or protocol above 65535 bytes, id 65535, or both reliability limits set.
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
type State uint8

const (
	StateConnecting State = iota
	StateOpen
	StateClosing
	StateClosed
)

func (s State) String() string {
	return [...]string{"connecting", "open", "closing", "closed"}[min(s, StateClosed)]
}

// Options are the properties of a channel, on the wire and in the API.
type Options struct {
	Label, Protocol string
	// Unordered channels deliver messages as they come.
	Unordered bool
	// Reliability with MaxRetransmits or MaxPacketLifeTime.
	Reliability       sctp.Reliability
	MaxRetransmits    uint16
	MaxPacketLifeTime time.Duration // whole milliseconds
	// Priority is the weight of RFC 8832 section 5.1: 128 below normal, 256 normal, 512 high, 1024 extra high; zero: 256.
	Priority uint16
	// Negotiated: both sides create the channel with the same ID and no OPEN is sent.
	Negotiated bool
	ID         uint16 // Negotiated only
}

// Channel is one data channel. The caller reads its fields through the methods and may attach an object to User.
type Channel struct {
	// User is the caller's.
	User any

	opts  Options
	id    int32 // -1: none yet
	state State
}

// ID is the stream id; ok is false while none was allocated.
func (c *Channel) ID() (id uint16, ok bool) { return uint16(c.id), c.id >= 0 }

// State is the state now.
func (c *Channel) State() State { return c.state }

// Options returns what the channel was made with.
func (c *Channel) Options() Options { return c.opts }

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

// Channels are the data channels of one association.
type Channels struct {
	assoc *sctp.Association
	cfg   Config
}

// New makes the layer above assoc.
func New(assoc *sctp.Association, cfg Config) *Channels { return &Channels{assoc: assoc, cfg: cfg} }

// SetRole tells the DTLS role; channels created before get their ids now. Only the first call counts. When no id is left for
// a waiting channel, it is closed with ErrNoID.
func (c *Channels) SetRole(now time.Time, r Role) {}

// Create makes a channel. It opens when the association is connected and, for one that is not negotiated, its id is known:
// EventOpen. Errors: ErrOptions, ErrIDInUse, ErrNoID, ErrClosed.
func (c *Channels) Create(now time.Time, o Options) (*Channel, error) {
	return &Channel{opts: o, id: -1}, nil
}

// Send queues one message; data is copied and may be empty. Errors: ErrNotOpen, ErrClosed, those of sctp.Association.Send.
func (c *Channels) Send(now time.Time, ch *Channel, data []byte, isString bool) error { return nil }

// Close begins the close handshake: what is queued is sent first. EventClosed follows, also for a channel that never opened.
func (c *Channels) Close(now time.Time, ch *Channel) {}

// Released says that the caller has delivered the closing of ch: its id may be used again.
func (c *Channels) Released(now time.Time, ch *Channel) {}

// Credit gives Event.Charge back to the receive window.
func (c *Channels) Credit(now time.Time, n int) { c.assoc.Credit(now, n) }

// BufferedAmount is the number of bytes of ch that were not yet sent.
func (c *Channels) BufferedAmount(ch *Channel) int { return 0 }

// SetBufferedAmountLowThreshold sets the threshold of EventBufferedAmountLow.
func (c *Channels) SetBufferedAmountLowThreshold(ch *Channel, n int) {}

// Event takes the next event. alloc gives the memory of a message of n bytes; it is called for EventMessage only.
func (c *Channels) Event(now time.Time, alloc func(n int) []byte) (Event, bool) {
	return Event{}, false
}
