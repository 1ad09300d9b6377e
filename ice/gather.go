package ice

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"

	"github.com/openparley/webrtc/ice/turn"
)

// base is a local address that was asked for (RFC 8445 §5.1.1.1), or a connection.
type base struct {
	id     BaseID
	gen    uint64         // of the gathering that asked
	want   netip.Addr     // with its zone
	local  netip.AddrPort // what it was bound to, without zone
	zone   string
	pref   uint16 // local preference
	bound  bool
	name   string // what stands for its address (Config.HideHosts)
	named  uint64 // the gathering that waits for the name; zero: none
	stream bool   // a connection to a TURN server, of no interface
	gone   bool   // no interface has it any more; the old pair of a restart may
	relay  *relay // of a relayed address: the allocation that it belongs to
	tcp    tcpKind

	// A connection to a peer.
	of    *base          // the base of the candidate that it was made from, or came to
	peer  netip.AddrPort // its other end
	heard bool           // something authenticated has come by it
	until time.Time      // when it is given up, unless something authenticated comes by it
}

// scoped gives a link-local address the zone of the base.
func (b *base) scoped(remote netip.AddrPort) netip.AddrPort {
	if b.zone == "" || !remote.Addr().Is6() || !remote.Addr().IsLinkLocalUnicast() {
		return remote
	}
	return netip.AddrPortFrom(remote.Addr().WithZone(b.zone), remote.Port())
}

// gathering is the state of collecting local candidates (RFC 8445 §5.1.1).
//
//	new ──▶ gathering ──▶ complete     (a restart leads from complete to gathering)
type gathering struct {
	gen      uint64
	state    GatheringState
	listing  bool         // the interfaces are asked for
	looking  bool         // the same, after gathering
	stale    bool         // and they have changed since
	addrs    []netip.Addr // the interfaces' addresses, as they were last
	deadline time.Time
	servers  []*server
	queries  []*query
}

// server is a STUN server and what its name stands for.
type server struct {
	Server
	id        uint64
	index     int
	resolving bool
	addrs     []netip.Addr // at most one a family
}

// query asks a server for the reflexive address of a base.
//
//	queued ──▶ sent ──▶ answered      (answered: refreshed while the candidate may be needed)
//	              └───▶ failed
type query struct {
	base    *base
	server  *server
	remote  netip.AddrPort
	state   queryState
	refresh time.Time
}

type queryState uint8

const (
	queryQueued queryState = iota
	querySent
	queryAnswered
	queryFailed
)

// refreshInterval keeps the mappings of NATs alive until a pair is selected (RFC 8445 §5.1.1.4, Tr of §11).
const refreshInterval = 15 * time.Second

// Gather starts gathering, once; a restart starts it again. It asks for outside work by events.
func (a *Agent) Gather(now time.Time) {
	if a.state == StateClosed || a.gather.state != GatheringNew {
		return
	}
	a.now = now
	a.startGathering(now)
	a.run(now)
}

// SetServers replaces the servers, for the gatherings that start from now on (W3C's setConfiguration). Errors are ErrConfig.
func (a *Agent) SetServers(servers []Server) error {
	if len(servers) > maxServers {
		return fmt.Errorf("%w: more than %d servers", ErrConfig, maxServers)
	}
	a.cfg.Servers = slices.Clone(servers)
	return nil
}

// SetPolicy replaces the transport policy, for the gatherings that start from now on.
func (a *Agent) SetPolicy(p TransportPolicy) { a.cfg.Policy = p }

