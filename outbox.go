package webrtc

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

const (
	burstSize = 64 << 10
	// keptMessages is how many messages an idle outbox keeps room for.
	keptMessages = 64
	// outboxLimit is how many bytes may wait for a socket that is full. Congestion control keeps far below it; what
	// arrives beyond it is dropped and counted.
	outboxLimit = 1 << 20
	// outboxReserve is what consent checks and RTCP have beyond the limit: media that is too much for the socket must not
	// cost the connection its path.
	outboxReserve = 64 << 10
)

// bursts is the free list of outgoing buffers. An idle connection holds none.
var bursts = burstPool{keep: 64}

type burstPool struct {
	mu   sync.Mutex // A leaf: nothing is locked under it.
	free []*[burstSize]byte
	keep int
}

func (p *burstPool) get() *[burstSize]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.free)
	if n == 0 {
		return new([burstSize]byte)
	}
	b := p.free[n-1]
	p.free = p.free[:n-1]
	return b
}

func (p *burstPool) put(b *[burstSize]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < p.keep {
		p.free = append(p.free, b)
	}
}

// An outbox gathers outgoing packets between two flushes. Packets of equal size to one destination that follow one
// another are laid out as segments of one burst, which leaves in one system call: the kernel's cost per datagram is what
// dominates.
type outbox struct {
	buffers []*[burstSize]byte
	used    int // of the last buffer
	bytes   int // of all messages
	msgs    []netio.Message
	bases   []ice.BaseID       // where each of msgs leaves from
	homes   []*[burstSize]byte // the buffer that each of msgs lies in, in the order of buffers
	dropped uint64
}

// room returns an empty slice with room for n bytes where the next packet is to be written. The packet that is committed
// must begin where the slice does.
func (o *outbox) room(n int) []byte {
	if len(o.buffers) == 0 || o.used+n+turn.MaxTailroom > burstSize {
		o.buffers = append(o.buffers, bursts.get())
		o.used = 0
	}
	b := o.buffers[len(o.buffers)-1]
	return b[o.used : o.used+n]
}

// full says that the socket does not keep up and no more should be made.
func (o *outbox) full() bool { return o.bytes >= outboxLimit }

// commit takes over a packet that was written into room.
func (o *outbox) commit(base ice.BaseID, remote netip.AddrPort, ecn uint8, pkt []byte) {
	if len(pkt) == 0 {
		return
	}
	b := o.buffers[len(o.buffers)-1]
	if &pkt[0] != &b[o.used] {
		// The packet does not begin where the room did (an engine kept some of the headroom): move it there.
		pkt = b[o.used : o.used+copy(b[o.used:], pkt)]
	}
	if o.bytes >= outboxLimit+outboxReserve {
		o.dropped++
		return
	}
	start := o.used
	o.used += len(pkt)
	o.bytes += len(pkt)
	if n := len(o.msgs); n > 0 && o.bases[n-1] == base && extend(&o.msgs[n-1], b[:], start, remote, ecn, len(pkt)) {
		return
	}
	o.msgs = append(o.msgs, netio.Message{Data: b[start:o.used:o.used], Remote: remote, ECN: ecn})
	o.bases = append(o.bases, base)
	o.homes = append(o.homes, b)
}

// extend makes the packet at start the next segment of m, if it may be one: the same way, right behind, and not longer
// than the segments before; a shorter one is the last.
func extend(m *netio.Message, b []byte, start int, remote netip.AddrPort, ecn uint8, n int) bool {
	if m.Remote != remote || m.ECN != ecn || start == 0 {
		return false
	}
	size := len(m.Data)
	if start < size || &b[start-size] != &m.Data[0] {
		return false // in another buffer, or not adjacent
	}
	segment := m.Segment
	if segment == 0 {
		segment = size
	}
	if n > segment || size%segment != 0 || size/segment >= netio.MaxSegments || size+n > netio.MaxDatagram {
		return false
	}
	m.Segment = segment
	m.Data = b[start-size : start+n : start+n]
	return true
}

// taken removes the first n messages, which the socket took, and frees the buffers that nothing lies in any more: a socket
// that never quite keeps up must not make us keep what it has sent.
func (o *outbox) taken(n int) {
	rest := copy(o.msgs, o.msgs[n:])
	copy(o.bases, o.bases[n:])
	copy(o.homes, o.homes[n:])
	o.shrink(rest)
}

// move puts a message in the place of an earlier one.
func (o *outbox) move(to, from int) {
	o.msgs[to], o.bases[to], o.homes[to] = o.msgs[from], o.bases[from], o.homes[from]
}

// shrink removes all but the first messages, which are in their old order.
func (o *outbox) shrink(rest int) {
	clear(o.msgs[rest:])
	clear(o.homes[rest:])
	o.msgs, o.bases, o.homes = o.msgs[:rest], o.bases[:rest], o.homes[:rest]
	o.bytes = 0 // counted anew: the first one that is left may have been taken in part
	for i := range o.msgs {
		o.bytes += len(o.msgs[i].Data)
	}
	free := len(o.buffers)
	if rest > 0 {
		free = max(slices.Index(o.buffers, o.homes[0]), 0)
	}
	for _, b := range o.buffers[:free] {
		bursts.put(b)
	}
	o.buffers = slices.Delete(o.buffers, 0, free)
	if rest == 0 {
		if cap(o.msgs) > keptMessages {
			o.msgs, o.bases, o.homes = nil, nil, nil
		}
		o.used = 0
	}
}
