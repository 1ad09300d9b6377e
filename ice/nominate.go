package ice

import (
	"net/netip"
	"slices"
	"time"
)

// renominateAfter is how long a nomination stands against one of lower priority.
//
// Deviates: RFC 8445 §8.1.1 knows one nomination only. Peers that nominate each pair as they go want the best one, and
// peers that change their mind, as browsers do when a path dies, say it again and again.
const renominateAfter = 5 * time.Second

// nominationPatience is how long a nomination goes unanswered before another pair that answers is nominated.
const nominationPatience = 2 * time.Second

// nominate lets a controlling agent nominate a pair once it is time (RFC 8445 §8.1.1): the check is made again, with
// USE-CANDIDATE.
func (a *Agent) nominate(now time.Time) {
	if n := a.cur.nominating; n != nil && !a.patience(n).After(now) && a.heardElsewhere(n) {
		a.endNomination(n)
	}
	p, at := a.nominee()
	if p == nil || at.After(now) {
		return
	}
	a.startNomination(p)
}

func (a *Agent) startNomination(p *pair) {
	p.nominate, p.offered = true, true
	a.cur.nominating, a.cur.nominatedAt = p, a.now
	a.cur.untrigger(p)
	p.queued = true
	a.cur.triggered = slices.Insert(a.cur.triggered, 0, p)
}

// silence is since when the pair that is to be nominated has been silent.
func (a *Agent) silence(n *pair) time.Time {
	since := a.cur.nominatedAt
	if v := n.produced; v != nil && v.lastReceived.After(since) {
		return v.lastReceived
	}
	return since
}

// patience is when its nomination may be given up.
func (a *Agent) patience(n *pair) time.Time { return a.silence(n).Add(nominationPatience) }

// heardElsewhere tells whether the peer has been heard on another valid pair meanwhile.
func (a *Agent) heardElsewhere(n *pair) bool {
	since := a.silence(n)
	return slices.ContainsFunc(a.cur.pairs, func(p *pair) bool {
		return p != n && p.isValid() && !p.produced.suspect && p.produced.lastReceived.After(since)
	})
}

// endNomination gives a nomination up. An answer that comes yet counts no more.
func (a *Agent) endNomination(n *pair) {
	a.cur.nominating, n.nominate = nil, false
	a.cur.untrigger(n)
	a.dropTransactions(func(t *transaction) bool { return t.useCandidate && t.pair.gen == a.cur })
	if n.produced != nil {
		n.produced.suspect = true
	}
}

// insist repeats the nomination of the selected pair when the peer is found to maintain another one that was nominated once:
// nominations may overtake each other, and one that was given up may have arrived.
func (a *Agent) insist(p *pair) {
	g := a.cur
	if a.role == RoleControlling && p.offered && g.nominating == nil && p.produced != g.selected && !g.selected.suspect &&
		a.now.Sub(g.nominatedAt) > nominationPatience {
		a.renominate()
	}
}

// fallBack lets a controlled agent follow a nomination after all that it has not followed, when the pair that it has
// preferred does not answer.
func (a *Agent) fallBack() {
	g := a.cur
	s := g.selected
	if a.role == RoleControlling || s == nil || (s.valid && !s.suspect) {
		return
	}
	var next *pair
	for _, v := range g.valid {
		newer := !s.valid || (v.lastNominate.After(s.lastNominate) && v.lastReceived.After(s.lastReceived))
		if v != s && v.valid && v.nominated && !v.suspect && newer && (next == nil || v.lastNominate.After(next.lastNominate)) {
			next = v
		}
	}
	if next != nil {
		a.selectPair(next)
	}
}

// remapped nominates the selected pair again when the peer sees us at another address than before: a NAT has forgotten us,
// and a peer that does not know it sends into the void.
func (a *Agent) remapped(v *pair, mapped netip.AddrPort) {
	g := a.cur
	if a.role != RoleControlling || v != g.selected || g.nominating != nil {
		return
	}
	for _, p := range g.pairs {
		if p.produced == v && a.mappedLocal(g, p, mapped) != v.local {
			a.startNomination(p)
			return
		}
	}
}

