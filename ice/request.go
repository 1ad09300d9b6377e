package ice

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"github.com/pion/stun/v3"
)

// handleRequest answers a connectivity or consent check (RFC 8445 §7.3).
//
// Deviates: strangers get no answer at all, not even the 400 and 401 of RFC 8489 §9.1.3, which would only serve to aim
// packets at others.
//
// Deviates: after a failure the agent is silent towards its peer too. It may not send any more (RFC 7675 §5.1), and a peer
// that still got answers would send into the void.
func (a *Agent) handleRequest(now time.Time, b *base, remote netip.AddrPort, m *stun.Message) error {
	if a.filtered(remote) {
		a.counters.Unexpected++
		return errFiltered
	}
	if !fingerprintOK(m, true) {
		a.counters.Malformed++
		return errFingerprint
	}
	ours, theirs, ok := bytes.Cut(username(m), []byte{':'})
	g := a.generationOf(ours)
	if !ok || g == nil || (g.remoteSet && string(theirs) != g.remote.Ufrag) {
		a.counters.BadUsername++
		return errUsername
	}
	if !integrityOK(m, g.localKey) {
		a.counters.BadIntegrity++
		return errKey
	}
	if a.state == StateFailed {
		return nil
	}
	a.counters.RequestsReceived++
	a.verify(b, remote, g)
	attrs := interpret(m)
	switch {
	case attrs.unknowns > 0:
		a.answer(b, remote, a.errorMessage(m.TransactionID, stun.CodeUnknownAttribute, attrs.unknown[:attrs.unknowns], g.localKey))
		return nil
	case attrs.malformed || (!attrs.hasPriority && g.remoteAt(remote, b.tcp != tcpNone) == nil): // without, nothing can be learned (§7.3.1.3)
		a.answer(b, remote, a.errorMessage(m.TransactionID, stun.CodeBadRequest, nil, g.localKey))
		return nil
	case !a.settleRole(attrs):
		a.answer(b, remote, a.errorMessage(m.TransactionID, stun.CodeRoleConflict, nil, g.localKey))
		return nil
	}
	a.answer(b, remote, a.successMessage(m.TransactionID, remote, g.localKey))
	if g != a.cur {
		a.heardFrom(now, g, b, remote)
		return nil
	}
	if !g.started.IsZero() {
		a.takeCheck(now, g, earlyCheck{base: b, remote: remote, priority: attrs.priority, useCandidate: attrs.useCandidate})
		return nil
	}
	a.rememberCheck(g, earlyCheck{b, remote, string(theirs), attrs.priority, attrs.useCandidate})
	return nil
}

// filtered tells whether nothing is to be had with an address.
func (a *Agent) filtered(remote netip.AddrPort) bool {
	return a.cfg.RemoteFilter != nil && !a.cfg.RemoteFilter(remote.Addr())
}

// generationOf returns the living generation with this local ufrag; checks of older ones are stale.
func (a *Agent) generationOf(ufrag []byte) *generation {
	if a.cur.localSet && a.cur.local.Ufrag == string(ufrag) {
		return a.cur
	}
	if a.prev != nil && a.prev.local.Ufrag == string(ufrag) {
		return a.prev
	}
	return nil
}

func (a *Agent) answer(b *base, remote netip.AddrPort, raw []byte) {
	a.counters.ResponsesSent++
	a.send(b, remote, raw)
}

// settleRole repairs a role conflict (RFC 8445 §7.3.1.1): true, the request is answered; false, it gets a 487. The larger
// tie-breaker is the controlling side's.
func (a *Agent) settleRole(attrs attributes) bool {
	switch {
	case a.cfg.Lite: // it has but one role
	case a.role == RoleControlling && attrs.controlling:
		if a.tieBreaker >= attrs.tieBreaker {
			return false
		}
		a.setRole(RoleControlled)
	case a.role == RoleControlled && attrs.controlled:
		if a.tieBreaker < attrs.tieBreaker {
			return false
		}
		a.setRole(RoleControlling)
	}
	return true
}

