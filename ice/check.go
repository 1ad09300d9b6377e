package ice

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// Why datagrams are dropped; made once, because strangers can send many.
var (
	errMalformed   = fmt.Errorf("%w: not well-formed STUN", ErrPacket)
	errFingerprint = fmt.Errorf("%w: FINGERPRINT", ErrPacket)
	errMethod      = fmt.Errorf("%w: method or class", ErrPacket)
	errUnknownBase = fmt.Errorf("%w: unknown base", ErrPacket)
	errUnknownID   = fmt.Errorf("%w: response to no request", ErrPacket)
	errOtherPath   = fmt.Errorf("%w: response on another path", ErrPacket)
	errFiltered    = fmt.Errorf("%w: filtered address", ErrPacket)
	errUsername    = fmt.Errorf("%w: USERNAME", ErrIntegrity)
	errKey         = fmt.Errorf("%w: MESSAGE-INTEGRITY", ErrIntegrity)
)

// HandlePacket feeds a STUN datagram that came to a base; pkt is not kept. Nothing of a check or of its response is
// interpreted before its FINGERPRINT and MESSAGE-INTEGRITY are checked, and what fails is counted and dropped without an
// answer. The error, ErrPacket, ErrIntegrity or ErrClosed, is for logs. The Packet is zero unless a relay wrapped
// application data.
func (a *Agent) HandlePacket(now time.Time, base BaseID, remote netip.AddrPort, pkt []byte) (Packet, error) {
	if a.state == StateClosed {
		return Packet{}, ErrClosed
	}
	b := a.base(base)
	if b == nil || !b.bound || b.tcp == tcpActive || b.tcp == tcpPassive {
		a.counters.Malformed++
		return Packet{}, errUnknownBase
	}
	if remote = normalize(remote); b.tcp == tcpConnected {
		remote = b.peer
	}
	if r := a.relayFor(b, remote, pkt); r != nil {
		return a.handleRelayPacket(now, r, pkt)
	}
	return Packet{}, a.handleSTUN(now, b, remote, pkt)
}

// handleSTUN feeds a message that came to a base, directly or by its relay.
func (a *Agent) handleSTUN(now time.Time, b *base, remote netip.AddrPort, pkt []byte) error {
	if !a.decode(pkt) {
		a.counters.Malformed++
		return errMalformed
	}
	if a.expireConsent(now) {
		a.run(now) // strict: what comes after the expiry finds it done
	}
	before := a.now
	a.now = now
	if err := a.handleMessage(now, b, remote); err != nil {
		a.now = before // nothing has changed, and the timers that are due have not run
		return err
	}
	a.run(now)
	return nil
}

func (a *Agent) handleMessage(now time.Time, b *base, remote netip.AddrPort) error {
	m := &a.rx
	if m.Type.Method != stun.MethodBinding {
		a.counters.Malformed++
		return errMethod
	}
	switch m.Type.Class {
	case stun.ClassRequest:
		return a.handleRequest(now, b, remote, m)
	case stun.ClassSuccessResponse, stun.ClassErrorResponse:
		return a.handleResponse(now, b, remote, m)
	case stun.ClassIndication:
		if !fingerprintOK(m, true) {
			a.counters.Malformed++
			return errFingerprint
		}
		return nil // a keepalive without a meaning (RFC 8445 §11)
	}
	a.counters.Malformed++
	return errMethod
}

// handleResponse matches a response with its request.
func (a *Agent) handleResponse(now time.Time, b *base, remote netip.AddrPort, m *stun.Message) error {
	t := a.findTransaction(m.TransactionID)
	if t == nil {
		a.counters.Unexpected++
		return errUnknownID
	}
	if t.kind == kindServer || t.kind == kindRefresh {
		if t.base != b || t.remote != remote {
			a.counters.Unexpected++
			return errOtherPath
		}
		if !fingerprintOK(m, false) {
			a.counters.Malformed++
			return errFingerprint
		}
		a.handleServerResponse(t, m)
		return nil
	}
	if !fingerprintOK(m, false) { // the id has matched: nothing depends on telling STUN from other packets
		a.counters.Malformed++
		return errFingerprint
	}
	if !integrityOK(m, t.pair.gen.remoteKey) {
		a.counters.BadIntegrity++
		return errKey // as if it had never come (RFC 8489 §9.1.4): the request goes on
	}
	a.handleCheckResponse(now, t, b, remote, m)
	return nil
}

// handleCheckResponse processes the authenticated response to a check (RFC 8445 §7.2.5) or consent check.
func (a *Agent) handleCheckResponse(now time.Time, t *transaction, b *base, remote netip.AddrPort, m *stun.Message) {
	a.takeTransaction(t)
	p := t.pair
	attrs := interpret(m)
	if t.base != b || t.remote != remote {
		// The path is not symmetric (§7.2.5.2.1); for consent, RFC 7675 §5.1 wants the same.
		a.failUnlessConsent(t)
		return
	}
	a.verify(b, remote, p.gen)
	if m.Type.Class == stun.ClassErrorResponse {
		a.handleCheckError(t, attrs)
		return
	}
	if attrs.unknowns > 0 || !attrs.mapped.IsValid() {
		a.failUnlessConsent(t) // RFC 8489 §6.3.3
		return
	}
	p.counters.response(now.Sub(t.first), t.requests == 1)
	if t.kind != kindCheck {
		a.consented(now, t)
		a.remapped(p, attrs.mapped)
		return
	}
	a.checkSucceeded(now, t, attrs)
}

