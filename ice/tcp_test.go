package ice

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func (n *node) overTCP() bool {
	r, ok := n.a.Route()
	return ok && r.Stream
}

// tidy closes both and wants nothing left.
func (w *world) tidy() {
	w.t.Helper()
	for _, n := range w.peers {
		n.a.Close(w.now)
		n.pump()
		if len(n.wires)+len(n.tcp)+len(n.bases) != 0 {
			w.t.Errorf("%s has %d connections, %d listeners, %d sockets left", n.name, len(n.wires), len(n.tcp), len(n.bases))
		}
	}
}

func TestTCPWhereUDPIsBlocked(t *testing.T) {
	for _, listener := range []string{"answers", "offers"} {
		t.Run("the listener "+listener, func(t *testing.T) {
			w := newWorld(t, 1)
			a, b := newTCPPair(w, false)
			offerer, answerer := a, b
			if listener == "offers" {
				offerer, answerer = b, a
			}
			w.connect(offerer, answerer)
			if !w.run(time.Second, func() bool { return a.up() && b.up() && a.overTCP() && b.overTCP() }) {
				t.Fatalf("no connection\n%s", w.trace.String())
			}
			t.Logf("connected after %v, %v one way", w.now.Sub(w.start), w.delay)
			w.chat(a, b)
			w.run(5*time.Minute, nil)
			w.chat(a, b)
			if len(a.selects) != 1 || len(b.selects) != 1 || w.dialed != 1 {
				t.Errorf("%d and %d selections, %d connections", len(a.selects), len(b.selects), w.dialed)
			}
			w.tidy()
		})
	}
}

func TestUDPGoesBeforeTCP(t *testing.T) {
	w := newWorld(t, 1)
	a, b := newTCPPair(w, true)
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatalf("no connection\n%s", w.trace.String())
	}
	w.run(time.Second, nil)
	if a.overTCP() || b.overTCP() || len(a.selects) != 1 {
		t.Errorf("TCP was chosen\n%s", w.trace.String())
	}
	t.Log("# what TCP connections there are go when nobody has used them for a while")
	w.run(time.Minute, nil)
	if len(a.wires)+len(b.wires) != 0 {
		t.Errorf("%d and %d connections are left", len(a.wires), len(b.wires))
	}
	w.tidy()
}

func TestUDPTakesOverWhenItComesLate(t *testing.T) {
	w := newWorld(t, 1)
	a, b := newTCPPair(w, false)
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return a.up() && b.up() && a.overTCP() }) {
		t.Fatal("no connection")
	}
	t.Log("# the firewall opens while UDP is still checked")
	w.blocked = nil
	if !w.run(10*time.Second, func() bool { return !a.overTCP() && !b.overTCP() }) {
		t.Fatalf("the call stays on TCP\n%s", w.trace.String())
	}
	w.chat(a, b)
	w.tidy()
}

func TestTCPThroughANAT(t *testing.T) {
	w := newWorld(t, 1)
	a := w.add("a", Config{Networks: bothNetworks}, "10.0.0.1")
	b := w.add("b", Config{Networks: bothNetworks, TCPPassive: true}, "192.0.2.2")
	a.nat = newNAT("198.51.100.1", true)
	w.blocked = udpOf(a)
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatalf("no connection\n%s", w.trace.String())
	}
	w.run(time.Second, nil)
	w.chat(a, b)
	if c := a.selects[0].Local; c.Addr.Addr() != a.nat.public || c.Type != TypePeerReflexive {
		t.Errorf("%v", c)
	}
	if c := b.selects[0].Remote; c.Addr.Addr() != a.nat.public || c.TCPType != typeActive {
		t.Errorf("%v", c)
	}
	w.tidy()
}

