package webrtc

import (
	"net/netip"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/sctp"
)

// updatePath tells DTLS and SCTP about the route's size and round-trip time, when the route is new.
func (c *composite) updatePath(now time.Time) (changed bool) {
	route, ok := c.ice.Route()
	if !ok || c.pathKnown && c.hasRoute && samePath(route, c.route) {
		return false
	}
	moved := c.hasRoute && !samePath(route, c.route)
	c.route, c.hasRoute, c.pathKnown = route, true, true
	if c.dtls == nil {
		return true
	}
	mtu := route.MTU
	if route.Stream {
		mtu = maxPacketIPv6 // nothing is too large for a stream, and there is nothing to find out
	}
	c.dtls.SetMTU(mtu - route.Headroom)
	rtt := c.ice.RTT()
	c.dtls.SetRTT(rtt)
	if c.assoc != nil && c.dtlsState == dtls.StateConnected {
		front, back := c.dtls.Overhead()
		largest := maxPacketIPv4
		if route.Remote.Addr().Is6() {
			largest = maxPacketIPv6
		}
		switch {
		case route.Stream:
			largest = mtu
		case c.pathLimit > 0:
			largest = max(min(largest, c.pathLimit), route.MTU)
		}
		c.assoc.SetPath(now, sctp.Path{
			MTU: mtu - route.Headroom - front - back, MaxMTU: largest - route.Headroom - front - back,
			RTT: rtt, Changed: moved,
		})
	}
	return true
}

// samePath tells whether packets go the same way. A relay's header gets shorter on the way.
func samePath(a, b ice.Route) bool {
	return a.Base == b.Base && a.Remote == b.Remote && a.Peer == b.Peer
}

// packetTooLarge lowers the path's size: the system has refused a datagram of that size.
func (c *composite) packetTooLarge(remote netip.AddrPort, size int) {
	if c.assoc == nil || !c.hasRoute || remote != c.route.Remote {
		return
	}
	c.pathLimit = min(orDefault(c.pathLimit, maxPacketSize), size-1)
	c.pathKnown = false
}

// Largest UDP payloads on an Ethernet of 1500 bytes.
const (
	maxPacketIPv4 = 1500 - 20 - 8
	maxPacketIPv6 = 1500 - 40 - 8
	maxPacketSize = 1500
)

// sendVia sends an application packet that lies in buf from headroom on; a relay's header goes in front.
func (c *composite) sendVia(route ice.Route, buf []byte, headroom int, pkt []byte) {
	if route.Remote != route.Peer {
		var ok bool
		if pkt, ok = c.ice.Wrap(buf[:min(cap(buf), headroom+len(pkt)+turn.MaxTailroom)], headroom, len(pkt)); !ok {
			return // the allocation was lost a moment ago
		}
	}
	c.send(route.Base, route.Remote, 0, pkt)
}

// send commits a packet that was written into the outbox's room.
func (c *composite) send(base ice.BaseID, remote netip.AddrPort, ecn uint8, pkt []byte) {
	c.counters.packetsSent++
	c.counters.bytesSent += uint64(len(pkt))
	c.out.commit(base, remote, ecn, pkt)
}
