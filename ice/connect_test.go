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
