package turnserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openparley/webrtc/dtls/dtlsio"
	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// Server is a running STUN and TURN server. Safe for concurrent use.
type Server struct {
	// Immutable.
	cfg     Config
	pollers []netio.Poller // of the lanes; none: each socket has a goroutine

	// Guarded by mu. Data packets are handled under the read lock, everything else under the write lock.
	mu        sync.RWMutex
	engine    *turn.Server
	listeners map[turn.ListenerID]*listener
	relays    map[turn.RelayID]*relaySocket
	streams   map[turn.FiveTuple]*stream
	strangers map[netip.Addr]int // streams without an allocation, by source
	unknown   int                // the same in all
	timer     *time.Timer
	closed    bool
	idle      chan struct{} // closed when the last allocation ends; nil: nobody waits

	work sync.WaitGroup // readers and writers
	quit chan struct{}  // closed when Close begins
	done chan struct{}  // closed when it ends

	dropped  atomic.Uint64 // data of clients that the engine did not pass
	unsent   atomic.Uint64 // packets that a socket or stream had no room for
	rejected atomic.Uint64 // connections above the limits
}

// listener is one address that clients send to.
type listener struct {
	id       turn.ListenerID
	conns    []netio.PacketConn // UDP
	accept   net.Listener       // TCP and TLS
	wildcard bool
	polled   bool           // pollers read it
	sessions *dtlsio.Server // of the clients by DTLS, which conns hide
}

// Stats are the engine's counters and those of the sockets.
type Stats struct {
	turn.ServerStats
	Streams         int    // connections that are open
	DataDropped     uint64 // data packets of clients without allocation, permission or channel
	Unsent          uint64 // packets that a socket or connection had no room for
	StreamsRejected uint64 // connections above the limits
	Sessions        int    // clients that are connected by DTLS
	// SessionsRejected are clients by DTLS above the limits, handshakes given up for others among them.
	SessionsRejected uint64
}

// Start opens the sockets and serves. Errors: ErrConfig, turn.ErrConfig, and what the system says.
func Start(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		closeAll(cfg.Streams)
		return nil, err
	}
	engine, err := turn.NewServer(cfg.Server)
	if err != nil {
		closeAll(cfg.Streams)
		return nil, fmt.Errorf("turnserver: %w", err)
	}
	s := &Server{
		cfg: cfg, engine: engine, quit: make(chan struct{}), done: make(chan struct{}),
		listeners: make(map[turn.ListenerID]*listener),
		relays:    make(map[turn.RelayID]*relaySocket),
		streams:   make(map[turn.FiveTuple]*stream),
		strangers: make(map[netip.Addr]int),
	}
	for _, l := range cfg.Streams {
		s.addListener(&listener{accept: l}, turn.TCP, addrPort(l.Addr()))
	}
	s.openPollers()
	for _, addr := range cfg.UDP {
		if err = s.addUDP(addr, turn.UDP); err != nil {
			break
		}
	}
	for _, addr := range cfg.DTLS {
		if err == nil {
			err = s.addUDP(addr, turn.DTLS)
		}
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("turnserver: %w", err)
	}
	s.serve()
	return s, nil
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		_ = l.Close()
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// openPollers makes a poller for each lane, where the network has them.
func (s *Server) openPollers() {
	network, ok := s.cfg.network.(netio.Polling)
	if !ok {
		return
	}
	for range s.cfg.Readers {
		p, err := network.NewPoller(s.cfg.Gather)
		if err != nil {
			return // there are fewer then, or goroutines
		}
		s.pollers = append(s.pollers, p)
	}
}

// addUDP listens at an address for UDP or DTLS.
func (s *Server) addUDP(addr netip.AddrPort, t turn.Transport) (err error) {
	l := &listener{wildcard: !addr.Addr().IsValid() || addr.Addr().IsUnspecified(), polled: t == turn.UDP && len(s.pollers) > 0}
	if l.conns, err = s.listenUDP(addr, l); err != nil {
		return err
	}
	s.addListener(l, t, l.conns[0].LocalAddr())
	if t == turn.DTLS {
		return s.hide(l)
	}
	return nil
}

func (s *Server) listenUDP(addr netip.AddrPort, l *listener) ([]netio.PacketConn, error) {
	switch {
	case l.polled:
		return s.cfg.network.(netio.Polling).ListenUDPGroup(addr, s.pollers, clientTag(s.nextListener()))
	case s.cfg.network == netio.System:
		return netio.ListenUDPGroup(addr, s.cfg.Readers)
	}
	c, err := s.cfg.network.ListenUDP(addr)
	if err != nil {
		return nil, err
	}
	return []netio.PacketConn{c}, nil
}

func (s *Server) nextListener() turn.ListenerID { return turn.ListenerID(len(s.listeners) + 1) }

func (s *Server) addListener(l *listener, t turn.Transport, local netip.AddrPort) {
	l.id = s.nextListener()
	s.listeners[l.id] = l
	s.engine.AddListener(l.id, t, local)
}

// serve starts the goroutines.
func (s *Server) serve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for lane, p := range s.pollers {
		s.work.Go(func() { s.poll(lane, p) })
	}
	for _, l := range s.listeners {
		for lane, conn := range l.conns {
			if !l.polled {
				s.work.Go(func() { s.readClients(l, lane, conn) })
			}
		}
		if l.accept != nil {
			s.work.Go(func() { s.acceptStreams(l) })
		}
	}
}

