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
		w := newWorld(t, worldOption{seed: seed, link: netsim.LinkConfig{
			Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.1, Duplicate: 0.05, Reorder: 0.05,
		}})
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
