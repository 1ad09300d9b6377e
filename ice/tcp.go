package ice

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// tcpKind says what a base is of TCP (RFC 6544 §3).
type tcpKind uint8

const (
	tcpNone      tcpKind = iota // a UDP socket
	tcpActive                   // where connections are made from: no socket
	tcpPassive                  // a listener
	tcpConnected                // a connection to a peer
)

// Values of tcptype (RFC 6544 §4.5). There is a third one, "so", for simultaneous open, which browsers do not have either.
const (
	typeActive  = "active"
	typePassive = "passive"
)

// discardPort is what active candidates are signaled with (RFC 6544 §4.5).
const discardPort = 9

// Timing of connections.
const (
	connectTimeout  = 10 * time.Second       // for a connection to come about
	strangerTimeout = 10 * time.Second       // for the first check on a connection that a peer has made
	firstRedial     = 250 * time.Millisecond // doubled with each attempt, up to sixteen times as much
)

// name returns the tcptype of a base's candidates; empty: UDP.
func (k tcpKind) name() string {
	switch k {
	case tcpActive:
		return typeActive
	case tcpPassive:
		return typePassive
	case tcpNone, tcpConnected:
	}
	return ""
}

// opposite is the tcptype of who is at the other end.
func (k tcpKind) opposite() string {
	if k == tcpActive {
		return typePassive
	}
	return typeActive
}

// Type preferences of TCP: below those of UDP of any kind but relayed, for a detour is worse still (RFC 6544 §4.2 leaves
// them to the agent).
var tcpTypePreference = [...]uint32{TypeHost: 90, TypePeerReflexive: 80, TypeServerReflexive: 70, TypeRelay: 0}

// Direction preferences of host and peer-reflexive candidates (RFC 6544 §4.2).
const (
	preferActive  = 6
	preferPassive = 4
)

// priority is the formula of RFC 8445 §5.1.2.1, with the local preference of RFC 6544 §4.2 for TCP: three bits for the
// direction and thirteen that no two addresses share.
func (b *base) priority(t CandidateType) uint32 {
	kind := b.tcp
	if b.of != nil {
		kind = b.of.tcp
	}
	if kind == tcpNone {
		return candidatePriority(t, b.pref)
	}
	direction := uint32(preferActive)
	if kind == tcpPassive {
		direction = preferPassive
	}
	return tcpTypePreference[t]<<24 | (direction<<13|uint32(b.pref)&(1<<13-1))<<8 | (256 - 1)
}

// usesTransport tells whether a candidate of the peer is of use, and puts right what does not matter of it.
func (a *Agent) usesTransport(c *Candidate) bool {
	if strings.EqualFold(c.Transport, "udp") {
		c.TCPType = ""
		return true
	}
	if !strings.EqualFold(c.Transport, "tcp") || a.cfg.Networks&(NetworkTCP4|NetworkTCP6) == 0 {
		return false
	}
	switch c.TCPType {
	case typePassive:
		return true
	case typeActive: // nobody connects to it, and its port says nothing (RFC 6544 §4.5)
		c.Addr = netip.AddrPortFrom(c.Addr.Addr(), discardPort)
		return c.Host == ""
	}
	return false
}

// connect asks for the connection of a pair (RFC 6544 §7.1), unless it is on its way.
func (a *Agent) connect(p *pair) {
	p.state, p.asked = PairInProgress, a.now
	if p.conn != nil {
		return
	}
	from := p.local.base
	if len(a.conns) >= maxConns || from.tcp != tcpActive {
		p.state = PairFailed
		return
	}
	a.lastBase++
	p.conn = &base{
		id: a.lastBase, gen: a.gather.gen, want: from.want, zone: from.zone, pref: from.pref, tcp: tcpConnected,
		of: from, peer: p.remote.Addr, until: a.now.Add(connectTimeout),
	}
	p.dials++
	p.retryAt = time.Time{}
	a.conns = append(a.conns, p.conn)
	a.post(EventConnect{Base: p.conn.id, Local: from.want, Remote: from.scoped(p.remote.Addr)})
}

// connection finds a connection to a peer.
func (a *Agent) connection(id BaseID) *base {
	for _, c := range a.conns {
		if c.id == id {
			return c
		}
	}
	return nil
}

// connected takes the result of an EventConnect. The check goes out in the next slot.
func (a *Agent) connected(now time.Time, c *base, local netip.AddrPort, err error) {
	if c.bound {
		return // it was there already
	}
	a.now = now
	if err != nil {
		a.dropConnection(c)
		a.run(now)
		return
	}
	c.local, c.bound, c.until = normalize(local), true, now.Add(reliableTimeout)
	for _, p := range a.cur.pairs {
		if p.conn == c {
			a.cur.trigger(p)
		}
	}
	a.run(now)
}

// HandleAccept tells of a connection that a peer has made to a listener, and returns the base that it is. The agent treats
// it as a stranger's until an authenticated check has come by it (RFC 6544 §7.2), and unbinds it if none comes in time.
// Errors are ErrPacket, ErrLimit and ErrClosed: the connection is of no use.
func (a *Agent) HandleAccept(now time.Time, listener BaseID, remote netip.AddrPort) (BaseID, error) {
	if a.state == StateClosed || a.state == StateFailed {
		return 0, ErrClosed
	}
	b := a.base(listener)
	remote = normalize(remote)
	switch {
	case b == nil || b.tcp != tcpPassive || !b.bound:
		return 0, errUnknownBase
	case !usableRemote(remote) || a.filtered(remote):
		a.counters.Refused++
		return 0, errFiltered
	}
	a.now = now
	if !a.makeRoom() {
		a.counters.Refused++
		return 0, fmt.Errorf("%w: connections", ErrLimit)
	}
	a.lastBase++
	c := &base{
		id: a.lastBase, gen: b.gen, want: b.want, zone: b.zone, pref: b.pref, tcp: tcpConnected, local: b.local,
		bound: true, of: b, peer: remote, until: now.Add(strangerTimeout),
	}
	a.conns = append(a.conns, c)
	a.run(now)
	return c.id, nil
}

