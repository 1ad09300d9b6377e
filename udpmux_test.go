package webrtc

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v3"

	"github.com/openparley/webrtc/internal/netio"
	"github.com/openparley/webrtc/internal/netsim"
)

// muxWorld is a host with one port, in a bubble, and its clients.
type muxWorld struct {
	t    *testing.T
	net  *netsim.Network
	live *netsim.Live
	mux  *UDPMux
	host netio.Network
	far  *netsim.Host // the host of the port
	cert Certificate
	loop SignalingLoop
	lite bool // those on the mux are lite
}

var muxAddr = netip.MustParseAddrPort("10.0.0.1:7000")

func newMuxWorld(t *testing.T) *muxWorld {
	t.Helper()
	w := &muxWorld{t: t, net: netsim.New(1), cert: testCertificate(t)}
	w.live = netsim.NewLive(w.net)
	w.far = w.net.Connect("host", testLink, "10.0.0.1/8")
	w.host = w.live.Host(w.far)
	w.mux = w.listen(w.network())
	return w
}

// network is that of a system which can share a port.
func (w *muxWorld) network() muxNetwork {
	return muxNetwork{
		listen: func(local netip.AddrPort, n int) ([]netio.PacketConn, error) {
			return netsim.ListenUDPGroup(w.host, local, n)
		},
		join: func(local netip.AddrPort) (netio.PacketConn, error) { return netsim.JoinUDPGroup(w.host, local) },
	}
}

func (w *muxWorld) listen(network muxNetwork) *UDPMux {
	w.t.Helper()
	local := netip.AddrPortFrom(netip.IPv4Unspecified(), muxAddr.Port())
	mux, err := newUDPMux(UDPMuxConfig{Local: local, Readers: 4}, network)
	if err != nil {
		w.t.Fatal(err)
	}
	return mux
}

func (w *muxWorld) close() {
	w.t.Helper()
	if err := w.mux.Close(); err != nil {
		w.t.Error(err)
	}
	if s := w.mux.Stats(); s.Connections+s.RemoteAddresses != 0 {
		w.t.Errorf("left: %+v", s)
	}
	if x := w.mux; len(x.ufrags)+len(x.transactions) != 0 {
		w.t.Errorf("left in the tables: %d ufrags, %d transactions", len(x.ufrags), len(x.transactions))
	}
	w.live.Close()
}

// forge sends a datagram to the port that seems to come from an address.
func (w *muxWorld) forge(from netip.AddrPort, data []byte) {
	w.t.Helper()
	w.live.Do(func(*netsim.Network) {
		if err := w.far.Send(time.Now(), from, muxAddr, data, 0); err != nil {
			w.t.Error(err)
		}
	})
}

// remotes are the addresses of a connection on the mux.
func (w *muxWorld) remotes(pc *PeerConnection) (addrs []netip.AddrPort) {
	w.mux.mu.RLock()
	defer w.mux.mu.RUnlock()
	for _, r := range pc.transport.muxed.remotes {
		addrs = append(addrs, r.addr)
	}
	return addrs
}

func (w *muxWorld) connection(network netio.Network, mux *UDPMux) *PeerConnection {
	w.t.Helper()
	api, err := NewAPI(Settings{network: network, UDPMux: mux, SignalingLoop: w.loop, ICELite: w.lite && mux != nil})
	if err != nil {
		w.t.Fatal(err)
	}
	pc, err := api.NewPeerConnection(Configuration{Certificates: []Certificate{w.cert}})
	if err != nil {
		w.t.Fatal(err)
	}
	return pc
}

// pair is a client on a host of its own, and a connection on the mux.
func (w *muxWorld) pair(i int) *pair {
	addr := fmt.Sprintf("10.1.%d.%d", i/200, 1+i%200)
	var host *netsim.Host
	w.live.Do(func(n *netsim.Network) { host = n.Connect(addr, testLink, addr+"/8") })
	return w.pairWith(w.connection(w.live.Host(host), nil))
}

func (w *muxWorld) pairWith(client *PeerConnection) *pair {
	p := &pair{t: w.t, net: w.net, live: w.live, a: client, b: w.connection(w.host, w.mux)}
	trickle(w.t, p.a, p.b)
	trickle(w.t, p.b, p.a)
	return p
}

// closePair closes both without the network.
func closePair(p *pair) {
	for _, pc := range []*PeerConnection{p.a, p.b} {
		p.must(pc.Close())
		<-pc.Done()
	}
}

// echo sends a message over a channel and wants it at the other end.
func (p *pair) echo(from, to *DataChannel, text string) {
	p.t.Helper()
	got := make(chan string, 1)
	to.OnMessage(func(m DataChannelMessage) { got <- string(m.Data) })
	p.must(from.SendText(text))
	if s := within(p, 5*time.Second, text, got); s != text {
		p.t.Errorf("got %q, want %q", s, text)
	}
}

// scale is how many connections a port has to bear: PARLEY_SCALE, or n.
func scale(n int) int {
	if v, err := strconv.Atoi(os.Getenv("PARLEY_SCALE")); err == nil && v > 0 {
		return v
	}
	return n
}

