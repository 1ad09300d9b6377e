package ice

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netsim"
)

// lab is two agents on the simulated network with its NATs, a STUN and TURN server (our own), and a signaling channel.
// One goroutine, virtual time, everything from the seed. All hosts are a round trip of rtt from each other, and from the
// server; signaling takes as long as a packet.
type lab struct {
	t     testing.TB
	sim   *netsim.Sim
	rng   *rand.Rand
	rtt   time.Duration
	link  netsim.LinkConfig // of every host, each way
	trace strings.Builder
	peers []*labPeer
	turn  *labServer

	signaling func() time.Duration // of the next message
	signaled  time.Time            // when the last descriptions arrive: they keep their order
	offered   bool                 // an offer has no answer yet
	names     map[string]netip.Addr
}

var labTURN = netip.MustParseAddrPort("203.0.113.2:3478")

func newLab(t testing.TB, seed uint64, rtt time.Duration, link netsim.LinkConfig) *lab {
	link.Delay = rtt / 4
	l := &lab{
		t: t, sim: netsim.NewSim(netsim.New(seed)), rng: rand.New(rand.NewPCG(seed, 7)), rtt: rtt, link: link,
		names: map[string]netip.Addr{},
	}
	l.signaling = func() time.Duration { return l.rtt / 2 }
	l.addServer()
	return l
}

func (l *lab) now() time.Time         { return l.sim.Now() }
func (l *lab) elapsed() time.Duration { return l.now().Sub(netsim.Epoch) }
func (l *lab) logf(format string, args ...any) {
	fmt.Fprintf(&l.trace, "t=%v "+format+"\n", append([]any{l.elapsed()}, args...)...)
}

func (l *lab) fatalf(format string, args ...any) {
	l.t.Helper()
	l.t.Fatalf("%v: %s\n%s", l.sim.Net, fmt.Sprintf(format, args...), l.trace.String())
}

// run lets time pass until the condition holds; false: it did not within d. A broken engine contract ends the test.
func (l *lab) run(d time.Duration, until func() bool) bool {
	l.t.Helper()
	err := l.sim.Run(d, until)
	if err != nil && !errors.Is(err, netsim.ErrTimeout) {
		l.fatalf("%v", err)
	}
	return err == nil
}

func (l *lab) pass(d time.Duration) {
	l.t.Helper()
	if err := l.sim.RunFor(d); err != nil {
		l.fatalf("%v", err)
	}
}

// labServer is a [turn.Server] on a host of the network: UDP by packets, TCP by a channel that loses nothing and keeps the
// order.
type labServer struct {
	l       *lab
	host    *netsim.Host
	s       *turn.Server
	relays  map[turn.RelayID]netip.AddrPort
	bound   map[netip.AddrPort]turn.RelayID
	streams map[netip.AddrPort]*labStream
	queue   []labDatagram
	down    bool
	started int
}

type labDatagram struct {
	from, to netip.AddrPort
	data     []byte
}

// labStream is a TCP connection to the server.
type labStream struct {
	p        *labPeer
	base     BaseID
	up, down time.Time // when the last bytes each way arrive
}

func (l *lab) addServer() {
	l.turn = &labServer{l: l, host: l.sim.Net.Connect("turn", netsim.LinkConfig{Delay: l.rtt / 4}, labTURN.Addr().String())}
	l.turn.restart()
	l.sim.Attach(l.turn.host, l.turn)
}