// makeRoom lets the oldest stranger give way, so that idle connections keep nobody out; false: all are known.
func (a *Agent) makeRoom() bool {
	strangers := 0
	var oldest *base
	for _, c := range a.conns {
		if c.of.tcp == tcpPassive && !c.heard {
			strangers++
			if oldest == nil {
				oldest = c
			}
		}
	}
	if strangers < maxStrangers && len(a.conns) < maxConns {
		return true
	}
	if oldest == nil {
		return false
	}
	a.counters.Refused++
	a.dropConnection(oldest)
	return true
}

// connectedPair makes the pair of a check that came by a connection.
func (a *Agent) connectedPair(g *generation, l *localCandidate, r *remoteCandidate, c *base) *pair {
	if a.cfg.Policy == PolicyRelay || !g.ready() {
		return nil
	}
	p := a.insertPair(g, l, r)
	if p != nil && p.conn == nil {
		p.conn = c
	}
	return p
}

// dropConnection forgets a connection. Its pairs fail; if the selected one is among them checks go on, and the side that
// has made the connection makes it again.
func (a *Agent) dropConnection(c *base) {
	a.conns = slices.DeleteFunc(a.conns, func(o *base) bool { return o == c })
	a.post(EventUnbind{c.id})
	a.dropTransactions(func(t *transaction) bool { return t.base == c })
	a.cur.early = slices.DeleteFunc(a.cur.early, func(e earlyCheck) bool { return e.base == c })
	for _, g := range a.generations() {
		for _, v := range slices.Clone(g.valid) {
			if v.conn == c && v.valid {
				a.revoke(g, v)
			}
		}
		selected := g.selected != nil && g.selected.conn == c
		for _, p := range g.pairs {
			if p.conn == c {
				a.disconnectPair(g, p)
			}
		}
		g.forgetConnections(func(o *base) bool { return o == c })
		if g == a.cur && selected {
			a.reopen(g)
		}
	}
}

// disconnectPair fails a pair whose connection has gone. What has worked before is tried again after a while.
func (a *Agent) disconnectPair(g *generation, p *pair) {
	g.untrigger(p)
	if g.nominating == p {
		g.nominating = nil
	}
	p.nominate, p.state = false, PairFailed
	if p.produced != nil && p.local.base.tcp == tcpActive {
		p.retryAt = a.now.Add(firstRedial << min(p.dials, 4))
	}
}

// forgetConnections takes connections that are gone out of the tables of a generation, with what only they have brought.
func (g *generation) forgetConnections(gone func(*base) bool) {
	lost := func(p *pair) bool { return p.conn != nil && gone(p.conn) }
	for _, p := range slices.Concat(g.pairs, g.valid) {
		if lost(p) && p.remote.TCPType == typeActive {
			g.remotes = slices.DeleteFunc(g.remotes, func(r *remoteCandidate) bool { return r == p.remote })
		}
	}
	g.pairs = slices.DeleteFunc(g.pairs, func(p *pair) bool { return lost(p) && p.remote.TCPType == typeActive })
	g.valid = slices.DeleteFunc(g.valid, lost)
	g.locals = slices.DeleteFunc(g.locals, func(l *localCandidate) bool { return l.base.of != nil && gone(l.base) })
	for _, p := range g.pairs {
		if lost(p) {
			p.conn = nil
		}
	}
}

// sweepConnections closes what no living generation needs.
func (a *Agent) sweepConnections() {
	for _, c := range slices.Clone(a.conns) {
		needed := c.of.tcp == tcpPassive && !c.heard
		for _, g := range a.generations() {
			needed = needed || slices.ContainsFunc(g.pairs, func(p *pair) bool { return p.conn == c })
		}
		if !needed {
			a.dropConnection(c)
		}
	}
}

// runConnections gives up connections by which nothing has come for too long: those that never came about, strangers, and
// those that nobody uses after the nomination. It makes broken ones again.
func (a *Agent) runConnections(now time.Time) {
	for _, c := range slices.Clone(a.conns) {
		if !c.until.After(now) {
			a.dropConnection(c)
		}
	}
	a.dropSilent(now)
	if !a.redials() {
		return
	}
	for _, p := range a.cur.pairs {
		if !p.retryAt.IsZero() && !p.retryAt.After(now) {
			p.retryAt = time.Time{}
			if p.state == PairFailed {
				p.state = PairWaiting
			}
		}
	}
}

// dropSilent gives up the connection in use that we have made and that counts as disconnected: a NAT may have forgotten it, or
// the peer's host may have started anew, and another one would work.
func (a *Agent) dropSilent(now time.Time) {
	p := a.routePair
	if p == nil || p.gen != a.cur || p.conn == nil || p.conn.of.tcp != tcpActive {
		return
	}
	if a.hearRoute(now); now.Sub(p.lastReceived) >= a.cfg.DisconnectedAfter {
		a.dropConnection(p.conn)
	}
}

// redials tells whether broken connections are made again: as long as nothing is selected.
func (a *Agent) redials() bool { return a.cur.selected == nil && a.state != StateFailed }

func (a *Agent) connectionDeadline() time.Time {
	var d time.Time
	for _, c := range a.conns {
		d = firstTime(d, c.until)
	}
	if a.redials() {
		for _, p := range a.cur.pairs {
			d = firstTime(d, p.retryAt)
		}
	}
	return d
}
