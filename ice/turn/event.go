package turn

import (
	"net/netip"
	"time"
)

// Event is one of the Event… structs of this package. Events own what they refer to.
type Event interface{ turnEvent() }

// EventDial asks for a connection to Server by the client's transport: [Client.HandleDialResult]. Only TCP, TLS and DTLS
// have it. An earlier connection is of no use any more and is to be closed.
type EventDial struct {
	Gen    uint64
	Server netip.AddrPort
	// Domain is the name that the certificate is to be checked for, if a server sent us on to another that has its own
	// (ALTERNATE-DOMAIN, RFC 8489 §14.16); empty: the name that the server was configured with.
	Domain string
}

// EventAllocated: the server relays for us.
type EventAllocated struct {
	// Relayed are one or two relayed addresses, IPv4 first.
	Relayed []netip.AddrPort
	// Mapped is our address as the server sees it: over UDP a server-reflexive candidate of the base.
	Mapped   netip.AddrPort
	Lifetime time.Duration
	// Again says that there was an allocation before, which the server has lost. The relayed address is another one as a
	// rule. Permissions and channels have been asked for again.
	Again bool
}

// EventLost: the server does not know the allocation any more, or the connection to it broke. A new one is being asked
// for; EventAllocated or EventFailed follows.
type EventLost struct{ Err error }

// EventFailed: there is no allocation and none is being asked for. Allocate may be called again, but rarely with another
// result. Err is an *[Error] if the server answered, ErrTimeout if it did not, or what the driver reported.
type EventFailed struct{ Err error }

// EventPeerReady: the server relays to and from the peer. Peer.Port is zero for a permission.
type EventPeerReady struct{ Peer netip.AddrPort }

// EventPeerFailed: the server refuses to relay to the peer, and it was forgotten.
type EventPeerFailed struct {
	Peer netip.AddrPort
	Err  error
}

// EventClosed: Close has been answered, or waited for long enough. Nothing follows.
type EventClosed struct{}

func (EventDial) turnEvent()       {}
func (EventAllocated) turnEvent()  {}
func (EventLost) turnEvent()       {}
func (EventFailed) turnEvent()     {}
func (EventPeerReady) turnEvent()  {}
func (EventPeerFailed) turnEvent() {}
func (EventClosed) turnEvent()     {}

// queue is a ring of packets whose buffers are used again.
type queue struct {
	ring    [][]byte
	head, n int
}

// push copies a packet; false: the queue is full.
func (q *queue) push(pkt []byte) bool {
	if q.n == len(q.ring) {
		if q.n >= maxOut {
			return false
		}
		grown := make([][]byte, max(4, 2*q.n))
		for i := range q.n {
			grown[i] = q.ring[(q.head+i)%len(q.ring)]
		}
		q.ring, q.head = grown, 0
	}
	e := &q.ring[(q.head+q.n)%len(q.ring)]
	*e = append((*e)[:0], pkt...)
	q.n++
	return true
}

// pop appends the oldest packet to dst[:0].
func (q *queue) pop(dst []byte) ([]byte, bool) {
	if q.n == 0 {
		return nil, false
	}
	pkt := append(dst[:0], q.ring[q.head]...)
	q.head, q.n = (q.head+1)%len(q.ring), q.n-1
	return pkt, true
}