// restart puts a new server in the place of the old one, which has forgotten everything.
func (n *labServer) restart() {
	s, err := turn.NewServer(turn.ServerConfig{
		Realm: "example.org", Auth: turn.StaticUsers(map[string]string{"alice": "wonderland"}),
		Rand:   n.l.sim.Net.Rand(fmt.Sprint("turn", n.started)),
		Relays: []turn.RelayAddress{{Local: labTURN.Addr()}},
		AllowPeers: []netip.Prefix{
			netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
		},
	})
	if err != nil {
		n.l.t.Fatal(err)
	}
	n.started++
	s.AddListener(1, turn.UDP, labTURN)
	s.AddListener(2, turn.TCP, labTURN)
	for _, p := range n.l.peers {
		p.hangUp()
	}
	n.s, n.relays, n.bound = s, map[turn.RelayID]netip.AddrPort{}, map[netip.AddrPort]turn.RelayID{}
	n.streams, n.queue = map[netip.AddrPort]*labStream{}, nil
}

func (n *labServer) EndBatch(time.Time)    {}
func (n *labServer) Deadline() time.Time   { return n.s.Deadline() }
func (n *labServer) Advance(now time.Time) { n.s.Advance(now); n.pump() }

func (n *labServer) HandlePacket(now time.Time, local, remote netip.AddrPort, data []byte, _ uint8) {
	if n.down {
		return
	}
	if relay, ok := n.bound[local]; ok {
		n.toClient(now, relay, remote, data)
	} else if local == labTURN {
		n.fromClient(now, turn.FiveTuple{Listener: 1, Remote: remote}, data)
	}
	n.pump()
}

func (n *labServer) fromClient(now time.Time, from turn.FiveTuple, data []byte) {
	f, ok, _ := n.s.HandlePacket(now, from, data)
	switch {
	case ok && f.Loop != 0:
		n.toClient(now, f.Loop, f.From, f.Payload)
	case ok:
		n.queue = append(n.queue, labDatagram{n.relays[f.Relay], f.Peer, bytes.Clone(f.Payload)})
	}
}

func (n *labServer) toClient(now time.Time, relay turn.RelayID, peer netip.AddrPort, data []byte) {
	if d, ok := n.s.Deliver(now, relay, peer, len(data)); ok {
		n.toFiveTuple(d.Client, d.Append(nil, data))
	}
}

func (n *labServer) pump() {
	for e, ok := n.s.Event(); ok; e, ok = n.s.Event() {
		switch e := e.(type) {
		case turn.Bind:
			n.relays[e.Relay], n.bound[e.Addr] = e.Addr, e.Relay
			n.s.HandleBindResult(n.l.now(), e.Relay, e.Addr, nil)
		case turn.Unbind:
			delete(n.bound, n.relays[e.Relay])
			delete(n.relays, e.Relay)
		}
	}
	for to, data, ok := n.s.Next(nil); ok; to, data, ok = n.s.Next(nil) {
		n.toFiveTuple(to, bytes.Clone(data))
	}
}

func (n *labServer) toFiveTuple(to turn.FiveTuple, data []byte) {
	if to.Listener == 1 {
		n.queue = append(n.queue, labDatagram{labTURN, to.Remote, data})
		return
	}
	stream := n.streams[to.Remote]
	if stream == nil {
		return
	}
	stream.down = n.l.stream(stream.down, func(now time.Time) {
		if n.streams[to.Remote] == stream && !stream.p.cut {
			stream.p.enter(func() { stream.p.receive(now, stream.base, labTURN, data) })
		}
	})
}

func (n *labServer) Transmit() (local, remote netip.AddrPort, data []byte, ecn uint8, ok bool) {
	if len(n.queue) == 0 {
		return local, remote, nil, 0, false
	}
	d := n.queue[0]
	n.queue = n.queue[1:]
	return d.from, d.to, d.data, 0, true
}

// hangUp breaks the connections of a peer, of which it learns at once.
func (p *labPeer) hangUp() {
	for _, base := range slices.Sorted(maps.Keys(p.conns)) {
		p.l.sim.After(0, func(now time.Time) {
			p.enter(func() { p.a.HandleDisconnect(now, base, io.EOF) })
		})
	}
}

