package ice

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"

	"github.com/openparley/webrtc/ice/turn"
)

// relay is an allocation on a TURN server: over UDP on the socket of a host base, otherwise on a connection of its own.
//
//	queued ──▶ asked ──▶ allocated ──▶ asked (the server has lost it)
//	              └────▶ gone from the list
type relay struct {
	conf   Server
	index  int // of the server
	under  *base
	client *turn.Client
	state  relayState
	bases  []*base // one for each relayed address
	gone   bool    // of no use to the current generation; the old pair of a restart may
	dialed uint64  // the client's generation of the connection
}

type relayState uint8

const (
	relayQueued relayState = iota
	relayAsked
	relayAllocated
)

func (r *relay) queued() bool { return r.state == relayQueued }
func (r *relay) pending() bool {
	return r.state == relayQueued || (r.state == relayAsked && len(r.bases) == 0)
}

// keepRelays takes over the allocations on servers that are still configured, at the beginning of a gathering.
func (a *Agent) keepRelays() {
	for _, r := range slices.Clone(a.relays) {
		r.gone = !slices.Contains(a.cfg.Servers, r.conf) || !r.under.bound
		inUse := a.prev != nil && slices.ContainsFunc(a.prev.valid, func(v *pair) bool {
			return v.valid && v.local.base.relay == r
		})
		if r.state != relayAllocated || (r.gone && !inUse) {
			a.closeRelay(r)
		}
	}
}

// addRelay asks for an allocation over a host base, or announces again what there is.
func (a *Agent) addRelay(b *base, s *server, addr netip.Addr) {
	if addr.IsLoopback() != b.local.Addr().IsLoopback() {
		return
	}
	for _, r := range a.relays {
		if r.under == b && r.conf == s.Server {
			if r.state == relayAllocated {
				a.announceRelay(r)
			}
			return
		}
	}
	if a.cfg.SharedPort {
		a.post(EventCandidateError{Local: b.local, URL: s.URL, Code: 701, Text: "the port is shared: no allocation by UDP"})
		return
	}
	a.newRelay(b, s, netip.AddrPortFrom(addr.WithZone(""), s.port()))
}

func (a *Agent) newRelay(under *base, s *server, remote netip.AddrPort) {
	if len(a.relays) >= maxRelays {
		return
	}
	var seed [32]byte
	_, _ = a.rng.Read(seed[:]) // never fails
	client, err := turn.New(turn.Config{
		Server: remote, Transport: s.Transport, Username: s.Username, Password: s.Password,
		Families: families(remote.Addr()), RTO: a.cfg.RTO, MaxRequests: a.cfg.MaxRequests, Rand: rand.NewChaCha8(seed),
	})
	if err != nil {
		a.post(EventCandidateError{Local: under.local, URL: s.URL, Code: 701, Text: err.Error()})
		return
	}
	r := &relay{conf: s.Server, index: s.index, under: under, client: client}
	a.relays = append(a.relays, r)
}

// families asks for addresses of both families from a server that has an IPv6 address, and for IPv4 from others: many of
// them refuse what they do not know.
func families(server netip.Addr) turn.Families {
	if server.Is6() {
		return turn.Dual
	}
	return turn.IPv4
}

// startRelay begins the next allocation, in a slot of the pacing.
func (a *Agent) startRelay() bool {
	for _, r := range a.relays {
		if r.state == relayQueued {
			r.state = relayAsked
			r.client.Allocate(a.now)
			a.pumpRelay(r)
			return true
		}
	}
	return false
}

// runRelays runs the timers of the clients and takes what they have to send and to tell.
func (a *Agent) runRelays(now time.Time) {
	for _, r := range slices.Clone(a.relays) {
		if d := r.client.Deadline(); !d.IsZero() && !d.After(now) {
			r.client.Advance(now)
		}
		a.pumpRelay(r)
	}
}

func (a *Agent) pumpRelay(r *relay) {
	a.takeRelayPackets(r)
	for {
		e, ok := r.client.Event()
		if !ok {
			break
		}
		a.handleRelayEvent(r, e)
	}
	a.takeRelayPackets(r)
}

func (a *Agent) takeRelayPackets(r *relay) {
	for {
		pkt, ok := r.client.Next(a.relayTx)
		if !ok {
			return
		}
		a.relayTx = pkt
		if !a.out.push(r.under.id, r.under.scoped(r.client.Server()), pkt) {
			a.counters.SendDropped++
		}
	}
}

