package ice

import (
	"time"
)

// refresh renews the consent of a pair (RFC 7675 §5.1): a valid response has come on it.
func (p *pair) refresh(now time.Time, timeout time.Duration) {
	p.consentUntil = now.Add(timeout)
	p.lastReceived = now
	p.probeAt, p.suspect = time.Time{}, false
}

// expireConsent ends the pairs whose consent is over: nothing is sent on them any more (RFC 7675 §5.1). It tells whether
// there were any.
func (a *Agent) expireConsent(now time.Time) bool {
	expired := false
	for _, g := range [...]*generation{a.cur, a.prev} {
		if g == nil {
			continue
		}
		for _, v := range g.valid {
			if v.valid && !v.consentUntil.After(now) {
				a.revoke(g, v)
				expired = true
			}
		}
	}
	if a.prev != nil && !a.prev.hasValid() {
		a.closePrevious()
	}
	return expired
}

// revoke takes a pair off the valid list, with the checks that made it.
func (a *Agent) revoke(g *generation, v *pair) {
	v.valid = false
	v.state = PairFailed
	for _, p := range g.pairs {
		if p.produced != v {
			continue
		}
		if p.state == PairSucceeded {
			p.state = PairFailed
		}
		if g.nominating == p {
			g.nominating, p.nominate = nil, false
			g.untrigger(p)
		}
	}
	a.dropTransactions(func(t *transaction) bool {
		return t.pair != nil && t.pair.gen == g &&
			(((t.kind == kindConsent || t.kind == kindProbe) && t.pair == v) || (t.useCandidate && t.pair.produced == v))
	})
}

// probeAfter is how long a consent check waits for its answer before the pair is probed.
const probeAfter = time.Second

// maintained returns the pairs whose consent is kept fresh: the one in use, and before the nomination the one that is to be
// nominated or the best one, for the old pair of a restart may be the one in use. Each request is also another chance for a
// peer whose own checks were lost.
func (a *Agent) maintained() (list [2]*pair) {
	if a.cfg.Lite {
		return list
	}
	if p := a.routePair; p != nil && p.valid {
		list[0] = p
	}
	next := a.cur.nominating
	switch {
	case next != nil && next.isValid():
		list[1] = next.produced
	case a.cur.selected == nil:
		list[1] = a.cur.bestValid()
	}
	if list[1] == list[0] {
		list[1] = nil
	}
	return list
}

// checkConsent sends the consent checks whose time has come: binding requests that are never sent again, each after its own
// random time (RFC 7675 §5.1).
//
// Deviates: one that stays unanswered may have been lost, or the path may be. A connectivity check, which is sent again by
// the rules of RFC 8445 §14 until something answers, finds out, so that a lossy path is not taken for a dead one.
func (a *Agent) checkConsent(now time.Time) {
	for _, p := range a.maintained() {
		if p == nil {
			continue
		}
		if p.nextConsent.IsZero() {
			p.nextConsent = now.Add(a.jitter(a.cfg.ConsentInterval))
		}
		if !p.nextConsent.After(now) {
			p.nextConsent = now.Add(a.jitter(a.cfg.ConsentInterval))
			if p.probeAt.IsZero() && !a.probing(p) {
				p.probeAt = now.Add(max(probeAfter, 2*p.counters.currentRTT))
			}
			a.maintain(p, kindConsent, a.cfg.ConsentTimeout)
		}
		if !p.probeAt.IsZero() && !p.probeAt.After(now) {
			p.probeAt = time.Time{}
			a.maintain(p, kindProbe, a.cfg.RTO)
		}
	}
}

// maintain sends a request on a valid pair.
func (a *Agent) maintain(p *pair, kind transactionKind, rto time.Duration) {
	n := a.cur.nominating
	if p.conn != nil && kind == kindProbe {
		rto = reliableTimeout
	}
	t := &transaction{
		id: a.newTransactionID(), kind: kind, base: p.base(), remote: p.remote.Addr, pair: p, rto: rto,
		controlling:  a.role == RoleControlling,
		useCandidate: a.role == RoleControlling && n != nil && n.produced == p,
		priority:     p.base().priority(TypePeerReflexive),
	}
	if !a.transmit(t, a.checkMessage(t)) {
		return
	}
	p.counters.requestsSent++
	if kind == kindConsent {
		p.counters.consentSent++
	}
}

// suspect notices the pairs that have not answered in time: others may take over.
func (a *Agent) suspect(now time.Time) {
	for _, p := range a.maintained() {
		if p != nil && !p.probeAt.IsZero() && !p.probeAt.After(now) {
			p.suspect = true
		}
	}
}

