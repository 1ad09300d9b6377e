package webrtc

import (
	"net/netip"
	"slices"

	"github.com/openparley/webrtc/ice"
)

// Bounds of what waits for something else to happen first.
const (
	// maxEarlyPackets wait for the verification of their source: a flight of ClientHello with a post-quantum key is two
	// datagrams, and a forger must not make us keep more than a little.
	maxEarlyPackets = 8
	// maxEarlyRTP packets wait for the SRTP keys: the opening key frame is worth keeping.
	maxEarlyRTP      = 256
	maxEarlyRTPBytes = 256 << 10
)

// An earlyQueue keeps application packets whose source no integrity-checked STUN message has come from yet, or that came
// before the DTLS role was known. The zero value is empty.
type earlyQueue struct {
	packets []earlyPacket
}

type earlyPacket struct {
	base   ice.BaseID
	remote netip.AddrPort
	data   []byte
}

func (q *earlyQueue) empty() bool { return len(q.packets) == 0 }
func (q *earlyQueue) len() int    { return len(q.packets) }

// push copies a packet; false when the queue is full or the packet is none that may be waited for.
func (q *earlyQueue) push(base ice.BaseID, remote netip.AddrPort, pkt []byte) bool {
	if len(q.packets) >= maxEarlyPackets || len(pkt) > maxPacketSize || pkt[0] < 20 || pkt[0] > 191 {
		return false
	}
	q.packets = append(q.packets, earlyPacket{base, remote, slices.Clone(pkt)})
	return true
}

// replay gives each packet to take, in order, and keeps those that it refuses.
func (q *earlyQueue) replay(take func(base ice.BaseID, remote netip.AddrPort, pkt []byte) bool) {
	waiting := q.packets
	q.packets = nil
	for _, p := range waiting {
		if !take(p.base, p.remote, p.data) {
			q.packets = append(q.packets, p)
		}
	}
}

// An earlyRTPQueue keeps packets that came before the keys. The zero value is empty.
type earlyRTPQueue struct {
	packets [][]byte
	bytes   int
}

func (q *earlyRTPQueue) push(pkt []byte) bool {
	if len(q.packets) >= maxEarlyRTP || q.bytes+len(pkt) > maxEarlyRTPBytes {
		return false
	}
	q.packets = append(q.packets, slices.Clone(pkt))
	q.bytes += len(pkt)
	return true
}

// take empties the queue.
func (q *earlyRTPQueue) take() [][]byte {
	packets := q.packets
	*q = earlyRTPQueue{}
	return packets
}
