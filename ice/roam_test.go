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

// moveStreams gives a node other addresses, and whoever is connected from those before waits for it in vain.
func (n *node) moveStreams(addrs ...string) {
	for _, local := range n.streams {
		delete(n.w.turn.clients, local)
	}
	n.move(addrs...)
}

// A connection to a server does not tell that its local address is gone: it would be silent for minutes.
func TestRoamingByAConnection(t *testing.T) {
	for _, gap := range []time.Duration{0, 5 * time.Second, 20 * time.Second} {
		w, a, b := relayPair(t, withTURN(overTCP), withTURN(), false)
		w.blocked = udpOf(a)
		w.connect(a, b)
		w.run(5*time.Second, nil)
		w.chat(a, b)
		a.mute, b.mute = true, true
		if gap > 0 {
			t.Log("# no network: attempts to connect fail at once, and in the end are given up")
			a.moveStreams()
			w.run(gap, nil)
			a.move("10.7.0.1")
		} else {
			a.moveStreams("10.7.0.1")
		}
		if took := w.mediaBack(a, b, 10*time.Second); took > 30*w.delay {
			t.Errorf("media is back after %v, %v one way\n%s", took, w.delay, w.trace.String())
		}
		if n := len(a.streams); n != 1 {
			t.Errorf("%d connections", n)
		}
	}
}

// A host that begins without a network comes to its servers when there is one.
func TestServersAreAskedWhenThereIsANetwork(t *testing.T) {
	w, a, b := relayPair(t, withTURN(overTCP, func(c *Config) { c.Servers[0].Host = "turn.example.org" }), withTURN(), false)
	w.blocked = udpOf(a)
	a.addrs = nil
	w.connect(a, b)
	w.run(6*time.Second, nil)
	w.names = map[string][]netip.Addr{"turn.example.org": {turnServer.Addr()}}
	t.Log("# a network, and with it names")
	a.move("10.0.0.1")
	if !w.run(2*time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatalf("no connection\n%s", w.trace.String())
	}
	w.chat(a, b)
}

// An address is there before the route that goes with it: what was sent into the void does not wait for its timers.
func TestRequestsAreSentAgainWhenTheNetworkChanges(t *testing.T) {
	w, a, b := relayPair(t, withTURN(), withTURN(), false)
	w.connect(a, b)
	w.run(5*time.Second, nil)
	a.mute, b.mute = true, true
	through := false
	w.blocked = func(from, to netip.AddrPort) bool { return !through && udpOf(a)(from, to) }
	a.move("10.7.0.1")
	w.run(2600*time.Millisecond, nil) // the requests have gone at 0, 0.5 and 1.5 s
	through = true
	a.move("10.7.0.1")
	if took := w.mediaBack(a, b, 10*time.Second); took > 30*w.delay {
		t.Errorf("media is back after %v, %v one way\n%s", took, w.delay, w.trace.String())
	}
}

// What changes while the interfaces are being listed is not overlooked.
func TestAChangeDuringTheListing(t *testing.T) {
	w := newWorld(t, 1)
	a := w.add("a", Config{}, "198.51.100.1")
	take := func() (list []EventInterfaces) {
		for e, ok := a.a.Event(); ok; e, ok = a.a.Event() {
			if i, is := e.(EventInterfaces); is {
				list = append(list, i)
			}
		}
		return list
	}
	want := func(n int) EventInterfaces {
		t.Helper()
		list := take()
		if len(list) != n {
			t.Fatalf("asked %d times, want %d", len(list), n)
		}
		return append(list, EventInterfaces{})[0]
	}
	a.a.Gather(w.now)
	first := want(1)
	a.a.NetworkChanged(w.now)
	want(0)
	a.a.HandleInterfacesResult(w.now, first.Gen, nil, nil)
	want(1)
	a.a.NetworkChanged(w.now)
	a.a.NetworkChanged(w.now)
	want(0)
	a.a.HandleInterfacesResult(w.now, first.Gen, nil, nil)
	want(1)
	a.a.HandleInterfacesResult(w.now, first.Gen, a.addrs, nil)
	want(0)
	if len(a.a.bases) == 0 {
		t.Error("the address was overlooked")
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
