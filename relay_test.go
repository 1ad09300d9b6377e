package webrtc

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/dtls/dtlsio"
	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// relayServer is a TURN server on a simulated host.
type relayServer struct {
	t   *testing.T
	net netio.Network

	mu     sync.Mutex
	engine *turn.Server
	socket netio.PacketConn
	relays map[turn.RelayID]netio.PacketConn
	sent   int // packets of peers, both ways

	streams map[netip.AddrPort]net.Conn // to clients
	secure  *tls.Config                 // nil: TCP
}

func startRelay(t *testing.T, network netio.Network, addr string) *relayServer {
	t.Helper()
	ip := netip.MustParseAddr(addr)
	engine, err := turn.NewServer(turn.ServerConfig{
		Auth: turn.StaticUsers(map[string]string{"alice": "wonderland"}), Rand: rand.NewChaCha8([32]byte{1}),
		Relays: []turn.RelayAddress{{Local: ip}}, AllowPeers: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &relayServer{t: t, net: network, engine: engine, relays: map[turn.RelayID]netio.PacketConn{}, streams: map[netip.AddrPort]net.Conn{}}
	if r.socket, err = network.ListenUDP(netip.AddrPortFrom(ip, 3478)); err != nil {
		t.Fatal(err)
	}
	engine.AddListener(1, turn.UDP, r.socket.LocalAddr())
	engine.AddListener(2, turn.TCP, r.socket.LocalAddr())
	go r.read(r.socket, func(now time.Time, m *netio.Message, pkt []byte) {
		r.fromClient(now, turn.FiveTuple{Listener: 1, Remote: m.Remote}, pkt)
	})
	return r
}

func (r *relayServer) read(conn netio.PacketConn, handle func(time.Time, *netio.Message, []byte)) {
	var b netio.Batch
	defer b.Release()
	for conn.ReadBatch(&b) == nil {
		r.mu.Lock()
		now := time.Now()
		for i := range b.Messages {
			for k := range b.Messages[i].Count() {
				handle(now, &b.Messages[i], b.Messages[i].At(k))
			}
		}
		r.work(now)
		r.mu.Unlock()
	}
}

func (r *relayServer) work(now time.Time) {
	for e, ok := r.engine.Event(); ok; e, ok = r.engine.Event() {
		switch e := e.(type) {
		case turn.Bind:
			conn, err := r.net.ListenUDP(e.Addr)
			if err != nil {
				r.t.Error(err)
				continue
			}
			r.relays[e.Relay] = conn
			r.engine.HandleBindResult(now, e.Relay, conn.LocalAddr(), nil)
			go r.read(conn, func(now time.Time, m *netio.Message, pkt []byte) { r.deliver(now, e.Relay, m.Remote, pkt) })
		case turn.Unbind:
			_ = r.relays[e.Relay].Close()
			delete(r.relays, e.Relay)
		}
	}
	for {
		to, data, ok := r.engine.Next(nil)
		if !ok {
			return
		}
		r.toClient(to, data)
	}
}

func (r *relayServer) deliver(now time.Time, relay turn.RelayID, peer netip.AddrPort, data []byte) {
	if d, ok := r.engine.Deliver(now, relay, peer, len(data)); ok {
		r.sent++
		r.toClient(d.Client, d.Append(nil, data))
	}
}

func (r *relayServer) write(conn netio.PacketConn, to netip.AddrPort, data []byte) {
	_, _ = conn.WriteBatch([]netio.Message{{Data: data, Remote: to}})
}

// serveStream serves a connection of a client.
func (r *relayServer) serveStream(c net.Conn, remote netip.AddrPort) {
	if r.secure != nil {
		c = tls.Server(c, r.secure)
	}
	from := turn.FiveTuple{Listener: 2, Remote: remote}
	r.mu.Lock()
	r.streams[remote] = c
	r.mu.Unlock()
	var f turn.Framer
	for {
		n, err := c.Read(f.Space())
		if err != nil {
			r.mu.Lock()
			r.engine.HandleDisconnect(time.Now(), from)
			r.work(time.Now())
			delete(r.streams, remote)
			r.mu.Unlock()
			_ = c.Close()
			return
		}
		f.Put(n)
		for {
			pkt, err := f.Next()
			if err != nil {
				r.t.Error(err)
			}
			if pkt == nil {
				break
			}
			r.mu.Lock()
			r.fromClient(time.Now(), from, pkt)
			r.work(time.Now())
			r.mu.Unlock()
		}
	}
}

func (r *relayServer) fromClient(now time.Time, from turn.FiveTuple, pkt []byte) {
	f, ok, _ := r.engine.HandlePacket(now, from, pkt)
	switch {
	case ok && f.Loop != 0:
		r.deliver(now, f.Loop, f.From, f.Payload)
	case ok:
		r.sent++
		r.write(r.relays[f.Relay], f.Peer, f.Payload)
	}
}

// toClient sends by the connection or the socket.
func (r *relayServer) toClient(to turn.FiveTuple, data []byte) {
	if c := r.streams[to.Remote]; to.Listener == 2 && c != nil {
		_, _ = c.Write(data)
	} else if to.Listener == 1 {
		r.write(r.socket, to.Remote, data)
	}
}

// streamNetwork is a simulated network with connections to the server.
type streamNetwork struct {
	netio.Network
	server **relayServer
	port   uint16
}

// pipeEnd has addresses of IP.
type pipeEnd struct {
	net.Conn
	local, remote netip.AddrPort
}

func (p pipeEnd) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(p.local) }
func (p pipeEnd) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.remote) }

