package ice

import (
	"net/netip"
	"testing"
	"time"
)

// move gives a node other addresses while it runs.
func (n *node) move(addrs ...string) {
	n.addrs = nil
	for _, s := range addrs {
		n.addrs = append(n.addrs, netip.MustParseAddr(s))
	}
	n.a.NetworkChanged(n.w.now)
	n.pump()
}

// mediaBack sends media both ways until it arrives again, and returns how long that took.
func (w *world) mediaBack(a, b *node, limit time.Duration) time.Duration {
	w.t.Helper()
	start := w.now
	w.run(3*w.delay, nil) // what is on its way
	heard := func() [2]int { return [2]int{len(a.heard), len(b.heard)} }
	before := heard()
	both := func() bool { h := heard(); return h[0] > before[0] && h[1] > before[1] }
	for !both() && w.now.Sub(start) < limit {
		a.say("\x80media")
		b.say("\x80media")
		w.run(20*time.Millisecond, both)
	}
	if !both() {
		w.t.Fatalf("no media after %v\n%s", limit, w.trace.String())
	}
	return w.now.Sub(start)
}

func TestRoaming(t *testing.T) {
	for _, c := range []struct {
		name   string
		mover  int
		first  []string
		second []string
		server bool
	}{
		{"controlling, another address", 0, []string{"198.51.100.1"}, []string{"198.51.100.9"}, false},
		{"controlled, another address", 1, []string{"198.51.100.1"}, []string{"198.51.100.9"}, false},
		{"controlling, one of two is left", 0, []string{"198.51.100.1", "198.51.100.2"}, []string{"198.51.100.2"}, false},
		{"controlled, one of two is left", 1, []string{"198.51.100.1", "198.51.100.2"}, []string{"198.51.100.2"}, false},
		{"controlling, behind a NAT", 0, []string{"10.0.0.1"}, []string{"10.7.0.1"}, true},
		{"controlled, behind a NAT", 1, []string{"10.0.0.1"}, []string{"10.7.0.1"}, true},
	} {
		for _, delay := range []time.Duration{10 * time.Millisecond, 75 * time.Millisecond} {
			t.Run(c.name, func(t *testing.T) {
				w := newWorld(t, 1)
				w.delay = delay
				cfg := Config{}
				if c.server {
					cfg = withSTUN
				}
				addrs := [2][]string{{"198.51.100.50"}, {"198.51.100.50"}}
				addrs[c.mover] = c.first
				a, b := w.add("a", cfg, addrs[0]...), w.add("b", cfg, addrs[1]...)
				mover := [2]*node{a, b}[c.mover]
				if c.server {
					mover.nat = newNAT("198.51.100.77", false)
				}
				w.connect(a, b)
				if !w.run(5*time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
					t.Fatalf("no connection\n%s", w.trace.String())
				}
				w.run(10*time.Second, nil)
				a.mute, b.mute = true, true
				w.chat(a, b)
				mover.move(c.second...)
				took := w.mediaBack(a, b, 10*time.Second)
				t.Logf("RTT %v: media is back after %v", 2*delay, took)
				if took > time.Second {
					t.Errorf("media is back after %v, want a second\n%s", took, w.trace.String())
				}
				w.run(time.Minute, nil)
				if !a.up() || !b.up() {
					t.Errorf("a minute later: %v and %v", a.a.State(), b.a.State())
				}
				w.chat(a, b)
			})
		}
	}
}

func TestANewInterfaceChangesNothingThatWorks(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.add("a", Config{}, "198.51.100.1"), w.add("b", Config{}, "198.51.100.2")
	w.connect(a, b)
	w.run(10*time.Second, nil)
	a.mute, b.mute = true, true
	before, _ := b.a.Route()
	n := len(a.events)
	a.move("198.51.100.1")
	w.run(time.Second, nil)
	if len(a.events) != n+1 {
		t.Errorf("a spurious call: %v", a.events[n:])
	}
	a.move("198.51.100.1", "198.51.100.3")
	w.run(20*time.Second, nil)
	if after, _ := b.a.Route(); after != before || !a.in(StateCompleted) || !b.in(StateCompleted) {
		t.Errorf("route %+v, before %+v; %v and %v", after, before, a.a.State(), b.a.State())
	}
	if len(a.selects) != 1 {
		t.Errorf("selected %v", a.selects)
	}
	t.Log("# the new one is ready when the old one goes")
	a.move("198.51.100.3")
	if took := w.mediaBack(a, b, 5*time.Second); took > time.Second {
		t.Errorf("media is back after %v", took)
	}
}