// hurry asks for consent now, and is soon suspicious: another pair is there, or the peer asks for another one.
func (a *Agent) hurry(p *pair) {
	if !p.valid || p.suspect || p != a.routePair {
		return
	}
	if a.now.Sub(p.hurried) < hurryAfter {
		return
	}
	p.hurried = a.now
	a.maintain(p, kindConsent, a.cfg.ConsentTimeout)
	p.nextConsent = a.now.Add(a.jitter(a.cfg.ConsentInterval))
	if !p.probeAt.IsZero() {
		return
	}
	p.probeAt = a.now.Add(max(hurryAfter, 2*p.counters.currentRTT))
}

// hurryAfter is how long the consent check of a pair waits for its answer when there is another pair.
const hurryAfter = 200 * time.Millisecond

func (a *Agent) probing(p *pair) bool {
	for _, t := range a.transactions {
		if t.kind == kindProbe && t.pair == p {
			return true
		}
	}
	return false
}

// consented takes the answer to a consent check or probe.
func (a *Agent) consented(now time.Time, t *transaction) {
	p := t.pair
	p.refresh(now, a.cfg.ConsentTimeout)
	a.dropTransactions(func(q *transaction) bool { return q.kind == kindProbe && q.pair == p })
	if n := a.cur.nominating; t.useCandidate && n != nil && n.produced == p && a.role == RoleControlling {
		a.selectPair(p)
	}
}

// consentDeadline returns when consent ends or is asked for next.
func (a *Agent) consentDeadline() time.Time {
	var d time.Time
	for _, g := range [...]*generation{a.cur, a.prev} {
		if g == nil {
			continue
		}
		for _, v := range g.valid {
			if v.valid {
				d = firstTime(d, v.consentUntil)
			}
		}
	}
	for _, p := range a.maintained() {
		if p != nil {
			d = firstTime(firstTime(d, p.nextConsent), p.probeAt)
		}
	}
	return d
}

// updateState moves the state to what the pairs say.
func (a *Agent) updateState(now time.Time) {
	a.hearRoute(now)
	s := a.stateOf(now)
	if s == StateFailed && a.state != StateFailed {
		a.stopChecks()
	}
	a.setState(s)
}

// hearRoute notes that application packets have come by the route.
func (a *Agent) hearRoute(now time.Time) {
	if p := a.routePair; p != nil && a.verified.heard(p.base().id, p.remote.Addr) {
		p.lastReceived = now
	}
}

// stateOf is the definition of W3C's RTCIceTransportState.
func (a *Agent) stateOf(now time.Time) State {
	g := a.cur
	if p := a.routePair; p != nil {
		silent := now.Sub(p.lastReceived) >= a.cfg.DisconnectedAfter
		switch {
		case silent && p.gen == a.prev && a.state == StateChecking:
			return StateChecking // the restart has forgotten that connectivity was lost
		case silent:
			return StateDisconnected
		case p == g.selected && a.gather.state == GatheringComplete && g.remoteEnd:
			return StateCompleted
		}
		return StateConnected
	}
	switch {
	case a.state == StateFailed, g.selected != nil:
		return StateFailed
	case a.exhausted() && !a.failTime().After(now):
		return StateFailed
	case g.reopened:
		return StateDisconnected
	case len(g.pairs) > 0 || (a.cfg.Lite && !g.started.IsZero()) || a.state != StateNew:
		return StateChecking
	}
	return StateNew
}

// exhausted tells whether there is nothing left to check now; candidates may still come.
func (a *Agent) exhausted() bool {
	g := a.cur
	return !g.started.IsZero() && a.gather.state == GatheringComplete && len(g.triggered) == 0 && g.unsettled() == 0
}

// failTime is when an exhausted agent may give up (RFC 8863 §4): checks of the peer may still reveal a pair. Without
// end-of-candidates the patience counts from the latest candidate, so that a peer that never sends it cannot keep us
// from failing.
func (a *Agent) failTime() time.Time {
	if a.cur.remoteEnd {
		return a.cur.started.Add(a.cfg.Patience)
	}
	return a.cur.lastRemote.Add(a.cfg.Patience)
}

// stateDeadline returns when the state changes by time alone.
func (a *Agent) stateDeadline() time.Time {
	var d time.Time
	switch p := a.routePair; {
	case p != nil:
		d = p.lastReceived.Add(a.cfg.DisconnectedAfter)
	case a.state != StateFailed && a.exhausted():
		d = a.failTime()
	}
	if !d.After(a.now) {
		return time.Time{} // it has changed already
	}
	return d
}

// stopChecks ends everything that a failed agent does: it neither asks nor answers until a restart.
func (a *Agent) stopChecks() {
	a.dropTransactions(func(t *transaction) bool { return t.kind != kindServer })
	for _, p := range a.cur.triggered {
		p.queued = false
	}
	a.cur.triggered = nil
}
