// Package dtlsio puts UDP sockets under the engine of package dtls, for connections to and from servers: TURN over DTLS.
// What it makes are again sockets, of type netio.PacketConn, whose datagrams are secret on the wire.
//
// [Client] shakes hands with one server over a socket that is the connection's alone. A [Server] keeps the sessions of any
// number of clients that send to its sockets.
package dtlsio

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/internal/netio"
)

// maxRecord is what a sealed datagram needs on top of its plaintext: the longest header, nonce and tag of any version.
const maxRecord = 64

// session is one DTLS connection over a socket. Nothing waits under its lock.
type session struct {
	// Immutable.
	remote netip.AddrPort
	under  netio.PacketConn
	renew  func() *dtls.Conn // a server's: the other side of a client that begins again; nil: it cannot
	// Called without the lock: began when there is a connection, with true when it takes the place of another, and ended,
	// once, when it is of no use any more. began may be nil.
	began func(again bool)
	ended func(error)

	// Guarded by mu.
	mu    sync.Mutex
	local netip.Addr // where the peer sends to
	conn  *dtls.Conn
	told  *dtls.Conn // what began was called for
	next  *dtls.Conn // a server's: the client has begun again, and may be a forger
	state dtls.State
	heard time.Time
	idle  time.Duration // how long the peer may be silent; zero: for ever
	timer *time.Timer
	tx    []byte
	over  bool
}

// received handles a datagram and appends what is in it to msgs. The data is a part of pkt, decrypted in place.
func (s *session) received(now time.Time, m *netio.Message, pkt []byte, msgs []netio.Message) []netio.Message {
	s.mu.Lock()
	s.local = m.Local
	switch {
	case s.renew != nil && s.state == dtls.StateConnected && isClientHello(pkt):
		if s.next == nil {
			s.next = s.renew()
		}
		s.tryNext(now, pkt)
		pkt = nil
	case s.next != nil:
		s.tryNext(now, append([]byte(nil), pkt...)) // which is decrypted in place
	}
	for len(pkt) > 0 && !s.over {
		app, rest, err := s.conn.Open(now, pkt)
		if err == nil {
			s.heard = now
		}
		if len(app) > 0 {
			msgs = append(msgs, netio.Message{Data: app[:len(app):len(app)], Local: m.Local, Remote: m.Remote, ECN: m.ECN})
		}
		pkt = rest
	}
	for app, ok := s.conn.Pending(); ok; app, ok = s.conn.Pending() {
		msgs = append(msgs, netio.Message{Data: app, Local: m.Local, Remote: m.Remote})
	}
	s.settle(now)
	return msgs
}

// tryNext feeds the handshake that would replace the connection, and takes it when the client has proved to be there: one
// that was restarted may get the same port again (RFC 6347 §4.2.8). Until then the connection stays.
func (s *session) tryNext(now time.Time, pkt []byte) {
	if s.next == nil {
		return
	}
	for len(pkt) > 0 {
		_, rest, err := s.next.Open(now, pkt)
		if errors.Is(err, dtls.ErrClosed) {
			s.next = nil
			return
		}
		pkt = rest
	}
	if s.next.ConnectionState().State == dtls.StateConnected {
		s.conn, s.next = s.next, nil
	}
}

// settle sends what the engine has to say, takes its events and sets the timer. It gives up the lock.
func (s *session) settle(now time.Time) {
	if s.over {
		s.mu.Unlock()
		return
	}
	s.say(s.conn)
	if s.next != nil {
		s.say(s.next)
	}
	var err error
	for e, ok := s.conn.Event(); ok; e, ok = s.conn.Event() {
		if e, is := e.(dtls.EventState); is {
			s.state, err = e.State, e.Err
		}
	}
	over := s.state == dtls.StateClosed || s.state == dtls.StateFailed
	began, again := s.state == dtls.StateConnected && s.told != s.conn, s.told != nil
	if began {
		s.told = s.conn
	}
	s.over = over
	s.arm(now)
	s.mu.Unlock()
	switch {
	case began && s.began != nil:
		s.began(again)
	case over && err != nil:
		s.ended(err)
	case over:
		s.ended(dtls.ErrClosed)
	}
}

// say writes the handshake datagrams and alerts of a connection. A full socket drops them, as a network may.
func (s *session) say(conn *dtls.Conn) {
	for {
		pkt, ok := conn.Next(s.tx)
		if !ok {
			return
		}
		s.tx = pkt[:0]
		_, _ = s.under.WriteBatch([]netio.Message{{Data: pkt, Local: s.local, Remote: s.remote}})
	}
}

// arm sets the timer to what is due first.
func (s *session) arm(now time.Time) {
	var d time.Time
	if !s.over {
		d = s.conn.Deadline()
		if s.next != nil {
			d = earlier(d, s.next.Deadline())
		}
		if s.idle > 0 {
			d = earlier(d, s.heard.Add(s.idle))
		}
	}
	switch {
	case d.IsZero():
		if s.timer != nil {
			s.timer.Stop()
		}
	case s.timer == nil:
		s.timer = time.AfterFunc(max(d.Sub(now), 0), s.tick)
	default:
		s.timer.Reset(max(d.Sub(now), 0))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// tick is the timer's.
func (s *session) tick() {
	now := time.Now()
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.conn.Advance(now)
	if s.next != nil {
		s.next.Advance(now)
	}
	if s.idle > 0 && !now.Before(s.heard.Add(s.idle)) {
		if s.state == dtls.StateConnected {
			s.conn.Close(now)
		} else {
			s.state = dtls.StateFailed // without a word: whoever has begun this may have done so in the name of another
		}
	}
	s.settle(now)
}

// abandon ends a handshake without a word to anybody.
func (s *session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// close says goodbye. It may be called again.
func (s *session) close() {
	now := time.Now()
	s.mu.Lock()
	s.conn.Close(now)
	s.settle(now)
}

// connected reports whether data can be sent.
func (s *session) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == dtls.StateConnected
}

// seal appends the sealed form of a message to buf. False: it cannot be sent, and is dropped.
func (s *session) seal(buf []byte, m *netio.Message) ([]byte, netio.Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := netio.Message{Local: m.Local, Remote: s.remote, ECN: m.ECN}
	front, back := s.conn.Overhead()
	begin := len(buf)
	for i := range m.Count() {
		data, at := m.At(i), len(buf)
		buf = append(buf, make([]byte, front+len(data)+back)...)
		copy(buf[at+front:], data)
		rec, err := s.conn.Seal(buf[at:], front, len(data))
		if err != nil {
			return buf[:begin], out, false
		}
		// The record may begin behind the room that was left for its header.
		buf = buf[:at+copy(buf[at:], rec)]
		if i == 0 && m.Count() > 1 {
			out.Segment = len(rec)
		}
	}
	out.Data = buf[begin:len(buf):len(buf)]
	return buf, out, true
}
