package ice

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestTwoHostsConnectInOneRoundTripAndNominateInTwo(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
	w.connect(a, b)
	t.Log("# b has everything at 10 ms, a at 20 ms")
	if !w.run(time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatalf("not connected\n%s", w.trace.String())
	}
	if took := w.now.Sub(w.start); took > 45*time.Millisecond {
		t.Errorf("a pair was valid after %v, want a round trip after the answer\n%s", took, w.trace.String())
	}
	if !w.run(time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
		t.Fatalf("not completed\n%s", w.trace.String())
	}
	if took := w.now.Sub(w.start); took > 80*time.Millisecond {
		t.Errorf("nominated after %v\n%s", took, w.trace.String())
	}
	for _, n := range []*node{a, b} {
		r, ok := n.a.Route()
		if !ok || !n.a.Verified(r.Base, r.Remote) || r.MTU != 1200 {
			t.Errorf("%s: route %v %v", n.name, r, ok)
		}
		if len(n.selects) != 1 {
			t.Errorf("%s selected %d pairs, want 1", n.name, len(n.selects))
		}
		if want := []string{"checking", "connected", "completed"}; !slices.Equal(n.states, want) {
			t.Errorf("%s went through %v, want %v", n.name, n.states, want)
		}
	}
}

func TestPeerReflexiveCandidatesBehindNAT(t *testing.T) {
	for _, tc := range []struct {
		name  string
		aNAT  *nat
		bNAT  *nat
		types [2]CandidateType // of a's local and remote candidate
	}{
		{"open and cone", nil, newNAT("198.51.100.2", false), [2]CandidateType{TypeHost, TypeServerReflexive}},
		{"cone and cone", newNAT("198.51.100.1", false), newNAT("198.51.100.2", false), [2]CandidateType{TypeServerReflexive, TypeServerReflexive}},
		{"open and symmetric", nil, newNAT("198.51.100.2", true), [2]CandidateType{TypeHost, TypePeerReflexive}},
		{"symmetric and open", newNAT("198.51.100.1", true), nil, [2]CandidateType{TypePeerReflexive, TypeHost}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 2)
			servers := []Server{{URL: "stun:203.0.113.1", Host: stunServer.Addr().String()}}
			a, b := w.add("a", Config{Servers: servers}, "10.0.0.1"), w.add("b", Config{Servers: servers}, "10.0.1.1")
			a.nat, b.nat = tc.aNAT, tc.bNAT
			w.connect(a, b)
			if !w.run(5*time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
				t.Fatalf("not completed\n%s", w.trace.String())
			}
			if took := w.now.Sub(w.start); took > 300*time.Millisecond {
				t.Errorf("took %v\n%s", took, w.trace.String())
			}
			got := [2]CandidateType{a.selects[0].Local.Type, a.selects[0].Remote.Type}
			if got != tc.types {
				t.Errorf("a selected %v, want %v", got, tc.types)
			}
		})
	}
}

func TestAnswerSlowerThanTheFirstChecks(t *testing.T) {
	w := newWorld(t, 1)
	w.signaling = 400 * time.Millisecond
	a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
	w.connect(a, b)
	t.Log("# the answer comes at 800 ms; b's checks have been there since 410 ms")
	w.run(790*time.Millisecond, nil)
	if !b.up() {
		t.Errorf("b is %v: an early check is answered at once", b.a.State())
	}
	if !w.run(31*time.Millisecond, func() bool { return a.up() }) {
		t.Errorf("a is not connected a round trip after the answer\n%s", w.trace.String())
	}
	if !w.run(50*time.Millisecond, func() bool { return len(a.selects) == 1 && len(b.selects) == 1 }) {
		t.Errorf("no nomination\n%s", w.trace.String())
	}
}

func TestBothBelieveToBeControlling(t *testing.T) {
	for _, role := range []Role{RoleControlling, RoleControlled} {
		w := newWorld(t, 4)
		a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
		w.connect(a, b)
		w.run(10*time.Millisecond, nil)
		a.a.SetRole(w.now, role)
		b.a.SetRole(w.now, role)
		if !w.run(2*time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
			t.Fatalf("not completed\n%s", w.trace.String())
		}
		if a.a.Role() == b.a.Role() {
			t.Errorf("both are %v", a.a.Role())
		}
	}
}

func TestManyInterfaces(t *testing.T) {
	w := newWorld(t, 4)
	w.blocked = func(from, to netip.AddrPort) bool { // only one pair works, the last one
		return from.Addr().As4()[3] != 4 || to.Addr().As4()[3] != 4
	}
	a := w.add("a", Config{}, "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4")
	b := w.add("b", Config{}, "10.2.0.1", "10.2.0.2", "10.2.0.3", "10.2.0.4")
	w.connect(a, b)
	if !w.run(2*time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
		t.Fatalf("not completed\n%s", w.trace.String())
	}
	if took := w.now.Sub(w.start); took > 600*time.Millisecond {
		t.Errorf("the last of 16 pairs took %v", took)
	}
}

func TestStats(t *testing.T) {
	w := newWorld(t, 4)
	a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
	w.connect(a, b)
	w.run(30*time.Second, nil)
	s := a.a.Stats()
	if s.Role != RoleControlling || s.State != StateCompleted || s.GatheringState != GatheringComplete || s.SelectedChanges != 1 {
		t.Errorf("stats %+v", s)
	}
	if len(s.Candidates) != 2 || len(s.Pairs) != 1 {
		t.Fatalf("%d candidates, %d pairs", len(s.Candidates), len(s.Pairs))
	}
	p := s.Pairs[0]
	if !p.Nominated || !p.Selected || !p.Valid || p.State != PairSucceeded || p.CurrentRTT != 20*time.Millisecond ||
		p.TotalRTT != time.Duration(p.ResponsesRecv)*20*time.Millisecond || p.ConsentSent < 4 || p.ConsentSent > 8 ||
		p.RequestsSent != p.ResponsesRecv || p.RequestsRecv != p.ResponsesSent || p.RequestsRecv < 5 {
		t.Errorf("pair %+v", p)
	}
	if s.Counters.Malformed+s.Counters.BadIntegrity+s.Counters.BadUsername+s.Counters.Unexpected != 0 {
		t.Errorf("counters %+v", s.Counters)
	}
	t.Logf("datagrams in 30 s: %d", w.sent)
}
