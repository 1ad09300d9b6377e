package ice

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func TestRestartKeepsTheOldPairUntilANewOneIsNominated(t *testing.T) {
	w := newWorld(t, 3)
	a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
	w.connect(a, b)
	w.run(time.Second, nil)
	old := a.a.LocalParameters()
	oldRoute, _ := a.a.Route()
	a.states, b.states = nil, nil
	w.must(a.a.Restart(w.now, Parameters{}))
	a.pump()
	if a.a.LocalParameters() == old {
		t.Fatal("same credentials")
	}
	if r, ok := a.a.Route(); !ok || r != oldRoute {
		t.Error("the old pair is gone")
	}
	t.Log("# signaling takes a minute: consent goes on with the old credentials")
	w.run(time.Minute, func() bool {
		if _, ok := a.a.Route(); !ok {
			t.Fatal("lost the route")
		}
		return false
	})
	w.exchange(a, b)
	both := func() bool { return len(a.selects) == 2 && len(b.selects) == 2 }
	if !w.run(time.Second, func() bool {
		for _, n := range []*node{a, b} {
			if _, ok := n.a.Route(); !ok {
				t.Fatalf("%s has no route during the restart", n.name)
			}
		}
		return both()
	}) {
		t.Fatalf("no new pair\n%s", w.trace.String())
	}
	w.run(100*time.Millisecond, nil)
	for _, n := range []*node{a, b} {
		if want := []string{"connected", "completed"}; !slices.Equal(n.states, want) {
			t.Errorf("%s went through %v, want %v", n.name, n.states, want)
		}
		if n.a.prev != nil {
			t.Errorf("%s keeps the old generation", n.name)
		}
	}
	if r, _ := a.a.Route(); r != oldRoute {
		t.Error("the socket is not used again")
	}
}

