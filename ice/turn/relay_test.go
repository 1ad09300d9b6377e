package turn

import (
	"net/netip"
	"testing"
	"time"

	"github.com/openparley/webrtc/internal/netsim"
)

// Two round trips for an allocation, one for a channel, and half a one for each way through it.
func TestPacketsAreRelayed(t *testing.T) {
	w := newWorld(t, worldOption{})
	begin := w.now()
	w.allocate()
	if took := w.now().Sub(begin); took != 80*time.Millisecond {
		t.Errorf("allocation after %v, want two round trips of 40 ms", took)
	}
	e, _ := last[EventAllocated](w.client.events)
	if e.Mapped != w.client.local || e.Lifetime != 10*time.Minute || e.Again {
		t.Errorf("%+v", e)
	}
	peer := w.bind()
	w.exchange(peer, "by channel")
	if s := w.server.s.Stats(); s.Allocations != 1 || s.ToPeers != 1 || s.ToClients != 1 {
		t.Errorf("%+v", s)
	}
}

// A packet may follow the request for its permission at once.
func TestFirstPacketWaitsForNothing(t *testing.T) {
	for _, bind := range []bool{false, true} {
		w := newWorld(t, worldOption{})
		w.allocate()
		peer := netip.MustParseAddrPort("32.0.0.1:6000")
		begin := w.now()
		var err error
		if bind {
			err = w.client.c.Bind(w.now(), peer)
		} else {
			err = w.client.c.CreatePermission(w.now(), peer.Addr())
		}
		if err != nil {
			t.Fatal(err)
		}
		w.client.send("first", peer)
		w.until("first packet", time.Second, func() bool { return len(w.peer.got) == 1 })
		if took := w.now().Sub(begin); took != 40*time.Millisecond {
			t.Errorf("first packet after %v, want the time of the way", took)
		}
		w.exchange(peer, "by indication or channel")
	}
}

func TestEverythingSurvivesLoss(t *testing.T) {
	for seed := range uint64(torture(100)) {
		w := newWorld(t, worldOption{
			seed: seed,
			link: netsim.LinkConfig{
				Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.05, Duplicate: 0.05, Reorder: 0.05,
			},
			// One request or answer in five is lost: seven attempts would be too few once in some ten thousand runs.
			client: func(c *Config) { c.RTO, c.MaxRequests = 100*time.Millisecond, 10 },
		})
		w.allocate()
		peer := w.bind()
		for len(w.peer.got) == 0 || len(w.client.got) == 0 {
			w.client.send("ping", peer)
			if len(w.peer.got) > 0 {
				w.peer.send("pong", peer, w.peer.got[0].from)
			}
			w.pass(100 * time.Millisecond)
		}
		if n := count[EventLost](w.client.events); n > 0 {
			t.Errorf("seed %d: lost %d times", seed, n)
		}
		w.client.c.Close(w.now())
		w.until("goodbye", time.Minute, func() bool { return w.client.c.State() == StateClosed })
	}
}

// A NAT forgets what is not used for half a minute; an idle allocation survives that, behind every kind.
func TestAllocationsSurviveNATs(t *testing.T) {
	for _, kind := range []netsim.NATKind{netsim.FullCone, netsim.AddressRestrictedCone, netsim.PortRestrictedCone, netsim.Symmetric} {
		w := newWorld(t, worldOption{nat: &netsim.NATConfig{Kind: kind, Timeout: 30 * time.Second, Addrs: []string{"31.0.0.1"}}})
		w.allocate()
		peer := w.bind()
		for range 10 {
			w.pass(5*time.Minute + 13*time.Second)
			got := len(w.client.got)
			w.peer.send("are you there?", peer, w.client.c.Relayed()[0])
			w.until("data from the peer", time.Second, func() bool { return len(w.client.got) > got })
		}
		if s := w.server.s.Stats(); s.AllocationsTotal != 1 || s.Dropped > 0 {
			t.Errorf("%v: %+v", kind, s)
		}
	}
}

// A NAT that was restarted gives us another address: the server takes us for somebody else, and gives us another
// allocation.
func TestReboundNAT(t *testing.T) {
	w := newWorld(t, worldOption{nat: &netsim.NATConfig{Kind: netsim.Symmetric, Addrs: []string{"31.0.0.1"}}})
	w.allocate()
	peer := w.bind()
	w.exchange(peer, "before")
	w.nat.Reset()
	begin := w.now()
	for e, _ := last[EventAllocated](w.client.events); !e.Again; e, _ = last[EventAllocated](w.client.events) {
		w.client.send("media", peer)
		w.pass(20 * time.Millisecond)
		if w.now().Sub(begin) > 3*time.Second {
			t.Fatalf("no allocation again: %+v", w.client.events)
		}
	}
	w.until("channel", time.Second, func() bool { return w.client.c.Ready(peer) })
	w.pass(time.Second)
	w.exchange(peer, "after")
}
