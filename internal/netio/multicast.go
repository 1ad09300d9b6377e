package netio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A Multicast is a socket of a multicast group on the local link: what is sent to
// the group goes out of every interface, and comes back to other sockets of this
// host. It takes packets from addresses of the link only.
type Multicast struct {
	// Immutable.
	uc     *net.UDPConn
	group  *net.UDPAddr
	ifaces []net.Interface
	links  []netip.Prefix
	four   *ipv4.PacketConn // nil for IPv6
	six    *ipv6.PacketConn // nil for IPv4

	sending sync.Mutex // the interface to send from is a setting of the socket
}

// ListenMulticast opens a socket that has joined the group on all interfaces
// which can, with the port of the group, shared with other programs, or with a
// port of its own, where only unicast packets come in. An error means that the
// port is somebody's who does not share it, or that no interface can.
func ListenMulticast(group netip.AddrPort, shared bool) (*Multicast, error) {
	m, err := listenMulticast(group, shared)
	if err != nil {
		return nil, fmt.Errorf("netio: multicast: %w", err)
	}
	return m, nil
}

func listenMulticast(group netip.AddrPort, shared bool) (*Multicast, error) {
	four := group.Addr().Is4()
	ifaces, links, err := multicastInterfaces(four)
	if err != nil {
		return nil, err
	}
	network, port := "udp6", 0
	if four {
		network = "udp4"
	}
	lc := net.ListenConfig{}
	if shared {
		port = int(group.Port())
		lc.Control = func(_, _ string, raw syscall.RawConn) error { return reuse(raw) }
	}
	// All addresses: on some systems a socket bound to the group sends from it.
	p, err := lc.ListenPacket(context.Background(), network, fmt.Sprint(":", port))
	if err != nil {
		return nil, err
	}
	uc := p.(*net.UDPConn) // the type that ListenPacket documents for "udp"
	m := &Multicast{uc: uc, group: net.UDPAddrFromAddrPort(group), ifaces: ifaces, links: links}
	if four {
		m.four = ipv4.NewPacketConn(uc)
	} else {
		m.six = ipv6.NewPacketConn(uc)
	}
	if err := m.configure(shared); err != nil {
		_ = uc.Close()
		return nil, err
	}
	return m, nil
}

// multicastInterfaces returns the interfaces that have an address of the family
// and can do multicast; where the system does not list them (Android), one without
// a number, which stands for the system's choice.
func multicastInterfaces(four bool) (list []net.Interface, links []netip.Prefix, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return []net.Interface{{}}, nil, nil
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 {
			continue
		}
		has := false
		for _, p := range prefixes(addrs) {
			has = has || p.Addr().Is4() == four
			links = append(links, p.Masked())
		}
		if has {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return nil, nil, errors.New("no interface")
	}
	return list, links, nil
}

// configure joins the group and prepares for sending: RFC 6762 §11 wants a time
// to live of 255.
func (m *Multicast) configure(join bool) error {
	joined := 0
	var err error
	for i := range m.ifaces {
		ifc := &m.ifaces[i]
		if ifc.Index == 0 {
			ifc = nil
		}
		e := error(nil)
		switch {
		case !join:
		case m.four != nil:
			e = m.four.JoinGroup(ifc, m.group)
		default:
			e = m.six.JoinGroup(ifc, m.group)
		}
		if e != nil {
			err = e
			continue
		}
		joined++
	}
	if joined == 0 {
		return err
	}
	if m.four != nil {
		return errors.Join(m.four.SetMulticastTTL(255), m.four.SetMulticastLoopback(true))
	}
	return errors.Join(m.six.SetMulticastHopLimit(255), m.six.SetMulticastLoopback(true))
}

// Read waits for a packet from the link. It returns ErrClosed after Close.
func (m *Multicast) Read(b []byte) (n int, from netip.AddrPort, err error) {
	for {
		n, from, err := m.uc.ReadFromUDPAddrPort(b)
		if err != nil {
			if dropsOneRead(err) {
				continue
			}
			return 0, netip.AddrPort{}, closedError("read", err)
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if m.onLink(from.Addr()) {
			return n, from, nil
		}
	}
}

// dropsOneRead: an ICMP message about a packet that was sent.
func dropsOneRead(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// onLink tells whether an address is of a network that an interface is in: what
// comes from elsewhere must not speak for the link (RFC 6762 §11).
func (m *Multicast) onLink(addr netip.Addr) bool {
	if addr.IsLinkLocalUnicast() || addr.IsLoopback() || m.links == nil {
		return true
	}
	for _, p := range m.links {
		if p.Contains(addr.WithZone("")) {
			return true
		}
	}
	return false
}

// Send sends a packet to the group, out of every interface. An error means that
// none took it.
func (m *Multicast) Send(b []byte) error {
	m.sending.Lock()
	defer m.sending.Unlock()
	var err error
	sent := 0
	for i := range m.ifaces {
		ifc := &m.ifaces[i]
		e := error(nil)
		switch {
		case ifc.Index == 0:
		case m.four != nil:
			e = m.four.SetMulticastInterface(ifc)
		default:
			e = m.six.SetMulticastInterface(ifc)
		}
		if e == nil {
			_, e = m.uc.WriteTo(b, m.group)
		}
		if e != nil {
			err = e
			continue
		}
		sent++
	}
	if sent == 0 {
		return closedError("send", err)
	}
	return nil
}

// SendTo sends a packet to one address.
func (m *Multicast) SendTo(b []byte, to netip.AddrPort) error {
	if _, err := m.uc.WriteToUDPAddrPort(b, to); err != nil {
		return closedError("send", err)
	}
	return nil
}

// Four tells whether the group is of IPv4.
func (m *Multicast) Four() bool { return m.four != nil }

// LocalAddr is the address that the socket is bound to.
func (m *Multicast) LocalAddr() netip.AddrPort {
	return m.uc.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Close closes the socket and ends a waiting Read.
func (m *Multicast) Close() error {
	if err := m.uc.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("netio: close: %w", err)
	}
	return nil
}
