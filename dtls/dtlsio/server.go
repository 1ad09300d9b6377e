package dtlsio

import (
	"net/netip"
	"sync"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/internal/netio"
)

// ServerConfig is the configuration of a Server. Config must be set; every other zero value works.
type ServerConfig struct {
	// Config makes the configuration of a connection to a new client, whose role and cookies are set by the server. It is
	// called for each one, by the reader of a socket, so that certificates may change; with an error there is no connection.
	Config func() (dtls.Config, error)
	// Ended is called when a client that was connected is not any more, or begins again, with the address that it has sent
	// to; nil: nobody wants to know. It is called without locks, from any goroutine.
	Ended func(local netip.Addr, remote netip.AddrPort)

	// MaxSessions is how many clients there may be; zero: 10,000. MaxPerAddress is how many of one address, of IPv6 a /64;
	// zero: 256.
	MaxSessions, MaxPerAddress int
	// MaxHandshakes is how many clients may be about to connect; any one of them is given up for the next that comes.
	// Zero: 2,000.
	MaxHandshakes int
	// HandshakeTimeout is how long a handshake may take, and IdleTimeout how long a client may be silent. Zero: 10 s and
	// 15 min, which is more than a TURN allocation lasts without a word.
	HandshakeTimeout, IdleTimeout time.Duration
}

// Server keeps the sessions of the clients of some sockets. A client is known by its address. Safe for concurrent use.
type Server struct {
	cfg ServerConfig // Immutable.

	// Guarded by mu, which is never held while a session's lock is taken.
	mu       sync.Mutex
	young    map[netip.AddrPort]*session // about to connect
	known    map[netip.AddrPort]*session
	sources  map[netip.Addr]int // of known
	rejected uint64
	closed   bool
}

// NewServer makes a server without sockets.
func NewServer(cfg ServerConfig) *Server {
	for _, n := range []struct {
		field *int
		zero  int
	}{{&cfg.MaxSessions, 10_000}, {&cfg.MaxPerAddress, 256}, {&cfg.MaxHandshakes, 2000}} {
		if *n.field == 0 {
			*n.field = n.zero
		}
	}
	if cfg.HandshakeTimeout == 0 {
		cfg.HandshakeTimeout = 10 * time.Second
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = 15 * time.Minute
	}
	return &Server{
		cfg: cfg, young: make(map[netip.AddrPort]*session), known: make(map[netip.AddrPort]*session),
		sources: make(map[netip.Addr]int),
	}
}

// Sessions tells how many clients are connected, and how many were turned away because of the limits.
func (s *Server) Sessions() (connected int, rejected uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known), s.rejected
}

// Close says goodbye to all clients. The sockets are to be closed after it. Idempotent.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	var all []*session
	for _, table := range []map[netip.AddrPort]*session{s.young, s.known} {
		for _, one := range table {
			all = append(all, one)
		}
	}
	s.mu.Unlock()
	for _, one := range all {
		one.close()
	}
}

// Wrap returns the socket under as one of the server's, with the same reading and writing rules. Closing it closes under.
func (s *Server) Wrap(under netio.PacketConn) netio.PacketConn {
	return &serverConn{server: s, writer: writer{under: under}}
}

