package ice

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/openparley/webrtc/ice/turn"
)

func withTURN(change ...func(*Config)) Config {
	c := Config{Servers: []Server{testTURN}}
	for _, f := range change {
		f(&c)
	}
	return c
}

// withSTUN lets the peer know the address that needs a permission.
var withSTUN = Config{Servers: []Server{{URL: "stun:203.0.113.1", Host: "203.0.113.1"}}}

func relayOnly(c *Config) { c.Policy = PolicyRelay }

// say sends an application packet as a transport does, and tells whether it could.
func (n *node) say(text string) bool {
	r, ok := n.a.Route()
	if !ok {
		return false
	}
	buf := make([]byte, r.Headroom+len(text)+turn.MaxTailroom)
	copy(buf[r.Headroom:], text)
	pkt, ok := n.a.Wrap(buf, r.Headroom, len(text))
	switch x := n.wires[r.Base]; {
	case x != nil:
		x.send(n, pkt)
	case ok:
		n.w.transmit(n, n.bases[r.Base], r.Remote, pkt)
	}
	return ok
}

// chat exchanges packets both ways.
func (w *world) chat(a, b *node) {
	w.t.Helper()
	for _, n := range []*node{a, b} {
		text := fmt.Sprintf("\x80hello %d", w.sent)
		got := len(n.peer.heard)
		if !n.say(text) {
			w.t.Fatalf("%s cannot send", n.name)
		}
		if !w.run(time.Second, func() bool { return len(n.peer.heard) > got }) {
			w.t.Fatalf("%s's packet does not arrive\n%s", n.name, w.trace.String())
		}
		if last := n.peer.heard[len(n.peer.heard)-1]; last != text {
			w.t.Fatalf("got %q, want %q", last, text)
		}
	}
}

func TestRelayedPairs(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b Config
	}{
		{"one relay", withTURN(), withSTUN},
		{"the answerer's", withSTUN, withTURN()},
		{"both relays", withTURN(), withTURN()},
		{"relay only, one side", withTURN(relayOnly), withSTUN},
		{"relay only, both sides", withTURN(relayOnly), withTURN(relayOnly)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a, b := relayPair(t, c.a, c.b, false)
			w.connect(a, b)
			if !w.run(2*time.Second, func() bool { return a.up() && b.up() }) {
				t.Fatalf("no connection\n%s", w.trace.String())
			}
			took := w.now.Sub(w.start)
			t.Logf("connected after %v, which are %.1f round trips between peers without a relay", took, float64(took)/float64(2*w.delay))
			if took > 500*time.Millisecond {
				t.Errorf("took %v", took)
			}
			w.chat(a, b)
			w.run(10*time.Second, nil)
			for _, n := range []*node{a, b} {
				if s := n.selects; len(s) != 1 || (s[0].Local.Type != TypeRelay && s[0].Remote.Type != TypeRelay &&
					s[0].Remote.Addr.Addr() != turnServer.Addr()) {
					t.Errorf("%s selected %+v", n.name, s)
				}
				if r, _ := n.a.Route(); r.Remote == turnServer && r.Headroom != 4 {
					t.Errorf("%s has no channel: %+v", n.name, r)
				}
			}
			w.chat(a, b)
			t.Log("# permissions, channels and the allocation are refreshed")
			w.run(time.Hour, nil)
			if !a.in(StateCompleted) || !b.in(StateCompleted) {
				t.Errorf("after an hour: %v, %v", a.a.State(), b.a.State())
			}
			w.chat(a, b)
			t.Log("# a restart keeps the allocation")
			allocations := w.turn.s.Stats().AllocationsTotal
			w.must(a.a.Restart(w.now, Parameters{}))
			a.pump()
			w.exchange(a, b)
			if !w.run(5*time.Second, func() bool { return len(a.selects) == 2 && len(b.selects) == 2 }) {
				t.Fatalf("no pair after the restart\n%s", w.trace.String())
			}
			w.chat(a, b)
			if n := w.turn.s.Stats().AllocationsTotal; n != allocations {
				t.Errorf("%d allocations, want %d", n, allocations)
			}
			t.Log("# the allocation is given back at the end")
			a.a.Close(w.now)
			a.flush()
			b.a.Close(w.now)
			b.flush()
			w.run(time.Second, nil)
			if n := w.turn.s.Stats().Allocations; n != 0 {
				t.Errorf("%d allocations are left", n)
			}
		})
	}
}

// flush sends what is left, though the bases are gone.
func (n *node) flush() {
	for {
		tx, ok := n.a.Next(nil)
		if !ok {
			return
		}
		n.w.transmit(n, n.bases[tx.Base], tx.Remote, tx.Data)
	}
}

