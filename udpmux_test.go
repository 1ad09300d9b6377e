package webrtc

import (
	"fmt"
	"net/netip"
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
	cert Certificate
}

func newMuxWorld(t *testing.T) *muxWorld {
	t.Helper()
	w := &muxWorld{t: t, net: netsim.New(1), cert: testCertificate(t)}
	w.live = netsim.NewLive(w.net)
	w.host = w.live.Host(w.net.Connect("host", testLink, "10.0.0.1"))
	conn, err := w.host.ListenUDP(netip.MustParseAddrPort("0.0.0.0:7000"))
	if err != nil {
		t.Fatal(err)
	}
	w.mux = newUDPMux([]netio.PacketConn{conn})
	return w
}

func (w *muxWorld) close() {
	if err := w.mux.Close(); err != nil {
		w.t.Error(err)
	}
	if x := w.mux; len(x.remotes)+len(x.ufrags)+len(x.transactions) != 0 {
		w.t.Errorf("left in the tables: %d addresses, %d ufrags, %d transactions", len(x.remotes), len(x.ufrags), len(x.transactions))
	}
	w.live.Close()
}

func (w *muxWorld) connection(network netio.Network, mux *UDPMux) *PeerConnection {
	w.t.Helper()
	api, err := NewAPI(Settings{network: network, UDPMux: mux})
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
	addr := fmt.Sprintf("10.0.%d.%d", 1+i/200, 1+i%200)
	var host *netsim.Host
	w.live.Do(func(n *netsim.Network) { host = n.Connect(addr, testLink, addr) })
	p := &pair{
		t: w.t, net: w.net, live: w.live,
		a: w.connection(w.live.Host(host), nil), b: w.connection(w.host, w.mux),
	}
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

func TestUDPMuxManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		const count = 200
		pairs := make([]*pair, count)
		chans := make([][2]*DataChannel, count)
		start := time.Now()
		for i := range pairs {
			pairs[i] = w.pair(i)
			chans[i][0], chans[i][1] = pairs[i].dataPair(nil)
		}
		t.Logf("%d connections one after the other after %v of virtual time", count, time.Since(start))
		for i, p := range pairs {
			p.echo(chans[i][0], chans[i][1], fmt.Sprintf("to the mux %d", i))
			p.echo(chans[i][1], chans[i][0], fmt.Sprintf("from the mux %d", i))
		}
		synctest.Wait()
		for _, p := range pairs {
			if n := running(p.b.life); n > 1 {
				t.Fatalf("a connection on the mux has %d goroutines", n)
			}
			if pair := (&ICETransport{p.b}).GetSelectedCandidatePair(); pair.Local.Port != 7000 {
				t.Errorf("local port %d", pair.Local.Port)
			}
		}
		for _, p := range pairs {
			closePair(p)
		}
	})
}

func TestUDPMuxRestart(t *testing.T) {
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

func TestUDPMuxIsNotPoisoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		p, evil := w.pair(0), w.pair(1)
		defer closePair(p)
		defer closePair(evil)
		a, b := p.dataPair(nil)
		evil.dataPair(nil)
		victim := p.b.transport
		var remote netip.AddrPort
		w.mux.mu.RLock()
		for r, h := range w.mux.remotes {
			if h.m == victim.muxed {
				remote = r
			}
		}
		w.mux.mu.RUnlock()
		t.Log("# somebody with a connection of its own forges checks from the victim's address")
		ours := evil.b.transport.engine.ice.LocalParameters()
		theirs := evil.a.transport.engine.ice.LocalParameters()
		for range 10 {
			check := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ours.Ufrag+":"+theirs.Ufrag),
				stun.RawAttribute{Type: stun.AttrPriority, Length: 4, Value: []byte{1, 2, 3, 4}},
				stun.NewShortTermIntegrity(ours.Pwd), stun.Fingerprint)
			to, base := w.mux.find(netip.MustParseAddr("10.0.0.1"), remote, check.Raw)
			if to != evil.b.transport.muxed {
				t.Fatal("the check is not the forger's")
			}
			var d muxDelivery
			d.deliver(to, base, remote, check.Raw)
			d.end()
			p.echo(a, b, "still here")
			w.mux.mu.RLock()
			if h := w.mux.remotes[remote]; h.m != victim.muxed || !h.answered {
				t.Errorf("the address was taken: %+v", h)
			}
			w.mux.mu.RUnlock()
		}
		if n := len(evil.b.transport.muxed.remotes); n > 1 {
			t.Errorf("the forger has %d addresses", n)
		}
		t.Log("# rubbish is nobody's")
		for _, pkt := range [][]byte{{}, {0}, {0, 1}, make([]byte, 20), append([]byte{0, 1, 0, 0}, make([]byte, 40)...)} {
			if to, _ := w.mux.find(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddrPort("10.9.9.9:9"), pkt); to != nil {
				t.Errorf("%x has found a connection", pkt)
			}
		}
	})
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