func TestRestartByThePeerFirst(t *testing.T) {
	s := connected(t)
	before := s.a.LocalParameters()
	s.peer = Parameters{Ufrag: "new1", Pwd: "abcdefghijklmnopqrstuv"}
	s.setRemote()
	if s.a.LocalParameters() != before {
		t.Error("local parameters change without Restart")
	}
	if _, ok := s.a.Route(); !ok {
		t.Error("the route is gone")
	}
	if err := s.a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	s.bindAll("10.0.0.1")
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.advance(s.a.cfg.Pace)
	r := s.wantRequest()
	if want := "new1:" + s.a.LocalParameters().Ufrag; string(username(r.Message)) != want {
		t.Errorf("username %s, want %s", username(r.Message), want)
	}
	t.Log("# the old pair is still answered, with the old password")
	s.peer.Ufrag = "peer"
	if err := s.recv(peerAddr, s.requestAs(before, "peer", be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	answer := s.sent()[0]
	if err := stun.NewShortTermIntegrity(before.Pwd).Check(answer.Message); err != nil {
		t.Error(err)
	}
	t.Log("# the new one is nominated: the old credentials are stale")
	s.succeed(r)
	if err := s.recv(peerAddr, s.requestAs(s.a.LocalParameters(), "new1", be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
		t.Fatal(err)
	}
	s.sent()
	if err := s.recv(peerAddr, s.requestAs(before, "peer", be64(stun.AttrICEControlling, 1))); !errors.Is(err, ErrIntegrity) {
		t.Errorf("a stale check: %v", err)
	}
	s.wantNothing()
}

func TestRestartToAnotherInterface(t *testing.T) {
	w := newWorld(t, 3)
	a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
	w.connect(a, b)
	w.run(time.Second, nil)
	a.addrs = nil
	w.must(a.a.Restart(w.now, Parameters{}))
	a.pump()
	if _, ok := a.a.Route(); !ok {
		t.Fatal("a base in use is unbound")
	}
	w.run(50*time.Second, nil)
	if len(a.a.Stats().Candidates) == 0 {
		t.Error("the old generation is gone")
	}
	t.Log("# the interface comes: another restart")
	a.addrs = append(a.addrs, b.addrs[0].Prev().Prev())
	w.must(a.a.Restart(w.now, Parameters{}))
	a.pump()
	w.exchange(a, b)
	if !w.run(2*time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) && len(a.selects) == 2 }) {
		t.Fatalf("not completed\n%s", w.trace.String())
	}
	unbound := 0
	for _, e := range a.events {
		if _, ok := e.(EventUnbind); ok {
			unbound++
		}
	}
	if unbound != 1 || len(a.bases) != 1 {
		t.Errorf("%d bases unbound and %d left, want the old one gone", unbound, len(a.bases))
	}
}

func TestRestartAfterFailure(t *testing.T) {
	w := newWorld(t, 3)
	a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
	w.connect(a, b)
	w.run(time.Second, nil)
	w.loss = 1
	w.run(40*time.Second, func() bool { return a.in(StateFailed) && b.in(StateFailed) })
	w.loss = 0
	a.states = nil
	w.must(a.a.Restart(w.now, Parameters{}))
	a.pump()
	w.exchange(a, b)
	if !w.run(2*time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
		t.Fatalf("states %v %v\n%s", a.a.State(), b.a.State(), w.trace.String())
	}
	if want := []string{"checking", "connected", "completed"}; !slices.Equal(a.states, want) {
		t.Errorf("a went through %v, want %v", a.states, want)
	}
}

func TestRestartErrors(t *testing.T) {
	s := connected(t)
	same := s.a.LocalParameters()
	if err := s.a.Restart(s.now, same); !errors.Is(err, ErrConfig) {
		t.Errorf("same credentials: %v", err)
	}
	if err := s.a.Restart(s.now, Parameters{Ufrag: "x", Pwd: "y"}); !errors.Is(err, ErrConfig) {
		t.Errorf("short credentials: %v", err)
	}
	s.a.Close(s.now)
	s.a.Close(s.now)
	if err := s.a.Restart(s.now, Parameters{}); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if s.a.State() != StateClosed || !s.a.Deadline().IsZero() {
		t.Error("not closed")
	}
	if err := s.recv(peerAddr, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestLateResultsAreGivenBack(t *testing.T) {
	a, err := New(Config{Rand: newSeeded(1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, a: a, now: epoch}
	a.Gather(s.now)
	gen := s.drain()[1].(EventInterfaces).Gen
	a.HandleInterfacesResult(s.now, gen, usableLocals(nil), nil)
	if a.GatheringState() != GatheringComplete {
		t.Error("no interface: gathering must end")
	}
	s.drain()
	if err := a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	a.HandleInterfacesResult(s.now, gen, nil, nil)
	if a.GatheringState() != GatheringActive {
		t.Error("an old generation's interfaces are taken")
	}
	a.HandleBindResult(s.now, gen, 77, peerAddr, nil)
	a.HandleResolveResult(s.now, gen, 77, nil, nil)
	unbinds := 0
	for _, e := range s.drain() {
		if e, ok := e.(EventUnbind); ok && e.Base == 77 {
			unbinds++
		}
	}
	if unbinds != 1 {
		t.Error("an unknown base is not given back")
	}
}

func TestRollbackOfARestart(t *testing.T) {
	w := newWorld(t, 3)
	a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
	w.connect(a, b)
	w.run(time.Second, nil)
	before := a.a.LocalParameters()
	a.a.Rollback(w.now) // nothing to undo
	w.must(a.a.Restart(w.now, Parameters{}))
	a.pump()
	w.run(10*time.Second, nil)
	w.must(a.a.Restart(w.now, before))
	a.pump()
	if a.a.LocalParameters() != before {
		t.Error("the old credentials do not come back")
	}
	w.run(2*time.Minute, func() bool {
		if _, ok := a.a.Route(); !ok {
			t.Fatalf("no route\n%s", w.trace.String())
		}
		return false
	})
	if !a.in(StateCompleted) || !b.in(StateCompleted) {
		t.Errorf("states %v %v", a.a.State(), b.a.State())
	}
	t.Log("# the peer's side of one")
	w.must(b.a.SetRemoteParameters(w.now, Parameters{Ufrag: "some", Pwd: "0123456789012345678901"}))
	b.a.Rollback(w.now)
	b.pump()
	w.run(time.Minute, nil)
	if !a.in(StateCompleted) || !b.in(StateCompleted) {
		t.Errorf("states %v %v", a.a.State(), b.a.State())
	}
}

func TestRollbackInMidCheck(t *testing.T) {
	s := newScript(t, RoleControlled)
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.wantRequest()
	if err := s.a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	s.bindAll("10.0.0.1")
	s.advance(10 * time.Second)
	s.wantNothing()
	s.a.Rollback(s.now)
	s.succeed(s.wantRequest())
	if s.a.State() != StateConnected || s.a.RTT() != 0 {
		t.Errorf("state %v, RTT %v", s.a.State(), s.a.RTT())
	}
	t.Log("# a restart that loses the only interface, and its rollback")
	s = newScript(t, RoleControlled)
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.wantRequest()
	if err := s.a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	s.bindAll()
	s.a.Rollback(s.now)
	s.advance(time.Minute)
	s.wantNothing()
	if s.a.State() != StateFailed {
		t.Errorf("state %v", s.a.State())
	}
}

func TestPeerThinksAgainBeforeWeAnswer(t *testing.T) {
	s := connected(t)
	for _, ufrag := range []string{"new1", "new2"} {
		s.peer = Parameters{Ufrag: ufrag, Pwd: "abcdefghijklmnopqrstuv"}
		s.setRemote()
		s.setRemote()
	}
	if err := s.a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	s.bindAll("10.0.0.1")
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.advance(s.a.cfg.Pace)
	if r := s.wantRequest(); string(username(r.Message)) != "new2:"+s.a.LocalParameters().Ufrag {
		t.Errorf("username %s", username(r.Message))
	}
	if err := s.a.SetRemoteParameters(s.now, Parameters{Ufrag: "x"}); !errors.Is(err, ErrConfig) {
		t.Errorf("bad parameters: %v", err)
	}
}

func TestRestartKeepsTheSelectedPairNotTheBest(t *testing.T) {
	s := newScript(t, RoleControlled)
	s.candidate("10.0.0.9:9000", TypeHost, 100)
	s.succeed(s.wantRequest())
	s.candidate("10.0.0.9:9001", TypeHost, 50)
	s.advance(s.a.cfg.Pace)
	s.succeed(s.wantRequest())
	second := netip.MustParseAddrPort("10.0.0.9:9001")
	if err := s.recv(second, s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
		t.Fatal(err)
	}
	s.sent()
	if err := s.a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	s.bindAll("10.0.0.1")
	if r, ok := s.a.Route(); !ok || r.Remote != second {
		t.Errorf("route %v %v", r, ok)
	}
	t.Log("# a new pair is valid, but nobody nominates it: both pairs keep their consent")
	s.peer = Parameters{Ufrag: "new1", Pwd: "abcdefghijklmnopqrstuv"}
	s.setRemote()
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.advance(s.a.cfg.Pace)
	s.succeed(s.wantRequest())
	s.advance(7 * time.Second)
	to := map[netip.AddrPort]int{}
	for _, r := range s.sent() {
		to[r.Remote]++
	}
	if to[second] == 0 || to[peerAddr] == 0 {
		t.Errorf("requests %v", to)
	}
	if r, ok := s.a.Route(); !ok || r.Remote != second {
		t.Errorf("route %v %v", r, ok)
	}
}
