package netsim

import (
	"fmt"
	"net/netip"
	"slices"
)

// Host is a machine with interfaces. Not safe for concurrent use.
type Host struct {
	// SendBuffer is how many bytes may wait for the rate of an interface's uplink
	// before Send answers ErrFull, as a socket buffer does. Zero: no limit; what
	// the link cannot hold is then lost in its queue.
	SendBuffer int

	net    *Network
	name   string
	ifaces []*Interface
}

// Name returns the name that AddHost gave.
func (h *Host) Name() string { return h.name }

// Interfaces returns the host's interfaces in the order of their addition. The
// slice is the host's.
func (h *Host) Interfaces() []*Interface { return h.ifaces }

// Interface is one interface of a host, with a link in each direction.
type Interface struct {
	// Up carries what the host sends, Down what it receives.
	Up, Down *Link

	host   *Host
	name   string
	index  int
	addrs  []netip.Prefix
	realm  *realm
	closed bool // administratively down
}

// Name returns the interface's name.
func (i *Interface) Name() string { return i.name }

// Addrs returns the interface's addresses.
func (i *Interface) Addrs() []netip.Prefix { return slices.Clone(i.addrs) }

// IsUp says whether the interface works.
func (i *Interface) IsUp() bool { return !i.closed }

// SetUp takes the interface down or up again. While it is down, what is sent
// from its addresses and what arrives for them is dropped, packets under way
// among them.
func (i *Interface) SetUp(up bool) { i.closed = !up }

// SetAddrs replaces the addresses: a move to another network. It panics if an
// address is taken, which is an error of the test.
func (i *Interface) SetAddrs(addrs ...string) {
	for _, a := range i.addrs {
		delete(i.realm.ends, a.Addr())
	}
	i.addrs = nil
	for _, s := range addrs {
		p := parsePrefix(s)
		i.realm.claim(p.Addr(), end{iface: i})
		i.addrs = append(i.addrs, p)
	}
}

// has says whether a is an address of the interface.
func (i *Interface) has(a netip.Addr) bool {
	for _, p := range i.addrs {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// realm is an address space: the internet, or the inside of a NAT.
type realm struct {
	nat  *NAT // whose inside it is; nil: the internet
	ends map[netip.Addr]end
}

// end is what has an address: an interface, or the outside of a NAT.
type end struct {
	iface *Interface
	nat   *NAT
}

func (r *realm) claim(a netip.Addr, e end) {
	if _, taken := r.ends[a]; taken {
		panic(fmt.Sprintf("netsim: two hosts with the address %v", a))
	}
	r.ends[a] = e
}

// AddHost adds a host without interfaces.
func (n *Network) AddHost(name string) *Host {
	h := &Host{net: n, name: name}
	n.hosts = append(n.hosts, h)
	return h
}

// AddInterface attaches the host to the internet, or to the inside of behind if
// that is not nil. Addresses are written with or without a prefix length
// ("192.0.2.1/24", "2001:db8::1"). It panics if an address is invalid or taken.
// The interface is called eth0, eth1 and so on.
func (h *Host) AddInterface(behind *NAT, up, down LinkConfig, addrs ...string) *Interface {
	i := &Interface{
		Up:    h.net.newLink(up),
		Down:  h.net.newLink(down),
		host:  h,
		name:  fmt.Sprintf("eth%d", len(h.ifaces)),
		index: len(h.ifaces) + 2, // 1 is the loopback interface
		realm: &h.net.internet,
	}
	if behind != nil {
		i.realm = &behind.inside
	}
	h.ifaces = append(h.ifaces, i)
	i.SetAddrs(addrs...)
	return i
}

// Connect is AddHost and AddInterface for the usual host: one interface on the
// internet, with the same link in both directions.
func (n *Network) Connect(name string, link LinkConfig, addrs ...string) *Host {
	h := n.AddHost(name)
	h.AddInterface(nil, link, link, addrs...)
	return h
}

// Addr returns the host's first address of an interface that is up, for tests
// with one; the zero Addr if there is none.
func (h *Host) Addr() netip.Addr {
	for _, i := range h.ifaces {
		if !i.closed && len(i.addrs) > 0 {
			return i.addrs[0].Addr()
		}
	}
	return netip.Addr{}
}

// source finds the interface that a packet leaves from, and its source address.
func (h *Host) source(from, to netip.Addr) (*Interface, netip.Addr) {
	for _, i := range h.ifaces {
		if i.closed {
			continue
		}
		if i.has(from) {
			return i, from
		}
		if from.IsValid() && !from.IsUnspecified() {
			continue
		}
		for _, p := range i.addrs {
			if p.Addr().Is4() == to.Is4() {
				return i, p.Addr()
			}
		}
	}
	return nil, netip.Addr{}
}

// owns says whether a is an address of the host itself.
func (h *Host) owns(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	for _, i := range h.ifaces {
		if !i.closed && i.has(a) {
			return true
		}
	}
	return false
}

func parsePrefix(s string) netip.Prefix {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p
	}
	a := netip.MustParseAddr(s)
	return netip.PrefixFrom(a, a.BitLen())
}
