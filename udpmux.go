package webrtc

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

// Caps on what one connection of a mux can make grow.
const (
	maxMuxUfrags       = 4
	maxMuxRemotes      = 16
	maxMuxTransactions = 64
	maxMuxReaders      = 8
)

// A UDPMux is one UDP port for any number of connections: set it in Settings.UDPMux. A connection on a mux has no socket and
// no reader of its own.
//
// Checks find their connection by the user name that they carry, answers by the transaction that they answer, and everything
// else by the address that it comes from. An address is a connection's only after an integrity-checked message of its peer
// has come from there, and it is taken from a connection only for one whose peer has answered from there: nobody who forges
// a sender gets the packets of others. One remote address therefore serves one connection at a time; two muxes cannot have
// more than one connection between them.
//
// Allocations on TURN servers by UDP need a socket of their own: connections on a mux ask servers by TCP and TLS only.
// Safe for concurrent use.
type UDPMux struct {
	// Immutable.
	conns   []netio.PacketConn
	local   netip.AddrPort
	readers sync.WaitGroup

	// The table, guarded by mu, which is taken under transport.mu and never the other way round.
	mu           sync.RWMutex
	remotes      map[netip.AddrPort]muxHolder
	ufrags       map[string]*muxed
	transactions map[transactionID]*muxed
	next         int // which of conns the next connection sends by
	closed       bool
}

type transactionID [12]byte

// muxHolder is the connection that an address belongs to.
type muxHolder struct {
	m *muxed
	// answered: the peer has answered a check from there. Otherwise it has only sent one.
	answered bool
}

// muxed is a connection's part of a mux.
type muxed struct {
	mux *UDPMux
	t   *transport

	// Guarded by mux.mu.
	sockets      []*muxSocket
	ufrags       []string
	remotes      []netip.AddrPort
	transactions []transactionID // a ring, once it is full
	oldest       int
}

// muxSocket is a base of a connection. It implements netio.PacketConn, but for reading.
type muxSocket struct {
	m     *muxed
	base  ice.BaseID
	local netip.AddrPort
	conn  netio.PacketConn
	done  chan struct{}
	once  sync.Once
}

// NewUDPMux listens at an address. The zero address stands for all, port zero for one of the system's choice. On Linux the
// port is served by as many goroutines as there are processors, at most 8, elsewhere by one. Close it after the connections.
func NewUDPMux(local netip.AddrPort) (*UDPMux, error) {
	conns, err := netio.ListenUDPGroup(local, min(runtime.GOMAXPROCS(0), maxMuxReaders))
	if err != nil {
		return nil, &OperationError{Err: err}
	}
	return newUDPMux(conns), nil
}

func newUDPMux(conns []netio.PacketConn) *UDPMux {
	x := &UDPMux{
		conns: conns, local: conns[0].LocalAddr(),
		remotes: make(map[netip.AddrPort]muxHolder), ufrags: make(map[string]*muxed),
		transactions: make(map[transactionID]*muxed),
	}
	for _, conn := range conns {
		x.readers.Go(func() { x.read(conn) })
	}
	return x
}

// LocalAddr is the address that the mux listens at.
func (x *UDPMux) LocalAddr() netip.AddrPort { return x.local }

// Close closes the port, and returns when its goroutines have ended. Connections on the mux lose it: they are to be closed
// first. It must not be called in a callback of a connection.
func (x *UDPMux) Close() error {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	for _, conn := range x.conns {
		_ = conn.Close()
	}
	x.readers.Wait()
	return nil
}