func TestRelayCandidates(t *testing.T) {
	w, a, b := relayPair(t, withTURN(), withTURN(relayOnly), false)
	w.connect(a, b)
	w.run(time.Second, nil)
	lines := func(n *node) (list []string) {
		for _, e := range n.events {
			if e, ok := e.(EventCandidate); ok {
				list = append(list, e.Candidate.String())
			}
		}
		return list
	}
	all := strings.Join(lines(a), "\n")
	for _, want := range []string{
		" 10.0.0.1 4001 typ host", " 198.51.100.1 20001 typ srflx raddr 10.0.0.1 rport 4001", " 203.0.113.2 ",
		" typ relay raddr 10.0.0.1 rport 4001",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if list := lines(b); len(list) != 1 || !strings.Contains(list[0], " typ relay raddr 0.0.0.0 rport 0 ") {
		t.Errorf("relay only: %q", list)
	}
	for _, c := range a.a.Stats().Candidates {
		if c.Local && c.Candidate.Type == TypeRelay && c.Candidate.URL != testTURN.URL {
			t.Errorf("URL %q", c.Candidate.URL)
		}
	}
}

// Each server is asked by each way: datagrams are better than streams, and then the first server is better than the second.
func TestOrderOfRelays(t *testing.T) {
	a, err := New(Config{Rand: newSeeded(1)})
	if err != nil {
		t.Fatal(err)
	}
	var prefs []uint16
	for _, way := range []turn.Transport{turn.UDP, turn.DTLS, turn.TCP, turn.TLS} {
		for index := range 2 {
			under := &base{stream: way != turn.UDP}
			if way == turn.UDP {
				under.pref = 65535
			}
			prefs = append(prefs, a.relayPref(&relay{conf: Server{Transport: way}, index: index, under: under}))
		}
	}
	for i := range prefs[1:] {
		if prefs[i] <= prefs[i+1] {
			t.Errorf("not in order: %d", prefs)
		}
	}
}

func TestDirectPairsAreBetterThanRelays(t *testing.T) {
	w := newWorld(t, 1)
	w.addTURN(false)
	a, b := w.add("a", withTURN(), "198.51.100.7"), w.add("b", withTURN(), "198.51.100.8")
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
		t.Fatalf("no connection\n%s", w.trace.String())
	}
	if s := a.selects; len(s) != 1 || s[0].Local.Type != TypeHost || s[0].Remote.Type != TypeHost {
		t.Errorf("selected %+v", s)
	}
}

func TestRelayRefusals(t *testing.T) {
	t.Log("# wrong credentials are told")
	w := newWorld(t, 1)
	w.addTURN(false)
	wrong := testTURN
	wrong.Password = "rabbit"
	a := w.add("a", Config{Servers: []Server{wrong}}, "10.0.0.1")
	a.a.Gather(w.now)
	a.pump()
	if !w.run(time.Second, func() bool { return a.a.GatheringState() == GatheringComplete }) {
		t.Fatal("gathering does not end")
	}
	failure := func(n *node) (e EventCandidateError) {
		for _, x := range n.events {
			if x, ok := x.(EventCandidateError); ok {
				e = x
			}
		}
		return e
	}
	if e := failure(a); e.Code != 401 || e.URL != testTURN.URL {
		t.Errorf("error %+v", e)
	}
	t.Log("# so is a server that is dead, by the soft deadline")
	w.turn.down = true
	dead := w.add("dead", withTURN(), "10.0.0.2")
	dead.a.Gather(w.now)
	dead.pump()
	w.run(6*time.Second, nil)
	if e := failure(dead); e.Code != 701 || dead.a.GatheringState() != GatheringComplete || len(dead.a.relays) != 0 {
		t.Errorf("error %+v, gathering %v", e, dead.a.GatheringState())
	}
}

func TestPeersThatTheServerDenies(t *testing.T) {
	w, a, b := relayPair(t, withTURN(relayOnly), withSTUN, true)
	w.connect(a, b)
	if !w.run(2*time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatalf("no connection\n%s", w.trace.String())
	}
	for _, p := range a.a.Stats().Pairs {
		if p.RemoteAddr.Addr() == netip.MustParseAddr("10.0.1.1") && p.State != PairFailed {
			t.Errorf("pair %+v is still tried", p)
		}
	}
}

func TestServerRestartsInMidCall(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b Config
	}{
		{"offerer's relay", withTURN(relayOnly), withSTUN},
		{"answerer's relay", withSTUN, withTURN(relayOnly)},
		{"both relays", withTURN(relayOnly), withTURN(relayOnly)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a, b := relayPair(t, c.a, c.b, false)
			w.connect(a, b)
			if !w.run(2*time.Second, func() bool { return a.up() && b.up() }) {
				t.Fatal("no connection")
			}
			w.run(10*time.Second, nil)
			w.chat(a, b)
			w.turn.restart()
			start := w.now
			heard := func() (n [2]int) { return [2]int{len(a.heard), len(b.heard)} }
			before := heard()
			both := func() bool { h := heard(); return h[0] > before[0] && h[1] > before[1] }
			for !both() && w.now.Sub(start) < 20*time.Second { // media goes on, fifty packets a second
				a.say("\x80media")
				b.say("\x80media")
				w.run(20*time.Millisecond, both)
			}
			took := w.now.Sub(start)
			t.Logf("media is back after %v", took)
			if took > 3*time.Second {
				t.Errorf("media is back after %v, want 3 s\n%s", took, w.trace.String())
			}
		})
	}
}

