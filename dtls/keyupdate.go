package dtls

import (
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// maxKeyUpdates is how many key updates of the peer are put up with without any application data between.
const maxKeyUpdates = 32

// keyUpdate is our side of key updates: one at a time, and the new keys only when the peer has acknowledged it (RFC 9147 §8).
type keyUpdate struct {
	sent     bool // waits for its ACK
	queued   bool // another is wanted after that
	request  bool // and asks the peer for the same
	received int
}

// The values of KeyUpdateRequest (RFC 8446 §4.6.3).
const (
	updateNotRequested = 0
	updateRequested    = 1
)

// UpdateKeys starts a change of the keys that this side writes with; request asks the peer to change its own too. It happens by itself
// long before a key is worn out. It does nothing in DTLS 1.2, which has no such thing. It fails with ErrNotConnected or ErrClosed.
func (c *Conn) UpdateKeys(now time.Time, request bool) error {
	switch {
	case c.state.terminal():
		return ErrClosed
	case c.state != StateConnected:
		return ErrNotConnected
	case c.version != VersionDTLS13:
		return nil
	}
	if c.update.sent && !request {
		return nil // one is on its way
	}
	if !c.flight.empty() {
		c.update.queued = true
		c.update.request = c.update.request || request
		return nil
	}
	return c.sendKeyUpdate(now, request)
}

func (c *Conn) sendKeyUpdate(now time.Time, request bool) error {
	c.beginFlight()
	value := byte(updateNotRequested)
	if request {
		value = updateRequested
	}
	if _, err := c.send(typeKeyUpdate, []byte{value}, nil); err != nil {
		return err
	}
	c.update.sent = true
	c.timer.stop()
	c.timer.start(now)
	return nil
}

// updateIfWorn starts a key update before the key's limit is near.
func (c *Conn) updateIfWorn(now time.Time) {
	if c.write.seq < keyUpdateAfter || c.version != VersionDTLS13 || c.update.sent || c.update.queued || c.state != StateConnected {
		return
	}
	if err := c.UpdateKeys(now, false); err != nil {
		c.fail(err)
	}
}

// flightAcked goes on after the peer has acknowledged a message.
func (c *Conn) flightAcked(now time.Time) error {
	if c.cfg.Role == RoleClient && c.hs == nil {
		// The server has all of the handshake and says nothing more in its epoch. It keeps its own keys of it longer: a client may
		// not have heard the ACK (RFC 9147 §5.8.1).
		c.reads = slices.DeleteFunc(c.reads, func(r *readEpoch) bool { return r.epoch == epochHandshake })
	}
	if c.update.sent {
		c.update.sent = false
		if err := c.nextWriteEpoch(); err != nil {
			return err
		}
	}
	if c.update.queued && c.state == StateConnected {
		request := c.update.request
		c.update.queued, c.update.request = false, false
		return c.sendKeyUpdate(now, request)
	}
	return nil
}

func (c *Conn) nextWriteEpoch() error {
	k := c.sched13
	traffic := &k.clientTraffic
	if c.cfg.Role == RoleServer {
		traffic = &k.serverTraffic
	}
	p, err := k.rotate(traffic)
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	if c.write.epoch >= maxMessageSeq {
		return fatal(AlertInternalError, "out of epochs")
	}
	c.stats.KeyUpdates++
	c.setWriteEpoch(c.write.epoch+1, p)
	return nil
}

func (c *Conn) nextReadEpoch() error {
	k := c.sched13
	traffic := &k.serverTraffic
	if c.cfg.Role == RoleServer {
		traffic = &k.clientTraffic
	}
	p, err := k.rotate(traffic)
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	last := c.reads[len(c.reads)-1].epoch
	if last >= maxMessageSeq {
		return fatal(AlertUnexpectedMessage, "out of epochs")
	}
	c.stats.KeyUpdates++
	c.addReadEpoch(last+1, p)
	return nil
}

// rotate replaces a traffic secret by the next.
func (k *schedule13) rotate(traffic *[]byte) (*protection, error) {
	next, err := k.next(*traffic)
	if err != nil {
		return nil, err
	}
	*traffic = next
	return k.protection(next)
}

// handlePostHandshake handles what may come after the handshake: key updates, and session tickets, which nobody wants.
func (c *Conn) handlePostHandshake(now time.Time, m message) error {
	switch {
	case c.version != VersionDTLS13:
		return unexpected(m)
	case m.typ == typeKeyUpdate:
		return c.takeKeyUpdate(now, m)
	case m.typ == typeNewSessionTicket && c.cfg.Role == RoleClient:
		return checkTicket(m.body())
	}
	return unexpected(m)
}

func (c *Conn) takeKeyUpdate(now time.Time, m message) error {
	s := m.body()
	var value uint8
	if !s.ReadUint8(&value) || !s.Empty() {
		return errDecode
	}
	if value > updateRequested {
		return fatal(AlertIllegalParameter, "KeyUpdate with request %d", value)
	}
	c.update.received++
	if c.update.received > maxKeyUpdates {
		return fatal(AlertUnexpectedMessage, "too many key updates")
	}
	if err := c.nextReadEpoch(); err != nil {
		return err
	}
	// One that is on its way answers too (RFC 8446 §4.6.3).
	if value == updateRequested && !c.update.sent && !c.update.queued {
		return c.UpdateKeys(now, false)
	}
	return nil
}

// checkTicket parses a NewSessionTicket (RFC 8446 §4.6.1) to no other end than refusing nonsense.
func checkTicket(s cryptobyte.String) error {
	var lifetime, age uint32
	var nonce, ticket cryptobyte.String
	if !s.ReadUint32(&lifetime) || !s.ReadUint32(&age) || !s.ReadUint8LengthPrefixed(&nonce) ||
		!s.ReadUint16LengthPrefixed(&ticket) || ticket.Empty() {
		return errDecode
	}
	if err := readExtensions(&s, func(extension, cryptobyte.String) error { return nil }); err != nil {
		return err
	}
	if !s.Empty() {
		return errDecode
	}
	return nil
}
