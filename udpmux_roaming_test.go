package webrtc

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netsim"
)

// A peer that changes its address again and again goes on, whichever reader serves it, and leaves little behind.
func TestUDPMuxRoaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		var host *netsim.Host
		w.live.Do(func(n *netsim.Network) { host = n.Connect("roamer", testLink, "10.1.0.1/8") })
		roamer := &watchedNetwork{Network: w.live.Host(host), changed: map[*func()]bool{}, live: w.live}
		p := w.pairWith(w.connection(roamer, nil))
		defer closePair(p)
		a, b := p.dataPair(nil)
		for _, pc := range []*PeerConnection{p.a, p.b} {
			pc.OnICECandidate(nil)
		}
		for i := range maxMuxRemotes + 9 {
			roamer.move(host, fmt.Sprintf("10.5.0.%d/8", 1+i))
			start := time.Now()
			p.echo(a, b, "there")
			p.echo(b, a, "and back")
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("messages both ways after %v", d)
			}
			time.Sleep(10 * time.Second)
		}
		if n := w.mux.Stats().RemoteAddresses; n > maxMuxRemotes {
			t.Errorf("%d addresses in the table", n)
		}
	})
}

// The host of the port changes its address under all its connections.
func TestUDPMuxHostMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		moving := &watchedNetwork{Network: w.host, changed: map[*func()]bool{}, live: w.live}
		w.host = moving
		pairs := w.connectAll(10)
		for _, addr := range []string{"10.0.7.7/8", "10.0.8.8/8"} {
			moving.move(w.far, addr)
			start := time.Now()
			for _, p := range pairs {
				p.echo(p.a, p.b, "in")
				p.echo(p.b, p.a, "out")
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("messages both ways after %v", d)
			}
			time.Sleep(10 * time.Second)
		}
		if s := w.mux.Stats(); s.Connections != len(pairs) || s.RemoteAddresses != len(pairs) {
			t.Errorf("%+v", s)
		}
		for _, p := range pairs {
			closePair(p.pair)
		}
	})
}

// A peer vanishes, and somebody else gets its address and port: the packets go to the connection of whoever is there.
func TestUDPMuxAddressChangesHands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { testAddressChangesHands(t, false) })
}

// A lite agent asks nothing: it has the checks of its peers to go by.
func TestUDPMuxAddressChangesHandsOfLite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { testAddressChangesHands(t, true) })
}

func testAddressChangesHands(t *testing.T, lite bool) {
	w := newMuxWorld(t)
	defer w.close()
	w.lite = lite
	host := w.net.Connect("nat", testLink, "10.1.0.1/8")
	client := func() *PeerConnection {
		api, err := NewAPI(Settings{network: w.live.Host(host), UDPPortMin: 5000, UDPPortMax: 5000})
		if err != nil {
			t.Fatal(err)
		}
		pc, err := api.NewPeerConnection(Configuration{Certificates: []Certificate{w.cert}})
		if err != nil {
			t.Fatal(err)
		}
		return pc
	}
	remote := netip.MustParseAddrPort("10.1.0.1:5000")
	first := w.pairWith(client())
	first.dataPair(nil)
	w.holds(first.b, remote)
	t.Log("# the first one goes without a word")
	old := first.check("")
	up := func(up bool) { w.live.Do(func(*netsim.Network) { host.Interfaces()[0].SetUp(up) }) }
	up(false)
	first.must(first.a.Close())
	<-first.a.Done()
	up(true)
	second := w.pairWith(client())
	a, b := second.dataPair(nil)
	second.echo(a, b, "in")
	second.echo(b, a, "out")
	w.holds(second.b, remote)
	if s := first.b.ConnectionState(); s != PeerConnectionStateConnected && s != PeerConnectionStateDisconnected {
		t.Errorf("the first one is %v already", s)
	}
	t.Log("# nobody gives it back who only knows the first one's user name, or has recorded a check")
	if !lite {
		w.forge(remote, old)
	}
	w.forge(remote, first.check("not"))
	synctest.Wait()
	w.holds(second.b, remote)
	second.echo(a, b, "in")
	w.holds(second.b, remote)
	t.Log("# nor does the end of the first one take it away")
	time.Sleep(time.Minute)
	if s := first.b.ConnectionState(); s != PeerConnectionStateFailed {
		t.Errorf("the first one is %v", s)
	}
	first.must(first.b.Close())
	<-first.b.Done()
	w.holds(second.b, remote)
	second.echo(a, b, "in")
	closePair(second)
}