func (a *Agent) startGathering(now time.Time) {
	a.dropTransactions(func(t *transaction) bool { return t.kind == kindServer || t.kind == kindRefresh })
	a.bases = slices.DeleteFunc(a.bases, func(b *base) bool { return !b.bound })
	a.found = nil // they mean something within a generation only
	a.gather = gathering{
		gen: a.gather.gen + 1, state: GatheringActive, listing: true, deadline: now.Add(a.cfg.GatherTimeout),
	}
	a.post(EventGatheringState{GatheringActive})
	a.post(EventInterfaces{a.gather.gen})
	a.keepRelays()
	for i, conf := range a.cfg.Servers {
		if a.cfg.Lite || (a.cfg.Policy == PolicyRelay && conf.Kind != ServerTURN) {
			continue
		}
		s := &server{Server: conf, id: a.newID(), index: i}
		if conf.Useless != "" {
			a.post(EventCandidateError{URL: conf.URL, Code: 701, Text: conf.Useless})
			continue
		}
		a.gather.servers = append(a.gather.servers, s)
		if addr, err := netip.ParseAddr(s.Host); err == nil {
			s.addrs = []netip.Addr{addr.Unmap()}
			a.addConnectedRelay(s)
			continue
		}
		if conf.ByName && conf.Transport.Stream() {
			s.addrs = []netip.Addr{unnamed(i)}
			a.addConnectedRelay(s)
			continue
		}
		s.resolving = true
		a.post(EventResolve{Gen: a.gather.gen, ID: s.id, Host: s.Host})
	}
}

// HandleInterfacesResult brings the addresses of an EventInterfaces: those that may be used, in the order of preference
// within a family, link-local ones with their zone. err, if there are none, is only reported.
func (a *Agent) HandleInterfacesResult(now time.Time, gen uint64, addrs []netip.Addr, err error) {
	if a.state == StateClosed || gen != a.gather.gen || (!a.gather.listing && !a.gather.looking) {
		return
	}
	a.now = now
	if !a.gather.listing {
		a.gather.looking = false
		if err == nil {
			a.takeChange(addrs)
		}
		a.lookAgain()
		a.run(now)
		return
	}
	a.gather.listing = false
	a.lookAgain()
	if err != nil {
		a.post(EventCandidateError{Code: 701, Text: "interfaces: " + err.Error()})
		addrs = nil
		for _, b := range a.bases {
			addrs = append(addrs, b.want)
		}
	}
	addrs = usableLocals(addrs)
	a.gather.addrs = addrs
	prefs := localPreferences(addrs)
	for _, b := range a.bases {
		b.gone = true
	}
	for i, addr := range addrs {
		a.useInterface(addr, prefs[i])
	}
	for _, b := range slices.Clone(a.bases) {
		if b.gone && !a.inUse(b) {
			a.unbind(b)
		}
	}
	a.run(now)
}

// useInterface takes up the base that there is for an address, or asks for one.
func (a *Agent) useInterface(addr netip.Addr, pref uint16) {
	for _, kind := range a.kindsAt(addr) {
		if b := a.baseAt(addr, kind); b != nil && b.bound {
			b.gone, b.pref, b.gen = false, pref, a.gather.gen
			a.takeUp(b)
			continue
		}
		a.bind(addr, pref, kind)
	}
}

// takeUp gathers on a base that is there.
func (a *Agent) takeUp(b *base) {
	a.addHost(b)
	a.addQueries(b)
}

// kindsAt returns which bases an address is to have.
func (a *Agent) kindsAt(addr netip.Addr) (kinds []tcpKind) {
	udp, tcp := NetworkUDP4, NetworkTCP4
	if addr.Is6() {
		udp, tcp = NetworkUDP6, NetworkTCP6
	}
	if a.cfg.Networks&udp != 0 {
		kinds = append(kinds, tcpNone)
	}
	if a.cfg.Networks&tcp != 0 && a.cfg.Policy != PolicyRelay {
		if !a.cfg.Lite {
			kinds = append(kinds, tcpActive)
		}
		if a.cfg.TCPPassive {
			kinds = append(kinds, tcpPassive)
		}
	}
	return kinds
}

func (a *Agent) baseAt(addr netip.Addr, kind tcpKind) *base {
	for _, b := range a.bases {
		if b.want == addr && b.tcp == kind {
			return b
		}
	}
	return nil
}

