package dtls

import (
	"errors"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

func readFull(r io.Reader, b []byte) (int, error) { return io.ReadFull(r, b) }

const (
	// maxEarly is how many early records are kept, and maxEarlyLen how long one may be.
	maxEarly    = 8
	maxEarlyLen = 2048
	// maxWarnings is how many warning alerts in a row are put up with.
	maxWarnings = 4
	// epochLifetime is how long keys are kept after their successors: twice the maximum segment lifetime of TCP (RFC 9147 §4.2.1).
	epochLifetime = 4 * time.Minute
	maxReadEpochs = 4
)

// earlyQueue keeps records whose keys are not there yet, for a moment.
type earlyQueue struct {
	records [][]byte
	ready   bool // new keys have come
}

// Open takes the first record of a datagram, decrypted in place. app is its application data, nil for every other kind; rest is
// what follows, for the next call, until it is empty. err says why a record was dropped, for logs: it ends nothing. pkt
// belongs to the caller again, and app is a part of it.
func (c *Conn) Open(now time.Time, pkt []byte) (app, rest []byte, err error) {
	if c.state.terminal() {
		return nil, nil, ErrClosed
	}
	if c.hs != nil && c.hs.step == stepClientStart {
		return nil, nil, ErrNotConnected
	}
	var ok bool
	if c.rec, rest, ok = parseRecord(pkt); !ok {
		c.stats.DroppedMalformed++
		return nil, nil, ErrMalformed
	}
	raw := pkt[:len(pkt)-len(rest)]
	app, err = c.openRecord(now, &c.rec, raw)
	if c.early.ready {
		c.openEarly(now)
	}
	c.updateIfWorn(now)
	return app, rest, err
}

func (c *Conn) openRecord(now time.Time, h *recordHeader, raw []byte) ([]byte, error) {
	r := c.epochOf(now, h)
	if r == nil {
		return nil, c.keepEarly(h, raw)
	}
	if len(h.body) > maxCiphertext {
		c.stats.DroppedMalformed++
		return nil, ErrMalformed
	}
	typ, plain, err := r.open(h)
	if err != nil {
		return nil, c.dropped(r, err)
	}
	if len(plain) > maxPlaintext {
		if r.prot != nil {
			c.fail(fatal(AlertRecordOverflow, "a record of %d bytes", len(plain)))
		}
		c.stats.DroppedMalformed++
		return nil, ErrMalformed
	}
	c.stats.RecordsIn++
	if r.prot != nil {
		c.authenticated = true
		c.promote(now, r)
	}
	if typ == contentApplicationData {
		return c.takeApplicationData(now, r, plain)
	}
	return nil, c.control(now, r, h.seq, typ, plain)
}

// control handles every content type but application data.
func (c *Conn) control(now time.Time, r *readEpoch, seq uint64, typ contentType, plain []byte) error {
	var err error
	switch typ {
	case contentHandshake:
		err = c.takeFragments(now, r, seq, plain)
	case contentAlert:
		return c.takeAlert(now, r, plain)
	case contentACK:
		err = c.takeACK(now, r, plain)
	case contentChangeCipherSpec:
		err = c.takeChangeCipherSpec(r, plain)
	default:
		err = fatal(AlertUnexpectedMessage, "content type %d", typ)
	}
	c.judge(now, r.prot != nil, err)
	return err
}

// judge lets an error end the connection if it was authenticated, and otherwise only raises a suspicion.
func (c *Conn) judge(now time.Time, authenticated bool, err error) {
	var a *AlertError
	if !errors.As(err, &a) {
		return
	}
	switch {
	case authenticated:
		c.fail(err)
	case c.hs != nil:
		c.suspectReason(now, err)
	}
}

// epochOf finds the keys for a record, checked before its content type is even looked at (RFC 9147 §4.5.2).
func (c *Conn) epochOf(now time.Time, h *recordHeader) *readEpoch {
	for i := len(c.reads) - 1; i >= 0; i-- {
		r := c.reads[i]
		if due(now, r.expires) {
			c.reads = slices.Delete(c.reads, i, i+1)
			continue
		}
		v13 := r.prot != nil && r.prot.v13
		if v13 != h.unified {
			continue
		}
		if v13 && uint16(r.epoch)&unifiedEpoch == h.epoch || !v13 && uint16(r.epoch) == h.epoch {
			return r
		}
	}
	return nil
}

// keepEarly queues a record for which keys may come.
func (c *Conn) keepEarly(h *recordHeader, raw []byte) error {
	plausible := c.hs != nil && (h.unified && c.version != VersionDTLS12 || !h.unified && h.epoch == 1 && c.version != VersionDTLS13)
	if !plausible {
		c.stats.DroppedEpoch++
		return ErrEpoch
	}
	if len(c.early.records) == maxEarly || len(raw) > maxEarlyLen {
		c.stats.DroppedOverflow++
		return ErrOverflow
	}
	c.early.records = append(c.early.records, append([]byte{}, raw...))
	return ErrQueued
}

// openEarly tries the queued records again, after new keys were installed.
func (c *Conn) openEarly(now time.Time) {
	for c.early.ready && !c.state.terminal() {
		c.early.ready = false
		records := c.early.records
		c.early.records = nil
		for _, raw := range records {
			if c.state.terminal() {
				return
			}
			h, _, ok := parseRecord(raw)
			if !ok {
				continue
			}
			// The reason of a drop was counted.
			if app, err := c.openRecord(now, &h, raw); err == nil && app != nil {
				c.hold(app)
			}
		}
	}
}

// hold keeps application data for Pending.
func (c *Conn) hold(app []byte) bool {
	if len(c.pending) == maxEarly {
		c.stats.DroppedOverflow++
		return false
	}
	c.pending = append(c.pending, append([]byte{}, app...))
	return true
}

// dropped counts why a record did not open.
func (c *Conn) dropped(r *readEpoch, err error) error {
	switch {
	case errors.Is(err, ErrReplay):
		c.stats.DroppedReplay++
	case errors.Is(err, ErrUnauthenticated):
		c.stats.DroppedUnauthenticated++
		if r.forged >= forgeryLimit {
			c.fail(fatal(AlertBadRecordMAC, "the key's limit of forged records is reached"))
		}
	case errors.Is(err, ErrMalformed):
		c.stats.DroppedMalformed++
	default:
		c.fail(err)
	}
	return err
}

func (c *Conn) takeApplicationData(now time.Time, r *readEpoch, plain []byte) ([]byte, error) {
	switch {
	case r.prot == nil:
		// Cleartext application data is never data (CVE-2019-20786).
		c.stats.DroppedEpoch++
		c.judge(now, false, fatal(AlertUnexpectedMessage, "application data in the clear"))
		return nil, ErrEpoch
	case r.prot.v13 && r.epoch < epochApplication:
		err := fatal(AlertUnexpectedMessage, "application data in epoch %d", r.epoch)
		c.fail(err)
		return nil, err
	case c.state != StateConnected:
		// It came ahead of Finished (reordering): nothing of it may be seen before that.
		if !c.hold(plain) {
			return nil, ErrOverflow
		}
		return nil, ErrQueued
	}
	c.warnings, c.update.received = 0, 0
	c.stats.BytesIn += uint64(len(plain))
	if len(plain) == 0 {
		return nil, nil
	}
	return plain, nil
}

// takeFragments feeds the fragments of a record to the reassembler and handles what is complete.
func (c *Conn) takeFragments(now time.Time, r *readEpoch, seq uint64, plain []byte) error {
	s := cryptobyte.String(plain)
	if s.Empty() {
		return fatal(AlertDecodeError, "an empty handshake record")
	}
	kept := true
	for !s.Empty() {
		h, body, ok := readFragment(&s)
		if !ok {
			return fatal(AlertDecodeError, "malformed handshake fragment")
		}
		if h.offset+h.fragLen > h.length {
			return fatal(AlertIllegalParameter, "a fragment beyond its message")
		}
		v, err := c.takeFragment(now, r, h, body)
		if err != nil {
			return err
		}
		if v == fragmentDiscarded {
			c.stats.DroppedFragments++
			kept = false
		}
	}
	if kept {
		c.noteForACK(now, recordNumber{r.epoch, seq})
	}
	return c.takeMessages(now)
}

func (c *Conn) takeFragment(now time.Time, r *readEpoch, h fragmentHeader, body []byte) (verdict, error) {
	if uint32(h.seq) < c.in.next || c.in.next > maxMessageSeq {
		return fragmentOld, c.takeOldFragment(now, r, h, body)
	}
	if c.state == StateConnected && c.version == VersionDTLS12 {
		return fragmentDiscarded, fatal(AlertUnexpectedMessage, "renegotiation (message type %d)", h.typ)
	}
	if r.epoch < c.handshakeEpoch() {
		if r.prot == nil && c.cfg.Grace >= 0 {
			return fragmentDiscarded, nil
		}
		return fragmentDiscarded, fatal(AlertUnexpectedMessage, "a new handshake message in the old epoch %d", r.epoch)
	}
	if h.length > maxMessageLen {
		return fragmentDiscarded, fatal(AlertIllegalParameter, "a handshake message of %d bytes", h.length)
	}
	if c.hs != nil && c.version == VersionDTLS13 {
		c.implicitACK(r)
	}
	v := c.in.add(h, body, r.epoch)
	if v == fragmentMismatch {
		c.judge(now, r.prot != nil, fatal(AlertIllegalParameter, "fragments that contradict each other"))
		if c.state.terminal() {
			return v, ErrClosed
		}
	}
	return v, nil
}

const maxMessageSeq = 1<<16 - 1

// implicitACK stops the timer: a peer that answers has received the flight (RFC 9147 §7.1). In the clear the answer may be forged, so
// the flight is kept, in case that the peer asks again.
func (c *Conn) implicitACK(r *readEpoch) {
	c.timer.stop()
	if r.prot != nil {
		c.flight.clear()
	} else {
		c.flight.park()
	}
}

// takeOldFragment looks at what was said before: a sign that the peer has not heard the answer.
func (c *Conn) takeOldFragment(now time.Time, r *readEpoch, h fragmentHeader, body []byte) error {
	switch {
	case c.hs != nil && c.cfg.Role == RoleServer && h.seq == 0 && h.typ == typeClientHello && !c.authenticated:
		return c.takeHelloAgain(now, h, body)
	case c.hs != nil && c.cfg.Role == RoleClient && h.seq == 0 && !c.authenticated && r.prot == nil:
		return c.takeAnswerAgain(now, h, body)
	case c.version == VersionDTLS12 && c.state == StateConnected && r.prot != nil:
		return c.takeOldFragment12(h)
	}
	return nil
}

// takeOldFragment12 knows a retransmission of the peer's last flight, which says that ours was lost (RFC 6347 §4.2.4), from an
// attempt at a new handshake. Only the protected part of that flight counts.
func (c *Conn) takeOldFragment12(h fragmentHeader) error {
	if h.typ != typeFinished {
		return fatal(AlertUnexpectedMessage, "renegotiation (message type %d)", h.typ)
	}
	if c.flight.final && h.offset == 0 && !c.flight.unsent() {
		c.stats.Retransmissions++
		c.flight.rewind()
	}
	return nil
}

// takeMessages handles whole messages in their order.
func (c *Conn) takeMessages(now time.Time) error {
	for !c.state.terminal() {
		m, ok := c.in.peek()
		if !ok {
			return nil
		}
		if uint64(m.epoch) != c.handshakeEpoch() {
			c.in.reject()
			err := fatal(AlertUnexpectedMessage, "a message of type %d in epoch %d", m.typ, m.epoch)
			c.judge(now, m.epoch != 0, err)
			return err
		}
		err := c.handleMessage(now, m)
		if err != nil {
			c.in.reject()
			c.judge(now, m.epoch != 0, err)
			return err
		}
		c.suspect = suspicion{}
		c.in.accept()
		c.noteAnswer(m)
		if c.in.below(c.handshakeEpoch()) && c.cfg.Grace < 0 {
			c.fail(fatal(AlertUnexpectedMessage, "excess handshake data before a change of keys"))
		}
	}
	return nil
}

// handshakeEpoch is the epoch in which the next handshake message must come.
func (c *Conn) handshakeEpoch() uint64 {
	if c.hs != nil && c.version != VersionDTLS13 {
		return c.hs.step.epoch12()
	}
	return c.reads[len(c.reads)-1].epoch
}

// promote retires the keys before those that the peer uses now.
func (c *Conn) promote(now time.Time, r *readEpoch) {
	if c.hs != nil || r != c.reads[len(c.reads)-1] || len(c.reads) < 2 || !c.reads[len(c.reads)-2].expires.IsZero() {
		return
	}
	for _, old := range c.reads[:len(c.reads)-1] {
		if old.expires.IsZero() {
			old.expires = now.Add(epochLifetime)
		}
	}
}

// addReadEpoch installs keys.
func (c *Conn) addReadEpoch(epoch uint64, p *protection) {
	c.reads = append(c.reads, &readEpoch{epoch: epoch, prot: p})
	if len(c.reads) > maxReadEpochs {
		c.reads = c.reads[1:]
	}
	c.early.ready = len(c.early.records) > 0
}

func (c *Conn) takeChangeCipherSpec(r *readEpoch, plain []byte) error {
	// The epoch of a record says everything that ChangeCipherSpec would.
	switch {
	case len(plain) != 1 || plain[0] != 1:
		return fatal(AlertIllegalParameter, "malformed ChangeCipherSpec")
	case r.prot != nil:
		return fatal(AlertUnexpectedMessage, "encrypted ChangeCipherSpec")
	}
	return nil
}
