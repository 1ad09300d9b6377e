package sctp

import "time"

// delivery measures the rate at which data arrives at the peer (draft-cheng-iccrg-delivery-rate-estimation): every chunk
// remembers what had been delivered when it left.
type delivery struct {
	total        int64 // bytes acknowledged
	at           tick  // when total last changed
	firstSent    tick  // send time of the newest acknowledged packet: the begin of the current sampling interval
	limitedUntil int64 // the sender had nothing to send until total reaches this
}

// onSent stamps a chunk that leaves now while inFlight bytes are on their way.
func (d *delivery) onSent(now tick, c *sentChunk, inFlight int) {
	if inFlight == 0 {
		d.firstSent, d.at = now, now
	}
	c.delivered, c.deliveredAt, c.firstSent = d.total, d.at, d.firstSent
	c.limited = d.limitedUntil > d.total
}

// rateSample collects what one SACK acknowledges.
type rateSample struct {
	acked       int
	packet      uint64
	prior       int64
	priorAt     tick
	sentAt      tick
	sendElapsed tick
	limited     bool
	rtt         time.Duration // of the newest packet, never retransmitted
	seen        bool
}

// onAcked notes one chunk.
func (d *delivery) onAcked(now tick, c *sentChunk, s *rateSample) {
	d.total += int64(c.wire)
	d.at = now
	s.acked += int(c.wire)
	if s.seen && c.packet < s.packet {
		return
	}
	s.seen = true
	s.packet, s.prior, s.priorAt, s.sentAt = c.packet, c.delivered, c.deliveredAt, c.sentAt
	s.sendElapsed, s.limited = c.sentAt-c.firstSent, c.limited
	s.rtt = 0
	if c.transmissions == 1 { // Karn's rule (RFC 9260 section 6.3.1 C5)
		s.rtt = (now - c.sentAt).duration()
	}
}

// finish completes the sample of a SACK.
func (d *delivery) finish(now tick, s *rateSample, out *ackSample) {
	if d.limitedUntil != 0 && d.total > d.limitedUntil {
		d.limitedUntil = 0
	}
	out.acked, out.rtt, out.totalDelivered = s.acked, s.rtt, d.total
	if !s.seen {
		return
	}
	d.firstSent = max(d.firstSent, s.sentAt)
	out.newestPacket = s.packet
	out.priorDelivered = s.prior
	out.delivered = int(d.total - s.prior)
	out.interval = max(s.sendElapsed, now-s.priorAt).duration()
	out.appLimited = s.limited
}