// attach makes a base of a connection.
func (x *UDPMux) attach(t *transport, base ice.BaseID, addr netip.Addr, ufrag string) (*muxSocket, error) {
	own := x.local.Addr()
	if !own.IsUnspecified() && own != addr.WithZone("") {
		return nil, fmt.Errorf("the mux does not listen at %v", addr)
	}
	if own.IsUnspecified() && own.Is4() && addr.Is6() {
		return nil, fmt.Errorf("the mux does not listen at IPv6 addresses")
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, netio.ErrClosed
	}
	if t.muxed == nil {
		t.muxed = &muxed{mux: x, t: t}
	}
	s := &muxSocket{
		m: t.muxed, base: base, local: netip.AddrPortFrom(addr, x.local.Port()),
		conn: x.conns[x.next%len(x.conns)], done: make(chan struct{}),
	}
	x.next++
	t.muxed.sockets = append(t.muxed.sockets, s)
	t.muxed.follow(ufrag)
	return s, nil
}

// follow makes a ufrag the connection's. mux.mu is held.
func (m *muxed) follow(ufrag string) {
	if m.mux.ufrags[ufrag] != nil {
		return
	}
	m.mux.ufrags[ufrag] = m
	if m.ufrags = append(m.ufrags, ufrag); len(m.ufrags) > maxMuxUfrags {
		delete(m.mux.ufrags, m.ufrags[0])
		m.ufrags = slices.Delete(m.ufrags, 0, 1)
	}
}

// restarted tells the mux of new credentials. A nil muxed: there is no mux.
func (m *muxed) restarted(ufrag string) {
	if m == nil {
		return
	}
	m.mux.mu.Lock()
	defer m.mux.mu.Unlock()
	if len(m.sockets) > 0 {
		m.follow(ufrag)
	}
}

// LocalAddr implements netio.PacketConn.
func (s *muxSocket) LocalAddr() netip.AddrPort { return s.local }

// ReadBatch implements netio.PacketConn: nothing comes this way.
func (s *muxSocket) ReadBatch(b *netio.Batch) error {
	b.Release()
	<-s.done
	return netio.ErrClosed
}

// WriteBatch implements netio.PacketConn.
func (s *muxSocket) WriteBatch(msgs []netio.Message) (int, error) {
	for i := range msgs {
		m := &msgs[i]
		m.Local = s.local.Addr()
		if len(m.Data) >= 20 && isBindingRequest(m.Data) {
			for k := range m.Count() {
				s.m.asked(m.At(k))
			}
		}
	}
	return s.conn.WriteBatch(msgs)
}

// asked remembers a transaction, so that its answer is found.
func (m *muxed) asked(pkt []byte) {
	if len(pkt) < 20 || !isBindingRequest(pkt) {
		return
	}
	id := transactionID(pkt[8:20])
	x := m.mux
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(m.sockets) == 0 || x.transactions[id] != nil {
		return
	}
	x.transactions[id] = m
	if len(m.transactions) < maxMuxTransactions {
		m.transactions = append(m.transactions, id)
		return
	}
	delete(x.transactions, m.transactions[m.oldest])
	m.transactions[m.oldest] = id
	m.oldest = (m.oldest + 1) % maxMuxTransactions
}

// Close implements netio.PacketConn. With its last base the connection leaves the mux.
func (s *muxSocket) Close() error {
	s.once.Do(func() {
		close(s.done)
		m := s.m
		x := m.mux
		x.mu.Lock()
		defer x.mu.Unlock()
		m.sockets = slices.DeleteFunc(m.sockets, func(o *muxSocket) bool { return o == s })
		if len(m.sockets) > 0 {
			return
		}
		for _, u := range m.ufrags {
			delete(x.ufrags, u)
		}
		for _, r := range m.remotes {
			if x.remotes[r].m == m {
				delete(x.remotes, r)
			}
		}
		for _, id := range m.transactions {
			delete(x.transactions, id)
		}
		m.ufrags, m.remotes, m.transactions, m.oldest = nil, nil, nil, 0
	})
	return nil
}

func isBindingRequest(pkt []byte) bool { return pkt[0] == 0 && pkt[1] == 1 }