// session finds the session for a datagram, or makes one for a ClientHello; nil: there is none.
func (s *Server) session(now time.Time, under netio.PacketConn, remote netip.AddrPort, pkt []byte) *session {
	var extra *session
	defer func() {
		if extra != nil {
			extra.abandon()
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.find(remote); one != nil {
		return one
	}
	if s.closed || !isClientHello(pkt) {
		return nil
	}
	var conn *dtls.Conn
	if !s.full(remote) {
		conn = s.connection()
	}
	if conn == nil {
		s.rejected++
		return nil
	}
	if len(s.young) >= s.cfg.MaxHandshakes {
		extra = s.giveUpOne()
	}
	one := &session{
		remote: remote, under: under, renew: s.connection, conn: conn, heard: now, idle: s.cfg.HandshakeTimeout,
	}
	one.began = func(again bool) { s.began(one, again) }
	one.ended = func(error) { s.ended(one) }
	s.young[remote] = one
	return one
}

// full tells whether the limits let in nobody more from an address.
func (s *Server) full(remote netip.AddrPort) bool {
	return len(s.known) >= s.cfg.MaxSessions || s.sources[source(remote)] >= s.cfg.MaxPerAddress
}

func (s *Server) find(remote netip.AddrPort) *session {
	if one := s.known[remote]; one != nil {
		return one
	}
	return s.young[remote]
}

// connection makes the engine's side of a new client; nil: there is no usable configuration.
func (s *Server) connection() *dtls.Conn {
	cfg, err := s.cfg.Config()
	if err != nil {
		return nil
	}
	cfg.Role, cfg.Cookies = dtls.RoleServer, true
	conn, err := dtls.New(cfg)
	if err != nil {
		return nil
	}
	return conn
}

// giveUpOne makes room among those who are about to connect: whoever sends hellos in the name of others finds no cookie,
// and fills the table for a moment at most. A map gives any one first.
func (s *Server) giveUpOne() *session {
	for remote, one := range s.young {
		delete(s.young, remote)
		s.rejected++
		return one
	}
	return nil
}

// isClientHello tells whether a datagram begins with a fragment of one: a handshake record of epoch 0.
func isClientHello(pkt []byte) bool {
	return len(pkt) > 13 && pkt[0] == 22 && pkt[3] == 0 && pkt[4] == 0 && pkt[13] == 1
}

// source is what clients are counted by.
func source(remote netip.AddrPort) netip.Addr {
	a := remote.Addr()
	if !a.Is6() {
		return a
	}
	return netip.PrefixFrom(a.WithZone(""), 64).Masked().Addr()
}

// began moves a session that has connected. One that has begun again has nothing of what was before.
func (s *Server) began(one *session, again bool) {
	if again {
		s.tell(one)
		return
	}
	s.mu.Lock()
	young := s.young[one.remote] == one
	full := young && s.full(one.remote) // others were faster
	switch {
	case full:
		delete(s.young, one.remote)
		s.rejected++
	case young:
		delete(s.young, one.remote)
		s.known[one.remote] = one
		s.sources[source(one.remote)]++
	}
	s.mu.Unlock()
	if full {
		one.close()
		return
	}
	one.mu.Lock()
	one.idle = s.cfg.IdleTimeout
	one.arm(time.Now())
	one.mu.Unlock()
}

// ended forgets a session.
func (s *Server) ended(one *session) {
	s.mu.Lock()
	if s.young[one.remote] == one {
		delete(s.young, one.remote)
	}
	was := s.known[one.remote] == one
	if was {
		delete(s.known, one.remote)
		if n := s.sources[source(one.remote)] - 1; n > 0 {
			s.sources[source(one.remote)] = n
		} else {
			delete(s.sources, source(one.remote))
		}
	}
	s.mu.Unlock()
	if was {
		s.tell(one)
	}
}

// tell says that a connection of a client is gone.
func (s *Server) tell(one *session) {
	if s.cfg.Ended != nil {
		one.mu.Lock()
		local := one.local
		one.mu.Unlock()
		s.cfg.Ended(local, one.remote)
	}
}

// serverConn is a socket with the server's sessions.
type serverConn struct {
	server *Server
	writer writer
	in     netio.Batch // the reader's
	msgs   []netio.Message
}

// ReadBatch implements netio.PacketConn.
func (c *serverConn) ReadBatch(b *netio.Batch) error {
	b.Release()
	for {
		if err := c.writer.under.ReadBatch(&c.in); err != nil {
			return err
		}
		now := time.Now()
		c.msgs = c.msgs[:0]
		for i := range c.in.Messages {
			m := &c.in.Messages[i]
			for k := range m.Count() {
				pkt := m.At(k)
				if one := c.server.session(now, c.writer.under, m.Remote, pkt); one != nil {
					c.msgs = one.received(now, m, pkt, c.msgs)
				}
			}
		}
		if len(c.msgs) > 0 {
			b.Fill(c.msgs, &c.in)
			return nil
		}
		c.in.Release()
	}
}

// WriteBatch implements netio.PacketConn.
func (c *serverConn) WriteBatch(msgs []netio.Message) (int, error) {
	return c.writer.write(msgs, func(remote netip.AddrPort) *session {
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		return c.server.known[remote]
	})
}

// LocalAddr implements netio.PacketConn.
func (c *serverConn) LocalAddr() netip.AddrPort { return c.writer.under.LocalAddr() }

// Close implements netio.PacketConn.
func (c *serverConn) Close() error { return c.writer.under.Close() }