// rememberCheck keeps what a check has taught before the remote parameters are known.
func (a *Agent) rememberCheck(g *generation, e earlyCheck) {
	for i, old := range g.early {
		if old.base == e.base && old.remote == e.remote && old.remoteUfrag == e.remoteUfrag {
			g.early[i].useCandidate = old.useCandidate || e.useCandidate
			return
		}
	}
	if len(g.early) < maxEarly {
		g.early = append(g.early, e)
	}
}

// takeCheck learns from a check of the current generation: the peer's address, a triggered check, a nomination (RFC 8445
// §7.3.1.3 to §7.3.1.5).
func (a *Agent) takeCheck(now time.Time, g *generation, e earlyCheck) {
	p := g.find(e.base, e.remote)
	if p == nil {
		if p = a.learnPair(g, e); p == nil {
			return
		}
	}
	p.counters.requestsReceived++
	p.counters.responsesSent++
	p.lastReceived = now
	if p.produced != nil {
		p.produced.lastReceived = now
		if p.produced != p {
			p.produced.counters.requestsReceived++
			p.produced.counters.responsesSent++
		}
	}
	if a.cfg.Lite {
		a.takeLite(now, p, e)
		return
	}
	if s := g.selected; s != nil && s != p && s != p.produced {
		a.hurry(s) // a peer that is content with the selected pair has no reason to check another one
		a.insist(p)
	}
	if p.state != PairSucceeded || !p.isValid() {
		if p.state == PairInProgress {
			a.cancelChecks(p)
		}
		if p.conn == nil || !a.checking(p) { // what is on its way by a connection arrives
			g.trigger(p)
		}
	}
	if !e.useCandidate || a.role == RoleControlling {
		return
	}
	if p.state == PairSucceeded && p.isValid() {
		a.follow(now, p.produced)
		p.produced.lastNominate = now
	} else {
		p.wanted = true
	}
}

// learnPair makes the pair that a check came by: with the remote candidate at its source address, a new peer-reflexive one
// if none is known (RFC 8445 §7.3.1.3), and with the host candidate that it came to.
func (a *Agent) learnPair(g *generation, e earlyCheck) *pair {
	var l *localCandidate
	for _, c := range g.locals {
		if (c.base == e.base || c.base == e.base.of) && (c.Type == TypeHost || c.Type == TypeRelay) {
			l = c
		}
	}
	if l == nil || !usableRemote(e.remote) {
		return nil
	}
	tcp := e.base.tcp != tcpNone
	r := g.remoteAt(e.remote, tcp)
	if r == nil {
		reflexive := 0
		for _, c := range g.remotes {
			if c.Type == TypePeerReflexive {
				reflexive++
			}
		}
		if reflexive >= maxPeerReflex || len(g.remotes) >= maxRemotes {
			return nil
		}
		id := a.newID()
		r = &remoteCandidate{id: id, Candidate: Candidate{
			Foundation: "p" + strconv.FormatUint(id, 10), // unlike any other of the peer
			Component:  1, Transport: "udp", Priority: e.priority, Addr: e.remote,
			Type: TypePeerReflexive, Ufrag: g.remote.Ufrag,
		}}
		if tcp {
			r.Transport, r.TCPType = "tcp", l.base.tcp.opposite()
		}
		g.remotes = append(g.remotes, r)
	}
	if !tcp {
		return a.addPair(g, l, r)
	}
	return a.connectedPair(g, l, r, e.base)
}

// heardFrom notes that the peer lives, on a pair of the generation before.
func (a *Agent) heardFrom(now time.Time, g *generation, b *base, remote netip.AddrPort) {
	for _, v := range g.valid {
		if v.base() == b && v.remote.Addr == remote {
			v.lastReceived = now
			v.counters.requestsReceived++
			v.counters.responsesSent++
			if a.cfg.Lite && v.valid {
				v.refresh(now, a.cfg.ConsentTimeout)
			}
		}
	}
}
