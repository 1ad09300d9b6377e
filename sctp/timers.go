package sctp

import "time"

// Advance runs the timers that are due.
func (a *Association) Advance(now time.Time) {
	a.enter(now)
	if a.phase == phaseDone || a.phase == phaseClosed {
		return
	}
	a.advanceT1()
	if a.acks.deadline.due(a.now) {
		a.acks.due, a.acks.deadline = true, 0
	}
	if a.loss.deadline.due(a.now) {
		a.advanceReordering()
	}
	if a.loss.probe.due(a.now) {
		a.advanceProbe()
	}
	if a.t3.due(a.now) {
		a.advanceT3()
	}
	if a.pacer.deadline.due(a.now) {
		a.pacer.deadline = 0
	}
	a.advanceResets()
	a.advanceShutdown()
	a.advanceHeartbeat()
	a.advanceMTU()
}

// Deadline is when Advance wants to be called next; zero: no timer is armed.
func (a *Association) Deadline() time.Time {
	if a.phase == phaseDone || a.phase == phaseClosed {
		return time.Time{}
	}
	t := earliest(a.t1, a.acks.deadline)
	t = earliest(t, a.loss.deadline)
	t = earliest(t, a.loss.probe)
	t = earliest(t, a.t3)
	t = earliest(t, a.pacer.deadline)
	t = earliest(t, a.resets.deadline)
	t = earliest(t, a.closing.deadline())
	t = earliest(t, a.heartbeat.deadline)
	t = earliest(t, a.mtu.deadline)
	if t == 0 {
		return time.Time{}
	}
	return a.epoch.Add(t.duration())
}

// advanceReordering runs when the reordering window of the oldest chunk has closed (RFC 8985 section 6.2 step 5).
func (a *Association) advanceReordering() {
	prior := a.out.flight
	lost := a.loss.detect(a.now, &a.out, &a.rtt, a.onLostFn)
	var none rateSample
	a.tellCongestion(&none, prior, lost, false)
	a.armProbe()
}

// armProbe sets the tail loss probe (RFC 8985 section 7.2): when nothing comes back for two round trips, the last packet may
// be gone, and nothing behind it will tell.
func (a *Association) armProbe() {
	l := &a.loss
	if a.out.flight == 0 || l.probing || l.deadline != 0 || a.rtt.smoothed == 0 || a.windowProbe || a.phase == phaseCookieEchoed {
		l.probe = 0
		return
	}
	wait := 2 * a.rtt.smoothed
	if a.out.flight <= a.path.MTU {
		wait += 2 * a.cfg.AckDelay // the peer may be delaying its only SACK
	} else {
		wait += 5 * time.Millisecond
	}
	at := a.now.after(wait)
	if a.t3 != 0 && at >= a.t3 {
		l.probe = 0
		return
	}
	l.probe = at
}

// advanceProbe sends one packet to provoke a SACK: new data if there is some, else what was sent last (RFC 8985 section 7.3).
func (a *Association) advanceProbe() {
	l := &a.loss
	l.probe, l.probing = 0, true
	a.stats.TailProbes++
	a.tailProbe = true
	if a.out.lost > 0 || a.queue.front() != nil && a.peerTakes(a.path.MTU) {
		return
	}
	for t := a.out.next - 1; tsnLessEq(a.out.base, t); t-- {
		if c := a.out.at(t); c.state == chunkInFlight {
			a.out.lose(t, c)
			return
		}
	}
	a.tailProbe = false
}

// advanceT3 is the expiry of T3-rtx (RFC 9260 section 6.3.3).
func (a *Association) advanceT3() {
	a.t3 = 0
	if a.out.len() == 0 || a.phase == phaseCookieEchoed { // T1 repeats what is bundled with COOKIE ECHO
		return
	}
	a.stats.Timeouts++
	if a.failed() {
		return
	}
	a.rtt.backoff++
	if a.windowProbe {
		// Section 6.1 A: probing a shut window is no congestion.
		a.loseFlight()
	} else {
		a.fallBack()
		if a.rtt.backoff > 1 {
			a.forgetGaps()
		}
		a.loseFlight()
		a.loss.enter(&a.out)
		a.cc.onTimeout(a.now)
	}
	a.loss.probe, a.loss.deadline, a.loss.probing = 0, 0, false
	a.resendNow = true
	if a.out.abandoned > 0 {
		a.forwardDue = true
	}
	a.t3 = a.now.after(a.rtt.timeout(a.path.RTT))
}

// failed counts a time-out and ends the association when there were too many in a row (section 8.1).
func (a *Association) failed() bool {
	if a.errors++; a.errors > a.cfg.MaxRetransmits {
		a.abort(causeUserAbort, ErrTimeout)
		return true
	}
	return false
}

// loseFlight marks everything in flight as lost.
func (a *Association) loseFlight() {
	for {
		tsn, c := a.out.oldest()
		if c == nil {
			break
		}
		a.out.lose(tsn, c)
		a.out.order.drop()
		a.onLost(tsn, c)
	}
}

// forgetGaps takes back what gap blocks acknowledged: after two time-outs the peer may have thrown it away (section 6.2.1 D iii
// allows that).
func (a *Association) forgetGaps() {
	a.gaps = a.gaps[:0]
	for t := a.out.base; t != a.out.next; t++ {
		c := a.out.at(t)
		switch {
		case c.state != chunkAcked:
		case c.msg.abandoned:
			c.state = chunkAbandoned
			a.out.abandoned++
		default:
			c.state = chunkLost
			a.out.lost++
			a.out.lostFrom = a.out.base
		}
	}
}
