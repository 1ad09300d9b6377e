package webrtc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

// maxMuxReaders bounds the goroutines that serve one port.
const maxMuxReaders = 64

// A UDPMux is one UDP port for any number of connections: set it in Settings.UDPMux. A connection on a mux has no socket and
// no reader of its own; with a SharedLoop it has no goroutine at all.
//
// Checks find their connection by the user name that they carry, answers by the transaction that they answer, and everything
// else by the address that it comes from. An address is a connection's only after an integrity-checked message of its peer
// has come from there, and it is taken from a connection only for one whose peer has answered from there: nobody who forges
// a sender gets the packets of others. One remote address therefore serves one connection at a time; two muxes cannot have
// more than one connection between them. A peer whose address changes goes on (RFC 8445, section 7.3.1.3), whichever reader
// its packets come to.
//
// A socket that fails is opened again, at the same port, until that succeeds; Restart does the same to sockets that work.
// Meanwhile packets are lost, and nothing else: connections last while they are answered once in 30 s (RFC 7675), and one
// that has failed comes back by an ICE restart.
//
// Allocations on TURN servers by UDP need a socket of their own: connections on a mux ask servers by TCP and TLS only.
// Safe for concurrent use.
type UDPMux struct {
	// Immutable.
	local   netip.AddrPort // as the system says
	at      netip.AddrPort // as the user has said, with the port
	network muxNetwork
	logger  *slog.Logger
	ports   []*muxPort
	readers sync.WaitGroup
	closing chan struct{} // closed under mu

	// remotes is read for every packet, and changed under mu.
	remotes addrTable[muxHolder]

	// The other tables, guarded by mu, which is taken under transport.mu and never the other way round.
	mu           sync.RWMutex
	ufrags       ufragTable[*muxed]
	transactions map[transactionID]*muxed
	connections  int // with at least one base
	next         int // which of ports the next base sends by
}

// muxPort is one of the sockets that share the port, and what came in by it.
type muxPort struct {
	conn     atomic.Pointer[netio.PacketConn] // replaced when it fails, and by Restart
	received atomic.Uint64
	unknown  atomic.Uint64
	turn     chan struct{} // taken by whoever replaces conn
	_        [64]byte      // the counters of two readers do not share a cache line
}

// muxNetwork is where the sockets come from.
type muxNetwork struct {
	// listen opens sockets that share a port, at most n.
	listen func(local netip.AddrPort, n int) ([]netio.PacketConn, error)
	// join opens another one beside them. It fails where a port has one socket.
	join func(local netip.AddrPort) (netio.PacketConn, error)
}

// UDPMuxConfig configures a UDPMux. The zero value listens at a port of the system's choice of all addresses.
type UDPMuxConfig struct {
	// Local is where the mux listens. The zero address stands for all, an unspecified one for all of its family, port zero for
	// one of the system's choice. The port must be free: a second program is refused it.
	Local netip.AddrPort
	// Readers is how many sockets share the port on Linux (SO_REUSEPORT), each with a goroutine that reads it; at most 64.
	// Zero: as many as there are processors, at most 8. Other systems have one.
	Readers int
	// Logger is told of sockets that fail. Nil: nobody is.
	Logger *slog.Logger
}

// defaultMuxReaders is the most that a mux takes by itself.
const defaultMuxReaders = 8

// NewUDPMux opens the port. Close the mux after its connections. Errors: RangeError, OperationError.
func NewUDPMux(config UDPMuxConfig) (*UDPMux, error) {
	return newUDPMux(config, muxNetwork{netio.ListenUDPGroup, netio.JoinUDPGroup})
}

func newUDPMux(config UDPMuxConfig, network muxNetwork) (*UDPMux, error) {
	if config.Readers < 0 || config.Readers > maxMuxReaders {
		return nil, &RangeError{Err: fmt.Errorf("%d readers of a port", config.Readers)}
	}
	readers := orDefault(config.Readers, min(runtime.GOMAXPROCS(0), defaultMuxReaders))
	conns, err := network.listen(config.Local, readers)
	if err != nil {
		return nil, &OperationError{Err: err}
	}
	x := &UDPMux{
		local: conns[0].LocalAddr(), at: netip.AddrPortFrom(config.Local.Addr(), conns[0].LocalAddr().Port()),
		network: network, logger: config.Logger, closing: make(chan struct{}),
		ufrags: make(ufragTable[*muxed]), transactions: make(map[transactionID]*muxed),
	}
	if x.logger == nil {
		x.logger = slog.New(slog.DiscardHandler)
	}
	x.remotes.init()
	for _, conn := range conns {
		p := &muxPort{turn: make(chan struct{}, 1)}
		p.conn.Store(&conn)
		x.ports = append(x.ports, p)
		x.readers.Go(func() { x.read(p) })
	}
	return x, nil
}

