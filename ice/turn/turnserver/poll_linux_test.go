//go:build !android && !netio_portable

package turnserver

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// startLoopback starts a server on the loopback interface, whose sockets are read by pollers.
func startLoopback(t *testing.T, addr string) (*Server, netip.AddrPort) {
	t.Helper()
	s, udp := startOn(t, addr, netio.System)
	if len(s.pollers) != 2 {
		t.Fatalf("%d pollers", len(s.pollers))
	}
	return s, udp
}

func startOn(t *testing.T, addr string, network netio.Network) (*Server, netip.AddrPort) {
	t.Helper()
	s, err := Start(Config{
		Server: turn.ServerConfig{
			Auth:       turn.StaticUsers(map[string]string{user: password}),
			AllowPeers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			Relays:     []turn.RelayAddress{{Local: netip.MustParseAddr("127.0.0.1")}},
		},
		UDP:     []netip.AddrPort{netip.MustParseAddrPort(addr)},
		Readers: 2,
		network: network,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	udp, _ := s.Addrs()
	return s, udp[0]
}

// socket is a client or a peer on the loopback interface.
type socket struct {
	t    *testing.T
	conn netio.PacketConn
	in   netio.Batch
}

func newSocket(t *testing.T) *socket {
	t.Helper()
	conn, err := netio.System.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{t: t, conn: conn}
	t.Cleanup(func() { s.in.Release(); _ = conn.Close() })
	return s
}

func (s *socket) send(m netio.Message) {
	s.t.Helper()
	if n, err := s.conn.WriteBatch([]netio.Message{m}); n != 1 || err != nil {
		s.t.Fatalf("WriteBatch = %d, %v", n, err)
	}
}

// datagrams reads n datagrams.
func (s *socket) datagrams(n int, each func([]byte)) {
	s.t.Helper()
	for n > 0 {
		if err := s.conn.ReadBatch(&s.in); err != nil {
			s.t.Fatal(err)
		}
		for i := range s.in.Messages {
			m := &s.in.Messages[i]
			for j := range m.Count() {
				each(m.At(j))
				n--
			}
		}
	}
}

// relayed is a client with a channel to one peer and a permission for it.
type relayed struct {
	*socket
	c    *turn.Client
	peer *socket
}

func newRelayed(t *testing.T, server netip.AddrPort, channel bool) relayed {
	t.Helper()
	c, err := turn.New(turn.Config{Server: server, Username: user, Password: password, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	r := relayed{newSocket(t), c, newSocket(t)}
	c.Allocate(time.Now())
	r.until(func() bool { return c.State() == turn.StateAllocated })
	addr := r.peer.conn.LocalAddr()
	if channel {
		err = c.Bind(time.Now(), addr)
	} else {
		addr = netip.AddrPortFrom(addr.Addr(), 0)
		err = c.CreatePermission(time.Now(), addr.Addr())
	}
	if err != nil {
		t.Fatal(err)
	}
	r.until(func() bool { return c.Ready(addr) })
	return r
}

// until asks and hears; nothing is lost on the loopback interface, so that there are no timers.
func (r relayed) until(cond func() bool) {
	r.t.Helper()
	for !cond() {
		for {
			pkt, ok := r.c.Next(nil)
			if !ok {
				break
			}
			r.send(netio.Message{Data: pkt, Remote: r.c.Server()})
		}
		r.datagrams(1, func(pkt []byte) { _, _, _ = r.c.HandlePacket(time.Now(), pkt) })
	}
}

// framed is what the client sends for n datagrams of a size, as one burst.
func (r relayed) framed(n, size int) netio.Message {
	r.t.Helper()
	m := netio.Message{Remote: r.c.Server()}
	for i := range n {
		data, ok := r.c.Append(m.Data, bytes.Repeat([]byte{byte(i)}, size), r.peer.conn.LocalAddr())
		if !ok {
			r.t.Fatal("no way to the peer")
		}
		if m.Data = data; i == 0 {
			m.Segment = len(data)
		}
	}
	return m
}

func TestPolledRelaysOfManyClients(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		s, server := startLoopback(t, addr)
		server = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), server.Port())
		const clients, burst, size = 30, 40, 1000
		var all []relayed
		for i := range clients {
			all = append(all, newRelayed(t, server, i%2 == 0))
		}
		for _, r := range all {
			r.send(r.framed(burst, size))
			r.peer.send(netio.Message{
				Data: bytes.Repeat([]byte{7}, burst*size), Segment: size, Remote: r.c.Relayed()[0],
			})
		}
		for _, r := range all {
			i := 0
			r.peer.datagrams(burst, func(pkt []byte) {
				if len(pkt) != size || pkt[0] != byte(i) {
					t.Errorf("datagram %d: %d bytes of %d", i, len(pkt), pkt[0])
				}
				i++
			})
			r.datagrams(burst, func(pkt []byte) {
				d, ok, err := r.c.HandlePacket(time.Now(), pkt)
				if !ok || d.Peer != r.peer.conn.LocalAddr() || len(d.Payload) != size || d.Payload[0] != 7 {
					t.Errorf("%+v, %v", d, err)
				}
			})
		}
		st := s.Stats()
		if st.ToPeers != clients*burst || st.ToClients != clients*burst || st.Unsent != 0 || st.DataDropped != 0 {
			t.Errorf("%+v", st)
		}
		t.Log("# allocations that end take their sockets along")
		for _, r := range all {
			r.c.Close(time.Now())
			r.until(func() bool { return r.c.State() == turn.StateClosed })
		}
		s.mu.RLock()
		if len(s.relays) != 0 {
			t.Errorf("%d relays", len(s.relays))
		}
		s.mu.RUnlock()
	}
}

// TestReadOfManyRelaysIsFlushedInTime: a turn of a poller may read more than there is room for in front of headers.
func TestReadOfManyRelaysIsFlushedInTime(t *testing.T) {
	s, server := startLoopback(t, "127.0.0.1:0")
	r := newRelayed(t, server, true)
	var id turn.RelayID
	s.mu.RLock()
	for id = range s.relays {
	}
	const bursts, segments, size = 8, 54, 1200
	m := netio.Message{Data: make([]byte, segments*size), Segment: size, Remote: r.peer.conn.LocalAddr()}
	out := newBatch(0)
	for range bursts {
		s.fromPeers(id, []netio.Message{m}, out)
	}
	s.mu.RUnlock()
	s.flush(out)
	r.datagrams(bursts*segments, func([]byte) {})
	if n := s.Stats().Unsent; n != 0 {
		t.Errorf("%d packets without room", n)
	}
}

// fewPollers is the system's network where only so many pollers can be made.
type fewPollers struct {
	netio.Polling
	netio.Network
	left int
}

func (n *fewPollers) NewPoller(gather time.Duration) (netio.Poller, error) {
	if n.left--; n.left < 0 {
		return nil, errors.New("no more pollers")
	}
	return n.Polling.NewPoller(gather)
}

func TestRelaysWithFewerPollersOrNone(t *testing.T) {
	for _, pollers := range []int{1, 0} {
		s, server := startOn(t, "127.0.0.1:0", &fewPollers{netio.System.(netio.Polling), netio.System, pollers})
		if len(s.pollers) != pollers {
			t.Fatalf("%d pollers", len(s.pollers))
		}
		r := newRelayed(t, server, true)
		r.send(r.framed(3, 100))
		r.peer.datagrams(3, func([]byte) {})
		r.peer.send(netio.Message{Data: []byte("back"), Remote: r.c.Relayed()[0]})
		r.datagrams(1, func(pkt []byte) {
			if d, ok, err := r.c.HandlePacket(time.Now(), pkt); !ok || string(d.Payload) != "back" {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}