// renominate repeats a nomination that the agent has followed as the controlled one, now that it is controlling: the peer
// may have changed its role before it concluded.
func (a *Agent) renominate() {
	g := a.cur
	if g.selected == nil || !g.selected.valid {
		return
	}
	for _, p := range g.pairs {
		if p.produced == g.selected {
			a.startNomination(p)
			return
		}
	}
}

// nominationTime returns when nominate will act next; zero: not by itself.
func (a *Agent) nominationTime() time.Time {
	if n := a.cur.nominating; n != nil {
		if at := a.patience(n); at.After(a.now) {
			return at
		}
	}
	if p, at := a.nominee(); p != nil && at.After(a.now) {
		return at
	}
	return time.Time{}
}

// nominee returns the pair to nominate and when.
func (a *Agent) nominee() (*pair, time.Time) {
	g := a.cur
	if g.selected != nil {
		return a.renominee(), a.now
	}
	if a.role != RoleControlling || g.nominating != nil || g.firstValid.IsZero() {
		return nil, time.Time{}
	}
	hope := a.gather.state != GatheringComplete || !g.remoteEnd // better candidates may come
	var silent *pair
	for _, p := range g.pairs {
		if p.state != PairSucceeded || !p.isValid() {
			hope = hope || p.state == PairWaiting || p.state == PairInProgress || p.state == PairFrozen
			continue
		}
		if p.produced.suspect {
			if silent == nil {
				silent = p
			}
			continue
		}
		if !hope {
			return p, a.now
		}
		return p, g.firstValid.Add(a.acceptance(p.produced))
	}
	return silent, a.now
}

// renominee returns the pair that is to be nominated in the place of the selected one.
//
// Deviates: RFC 8445 §8.1.1 nominates once. Here a pair gives way to one that needs no relay or no TCP, to a better one of a network
// that has appeared since, and, when it does not answer any more, to any other that does. Peers that follow the latest
// nomination, as browsers do, follow.
func (a *Agent) renominee() *pair {
	g := a.cur
	s := g.selected
	if a.role != RoleControlling || g.nominating != nil {
		return nil
	}
	for _, p := range g.pairs {
		v := p.produced
		if p.state != PairSucceeded || !p.isValid() || v == s || v.suspect {
			continue
		}
		better := v.priority > s.priority && (p.late || v.detour() < s.detour())
		if better || (s.suspect && s.valid && !v.lastReceived.Before(s.lastReceived)) {
			return p
		}
	}
	return nil
}

// acceptance is how long better pairs are waited for.
func (a *Agent) acceptance(p *pair) time.Duration {
	l, r := p.local.Type, p.remote.Type
	switch {
	case p.gen.reopened:
		return 0
	case l == TypeRelay || r == TypeRelay || p.tcp():
		return a.cfg.RelayWait
	case l == TypeHost && r == TypeHost:
		return 0
	}
	return a.cfg.ReflexiveWait
}

// follow lets a controlled agent take a nomination of its peer (RFC 8445 §7.3.1.5, §8.1.1).
func (a *Agent) follow(now time.Time, v *pair) {
	s := v.gen.selected
	v.nominated = true
	if s == nil || (s != v && (v.priority > s.priority || v.late || s.suspect || !s.valid || now.Sub(s.lastNominate) > renominateAfter)) {
		a.selectPair(v)
	}
}

// selectPair concludes ICE (RFC 8445 §8.1.2): application packets take this pair, checks end.
func (a *Agent) selectPair(v *pair) {
	g := v.gen
	g.nominating = nil
	if g.selected == v {
		return
	}
	g.selected, g.reopened = v, false
	v.nominated = true
	if v.lastNominate.IsZero() {
		v.lastNominate = a.now
	}
	g.triggered = slices.DeleteFunc(g.triggered, func(p *pair) bool {
		p.queued = g.open(p)
		return !p.queued
	})
	for _, p := range g.pairs {
		p.nominate = false
		if !g.open(p) {
			a.cancelChecks(p)
		}
	}
	a.switches++
	a.post(EventSelectedPair{Local: v.local.Candidate, Remote: v.remote.Candidate, Base: v.base().id})
	a.closePrevious()
}