func TestAConnectionThatBreaksIsMadeAgain(t *testing.T) {
	for _, roles := range []string{"client controls", "server controls"} {
		t.Run(roles, func(t *testing.T) {
			w := newWorld(t, 1)
			a, b := newTCPPair(w, false)
			if roles == "client controls" {
				w.connect(a, b)
			} else {
				w.connect(b, a)
			}
			if !w.run(time.Second, func() bool { return a.up() && b.up() }) {
				t.Fatal("no connection")
			}
			w.run(time.Minute, nil) // UDP is given up
			back := func(within time.Duration) {
				t.Helper()
				start, n, m := w.now, len(a.selects), len(b.selects)
				if !w.run(within, func() bool { return len(a.selects) > n && len(b.selects) > m && a.up() && b.up() }) {
					t.Fatalf("not back\n%s", w.trace.String())
				}
				t.Logf("back after %v", w.now.Sub(start))
				w.chat(a, b)
			}
			t.Log("# both ends learn it")
			w.breakWires()
			back(500 * time.Millisecond)
			t.Log("# only the client learns it")
			for id := range a.wires {
				delete(a.wires, id)
				a.a.HandleDisconnect(w.now, id, errRefused)
				a.pump()
			}
			back(2 * time.Second)
			t.Log("# the server is away for a while")
			away := w.now.Add(3 * time.Second)
			w.firewall = func(*node, netip.AddrPort) error {
				if w.now.Before(away) {
					return errRefused
				}
				return nil
			}
			dials := w.dialed
			w.breakWires()
			back(10 * time.Second)
			if n := w.dialed - dials; n > 6 {
				t.Errorf("%d attempts in three seconds", n)
			}
			t.Log("# it never comes back")
			w.firewall = func(*node, netip.AddrPort) error { return errRefused }
			w.breakWires()
			if !w.run(2*time.Minute, func() bool { return a.in(StateFailed) && b.in(StateFailed) }) {
				t.Errorf("states %v and %v", a.a.State(), b.a.State())
			}
			dials = w.dialed
			w.run(time.Minute, nil)
			if w.dialed != dials {
				t.Error("a failed agent goes on")
			}
			w.tidy()
		})
	}
}

func TestASilentConnectionIsMadeAgain(t *testing.T) {
	for _, roles := range []string{"client controls", "server controls"} {
		t.Run(roles, func(t *testing.T) {
			w := newWorld(t, 1)
			a, b := newTCPPair(w, false)
			if roles == "client controls" {
				w.connect(a, b)
			} else {
				w.connect(b, a)
			}
			if !w.run(time.Second, func() bool { return a.up() && b.up() }) {
				t.Fatal("no connection")
			}
			w.run(time.Minute, nil)
			for range 3 {
				t.Log("# a NAT forgets the connection")
				for _, x := range a.wires {
					x.dead = true
				}
				start, n, m := w.now, len(a.selects), len(b.selects)
				if !w.run(15*time.Second, func() bool { return len(a.selects) > n && len(b.selects) > m && a.up() && b.up() }) {
					t.Fatalf("not back\n%s", w.trace.String())
				}
				d := w.now.Sub(start)
				t.Logf("back after %v", d)
				if most := a.a.cfg.DisconnectedAfter + 500*time.Millisecond; d > most {
					t.Errorf("want %v", most)
				}
				w.chat(a, b)
			}
			t.Log("# application packets alone show that a connection lives")
			dials := w.dialed
			w.run(time.Minute, nil)
			if w.dialed != dials {
				t.Error("a connection that lives was given up")
			}
			for _, x := range b.wires {
				if x.dead {
					x.hangUp(b)
				}
			}
			w.tidy()
		})
	}
}

func TestTCPRestart(t *testing.T) {
	w := newWorld(t, 1)
	a, b := newTCPPair(w, false)
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatal("no connection")
	}
	for i := range 5 {
		t.Log("# the old connection carries packets until the new one is nominated")
		w.must(a.a.Restart(w.now, Parameters{}))
		a.pump()
		w.chat(a, b)
		w.exchange(a, b)
		n, m := len(a.selects), len(b.selects)
		if !w.run(time.Second, func() bool { return len(a.selects) > n && len(b.selects) > m }) {
			t.Fatalf("restart %d: no pair\n%s", i, w.trace.String())
		}
		w.chat(a, b)
		w.run(time.Second, nil)
		if len(a.wires) != 1 || len(b.wires) != 1 {
			t.Errorf("restart %d: %d and %d connections", i, len(a.wires), len(b.wires))
		}
	}
	t.Log("# a rollback leaves the connection alone")
	route, _ := a.a.Route()
	w.must(a.a.Restart(w.now, Parameters{}))
	a.pump()
	w.run(100*time.Millisecond, nil)
	a.a.Rollback(w.now)
	a.pump()
	w.run(time.Minute, nil)
	if r, ok := a.a.Route(); !ok || r != route {
		t.Errorf("route %+v, before %+v", r, route)
	}
	w.chat(a, b)
	w.tidy()
}

