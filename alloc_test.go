package webrtc

import (
	"testing"
	"testing/synctest"

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
