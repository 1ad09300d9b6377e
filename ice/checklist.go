package ice

import (
	"net/netip"
	"slices"
	"time"
)

// pair is a candidate pair (RFC 8445 §6.1.2). The checklist holds pairs whose local candidate is its own base; a pair that
// a check has proven valid with another local candidate (§7.2.5.3.2) is in the valid list only.
type pair struct {
	id       uint64
	gen      *generation
	local    *localCandidate
	remote   *remoteCandidate
	conn     *base // the connection that it runs over, once there is one; nil for UDP
	priority uint64

	// Checklist.
	state    PairState
	queued   bool      // in the triggered-check queue
	nominate bool      // the next check carries USE-CANDIDATE
	offered  bool      // controlling: it was nominated once, whatever has become of it
	wanted   bool      // controlled: the peer has nominated it, and its check has not succeeded yet (§7.3.1.5)
	late     bool      // formed after the nomination: it is checked all the same
	asked    time.Time // when its latest check began
	produced *pair     // the valid pair that its check has made; itself, or one with a reflexive local candidate

	// Valid list.
	valid        bool
	nominated    bool
	validSince   time.Time
	lastNominate time.Time // controlled: the latest request with USE-CANDIDATE
	consentUntil time.Time // RFC 7675 §5.1
	nextConsent  time.Time // zero: the pair never carried packets
	probeAt      time.Time // when an unanswered consent check makes us probe; zero: it is answered
	lastReceived time.Time // the latest authenticated message
	retryAt      time.Time // when a connection that broke is asked for again; zero: not
	dials        int       // how often a connection was asked for
	hurried      time.Time // when consent was asked for out of turn
	suspect      bool      // a consent check was not answered for a while

	counters pairCounters
}

// formPairs pairs every local with every remote candidate (RFC 8445 §6.1.2.2). A lite agent has no use for pairs that
// the peer does not check.
func (a *Agent) formPairs(g *generation, locals []*localCandidate, remotes []*remoteCandidate) {
	if a.cfg.Lite {
		return
	}
	for _, l := range locals {
		for _, r := range remotes {
			a.addPair(g, l, r)
		}
	}
}

// addPair puts a pair into the checklist, and returns it or the one that is there already; nil: the candidates do not pair.
// Its state follows RFC 8838 §12: waiting if it is the first of its foundation or if the foundation has had success.
func (a *Agent) addPair(g *generation, l *localCandidate, r *remoteCandidate) *pair {
	if !g.ready() || !a.mayPair(l, r) {
		return nil
	}
	return a.insertPair(g, l, r)
}

// insertPair is addPair for candidates that make a pair.
func (a *Agent) insertPair(g *generation, l *localCandidate, r *remoteCandidate) *pair {
	for _, p := range g.pairs {
		if p.local == l && p.remote == r {
			return p
		}
	}
	p := &pair{gen: g, local: l, remote: r, state: PairFrozen, late: g.selected != nil}
	p.setPriority(a.role)
	if len(g.pairs) >= maxPairs && !g.evict(p.priority) {
		return nil
	}
	p.id = a.newID()
	g.insert(p)
	if l.base.relay != nil {
		a.permit(l.base.relay, r.Addr)
	}
	busy := false
	for _, q := range g.pairs {
		if q == p || !q.sameFoundation(p) {
			continue
		}
		if q.state == PairSucceeded {
			busy = false
			break
		}
		busy = busy || q.state != PairFailed
	}
	if !busy || p.late || g.reopened { // one that comes later must not wait for those that have died
		p.state = PairWaiting
	}
	return p
}

