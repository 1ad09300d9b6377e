package netsim

import (
	"errors"
	"net/netip"

	"github.com/openparley/webrtc/internal/netio"
)

const (
	// receiveBuffer is how many bytes wait for the reader of a socket before
	// datagrams are lost.
	receiveBuffer = 4 << 20
	// maxBatch is how many messages one ReadBatch returns, as few as a small
	// recvmmsg would.
	maxBatch = 8
)

// socket is a netio.PacketConn on a host.
type socket struct {
	// Immutable.
	live  *Live
	host  *Host
	bound netip.AddrPort
	both  bool          // bound to all addresses of both families
	ready chan struct{} // holds a token when the queue may have something
	done  chan struct{} // closed with the socket

	// Guarded by live.mu.
	closed bool
	shared bool // others may have the same port
	queue  []arrival
	queued int // bytes
}

// arrival is a datagram that waits for the reader.
type arrival struct {
	from netip.AddrPort
	to   netip.Addr
	data []byte
	ecn  uint8
}

// takesAll says whether the socket is bound to all addresses of a's family.
func (s *socket) takesAll(a netip.Addr) bool {
	if !s.bound.Addr().IsUnspecified() {
		return false
	}
	return s.both || s.bound.Addr().Is4() == a.Is4()
}

// arrive queues a delivery. live.mu is held.
func (s *socket) arrive(d Delivery) {
	if s.queued+len(d.Data) > receiveBuffer {
		return
	}
	s.queued += len(d.Data)
	s.queue = append(s.queue, arrival{
		from: d.From, to: d.To.Addr(), ecn: d.ECN, data: append([]byte(nil), d.Data...),
	})
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// ReadBatch implements netio.PacketConn. Datagrams of one flow that have arrived
// with one size become segments of one message, as GRO makes them; the last may
// be shorter.
func (s *socket) ReadBatch(b *netio.Batch) error {
	b.Release()
	for {
		s.live.mu.Lock()
		if s.closed {
			s.live.mu.Unlock()
			return netio.ErrClosed
		}
		msgs := s.take()
		s.live.mu.Unlock()
		if len(msgs) > 0 {
			b.Fill(msgs, poisonLease(msgs))
			return nil
		}
		select {
		case <-s.ready:
		case <-s.done:
		}
	}
}

// take removes up to maxBatch messages from the queue. live.mu is held.
func (s *socket) take() []netio.Message {
	var msgs []netio.Message
	for len(s.queue) > 0 && len(msgs) < maxBatch {
		n := s.run()
		first := s.queue[0]
		m := netio.Message{Local: first.to, Remote: first.from, ECN: first.ecn, Data: first.data}
		for _, a := range s.queue[1:n] {
			m.Segment = len(first.data)
			m.Data = append(m.Data, a.data...)
		}
		s.queued -= len(m.Data)
		clear(s.queue[:n])
		s.queue = s.queue[n:]
		msgs = append(msgs, m)
	}
	return msgs
}

// run is how many datagrams at the head of the queue make one message.
func (s *socket) run() int {
	first := s.queue[0]
	size, n := len(first.data), 1
	if len(first.data) == 0 {
		return 1
	}
	for n < len(s.queue) && n < netio.MaxSegments {
		a := s.queue[n]
		if a.from != first.from || a.to != first.to || a.ecn != first.ecn ||
			len(a.data) == 0 || len(a.data) > len(first.data) || size+len(a.data) > netio.MaxDatagram {
			break
		}
		size += len(a.data)
		n++
		if len(a.data) < len(first.data) {
			break // only the last may be shorter
		}
	}
	return n
}

// poisonLease overwrites what was read when the batch is released, so that a
// reader which kept a slice finds out in its tests.
type poisonLease []netio.Message

// Release implements netio.Lease.
func (p poisonLease) Release() {
	for i := range p {
		poison(p[i].Data)
	}
}

// WriteBatch implements netio.PacketConn.
func (s *socket) WriteBatch(msgs []netio.Message) (int, error) {
	l := s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.closed {
		return 0, netio.ErrClosed
	}
	defer l.arm()
	var tooLarge error
	for i := range msgs {
		m := &msgs[i]
		for k, count := 0, m.Count(); k < count; k++ {
			err := s.send(m, m.At(k))
			if isFull(err) {
				if k > 0 {
					m.Data = m.Data[k*m.Segment:]
				}
				return i, tooLarge
			}
			var size *netio.SizeError
			if errors.As(err, &size) {
				if tooLarge == nil {
					size.Index = i
					tooLarge = size
				}
				break // the rest of a burst is as large
			}
		}
	}
	return len(msgs), tooLarge
}

// send puts one datagram into the network. live.mu is held.
func (s *socket) send(m *netio.Message, data []byte) error {
	if !m.Remote.IsValid() || (!s.both && s.bound.Addr().Is4() != m.Remote.Addr().Is4()) {
		return ErrUnreachable
	}
	from := s.bound
	if from.Addr().IsUnspecified() {
		from = netip.AddrPortFrom(m.Local, from.Port())
	}
	return s.host.Send(s.live.now(), from, m.Remote, data, m.ECN)
}

// LocalAddr implements netio.PacketConn.
func (s *socket) LocalAddr() netip.AddrPort { return s.bound }

// Close implements netio.PacketConn.
func (s *socket) Close() error {
	l := s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	s.closeLocked()
	list := l.sockets[s.host]
	for i, o := range list {
		if o == s {
			l.sockets[s.host] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	return nil
}

// closeLocked ends the waits. live.mu is held.
func (s *socket) closeLocked() {
	if s.closed {
		return
	}
	s.closed = true
	s.queue = nil
	close(s.done)
}