func (a *Agent) handleRelayEvent(r *relay, e turn.Event) {
	switch e := e.(type) {
	case turn.EventAllocated:
		a.allocated(r, e)
	case turn.EventLost:
		a.relayLost(r)
	case turn.EventFailed:
		a.relayFailed(r, e.Err)
	case turn.EventPeerFailed:
		a.refused(r, e.Peer.Addr())
	case turn.EventDial:
		a.dialRelay(r, e)
	case turn.EventPeerReady, turn.EventClosed:
	}
}

// allocated makes candidates of what a server has given: relayed ones, and over UDP a reflexive one.
func (a *Agent) allocated(r *relay, e turn.EventAllocated) {
	r.state = relayAllocated
	a.resumeGathering()
	a.addMapped(r, e.Mapped)
	a.stopAsking(r)
	for _, addr := range e.Relayed {
		if usableRemote(addr) {
			a.lastBase++
			b := &base{id: a.lastBase, gen: a.gather.gen, want: addr.Addr(), local: normalize(addr), pref: a.relayPref(r), bound: true, relay: r}
			r.bases = append(r.bases, b)
		}
	}
	a.announceRelay(r)
}

// relayWorth orders how servers are reached: a datagram waits for none that was lost, and less is sealed twice
// (RFC 8445 §5.1.2.2 leaves it to the agent).
var relayWorth = [...]uint16{turn.UDP: 3, turn.DTLS: 2, turn.TCP: 1, turn.TLS: 0}

// relayPref orders relayed candidates: servers by how they are reached and in their order, then interfaces.
func (a *Agent) relayPref(r *relay) uint16 {
	pref := r.under.pref >> 3
	if pref == 0 {
		pref = 1<<13 - 1 // a connection of its own
	}
	pref -= uint16(maxBases * r.index) //nolint:gosec // below maxServers
	return pref | relayWorth[r.conf.Transport]<<13
}

// addMapped adds the reflexive candidate that an allocation over UDP comes with (RFC 8445 §5.1.1.2).
func (a *Agent) addMapped(r *relay, mapped netip.AddrPort) {
	b := r.under
	if r.conf.Transport != turn.UDP || a.cfg.Policy == PolicyRelay || !usableRemote(mapped) ||
		mapped.Addr().Is4() != b.local.Addr().Is4() || a.gather.state != GatheringActive {
		return
	}
	a.addLocal(b, Candidate{
		Foundation: a.found.of(TypeServerReflexive, b, r.client.Server().Addr()),
		Priority:   candidatePriority(TypeServerReflexive, b.pref-uint16(maxBases*r.index)), //nolint:gosec // below maxServers
		Addr:       mapped, Type: TypeServerReflexive, Related: b.local, URL: r.conf.URL,
	})
}

