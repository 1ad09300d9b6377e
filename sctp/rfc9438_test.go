package sctp

import (
	"testing"
	"time"
)

// TestRFC9438Utilisation: CUBIC fills a path whose queue holds half a product, and HyStart++ leaves slow start in time.
func TestRFC9438Utilisation(t *testing.T) {
	for _, queue := range []time.Duration{25 * time.Millisecond, 200 * time.Millisecond} {
		l := impaired(queue, 0)
		d := newDumbbell(t, 1, l, 50*time.Millisecond, Config{Congestion: CongestionCUBIC})
		got := d.measure(2*time.Second, 20*time.Second)[0]
		t.Logf("queue %v: %.1f Mbit/s, %d dropped", queue, got, l.dropped)
		if got < 80 {
			t.Errorf("queue %v: %.1f Mbit/s", queue, got)
		}
		if l.dropped > 2000 {
			t.Errorf("queue %v: %d packets dropped", queue, l.dropped)
		}
	}
}

// TestRFC9438Decrease: a loss takes three tenths of the window, and what was needless is given back.
func TestRFC9438Decrease(t *testing.T) {
	c := newCubic(1000)
	c.cwnd, c.ssthresh = 100_000, 50_000
	c.onAck(&ackSample{now: 1e9, recovery: true, lost: 1000, priorInFlight: 100_000, smoothedRTT: 100 * time.Millisecond})
	if c.window() != 70_000 {
		t.Errorf("window %d after a loss", c.window())
	}
	c.onSpurious()
	if c.window() != 100_000 {
		t.Errorf("window %d after it proved needless", c.window())
	}
	// Section 4.2: the window is back at its old maximum K seconds after a loss.
	c.onAck(&ackSample{now: 2e9, recovery: true, lost: 1000, priorInFlight: 100_000, smoothedRTT: 100 * time.Millisecond})
	k := cubeRoot(30 / cubicC)
	for i := range int(k * 10) {
		c.onAck(&ackSample{now: 2e9 + tick(i)*1e8, acked: c.window(), limited: true, smoothedRTT: 100 * time.Millisecond})
	}
	if w := c.window(); w < 95_000 || w > 110_000 {
		t.Errorf("window %d after K = %.1f s", w, k)
	}
}