// stream carries bytes over TCP: what the link would lose comes a retransmission later, and nothing overtakes.
func (l *lab) stream(last time.Time, do func(now time.Time)) time.Time {
	at := l.now().Add(l.rtt / 2)
	for l.rng.Float64() < l.link.Loss {
		at = at.Add(200*time.Millisecond + l.rtt)
	}
	if at.Before(last) {
		at = last
	}
	l.sim.At(at.Sub(netsim.Epoch), do)
	return at
}

// labPeer is an agent and its driver on a host.
type labPeer struct {
	l     *lab
	name  string
	host  *netsim.Host
	a     *Agent
	nat   *netsim.NAT
	peer  *labPeer
	bases map[BaseID]netip.AddrPort
	ports map[uint16]BaseID
	conns map[BaseID]netip.AddrPort
	gone  map[BaseID]bool
	next  uint16
	hide  bool // names in the place of host addresses
	mute  bool // signals no candidates

	trickled time.Time // when the last candidate that was signaled arrives
	closed   bool
	cut      bool // its connections carry nothing

	states  []State
	selects []labSelection
	up      time.Duration // when it was connected first
	heard   int           // application packets
	onPair  bool          // the latest of them came by the nominated pair, which is the route
	errors  int
}

type labSelection struct {
	EventSelectedPair
	at time.Duration
}

