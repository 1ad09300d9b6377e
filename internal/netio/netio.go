// Package netio is the network as the transports see it: UDP sockets that read
// and write batches of datagrams, interface addresses and name resolution.
//
// The unit of work is the Message: one datagram, or a burst of datagrams of one
// flow laid out as equal segments of one buffer. On Linux a burst is one entry
// of one system call in both directions (UDP_SEGMENT, UDP_GRO, sendmmsg,
// recvmmsg); elsewhere it is a loop over single datagrams behind the same
// interface.
//
// System is the real network; internal/netsim implements Network in virtual
// time.
package netio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Limits of one Message that WriteBatch takes without splitting it.
const (
	// MaxSegments is how many segments one burst may have: UDP_MAX_SEGMENTS of
	// the first kernels with segmentation offload.
	MaxSegments = 64
	// MaxDatagram is the largest UDP payload over IPv4 (65535 less the IP and
	// UDP headers), and the largest burst in bytes.
	MaxDatagram = 65507
)

// ECN codepoints of Message.ECN (RFC 3168 §5).
const (
	NotECT uint8 = 0 // the transport does not understand ECN
	ECT1   uint8 = 1
	ECT0   uint8 = 2
	CE     uint8 = 3 // congestion experienced
)

// ErrClosed is what every call on a closed connection returns. It unwraps to
// net.ErrClosed.
var ErrClosed = fmt.Errorf("netio: %w", net.ErrClosed)

// ErrTooLarge is what a SizeError unwraps to.
var ErrTooLarge = errors.New("message too large for the path")

// SizeError reports that a message of a WriteBatch was larger than the path's
// MTU allows and was dropped; the messages around it were treated as usual. The
// path MTU should be lowered (RFC 8899 §4.3).
type SizeError struct {
	// Index is the first such message of the slice given to WriteBatch.
	Index int
	// Size is the length of its datagrams: the segment size of a burst.
	Size int
	// Remote is where it was going.
	Remote netip.AddrPort
}

// Error does not tell the address: it may end up in a log.
func (e *SizeError) Error() string {
	return fmt.Sprintf("netio: datagram of %d bytes: %v", e.Size, ErrTooLarge)
}

// Unwrap returns ErrTooLarge.
func (e *SizeError) Unwrap() error { return ErrTooLarge }

// Message is one datagram, or a burst of datagrams of one flow.
type Message struct {
	// Data is the payload. In a batch that was read it belongs to the batch; in
	// WriteBatch it belongs to the caller again when the call returns.
	Data []byte
	// Segment is the length of each datagram in Data, the last of which may be
	// shorter. Zero: Data is a single datagram.
	Segment int
	// Local is the address that the datagram came to, or should leave from. The
	// zero Addr: not known, or of the system's choice. It has no effect on a
	// socket that is bound to one address.
	Local netip.Addr
	// Remote is the peer, never an IPv4-mapped IPv6 address.
	Remote netip.AddrPort
	// ECN is the codepoint of the IP header, one of NotECT, ECT0, ECT1, CE.
	ECN uint8
}

// Count says how many datagrams the message holds: at least 1.
func (m *Message) Count() int {
	if m.Segment <= 0 || len(m.Data) <= m.Segment {
		return 1
	}
	return (len(m.Data) + m.Segment - 1) / m.Segment
}

// At returns the i-th datagram, 0 <= i < Count. It is part of Data, and its
// capacity ends where it ends.
func (m *Message) At(i int) []byte {
	if m.Segment <= 0 || len(m.Data) <= m.Segment {
		return m.Data
	}
	lo := i * m.Segment
	hi := min(lo+m.Segment, len(m.Data))
	return m.Data[lo:hi:hi]
}

// Lease is what holds the memory of a batch; see Batch.Fill.
type Lease interface {
	// Release takes the memory back. It is called once a Fill.
	Release()
}

// Batch is what one ReadBatch returned. The zero value is empty and ready. A
// batch is used by one goroutine at a time.
type Batch struct {
	// Messages are valid until the next ReadBatch or Release.
	Messages []Message

	lease Lease
}

// Fill gives the batch new content, which l holds; l may be nil. The content
// before it is released. For implementations of PacketConn.
func (b *Batch) Fill(msgs []Message, l Lease) {
	b.Release()
	b.Messages, b.lease = msgs, l
}

// Release gives the buffers of the batch back. Calling it again does nothing.
func (b *Batch) Release() {
	l := b.lease
	b.Messages, b.lease = nil, nil
	if l != nil {
		l.Release()
	}
}

// PacketConn is a UDP socket.
type PacketConn interface {
	// ReadBatch releases what b holds, waits until datagrams are there, and puts
	// at least one into b. Buffers are taken only then: a reader that waits holds
	// none. Errors: ErrClosed after Close, which also ends a wait; anything else
	// means that the socket is of no use any more. One goroutine at a time.
	ReadBatch(b *Batch) error

	// WriteBatch sends what the socket takes at once, in order, and never waits.
	// It returns how many messages were taken; fewer than len(msgs) means that
	// the socket is full, and the rest is the caller's to keep or to drop. When
	// it fills in the middle of a burst, Data of that message is cut to what was
	// not taken. A message that cannot be sent (no route, refused, a socket
	// error that concerns it alone) counts as taken and is dropped, as a network
	// may; one that is too large does so too and is reported by a *SizeError
	// beside the count. ErrClosed after Close. Safe for concurrent use.
	WriteBatch(msgs []Message) (n int, err error)

	// LocalAddr is the address that the socket is bound to.
	LocalAddr() netip.AddrPort

	// Close closes the socket and ends a waiting ReadBatch. Closing again does
	// nothing.
	Close() error
}

// Network is where sockets, interfaces and names come from. Its methods are safe
// for concurrent use and may wait for the system.
type Network interface {
	// Interfaces lists the network interfaces with their addresses. The list is
	// shared: it must not be changed.
	Interfaces() ([]Interface, error)
	// ListenUDP opens a socket. The zero Addr means all addresses of both
	// families, an unspecified one all of its family; port 0 means a port of the
	// system's choice.
	ListenUDP(local netip.AddrPort) (PacketConn, error)
	// Resolve returns the addresses of a host name, never IPv4-mapped ones.
	Resolve(ctx context.Context, host string) ([]netip.Addr, error)
}

// Interface is one network interface.
type Interface struct {
	Name string
	// Index is the system's number for it, 0 if not known.
	Index int
	// MTU in bytes of IP packet, 0 if not known.
	MTU int
	// Addrs are its addresses with their prefix lengths; link-local IPv6
	// addresses come without a zone: it is Name.
	Addrs []netip.Prefix

	Up           bool
	Loopback     bool
	PointToPoint bool
	Multicast    bool
}
