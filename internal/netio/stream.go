package netio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Framing is how packets lie in a stream.
type Framing struct {
	// Next finds the packet at the beginning of b: b[start:end] is its content, and size how many bytes it takes of the
	// stream; 0: more are needed to tell, or to have all of it. An error: the stream is of no use any more.
	Next func(b []byte) (start, end, size int, err error)
	// AppendHeader appends what goes in front of a packet of n bytes; nil: nothing does.
	AppendHeader func(dst []byte, n int) []byte
}

// RFC4571 frames packets by their length in two bytes, as ICE over TCP has them (RFC 6544 §3).
var RFC4571 = Framing{
	Next: func(b []byte) (start, end, size int, err error) {
		if len(b) < 2 {
			return 0, 0, 0, nil
		}
		n := 2 + int(b[0])<<8 + int(b[1])
		if n > len(b) {
			return 0, 0, 0, nil
		}
		return 2, n, n, nil
	},
	AppendHeader: func(dst []byte, n int) []byte { return append(dst, byte(n>>8), byte(n)) },
}

// Limits of a stream.
const (
	streamRead   = 16 << 10            // bytes of the first read buffer, if it is the stream's own
	streamLimit  = 2*MaxDatagram + 64  // bytes that a packet may need
	streamBuffer = MaxDatagram + 2<<10 // bytes of a buffer that streams share, which any packet of ours fits in
	streamQueue  = 256 << 10           // bytes that wait for the writer
	lastWords    = 100 * time.Millisecond
)

// streamBuffers are shared by the streams that are the system's: one that has
// nothing to read or to write holds none.
var streamBuffers = newFreeList(max(8, 4*runtime.GOMAXPROCS(0)), func() *[streamBuffer]byte { return new([streamBuffer]byte) })

// stream is a PacketConn over a connection. What the connection does not take at
// once is left to a goroutine, which lasts until there is nothing more to write.
type stream struct {
	// Immutable.
	c             net.Conn
	system        *systemStream // nil: not one of the system's TCP connections
	framing       Framing
	local, remote netip.AddrPort

	// The reader's.
	buf        []byte
	shared     *[streamBuffer]byte // what buf is, if it is not the stream's own
	start, end int
	msgs       []Message

	// Guarded by mu.
	mu      sync.Mutex
	pending []byte
	room    *[streamBuffer]byte // where pending begins, if it is not the stream's own
	writing chan struct{}       // closed when the writer has ended; nil: there is none
	closed  bool
}

// NewStream makes a PacketConn of a connection, whose packets all go to and come
// from its other end. Close sends what waits, for a moment.
func NewStream(c net.Conn, f Framing) PacketConn { return ResumeStream(c, f, nil) }

// ResumeStream is NewStream for a connection that somebody has begun to read. The
// stream keeps what was read.
func ResumeStream(c net.Conn, f Framing, read []byte) PacketConn {
	s := &stream{
		c: c, framing: f, buf: read, end: len(read),
		local: addrPort(c.LocalAddr()), remote: addrPort(c.RemoteAddr()),
	}
	s.system = newSystemStream(c, s)
	return s
}

