package netsim

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

// Errors of Host.Send. A *netio.SizeError is the third.
var (
	// ErrUnreachable: no interface that is up has the source address, or one of
	// the destination's family.
	ErrUnreachable = errors.New("netsim: network is unreachable")
	// ErrFull: the send buffer has no room; see Host.SendBuffer.
	ErrFull = errors.New("netsim: no buffer space")
)

// Network is a simulated network: a pure engine. Not safe for concurrent use.
// The times that its methods are given never go backwards.
type Network struct {
	seed     uint64
	streams  uint64 // random streams handed out
	internet realm
	hosts    []*Host
	names    map[string][]netip.Addr
	trace    func(Record)

	events eventHeap
	seq    uint64
	last   *packet   // what Next returned, to be recycled by the next call
	free   []*packet // recycled packets
}

// New returns a network without hosts, all of whose randomness comes from seed.
func New(seed uint64) *Network {
	return &Network{
		seed:     seed,
		internet: realm{ends: make(map[netip.Addr]end)},
		names:    make(map[string][]netip.Addr),
	}
}

// Seed returns what New was given.
func (n *Network) Seed() uint64 { return n.seed }

// AddName makes a host name resolve to the addresses.
func (n *Network) AddName(host string, addrs ...string) {
	for _, s := range addrs {
		n.names[host] = append(n.names[host], netip.MustParseAddr(s))
	}
}

// Lookup returns the addresses of a host name; none: it does not exist. For
// engines under Sim, whose names somebody must resolve.
func (n *Network) Lookup(host string) []netip.Addr { return slices.Clone(n.names[host]) }

// Rand returns a source of random bytes that depends on the seed and the name
// alone: the Rand of an engine under test.
func (n *Network) Rand(name string) io.Reader {
	var key [32]byte
	h := uint64(14695981039346656037) // FNV-1a, to spread the name over the key
	for i := range key {
		for _, c := range []byte(name) {
			h = (h ^ uint64(c)) * 1099511628211
		}
		h = (h ^ n.seed>>(i%8*8)&0xff ^ uint64(i)) * 1099511628211
		key[i] = byte(h >> 32)
	}
	return rand.NewChaCha8(key)
}

// newRand returns the random stream of a link or a NAT: each has its own, so
// that a change to one leaves the draws of the others alone.
func (n *Network) newRand() *rand.Rand {
	n.streams++
	return rand.New(rand.NewPCG(n.seed, n.streams))
}

func (n *Network) newLink(cfg LinkConfig) *Link {
	return &Link{cfg: cfg, rng: n.newRand()}
}

// Delivery is a datagram that has arrived.
type Delivery struct {
	Host     *Host
	From, To netip.AddrPort
	// Data belongs to the network again, and is overwritten, when Next is called
	// again.
	Data []byte
	ECN  uint8
}

// Send puts a datagram on its way. An unspecified source address is replaced by
// one of an interface that is up. Data is copied. Errors: ErrUnreachable,
// ErrFull, *netio.SizeError; in each case nothing was sent.
func (h *Host) Send(now time.Time, from, to netip.AddrPort, data []byte, ecn uint8) error {
	n, t := h.net, since(now)
	size := ipSize(to.Addr(), len(data))
	if h.owns(to.Addr()) {
		src := from.Addr()
		if !src.IsValid() || src.IsUnspecified() {
			src = to.Addr()
		}
		p := n.newPacket(t, h, netip.AddrPortFrom(src, from.Port()), to, data, ecn)
		n.push(event{at: t, pkt: p, stage: atHost})
		return nil
	}
	i, src := h.source(from.Addr(), to.Addr())
	if i == nil || src.Is4() != to.Addr().Is4() || to.Port() == 0 {
		return ErrUnreachable
	}
	if size > i.Up.mtu() {
		return &netio.SizeError{Size: len(data), Remote: to}
	}
	if h.SendBuffer > 0 && i.Up.backlog(t)+int64(size) > int64(h.SendBuffer) {
		return ErrFull
	}
	p := n.newPacket(t, h, netip.AddrPortFrom(src, from.Port()), to, data, ecn)
	n.cross(t, i.Up, p, event{stage: atRealm, realm: i.realm})
	return nil
}

// Deadline is when the next thing happens in the network; zero: nothing is
// under way.
func (n *Network) Deadline() time.Time {
	if len(n.events) == 0 {
		return time.Time{}
	}
	return Epoch.Add(time.Duration(n.events[0].at))
}

// Next returns the next datagram that has arrived by now. Called until it says
// that nothing is left.
func (n *Network) Next(now time.Time) (Delivery, bool) {
	if n.last != nil {
		n.recycle(n.last)
		n.last = nil
	}
	t := since(now)
	for len(n.events) > 0 && n.events[0].at <= t {
		e := n.events.pop()
		if h := n.step(e); h != nil {
			n.last = e.pkt
			n.record(e.at, e.pkt, h, fateDelivered)
			return Delivery{Host: h, From: e.pkt.from, To: e.pkt.to, Data: e.pkt.data, ECN: e.pkt.ecn}, true
		}
	}
	return Delivery{}, false
}

// packet is a datagram under way.
type packet struct {
	host     *Host // the sender
	origin   netip.AddrPort
	target   netip.AddrPort
	sent     int64
	from, to netip.AddrPort // as rewritten by NATs
	data     []byte
	ecn      uint8
}

// stage is where a packet comes out of a link.
type stage uint8

