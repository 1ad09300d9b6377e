package turn

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/pion/stun/v3"
)

// MaxHeadroom is the most room that Wrap needs in front of a packet: the header of a Send indication to an IPv6 peer.
// MaxTailroom is the most that it needs behind.
const (
	MaxHeadroom = headerSize + 4 + 20 + 4
	MaxTailroom = 3
)

// Overhead tells how much room Wrap needs in front of and behind a packet for the peer: 4 and 0 bytes once it has a channel
// and the transport is a datagram's, up to MaxHeadroom and MaxTailroom otherwise.
func (c *Client) Overhead(peer netip.AddrPort) (front, back int) {
	if p := c.peers[peer]; p != nil && p.channel != 0 && p.ready {
		if c.cfg.Transport.Stream() {
			return channelHeader, MaxTailroom
		}
		return channelHeader, 0
	}
	return indicationSize(peer.Addr().Is4()), MaxTailroom
}

// Wrap puts the relay's header in front of the packet buf[head:head+n] and padding behind it, within buf, and returns the
// part of buf that goes to Server. False: there is no allocation, no permission was asked for, or buf has not the room
// that Overhead tells. The peer is an address as [Data] has it: neither IPv4-mapped nor with a zone.
func (c *Client) Wrap(buf []byte, head, n int, peer netip.AddrPort) ([]byte, bool) {
	if c.state != StateAllocated || n < 0 || n > 0xffff || head+n > len(buf) {
		return nil, false
	}
	p := c.peers[peer]
	if p != nil && p.channel != 0 && p.ready {
		return c.wrapChannel(buf, head, n, p)
	}
	if p == nil && c.peers[netip.AddrPortFrom(peer.Addr(), 0)] == nil && !c.permitted(peer.Addr()) {
		return nil, false
	}
	return c.wrapIndication(buf, head, n, peer)
}

// Append is Wrap for who has no room around the packet: it appends the header, a copy of the packet and padding to dst.
// False: as Wrap; dst is returned as it was.
func (c *Client) Append(dst, packet []byte, peer netip.AddrPort) ([]byte, bool) {
	front, back := c.Overhead(peer)
	begin := len(dst)
	grown := slices.Grow(dst, front+len(packet)+back)[:begin+front+len(packet)+back]
	copy(grown[begin+front:], packet)
	pkt, ok := c.Wrap(grown[begin:], front, len(packet), peer)
	if !ok {
		return dst, false
	}
	return grown[:begin+len(pkt)], true
}

func (c *Client) wrapChannel(buf []byte, head, n int, p *peer) ([]byte, bool) {
	end := head + n
	if c.cfg.Transport.Stream() {
		end += -n & 3
	}
	if head < channelHeader || end > len(buf) {
		return nil, false
	}
	at := head - channelHeader
	binary.BigEndian.PutUint16(buf[at:], p.channel)
	binary.BigEndian.PutUint16(buf[at+2:], uint16(n))
	clear(buf[head+n : end])
	c.sent(n)
	return buf[at:end:end], true
}

// wrapIndication writes a Send indication (RFC 8656 §11.1): XOR-PEER-ADDRESS, and DATA last.
func (c *Client) wrapIndication(buf []byte, head, n int, peer netip.AddrPort) ([]byte, bool) {
	size := indicationSize(peer.Addr().Is4())
	at, end := head-size, head+n+(-n&3)
	if at < 0 || end > len(buf) || end-at-headerSize > 0xffff {
		return nil, false
	}
	writeIndication(buf[at:head], stun.MethodSend, n, peer, c.indicationID())
	clear(buf[head+n : end])
	c.sent(n)
	return buf[at:end:end], true
}

// writeIndication fills b, which has indicationSize bytes, with what is in front of n bytes of data.
func writeIndication(b []byte, method stun.Method, n int, peer netip.AddrPort, id [stun.TransactionIDSize]byte) {
	binary.BigEndian.PutUint16(b, stun.NewType(method, stun.ClassIndication).Value())
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-headerSize+(n+3)&^3))
	binary.BigEndian.PutUint32(b[4:], magicCookie)
	copy(b[8:], id[:])
	size := putAddress(b[headerSize+4:], peer, id)
	binary.BigEndian.PutUint16(b[headerSize:], uint16(stun.AttrXORPeerAddress))
	binary.BigEndian.PutUint16(b[headerSize+2:], uint16(size))
	at := headerSize + 4 + size
	binary.BigEndian.PutUint16(b[at:], uint16(stun.AttrData))
	binary.BigEndian.PutUint16(b[at+2:], uint16(n))
}

// indicationID makes a transaction id that nobody will ever answer: unique is enough.
func (c *Client) indicationID() (id [stun.TransactionIDSize]byte) {
	c.idSeed++
	binary.BigEndian.PutUint64(id[:8], mix(c.idSeed))
	binary.BigEndian.PutUint32(id[8:], uint32(c.idSeed))
	return id
}

// mix scrambles a counter (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (c *Client) sent(n int) {
	c.traffic, c.spokeAt = true, c.now
	c.counters.PacketsSent++
	c.counters.BytesSent += uint64(n)
}

// channelPacket unwraps ChannelData.
func (c *Client) channelPacket(pkt []byte) (Data, bool, error) {
	number, data := channelData(pkt)
	if data == nil {
		return Data{}, false, c.drop("ChannelData longer than the packet")
	}
	i := int(number) - firstChannel
	if c.state != StateAllocated || i >= len(c.channels) || c.channels[i] == nil {
		return Data{}, false, c.drop("unbound channel")
	}
	return c.received(c.channels[i].addr, data), true, nil
}

// indication unwraps a Data indication (RFC 8656 §11.4).
func (c *Client) indication(t stun.MessageType, pkt []byte) (Data, bool, error) {
	if t.Method != stun.MethodData || c.state != StateAllocated {
		return Data{}, false, c.drop("unexpected indication")
	}
	a := &c.scratch
	*a = attributes{}
	if !a.parse(pkt) || a.malformed || a.unknowns > 0 || !a.peer.IsValid() || !a.hasData {
		return Data{}, false, c.drop("malformed Data indication")
	}
	from := normalize(a.peer)
	if !c.permitted(from.Addr()) { // RFC 8656 §11.4: from an address that we have no permission for
		return Data{}, false, c.drop("data from an address without permission")
	}
	return c.received(from, a.data), true, nil
}

// permitted tells whether a permission for the address was asked for, by itself or with a channel.
func (c *Client) permitted(addr netip.Addr) bool {
	if c.peers[netip.AddrPortFrom(addr, 0)] != nil {
		return true
	}
	for _, p := range c.order {
		if p.addr.Addr() == addr {
			return true
		}
	}
	return false
}

func (c *Client) received(from netip.AddrPort, data []byte) Data {
	c.heardAt = c.now
	c.counters.PacketsReceived++
	c.counters.BytesReceived += uint64(len(data))
	return Data{Peer: from, Payload: data}
}
