package webrtc

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

// Caps on what one connection of a mux can make grow.
const (
	maxMuxRemotes      = 16
	maxMuxTransactions = 64
)

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

	// sockets is read for every packet, and replaced under mux.mu.
	sockets atomic.Pointer[[]*muxSocket]

	// Guarded by mux.mu.
	ufrags       []string
	remotes      []muxRemote
	transactions []transactionID // not answered yet
}

// muxRemote is an address that is or was a connection's.
type muxRemote struct {
	base ice.BaseID
	addr netip.AddrPort
}

// muxSocket is a base of a connection. It implements netio.PacketConn, but for reading.
type muxSocket struct {
	m     *muxed
	base  ice.BaseID
	local netip.AddrPort
	port  *muxPort
	done  chan struct{}
	once  sync.Once
}

// attach makes a base of a connection. t.mu is held.
func (x *UDPMux) attach(t *transport, base ice.BaseID, addr netip.Addr, ufrag string) (*muxSocket, error) {
	if !x.listensAt(addr) {
		return nil, fmt.Errorf("the mux does not listen at %v", addr)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.isClosing() {
		return nil, netio.ErrClosed
	}
	if t.muxed == nil {
		t.muxed = &muxed{mux: x, t: t}
		t.muxed.sockets.Store(new([]*muxSocket))
	}
	s := &muxSocket{
		m: t.muxed, base: base, local: netip.AddrPortFrom(addr, x.local.Port()),
		port: x.ports[x.next%len(x.ports)], done: make(chan struct{}),
	}
	x.next++
	sockets := append(slices.Clone(*t.muxed.sockets.Load()), s)
	t.muxed.sockets.Store(&sockets)
	if len(sockets) == 1 {
		x.connections++
	}
	x.ufrags.follow(ufrag, t.muxed, &t.muxed.ufrags)
	return s, nil
}

// listensAt tells whether packets for an address of this host come to the mux.
func (x *UDPMux) listensAt(addr netip.Addr) bool {
	own := x.at.Addr().Unmap()
	if !own.IsValid() || own == addr.WithZone("") {
		return true
	}
	return own.IsUnspecified() && own.Is4() == addr.Is4()
}

// restarted tells the mux of new credentials. A nil muxed: there is no mux.
func (m *muxed) restarted(ufrag string) {
	if m == nil {
		return
	}
	m.mux.mu.Lock()
	defer m.mux.mu.Unlock()
	if m.attached() {
		m.mux.ufrags.follow(ufrag, m, &m.ufrags)
	}
}

// attached tells whether the connection has a base on the mux.
func (m *muxed) attached() bool { return len(*m.sockets.Load()) > 0 }

// base returns the base that a packet has come to. An invalid local address is one that the system does not tell.
func (m *muxed) base(local netip.Addr, remote netip.AddrPort) (ice.BaseID, bool) {
	for _, s := range *m.sockets.Load() {
		if s.local.Addr() == local || !local.IsValid() && s.local.Addr().Is4() == remote.Addr().Is4() {
			return s.base, true
		}
	}
	return 0, false
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
	return (*s.port.conn.Load()).WriteBatch(msgs)
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
	if !m.attached() || x.transactions[id] != nil {
		return
	}
	x.transactions[id] = m
	if m.transactions = append(m.transactions, id); len(m.transactions) > maxMuxTransactions {
		delete(x.transactions, m.transactions[0])
		m.transactions = slices.Delete(m.transactions, 0, 1)
	}
}

// answered forgets a transaction whose answer was good.
func (m *muxed) answered(id transactionID) {
	x := m.mux
	x.mu.Lock()
	defer x.mu.Unlock()
	if i := slices.Index(m.transactions, id); i >= 0 {
		m.transactions = slices.Delete(m.transactions, i, i+1)
		delete(x.transactions, id)
	}
}

// claim makes an address the connection's, after a STUN message from there has passed its checks. proved: the message was
// an answer to one of ours, so that nobody has forged the address. transport.mu is held.
func (m *muxed) claim(base ice.BaseID, remote netip.AddrPort, proved bool) {
	x, engine := m.mux, m.t.engine.ice
	holder := x.remotes.get(remote)
	if holder.m == m && (holder.answered || !proved) {
		return
	}
	proved = proved && engine.Consented(base, remote)
	if !proved && (holder.m == m || holder.answered) || !engine.Verified(base, remote) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !m.attached() {
		return
	}
	x.remotes.put(remote, muxHolder{m, proved})
	r := muxRemote{base, remote}
	if slices.Contains(m.remotes, r) {
		return
	}
	if m.remotes = append(m.remotes, r); len(m.remotes) <= maxMuxRemotes {
		return
	}
	// The peer has moved on from most of them; those that a replayed check has brought were never its own.
	i := max(slices.IndexFunc(m.remotes, func(r muxRemote) bool { return !engine.Consented(r.base, r.addr) }), 0)
	m.release(m.remotes[i])
	m.remotes = slices.Delete(m.remotes, i, i+1)
}

// release gives up an address, unless it is another's by now. mux.mu is held.
func (m *muxed) release(r muxRemote) {
	if m.mux.remotes.get(r.addr).m == m {
		m.mux.remotes.remove(r.addr)
	}
}

// Close implements netio.PacketConn. With its last base the connection leaves the mux.
func (s *muxSocket) Close() error {
	s.once.Do(func() {
		close(s.done)
		m := s.m
		x := m.mux
		x.mu.Lock()
		defer x.mu.Unlock()
		sockets := slices.DeleteFunc(slices.Clone(*m.sockets.Load()), func(o *muxSocket) bool { return o == s })
		m.sockets.Store(&sockets)
		if len(sockets) == 0 {
			m.leave()
		}
	})
	return nil
}

// leave takes the connection out of the tables. mux.mu is held.
func (m *muxed) leave() {
	x := m.mux
	x.connections--
	x.ufrags.forget(&m.ufrags)
	for _, r := range m.remotes {
		m.release(r)
	}
	for _, id := range m.transactions {
		delete(x.transactions, id)
	}
	m.remotes, m.transactions = nil, nil
}