func TestALiteAgentListens(t *testing.T) {
	w := newWorld(t, 1)
	a := w.add("a", Config{Networks: bothNetworks}, "192.0.2.1")
	b := w.add("b", Config{Networks: bothNetworks, TCPPassive: true, Lite: true}, "192.0.2.2")
	b.lite = true
	w.blocked = func(_, _ netip.AddrPort) bool { return true }
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return a.up() && b.up() && b.overTCP() }) {
		t.Fatalf("no connection\n%s", w.trace.String())
	}
	w.run(2*time.Minute, nil)
	w.chat(a, b)
	w.tidy()
}

func TestAnInterfaceGoesUnderATCPCall(t *testing.T) {
	w := newWorld(t, 1)
	a, b := newTCPPair(w, false)
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatal("no connection")
	}
	a.addrs = []netip.Addr{netip.MustParseAddr("192.0.2.7")}
	a.a.NetworkChanged(w.now)
	a.pump()
	start, n := w.now, len(b.selects)
	if !w.run(2*time.Second, func() bool { return len(b.selects) > n && a.up() && b.up() }) {
		t.Fatalf("not back\n%s", w.trace.String())
	}
	t.Logf("back after %v", w.now.Sub(start))
	w.chat(a, b)
	w.tidy()
}

// TestTCPTorture makes calls with every combination of listeners, NATs and firewalls.
func TestTCPTorture(t *testing.T) {
	for seed := range seeds(200) {
		w := newWorld(t, uint64(seed))
		w.jitter = time.Duration(w.rng.IntN(30)) * time.Millisecond
		w.delay = time.Duration(1+w.rng.IntN(150)) * time.Millisecond
		cfg := func() Config {
			return Config{Networks: bothNetworks, TCPPassive: w.rng.IntN(2) == 0}
		}
		a, b := w.add("a", cfg(), "192.0.2.1", "192.0.2.3"), w.add("b", cfg(), "192.0.2.2")
		blocked := w.rng.IntN(2) == 0
		if blocked {
			w.blocked = func(_, _ netip.AddrPort) bool { return true }
		}
		if w.rng.IntN(3) == 0 {
			dead := netip.MustParseAddr("192.0.2.1")
			w.firewall = func(_ *node, to netip.AddrPort) error {
				if to.Addr() == dead {
					return errDropped
				}
				return nil
			}
		}
		w.connect(a, b)
		possible := !blocked || len(a.tcp) > 0 || b.a.cfg.TCPPassive
		up := w.run(15*time.Second, func() bool { return a.up() && b.up() })
		if up != possible {
			t.Fatalf("seed %d: connected %v, want %v\n%s", seed, up, possible, w.trace.String())
		}
		if up {
			w.run(5*time.Second, nil)
			ra, _ := a.a.Route()
			rb, _ := b.a.Route()
			if ra.Stream != blocked || rb.Stream != blocked {
				t.Fatalf("seed %d: routes %+v and %+v\n%s", seed, ra, rb, w.trace.String())
			}
			w.chat(a, b)
		}
		w.tidy()
	}
}

func TestTCPRunsRepeat(t *testing.T) {
	trace := func() string {
		w := newWorld(t, 3)
		a, b := newTCPPair(w, false)
		w.connect(a, b)
		w.run(10*time.Second, nil)
		w.breakWires()
		w.run(10*time.Second, nil)
		return w.trace.String()
	}
	if first := trace(); first != trace() {
		t.Error("two runs of one seed differ")
	}
}

func TestSelectedPairsInStats(t *testing.T) {
	w := newWorld(t, 1)
	a, b := newTCPPair(w, false)
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatal("no connection")
	}
	s := b.a.Stats()
	i := slices.IndexFunc(s.Pairs, func(p PairStats) bool { return p.Selected })
	if i < 0 {
		t.Fatal("no selected pair")
	}
	for _, c := range s.Candidates {
		want := map[uint64]string{s.Pairs[i].Local: typePassive, s.Pairs[i].Remote: typeActive}[c.ID]
		if want != "" && (c.Candidate.TCPType != want || c.Candidate.Transport != "tcp") {
			t.Errorf("%s", fmt.Sprint(c))
		}
	}
	w.tidy()
}
