package dcep

import (
	"cmp"
	"slices"
	"time"

	"github.com/openparley/webrtc/sctp"
)

// earlyIDs are stream ids that every peer takes, so that an OPEN may leave with the set-up, before the peer's limit is known.
const earlyIDs = 256

// Channels are the data channels of one association.
type Channels struct {
	assoc *sctp.Association
	cfg   Config
	role  Role
	state sctp.State

	// byID holds every channel that has an id, closed ones until they are released.
	byID map[uint16]*Channel
	// waiting have no id yet, in the order of creation.
	waiting []*Channel
	// cursor is where the search for a free id begins: none below is free.
	cursor int

	events []Event
	head   int // of events
	// balance counts resets by stream, see count.
	balance map[uint16]int8
	// held is what came for ids that the peer uses again, now that their former channels have closed.
	held      []heldItem
	replaying bool // receive is about held[0]
	scratch   []byte
	take      func(n int) []byte // gives scratch
}

// New makes the layer above assoc.
func New(assoc *sctp.Association, cfg Config) *Channels {
	if cfg.MaxChannels == 0 {
		cfg.MaxChannels = 65535
	}
	if cfg.MaxLabel == 0 {
		cfg.MaxLabel = 2 * 65535
	}
	c := &Channels{assoc: assoc, cfg: cfg, byID: make(map[uint16]*Channel), state: assoc.State()}
	c.take = func(n int) []byte {
		c.scratch = slices.Grow(c.scratch[:0], n)[:n]
		return c.scratch
	}
	c.setRole(cfg.Role)
	return c
}

func (c *Channels) setRole(r Role) {
	c.role = r
	c.cursor = 0
	if r == RoleServer {
		c.cursor = 1
	}
}

// SetRole tells the DTLS role; channels created before get their ids now. Only the first call counts. When no id is left for
// a waiting channel, it is closed with ErrNoID.
func (c *Channels) SetRole(now time.Time, r Role) {
	if c.role != RoleUnknown || r == RoleUnknown {
		return
	}
	c.setRole(r)
	waiting := c.waiting
	c.waiting = nil
	for _, ch := range waiting {
		if !c.allocate(ch) {
			c.finish(ch, ErrNoID)
			continue
		}
		c.begin(now, ch)
	}
}

// Create makes a channel. It opens when the association is connected and, for one that is not negotiated, its id is known:
// EventOpen. Errors: ErrOptions, ErrIDInUse, ErrNoID, ErrClosed.
func (c *Channels) Create(now time.Time, o Options) (*Channel, error) {
	if c.assoc.State() >= sctp.StateClosing {
		return nil, ErrClosed
	}
	if len(o.Label) > 65535 || len(o.Protocol) > 65535 || o.Negotiated && o.ID == 65535 {
		return nil, ErrOptions
	}
	if o.MaxPacketLifeTime < 0 || o.Reliability > sctp.LimitedLifetime {
		return nil, ErrOptions
	}
	if o.MaxRetransmits != 0 && o.Reliability != sctp.LimitedRetransmits || o.MaxPacketLifeTime != 0 && o.Reliability != sctp.LimitedLifetime {
		return nil, ErrOptions
	}
	if len(c.byID)+len(c.waiting) >= c.cfg.MaxChannels {
		return nil, ErrNoID
	}
	o.Priority = cmp.Or(o.Priority, 256)
	ch := &Channel{opts: o, id: -1}
	switch {
	case o.Negotiated:
		if _, taken := c.byID[o.ID]; taken {
			return nil, ErrIDInUse
		}
		if int(o.ID) >= c.idLimit() {
			return nil, ErrNoID
		}
		c.bind(ch, o.ID)
	case c.role == RoleUnknown:
		c.waiting = append(c.waiting, ch)
		return ch, nil
	default:
		if !c.allocate(ch) {
			return nil, ErrNoID
		}
	}
	c.begin(now, ch)
	return ch, nil
}

// idLimit is one above the highest id that may be used.
func (c *Channels) idLimit() int {
	if c.assoc.State() != sctp.StateConnected {
		return 65535
	}
	s := c.assoc.Stats()
	return min(65535, s.MaxOutgoingStreams, s.MaxIncomingStreams)
}

// allocate gives a channel the lowest free id of our parity (RFC 8832 section 6).
func (c *Channels) allocate(ch *Channel) bool {
	limit := c.idLimit()
	for ; c.cursor < limit; c.cursor += 2 {
		if _, taken := c.byID[uint16(c.cursor)]; !taken {
			c.bind(ch, uint16(c.cursor))
			c.cursor += 2
			return true
		}
	}
	return false
}

func (c *Channels) bind(ch *Channel, id uint16) {
	ch.id = int32(id)
	c.byID[id] = ch
	c.assoc.SetPriority(id, ch.opts.Priority)
	c.assoc.SetBufferedAmountLowThreshold(id, ch.threshold)
}

