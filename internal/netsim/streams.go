package netsim

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

// streamDelay is how long what is written to a connection is on its way.
const streamDelay = 10 * time.Millisecond

// StreamHost is Host with TCP between hosts. Connections do not share the links of
// datagrams: nothing is lost in them, and what blocks UDP leaves them alone.
func (l *Live) StreamHost(h *Host) netio.Network { return streamHost{liveHost{l, h}} }

type streamHost struct{ liveHost }

// StallStreams lets all connections that there are die without a word: nothing gets
// through any more, and writers wait. New ones work.
func (l *Live) StallStreams() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled != nil {
		close(l.stalled)
		l.stalled = nil
	}
}

// ListenTCP implements netio.StreamNetwork.
func (h streamHost) ListenTCP(local netip.AddrPort) (net.Listener, error) {
	l := h.live
	l.mu.Lock()
	defer l.mu.Unlock()
	addr := local.Addr().Unmap()
	if addr.IsValid() && !addr.IsUnspecified() && !h.host.owns(addr) {
		return nil, fmt.Errorf("netsim: listen: %w", syscall.EADDRNOTAVAIL)
	}
	if local.Port() == 0 {
		local = netip.AddrPortFrom(addr, l.ephemeral(h.host))
	}
	for _, o := range l.listeners {
		if o.host == h.host && o.local.Port() == local.Port() && (o.local.Addr() == addr || o.takesAll() || addr.IsUnspecified()) {
			return nil, fmt.Errorf("netsim: listen: %w", syscall.EADDRINUSE)
		}
	}
	s := &streamListener{live: l, host: h.host, local: local, accepted: make(chan net.Conn, 128), done: make(chan struct{})}
	l.listeners = append(l.listeners, s)
	return s, nil
}

// DialTCPFrom implements netio.StreamNetwork: it takes a round trip.
func (h streamHost) DialTCPFrom(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	select {
	case <-time.After(2 * streamDelay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l := h.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if !h.host.owns(local) {
		return nil, fmt.Errorf("netsim: dial: %w", syscall.EADDRNOTAVAIL)
	}
	from := netip.AddrPortFrom(local, l.ephemeral(h.host))
	for _, s := range l.listeners {
		if s.local.Port() != remote.Port() || !s.host.owns(remote.Addr()) || !s.takesAll() && s.local.Addr() != remote.Addr() {
			continue
		}
		if l.stalled == nil {
			l.stalled = make(chan struct{})
		}
		near, far := connectStreams(from, remote, l.stalled)
		select {
		case s.accepted <- far:
			return near, nil
		default:
			return nil, fmt.Errorf("netsim: dial: %w", syscall.ECONNREFUSED)
		}
	}
	return nil, fmt.Errorf("netsim: dial: %w", syscall.ECONNREFUSED)
}

// streamListener is a net.Listener.
type streamListener struct {
	live     *Live
	host     *Host
	local    netip.AddrPort
	accepted chan net.Conn
	done     chan struct{}
}

func (s *streamListener) takesAll() bool {
	return !s.local.Addr().IsValid() || s.local.Addr().IsUnspecified()
}

// Accept implements net.Listener.
func (s *streamListener) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (s *streamListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(s.local) }

// Close implements net.Listener. What nobody has accepted is closed.
func (s *streamListener) Close() error {
	l := s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, o := range l.listeners {
		if o == s {
			l.listeners = append(l.listeners[:i:i], l.listeners[i+1:]...)
			close(s.done)
		}
	}
	for {
		select {
		case c := <-s.accepted:
			_ = c.Close()
		default:
			return nil
		}
	}
}

// streamEnd is an end of a connection. Under it are two pipes and what delays the
// bytes between them.
type streamEnd struct {
	net.Conn
	local, remote netip.AddrPort
	once          sync.Once
	closed        chan struct{}
}

// Close implements net.Conn.
func (e *streamEnd) Close() error {
	e.once.Do(func() { close(e.closed) })
	return e.Conn.Close()
}

// LocalAddr implements net.Conn.
func (e *streamEnd) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(e.local) }

// RemoteAddr implements net.Conn.
func (e *streamEnd) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(e.remote) }

func connectStreams(from, to netip.AddrPort, stalled <-chan struct{}) (near, far net.Conn) {
	one, a := net.Pipe()
	other, b := net.Pipe()
	n := &streamEnd{Conn: one, local: from, remote: to, closed: make(chan struct{})}
	f := &streamEnd{Conn: other, local: to, remote: from, closed: make(chan struct{})}
	carry(a, b, stalled, n.closed)
	carry(b, a, stalled, f.closed)
	return n, f
}

// streamWindow is how many writes may be on their way.
const streamWindow = 64

type flight struct {
	at   time.Time
	data []byte
}

// carry moves bytes from one pipe to the other, each after the delay, until one of
// them is closed. In a stalled connection only who has closed it learns of the end.
func carry(from, to net.Conn, stalled, closed <-chan struct{}) {
	flights := make(chan flight, streamWindow)
	go func() {
		defer close(flights)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			select {
			case <-stalled:
				<-closed
				_ = from.Close()
				return
			default:
			}
			if n > 0 {
				flights <- flight{time.Now().Add(streamDelay), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		var err error
		for f := range flights {
			if wait := time.Until(f.at); wait > 0 { // Go's race detector mixes up timers that have expired already
				<-time.After(wait)
			}
			if err == nil {
				_, err = to.Write(f.data)
			}
			if err != nil {
				_ = from.Close()
			}
		}
		select {
		case <-stalled: // nobody tells the other end
		case <-time.After(streamDelay):
			_ = to.Close()
		}
	}()
}