// bind asks for a base. An active one for TCP needs no socket: each of its connections has a port of its own.
func (a *Agent) bind(addr netip.Addr, pref uint16, kind tcpKind) {
	a.lastBase++
	b := &base{id: a.lastBase, gen: a.gather.gen, want: addr, zone: addr.Zone(), pref: pref, tcp: kind}
	a.bases = append(a.bases, b)
	if kind == tcpActive {
		b.local, b.bound = normalize(netip.AddrPortFrom(addr, discardPort)), true
		if u := a.baseAt(addr, tcpNone); u == nil || u.bound {
			a.takeUp(b) // otherwise UDP goes first
		}
		return
	}
	network := "udp"
	if kind == tcpPassive {
		network = "tcp"
	}
	if addr.Is6() {
		network += "6"
	} else {
		network += "4"
	}
	a.post(EventBind{Gen: b.gen, Base: b.id, Network: network, Addr: netip.AddrPortFrom(addr, 0)})
}

// inUse tells whether the pair in use before a restart needs the base.
func (a *Agent) inUse(b *base) bool {
	return a.prev != nil && slices.ContainsFunc(a.prev.valid, func(v *pair) bool {
		return v.valid && (v.local.base == b || v.local.base.under() == b)
	})
}

// under returns the base that goes when the interface goes: a relay's is the one below, a connection's its candidate's.
func (b *base) under() *base {
	if b.of != nil {
		return b.of
	}
	if b.relay != nil {
		return b.relay.under
	}
	return b
}

func (a *Agent) unbind(b *base) {
	a.bases = slices.DeleteFunc(a.bases, func(c *base) bool { return c == b })
	if b.bound && b.tcp != tcpActive {
		a.post(EventUnbind{b.id})
	}
	for _, c := range slices.Clone(a.conns) {
		if c.of == b {
			a.dropConnection(c)
		}
	}
	a.dropTransactions(func(t *transaction) bool { return t.base == b })
	for _, r := range slices.Clone(a.relays) {
		if r.under == b {
			a.dropRelay(r)
		}
	}
}

func (a *Agent) base(id BaseID) *base {
	for _, b := range a.bases {
		if b.id == id {
			return b
		}
	}
	for _, c := range a.conns {
		if c.id == id {
			return c
		}
	}
	for _, r := range a.relays {
		if r.under.stream && r.under.id == id {
			return r.under
		}
	}
	return nil
}

// has tells whether a base is still there.
func (a *Agent) has(b *base) bool {
	if b.relay != nil {
		return slices.Contains(b.relay.bases, b)
	}
	return slices.Contains(a.bases, b) || slices.Contains(a.conns, b)
}

// HandleBindResult brings the address that an EventBind was bound to. A result that comes too late, after a restart or the
// soft deadline of gathering, is answered by EventUnbind.
func (a *Agent) HandleBindResult(now time.Time, gen uint64, id BaseID, local netip.AddrPort, err error) {
	b := a.base(id)
	if b != nil && (b.stream || b.of != nil || b.bound || b.gen != gen) {
		return // a result that was there already
	}
	if b == nil || a.gather.state != GatheringActive || (err == nil && !usableRemote(local)) {
		if err == nil {
			a.post(EventUnbind{id})
		}
		a.bases = slices.DeleteFunc(a.bases, func(c *base) bool { return c == b })
		a.Advance(now)
		return
	}
	a.now = now
	if err != nil {
		a.bases = slices.DeleteFunc(a.bases, func(c *base) bool { return c == b })
		a.post(EventCandidateError{Local: netip.AddrPortFrom(b.want, 0), Code: 701, Text: "bind: " + err.Error()})
	} else {
		b.local, b.bound = normalize(local), true
		a.takeUp(b)
	}
	if active := a.baseAt(b.want, tcpActive); active != nil {
		a.takeUp(active)
	}
	a.run(now)
}

// addHost announces the host candidate of a base and pairs it.
func (a *Agent) addHost(b *base) {
	if a.cfg.Policy == PolicyRelay {
		return
	}
	a.addLocal(b, Candidate{
		Foundation: a.found.of(TypeHost, b, netip.Addr{}),
		Priority:   b.priority(TypeHost), Addr: b.local, Type: TypeHost, TCPType: b.tcp.name(),
	})
}

