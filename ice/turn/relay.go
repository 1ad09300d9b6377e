package turn

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"
)

// Forward says where a client's data goes.
type Forward struct {
	Relay   RelayID        // the socket that it leaves from
	Peer    netip.AddrPort // where to
	Payload []byte         // a part of the packet
	// Loop is not zero if the peer is a relay of this server: the payload is given to Deliver for that relay, with From
	// as the peer, and does not leave the machine.
	Loop RelayID
	From netip.AddrPort
}

// Forward handles a client's data, which comes as ChannelData or Send indication. False: it is neither, or it is dropped,
// for want of an allocation, a permission, a channel or a share of MaxBitrate. It may run beside other Forwards and Delivers.
func (s *Server) Forward(now time.Time, from FiveTuple, pkt []byte) (Forward, bool) {
	switch {
	case IsChannelData(pkt):
		a := s.find(now, from)
		if a == nil {
			return Forward{}, false
		}
		a.fromClient.Add(1)
		number, data := channelData(pkt)
		ch := a.channels[number]
		if data == nil || ch == nil || !ch.expiresAt.After(now) {
			return Forward{}, false
		}
		return s.toPeer(now, a, ch.peer, ch.permission, data)
	case IsMessage(pkt) && messageType(pkt) == sendIndication:
		a := s.find(now, from)
		if a == nil {
			return Forward{}, false
		}
		a.fromClient.Add(1)
		var m attributes
		if !m.parse(pkt) || m.malformed || m.unknowns > 0 || !m.hasData {
			return Forward{}, false
		}
		return s.toPeer(now, a, m.peer, a.permissions[m.peer.Addr()], m.data)
	}
	return Forward{}, false
}

var sendIndication = stun.NewType(stun.MethodSend, stun.ClassIndication)

func (s *Server) toPeer(now time.Time, a *allocation, peer netip.AddrPort, p *permission, data []byte) (Forward, bool) {
	if p == nil || !p.expiresAt.After(now) || peer.Port() == 0 {
		return Forward{}, false
	}
	out := a.relays[familyIndex(peer.Addr())]
	if out == nil {
		return Forward{}, false
	}
	f := Forward{Relay: out.id, Peer: peer, Payload: data}
	if p.own {
		if r := s.byAddr[peer]; r != nil {
			f.Loop, f.From = r.id, out.public
		}
	}
	if f.Loop == 0 && !p.network || !s.within(now, a, &a.peerShare, len(data)) {
		return Forward{}, false
	}
	a.toPeer.Add(1)
	a.bytesToPeer.Add(uint64(len(data)))
	return f, true
}

// Delivery says how a peer's data goes to a client.
type Delivery struct {
	Client  FiveTuple
	channel uint16 // zero: in a Data indication
	stream  bool
	peer    netip.AddrPort
	id      uint64
}

// Deliver handles what a peer has sent to a relay: n bytes. False: it is dropped, for want of a permission or of MaxBitrate. It may run
// beside other Delivers and Forwards.
func (s *Server) Deliver(now time.Time, id RelayID, peer netip.AddrPort, n int) (Delivery, bool) {
	r := s.relays[id]
	if r == nil || !r.owner.active || !r.owner.expiresAt.After(now) || n > 0xffff-indicationSize(false) {
		return Delivery{}, false
	}
	a := r.owner
	a.fromPeer.Add(1)
	d := Delivery{Client: a.client, stream: a.stream, peer: peer}
	var p *permission
	if ch := a.byPeer[peer]; ch != nil && ch.expiresAt.After(now) {
		p, d.channel = ch.permission, ch.number
	} else {
		p, d.id = a.permissions[peer.Addr()], s.lastID.Add(1)
	}
	if p == nil || !p.expiresAt.After(now) || !s.within(now, a, &a.clientShare, n) {
		return Delivery{}, false
	}
	a.toClient.Add(1)
	a.bytesToClient.Add(uint64(n))
	return d, true
}

// Overhead is how many bytes Append adds to n bytes of data, in front of them and behind.
func (d Delivery) Overhead(n int) (front, back int) {
	switch {
	case d.channel == 0:
		return indicationSize(d.peer.Addr().Is4()), -n & 3
	case d.stream:
		return channelHeader, -n & 3
	}
	return channelHeader, 0
}

// Append frames the data for the client, behind dst.
func (d Delivery) Append(dst, data []byte) []byte {
	if d.channel != 0 {
		return appendChannelData(dst, d.channel, data, d.stream)
	}
	var head [MaxHeadroom]byte
	size := indicationSize(d.peer.Addr().Is4())
	var id [stun.TransactionIDSize]byte
	binary.BigEndian.PutUint64(id[:8], mix(d.id))
	binary.BigEndian.PutUint32(id[8:], uint32(d.id))
	writeIndication(head[:size], stun.MethodData, len(data), d.peer, id)
	dst = append(append(dst, head[:size]...), data...)
	return append(dst, padding[:-len(data)&3]...)
}
