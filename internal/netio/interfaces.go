package netio

import (
	"fmt"
	"net"
	"net/netip"
)

// Interfaces implements Network. Where the system refuses to list interfaces
// (Android closes netlink to applications), it answers with the addresses that a
// connected socket would get, as interfaces without index.
func (system) Interfaces() ([]Interface, error) {
	list, err := interfaces.get()
	if err == nil {
		return list, nil
	}
	if list := routedInterfaces(); len(list) > 0 {
		return list, nil
	}
	return nil, fmt.Errorf("netio: interfaces: %w", err)
}

func listInterfaces() ([]Interface, error) {
	sys, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	list := make([]Interface, 0, len(sys))
	for i := range sys {
		addrs, err := sys[i].Addrs()
		if err != nil {
			// The interface may have gone since it was listed.
			continue
		}
		list = append(list, Interface{
			Name:         sys[i].Name,
			Index:        sys[i].Index,
			MTU:          sys[i].MTU,
			Addrs:        prefixes(addrs),
			Up:           sys[i].Flags&net.FlagUp != 0,
			Loopback:     sys[i].Flags&net.FlagLoopback != 0,
			PointToPoint: sys[i].Flags&net.FlagPointToPoint != 0,
			Multicast:    sys[i].Flags&net.FlagMulticast != 0,
		})
	}
	return list, nil
}

func prefixes(addrs []net.Addr) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(addrs))
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		ones, _ := n.Mask.Size()
		if ip.Is4() && len(n.Mask) == net.IPv6len {
			ones -= 96 // a mask of the mapped form
		}
		if p := netip.PrefixFrom(ip, ones); p.IsValid() {
			list = append(list, p)
		}
	}
	return list
}

// routedInterfaces learns the local addresses that lead to the internet:
// connecting a UDP socket sends nothing, but makes the system choose a source
// address. The destinations are documentation addresses (RFC 5737, RFC 3849),
// which any default route covers.
func routedInterfaces() []Interface {
	var list []Interface
	for _, to := range []struct{ name, network, address string }{
		{"default4", "udp4", "192.0.2.1:9"},
		{"default6", "udp6", "[2001:db8::1]:9"},
	} {
		c, err := net.Dial(to.network, to.address)
		if err != nil {
			continue
		}
		local := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")
		_ = c.Close()
		list = append(list, Interface{
			Name:  to.name,
			Addrs: []netip.Prefix{netip.PrefixFrom(local, local.BitLen())},
			Up:    true,
		})
	}
	return list
}
