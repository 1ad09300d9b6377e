package dcep

import (
	"slices"
	"time"

	"github.com/openparley/webrtc/sctp"
)

func (c *Channels) post(e Event) { c.events = append(c.events, e) }

// Event takes the next event. alloc gives the memory of a message of n bytes, unless its channel has
// one of its own; it is called for EventMessage only.
func (c *Channels) Event(now time.Time, alloc func(n int) []byte) (Event, bool) {
	for {
		if c.head < len(c.events) {
			e := c.events[c.head]
			c.events[c.head] = Event{}
			if c.head++; c.head == len(c.events) {
				c.events, c.head = c.events[:0], 0
			}
			return e, true
		}
		if c.nextReplay() {
			if e, ok := c.receiveHeld(now, alloc); ok {
				return e, true
			}
			continue
		}
		if c.assoc.MessageFirst() {
			m, _, _ := c.assoc.Peek()
			if e, ok := c.receive(now, m, alloc); ok {
				return e, true
			}
			continue
		}
		e, ok := c.assoc.Event()
		if !ok {
			return Event{}, false
		}
		c.handle(now, e)
	}
}

// heldItem is a message, or a reset, that belongs to the next channel with an id whose present one is not closed yet.
type heldItem struct {
	message sctp.Message
	reset   bool
}

// nextReplay reports whether there is an item whose time has come.
func (c *Channels) nextReplay() bool {
	c.replaying = len(c.held) > 0
	return c.replaying
}

// receiveHeld takes the first held item as if it came now.
func (c *Channels) receiveHeld(now time.Time, alloc func(n int) []byte) (Event, bool) {
	item := c.held[0]
	if !item.reset {
		return c.receive(now, item.message, alloc)
	}
	c.held, c.replaying = c.held[1:], false
	c.reset(now, sctp.Event{Kind: sctp.EventStreamReset, Stream: item.message.Stream, Direction: sctp.Incoming})
	return Event{}, false
}

// fetch takes the message that receive is about into alloc(n).
func (c *Channels) fetch(alloc func(n int) []byte) sctp.Message {
	if !c.replaying {
		m, _ := c.assoc.Receive(alloc)
		return m
	}
	m := c.held[0].message
	c.held[0] = heldItem{}
	c.held, c.replaying = c.held[1:], false
	data := alloc(len(m.Data))[:len(m.Data)]
	copy(data, m.Data)
	m.Data = data
	return m
}

// receive takes one message; it reports an event when that is all there is to it.
func (c *Channels) receive(now time.Time, m sctp.Message, alloc func(n int) []byte) (Event, bool) {
	ch := c.byID[m.Stream]
	if ch != nil && ch.state == StateClosing && ch.inDone {
		// The peer uses the id again: it has seen both resets, we still wait to hear that ours was performed. The message is
		// the next channel's.
		ch.held = append(ch.held, heldItem{message: c.fetch(func(n int) []byte { return make([]byte, n) })})
		return Event{}, false
	}
	e := Event{Kind: EventMessage, Channel: ch, Charge: m.Charge}
	empty := false
	switch m.PPID {
	case PPIDControl:
		m = c.fetch(c.take)
		c.receiveControl(now, ch, &m)
		return Event{}, false
	case PPIDString:
		e.IsString = true
	case PPIDBinary:
	case PPIDStringEmpty:
		e.IsString, empty = true, true
	case PPIDBinaryEmpty:
		empty = true
	default:
		ch = nil // unknown, or partial (deprecated, RFC 8831 section 6.6)
	}
	// A channel that is not open discards (W3C, "receiving messages on a data channel").
	if ch == nil || ch.state != StateOpen {
		m = c.fetch(c.take)
		c.assoc.Credit(now, m.Charge)
		return Event{}, false
	}
	if ch.Alloc != nil {
		alloc = ch.Alloc
	}
	if empty {
		c.fetch(c.take)
		e.Data = alloc(0)[:0]
		return e, true
	}
	e.Data = c.fetch(alloc).Data
	return e, true
}

