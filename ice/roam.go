package ice

import (
	"net/netip"
	"slices"
	"time"
)

// NetworkChanged says that interfaces or their addresses may have changed since they were asked for last: they are asked for
// again by EventInterfaces. What has gone takes its pairs with it; what is new is gathered on within the current generation,
// and its candidates are checked although a pair was nominated before. No signaling is needed as long as the peer can still
// be reached where it was: it learns our new addresses from the checks. Spurious calls cost a look at the interfaces.
func (a *Agent) NetworkChanged(now time.Time) {
	if a.state == StateClosed || a.state == StateFailed || a.gather.state == GatheringNew {
		return
	}
	a.gather.stale = true
	if !a.gather.listing && !a.gather.looking {
		a.lookAgain()
	}
	a.Advance(now)
}

// lookAgain asks for the interfaces if they have changed since they were asked for.
func (a *Agent) lookAgain() {
	if a.gather.stale {
		a.gather.stale, a.gather.looking = false, true
		a.post(EventInterfaces{a.gather.gen})
	}
}

// takeChange compares the interfaces with what they were.
func (a *Agent) takeChange(addrs []netip.Addr) {
	addrs = usableLocals(addrs)
	before := a.gather.addrs
	a.gather.addrs = addrs
	gone := slices.DeleteFunc(slices.Clone(before), func(b netip.Addr) bool { return slices.Contains(addrs, b) })
	prefs := localPreferences(addrs)
	for _, b := range slices.Clone(a.bases) {
		if !slices.Contains(addrs, b.want) {
			a.dropBase(b)
		}
	}
	for i, addr := range addrs {
		for _, kind := range a.kindsAt(addr) {
			if a.baseAt(addr, kind) == nil {
				a.resumeGathering()
				a.bind(addr, prefs[i], kind)
			}
		}
	}
	a.moveRelays(gone)
	if slices.ContainsFunc(addrs, func(b netip.Addr) bool { return !slices.Contains(before, b) }) {
		a.askServersAgain()
	}
	a.hurryRequests()
}

// moveRelays makes the connections to servers anew that were made from an address which is gone, or that are being made:
// nobody would tell them before a long time without answers.
func (a *Agent) moveRelays(gone []netip.Addr) {
	if len(gone) == 0 {
		return
	}
	for _, r := range slices.Clone(a.relays) {
		from := r.under.local.Addr()
		lost := slices.ContainsFunc(gone, func(g netip.Addr) bool { return g.WithZone("") == from })
		if r.under.stream && (lost || !r.under.bound) && r.state != relayQueued {
			a.undial(r)
			r.client.Reconnect(a.now)
			a.pumpRelay(r)
		}
	}
}

// askServersAgain comes back to the servers that could not be reached, or whose names had no address, now that there is
// another network.
func (a *Agent) askServersAgain() {
	for _, s := range a.gather.servers {
		if len(s.addrs) == 0 && !s.resolving {
			a.resumeGathering()
			s.resolving = true
			a.post(EventResolve{Gen: a.gather.gen, ID: s.id, Host: s.Host})
		}
		n := len(a.relays)
		a.addConnectedRelay(s)
		if len(a.relays) > n {
			a.resumeGathering()
		}
	}
}

// hurryRequests sends again what waits for an answer.
//
// Deviates: RFC 8489 §6.2.1 leaves it to the timer. Routes change with interfaces: what was lost a moment ago may arrive now,
// and need not wait for a timer that has grown long.
func (a *Agent) hurryRequests() {
	for _, r := range slices.Clone(a.relays) {
		r.client.Hurry(a.now)
		a.pumpRelay(r)
	}
	for _, t := range a.transactions {
		if !t.once() && !t.cancelled && t.requests < a.cfg.MaxRequests {
			t.requests, t.next = 1, a.now
		}
	}
}

// dropBase forgets an address that this host has no more, with all that went by it.
func (a *Agent) dropBase(b *base) {
	a.dropPairs(func(p *pair) bool { return p.local.base.under() == b }, func(l *localCandidate) bool { return l.base.under() == b })
	a.gather.queries = slices.DeleteFunc(a.gather.queries, func(q *query) bool { return q.base == b })
	a.unbind(b)
}

// dropPairs forgets pairs and the local candidates that they had.
func (a *Agent) dropPairs(of func(*pair) bool, local func(*localCandidate) bool) {
	for _, g := range a.generations() {
		for _, v := range slices.Clone(g.valid) {
			if v.valid && of(v) {
				a.revoke(g, v)
			}
		}
		a.dropTransactions(func(t *transaction) bool { return t.pair != nil && of(t.pair) })
		for _, p := range g.pairs {
			if of(p) {
				g.untrigger(p)
				p.state = PairFailed
			}
		}
		g.pairs = slices.DeleteFunc(g.pairs, of)
		g.locals = slices.DeleteFunc(g.locals, local)
		if g == a.cur && g.selected != nil && of(g.selected) {
			a.reopen(g)
		}
	}
}

// reopen lets checks go on after the selected pair has died of something else than the peer's silence: other pairs may work.
// What was valid is checked anew, because the same may have happened to it.
func (a *Agent) reopen(g *generation) {
	g.selected, g.firstValid, g.reopened = nil, time.Time{}, true
	for _, v := range slices.Clone(g.valid) {
		if v.valid {
			a.revoke(g, v)
		}
	}
	g.lastRemote = a.now // patience begins anew
	if g.started.Before(a.now) {
		g.started = a.now
	}
	a.dropTransactions(func(t *transaction) bool { return t.kind == kindCheck })
	for _, p := range g.pairs {
		p.state, p.late = PairWaiting, false
	}
}

// resumeGathering leads back from complete: there are new candidates, as W3C's RTCIceGathererState allows it.
func (a *Agent) resumeGathering() {
	if a.gather.state == GatheringComplete {
		a.gather.state, a.gather.deadline = GatheringActive, a.now.Add(a.cfg.GatherTimeout)
		a.post(EventGatheringState{GatheringActive})
	}
}
