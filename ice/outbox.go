package ice

import (
	"net/netip"
	"time"
)

// Transmit is one outgoing datagram.
type Transmit struct {
	Base   BaseID         // the socket to send from
	Remote netip.AddrPort // with the base's zone if it is link-local
	ECN    uint8          // ECN field of the IP header; STUN leaves it zero
	Data   []byte         // the caller's, as Next documents
}

// Route says where application packets leave.
type Route struct {
	Base     BaseID
	Remote   netip.AddrPort // with the base's zone if it is link-local
	Headroom int            // bytes that must be free in front of a packet, for a relay's header: [Agent.Wrap]
	Peer     netip.AddrPort // whom they reach: Remote, or who is behind the relay
	MTU      int            // largest UDP payload that the route is trusted to carry, headroom included
	Stream   bool           // the route is a TCP connection: packets of any size get through
}

// Packet is application data that HandlePacket has unwrapped (a relay's); the zero value: the datagram was consumed.
type Packet struct {
	Base   BaseID         // the relayed base that the packet came in by
	Remote netip.AddrPort // the peer's address
	Data   []byte         // a part of the datagram that HandlePacket was given
}

// outbox is a ring of outgoing packets whose buffers are used again.
type outbox struct {
	ring    []outgoing
	head, n int
}

type outgoing struct {
	base   BaseID
	remote netip.AddrPort
	data   []byte
}

// push copies a packet; false: the box is full.
func (o *outbox) push(base BaseID, remote netip.AddrPort, data []byte) bool {
	if o.n == len(o.ring) {
		if o.n >= maxOut {
			return false
		}
		grown := make([]outgoing, max(4, 2*o.n))
		for i := range o.n {
			grown[i] = o.ring[(o.head+i)%len(o.ring)]
		}
		o.ring, o.head = grown, 0
	}
	e := &o.ring[(o.head+o.n)%len(o.ring)]
	e.base, e.remote, e.data = base, remote, append(e.data[:0], data...)
	o.n++
	return true
}

// Next takes the next outgoing datagram; Data is appended to dst[:0] and the caller's. False: nothing is left.
func (a *Agent) Next(dst []byte) (Transmit, bool) {
	o := &a.out
	if o.n == 0 {
		return Transmit{}, false
	}
	e := &o.ring[o.head]
	o.head, o.n = (o.head+1)%len(o.ring), o.n-1
	return Transmit{Base: e.base, Remote: e.remote, Data: append(dst[:0], e.data...)}, true
}

// send queues a datagram, or drops it when too many wait: STUN repeats itself.
func (a *Agent) send(b *base, remote netip.AddrPort, data []byte) {
	if b.relay != nil {
		a.sendRelayed(b.relay, remote, data)
		return
	}
	if !a.out.push(b.id, b.scoped(remote), data) {
		a.counters.SendDropped++
	}
}

// Route returns where application packets leave: the selected pair, or before the nomination the best valid one
// (RFC 8445 §12.1); during a restart the old one until a new one is nominated. False: there is no pair with consent, and
// nothing may be sent (RFC 7675 §5.1). Cheap enough to ask for each burst.
func (a *Agent) Route() (Route, bool) { return a.route, a.routePair != nil }

// RTT returns the latest round-trip time of the route; zero: there is none.
func (a *Agent) RTT() time.Duration {
	if a.routePair == nil {
		return 0
	}
	return a.routePair.counters.currentRTT
}

func (a *Agent) updateRoute() {
	p := a.pickRoute()
	if p != nil && p.local.base.relay != nil {
		a.updateRelayRoute(p)
		return
	}
	if p == a.routePair {
		return
	}
	a.routePair = p
	if p == nil {
		a.route = Route{}
		return
	}
	a.route = Route{Base: p.base().id, Remote: p.base().scoped(p.remote.Addr), Peer: p.remote.Addr, MTU: a.cfg.MTU, Stream: p.conn != nil}
}