// begin sends OPEN as early as it may leave, and opens the channel when the association is connected.
func (c *Channels) begin(now time.Time, ch *Channel) {
	connected := c.state == sctp.StateConnected
	if !ch.opts.Negotiated && !ch.openSent && (connected || ch.id < earlyIDs) {
		ch.openSent = true
		c.scratch = AppendOpen(c.scratch[:0], &ch.opts)
		if err := c.control(now, ch, c.scratch); err != nil {
			c.finish(ch, err)
			return
		}
	}
	if connected {
		ch.state = StateOpen
		c.post(Event{Kind: EventOpen, Channel: ch})
	}
}

// control sends a message of the protocol itself: ordered and reliable (RFC 8832 section 4).
func (c *Channels) control(now time.Time, ch *Channel, b []byte) error {
	return c.assoc.Send(now, uint16(ch.id), PPIDControl, b, sctp.SendOptions{Uncounted: true})
}

// Send queues one message; data is copied and may be empty. Errors: ErrNotOpen, ErrClosed, those of sctp.Association.Send.
func (c *Channels) Send(now time.Time, ch *Channel, data []byte, isString bool) error {
	switch ch.state {
	case StateOpen:
	case StateConnecting:
		return ErrNotOpen
	default:
		return ErrClosed
	}
	o := sctp.SendOptions{
		// Before the ACK nothing may overtake the OPEN (RFC 8832 section 6).
		Unordered:      ch.opts.Unordered && (ch.acked || ch.opts.Negotiated),
		Reliability:    ch.opts.Reliability,
		MaxRetransmits: ch.opts.MaxRetransmits,
		Lifetime:       ch.opts.MaxPacketLifeTime,
	}
	ppid := PPIDOf(isString, len(data) == 0)
	if len(data) == 0 {
		data, o.Uncounted = emptyPayload, true
	}
	return c.assoc.Send(now, uint16(ch.id), ppid, data, o)
}

// Close begins the close handshake: what is queued is sent first. EventClosed follows, also for a channel that never opened.
func (c *Channels) Close(now time.Time, ch *Channel) {
	if ch.state >= StateClosing {
		return
	}
	if ch.id < 0 {
		c.waiting = slices.DeleteFunc(c.waiting, func(w *Channel) bool { return w == ch })
		c.finish(ch, nil)
		return
	}
	if c.state != sctp.StateConnected && !ch.openSent {
		c.finish(ch, nil) // the peer never heard of it
		return
	}
	ch.state = StateClosing
	c.resetOutgoing(now, ch)
}

// resetOutgoing does our half of the close handshake (RFC 8831 section 6.7).
func (c *Channels) resetOutgoing(now time.Time, ch *Channel) {
	if ch.resetAsked {
		return
	}
	ch.resetAsked = true
	if err := c.askReset(now, uint16(ch.id)); err != nil {
		c.finish(ch, err)
	}
}

// finish closes a channel for good.
func (c *Channels) finish(ch *Channel, err error) {
	if ch.state == StateClosed {
		return
	}
	ch.state = StateClosed
	c.post(Event{Kind: EventClosed, Channel: ch, Err: err})
	c.held = append(c.held, ch.held...)
	ch.held = nil
}

// Released says that the caller has delivered the closing of ch: its id may be used again.
func (c *Channels) Released(_ time.Time, ch *Channel) {
	if ch.state != StateClosed || ch.id < 0 || c.byID[uint16(ch.id)] != ch {
		return
	}
	delete(c.byID, uint16(ch.id))
	if c.ours(uint16(ch.id)) {
		c.cursor = min(c.cursor, int(ch.id))
	}
}

// ours says whether an id is of the parity that this side allocates.
func (c *Channels) ours(id uint16) bool {
	return c.role == RoleClient && id%2 == 0 || c.role == RoleServer && id%2 == 1
}

// Credit gives Event.Charge back to the receive window.
func (c *Channels) Credit(now time.Time, n int) { c.assoc.Credit(now, n) }

// BufferedAmount is the number of bytes of ch that were not yet sent.
func (c *Channels) BufferedAmount(ch *Channel) int {
	if ch.id < 0 || c.byID[uint16(ch.id)] != ch {
		return 0
	}
	return c.assoc.BufferedAmount(uint16(ch.id))
}

// SetBufferedAmountLowThreshold sets the threshold of EventBufferedAmountLow.
func (c *Channels) SetBufferedAmountLowThreshold(ch *Channel, n int) {
	ch.threshold = n
	if ch.id >= 0 && c.byID[uint16(ch.id)] == ch {
		c.assoc.SetBufferedAmountLowThreshold(uint16(ch.id), n)
	}
}