func (n *streamNetwork) DialTCP(_ context.Context, remote netip.AddrPort) (net.Conn, error) {
	n.port++
	a, b := net.Pipe()
	local := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.77"), n.port)
	go (*n.server).serveStream(b, local)
	return pipeEnd{a, local, remote}, nil
}

// secureNetwork has DTLS on the server's port, and nothing but UDP on those of the relays.
type secureNetwork struct {
	netio.Network
	server *dtlsio.Server
}

func (n *secureNetwork) ListenUDP(local netip.AddrPort) (netio.PacketConn, error) {
	conn, err := n.Network.ListenUDP(local)
	if local.Port() == 3478 && err == nil {
		conn = n.server.Wrap(conn)
	}
	return conn, err
}

func (r *relayServer) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.socket.Close()
	for _, c := range r.relays {
		_ = c.Close()
	}
}

func TestCallByRelay(t *testing.T) {
	for _, policies := range [][2]ICETransportPolicy{
		{ICETransportPolicyRelay, ICETransportPolicyAll},
		{ICETransportPolicyAll, ICETransportPolicyRelay},
		{ICETransportPolicyRelay, ICETransportPolicyRelay},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, pairOptions{})
			defer p.close()
			server := startRelay(t, p.live.Host(p.net.Connect("server", testLink, "10.0.0.9")), "10.0.0.9")
			defer server.close()
			for i, pc := range []*PeerConnection{p.a, p.b} {
				c := pc.GetConfiguration()
				c.ICETransportPolicy = policies[i]
				c.ICEServers = []ICEServer{{URLs: []string{"turn:10.0.0.9"}, Username: "alice", Credential: "wonderland"}}
				p.must(pc.SetConfiguration(c))
			}
			start := time.Now()
			a, b := p.dataPair(nil)
			t.Logf("policies %v: open after %v, %d ms one way", policies, time.Since(start), 2*testLink.Delay.Milliseconds())
			const size = 1 << 20
			got := 0
			done := make(chan struct{})
			b.OnMessage(func(m DataChannelMessage) {
				if got += len(m.Data); got == size {
					close(done)
				}
			})
			for range size >> 14 {
				p.must(a.SendContext(t.Context(), make([]byte, 1<<14)))
			}
			within(p, time.Minute, "a megabyte by relay", done)
			for _, pc := range []*PeerConnection{p.a, p.b} {
				pair := (&ICETransport{pc}).GetSelectedCandidatePair()
				if pair == nil || pair.Local.Typ != ICECandidateTypeRelay && pair.Remote.Typ != ICECandidateTypeRelay {
					t.Errorf("selected %+v", pair)
				}
			}
			server.mu.Lock()
			if server.sent < size/1500 {
				t.Errorf("the relay has sent %d packets", server.sent)
			}
			server.mu.Unlock()
			p.must(p.a.Close())
			p.must(p.b.Close())
			time.Sleep(time.Second)
			server.mu.Lock()
			if n := server.engine.Stats().Allocations; n != 0 {
				t.Errorf("%d allocations are left", n)
			}
			server.mu.Unlock()
		})
	}
}

func TestCallByRelayOverStreams(t *testing.T) {
	for _, url := range []string{"turn:10.0.0.9?transport=tcp", "turns:10.0.0.9", "turns:10.0.0.9:3478?transport=udp"} {
		synctest.Test(t, func(t *testing.T) {
			var server *relayServer
			cert := testCertificate(t)
			p := newPair(t, pairOptions{settings: func(name string, s *Settings) {
				s.network = &streamNetwork{Network: s.network, server: &server}
				s.ServerTLS = &tls.Config{InsecureSkipVerify: true} // the certificate has no name
			}})
			secure := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.der}, PrivateKey: cert.key}}}
			network := p.live.Host(p.net.Connect("server", testLink, "10.0.0.9"))
			if strings.HasSuffix(url, "=udp") {
				network = &secureNetwork{network, dtlsio.NewServer(dtlsio.ServerConfig{
					Config: func() (dtls.Config, error) { return dtlsio.ServerFromTLS(secure) },
				})}
			}
			server = startRelay(t, network, "10.0.0.9")
			defer server.close()
			if url == "turns:10.0.0.9" {
				server.secure = secure
			}
			defer p.close()
			c := p.a.GetConfiguration()
			c.ICETransportPolicy = ICETransportPolicyRelay
			c.ICEServers = []ICEServer{{URLs: []string{url}, Username: "alice", Credential: "wonderland"}}
			p.must(p.a.SetConfiguration(c))
			a, b := p.dataPair(nil)
			got := make(chan int, 1)
			b.OnMessage(func(m DataChannelMessage) { got <- len(m.Data) })
			p.must(a.Send(make([]byte, 100000)))
			if n := within(p, 10*time.Second, "a message by relay", got); n != 100000 {
				t.Errorf("%d bytes", n)
			}
			time.Sleep(time.Second)
			want := map[string]string{"turn:": "tcp", "turns": "tls"}[url[:5]]
			if strings.HasSuffix(url, "udp") {
				want = "dtls"
			}
			pair := (&ICETransport{p.a}).GetSelectedCandidatePair()
			if pair == nil || pair.Local.RelayProtocol != want || pair.Local.URL != url || pair.Remote.RelayProtocol != "" {
				t.Errorf("selected %+v, want a relay by %s", pair, want)
			}
			server.mu.Lock()
			if server.sent < 70 {
				t.Errorf("the relay has sent %d packets", server.sent)
			}
			server.mu.Unlock()
		})
	}
}
