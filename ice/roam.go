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
	if a.state == StateClosed || a.state == StateFailed || a.gather.state == GatheringNew || a.gather.listing || a.gather.looking {
		return
	}
	a.gather.looking = true
	a.post(EventInterfaces{a.gather.gen})
	a.Advance(now)
}

// takeChange compares the interfaces with the bases.
func (a *Agent) takeChange(addrs []netip.Addr) {
	addrs = usableLocals(addrs)
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