func (l *lab) add(name string, cfg Config, nat *netsim.NAT, addrs ...string) *labPeer {
	l.t.Helper()
	cfg.Rand = l.sim.Net.Rand(name)
	a, err := New(cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	p := &labPeer{
		l: l, name: name, a: a, nat: nat, host: l.sim.Net.AddHost(name), next: 5000 + 1000*uint16(len(l.peers)),
		bases: map[BaseID]netip.AddrPort{}, ports: map[uint16]BaseID{}, conns: map[BaseID]netip.AddrPort{},
		gone: map[BaseID]bool{},
	}
	for _, addr := range addrs {
		p.host.AddInterface(nat, l.link, l.link, addr)
	}
	l.peers = append(l.peers, p)
	l.sim.Attach(p.host, p)
	return p
}

// enter is every entry into the agent: what it tells is done before anything else happens.
func (p *labPeer) enter(do func()) {
	do()
	for e, ok := p.a.Event(); ok; e, ok = p.a.Event() {
		if p.closed {
			if _, unbind := e.(EventUnbind); !unbind && e != (EventState{StateClosed}) {
				p.l.fatalf("%s: %T%v after Close", p.name, e, e)
			}
		}
		p.handle(e)
	}
}

func (p *labPeer) EndBatch(time.Time)    {}
func (p *labPeer) Deadline() time.Time   { return p.a.Deadline() }
func (p *labPeer) Advance(now time.Time) { p.enter(func() { p.a.Advance(now) }) }

func (p *labPeer) HandlePacket(now time.Time, local, remote netip.AddrPort, data []byte, _ uint8) {
	if base, ok := p.ports[local.Port()]; ok {
		p.enter(func() { p.receive(now, base, remote, bytes.Clone(data)) })
	}
}

// receive does what a transport does with a datagram.
func (p *labPeer) receive(now time.Time, base BaseID, remote netip.AddrPort, data []byte) {
	if data[0] >= 128 {
		p.application(base, remote)
		return
	}
	pkt, err := p.a.HandlePacket(now, base, remote, data)
	if err != nil {
		p.l.logf("%s drops a packet of %v: %v", p.name, remote, err)
	}
	if len(pkt.Data) > 0 {
		p.application(pkt.Base, pkt.Remote)
	}
}

func (p *labPeer) application(base BaseID, remote netip.AddrPort) {
	if !p.a.Verified(base, remote) {
		return
	}
	p.heard++
	s := p.a.cur.selected
	p.onPair = s != nil && s == p.a.routePair && base == s.local.base.id && remote == s.remote.Addr
}

func (p *labPeer) Transmit() (local, remote netip.AddrPort, data []byte, ecn uint8, ok bool) {
	for {
		tx, ok := p.a.Next(nil)
		if !ok {
			return local, remote, nil, 0, false
		}
		if at, ok := p.conns[tx.Base]; ok {
			p.sendStream(at, tx.Data)
			continue
		}
		from, ok := p.bases[tx.Base]
		if !ok {
			if p.gone[tx.Base] {
				continue // what waited for a socket that was unbound meanwhile
			}
			p.l.fatalf("%s sends from base %d, which is not bound", p.name, tx.Base)
		}
		return from, tx.Remote, tx.Data, tx.ECN, true
	}
}

func (p *labPeer) sendStream(local netip.AddrPort, data []byte) {
	server := p.l.turn
	stream := server.streams[local]
	if stream == nil {
		return
	}
	stream.up = p.l.stream(stream.up, func(now time.Time) {
		if server.streams[local] == stream && !server.down && !p.cut {
			server.fromClient(now, turn.FiveTuple{Listener: 2, Remote: local}, data)
			server.pump()
		}
	})
}

func (p *labPeer) handle(e Event) {
	l := p.l
	l.logf("%s %T%v", p.name, e, e)
	switch e := e.(type) {
	case EventInterfaces:
		var addrs []netip.Addr
		for _, i := range p.host.Interfaces() {
			for _, prefix := range i.Addrs() {
				if i.IsUp() {
					addrs = append(addrs, prefix.Addr())
				}
			}
		}
		p.a.HandleInterfacesResult(l.now(), e.Gen, addrs, nil)
	case EventBind:
		p.next++
		local := netip.AddrPortFrom(e.Addr.Addr(), p.next)
		p.bases[e.Base], p.ports[p.next] = local, e.Base
		p.a.HandleBindResult(l.now(), e.Gen, e.Base, local, nil)
	case EventUnbind:
		p.unbind(e.Base)
	case EventDial:
		p.dial(e)
	case EventResolve:
		l.sim.After(20*time.Millisecond, func(now time.Time) {
			var addrs []netip.Addr
			if addr, ok := l.names[e.Host]; ok {
				addrs = []netip.Addr{addr}
			}
			p.enter(func() { p.a.HandleResolveResult(now, e.Gen, e.ID, addrs, nil) })
		})
	case EventCandidate:
		p.signal(e.Candidate)
	case EventGatheringState:
		if e.State == GatheringComplete && !p.mute {
			p.signalEnd()
		}
	case EventState:
		p.states = append(p.states, e.State)
		if p.up == 0 && e.State == StateConnected {
			p.up = l.elapsed()
		}
	case EventSelectedPair:
		p.selects = append(p.selects, labSelection{e, l.elapsed()})
	case EventCandidateError:
		p.errors++
	}
}

func (p *labPeer) unbind(base BaseID) {
	p.gone[base] = true
	if local, ok := p.conns[base]; ok {
		delete(p.conns, base)
		delete(p.l.turn.streams, local)
		p.l.turn.s.HandleDisconnect(p.l.now(), turn.FiveTuple{Listener: 2, Remote: local})
		p.l.turn.pump()
	}
	delete(p.ports, p.bases[base].Port())
	delete(p.bases, base)
}

// dial opens a connection to the server, which the NATs let through.
func (p *labPeer) dial(e EventDial) {
	p.next++
	local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), p.next)
	p.l.sim.After(p.l.rtt, func(now time.Time) {
		p.enter(func() {
			if p.l.turn.down {
				p.a.HandleDialResult(now, e.Base, netip.AddrPort{}, errors.New("connection refused"))
				return
			}
			p.conns[e.Base] = local
			p.l.turn.streams[local] = &labStream{p: p, base: e.Base}
			p.a.HandleDialResult(now, e.Base, local, nil)
		})
	})
}

