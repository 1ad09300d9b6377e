package turnserver

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/openparley/webrtc/ice/turn"
)

// stream is one TCP or TLS connection of a client.
type stream struct {
	tuple    turn.FiveTuple
	conn     net.Conn
	stranger bool // no allocation; guarded by Server.mu

	mu      sync.Mutex // guards what follows
	pending []byte
	spare   []byte
	limit   int
	closed  bool
	wake    chan struct{} // has room for one
}

// writeTimeout ends a connection whose other side reads nothing.
const writeTimeout = 30 * time.Second

// acceptPause is how long a listener rests that cannot accept.
const acceptPause = 10 * time.Millisecond

// acceptStreams serves a TCP or TLS listener.
func (s *Server) acceptStreams(l *listener) {
	for {
		conn, err := l.accept.Accept()
		if err != nil {
			// Most errors pass, as when descriptors run out.
			select {
			case <-s.quit:
				return
			case <-time.After(acceptPause):
				continue
			}
		}
		st := &stream{
			tuple: turn.FiveTuple{Listener: l.id, Remote: addrPort(conn.RemoteAddr())},
			conn:  conn, limit: s.cfg.StreamBuffer, wake: make(chan struct{}, 1),
		}
		if !s.welcome(st) {
			s.rejected.Add(1)
			_ = conn.Close()
		}
	}
}

// welcome takes a connection in, if the limits let it.
func (s *Server) welcome(st *stream) bool {
	addr := st.source()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !addr.IsValid() || s.streams[st.tuple] != nil || len(s.streams) >= s.cfg.MaxStreams ||
		s.unknown >= s.cfg.MaxStrangers || s.strangers[addr] >= s.cfg.MaxStrangersPerAddress {
		return false
	}
	s.streams[st.tuple] = st
	s.estrangeLocked(st)
	s.work.Go(func() { s.readStream(st) })
	s.work.Go(st.write)
	return true
}

// source is what connections are counted by: an IPv4 address, or the /64 that a subscriber has.
func (st *stream) source() netip.Addr {
	a := st.tuple.Remote.Addr()
	if !a.Is6() {
		return a
	}
	return netip.PrefixFrom(a.WithZone(""), 64).Masked().Addr()
}

// estrangeLocked notes that a connection has no allocation, and gives it a while to get one.
func (s *Server) estrangeLocked(st *stream) {
	if st.stranger {
		return
	}
	st.stranger = true
	s.unknown++
	s.strangers[st.source()]++
	_ = st.conn.SetReadDeadline(time.Now().Add(s.cfg.StrangerTimeout))
}

// acquaintLocked notes that a connection has one.
func (s *Server) acquaintLocked(st *stream) {
	if !st.stranger {
		return
	}
	st.stranger = false
	s.unknown--
	forget(s.strangers, st.source())
	_ = st.conn.SetReadDeadline(time.Time{})
}

func forget(counts map[netip.Addr]int, a netip.Addr) {
	if counts[a]--; counts[a] <= 0 {
		delete(counts, a)
	}
}

// readStream serves one connection until it ends, and with it the allocation (RFC 8656 §6).
func (s *Server) readStream(st *stream) {
	var f turn.Framer
	for {
		n, err := st.conn.Read(f.Space())
		f.Put(n)
		if !s.handleStream(st, &f) || err != nil {
			break
		}
	}
	st.close()
	s.control(func(now time.Time) {
		s.engine.HandleDisconnect(now, st.tuple)
		s.acquaintLocked(st)
		delete(s.streams, st.tuple)
	})
}

// strangerFrame is the longest message that is taken from a connection without an allocation.
const strangerFrame = 2048

// handleStream handles the whole messages that have come. False: the stream is broken.
func (s *Server) handleStream(st *stream, f *turn.Framer) bool {
	out := batches.Get().(*batch)
	defer batches.Put(out)
	now := time.Now()
	good := true
	s.mu.RLock()
	for {
		f.NoChannels = st.stranger
		pkt, err := f.Next()
		if err != nil {
			good = false
		}
		if pkt == nil {
			break
		}
		s.fromClient(now, st.tuple, pkt, out)
	}
	if st.stranger && f.Buffered() > strangerFrame {
		good = false
	}
	s.mu.RUnlock()
	s.flush(out)
	return good
}

// send queues whole messages; false: there is no room, and they are dropped.
func (st *stream) send(data []byte) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed || len(st.pending)+len(data) > st.limit {
		return false
	}
	st.pending = append(st.pending, data...)
	select {
	case st.wake <- struct{}{}:
	default:
	}
	return true
}

// write is the connection's writer: what has gathered while it was writing leaves in one call.
func (st *stream) write() {
	for range st.wake {
		st.mu.Lock()
		data := st.pending
		st.pending = st.spare[:0]
		st.mu.Unlock()
		_ = st.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := st.conn.Write(data); err != nil {
			st.close()
		}
		st.mu.Lock()
		st.spare = data[:0]
		st.mu.Unlock()
	}
}

// close ends the connection, its writer and, by way of its reader, its place in the tables. It does not wait: a TLS
// connection would try to say goodbye for seconds to somebody who may not listen.
func (st *stream) close() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return
	}
	st.closed = true
	close(st.wake)
	conn := st.conn
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}
