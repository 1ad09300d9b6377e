package turnserver

import (
	"sync"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// relaySocket is the socket of one relayed address.
type relaySocket struct {
	id   turn.RelayID
	conn netio.PacketConn
}

// outgoing is a packet or a burst and where it leaves: a socket or a stream.
type outgoing struct {
	conn   netio.PacketConn
	stream *stream
	msg    netio.Message
}

// batch is the memory of one turn of a reader: what is to be written, by sockets, and room for headers.
type batch struct {
	lane   int // which of a listener's sockets
	groups []group
	n      int // groups in use
	buf    []byte
}

type group struct {
	conn netio.PacketConn
	msgs []netio.Message
}

// room is what frames can take before they are written: of the messages of a socket's read, each with a header for every
// datagram of it.
const room = 320 << 10

var batches = sync.Pool{New: func() any { return newBatch(0) }}

func newBatch(lane int) *batch { return &batch{lane: lane, buf: make([]byte, 0, room)} }

func (b *batch) add(conn netio.PacketConn, m netio.Message) {
	for i := b.n - 1; i >= 0; i-- {
		if b.groups[i].conn == conn {
			b.groups[i].msgs = append(b.groups[i].msgs, m)
			return
		}
	}
	if b.n == len(b.groups) {
		b.groups = append(b.groups, group{})
	}
	g := &b.groups[b.n]
	b.n++
	g.conn = conn
	g.msgs = append(g.msgs[:0], m)
}

// flush writes everything. What a socket does not take is dropped: a relay is no better than a network.
func (s *Server) flush(b *batch) {
	for i := range b.groups[:b.n] {
		g := &b.groups[i]
		n, _ := g.conn.WriteBatch(g.msgs)
		for i := range g.msgs[n:] {
			s.unsent.Add(uint64(g.msgs[n+i].Count()))
		}
		clear(g.msgs)
		g.conn = nil
	}
	b.n, b.buf = 0, b.buf[:0]
}

// route finds the way to a client.
func (s *Server) route(to turn.FiveTuple, lane int) (outgoing, bool) {
	l := s.listeners[to.Listener]
	if l == nil {
		return outgoing{}, false
	}
	if l.accept != nil {
		st := s.streams[to]
		return outgoing{stream: st}, st != nil
	}
	conn := l.conns[lane%len(l.conns)]
	return outgoing{conn: conn, msg: netio.Message{Local: to.Local, Remote: to.Remote}}, true
}

func (s *Server) write(o outgoing) {
	if o.stream != nil {
		if !o.stream.send(o.msg.Data) {
			s.unsent.Add(1)
		}
		return
	}
	if n, _ := o.conn.WriteBatch([]netio.Message{o.msg}); n == 0 {
		s.unsent.Add(1)
	}
}

// The tags by which a poller tells its sockets apart: an odd number is a listener's.
func clientTag(id turn.ListenerID) uint64 { return uint64(id)<<1 | 1 }
func relayTag(id turn.RelayID) uint64     { return uint64(id) << 1 }

// poll reads all sockets of a lane, until the poller is closed.
func (s *Server) poll(lane int, p netio.Poller) {
	out := newBatch(lane)
	handle := func(tag uint64, msgs []netio.Message) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		if tag&1 == 0 {
			s.fromPeers(turn.RelayID(tag>>1), msgs, out)
		} else {
			s.fromClients(s.listeners[turn.ListenerID(tag>>1)], msgs, out)
		}
	}
	for p.Read(handle) == nil {
		s.flush(out)
	}
}

// readClients serves one socket of a UDP listener.
func (s *Server) readClients(l *listener, lane int, conn netio.PacketConn) {
	var in netio.Batch
	for conn.ReadBatch(&in) == nil {
		out := batches.Get().(*batch)
		out.lane = lane
		s.mu.RLock()
		s.fromClients(l, in.Messages, out)
		s.mu.RUnlock()
		s.flush(out)
		batches.Put(out)
		in.Release()
	}
	in.Release()
}

