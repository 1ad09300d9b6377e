package dtls

import "time"

// noteForACK remembers a record whose fragments were all taken, and arms the delay after which it is acknowledged, unless an
// answer does that earlier (RFC 9147 §7.1).
func (c *Conn) noteForACK(now time.Time, n recordNumber) {
	if c.version == VersionDTLS12 || c.cfg.MaxVersion != VersionDTLS13 {
		return
	}
	c.acks.push(n)
	if c.version == VersionDTLS13 && c.acks.started.IsZero() && !c.acks.due {
		c.acks.started = now
	}
}

func (c *Conn) ackPacket(buf []byte) []byte {
	front, back := c.write.prot.overhead()
	content := c.acks.append(make([]byte, 0, 2+maxACKRecords*recordNumberLen), len(buf)-front-back)
	if len(content) == 0 {
		return nil
	}
	pkt, _ := c.single(buf, contentACK, content)
	return pkt
}

// takeACK marks parts of the flight as received.
func (c *Conn) takeACK(now time.Time, r *readEpoch, plain []byte) error {
	switch c.version {
	case 0:
		// A client does not know yet whether its peer may say so; losing it costs a retransmission.
		return nil
	case VersionDTLS12:
		return fatal(AlertUnexpectedMessage, "an ACK in DTLS 1.2")
	}
	if r.prot == nil && c.cfg.Grace >= 0 {
		// In the clear anybody may claim to have received anything; what is sent again in vain does no harm.
		return nil
	}
	err := parseACK(plain, func(n recordNumber) error {
		// A record of the handshake is acknowledged in its epoch or a later one (RFC 9147 errata 8108).
		if r.epoch < epochApplication && n.epoch > r.epoch || n.epoch > maxMessageSeq || n.seq > maxSequence {
			return fatal(AlertIllegalParameter, "an ACK for a record of a later epoch")
		}
		c.flight.ack(n)
		return nil
	})
	if err != nil {
		return err
	}
	if !c.flight.empty() && c.flight.acked() {
		c.timer.stop()
		c.flight.clear()
		return c.flightAcked(now)
	}
	return nil
}
