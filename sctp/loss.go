package sctp

import "time"

// lossDetector finds lost chunks by time and by packet numbers (RACK-TLP, RFC 8985, with the packet numbers of RFC 9002). It
// takes the place of the three miss indications of RFC 9260 section 7.2.4, which count SACKs and so fail with batches.
type lossDetector struct {
	// The newest packet known to have arrived, when it was sent, and its round-trip time.
	packet uint64
	sentAt tick
	rtt    time.Duration

	reordering bool // seen on this path: packet numbers alone prove nothing any more
	reoSteps   int  // reordering window in quarters of the lowest RTT
	reoPersist int  // recoveries for which a widened window is kept

	highestAcked uint32 // TSN never retransmitted

	inRecovery   bool
	recoverUntil uint32 // TSN that ends the recovery
	// resent counts chunks retransmitted in this recovery, spurious those that turned out to be needless.
	resent, needless int

	deadline tick // when the reordering window of the oldest chunk closes
	probe    tick // when the tail loss probe is due (RFC 8985 section 7)
	probing  bool // a probe is out and was not answered
}

// packetThreshold is RACK's DupThresh.
const packetThreshold = 3

// onAcked learns from one chunk that was acknowledged for the first time.
func (l *lossDetector) onAcked(now tick, tsn uint32, c *sentChunk, lowest time.Duration) {
	rtt := (now - c.sentAt).duration()
	if c.transmissions > 1 {
		// Faster than the path allows: the acknowledgement is of an earlier transmission (RFC 8985 section 6.2 step 2).
		if rtt < lowest {
			l.needless++
			return
		}
	} else {
		if tsnLess(tsn, l.highestAcked) && c.packet < l.packet {
			l.reordering = true
		}
		if tsnLess(l.highestAcked, tsn) {
			l.highestAcked = tsn
		}
	}
	if c.packet > l.packet {
		l.packet, l.sentAt, l.rtt = c.packet, c.sentAt, rtt
	}
}

// onDuplicate learns from a duplicate TSN that the peer reports: a retransmission was needless (RFC 8985 section 6.2 step 4).
func (l *lossDetector) onDuplicate() {
	l.reordering = true
	l.reoSteps = min(l.reoSteps+1, 8)
	l.reoPersist = 16
}

// window is the reordering window; at least what timers and schedulers blur anyway.
func (l *lossDetector) window(lowest, smoothed time.Duration) time.Duration {
	return max(min(time.Duration(1+l.reoSteps)*lowest/4, max(smoothed, lowest)), time.Millisecond)
}

// detect marks what must be lost, oldest transmission first, and returns the bytes. deadline is set for what remains in doubt.
func (l *lossDetector) detect(now tick, o *outstanding, r *rttEstimator, lost func(tsn uint32, c *sentChunk)) int {
	l.deadline = 0
	window := l.window(r.lowest, r.smoothed)
	bytes := 0
	for {
		tsn, c := o.oldest()
		if c == nil || c.packet >= l.packet {
			return bytes
		}
		due := c.sentAt.after(l.rtt + window)
		if due > now && (l.reordering || l.packet-c.packet < packetThreshold) {
			l.deadline = due
			return bytes
		}
		bytes += int(c.wire)
		o.lose(tsn, c)
		o.order.drop()
		lost(tsn, c)
	}
}

// enter begins a recovery that lasts until everything sent so far is acknowledged; false: one is running.
func (l *lossDetector) enter(o *outstanding) bool {
	if l.inRecovery {
		return false
	}
	l.inRecovery, l.recoverUntil = true, o.next-1
	l.resent, l.needless = 0, 0
	if l.reoPersist > 0 {
		if l.reoPersist--; l.reoPersist == 0 {
			l.reoSteps = 0
		}
	}
	return true
}

// leave ends the recovery when the cumulative TSN has passed its end; it reports whether all its retransmissions were
// needless.
func (l *lossDetector) leave(cum uint32) (spurious bool) {
	if !l.inRecovery || tsnLess(cum, l.recoverUntil) {
		return false
	}
	l.inRecovery = false
	return l.resent > 0 && l.needless >= l.resent
}

// reset forgets the path.
func (l *lossDetector) reset() {
	highest := l.highestAcked
	*l = lossDetector{packet: l.packet, highestAcked: highest, inRecovery: l.inRecovery, recoverUntil: l.recoverUntil}
}