func TestARelayedPairGivesWayToADirectOne(t *testing.T) {
	for _, rtt := range []time.Duration{20, 150, 300} {
		w, a, b := relayPair(t, withTURN(), withTURN(), false)
		a.nat.symmetric = false
		b.nat.symmetric = false
		w.delay = rtt * time.Millisecond / 2
		w.signaling = w.delay
		t.Log("# the direct way opens late")
		opens := w.now.Add(3 * time.Second)
		w.blocked = func(from, to netip.AddrPort) bool {
			return w.now.Before(opens) && from.Addr() != turnServer.Addr() && to.Addr() != turnServer.Addr()
		}
		w.connect(a, b)
		if !w.run(3*time.Second, func() bool { return a.up() && b.up() }) {
			t.Fatalf("no connection\n%s", w.trace.String())
		}
		w.run(opens.Sub(w.now), nil)
		direct := func(n *node) bool {
			r, ok := n.a.Route()
			return ok && r.Headroom == 0 && r.Remote == r.Peer && r.Remote.Addr() != turnServer.Addr()
		}
		if !w.run(8*time.Second, func() bool { return direct(a) && direct(b) }) {
			t.Fatalf("RTT %v ms: still relayed\n%s", int(rtt), w.trace.String())
		}
		t.Logf("RTT %d ms: direct %v after the way has opened", rtt, w.now.Sub(opens))
		w.chat(a, b)
	}
}

func TestRelayTorture(t *testing.T) {
	worst := time.Duration(0)
	for seed := range uint64(seeds(60)) {
		w := newWorld(t, seed)
		w.addTURN(w.rng.IntN(2) == 0)
		w.delay = time.Duration(1+w.rng.IntN(100)) * time.Millisecond
		w.signaling = time.Duration(1+w.rng.IntN(300)) * time.Millisecond
		w.jitter = time.Duration(w.rng.IntN(20)) * time.Millisecond
		if w.rng.IntN(2) == 0 {
			w.loss, w.duplicate = 0.15*w.rng.Float64(), 0.1
		}
		var nodes [2]*node
		for i := range nodes {
			cfg := withTURN()
			if w.rng.IntN(4) == 0 {
				cfg.Policy = PolicyRelay
			}
			nodes[i] = w.add(string(rune('a'+i)), cfg, fmt.Sprintf("10.%d.0.1", i))
			nodes[i].nat = newNAT(fmt.Sprintf("198.51.100.%d", i+1), w.rng.IntN(2) == 0)
		}
		a, b := nodes[0], nodes[1]
		w.connect(a, b)
		if !w.run(20*time.Second, func() bool { return a.up() && b.up() && len(a.selects)*len(b.selects) > 0 }) {
			t.Fatalf("seed %d: not connected\n%s", seed, w.trace.String())
		}
		worst = max(worst, w.now.Sub(w.start))
		if w.rng.IntN(2) == 0 {
			w.run(time.Duration(w.rng.IntN(10000))*time.Millisecond, nil)
			w.turn.restart()
		}
		heard := [2]int{}
		for range 500 { // ten seconds of media
			w.run(20*time.Millisecond, nil)
			a.say("\x80media")
			b.say("\x80media")
		}
		heard[0], heard[1] = len(a.heard), len(b.heard)
		for range 50 {
			w.run(20*time.Millisecond, nil)
			a.say("\x80media")
			b.say("\x80media")
		}
		w.run(time.Second, nil)
		if len(a.heard)-heard[0] < 25 || len(b.heard)-heard[1] < 25 {
			t.Fatalf("seed %d: %d and %d packets of 50\n%s", seed, len(a.heard)-heard[0], len(b.heard)-heard[1], w.trace.String())
		}
	}
	t.Logf("the slowest connection took %v", worst)
}

func TestRelayedPacketsCostNoAllocations(t *testing.T) {
	if raceEnabled {
		return // its instrumentation allocates
	}
	w, a, b := relayPair(t, withTURN(relayOnly), withSTUN, false)
	w.connect(a, b)
	if !w.run(5*time.Second, func() bool { return a.in(StateCompleted) }) {
		t.Fatal("no connection")
	}
	w.run(time.Second, nil)
	buf := make([]byte, 1300)
	if n := testing.AllocsPerRun(100, func() {
		r, ok := a.a.Route()
		if !ok {
			t.Fatal("no route")
		}
		if _, ok := a.a.Wrap(buf, r.Headroom, 1200); !ok {
			t.Fatal("not wrapped")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a packet that is sent", n)
	}
}