// failUnlessConsent fails the check; a lost consent check is only no answer, and consent itself runs out in its own time.
func (a *Agent) failUnlessConsent(t *transaction) {
	if t.kind == kindCheck {
		a.checkFailed(t)
	}
}

// handleCheckError processes an error response: 487 is the one that can be repaired (RFC 8445 §7.2.5.1).
func (a *Agent) handleCheckError(t *transaction, attrs attributes) {
	if attrs.errorCode != int(stun.CodeRoleConflict) {
		a.failUnlessConsent(t)
		return
	}
	if t.controlling == (a.role == RoleControlling) {
		a.tieBreaker = a.rng.Uint64() // MUST change with the role (§16.1)
		if t.controlling {
			a.setRole(RoleControlled)
		} else {
			a.setRole(RoleControlling)
		}
	}
	if t.kind == kindCheck && t.pair.gen == a.cur {
		t.pair.nominate = false
		if a.cur.nominating == t.pair {
			a.cur.nominating = nil
		}
		a.cur.trigger(t.pair)
	}
}

// checkFailed ends a check without success.
func (a *Agent) checkFailed(t *transaction) {
	p := t.pair
	if p.gen != a.cur {
		return
	}
	if t.useCandidate && a.cur.nominating == p {
		// Another pair is to be nominated (RFC 8445 §8.1.1).
		a.cur.nominating = nil
		p.nominate = false
		if v := p.produced; v != nil && v != a.cur.selected {
			a.revoke(a.cur, v)
		}
	}
	// While another check of the pair is queued or in flight, that one decides.
	if !p.queued && !a.checking(p) && !p.isValid() {
		p.state = PairFailed
	}
}

// checking tells whether a check of the pair is in flight.
func (a *Agent) checking(p *pair) bool {
	for _, t := range a.transactions {
		if t.kind == kindCheck && t.pair == p {
			return true
		}
	}
	return false
}

// checkSucceeded makes a valid pair of a check's success (RFC 8445 §7.2.5.3).
func (a *Agent) checkSucceeded(now time.Time, t *transaction, attrs attributes) {
	p, g := t.pair, t.pair.gen
	if g != a.cur || !slices.Contains(g.pairs, p) {
		return // over, or given way to better pairs
	}
	local := a.mappedLocal(g, p, attrs.mapped)
	v := p
	if local != p.local {
		v = a.discovered(g, local, p)
	}
	p.state, p.produced = PairSucceeded, v
	if !v.valid {
		v.valid, v.validSince = true, now
		v.state = PairSucceeded
		if g.firstValid.IsZero() {
			g.firstValid = now
		}
		if !slices.Contains(g.valid, v) {
			g.valid = append(g.valid, v)
		}
	}
	v.refresh(now, a.cfg.ConsentTimeout)
	p.lastReceived = now
	g.thaw(p)
	a.dropTransactions(func(q *transaction) bool { return q.kind == kindProbe && q.pair == v })
	a.cancelChecks(p)
	if !p.nominate {
		g.untrigger(p)
	}
	if s := g.selected; s != nil && s != v && !t.useCandidate {
		a.hurry(s) // why does the peer tell us of another way?
	}
	switch {
	case t.useCandidate && a.role == RoleControlling:
		a.selectPair(v)
	case p.wanted && a.role != RoleControlling:
		p.wanted = false
		v.lastNominate = now
		a.follow(now, v)
	case g.reopened && v.nominated && a.role != RoleControlling:
		a.selectPair(v) // the peer has nominated it before, and need not know what has become of the other one
	}
}

// mappedLocal returns the local candidate that the peer saw, a new peer-reflexive one if there is none (RFC 8445
// §7.2.5.3.1). Those are not signaled: the peer learns them from our checks.
func (a *Agent) mappedLocal(g *generation, p *pair, mapped netip.AddrPort) *localCandidate {
	from, b := p.local, p.base()
	if mapped == from.Addr {
		return from
	}
	if public, ok := a.public(from); ok && mapped == public {
		return from
	}
	reflexive := 0
	for _, l := range g.locals {
		if l.Addr == mapped && l.base == b {
			return l
		}
		if l.Type == TypePeerReflexive {
			reflexive++
		}
	}
	if reflexive >= maxPeerReflex || len(g.locals) >= maxLocals {
		return from
	}
	l := &localCandidate{id: a.newID(), base: b, Candidate: Candidate{
		Foundation: a.found.of(TypePeerReflexive, b, netip.Addr{}),
		Component:  1, Transport: from.Transport, Priority: b.priority(TypePeerReflexive), Addr: mapped,
		Type: TypePeerReflexive, Related: b.local, Ufrag: g.local.Ufrag, TCPType: from.TCPType,
	}}
	g.locals = append(g.locals, l)
	return l
}

// discovered returns the valid pair that differs from the checked one in its local candidate (RFC 8445 §7.2.5.3.2).
func (a *Agent) discovered(g *generation, l *localCandidate, p *pair) *pair {
	for _, v := range g.valid {
		if v.local == l && v.remote == p.remote {
			return v
		}
	}
	if len(g.valid) >= maxValid {
		return p
	}
	v := &pair{id: a.newID(), gen: g, local: l, remote: p.remote, conn: p.conn, lastReceived: a.now}
	v.counters, v.late = p.counters, p.late
	v.setPriority(a.role)
	return v
}
