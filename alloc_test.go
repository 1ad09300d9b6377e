package webrtc

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
)

func TestWriteRTPDoesNotAllocate(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) { // without a path: the simulated network allocates
		track := p.staticRTP(vp8, "video")
		_, err := p.a.AddTrack(track)
		p.must(err)
		p.negotiate(p.a, p.b)
		synctest.Wait()
		if len(*track.bindings.Load()) != 1 {
			t.Fatal("the track is not bound")
		}
		pkt := packet(1, make([]byte, 1000)...)
		if n := testing.AllocsPerRun(1000, func() { _ = track.WriteRTP(pkt) }); n > 0.01 && !raceEnabled {
			t.Errorf("WriteRTP: %v allocations", n)
		}
		batch := []*rtp.Packet{pkt, pkt}
		if n := testing.AllocsPerRun(1000, func() { _ = track.WriteRTPBatch(batch) }); n > 0.01 && !raceEnabled {
			t.Errorf("WriteRTPBatch: %v allocations", n)
		}
	})
}

// TestGarbageDoesNotAllocate: what a peer or somebody with its address sends may not cost memory.
func TestGarbageDoesNotAllocate(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.dataPair(nil)
		synctest.Wait()
		p.a.transport.mu.Lock()
		defer p.a.transport.mu.Unlock()
		engine, now := p.a.transport.engine, time.Now()
		route, ok := engine.ice.Route()
		if !ok {
			t.Fatal("no route")
		}
		record := append([]byte{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 1, 0, 0, 40}, make([]byte, 40)...)
		unified := append([]byte{0x2c | 3, 0, 0, 0, 40}, make([]byte, 40)...)
		check := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
		for _, pkt := range [][]byte{
			{0},
			{64, 0, 0, 9},
			{20},
			{63, 1, 2},
			{100},
			{128},
			{200},
			check, record, unified,
			append([]byte{128, 96}, make([]byte, 98)...), append([]byte{128, 200}, make([]byte, 98)...),
		} {
			garbage := make([]byte, len(pkt))
			take := func() {
				copy(garbage, pkt)
				engine.handlePacket(now, route.Base, route.Remote, garbage)
			}
			for range 1000 {
				take() // what may be early media waits, up to a limit
			}
			n := testing.AllocsPerRun(100, take)
			if n != 0 && !raceEnabled {
				t.Errorf("%x: %v allocations", pkt, n)
			}
		}
	})
}
