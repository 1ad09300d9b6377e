package webrtc

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netio"
	"github.com/openparley/webrtc/internal/netsim"
)

// namedNetwork is a simulated host with multicast DNS.
type namedNetwork struct {
	netio.Network
	live  *netsim.Live
	names map[string]bool // guarded by Live.Do
	total *int
}

func (n *namedNetwork) Publish(addr netip.Addr) (name string, err error) {
	n.live.Do(func(net *netsim.Network) {
		*n.total++
		name = fmt.Sprintf("host-%d.local", *n.total)
		n.names[name] = true
		net.AddName(name, addr.String())
	})
	return name, nil
}

func (n *namedNetwork) Unpublish(name string) {
	n.live.Do(func(*netsim.Network) { delete(n.names, name) })
}

func TestLocalAddressesHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names, total := map[string]bool{}, 0
		var live *netsim.Live
		sim := netsim.New(1)
		live = netsim.NewLive(sim)
		connection := func(name, addr string) *PeerConnection {
			host := live.Host(sim.Connect(name, testLink, addr))
			api, err := NewAPI(Settings{
				HideLocalAddresses: true,
				network:            &namedNetwork{Network: host, live: live, names: names, total: &total},
			})
			if err != nil {
				t.Fatal(err)
			}
			pc, err := api.NewPeerConnection(Configuration{Certificates: []Certificate{testCertificate(t)}})
			if err != nil {
				t.Fatal(err)
			}
			return pc
		}
		p := &pair{t: t, net: sim, live: live, a: connection("a", "10.0.0.1"), b: connection("b", "10.0.0.2")}
		trickle(t, p.a, p.b)
		trickle(t, p.b, p.a)
		p.dataPair(nil)
		time.Sleep(time.Second)
		for _, pc := range []*PeerConnection{p.a, p.b} {
			if sdp := pc.LocalDescription().SDP; strings.Contains(sdp, "10.0.0.") || !strings.Contains(sdp, ".local ") {
				t.Errorf("the description tells an address:\n%s", sdp)
			}
		}
		if len(names) != 2 {
			t.Errorf("names %v", names)
		}
		p.close()
		if len(names) != 0 {
			t.Errorf("names %v are left", names)
		}
	})
}

func TestICELite(t *testing.T) {
	for _, offers := range []bool{true, false} {
		inBubble(t, pairOptions{settings: func(name string, s *Settings) { s.ICELite = name == "b" }}, func(p *pair) {
			if !offers {
				p.a, p.b = p.b, p.a
			}
			p.dataPair(nil)
			time.Sleep(2 * time.Minute)
			for _, pc := range []*PeerConnection{p.a, p.b} {
				if s := pc.ConnectionState(); s != PeerConnectionStateConnected {
					t.Errorf("state %v after two minutes", s)
				}
				if lite := strings.Contains(pc.LocalDescription().SDP, "a=ice-lite"); lite != pc.api.settings.ICELite {
					t.Errorf("ice-lite in the description: %v", lite)
				}
			}
		})
	}
}
