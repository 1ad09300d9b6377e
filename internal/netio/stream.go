package netio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	streamRead  = 16 << 10           // bytes of the first read buffer
	streamLimit = 2*MaxDatagram + 64 // bytes that a packet may need
	streamQueue = 256 << 10          // bytes that wait for the writer
	lastWords   = 100 * time.Millisecond
)

// stream is a PacketConn over a connection. Its writer is a goroutine: a
// connection may keep a write waiting.
type stream struct {
	// Immutable.
	c             net.Conn
	framing       Framing
	local, remote netip.AddrPort
	wake, done    chan struct{} // there is something to write; the writer has ended

	// The reader's.
	buf        []byte
	start, end int
	msgs       []Message

	// Guarded by mu.
	mu      sync.Mutex
	pending []byte
	closed  bool
}

// NewStream makes a PacketConn of a connection, whose packets all go to and come
// from its other end. Close sends what waits, for a moment.
func NewStream(c net.Conn, f Framing) PacketConn { return ResumeStream(c, f, nil) }

// ResumeStream is NewStream for a connection that somebody has begun to read. The
// stream keeps what was read.
func ResumeStream(c net.Conn, f Framing, read []byte) PacketConn {
	s := &stream{
		buf: read, end: len(read),
		c: c, framing: f, local: addrPort(c.LocalAddr()), remote: addrPort(c.RemoteAddr()),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go s.write()
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
			return closedError("read", err)
		}
	}
}

// fill reads more of the stream behind what is left of a packet.
func (s *stream) fill() error {
	s.end = copy(s.buf, s.buf[s.start:s.end])
	s.start = 0
	if s.end == len(s.buf) {
		if s.end >= streamLimit {
			return errors.New("a packet without end")
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
		for k := range m.Count() {
			packet := m.At(k)
			if s.framing.AppendHeader != nil {
				s.pending = s.framing.AppendHeader(s.pending, len(packet))
			}
			s.pending = append(s.pending, packet...)
		}
		n++
	}
	if n > 0 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return n, nil
}

// write is the writer. It ends with the connection.
func (s *stream) write() {
	defer close(s.done)
	defer s.c.Close()
	var spare []byte
	for range s.wake {
		for {
			s.mu.Lock()
			out := s.pending
			s.pending, spare = spare[:0], nil
			closed := s.closed
			s.mu.Unlock()
			if len(out) > 0 {
				if _, err := s.c.Write(out); err != nil {
					s.mu.Lock()
					s.closed = true
					s.mu.Unlock()
					return
				}
				if cap(out) <= streamRead {
					spare = out
				}
				continue
			}
			if closed {
				return
			}
			break
		}
	}
}

// Close implements PacketConn.
func (s *stream) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		_ = s.c.SetWriteDeadline(time.Now().Add(lastWords))
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	<-s.done
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

// StreamAddrs returns the two ends of a connection: local and remote.
func StreamAddrs(c net.Conn) (local, remote netip.AddrPort) {
	return addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
}