// pickRoute chooses among the pairs that have consent.
func (a *Agent) pickRoute() *pair {
	if p := a.cur.selected; p != nil && p.valid {
		return p
	}
	if a.prev != nil {
		if p := a.prev.selected; p != nil && p.valid {
			return p
		}
		if p := a.prev.bestValid(); p != nil {
			return p
		}
	}
	if a.cur.selected != nil {
		return nil // it lost consent: only a restart leads on
	}
	return a.cur.bestValid()
}

// verifiedSet holds the addresses that authenticated messages came from, the latest maxVerified of them.
type verifiedSet struct {
	entries []verifiedEntry
	last    int // where the latest question was answered
	oldest  int // which entry goes next
}

type verifiedEntry struct {
	base   BaseID
	remote netip.AddrPort
	gen    uint64
	heard  bool // application packets have come since somebody looked
}

func (v *verifiedSet) has(base BaseID, remote netip.AddrPort) bool {
	if v.last < len(v.entries) && v.entries[v.last].remote == remote && v.entries[v.last].base == base {
		return true
	}
	for i := range v.entries {
		if v.entries[i].remote == remote && v.entries[i].base == base {
			v.last = i
			return true
		}
	}
	return false
}

// add takes an address in; when the set is full the oldest one but keep gives way.
func (v *verifiedSet) add(e, keep verifiedEntry) {
	if v.has(e.base, e.remote) {
		v.entries[v.last].gen = max(e.gen, v.entries[v.last].gen)
		return
	}
	if len(v.entries) < maxVerified {
		v.entries = append(v.entries, e)
		return
	}
	if old := v.entries[v.oldest]; old.base == keep.base && old.remote == keep.remote {
		v.oldest = (v.oldest + 1) % maxVerified
	}
	v.entries[v.oldest] = e
	v.oldest = (v.oldest + 1) % maxVerified
}

// verify notes that an authenticated message has come from an address. The one of the pair in use stays, however many
// others somebody who has recorded a check may make up.
func (a *Agent) verify(b *base, remote netip.AddrPort, g *generation) {
	var keep verifiedEntry
	if p := a.routePair; p != nil {
		keep = verifiedEntry{base: p.base().id, remote: p.remote.Addr}
	}
	if b.tcp == tcpConnected {
		b.heard, b.until = true, a.now.Add(a.cfg.ConsentTimeout)
	}
	a.verified.add(verifiedEntry{base: b.id, remote: remote, gen: g.number}, keep)
}

// dropBefore forgets the generations before gen.
func (v *verifiedSet) dropBefore(gen uint64) {
	kept := v.entries[:0]
	for _, e := range v.entries {
		if e.gen >= gen {
			kept = append(kept, e)
		}
	}
	*v = verifiedSet{entries: kept}
}

// Verified tells whether an integrity-checked STUN message came to the base from the remote address, so that application
// packets from there may be taken. Cheap enough to ask for each packet; being asked is how the agent learns that the pair in
// use is not silent (it says nothing about consent).
func (a *Agent) Verified(base BaseID, remote netip.AddrPort) bool {
	if !a.verified.has(base, normalize(remote)) {
		return false
	}
	a.verified.entries[a.verified.last].heard = true
	return true
}

// Consented tells whether the peer at the remote address has answered a check of ours by way of the base, and still consents:
// it is there, and nobody who only claims its address.
func (a *Agent) Consented(base BaseID, remote netip.AddrPort) bool {
	remote = normalize(remote)
	for _, g := range [...]*generation{a.cur, a.prev} {
		if g == nil {
			continue
		}
		for _, v := range g.valid {
			if v.valid && v.remote.Addr == remote && v.base().id == base {
				return true
			}
		}
	}
	return false
}

// heard tells whether application packets have come from an address since the question was last asked.
func (v *verifiedSet) heard(base BaseID, remote netip.AddrPort) bool {
	if !v.has(base, remote) {
		return false
	}
	e := &v.entries[v.last]
	heard := e.heard
	e.heard = false
	return heard
}
