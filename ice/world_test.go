package ice

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// world is a tiny network in virtual time: peers, links with delay, loss and duplication, NATs, a STUN server and a
// signaling channel. One goroutine; equal seeds give equal traces.
type world struct {
	t     testing.TB
	now   time.Time
	start time.Time
	rng   *rand.Rand
	queue happenings
	seq   int
	trace strings.Builder
	peers []*node

	delay     time.Duration // one way
	jitter    time.Duration
	loss      float64
	duplicate float64
	signaling time.Duration // one way
	deadSTUN  bool
	blocked   func(from, to netip.AddrPort) bool
	names     map[string][]netip.Addr
	sent      int
	turn      *turnWorld
	firewall  func(from *node, to netip.AddrPort) error // of connections; nil: none
	dialed    int
}

var (
	epoch      = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	stunServer = netip.MustParseAddrPort("203.0.113.1:3478")
)

type happening struct {
	at  time.Time
	seq int
	do  func()
}

type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || (h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq)
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)   { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newWorld(t testing.TB, seed uint64) *world {
	return &world{
		t: t, now: epoch, start: epoch, rng: rand.New(rand.NewPCG(seed, 1)),
		delay: 10 * time.Millisecond, signaling: 10 * time.Millisecond, names: map[string][]netip.Addr{},
	}
}

func (w *world) logf(format string, args ...any) {
	fmt.Fprintf(&w.trace, "t=%v "+format+"\n", append([]any{w.now.Sub(w.start)}, args...)...)
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, happening{w.now.Add(d), w.seq, do})
}

// nat translates the addresses behind it. A symmetric one takes a new port for each destination; all of them let in only
// what comes from an address and port that was sent to.
type nat struct {
	public    netip.Addr
	symmetric bool
	ports     map[string]uint16
	inside    map[uint16]netip.AddrPort
	allowed   map[string]bool
	last      uint16
	open      bool // lets everything in
}

func newNAT(public string, symmetric bool) *nat {
	return &nat{
		public: netip.MustParseAddr(public), symmetric: symmetric, last: 20000,
		ports: map[string]uint16{}, inside: map[uint16]netip.AddrPort{}, allowed: map[string]bool{},
	}
}

func (n *nat) out(from, to netip.AddrPort) netip.AddrPort {
	key := from.String()
	if n.symmetric {
		key += ">" + to.String()
	}
	port, ok := n.ports[key]
	if !ok {
		n.last++
		port = n.last
		n.ports[key], n.inside[port] = port, from
	}
	n.allowed[fmt.Sprint(port, to)] = true
	return netip.AddrPortFrom(n.public, port)
}

func (n *nat) in(from, to netip.AddrPort) (netip.AddrPort, bool) {
	if !n.open && !n.allowed[fmt.Sprint(to.Port(), from)] {
		return netip.AddrPort{}, false
	}
	inside, ok := n.inside[to.Port()]
	return inside, ok
}

// node is a peer: an agent and its driver.
type node struct {
	w       *world
	name    string
	a       *Agent
	addrs   []netip.Addr
	nat     *nat
	bases   map[BaseID]netip.AddrPort
	port    uint16
	peer    *node
	lite    bool // its descriptions say so
	mute    bool // does not signal candidates
	hide    bool // signals mDNS names for addresses
	states  []string
	events  []Event
	selects []EventSelectedPair
	heard   []string // application packets
	streams map[BaseID]netip.AddrPort
	tcp     map[BaseID]netip.AddrPort // listeners
	wires   map[BaseID]*wire          // connections to peers
}

func (w *world) add(name string, cfg Config, addrs ...string) *node {
	w.t.Helper()
	cfg.Rand = newSeeded(w.rng.Uint64())
	a, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{w: w, name: name, a: a, bases: map[BaseID]netip.AddrPort{}, streams: map[BaseID]netip.AddrPort{}, tcp: map[BaseID]netip.AddrPort{}, wires: map[BaseID]*wire{}, port: 4000 + 1000*uint16(len(w.peers))}
	for _, s := range addrs {
		n.addrs = append(n.addrs, netip.MustParseAddr(s))
	}
	w.peers = append(w.peers, n)
	return n
}