// addrPort is the zero AddrPort for what is no address of IP.
func addrPort(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// StreamAddrs returns the two ends of a connection: local and remote.
func StreamAddrs(c net.Conn) (local, remote netip.AddrPort) {
	return addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
}

// LocalAddr implements PacketConn.
func (s *stream) LocalAddr() netip.AddrPort { return s.local }

// ReadBatch implements PacketConn.
func (s *stream) ReadBatch(b *Batch) error {
	b.Release()
	s.msgs = s.msgs[:0]
	for {
		for {
			start, end, size, err := s.framing.Next(s.buf[s.start:s.end])
			if err != nil {
				s.release()
				return fmt.Errorf("netio: stream: %w", err)
			}
			if size == 0 || size > s.end-s.start {
				break
			}
			packet := s.buf[s.start+start : s.start+end : s.start+end]
			s.msgs = append(s.msgs, Message{Data: packet, Local: s.local.Addr(), Remote: s.remote})
			s.start += size
		}
		if len(s.msgs) > 0 {
			b.Fill(s.msgs, nil)
			return nil
		}
		if err := s.fill(); err != nil {
			s.release()
			return closedError("read", err)
		}
	}
}

// fill reads more of the stream behind what is left of a packet.
func (s *stream) fill() error {
	left := copy(s.buf, s.buf[s.start:s.end])
	s.start, s.end = 0, left
	if s.system != nil {
		return s.fillShared()
	}
	if s.end == len(s.buf) {
		if s.end >= streamLimit {
			return errEndless
		}
		grown := make([]byte, max(streamRead, 2*len(s.buf)))
		copy(grown, s.buf)
		s.buf = grown
	}
	n, err := s.c.Read(s.buf[s.end:])
	s.end += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

var errEndless = errors.New("a packet without end")

// fillShared is fill with a buffer that is there while something is in it.
func (s *stream) fillShared() error {
	switch {
	case s.end == 0:
		s.release()
	case s.shared == nil: // the beginning was read by somebody else
		s.borrow()
	case s.end == len(s.buf):
		return errEndless
	}
	n, err := s.system.read()
	s.end += n
	return err
}

// readInto returns where to read to: something may be there.
func (s *stream) readInto() []byte {
	if s.shared == nil {
		s.borrow()
	}
	return s.buf[s.end:]
}

// readNothing says that nothing was there, and a wait begins.
func (s *stream) readNothing() {
	if s.end == 0 {
		s.release()
	}
}

// borrow takes a shared buffer for what is in the stream's own.
func (s *stream) borrow() {
	s.shared = streamBuffers.get()
	copy(s.shared[:], s.buf[:s.end])
	s.buf = s.shared[:]
}

// release gives the read buffer back.
func (s *stream) release() {
	if s.shared != nil {
		streamBuffers.put(s.shared)
		s.shared = nil
	}
	s.buf, s.start, s.end = nil, 0, 0
}

// WriteBatch implements PacketConn.
func (s *stream) WriteBatch(msgs []Message) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	for i := range msgs {
		m := &msgs[i]
		if len(s.pending)+len(m.Data) > streamQueue && len(s.pending) > 0 {
			break
		}
		s.append(m)
		n++
	}
	if n > 0 && s.writing == nil {
		s.writeNow()
	}
	if s.closed {
		return 0, ErrClosed
	}
	return n, nil
}

// append puts the packets of a message into their frames. mu is held.
func (s *stream) append(m *Message) {
	if s.pending == nil && s.system != nil {
		s.room = streamBuffers.get()
		s.pending = s.room[:0]
	}
	for k := range m.Count() {
		packet := m.At(k)
		if s.framing.AppendHeader != nil {
			s.pending = s.framing.AppendHeader(s.pending, len(packet))
		}
		s.pending = append(s.pending, packet...)
	}
}

// writeNow gives the connection what it takes at once, and leaves the rest to a
// goroutine. mu is held.
func (s *stream) writeNow() {
	if s.system != nil {
		n, err := s.system.write(s.pending)
		if err != nil {
			s.fail()
			return
		}
		if n == len(s.pending) {
			s.pending = nil
			s.vacate(s.room)
			s.room = nil
			return
		}
		s.pending = s.pending[:copy(s.pending, s.pending[n:])]
	}
	s.writing = make(chan struct{})
	go s.write()
}

// vacate gives a buffer of what was written back.
func (s *stream) vacate(room *[streamBuffer]byte) {
	if room != nil {
		streamBuffers.put(room)
	}
}

// fail ends a connection that takes no more. mu is held.
func (s *stream) fail() {
	s.closed = true
	s.pending = nil
	s.vacate(s.room)
	s.room = nil
	_ = s.c.Close()
}

// write is the writer. It ends when nothing waits any more.
func (s *stream) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(s.writing)
	for len(s.pending) > 0 {
		out, room := s.pending, s.room
		s.pending, s.room = nil, nil
		s.mu.Unlock()
		_, err := s.c.Write(out)
		s.mu.Lock()
		s.vacate(room)
		if err != nil {
			s.fail()
			return
		}
	}
	if s.closed {
		_ = s.c.Close()
	}
	s.writing = nil
}

// Close implements PacketConn.
func (s *stream) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	writing := s.writing
	s.mu.Unlock()
	if writing == nil {
		return s.c.Close()
	}
	if first {
		_ = s.c.SetWriteDeadline(time.Now().Add(lastWords))
	}
	<-writing
	return nil
}

// A StreamDialer is a Network that has connections too.
type StreamDialer interface {
	// DialTCP connects to a TCP port.
	DialTCP(ctx context.Context, remote netip.AddrPort) (net.Conn, error)
}

// DialTCP implements StreamDialer.
func (system) DialTCP(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return nil, fmt.Errorf("netio: dial: %w", err)
	}
	return c, nil
}

// A StreamNetwork is a Network whose hosts connect to each other by TCP.
type StreamNetwork interface {
	// DialTCPFrom connects from a local address, at a port of the system's choice.
	DialTCPFrom(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error)
	// ListenTCP listens at an address. The zero address stands for all, port zero for
	// one of the system's choice.
	ListenTCP(local netip.AddrPort) (net.Listener, error)
}

// DialTCPFrom implements StreamNetwork. ICE asks for signs of life itself: TCP's
// own are off.
func (system) DialTCPFrom(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), KeepAlive: -1}
	c, err := d.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return nil, fmt.Errorf("netio: dial: %w", err)
	}
	return c, nil
}

// ListenTCP implements StreamNetwork.
func (system) ListenTCP(local netip.AddrPort) (net.Listener, error) {
	l := net.ListenConfig{KeepAlive: -1}
	address := local.String()
	if !local.Addr().IsValid() {
		address = fmt.Sprintf(":%d", local.Port())
	}
	listener, err := l.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("netio: listen: %w", err)
	}
	return listener, nil
}