// LocalAddr is the address that the mux listens at.
func (x *UDPMux) LocalAddr() netip.AddrPort { return x.local }

// UDPMuxStats is what a mux has to do.
type UDPMuxStats struct {
	// Connections have a base on the mux now.
	Connections int
	// RemoteAddresses are those that packets are taken from without a check.
	RemoteAddresses int
	// PacketsReceived counts all datagrams, PacketsUnknown those of them that were nobody's and were dropped.
	PacketsReceived, PacketsUnknown uint64
}

// Stats returns a snapshot.
func (x *UDPMux) Stats() UDPMuxStats {
	x.mu.RLock()
	s := UDPMuxStats{Connections: x.connections, RemoteAddresses: x.remotes.count}
	x.mu.RUnlock()
	for _, p := range x.ports {
		s.PacketsReceived += p.received.Load()
		s.PacketsUnknown += p.unknown.Load()
	}
	return s
}

// Restart replaces the sockets by new ones at the same address and port, one after the other: for sockets that the system
// has made useless without saying so, as some do to programs in the background. Connections stay. On Linux a new socket is
// there before the old one goes, and only what waits in the old one is lost. Elsewhere the port is given up for a moment; if
// somebody else has taken it then, the mux goes on trying. Errors: OperationError; after Close it unwraps to net.ErrClosed.
func (x *UDPMux) Restart() error {
	for _, p := range x.ports {
		if err := x.replace(p, p.conn.Load()); err != nil {
			return &OperationError{Err: err}
		}
	}
	return nil
}

// replace puts a new socket in the place of old, unless somebody else has done so.
func (x *UDPMux) replace(p *muxPort, old *netio.PacketConn) error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.conn.Load() != old {
		return nil
	}
	fresh, err := x.network.join(x.at)
	if errors.Is(err, errors.ErrUnsupported) {
		_ = (*old).Close()
		fresh, err = x.open()
	}
	if err != nil {
		return err
	}
	p.conn.Store(&fresh)
	_ = (*old).Close()
	if x.isClosing() { // Close may have missed it
		_ = fresh.Close()
		return netio.ErrClosed
	}
	return nil
}

// open takes the port when no socket of ours has it.
func (x *UDPMux) open() (netio.PacketConn, error) {
	conns, err := x.network.listen(x.at, 1)
	if err != nil {
		return nil, err
	}
	return conns[0], nil
}

// How long a reader waits before it opens a socket again that has failed twice; the wait doubles.
const (
	reopenFirst = 10 * time.Millisecond
	reopenLast  = time.Second
)

// reopen returns the socket that stands in the place of one that is of no use any more; nil: the mux was closed. It waits
// for a while first, and sets the next wait.
func (x *UDPMux) reopen(p *muxPort, old *netio.PacketConn, wait *time.Duration) *netio.PacketConn {
	for p.conn.Load() == old {
		if !x.pause(*wait) {
			_ = (*old).Close()
			return nil
		}
		*wait = min(max(2**wait, reopenFirst), reopenLast)
		if err := x.replace(p, old); err != nil {
			x.logger.Warn("the port is not open", "error", err)
		}
	}
	return p.conn.Load()
}

// pause waits; false: the mux was closed.
func (x *UDPMux) pause(d time.Duration) bool {
	if d == 0 {
		return !x.isClosing()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-x.closing:
		return false
	case <-timer.C:
		return true
	}
}

func (x *UDPMux) isClosing() bool {
	select {
	case <-x.closing:
		return true
	default:
		return false
	}
}

// Close closes the port, and returns when its goroutines have ended. Connections on the mux lose it, and fail when they have
// not been answered for 30 s: they are to be closed first. It must not be called in a callback of a connection.
func (x *UDPMux) Close() error {
	x.mu.Lock()
	if !x.isClosing() {
		close(x.closing)
	}
	x.mu.Unlock()
	for _, p := range x.ports {
		_ = (*p.conn.Load()).Close()
	}
	x.readers.Wait()
	return nil
}
