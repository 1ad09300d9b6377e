package webrtc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

// TCPMuxConfig configures a TCPMux. The zero value listens at a port of the system's choice of all addresses.
type TCPMuxConfig struct {
	// Local is where the mux listens. The zero address stands for all, port zero for one of the system's choice.
	Local netip.AddrPort
	// Listener, if set, is used in its place. The mux closes it.
	Listener net.Listener
	// MaxPending is how many TCP connections may be open that have not shown yet whose they are; the oldest gives way to a new
	// one. Zero: 256.
	MaxPending int
	// FirstMessageTimeout is how long a connection may take to show it; it is closed then, however many bytes it has sent.
	// Zero: 5 s.
	FirstMessageTimeout time.Duration
	// Logger is told of a listener that fails. Nil: nobody is.
	Logger *slog.Logger
}

// A TCPMux is one TCP port for any number of connections (RFC 6544): set it in Settings.TCPMux, and connections have
// passive candidates there, for peers whose network lets no UDP through.
//
// The first packet of each TCP connection must be a connectivity check; its user name tells which PeerConnection it is for,
// and ICE takes it from there: one that does not show the credentials is closed after ten seconds. What is not a check, or
// nobody's, is closed at once and without an answer. Safe for concurrent use.
type TCPMux struct {
	// Immutable.
	listener    net.Listener
	local       netip.AddrPort
	maxPending  int
	firstWithin time.Duration
	goroutines  sync.WaitGroup
	done        chan struct{}

	// Guarded by mu, which is taken under transport.mu and never the other way round.
	mu      sync.RWMutex
	ufrags  ufragTable[*tcpMuxed]
	pending []*newcomer // the oldest first
	stats   TCPMuxStats // but for Pending
	closed  bool
}

// newcomer is a connection that may be anybody's.
type newcomer struct{ net.Conn }

// tcpMuxed is a connection's part of a mux.
type tcpMuxed struct {
	mux *TCPMux
	t   *transport

	// Guarded by mux.mu.
	sockets []*tcpMuxSocket
	ufrags  []string
}

// tcpMuxSocket is a base of a connection.
type tcpMuxSocket struct {
	listening
	m    *tcpMuxed
	base ice.BaseID
}

// Limits of a mux.
const (
	defaultMaxPending   = 256
	defaultFirstMessage = 5 * time.Second
	// maxFirstMessage is the longest check: a user name of two ufrags of 256 characters and all that RFC 8445 knows
	// beside it, and some room for what it does not know.
	maxFirstMessage = 1024
)

// NewTCPMux opens the port. Close the mux after its connections. Errors: RangeError, OperationError.
func NewTCPMux(config TCPMuxConfig) (*TCPMux, error) {
	if config.MaxPending < 0 || config.FirstMessageTimeout < 0 {
		return nil, &RangeError{Err: fmt.Errorf("a limit of a mux is negative")}
	}
	listener := config.Listener
	if listener == nil {
		var err error
		if listener, err = netio.System.(netio.StreamNetwork).ListenTCP(config.Local); err != nil {
			return nil, &OperationError{Err: err}
		}
	}
	x := &TCPMux{
		listener: listener, local: listenAddr(listener), maxPending: orDefault(config.MaxPending, defaultMaxPending),
		firstWithin: orDefault(config.FirstMessageTimeout, defaultFirstMessage),
		ufrags:      make(ufragTable[*tcpMuxed]), done: make(chan struct{}),
	}
	if !x.local.IsValid() {
		return nil, &OperationError{Err: fmt.Errorf("the listener's address %v is not one of TCP", listener.Addr())}
	}
	x.goroutines.Go(func() {
		err := acceptAll(listener, x.done, x.begin)
		if config.Logger != nil && !errors.Is(err, net.ErrClosed) {
			config.Logger.Error("the listener of a mux has failed", "error", err)
		}
	})
	return x, nil
}

// TCPMuxStats is what a mux has to do.
type TCPMuxStats struct {
	// Connections have a base on the mux now.
	Connections int
	// Pending are the TCP connections that have not shown yet whose they are.
	Pending int
	// Accepted counts the TCP connections that were given to a PeerConnection, Refused those that were closed: their first
	// packet was no check, or nobody's, or did not come in time, or they had to give way to others.
	Accepted, Refused uint64
}

// Stats returns a snapshot.
func (x *TCPMux) Stats() TCPMuxStats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := x.stats
	s.Pending = len(x.pending)
	return s
}

// LocalAddr is the address that the mux listens at.
func (x *TCPMux) LocalAddr() netip.AddrPort { return x.local }

// Close closes the port and what has not shown whose it is, and returns when the mux's goroutines have ended. What
// PeerConnections already have stays theirs. It must not be called in a callback of a connection.
func (x *TCPMux) Close() error {
	x.mu.Lock()
	first := !x.closed
	x.closed = true
	pending := x.pending
	x.pending = nil
	x.mu.Unlock()
	if first {
		close(x.done)
		_ = x.listener.Close()
	}
	for _, c := range pending {
		_ = c.Close()
	}
	x.goroutines.Wait()
	return nil
}

