package ice

import (
	"time"
)

// refresh renews the consent of a pair (RFC 7675 §5.1): a valid response has come on it.
func (p *pair) refresh(now time.Time, timeout time.Duration) {
	p.consentUntil = now.Add(timeout)
	p.lastReceived = now
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
			((t.kind == kindConsent && t.pair == v) || (t.useCandidate && t.pair.produced == v))
	})
}

// checkConsent sends the consent check of the pair in use when its time has come: a binding request that is never sent
// again, each after its own random time (RFC 7675 §5.1).
func (a *Agent) checkConsent(now time.Time) {
	p := a.routePair
	if p == nil || !p.valid || p.nextConsent.After(now) {
		return
	}
	p.nextConsent = now.Add(a.jitter(a.cfg.ConsentInterval))
	t := &transaction{
		id: a.newTransactionID(), kind: kindConsent, base: p.local.base, remote: p.remote.Addr, pair: p,
		rto:         a.cfg.ConsentTimeout,
		controlling: a.role == RoleControlling,
		priority:    candidatePriority(TypePeerReflexive, p.local.base.pref),
	}
	if a.transmit(t, a.checkMessage(t)) {
		p.counters.requestsSent++
		p.counters.consentSent++
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
	if p := a.routePair; p != nil {
		d = firstTime(d, p.nextConsent)
	}
	return d
}

// updateState moves the state to what the pairs say.
func (a *Agent) updateState(now time.Time) {
	if p := a.routePair; p != nil && a.verified.heard(p.local.base.id, p.remote.Addr) {
		p.lastReceived = now
	}
	s := a.stateOf(now)
	if s == StateFailed && a.state != StateFailed {
		a.stopChecks()
	}
	a.setState(s)
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
	case len(g.pairs) > 0 || a.state != StateNew:
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