// fromClients handles what the socket of a listener has read, under the read lock.
func (s *Server) fromClients(l *listener, msgs []netio.Message, out *batch) {
	now := time.Now()
	for i := range msgs {
		m := &msgs[i]
		from := turn.FiveTuple{Listener: l.id, Remote: m.Remote}
		if l.wildcard {
			from.Local = m.Local
		}
		for j := range m.Count() {
			s.fromClient(now, from, m.At(j), out)
		}
	}
}

// fromClient handles one packet of a client, under the read lock, which it gives up for a while for a request. What is in
// front of a request has been handled before it, and what is behind comes after it: data may follow the request for its
// permission at once.
func (s *Server) fromClient(now time.Time, from turn.FiveTuple, pkt []byte, out *batch) {
	f, ok := s.engine.Forward(now, from, pkt)
	switch {
	case ok && f.Loop != 0:
		s.toClient(now, f.Loop, netio.Message{Remote: f.From, Data: f.Payload}, out)
	case ok:
		if r := s.relays[f.Relay]; r != nil {
			out.add(r.conn, netio.Message{Data: f.Payload, Remote: f.Peer})
		}
	case turn.IsMessage(pkt):
		s.mu.RUnlock()
		s.flush(out) // the request may end the relay: what is in front of it leaves first
		s.control(func(now time.Time) {
			_, _, _ = s.engine.HandlePacket(now, from, pkt) // the error is for the engine's counters
		})
		s.mu.RLock()
	default:
		s.dropped.Add(1)
	}
}

// readPeers serves the socket of a relay.
func (s *Server) readPeers(r *relaySocket) {
	var in netio.Batch
	for r.conn.ReadBatch(&in) == nil {
		out := batches.Get().(*batch)
		out.lane = int(r.id)
		s.mu.RLock()
		s.fromPeers(r.id, in.Messages, out)
		s.mu.RUnlock()
		s.flush(out)
		batches.Put(out)
		in.Release()
	}
	in.Release()
}

// fromPeers handles what the socket of a relay has read, under the read lock.
func (s *Server) fromPeers(id turn.RelayID, msgs []netio.Message, out *batch) {
	now := time.Now()
	for i := range msgs {
		s.toClient(now, id, msgs[i], out)
	}
}

// toClient frames what a peer has sent: a datagram, or a burst, which stays one. It is called under the read lock, which it
// gives up for a while if there is no room left.
func (s *Server) toClient(now time.Time, relay turn.RelayID, m netio.Message, out *batch) {
	var o outgoing
	if need := len(m.Data) + m.Count()*(turn.MaxHeadroom+turn.MaxTailroom); need > cap(out.buf)-len(out.buf) {
		s.mu.RUnlock()
		s.flush(out)
		s.mu.RLock()
	}
	begin, stride := len(out.buf), 0
	for i := range m.Count() {
		data := m.At(i)
		d, ok := s.engine.Deliver(now, relay, m.Remote, len(data))
		if !ok {
			return
		}
		if i == 0 {
			if o, ok = s.route(d.Client, out.lane); !ok {
				return
			}
		}
		at := len(out.buf)
		front, back := d.Overhead(len(data))
		if cap(out.buf)-at < front+len(data)+back {
			s.unsent.Add(1)
			break
		}
		out.buf = d.Append(out.buf, data)
		if i == 0 {
			stride = len(out.buf) - at
		}
	}
	o.msg.Data, o.msg.ECN = out.buf[begin:len(out.buf):len(out.buf)], m.ECN
	switch {
	case o.stream != nil:
		if !o.stream.send(o.msg.Data) {
			s.unsent.Add(uint64(m.Count()))
		}
		return
	case m.Count() > 1:
		o.msg.Segment = stride
	}
	if len(o.msg.Data) > 0 {
		out.add(o.conn, o.msg)
	}
}
