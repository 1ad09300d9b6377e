package netsim

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// NATKind is one of the classic behaviours, by RFC 4787's mapping and filtering.
type NATKind uint8

// The kinds of NAT.
const (
	// FullCone: one mapping for all peers, open to all of them.
	FullCone NATKind = iota
	// AddressRestrictedCone: one mapping, open to addresses that were sent to.
	AddressRestrictedCone
	// PortRestrictedCone: one mapping, open to addresses and ports sent to.
	PortRestrictedCone
	// Symmetric: a mapping for each peer's address and port, with a random port,
	// open to that peer.
	Symmetric
	// UDPBlocked lets no datagram pass.
	UDPBlocked
)

// String returns the name as the tables of the documents have it.
func (k NATKind) String() string {
	switch k {
	case FullCone:
		return "full cone"
	case AddressRestrictedCone:
		return "address-restricted cone"
	case PortRestrictedCone:
		return "port-restricted cone"
	case Symmetric:
		return "symmetric"
	case UDPBlocked:
		return "UDP blocked"
	}
	return "unknown"
}

// NATConfig says how a NAT behaves.
type NATConfig struct {
	Kind NATKind
	// Timeout is how long a mapping lives after the last packet from inside
	// (RFC 4787 REQ-5 and REQ-6); zero means two minutes.
	Timeout time.Duration
	// Hairpin lets hosts of the inside reach each other by their outside
	// addresses (RFC 4787 REQ-9).
	Hairpin bool
	// Addrs are the outside addresses, at most one of each family. A family
	// without one does not pass.
	Addrs []string
	// Up and Down are the links of the outside.
	Up, Down LinkConfig
	// Behind is the NAT whose inside this one is attached to; nil: the internet.
	Behind *NAT
}

const (
	defaultNATTimeout = 2 * time.Minute
	firstNATPort      = 1024
	// maxMappings caps the table of one outside address: the ports there are.
	maxMappings = 65536 - firstNATPort
)

// NAT is a network address translator with an inside for any number of hosts.
// Not safe for concurrent use.
type NAT struct {
	// Up carries what leaves to the outside, Down what comes from there.
	Up, Down *Link

	cfg    NATConfig
	rng    *rand.Rand
	addrs  []netip.Addr
	inside realm
	outer  *realm

	byFlow map[natFlow]*mapping
	byPort map[netip.AddrPort]*mapping // by the outside end
}

// natFlow is what shares a mapping: the remote is zero unless the NAT is
// symmetric.
type natFlow struct{ inside, remote netip.AddrPort }

type mapping struct {
	flow    natFlow
	outside netip.AddrPort
	expires int64
	// permitted are the remotes that may send in; the ports are zero when only
	// addresses count, and the map is nil for a full cone.
	permitted map[netip.AddrPort]int64 // expiry
}

// AddNAT adds a NAT. It panics if an address is invalid or taken.
func (n *Network) AddNAT(cfg NATConfig) *NAT {
	t := &NAT{
		Up:   n.newLink(cfg.Up),
		Down: n.newLink(cfg.Down),
		cfg:  cfg,
		rng:  n.newRand(),
	}
	if t.cfg.Timeout == 0 {
		t.cfg.Timeout = defaultNATTimeout
	}
	t.outer = &n.internet
	if cfg.Behind != nil {
		t.outer = &cfg.Behind.inside
	}
	t.inside = realm{nat: t, ends: make(map[netip.Addr]end)}
	for _, s := range cfg.Addrs {
		a := parsePrefix(s).Addr()
		t.outer.claim(a, end{nat: t})
		t.addrs = append(t.addrs, a)
	}
	t.Reset()
	return t
}

// Reset forgets all mappings: the box was restarted.
func (t *NAT) Reset() {
	t.byFlow = make(map[natFlow]*mapping)
	t.byPort = make(map[netip.AddrPort]*mapping)
}

// SetKind changes the behaviour and forgets all mappings.
func (t *NAT) SetKind(kind NATKind) {
	t.cfg.Kind = kind
	t.Reset()
}

// Mappings returns how many mappings there are, expired ones that were not met
// since included.
func (t *NAT) Mappings() int { return len(t.byPort) }

// outsideOf returns the outside address of a's family.
func (t *NAT) outsideOf(a netip.Addr) (netip.Addr, bool) {
	for _, o := range t.addrs {
		if o.Is4() == a.Is4() {
			return o, true
		}
	}
	return netip.Addr{}, false
}

// translateOut gives the packet its outside source at time now.
func (t *NAT) translateOut(now int64, p *packet) fate {
	if t.cfg.Kind == UDPBlocked {
		return fateNAT
	}
	flow := natFlow{inside: p.from}
	if t.cfg.Kind == Symmetric {
		flow.remote = p.to
	}
	m := t.byFlow[flow]
	if m != nil && m.expires <= now {
		t.drop(m)
		m = nil
	}
	if m == nil {
		if m = t.open(now, flow); m == nil {
			return fateNAT
		}
	}
	m.expires = now + int64(t.cfg.Timeout)
	if t.cfg.Kind != FullCone {
		m.permitted[t.permission(p.to)] = m.expires
	}
	p.from = m.outside
	return fateDelivered
}

// translateIn gives the packet its inside destination, or filters it.
func (t *NAT) translateIn(now int64, p *packet) fate {
	m := t.byPort[p.to]
	if m == nil || t.cfg.Kind == UDPBlocked {
		return fateNAT
	}
	if m.expires <= now {
		t.drop(m)
		return fateNAT
	}
	if t.cfg.Kind != FullCone && m.permitted[t.permission(p.from)] <= now {
		return fateFiltered
	}
	p.to = m.flow.inside
	return fateDelivered
}

// permission is the key of a remote in mapping.permitted.
func (t *NAT) permission(remote netip.AddrPort) netip.AddrPort {
	if t.cfg.Kind == AddressRestrictedCone {
		return netip.AddrPortFrom(remote.Addr(), 0)
	}
	return remote
}

// open makes a mapping. Cones keep the port when it is free (RFC 4787 REQ-3
// leaves that open; most boxes do), symmetric NATs draw one.
func (t *NAT) open(now int64, flow natFlow) *mapping {
	addr, ok := t.outsideOf(flow.inside.Addr())
	if !ok || len(t.byPort) >= maxMappings {
		return nil
	}
	port := flow.inside.Port()
	if t.cfg.Kind == Symmetric || port < firstNATPort {
		port = t.randomPort()
	}
	for range maxMappings {
		outside := netip.AddrPortFrom(addr, port)
		if old := t.byPort[outside]; old != nil && old.expires <= now {
			t.drop(old)
		}
		if t.byPort[outside] == nil {
			m := &mapping{flow: flow, outside: outside, permitted: make(map[netip.AddrPort]int64)}
			t.byFlow[flow], t.byPort[outside] = m, m
			return m
		}
		port = t.randomPort()
	}
	return nil
}

func (t *NAT) randomPort() uint16 {
	return uint16(firstNATPort + t.rng.IntN(65536-firstNATPort))
}

func (t *NAT) drop(m *mapping) {
	delete(t.byFlow, m.flow)
	delete(t.byPort, m.outside)
}
