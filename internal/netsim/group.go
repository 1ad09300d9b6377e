package netsim

import (
	"net/netip"

	"github.com/openparley/webrtc/internal/netio"
)

// ListenUDPGroup is netio.ListenUDPGroup on a host of Live.
func ListenUDPGroup(host netio.Network, local netip.AddrPort, n int) ([]netio.PacketConn, error) {
	first, err := host.ListenUDP(local)
	if err != nil {
		return nil, err
	}
	s := first.(*socket) // of a host of Live
	s.live.Do(func(*Network) { s.shared = true })
	group := []netio.PacketConn{s}
	for range n - 1 {
		c, err := JoinUDPGroup(host, netip.AddrPortFrom(local.Addr(), s.bound.Port()))
		if err != nil {
			return nil, err
		}
		group = append(group, c)
	}
	return group, nil
}

// JoinUDPGroup is netio.JoinUDPGroup on a host of Live.
func JoinUDPGroup(host netio.Network, local netip.AddrPort) (netio.PacketConn, error) {
	return host.(liveHost).listen(local, true)
}

// spread says how much the i-th socket of a port wants the packets of a flow: the one that wants them most gets them.
func spread(from netip.AddrPort, i int) uint32 {
	a := from.Addr().As16()
	h := uint32(a[12])<<24 | uint32(a[13])<<16 | uint32(a[14])<<8 | uint32(a[15])
	for _, v := range [...]uint32{uint32(from.Port()), uint32(i)} {
		h = (h ^ v) * 0x9e3779b1
		h ^= h >> 15
	}
	return h
}
