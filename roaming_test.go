package webrtc

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netio"
	"github.com/openparley/webrtc/internal/netsim"
)

// watchedNetwork is a simulated host that tells when its interfaces change.
type watchedNetwork struct {
	netio.Network
	changed map[*func()]bool // guarded by Live.Do
	live    *netsim.Live
}

func (n *watchedNetwork) Watch(changed func()) (stop func()) {
	n.live.Do(func(*netsim.Network) { n.changed[&changed] = true })
	return func() { n.live.Do(func(*netsim.Network) { delete(n.changed, &changed) }) }
}

// move gives the host another address.
func (n *watchedNetwork) move(h *netsim.Host, addrs ...string) {
	var told []func()
	n.live.Do(func(*netsim.Network) {
		h.Interfaces()[0].SetAddrs(addrs...)
		for f := range n.changed {
			told = append(told, *f)
		}
	})
	for _, f := range told {
		f()
	}
}

// A host changes its address in mid-call, and nobody signals anything.
func TestRoamingWithoutSignaling(t *testing.T) {
	for _, offers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			sim := netsim.New(1)
			live := netsim.NewLive(sim)
			connection := func(network netio.Network) *PeerConnection {
				api, err := NewAPI(Settings{network: network})
				if err != nil {
					t.Fatal(err)
				}
				pc, err := api.NewPeerConnection(Configuration{Certificates: []Certificate{testCertificate(t)}})
				if err != nil {
					t.Fatal(err)
				}
				return pc
			}
			roamer := sim.Connect("roamer", testLink, "10.0.0.1/16")
			watched := &watchedNetwork{Network: live.Host(roamer), changed: map[*func()]bool{}, live: live}
			p := &pair{
				t: t, net: sim, live: live, a: connection(watched),
				b: connection(live.Host(sim.Connect("other", testLink, "10.0.0.2/16"))),
			}
			if !offers {
				p.a, p.b = p.b, p.a
			}
			trickle(t, p.a, p.b)
			trickle(t, p.b, p.a)
			a, b := p.dataPair(nil)
			time.Sleep(10 * time.Second)
			p.echo(a, b, "before")
			for _, pc := range []*PeerConnection{p.a, p.b} {
				pc.OnICECandidate(nil)
			}
			for _, addr := range []string{"10.0.7.7/16", "10.0.8.8/16"} {
				watched.move(roamer, addr)
				start := time.Now()
				p.echo(a, b, "there")
				p.echo(b, a, "and back")
				t.Logf("messages both ways after %v", time.Since(start))
				if d := time.Since(start); d > 2*time.Second {
					t.Errorf("messages both ways after %v", d)
				}
				time.Sleep(20 * time.Second)
			}
			for _, pc := range []*PeerConnection{p.a, p.b} {
				if s := pc.ConnectionState(); s != PeerConnectionStateConnected {
					t.Errorf("state %v", s)
				}
			}
			p.close()
			if len(watched.changed) != 0 {
				t.Error("the interfaces are still watched")
			}
		})
	}
}
