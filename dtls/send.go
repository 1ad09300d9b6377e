package dtls

import "time"

// Overhead returns how many bytes Seal needs before and after a plaintext. Zero until connected; it never changes after that.
func (c *Conn) Overhead() (front, back int) {
	if c.state != StateConnected {
		return 0, 0
	}
	return c.write.prot.overhead()
}

// Seal protects the application data buf[head:head+n] in place and returns the record, a part of buf. It needs Overhead() bytes
// before and after it (the capacity of buf counts). It fails with ErrNotConnected, ErrClosed, ErrNoRoom or
// ErrKeyExhausted. No allocation.
func (c *Conn) Seal(buf []byte, head, n int) (rec []byte, err error) {
	if c.state != StateConnected {
		if c.state.terminal() {
			return nil, ErrClosed
		}
		return nil, ErrNotConnected
	}
	rec, err = c.write.seal(buf, head, n, contentApplicationData)
	if err != nil {
		return nil, err
	}
	c.stats.RecordsOut++
	c.stats.BytesOut += uint64(n)
	return rec, nil
}

// Next returns the next handshake datagram, alert or ACK, written to dst[:0] (grown if it has less room than the MTU). Called
// until it says that nothing is left. The result belongs to the caller.
func (c *Conn) Next(dst []byte) (pkt []byte, ok bool) {
	if c.acks.due {
		c.acks.due = false
		if pkt := c.ackPacket(c.room(dst)); len(pkt) > 0 {
			return pkt, true
		}
	}
	if c.flight.unsent() {
		buf := c.room(dst)
		n, err := c.flight.packet(buf)
		if err == nil && n > 0 {
			c.stats.RecordsOut++
			return buf[:n], true
		}
		c.flight.park()
	}
	if c.alert.queued {
		c.alert.queued = false
		content := c.alert.content()
		return c.single(c.room(dst), contentAlert, content[:])
	}
	return nil, false
}

// room returns a buffer of the MTU's length.
func (c *Conn) room(dst []byte) []byte {
	if cap(dst) >= c.limit {
		return dst[:c.limit]
	}
	return make([]byte, c.limit)
}

// single makes a datagram of one record in the newest epoch.
func (c *Conn) single(buf []byte, typ contentType, content []byte) ([]byte, bool) {
	front, _ := c.write.prot.overhead()
	n := copy(buf[front:], content)
	rec, err := c.write.seal(buf, front, n, typ)
	if err != nil {
		return nil, false
	}
	c.stats.RecordsOut++
	return rec, true
}

// Advance runs the timers that are due.
func (c *Conn) Advance(now time.Time) {
	if c.state.terminal() {
		return
	}
	if due(now, c.suspect.until) {
		c.fail(c.suspect.err)
		return
	}
	if due(now, c.ackDeadline()) {
		c.acks.schedule()
	}
	if due(now, c.timer.deadline()) {
		c.stats.Timeouts++
		if !c.timer.expire(now) {
			c.fail(c.timeoutError())
			return
		}
		c.nextAnswer(now)
		c.stats.Retransmissions++
		c.flight.rewind()
	}
}

// timeoutError prefers what the peer may have said to its silence.
func (c *Conn) timeoutError() error {
	if c.suspect.err != nil {
		return c.suspect.err
	}
	return ErrTimeout
}

// Deadline is when Advance wants to be called next; zero: no timer is armed.
func (c *Conn) Deadline() time.Time {
	if c.state.terminal() {
		return time.Time{}
	}
	return earliest(c.timer.deadline(), c.ackDeadline(), c.suspect.until)
}

func (c *Conn) ackDeadline() time.Time {
	if c.acks.started.IsZero() {
		return time.Time{}
	}
	return c.acks.started.Add(c.timer.timeout() / ackShare)
}