func (p *labPeer) signal(c Candidate) {
	l := p.l
	if p.mute {
		return
	}
	if p.hide && c.Type == TypeHost {
		c.Host = fmt.Sprintf("%s-%d.local", p.name, len(l.names))
		l.names[c.Host] = c.Addr.Addr()
	}
	line := c.String()
	at := l.now().Add(l.signaling())
	if at.After(p.trickled) {
		p.trickled = at
	}
	l.sim.At(at.Sub(netsim.Epoch), func(now time.Time) {
		parsed, err := ParseCandidate(line)
		if err != nil {
			l.fatalf("%s: %v", line, err)
		}
		p.peer.enter(func() { _ = p.peer.a.AddRemoteCandidate(now, parsed) })
	})
}

// signalEnd says that there are no more candidates of this generation, behind the last of them.
func (p *labPeer) signalEnd() {
	ufrag := p.a.LocalParameters().Ufrag
	p.l.describe(p.trickled, func(now time.Time) {
		if p.peer.a.cur.remote.Ufrag == ufrag {
			p.peer.enter(func() { p.peer.a.RemoteEndOfCandidates(now) })
		}
	})
}

// describe signals something that keeps its place in the order of the descriptions, not before the given time.
func (l *lab) describe(least time.Time, do func(now time.Time)) {
	at := l.now().Add(l.signaling())
	for _, t := range []time.Time{least, l.signaled} {
		if t.After(at) {
			at = t
		}
	}
	l.signaled = at
	l.sim.At(at.Sub(netsim.Epoch), do)
}

// connect introduces two peers: a offers, and its candidates trickle behind the offer.
func (l *lab) connect(a, b *labPeer) {
	a.peer, b.peer = b, a
	offer := a.a.LocalParameters()
	a.enter(func() { a.a.SetRole(l.now(), RoleControlling) })
	l.describe(l.now(), func(now time.Time) {
		b.enter(func() {
			b.a.SetRole(now, RoleControlled)
			l.must(b.a.SetRemoteParameters(now, offer))
			b.a.Gather(now)
			l.answer(a, b)
		})
	})
	a.enter(func() { a.a.Gather(l.now()) })
}

// restart exchanges new credentials: a offers.
func (l *lab) restart(a, b *labPeer) {
	l.offered = true
	a.enter(func() {
		l.must(a.a.Restart(l.now(), Parameters{}))
		offer := a.a.LocalParameters()
		l.describe(l.now(), func(now time.Time) {
			b.enter(func() {
				l.must(b.a.SetRemoteParameters(now, offer))
				l.must(b.a.Restart(now, Parameters{}))
				l.answer(a, b)
			})
		})
	})
}

func (l *lab) answer(a, b *labPeer) {
	answer := b.a.LocalParameters()
	l.describe(l.now(), func(now time.Time) {
		l.offered = false
		a.enter(func() { l.must(a.a.SetRemoteParameters(now, answer)) })
	})
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.fatalf("%v", err)
	}
}

// say sends an application packet as a transport does.
func (p *labPeer) say() {
	r, ok := p.a.Route()
	if !ok {
		return
	}
	const text = "\x80media"
	buf := make([]byte, r.Headroom+len(text)+turn.MaxTailroom)
	copy(buf[r.Headroom:], text)
	pkt, ok := p.a.Wrap(buf, r.Headroom, len(text))
	if !ok {
		return
	}
	if local, ok := p.conns[r.Base]; ok {
		p.sendStream(local, pkt)
		return
	}
	_ = p.host.Send(p.l.now(), p.bases[r.Base], r.Remote, pkt, 0)
}

// relays counts the relays that the route leads over: our own, and the peer's.
func (p *labPeer) relays() int {
	r, ok := p.a.Route()
	if !ok {
		return -1
	}
	n := 0
	if r.Peer != r.Remote {
		n++
	}
	if r.Peer.Addr() == labTURN.Addr() {
		n++
	}
	return n
}