// mayPair tells whether two candidates make a pair of the checklist: same family, and link-local with link-local (RFC 8445
// §6.1.2.2); loopback with loopback, so that no peer makes us probe services of our own host. A reflexive local candidate
// would be replaced by its base and pruned (§6.1.2.4).
func (a *Agent) mayPair(l *localCandidate, r *remoteCandidate) bool {
	if l.Type == TypeServerReflexive || l.Type == TypePeerReflexive {
		return false
	}
	if a.cfg.Policy == PolicyRelay && l.Type != TypeRelay {
		return false
	}
	if l.TCPType != "" || r.TCPType != "" {
		// Of TCP an active one with a passive one (RFC 6544 §6.2). The other way round it is the peer that connects.
		if l.TCPType != typeActive || r.TCPType != typePassive {
			return false
		}
	}
	la, ra := l.Addr.Addr(), r.Addr.Addr()
	return la.Is4() == ra.Is4() && la.IsLoopback() == ra.IsLoopback() &&
		(la.Is4() || la.IsLinkLocalUnicast() == ra.IsLinkLocalUnicast())
}

// insert keeps the checklist in decreasing order of priority; equals stay in the order of their arrival.
func (g *generation) insert(p *pair) {
	i := slices.IndexFunc(g.pairs, func(q *pair) bool { return q.priority < p.priority })
	if i < 0 {
		i = len(g.pairs)
	}
	g.pairs = slices.Insert(g.pairs, i, p)
}

// evict makes room for a pair of the given priority: the last pair that nobody has tried gives way (RFC 8445 §6.1.2.5).
func (g *generation) evict(priority uint64) bool {
	for i := len(g.pairs) - 1; i >= 0; i-- {
		p := g.pairs[i]
		if p.priority >= priority {
			return false
		}
		if !p.queued && (p.state == PairFrozen || p.state == PairWaiting || p.state == PairFailed) {
			g.pairs = slices.Delete(g.pairs, i, i+1)
			return true
		}
	}
	return false
}

func (p *pair) setPriority(role Role) {
	if role == RoleControlling {
		p.priority = pairPriority(p.local.Priority, p.remote.Priority)
	} else {
		p.priority = pairPriority(p.remote.Priority, p.local.Priority)
	}
}

// sameFoundation compares pair foundations (RFC 8445 §6.1.2.6).
func (p *pair) sameFoundation(q *pair) bool {
	return p.local.Foundation == q.local.Foundation && p.remote.Foundation == q.remote.Foundation
}

// reprioritize follows a change of role (RFC 8445 §7.3.1.1) or of a remote candidate's priority.
func (g *generation) reprioritize(role Role) {
	for _, p := range g.pairs {
		p.setPriority(role)
		if role == RoleControlling {
			p.wanted = false
		} else {
			p.nominate = false
		}
	}
	for _, p := range g.valid {
		p.setPriority(role)
	}
	slices.SortStableFunc(g.pairs, func(p, q *pair) int {
		switch {
		case p.priority > q.priority:
			return -1
		case p.priority < q.priority:
			return 1
		}
		return 0
	})
}

// find returns the pair of the checklist that uses this base and remote address.
func (g *generation) find(b *base, remote netip.AddrPort) *pair {
	for _, p := range g.pairs {
		if p.base() == b && p.remote.Addr == remote {
			return p
		}
	}
	return nil
}

// bestValid returns the valid pair of highest priority.
func (g *generation) bestValid() *pair {
	var best *pair
	for _, p := range g.valid {
		if p.valid && (best == nil || p.priority > best.priority) {
			best = p
		}
	}
	return best
}

func (g *generation) hasValid() bool { return g.bestValid() != nil }

// trigger puts a pair into the triggered-check queue (RFC 8445 §7.3.1.4).
func (g *generation) trigger(p *pair) {
	if p.state != PairSucceeded || !p.isValid() {
		p.state = PairWaiting
	}
	if !p.queued {
		p.queued = true
		g.triggered = append(g.triggered, p)
	}
}

func (p *pair) isValid() bool { return p.produced != nil && p.produced.valid }

// nextTriggered takes the oldest pair of the triggered-check queue.
func (g *generation) nextTriggered() *pair {
	if len(g.triggered) == 0 {
		return nil
	}
	p := g.triggered[0]
	g.triggered = slices.Delete(g.triggered, 0, 1)
	p.queued = false
	return p
}

// untrigger takes a pair out of the triggered-check queue.
func (g *generation) untrigger(p *pair) {
	if p.queued {
		p.queued = false
		g.triggered = slices.DeleteFunc(g.triggered, func(q *pair) bool { return q == p })
	}
}

