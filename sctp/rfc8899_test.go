package sctp

import (
	"testing"
	"time"
)

// TestRFC8899Search finds the packet size of paths that carry more than the base.
func TestRFC8899Search(t *testing.T) {
	for _, tc := range []struct{ link, low, high int }{
		{1444, 1444, 1444}, // the first probe passes
		{1300, 1280, 1300},
		{1172, 1172, 1172},
		{0, 1444, 1444},
	} {
		c := Config{Path: Path{MTU: 1172, MaxMTU: 1444}}
		w := newWorld(t, 1, c, c)
		w.a.out.mtu, w.b.out.mtu = tc.link, tc.link
		w.connect()
		w.runFor(60 * time.Second)
		if got := w.a.Stats().MTU; got < tc.low || got > tc.high {
			t.Errorf("link of %d: MTU %d", tc.link, got)
		}
		if s := w.a.Stats(); s.Timeouts+s.FastRecoveries > 0 || s.CongestionWindow < initialWindow(1172) {
			t.Errorf("lost probes were taken for congestion: %+v", s)
		}
		w.a.mustSend(t, w.now, 1, payload(100_000, 1), SendOptions{})
		w.runUntil(time.Second, "message", func() bool { return len(w.b.got) == 1 })
	}
}

// TestRFC8899BlackHole: a path that carries less from now on is noticed, and what is under way gets through.
func TestRFC8899BlackHole(t *testing.T) {
	c := Config{Path: Path{MTU: 1172, MaxMTU: 1444}}
	w := newWorld(t, 1, c, c)
	w.connect()
	w.runFor(10 * time.Second)
	if w.a.Stats().MTU != 1444 {
		t.Fatal("no probe passed")
	}
	w.a.out.mtu = 1300
	for i := range 20 {
		w.a.mustSend(t, w.now, 1, payload(900+i, uint32(i)), SendOptions{})
	}
	w.runUntil(30*time.Second, "messages", func() bool { return len(w.b.got) == 20 })
	if got := w.a.Stats().MTU; got > 1300 {
		t.Errorf("MTU %d", got)
	}
}

// TestMTUShrinks: a socket refused a datagram.
func TestMTUShrinks(t *testing.T) {
	w := newWorld(t, 1, Config{Path: Path{MTU: 1400}}, Config{})
	w.connect()
	w.a.mustSend(t, w.now, 1, payload(100_000, 1), SendOptions{})
	w.pump(w.a)
	w.a.SetPath(w.now, Path{MTU: 1000, MaxMTU: 1400})
	w.runUntil(5*time.Second, "message", func() bool { return len(w.b.got) == 1 })
	if got := w.a.Stats().MTU; got != 1400 {
		w.runFor(20 * time.Second)
		if got = w.a.Stats().MTU; got != 1400 {
			t.Errorf("MTU %d: the search did not begin anew", got)
		}
	}
}