// Addrs are the addresses listened at, in the order of the configuration; behind those of UDP come those of DTLS.
func (s *Server) Addrs() (udp, streams []netip.AddrPort) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id := range turn.ListenerID(len(s.listeners)) {
		if l := s.listeners[id+1]; l.accept != nil {
			streams = append(streams, addrPort(l.accept.Addr()))
		} else {
			udp = append(udp, l.conns[0].LocalAddr())
		}
	}
	return udp, streams
}

// Stats is a snapshot.
func (s *Server) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	stats := Stats{
		ServerStats: s.engine.Stats(), Streams: len(s.streams),
		DataDropped: s.dropped.Load(), Unsent: s.unsent.Load(), StreamsRejected: s.rejected.Load(),
	}
	for _, l := range s.listeners {
		if l.sessions != nil {
			n, rejected := l.sessions.Sessions()
			stats.Sessions += n
			stats.SessionsRejected += rejected
		}
	}
	return stats
}

// Shutdown takes no new allocations and waits until the last one has ended, or ctx; then it closes. The error is that of
// ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.engine.Drain()
	if s.idle == nil {
		s.idle = make(chan struct{})
		s.checkIdle()
	}
	idle := s.idle
	s.mu.Unlock()
	var err error
	select {
	case <-idle:
	case <-s.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = s.Close()
	return err
}

// checkIdle tells Shutdown when nothing is left.
func (s *Server) checkIdle() {
	if s.idle == nil || s.engine.Stats().Allocations > 0 {
		return
	}
	select {
	case <-s.idle:
	default:
		close(s.idle)
	}
}

// Close ends everything at once and waits for the server's goroutines. Idempotent. The error is always nil.
func (s *Server) Close() error {
	for _, l := range s.listeners { // which do not change
		if l.sessions != nil {
			l.sessions.Close()
		}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	s.closed = true
	close(s.quit)
	s.engine.Close(time.Now())
	if s.timer != nil {
		s.timer.Stop()
	}
	for _, p := range s.pollers {
		_ = p.Close()
	}
	for _, l := range s.listeners {
		for _, c := range l.conns {
			_ = c.Close()
		}
		if l.accept != nil {
			_ = l.accept.Close()
		}
	}
	for _, r := range s.relays {
		_ = r.conn.Close()
	}
	for _, st := range s.streams {
		st.close()
	}
	s.mu.Unlock()
	s.work.Wait()
	close(s.done)
	return nil
}

// control runs f under the write lock, and does afterwards what the engine asks for.
func (s *Server) control(f func(now time.Time)) {
	var replies []outgoing
	var events []turn.ServerEvent
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	f(time.Now())
	for {
		to, data, ok := s.engine.Next(nil)
		if !ok {
			break
		}
		if o, ok := s.route(to, int(to.Remote.Port())); ok {
			o.msg.Data = data
			replies = append(replies, o)
		}
	}
	for {
		e, ok := s.engine.Event()
		if !ok {
			break
		}
		events = append(events, e)
		s.applyLocked(e)
	}
	s.armLocked()
	s.mu.Unlock()
	for _, r := range replies {
		s.write(r)
	}
	for _, e := range events {
		if b, ok := e.(turn.Bind); ok {
			s.bind(b)
		}
	}
}

// armLocked sets the one timer.
func (s *Server) armLocked() {
	d := s.engine.Deadline()
	if d.IsZero() {
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(d), func() { s.control(s.engine.Advance) })
		return
	}
	s.timer.Reset(time.Until(d))
}

// applyLocked does what an event asks for, as far as it does not wait.
func (s *Server) applyLocked(e turn.ServerEvent) {
	switch e := e.(type) {
	case turn.Unbind:
		if r := s.relays[e.Relay]; r != nil {
			delete(s.relays, e.Relay)
			_ = r.conn.Close()
		}
	case turn.AllocationStarted:
		if st := s.streams[e.Client]; st != nil {
			s.acquaintLocked(st)
		}
		s.cfg.Logger.Debug("allocation", slog.Any("client", e.Client.Remote), slog.String("user", e.Username), slog.Any("relayed", e.Relayed))
	case turn.AllocationEnded:
		s.cfg.Logger.Debug("allocation ended", slog.Any("client", e.Client.Remote), slog.String("user", e.Username),
			slog.String("reason", e.Reason), slog.Duration("after", e.Ended.Sub(e.Started)),
			slog.Uint64("to_peers", e.BytesToPeers), slog.Uint64("to_client", e.BytesToClient))
		if st := s.streams[e.Client]; st != nil {
			s.estrangeLocked(st)
		}
		s.checkIdle()
	}
}

// bind opens the socket of a relay.
func (s *Server) bind(b turn.Bind) {
	conn, err := s.listenRelay(b)
	var local netip.AddrPort
	if err == nil {
		local = conn.LocalAddr()
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = conn.Close()
			return
		}
		r := &relaySocket{id: b.Relay, conn: conn}
		s.relays[b.Relay] = r
		if len(s.pollers) == 0 {
			s.work.Go(func() { s.readPeers(r) })
		}
		s.mu.Unlock()
	}
	s.control(func(now time.Time) { s.engine.HandleBindResult(now, b.Relay, local, err) })
}

func (s *Server) listenRelay(b turn.Bind) (netio.PacketConn, error) {
	if n := uint64(len(s.pollers)); n > 0 {
		return s.pollers[uint64(b.Relay)%n].ListenUDP(b.Addr, relayTag(b.Relay))
	}
	return s.cfg.network.ListenUDP(b.Addr)
}