// find returns the connection that a packet is for, and its base; nil: nobody's.
func (x *UDPMux) find(local netip.Addr, remote netip.AddrPort, pkt []byte) (*muxed, ice.BaseID) {
	if len(pkt) == 0 {
		return nil, 0
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	var m *muxed
	switch {
	case pkt[0] > 3:
		m = x.remotes[remote].m
	case len(pkt) < 20:
	case isBindingRequest(pkt):
		m = x.ufrags[string(stunUfrag(pkt))]
	case pkt[0] == 1 && pkt[1]&0xef == 1: // a success or error response
		m = x.transactions[transactionID(pkt[8:20])]
	default:
		m = x.remotes[remote].m
	}
	if m == nil {
		return nil, 0
	}
	for _, s := range m.sockets {
		if s.local.Addr() == local || !local.IsValid() && s.local.Addr().Is4() == remote.Addr().Is4() {
			return m, s.base
		}
	}
	return nil, 0
}

// stunUfrag returns the first half of the USERNAME of a STUN message, which is our ufrag (RFC 8445, section 7.2.2).
func stunUfrag(pkt []byte) []byte {
	for rest := pkt[20:]; len(rest) >= 4; {
		kind, n := uint16(rest[0])<<8|uint16(rest[1]), int(rest[2])<<8|int(rest[3])
		if n > len(rest)-4 {
			return nil
		}
		if kind == 6 {
			name := rest[4 : 4+n]
			if i := slices.Index(name, ':'); i >= 0 {
				return name[:i]
			}
			return nil
		}
		rest = rest[min(len(rest), 4+(n+3)&^3):]
	}
	return nil
}

// claim makes an address the connection's, after a STUN message from there was checked. transport.mu is held.
func (m *muxed) claim(base ice.BaseID, remote netip.AddrPort) {
	x := m.mux
	x.mu.RLock()
	holder := x.remotes[remote]
	x.mu.RUnlock()
	if holder.m == m && holder.answered {
		return
	}
	answered := m.t.engine.ice.Consented(base, remote)
	if holder.m == m && !answered || !answered && holder.answered || !m.t.engine.ice.Verified(base, remote) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(m.sockets) == 0 {
		return
	}
	x.remotes[remote] = muxHolder{m, answered}
	if slices.Contains(m.remotes, remote) {
		return
	}
	if m.remotes = append(m.remotes, remote); len(m.remotes) > maxMuxRemotes {
		if x.remotes[m.remotes[0]].m == m {
			delete(x.remotes, m.remotes[0])
		}
		m.remotes = slices.Delete(m.remotes, 0, 1)
	}
}

// read is the goroutine of one of the mux's sockets.
func (x *UDPMux) read(conn netio.PacketConn) {
	var batch netio.Batch
	defer batch.Release()
	for conn.ReadBatch(&batch) == nil {
		var d muxDelivery
		for i := range batch.Messages {
			m := &batch.Messages[i]
			for k := range m.Count() {
				pkt := m.At(k)
				if to, base := x.find(m.Local, m.Remote, pkt); to != nil {
					d.deliver(to, base, m.Remote, pkt)
				}
			}
		}
		d.end()
	}
}

// muxDelivery hands packets to connections, each of which is entered once for those of its packets that lie together.
type muxDelivery struct {
	to  *muxed // entered; nil: none
	now time.Time
}

func (d *muxDelivery) deliver(to *muxed, base ice.BaseID, remote netip.AddrPort, pkt []byte) {
	if d.to != to {
		d.end()
		now, ok := to.t.enter()
		if !ok {
			return
		}
		d.to, d.now = to, now
		to.t.answered = false
	}
	stun := pkt[0] <= 3 // the packet is decrypted in place, or not ours any more
	to.t.engine.handlePacket(d.now, base, remote, pkt)
	if stun {
		to.claim(base, remote)
	}
}

// end leaves the connection that was entered.
func (d *muxDelivery) end() {
	if d.to == nil {
		return
	}
	t := d.to.t
	t.engine.endBatch(d.now)
	t.flush(d.now)
	t.arm(d.now)
	t.mu.Unlock()
	d.to = nil
}