// muxPair is a pair with the ends of its channel.
type muxPair struct {
	*pair
	a, b *DataChannel
}

// connectAll makes pairs, which connect at the same time.
func (w *muxWorld) connectAll(count int) []muxPair {
	w.t.Helper()
	pairs := make([]muxPair, count)
	open := make([]<-chan struct{}, count)
	remote := make(chan struct{}, count)
	for i := range pairs {
		p := &pairs[i]
		p.pair = w.pair(i)
		p.pair.b.OnDataChannel(func(d *DataChannel) {
			p.b = d
			remote <- struct{}{}
		})
		var err error
		p.a, err = p.pair.a.CreateDataChannel("test", nil)
		p.must(err)
		open[i] = opened(p.a)
		p.negotiate(p.pair.a, p.pair.b)
	}
	for i := range pairs {
		within(pairs[i].pair, 10*time.Second, "open", open[i])
		within(pairs[i].pair, 10*time.Second, "channel at the other side", remote)
	}
	return pairs
}

func TestUDPMuxManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		count := scale(200)
		start := time.Now()
		pairs := w.connectAll(count)
		t.Logf("%d connections after %v of virtual time", count, time.Since(start))
		for i, p := range pairs {
			p.echo(p.a, p.b, fmt.Sprintf("to the mux %d", i))
			p.echo(p.b, p.a, fmt.Sprintf("from the mux %d", i))
		}
		synctest.Wait()
		for _, p := range pairs {
			if n := running(p.pair.b.life); n > 1 {
				t.Fatalf("a connection on the mux has %d goroutines", n)
			}
			if pair := (&ICETransport{p.pair.b}).GetSelectedCandidatePair(); pair.Local.Port != muxAddr.Port() {
				t.Errorf("local port %d", pair.Local.Port)
			}
		}
		s := w.mux.Stats()
		if s.Connections != count || s.RemoteAddresses != count || s.PacketsUnknown != 0 {
			t.Errorf("%+v", s)
		}
		w.mux.mu.RLock()
		if n := len(w.mux.transactions); n > count {
			t.Errorf("%d transactions wait for an answer", n)
		}
		w.mux.mu.RUnlock()
		for _, p := range w.mux.ports {
			if n := p.received.Load(); n < s.PacketsReceived/8 {
				t.Errorf("a reader had %d of %d packets", n, s.PacketsReceived)
			}
		}
		for _, p := range pairs {
			closePair(p.pair)
		}
	})
}

// With a loop of the application's, connections on a mux have no goroutines.
func TestUDPMuxWithoutGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		loop := NewSharedLoop()
		w.loop = loop
		pairs := w.connectAll(5)
		for _, p := range pairs {
			p.echo(p.a, p.b, "to the mux")
		}
		synctest.Wait()
		for _, p := range pairs {
			if n := running(p.pair.b.life); n != 0 {
				t.Errorf("a connection has %d goroutines", n)
			}
			closePair(p.pair)
		}
		loop.Close()
		<-loop.Done()
	})
}

func TestUDPMuxICERestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		p := w.pair(0)
		defer closePair(p)
		a, b := p.dataPair(nil)
		t.Log("# a restart has other ufrags")
		for range 6 {
			offer, err := p.a.CreateOffer(&OfferOptions{ICERestart: true})
			p.must(err)
			p.must(p.a.SetLocalDescription(offer))
			p.must(p.b.SetRemoteDescription(offer))
			answer, err := p.b.CreateAnswer(nil)
			p.must(err)
			p.must(p.b.SetLocalDescription(answer))
			p.must(p.a.SetRemoteDescription(answer))
			time.Sleep(time.Second)
			p.echo(a, b, "after the restart")
			p.echo(b, a, "and back")
		}
		if n := len(w.mux.ufrags); n > maxMuxUfrags {
			t.Errorf("%d ufrags", n)
		}
	})
}

func TestUDPMuxListensAt(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		local      string // empty: the zero address
		has4, has6 bool
	}{
		{"", true, true},
		{"0.0.0.0", true, false},
		{"::", false, true},
		{"10.0.0.1", true, false},
		{"::ffff:10.0.0.1", true, false},
		{"10.0.0.2", false, false},
		{"2001:db8::1", false, true},
	} {
		x := &UDPMux{}
		if c.local != "" {
			x.at = netip.AddrPortFrom(netip.MustParseAddr(c.local), 7000)
		}
		if has4, has6 := x.listensAt(v4), x.listensAt(v6); has4 != c.has4 || has6 != c.has6 {
			t.Errorf("%q: %v and %v", c.local, has4, has6)
		}
	}
}

// running counts the goroutines of a connection.
func running(l *lifetime) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

func FuzzSTUNUfrag(f *testing.F) {
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername("a:b")).Raw)
	f.Add(make([]byte, 24))
	f.Fuzz(func(t *testing.T, pkt []byte) {
		if len(pkt) >= 20 && len(stunUfrag(pkt)) > len(pkt) {
			t.Error("a name from nowhere")
		}
	})
}