// attach makes a base of a connection.
func (x *TCPMux) attach(t *transport, base ice.BaseID, addr netip.Addr, ufrag string) (netio.PacketConn, error) {
	if own := x.local.Addr(); !own.IsUnspecified() && own != addr.WithZone("") || own.IsUnspecified() && own.Is4() && addr.Is6() {
		return nil, fmt.Errorf("the mux does not listen at %v", addr)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, netio.ErrClosed
	}
	if t.tcpMuxed == nil {
		t.tcpMuxed = &tcpMuxed{mux: x, t: t}
	}
	m := t.tcpMuxed
	s := &tcpMuxSocket{m: m, base: base, listening: listening{
		local: netip.AddrPortFrom(addr, x.local.Port()), done: make(chan struct{}),
	}}
	if len(m.sockets) == 0 {
		x.stats.Connections++
	}
	m.sockets = append(m.sockets, s)
	x.ufrags.follow(ufrag, m, &m.ufrags)
	return s, nil
}

// restarted tells the mux of new credentials. A nil tcpMuxed: there is no mux.
func (m *tcpMuxed) restarted(ufrag string) {
	if m == nil {
		return
	}
	m.mux.mu.Lock()
	defer m.mux.mu.Unlock()
	if len(m.sockets) > 0 {
		m.mux.ufrags.follow(ufrag, m, &m.ufrags)
	}
}

// Close implements netio.PacketConn. With its last base the connection leaves the mux.
func (s *tcpMuxSocket) Close() error {
	s.once.Do(func() {
		close(s.done)
		m := s.m
		m.mux.mu.Lock()
		defer m.mux.mu.Unlock()
		m.sockets = slices.DeleteFunc(m.sockets, func(o *tcpMuxSocket) bool { return o == s })
		if len(m.sockets) > 0 {
			return
		}
		m.mux.ufrags.forget(&m.ufrags)
		m.mux.stats.Connections--
	})
	return nil
}

// begin takes a connection that may be anybody's.
func (x *TCPMux) begin(conn net.Conn) {
	c := &newcomer{conn}
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		_ = c.Close()
		return
	}
	var oldest *newcomer
	if len(x.pending) >= x.maxPending {
		oldest = x.pending[0]
		x.pending = slices.Delete(x.pending, 0, 1)
	}
	x.pending = append(x.pending, c)
	x.goroutines.Go(func() { x.route(c) })
	x.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
}

// route finds out whose a connection is, and hands it over.
func (x *TCPMux) route(c *newcomer) {
	_ = c.SetReadDeadline(time.Now().Add(x.firstWithin))
	first, err := readFirst(c)
	x.mu.Lock()
	i := slices.Index(x.pending, c)
	if i >= 0 {
		x.pending = slices.Delete(x.pending, i, i+1)
	}
	var to *transport
	var base ice.BaseID
	if i >= 0 && err == nil { // otherwise it was closed in the meantime
		to, base = x.find(c, first)
	}
	if to == nil {
		x.stats.Refused++
	} else {
		x.stats.Accepted++
	}
	x.mu.Unlock()
	if to == nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	to.accepted(base, c.Conn, first)
}

// readFirst reads the first packet of a connection, with its frame. An error: it is not a connectivity check.
func readFirst(c io.Reader) ([]byte, error) {
	var header [2 + 20]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(header[:]))
	if n < 20 || n > maxFirstMessage || !isBindingRequest(header[2:]) || int(binary.BigEndian.Uint16(header[4:]))+20 != n {
		return nil, errNotACheck
	}
	packet := make([]byte, 2+n)
	copy(packet, header[:])
	_, err := io.ReadFull(c, packet[len(header):])
	return packet, err
}

var errNotACheck = fmt.Errorf("the first packet is no connectivity check")

// find returns the connection that a first packet is for, and the base that it came to; nil: nobody's. mu is held.
func (x *TCPMux) find(c net.Conn, first []byte) (*transport, ice.BaseID) {
	m := x.ufrags[string(stunUfrag(first[2:]))]
	if m == nil {
		return nil, 0
	}
	local, _ := netio.StreamAddrs(c)
	// Behind a 1:1 NAT or a proxy the connection may have come to an address that is none of ours.
	i := slices.IndexFunc(m.sockets, func(s *tcpMuxSocket) bool { return s.local.Addr() == local.Addr() })
	if i < 0 {
		i = slices.IndexFunc(m.sockets, func(s *tcpMuxSocket) bool { return s.local.Addr().Is4() == local.Addr().Is4() })
	}
	if i < 0 {
		return nil, 0
	}
	return m.t, m.sockets[i].base
}
