package webrtc

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/pion/stun/v3"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

func iceParameters(pc *PeerConnection) ice.Parameters {
	pc.transport.mu.Lock()
	defer pc.transport.mu.Unlock()
	return pc.transport.engine.ice.LocalParameters()
}

// check is a connectivity check for p.b as p.a would send it. With another key its integrity is wrong.
func (p *pair) check(key string) []byte {
	ours := iceParameters(p.b)
	return stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ours.Ufrag+":"+iceParameters(p.a).Ufrag),
		stun.RawAttribute{Type: stun.AttrPriority, Length: 4, Value: []byte{1, 2, 3, 4}},
		stun.NewShortTermIntegrity(ours.Pwd+key), stun.Fingerprint).Raw
}

// holds wants an address to be a connection's.
func (w *muxWorld) holds(pc *PeerConnection, remote netip.AddrPort) {
	w.t.Helper()
	if h := w.mux.remotes.get(remote); h.m != pc.transport.muxed || !h.answered {
		w.t.Errorf("%v is another's: %+v", remote, h)
	}
}

func TestUDPMuxIsNotPoisoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		pairs := w.connectAll(2)
		p, evil := pairs[0], pairs[1]
		defer closePair(p.pair)
		defer closePair(evil.pair)
		remote := w.remotes(p.pair.b)[0]
		t.Log("# somebody with a connection of its own forges checks from the victim's address")
		for range 10 {
			w.forge(remote, evil.check(""))
			p.echo(p.a, p.b, "still here")
			p.echo(p.b, p.a, "and so are we")
			w.holds(p.pair.b, remote)
		}
		if n := len(w.remotes(evil.pair.b)); n != 1 {
			t.Errorf("the forger has %d addresses", n)
		}
		t.Log("# somebody sends with the victim's user name, but not its password, from everywhere")
		for i := range 200 {
			w.forge(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, byte(i)}), 4000), p.check("not"))
		}
		p.echo(p.a, p.b, "still here")
		if n := len(w.remotes(p.pair.b)); n != 1 {
			t.Errorf("the victim has %d addresses", n)
		}
		t.Log("# somebody repeats a check that was recorded, from everywhere")
		recorded := p.check("")
		for i := range 200 {
			w.forge(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 3, 0, byte(i)}), 4000), recorded)
		}
		synctest.Wait()
		w.holds(p.pair.b, remote)
		p.echo(p.a, p.b, "still here")
		p.echo(p.b, p.a, "and so are we")
		w.holds(p.pair.b, remote)
		if n := len(w.remotes(p.pair.b)); n > maxMuxRemotes {
			t.Errorf("the victim has %d addresses", n)
		}
		if n := w.mux.Stats().RemoteAddresses; n > maxMuxRemotes+1 {
			t.Errorf("%d addresses in the table", n)
		}
	})
}

func TestUDPMuxDropsRubbish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		pairs := w.connectAll(3)
		p := pairs[0]
		remote := w.remotes(p.pair.b)[0]
		before := w.mux.Stats()
		t.Log("# what is nobody's touches nobody")
		const flood = 2000
		seed := rand.New(rand.NewPCG(1, 2))
		for i := range flood {
			data := make([]byte, 1+seed.IntN(100))
			for k := range data {
				data[k] = byte(seed.Uint32())
			}
			if i%4 == 0 && len(data) >= 2 {
				data[0], data[1] = 0, 1
			}
			w.forge(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 4, byte(i >> 8), byte(i)}), uint16(1+i)), data)
		}
		synctest.Wait()
		p.echo(p.a, p.b, "through the flood")
		s := w.mux.Stats()
		if n := s.PacketsUnknown - before.PacketsUnknown; n != flood {
			t.Errorf("%d packets were nobody's, want %d", n, flood)
		}
		if s.RemoteAddresses != before.RemoteAddresses {
			t.Errorf("%d addresses in the table", s.RemoteAddresses)
		}
		t.Log("# what seems to come from a peer ends nothing")
		for range flood {
			data := make([]byte, 1+seed.IntN(100))
			for k := range data {
				data[k] = byte(seed.Uint32())
			}
			w.forge(remote, data)
		}
		for _, p := range pairs {
			p.echo(p.a, p.b, "still here")
			p.echo(p.b, p.a, "and so are we")
		}
		w.holds(p.pair.b, remote)
		for _, p := range pairs {
			closePair(p.pair)
		}
	})
}

func TestUDPMuxDemultiplexing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		defer w.close()
		p := w.connectAll(1)[0]
		defer closePair(p.pair)
		stranger := netip.MustParseAddrPort("10.9.9.9:9")
		for _, pkt := range [][]byte{{}, {0}, {0, 1}, {1, 1}, {20}, {128}, make([]byte, 20), append([]byte{0, 1, 0, 0}, make([]byte, 40)...)} {
			if to := w.mux.find(stranger, pkt); to != nil {
				t.Errorf("%x has found a connection", pkt)
			}
		}
		if raceEnabled {
			return
		}
		t.Log("# and neither that nor finding somebody costs memory")
		var batch netio.Batch
		batch.Messages = []netio.Message{
			{Data: make([]byte, 100), Remote: stranger},
			{Data: strangersCheck(), Remote: stranger},
			{Data: append([]byte{128}, make([]byte, 99)...), Segment: 10, Remote: stranger},
			{Data: append([]byte{200}, make([]byte, 99)...), Remote: w.remotes(p.pair.b)[0], Local: muxAddr.Addr()},
		}
		if n := testing.AllocsPerRun(100, func() { w.mux.dispatch(w.mux.ports[0], &batch) }); n != 0 {
			t.Errorf("%v allocations for a batch", n)
		}
	})
}

// strangersCheck is a check for a connection that does not exist.
func strangersCheck() []byte {
	return stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername("no:body"), stun.Fingerprint).Raw
}