// nextOrdinary returns the best waiting pair; when there is none, pairs whose foundation is idle thaw first (RFC 8445
// §6.1.4.2). After the nomination there are no ordinary checks any more (§8.1.2), but for the pairs that are open.
func (g *generation) nextOrdinary(now time.Time) *pair {
	if !g.ready() {
		return nil
	}
	if p := g.firstWaiting(); p != nil {
		return p
	}
	for _, p := range g.pairs {
		if p.state == PairFrozen && g.open(p) && !g.heldUntil(p).After(now) {
			p.state = PairWaiting
		}
	}
	return g.firstWaiting()
}

// hasOrdinary tells whether nextOrdinary would find a pair.
func (g *generation) hasOrdinary(now time.Time) bool {
	return g.ready() && slices.ContainsFunc(g.pairs, func(p *pair) bool {
		return g.open(p) && ((p.state == PairWaiting && !p.queued) || (p.state == PairFrozen && !g.heldUntil(p).After(now)))
	})
}

func (g *generation) firstWaiting() *pair {
	for _, p := range g.pairs {
		if p.state == PairWaiting && !p.queued && g.open(p) {
			return p
		}
	}
	return nil
}

// thawAfter is how long a check without an answer holds back the other pairs of its foundation.
//
// Deviates: RFC 8445 §6.1.4.2 lets them wait until it has failed, for 39.5 s. Of two addresses of a foundation the older one may
// be that of a relay or a network that is gone.
const thawAfter = time.Second

// heldUntil is how long a frozen pair waits for others of its foundation, if nothing else happens.
func (g *generation) heldUntil(p *pair) (until time.Time) {
	for _, q := range g.pairs {
		if q == p || !q.sameFoundation(p) || !g.open(q) {
			continue
		}
		if at := q.asked.Add(thawAfter); q.state == PairInProgress && at.After(until) {
			until = at
		}
		if q.state == PairWaiting {
			return farFuture
		}
	}
	return until
}

// farFuture is not before anything happens.
var farFuture = time.Unix(1<<40, 0)

// thawTime is when the next frozen pair has waited for long enough.
func (g *generation) thawTime(now time.Time) (d time.Time) {
	if !g.ready() {
		return d
	}
	for _, p := range g.pairs {
		if p.state != PairFrozen || !g.open(p) {
			continue
		}
		if at := g.heldUntil(p); at.After(now) && at != farFuture {
			d = firstTime(d, at)
		}
	}
	return d
}

// open tells whether checks of a pair make sense after the nomination.
//
// Deviates: RFC 8445 §8.1.2 ends all others. While a relay or TCP is in use better pairs are welcome, and candidates that come
// later mean that a network has changed.
func (g *generation) open(p *pair) bool {
	s := g.selected
	return s == nil || p.late || (p.detour() < s.detour() && p.priority > s.priority)
}

// detour tells how far a pair is from the best kind: none for UDP between the peers, one for TCP, two for a relay.
func (p *pair) detour() int {
	switch {
	case p.local.Type == TypeRelay || p.remote.Type == TypeRelay:
		return 2
	case p.tcp():
		return 1
	}
	return 0
}

// tcp tells whether a pair is one of RFC 6544.
func (p *pair) tcp() bool { return p.local.TCPType != "" }

// base returns where the pair's packets leave: the base of its local candidate, or its connection.
func (p *pair) base() *base {
	if p.conn != nil {
		return p.conn
	}
	return p.local.base
}

// thaw sets the frozen pairs of a foundation that has had success to waiting (RFC 8445 §7.2.5.3.3).
func (g *generation) thaw(p *pair) {
	for _, q := range g.pairs {
		if q.state == PairFrozen && q.sameFoundation(p) {
			q.state = PairWaiting
		}
	}
}

// unsettled counts the pairs whose checks are still to be made or under way.
func (g *generation) unsettled() int {
	n := 0
	for _, p := range g.pairs {
		if p.state == PairWaiting || p.state == PairInProgress || p.state == PairFrozen {
			n++
		}
	}
	return n
}