const (
	atRealm stage = iota // at the router of an address space
	atNAT                // at the outside of a NAT
	atHost               // at its destination
)

// event is the arrival of a packet somewhere.
type event struct {
	at    int64
	seq   uint64
	pkt   *packet
	stage stage
	realm *realm
	nat   *NAT
	iface *Interface // nil at a host: it sent to itself
}

// step moves a packet that came out of a link. It returns the host that the
// packet has arrived at, if it has.
func (n *Network) step(e event) *Host {
	switch e.stage {
	case atHost:
		if e.iface == nil {
			return e.pkt.host
		}
		if !e.iface.closed && e.iface.has(e.pkt.to.Addr()) {
			return e.iface.host
		}
		n.dropped(e.at, e.pkt, fateDown)
	case atNAT:
		if f := e.nat.translateIn(e.at, e.pkt); f != fateDelivered {
			n.dropped(e.at, e.pkt, f)
			return nil
		}
		n.route(e.at, &e.nat.inside, e.pkt)
	case atRealm:
		n.route(e.at, e.realm, e.pkt)
	}
	return nil
}

// route sends a packet on from the router of an address space.
func (n *Network) route(t int64, r *realm, p *packet) {
	if to, ok := r.ends[p.to.Addr()]; ok {
		if to.nat != nil {
			n.cross(t, to.nat.Down, p, event{stage: atNAT, nat: to.nat})
		} else {
			n.cross(t, to.iface.Down, p, event{stage: atHost, iface: to.iface})
		}
		return
	}
	if r.nat == nil {
		n.dropped(t, p, fateNoRoute)
		return
	}
	if own, ok := r.nat.outsideOf(p.to.Addr()); ok && own == p.to.Addr() {
		n.hairpin(t, r.nat, p)
		return
	}
	if f := r.nat.translateOut(t, p); f != fateDelivered {
		n.dropped(t, p, f)
		return
	}
	n.cross(t, r.nat.Up, p, event{stage: atRealm, realm: r.nat.outer})
}

// hairpin turns a packet around that goes from the inside of a NAT to its own
// outside. It gets an outside source (RFC 4787 REQ-9a).
func (n *Network) hairpin(t int64, nat *NAT, p *packet) {
	if !nat.cfg.Hairpin {
		n.dropped(t, p, fateNAT)
		return
	}
	f := nat.translateOut(t, p)
	if f == fateDelivered {
		f = nat.translateIn(t, p)
	}
	if f != fateDelivered {
		n.dropped(t, p, f)
		return
	}
	n.route(t, &nat.inside, p)
}

// cross puts a packet on a link; next is what happens where it comes out.
func (n *Network) cross(t int64, l *Link, p *packet, next event) {
	ect := p.ecn == netio.ECT0 || p.ecn == netio.ECT1
	c := l.cross(t, ipSize(p.to.Addr(), len(p.data)), ect)
	if c.fate != fateDelivered {
		n.dropped(t, p, c.fate)
		return
	}
	if c.mark {
		p.ecn = netio.CE
	}
	next.at, next.pkt = c.arrival, p
	n.push(next)
	if c.duplicate != 0 {
		next.at, next.pkt = c.duplicate, n.copyPacket(p)
		n.push(next)
	}
}

func (n *Network) push(e event) {
	n.seq++
	e.seq = n.seq
	n.events.push(e)
}

func (n *Network) newPacket(t int64, h *Host, from, to netip.AddrPort, data []byte, ecn uint8) *packet {
	var p *packet
	if k := len(n.free); k > 0 {
		p, n.free = n.free[k-1], n.free[:k-1]
	} else {
		p = new(packet)
	}
	*p = packet{
		host: h, origin: from, target: to, sent: t, from: from, to: to,
		data: append(p.data[:0], data...), ecn: ecn,
	}
	return p
}

func (n *Network) copyPacket(p *packet) *packet {
	c := n.newPacket(p.sent, p.host, p.from, p.to, p.data, p.ecn)
	c.origin, c.target = p.origin, p.target
	return c
}

// maxFree caps the packets kept for reuse.
const maxFree = 1 << 14

// recycle takes a packet back. Its bytes are overwritten: an engine that kept
// the slice will see nonsense, here and not in the field.
func (n *Network) recycle(p *packet) {
	poison(p.data)
	if len(n.free) < maxFree {
		n.free = append(n.free, p)
	}
}

// nonsense is what recycled memory is overwritten with.
var nonsense = func() (b [4096]byte) {
	for i := range b {
		b[i] = 0xDB
	}
	return b
}()

func poison(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, nonsense[:]):]
	}
}

func (n *Network) dropped(t int64, p *packet, f fate) {
	n.record(t, p, nil, f)
	n.recycle(p)
}

// since turns a time into nanoseconds since Epoch.
func since(now time.Time) int64 { return int64(now.Sub(Epoch)) }

// ipSize is the size of the IP packet around a UDP payload.
func ipSize(to netip.Addr, payload int) int {
	if to.Is4() {
		return payload + 28
	}
	return payload + 48
}

// mulDiv is a*b/c for non-negative numbers, rounded down, without overflow on
// the way.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(q, 1<<63-1))
}

// String tells the seed, for messages of failed tests.
func (n *Network) String() string { return fmt.Sprintf("netsim seed %d", n.seed) }

// Hosts returns the hosts in the order of their addition.
func (n *Network) Hosts() []*Host { return slices.Clone(n.hosts) }