// announceRelay takes the relayed candidates into the current generation.
func (a *Agent) announceRelay(r *relay) {
	for _, b := range r.bases {
		related := r.under.local
		if !related.IsValid() || a.cfg.Policy == PolicyRelay {
			related = netip.AddrPortFrom(unspecified(b.local.Addr()), 0)
		}
		a.addLocal(b, Candidate{
			Foundation: a.found.of(TypeRelay, b, r.client.Server().Addr()),
			Priority:   candidatePriority(TypeRelay, b.pref), Addr: b.local, Type: TypeRelay, Related: related,
			URL: r.conf.URL, Relay: r.conf.Transport,
		})
	}
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// permit lets the peer's address through the relay, which the server needs to know before its packets come.
func (a *Agent) permit(r *relay, remote netip.AddrPort) {
	_ = r.client.CreatePermission(a.now, remote.Addr()) // what cannot be permitted fails in its check
}

// refused fails the pairs with an address that the server does not relay to.
func (a *Agent) refused(r *relay, addr netip.Addr) {
	for _, p := range a.cur.pairs {
		if p.local.base.relay == r && p.remote.Addr.Addr() == addr && !p.isValid() && p.state != PairFailed {
			a.dropTransactions(func(t *transaction) bool { return t.pair == p })
			a.cur.untrigger(p)
			p.state = PairFailed
		}
	}
}

// relayLost ends what the lost addresses have carried. A new allocation is under way.
func (a *Agent) relayLost(r *relay) {
	r.state = relayAsked
	a.dropRelayBases(r)
}

func (a *Agent) dropRelayBases(r *relay) {
	a.dropPairs(func(p *pair) bool { return p.local.base.relay == r }, func(l *localCandidate) bool { return l.base.relay == r })
	r.bases = nil
}

// relayFailed gives up an allocation.
func (a *Agent) relayFailed(r *relay, err error) {
	code, text := 701, err.Error()
	var refusal *turn.Error
	if errors.As(err, &refusal) {
		code, text = refusal.Code, refusal.Reason
	}
	a.post(EventCandidateError{Local: r.under.local, URL: r.conf.URL, Code: code, Text: text})
	a.stopAsking(r)
	a.dropRelay(r)
}

// endRelays gives up what has not answered by the soft deadline of gathering.
func (a *Agent) endRelays() {
	for _, r := range slices.Clone(a.relays) {
		if r.pending() && r.client.Stats().Allocations == 0 {
			a.relayFailed(r, turn.ErrTimeout)
		}
	}
}

// closeRelay gives an allocation back.
func (a *Agent) closeRelay(r *relay) {
	r.client.Close(a.now)
	a.takeRelayPackets(r)
	a.dropRelay(r)
}

// dropRelay forgets an allocation.
func (a *Agent) dropRelay(r *relay) {
	a.dropRelayBases(r)
	a.relays = slices.DeleteFunc(a.relays, func(o *relay) bool { return o == r })
	a.undial(r)
}

// relayFor finds the relay that a packet belongs to: ChannelData, or STUN of another method than a check's.
func (a *Agent) relayFor(b *base, remote netip.AddrPort, pkt []byte) *relay {
	if len(a.relays) == 0 || len(pkt) < 4 || (!turn.IsChannelData(pkt) && stunMethod(pkt) == stun.MethodBinding) {
		return nil
	}
	for _, r := range a.relays {
		if r.under == b && r.client.Server() == remote {
			return r
		}
	}
	return nil
}

func stunMethod(pkt []byte) stun.Method {
	var t stun.MessageType
	t.ReadValue(uint16(pkt[0])<<8 | uint16(pkt[1]))
	return t.Method
}

// handleRelayPacket feeds a packet from a server to its client, and what a peer has sent by it to where it belongs.
func (a *Agent) handleRelayPacket(now time.Time, r *relay, pkt []byte) (Packet, error) {
	data, ok, err := r.client.HandlePacket(now, pkt)
	if err != nil {
		a.counters.Unexpected++
		return Packet{}, err
	}
	if !ok {
		a.run(now)
		return Packet{}, nil
	}
	b := r.baseFor(data.Peer)
	if b == nil {
		return Packet{}, errUnknownBase
	}
	if len(data.Payload) > 0 && data.Payload[0] <= 3 {
		return Packet{}, a.handleSTUN(now, b, data.Peer, data.Payload)
	}
	a.deadlineSet = false
	return Packet{Base: b.id, Remote: data.Peer, Data: data.Payload}, nil
}

// baseFor returns the relayed address of the peer's family.
func (r *relay) baseFor(peer netip.AddrPort) *base {
	for _, b := range r.bases {
		if b.local.Addr().Is4() == peer.Addr().Is4() {
			return b
		}
	}
	return nil
}

// sendRelayed sends a STUN message to a peer by a relay.
func (a *Agent) sendRelayed(r *relay, remote netip.AddrPort, data []byte) {
	front, back := r.client.Overhead(remote)
	n := front + len(data) + back
	buf := slices.Grow(a.relayTx[:0], n)[:n]
	a.relayTx = buf
	copy(buf[front:], data)
	pkt, ok := r.client.Wrap(buf, front, len(data), remote)
	if !ok || !a.out.push(r.under.id, r.under.scoped(r.client.Server()), pkt) {
		a.counters.SendDropped++
	}
}

// updateRelayRoute sets the route of a relayed pair, whose headroom is less once there is a channel.
func (a *Agent) updateRelayRoute(p *pair) {
	r := p.local.base.relay
	if p != a.routePair {
		_ = r.client.Bind(a.now, p.remote.Addr) // without a channel it is 40 bytes a packet more
		a.routePair = p
	}
	front, _ := r.client.Overhead(p.remote.Addr)
	a.route = Route{
		Base: r.under.id, Remote: r.under.scoped(r.client.Server()), Headroom: front, Peer: p.remote.Addr, MTU: a.cfg.MTU,
	}
}

// Wrap puts a relay's header in front of the application packet buf[head:head+n], where head is [Route.Headroom], and
// returns what goes to the route, a part of buf. Up to turn.MaxTailroom bytes behind the packet are needed too. Without a
// relay that is the packet itself. False: it cannot be sent.
func (a *Agent) Wrap(buf []byte, head, n int) ([]byte, bool) {
	p := a.routePair
	if p == nil {
		return nil, false
	}
	r := p.local.base.relay
	if r == nil {
		return buf[head : head+n], true
	}
	a.deadlineSet = false
	return r.client.Wrap(buf, head, n, p.remote.Addr)
}