// newSeeded is a source of random bytes that repeats.
func newSeeded(seed uint64) *rand.ChaCha8 {
	var b [32]byte
	for i := range 8 {
		b[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(b)
}

// pump does what a driver does after every entry.
func (n *node) pump() {
	for busy := true; busy; {
		busy = false
		for {
			e, ok := n.a.Event()
			if !ok {
				break
			}
			busy = true
			n.handle(e)
		}
		for {
			tx, ok := n.a.Next(nil)
			if !ok {
				break
			}
			if x := n.wires[tx.Base]; x != nil {
				x.send(n, tx.Data)
				continue
			}
			from, ok := n.bases[tx.Base]
			if !ok {
				n.w.t.Fatalf("%s sends from base %d, which is not bound", n.name, tx.Base)
			}
			n.w.transmit(n, from, tx.Remote, tx.Data)
		}
	}
	if d := n.a.Deadline(); !d.IsZero() && d.Before(n.w.now) {
		n.w.t.Fatalf("%s: deadline %v is %v in the past", n.name, d, n.w.now.Sub(d))
	}
}

func (n *node) handle(e Event) {
	w := n.w
	n.events = append(n.events, e)
	w.logf("%s %T%v", n.name, e, e)
	switch e := e.(type) {
	case EventInterfaces:
		n.a.HandleInterfacesResult(w.now, e.Gen, n.addrs, nil)
	case EventBind:
		n.port++
		local := netip.AddrPortFrom(e.Addr.Addr().WithZone(""), n.port)
		if e.Network == "tcp4" || e.Network == "tcp6" {
			n.tcp[e.Base] = local
		} else {
			n.bases[e.Base] = local
		}
		n.a.HandleBindResult(w.now, e.Gen, e.Base, local, nil)
	case EventUnbind:
		if local, ok := n.streams[e.Base]; ok && w.turn != nil {
			delete(n.streams, e.Base)
			w.turn.hangUp(local)
		}
		delete(n.bases, e.Base)
		delete(n.tcp, e.Base)
		if x := n.wires[e.Base]; x != nil {
			x.hangUp(n)
		}
	case EventConnect:
		w.dial(n, e)
	case EventDial:
		if len(n.addrs) == 0 {
			w.after(0, func() {
				n.a.HandleDialResult(w.now, e.Base, netip.AddrPort{}, errors.New("network is unreachable"))
				n.pump()
			})
			return
		}
		n.port++
		local := netip.AddrPortFrom(n.addrs[0], n.port)
		w.after(2*w.delay, func() {
			if w.turn == nil || w.turn.down {
				n.a.HandleDialResult(w.now, e.Base, netip.AddrPort{}, errors.New("connection refused"))
			} else {
				n.streams[e.Base], n.bases[e.Base] = local, local
				w.turn.connect(local, n, e.Base)
				n.a.HandleDialResult(w.now, e.Base, local, nil)
			}
			n.pump()
		})
	case EventResolve:
		w.after(20*time.Millisecond, func() {
			addrs, err := w.names[e.Host], error(nil)
			if addrs == nil {
				err = errors.New("no such host")
			}
			n.a.HandleResolveResult(w.now, e.Gen, e.ID, addrs, err)
			n.pump()
		})
	case EventCandidate:
		n.signal(e.Candidate)
	case EventGatheringState:
		if e.State == GatheringComplete && n.peer != nil && !n.mute {
			w.after(w.signaling, func() { n.peer.a.RemoteEndOfCandidates(w.now); n.peer.pump() })
		}
	case EventState:
		n.states = append(n.states, e.State.String())
	case EventSelectedPair:
		n.selects = append(n.selects, e)
	case EventCandidateError, EventRole:
	}
}

func (n *node) signal(c Candidate) {
	if n.peer == nil || n.mute {
		return
	}
	if n.hide && c.Type == TypeHost {
		c.Host = fmt.Sprintf("0000-%s-%d.local", n.name, len(n.w.names))
		n.w.names[c.Host] = []netip.Addr{c.Addr.Addr()}
	}
	line := c.String()
	n.w.after(n.w.signaling, func() {
		parsed, err := ParseCandidate(line)
		if err != nil {
			n.w.t.Fatalf("%s: %v", line, err)
		}
		if err := n.peer.a.AddRemoteCandidate(n.w.now, parsed); err != nil {
			n.w.logf("%s refuses %s: %v", n.peer.name, line, err)
		}
		n.peer.pump()
	})
}

// transmit puts a datagram on the wire.
func (w *world) transmit(n *node, from, to netip.AddrPort, data []byte) {
	w.sent++
	if w.turn != nil && w.turn.clients[from].n == n {
		data := bytes.Clone(data)
		w.after(w.delay, func() { w.turn.fromStream(from, data) })
		return
	}
	if n.nat != nil && from.Addr().Is4() { // IPv6 is not translated
		from = n.nat.out(from, to)
	}
	copies := 1
	if w.rng.Float64() < w.duplicate {
		copies = 2
	}
	for range copies {
		delay := w.delay
		if w.jitter > 0 {
			delay += time.Duration(w.rng.Int64N(int64(w.jitter)))
		}
		// The way to the server loses nothing: two NATs and no reflexive candidate are a call for a relay.
		lost := w.rng.Float64() < w.loss && to != stunServer && to != turnServer
		if lost || (w.blocked != nil && w.blocked(from, to)) {
			continue
		}
		w.after(delay, func() { w.deliver(from, to, data) })
	}
}

func (w *world) deliver(from, to netip.AddrPort, data []byte) {
	if w.turn != nil && to.Addr() == turnServer.Addr() {
		w.turn.deliver(from, to, data)
		return
	}
	if to == stunServer && !w.deadSTUN {
		if m := new(stun.Message); stun.Decode(data, m) == nil {
			m.Type.Class = stun.ClassSuccessResponse
			r := stun.MustBuild(stun.NewType(stun.MethodBinding, stun.ClassSuccessResponse), m,
				&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}, stun.Fingerprint)
			raw := r.Raw
			w.after(w.delay, func() { w.deliver(to, from, raw) })
		}
		return
	}
	for _, n := range w.peers {
		local := to
		if n.nat != nil && to.Addr().Is4() {
			if to.Addr() != n.nat.public {
				continue
			}
			inside, ok := n.nat.in(from, to)
			if !ok {
				continue
			}
			local = inside
		}
		for id, addr := range n.bases {
			if addr == local {
				n.receive(id, from, data)
				return
			}
		}
	}
}

// receive does what a transport does with a datagram.
func (n *node) receive(id BaseID, from netip.AddrPort, data []byte) {
	w := n.w
	if len(data) > 0 && data[0] >= 128 {
		n.application(id, from, data)
		return
	}
	p, err := n.a.HandlePacket(w.now, id, from, data)
	if err != nil {
		w.logf("%s drops a packet of %v: %v", n.name, from, err)
	}
	if len(p.Data) > 0 {
		n.application(p.Base, p.Remote, p.Data)
	}
	n.pump()
}

func (n *node) application(base BaseID, from netip.AddrPort, data []byte) {
	if !n.a.Verified(base, from) {
		n.w.logf("%s drops application data of %v", n.name, from)
		return
	}
	n.heard = append(n.heard, string(data))
}

// connect introduces two peers: a offers.
func (w *world) connect(a, b *node) {
	a.peer, b.peer = b, a
	a.a.SetRole(w.now, RoleControlling)
	a.a.Gather(w.now)
	a.pump()
	w.exchange(a, b)
}

// exchange carries a's parameters to b and b's answer back.
func (w *world) exchange(a, b *node) {
	offer, whole := a.parameters(), a.a.GatheringState() == GatheringComplete
	w.after(w.signaling, func() {
		b.a.SetRole(w.now, RoleControlled)
		w.must(b.a.SetRemoteParameters(w.now, offer))
		if whole && !a.mute {
			b.a.RemoteEndOfCandidates(w.now) // the offer says so: what was signaled before it, was of no known generation
		}
		if b.a.GatheringState() == GatheringNew {
			b.a.Gather(w.now)
		} else {
			w.must(b.a.Restart(w.now, Parameters{}))
		}
		b.pump()
		answer := b.parameters()
		w.after(w.signaling, func() {
			w.must(a.a.SetRemoteParameters(w.now, answer))
			a.pump()
		})
	})
}

func (n *node) parameters() Parameters {
	p := n.a.LocalParameters()
	p.Lite = n.lite
	return p
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// run lets time pass until the condition holds; false: it did not within d.
func (w *world) run(d time.Duration, until func() bool) bool {
	w.t.Helper()
	end := w.now.Add(d)
	for {
		if until != nil && until() {
			return true
		}
		next := end.Add(1)
		if len(w.queue) > 0 {
			next = w.queue[0].at
		}
		var due *node
		for _, n := range w.peers {
			if t := n.a.Deadline(); !t.IsZero() && t.Before(next) {
				next, due = t, n
			}
		}
		if next.After(end) {
			w.now = end
			return until == nil || until()
		}
		if next.After(w.now) {
			w.now = next
		}
		if due == nil {
			heap.Pop(&w.queue).(happening).do()
			continue
		}
		due.a.Advance(w.now)
		if t := due.a.Deadline(); !t.IsZero() && !t.After(w.now) {
			w.t.Fatalf("%s: after Advance the deadline is not in the future (%v)\n%s", due.name, t.Sub(w.now), w.trace.String())
		}
		due.pump()
	}
}

func (n *node) in(s ...State) bool {
	for _, s := range s {
		if n.a.State() == s {
			return true
		}
	}
	return false
}

func (n *node) up() bool { return n.in(StateConnected, StateCompleted) }

// seeds returns how many seeds torture tests run: n, or PARLEY_TORTURE.
func seeds(n int) int {
	if v, err := strconv.Atoi(os.Getenv("PARLEY_TORTURE")); err == nil {
		return v
	}
	return n
}

// udpOf blocks all datagrams of a node.
func udpOf(n *node) func(from, to netip.AddrPort) bool {
	return func(from, to netip.AddrPort) bool {
		return from.Addr() == n.nat.public || to.Addr() == n.nat.public
	}
}

func (n *node) addrPort() netip.AddrPort { return netip.AddrPortFrom(n.addrs[0], 1) }