// addLocal takes a local candidate into the current generation, unless it is redundant (RFC 8445 §5.1.3).
func (a *Agent) addLocal(b *base, c Candidate) {
	g := a.cur
	if !g.localSet || len(g.locals) >= maxLocals {
		return
	}
	for _, l := range g.locals {
		if l.base.under() == b.under() && l.Addr == c.Addr && l.Type != TypePeerReflexive {
			return
		}
	}
	c.Component, c.Transport, c.Ufrag = 1, "udp", g.local.Ufrag
	if c.TCPType != "" {
		c.Transport = "tcp"
	}
	l := &localCandidate{Candidate: c, id: a.newID(), base: b}
	g.locals = append(g.locals, l)
	a.announce(l)
	a.formPairs(g, g.locals[len(g.locals)-1:], g.remotes)
}

// addQueries asks every resolved server for the reflexive address of a base.
func (a *Agent) addQueries(b *base) {
	for _, s := range a.gather.servers {
		a.addQuery(b, s)
	}
}

func (a *Agent) addQuery(b *base, s *server) {
	if b.tcp != tcpNone {
		return
	}
	for _, addr := range s.addrs {
		local := b.local.Addr()
		if addr.Is4() != local.Is4() || addr.IsLoopback() != local.IsLoopback() ||
			addr.IsLinkLocalUnicast() != local.IsLinkLocalUnicast() {
			continue
		}
		if s.Kind == ServerTURN && s.Transport == turn.UDP {
			a.addRelay(b, s, addr)
		}
		if s.Kind == ServerSTUN || (s.Transport == turn.UDP && a.cfg.Policy == PolicyAll) {
			a.ask(b, s, netip.AddrPortFrom(addr.WithZone(""), s.port()))
		}
	}
}

// ask asks a server for the reflexive address of a base, once. A TURN server tells it sooner than an allocation, which takes
// two round trips.
func (a *Agent) ask(b *base, s *server, remote netip.AddrPort) {
	for _, q := range a.gather.queries {
		if q.base == b && q.remote == remote {
			return
		}
	}
	a.gather.queries = append(a.gather.queries, &query{base: b, server: s, remote: remote})
}

// stopAsking gives up what a TURN server was asked besides: its allocation has told it, or will never.
func (a *Agent) stopAsking(r *relay) {
	for _, q := range a.gather.queries {
		if q.base != r.under || q.remote != r.client.Server() || q.server.Kind != ServerTURN || q.state == queryAnswered {
			continue
		}
		q.state = queryFailed
		a.dropTransactions(func(t *transaction) bool { return t.query == q })
	}
}

// serverResolved takes the addresses of a server.
func (a *Agent) serverResolved(gen, id uint64, addrs []netip.Addr, err error) {
	if gen != a.gather.gen || a.gather.state != GatheringActive {
		return
	}
	i := slices.IndexFunc(a.gather.servers, func(s *server) bool { return s.id == id && s.resolving })
	if i < 0 {
		return
	}
	s := a.gather.servers[i]
	s.resolving = false
	for _, addr := range addrs {
		addr = addr.Unmap()
		known := slices.ContainsFunc(s.addrs, func(b netip.Addr) bool { return b.Is4() == addr.Is4() })
		if addr.IsValid() && !known {
			s.addrs = append(s.addrs, addr)
		}
	}
	if len(s.addrs) == 0 {
		text := "the server's name has no address"
		if err != nil {
			text = "the server's name: " + err.Error()
		}
		a.post(EventCandidateError{URL: s.URL, Code: 701, Text: text})
		return
	}
	a.addConnectedRelay(s)
	for _, b := range a.bases {
		if b.bound && !b.gone {
			a.addQuery(b, s)
		}
	}
}

// nextQuery returns the query to send next: a new one, or one whose mapping wants refreshing.
func (a *Agent) nextQuery() *query {
	for _, q := range a.gather.queries {
		if q.state == queryQueued || a.refreshDue(q) {
			return q
		}
	}
	return nil
}

func (a *Agent) refreshDue(q *query) bool {
	return a.wantsRefresh() && q.state == queryAnswered && !q.refresh.After(a.now)
}

// wantsRefresh tells whether reflexive candidates may still be needed.
func (a *Agent) wantsRefresh() bool { return a.cur.selected == nil && a.state != StateFailed }

