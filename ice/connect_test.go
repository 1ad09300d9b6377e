package ice

import (
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