// receiveControl takes OPEN or ACK.
func (c *Channels) receiveControl(now time.Time, ch *Channel, m *sctp.Message) {
	if IsAck(m.Data) {
		if ch != nil {
			ch.acked = true
		}
		c.assoc.Credit(now, m.Charge)
		return
	}
	o, err := ParseOpen(m.Data)
	if ch != nil && ch.state != StateClosed {
		// In use: a negotiated channel whose other side was not, or a repetition. The channel stays what it is.
		c.assoc.Credit(now, m.Charge)
		return
	}
	_, replaced := c.byID[m.Stream]
	full := !replaced && len(c.byID)+len(c.waiting) >= c.cfg.MaxChannels
	if err != nil || full || len(o.Label)+len(o.Protocol) > c.cfg.MaxLabel || c.ours(m.Stream) {
		// RFC 8832 section 6: refuse by closing it.
		c.assoc.Credit(now, m.Charge)
		_ = c.askReset(now, m.Stream) // fails when the association is ending, which closes everything
		return
	}
	opened := &Channel{opts: o, id: -1, state: StateOpen, acked: true}
	opened.opts.ID = m.Stream
	if opened.opts.Priority == 0 {
		opened.opts.Priority = 256
	}
	c.bind(opened, m.Stream)
	c.post(Event{Kind: EventChannel, Channel: opened, Charge: m.Charge})
	if err := c.control(now, opened, ackMessage); err != nil {
		c.finish(opened, err)
	}
}

// handle takes one event of the association.
func (c *Channels) handle(now time.Time, e sctp.Event) {
	switch e.Kind {
	case sctp.EventState:
		c.handleState(now, e)
	case sctp.EventBufferedAmountLow:
		if ch := c.byID[e.Stream]; ch != nil && ch.state == StateOpen {
			c.post(Event{Kind: EventBufferedAmountLow, Channel: ch})
		}
	case sctp.EventStreamReset:
		if e.Direction == sctp.Incoming {
			c.count(e.Stream, -1)
		}
		c.reset(now, e)
	case sctp.EventReadable: // the next round takes it
	}
}

// reset hands a reset to its channel. Without one, the peer closes a negotiated channel that was never made here, and waits for
// our half.
func (c *Channels) reset(now time.Time, e sctp.Event) {
	if ch := c.byID[e.Stream]; ch != nil {
		c.handleReset(now, ch, e)
	} else if e.Direction == sctp.Incoming && c.balance[e.Stream] < 0 {
		_ = c.askReset(now, e.Stream) // as above: nothing to do about it
	}
}

// askReset resets our half of a stream.
func (c *Channels) askReset(now time.Time, id uint16) error {
	c.count(id, 1)
	return c.assoc.ResetStream(now, id)
}

// count keeps the balance of a stream's resets: those asked for here less those of the peer. Without a channel only a reset that
// the peer is ahead with is answered, so that two sides never answer each other for ever.
func (c *Channels) count(id uint16, n int8) {
	if c.balance == nil {
		c.balance = make(map[uint16]int8)
	}
	b := max(-1, min(c.balance[id]+n, 1)) // more is a peer that only resets
	if b == 0 {
		delete(c.balance, id)
	} else {
		c.balance[id] = b
	}
}

func (c *Channels) handleState(now time.Time, e sctp.Event) {
	c.state = e.State
	c.post(Event{Kind: EventState, State: e.State, Err: e.Err})
	switch e.State {
	case sctp.StateConnected:
		limit := c.idLimit()
		for _, ch := range c.sorted() {
			switch {
			case ch.state != StateConnecting:
			case int(ch.id) >= limit:
				c.finish(ch, ErrNoID)
			default:
				c.begin(now, ch)
			}
		}
	case sctp.StateClosed:
		for _, ch := range c.sorted() {
			c.finish(ch, e.Err)
		}
		waiting := c.waiting
		c.waiting = nil
		for _, ch := range waiting {
			c.finish(ch, e.Err)
		}
	}
}

// sorted returns the channels that have ids, so that the same packets make the same events.
func (c *Channels) sorted() []*Channel {
	list := make([]*Channel, 0, len(c.byID))
	for _, ch := range c.byID {
		list = append(list, ch)
	}
	slices.SortFunc(list, func(x, y *Channel) int { return int(x.id) - int(y.id) })
	return list
}

// handleReset goes on with the close handshake (RFC 8831 section 6.7): the half that the peer has reset is answered with ours,
// and the channel is closed when both are.
func (c *Channels) handleReset(now time.Time, ch *Channel, e sctp.Event) {
	if ch.state == StateClosed {
		return
	}
	if e.Direction == sctp.Incoming {
		if ch.inDone {
			if n := len(ch.held); n > 0 && ch.held[n-1].reset {
				return // nothing came in between: a peer that only resets
			}
			ch.held = append(ch.held, heldItem{message: sctp.Message{Stream: e.Stream}, reset: true})
			return
		}
		ch.inDone = true
		if ch.state != StateClosing {
			ch.state = StateClosing
			c.post(Event{Kind: EventClosing, Channel: ch})
		}
		c.resetOutgoing(now, ch)
	} else {
		ch.outDone = true
		if e.Err != nil || !c.assoc.Stats().Reconfig {
			// Refused, or unknown to the peer: no answer will come.
			c.finish(ch, e.Err)
			return
		}
	}
	if ch.inDone && ch.outDone {
		c.finish(ch, nil)
	}
}
