package sctp

import (
	"testing"
	"time"
)

// TestRFC8985Reordering: packets that overtake each other by less than a quarter of the round trip are not taken for lost, once
// the path is known to do that.
func TestRFC8985Reordering(t *testing.T) {
	w := newWorld(t, 1, Config{}, Config{})
	w.a.out.delay, w.b.out.delay = 50*time.Millisecond, 50*time.Millisecond
	w.a.out.rate = 20 * mbit
	w.connect()
	w.a.out.jitter = 15 * time.Millisecond
	w.a.run = func(now time.Time) {
		for w.a.BufferedAmount(1) < 200_000 {
			w.a.mustSend(t, now, 1, make([]byte, 10_000), SendOptions{})
		}
	}
	w.runFor(5 * time.Second)
	before := w.a.Stats()
	w.runFor(10 * time.Second)
	s := w.a.Stats()
	sent, again := s.ChunksSent-before.ChunksSent, s.ChunksRetransmitted-before.ChunksRetransmitted
	t.Logf("%d chunks, %d again", sent, again)
	if again > sent/100 || sent < 5000 {
		t.Errorf("%d chunks, %d of them again without loss", sent, again)
	}
}

// TestRFC8985Blackout: after an outage the transfer goes on without waiting for a backed-off time-out longer than RTO.Max.
func TestRFC8985Blackout(t *testing.T) {
	for _, kind := range []Congestion{CongestionBBR, CongestionCUBIC} {
		w := newWorld(t, 1, Config{Congestion: kind}, Config{})
		w.a.out.rate = 50 * mbit
		w.connect()
		got := 0
		w.a.run = func(now time.Time) {
			for w.a.BufferedAmount(1) < 500_000 {
				w.a.mustSend(t, now, 1, make([]byte, 10_000), SendOptions{})
			}
		}
		w.b.run = func(time.Time) {
			got += len(w.b.got)
			w.b.got = w.b.got[:0]
		}
		w.runFor(2 * time.Second)
		w.a.out.loss, w.b.out.loss = 1, 1
		w.runFor(4 * time.Second)
		w.a.out.loss, w.b.out.loss = 0, 0
		w.runFor(4 * time.Second)
		got = 0
		w.runFor(2 * time.Second)
		if rate := float64(got) * 80_000 / 2e6; rate < 40 {
			t.Errorf("congestion control %d: %.1f of 50 Mbit/s after an outage", kind, rate)
		}
	}
}