func (a *Agent) startQuery() bool {
	if a.startRelay() {
		return true
	}
	q := a.nextQuery()
	if q == nil {
		return false
	}
	t := &transaction{
		id: a.newTransactionID(), kind: kindServer, base: q.base, remote: q.remote, query: q,
		rto: max(a.cfg.RTO, a.cfg.Pace*time.Duration(len(a.gather.queries))), // RFC 8445 §14.3
	}
	if q.state == queryAnswered {
		t.kind = kindRefresh
		q.refresh = a.now.Add(refreshInterval)
	} else {
		q.state = querySent
	}
	a.transmit(t, seal(a.start(stun.BindingRequest, t.id), nil))
	return true
}

// fail ends a query without a candidate.
func (q *query) fail(a *Agent, code int, text string) {
	if q.state == querySent || q.state == queryQueued {
		q.state = queryFailed
		if q.server.Kind == ServerTURN {
			return // its allocation tells
		}
		a.post(EventCandidateError{Local: q.base.local, URL: q.server.URL, Code: code, Text: text})
	}
}

// handleServerResponse takes the answer of a STUN server.
func (a *Agent) handleServerResponse(t *transaction, m *stun.Message) {
	a.takeTransaction(t)
	q := t.query
	if t.kind == kindRefresh {
		return
	}
	attrs := interpret(m)
	if m.Type.Class == stun.ClassErrorResponse {
		q.fail(a, attrs.errorCode, attrs.reason)
		return
	}
	mapped := attrs.mapped
	if !mapped.IsValid() {
		mapped = attrs.mappedPlain
	}
	if attrs.unknowns > 0 || !usableRemote(mapped) || mapped.Addr().Is4() != q.base.local.Addr().Is4() {
		q.fail(a, 701, "the STUN server's answer is not usable")
		return
	}
	q.state, q.refresh = queryAnswered, a.now.Add(refreshInterval)
	if a.gather.state != GatheringActive {
		return
	}
	// Each candidate has a priority of its own (RFC 8445 §5.1.2): bases differ in the low bits, servers in the others.
	pref := q.base.pref - uint16(maxBases*q.server.index)
	a.addLocal(q.base, Candidate{
		Foundation: a.found.of(TypeServerReflexive, q.base, q.remote.Addr()),
		Priority:   candidatePriority(TypeServerReflexive, pref), Addr: mapped, Type: TypeServerReflexive,
		Related: q.base.local, URL: q.server.URL,
	})
}

// runGathering ends gathering when everything has answered, or at its soft deadline.
func (a *Agent) runGathering(now time.Time) {
	if a.gather.state != GatheringActive {
		return
	}
	if a.gather.deadline.After(now) && a.gatheringPending() {
		return
	}
	a.dropTransactions(func(t *transaction) bool { return t.kind == kindServer })
	for _, s := range a.gather.servers {
		if s.resolving {
			s.resolving = false
			a.post(EventCandidateError{URL: s.URL, Code: 701, Text: "the server's name was not resolved in time"})
		}
	}
	for _, q := range a.gather.queries {
		q.fail(a, 701, "no answer from the STUN server")
	}
	a.endRelays()
	a.gather.listing = false
	a.gather.state = GatheringComplete
	a.post(EventGatheringState{GatheringComplete})
}

func (a *Agent) gatheringPending() bool {
	return a.gather.listing || slices.ContainsFunc(a.relays, (*relay).pending) ||
		slices.ContainsFunc(a.bases, func(b *base) bool { return !b.bound || b.named == a.gather.gen }) ||
		slices.ContainsFunc(a.gather.servers, func(s *server) bool { return s.resolving }) ||
		slices.ContainsFunc(a.gather.queries, func(q *query) bool { return q.state == queryQueued || q.state == querySent })
}

// gatheringDeadline returns when gathering ends at the latest, or a mapping wants refreshing.
func (a *Agent) gatheringDeadline() time.Time {
	if a.gather.state == GatheringActive {
		return a.gather.deadline
	}
	var d time.Time
	if a.wantsRefresh() {
		for _, q := range a.gather.queries {
			if q.state == queryAnswered && q.refresh.After(a.now) {
				d = firstTime(d, q.refresh)
			}
		}
	}
	return d
}
