package ice

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

func TestRFC8838_ChecksStartBeforeGatheringEnds(t *testing.T) {
	w := newWorld(t, 1)
	w.deadSTUN = true
	cfg := Config{Servers: []Server{{URL: "stun:x", Host: stunServer.Addr().String()}}}
	a, b := w.add("a", cfg, "10.0.0.1"), w.add("b", cfg, "10.0.0.2")
	w.connect(a, b)
	if !w.run(100*time.Millisecond, func() bool { return a.up() && b.up() }) {
		t.Fatalf("a dead server delays the connection\n%s", w.trace.String())
	}
	if a.a.GatheringState() != GatheringActive {
		t.Fatal("gathering has ended already")
	}
	w.run(4800*time.Millisecond, nil)
	if a.in(StateCompleted) {
		t.Error("completed while gathering")
	}
	if !w.run(200*time.Millisecond, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
		t.Fatalf("the soft deadline does not end gathering\n%s", w.trace.String())
	}
	for _, e := range a.events {
		if e, ok := e.(EventCandidateError); ok && e.URL == "stun:x" && e.Code == 701 {
			return
		}
	}
	t.Error("no candidate error")
}

func TestRFC8838_CandidatesBeforeParameters(t *testing.T) {
	s := newSilentScript(t, RoleControlling)
	s.candidate(peerAddr.String(), TypeHost, 100)
	err := s.a.AddRemoteCandidate(s.now, Candidate{
		Foundation: "2", Component: 1, Transport: "udp", Ufrag: "othr", Addr: netip.MustParseAddrPort("10.0.0.8:1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.wantNothing()
	for i := range maxPending + 10 {
		c := Candidate{Component: 1, Transport: "udp", Addr: netip.AddrPortFrom(peerAddr.Addr(), uint16(10000+i))}
		if err = s.a.AddRemoteCandidate(s.now, c); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrLimit) {
		t.Errorf("candidates without end: %v", err)
	}
	s.setRemote()
	if r := s.wantRequest(); r.Remote != peerAddr {
		t.Errorf("the first check goes to %v", r.Remote)
	}
	for _, p := range s.a.Stats().Pairs {
		if p.RemoteAddr.Addr() != peerAddr.Addr() {
			t.Errorf("a candidate of another generation is paired: %v", p.RemoteAddr)
		}
	}
}

func TestRFC8838_ParametersBeforeGathering(t *testing.T) {
	a, err := New(Config{Role: RoleControlled, Rand: newSeeded(1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, a: a, now: epoch, peer: Parameters{Ufrag: "peer", Pwd: "0123456789abcdefghijkl"}}
	s.setRemote()
	s.candidate(peerAddr.String(), TypeHost, 100)
	if a.State() != StateNew {
		t.Errorf("state %v", a.State())
	}
	a.Gather(s.now)
	s.bindAll("10.0.0.1")
	s.wantRequest()
	if a.State() != StateChecking {
		t.Errorf("state %v", a.State())
	}
}

func TestRFC8838_UnusableCandidatesAreIgnored(t *testing.T) {
	s := newScript(t, RoleControlled)
	for _, line := range []string{
		"candidate:1 1 tcp 2105458943 10.0.0.9 9 typ host tcptype active",
		"candidate:1 2 udp 2113937150 10.0.0.9 5001 typ host",
		"candidate:1 1 udp 2113937150 example.org 5001 typ host",
		"candidate:1 1 udp 2113937150 2001:db8::9 5001 typ host",
	} {
		c, err := ParseCandidate(line)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.a.AddRemoteCandidate(s.now, c); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{
		"candidate:1 1 udp 2113937150 0.0.0.0 5001 typ host",
		"candidate:1 1 udp 2113937150 224.0.0.5 5001 typ host",
		"candidate:1 1 udp 2113937150 10.0.0.9 0 typ host",
	} {
		c, err := ParseCandidate(line)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.a.AddRemoteCandidate(s.now, c); !errors.Is(err, ErrCandidate) {
			t.Errorf("%s: %v", line, err)
		}
	}
	s.wantNothing()
	for _, e := range s.drain() {
		if e, ok := e.(EventResolve); ok {
			t.Errorf("asks for %s", e.Host)
		}
	}
}

func TestRFC8838_EndOfCandidatesAndFailure(t *testing.T) {
	t.Log("# RFC 8863: nothing to check, but patience until 39.5 s")
	s := newScript(t, RoleControlled)
	s.a.RemoteEndOfCandidates(s.now)
	s.advance(39*time.Second + 499*time.Millisecond)
	if s.a.State() == StateFailed {
		t.Fatal("failed too early")
	}
	s.advance(time.Millisecond)
	if s.a.State() != StateFailed {
		t.Errorf("state %v", s.a.State())
	}
	t.Log("# a check of the peer in the meantime saves the day")
	s = newScript(t, RoleControlled)
	s.a.RemoteEndOfCandidates(s.now)
	s.advance(39 * time.Second)
	if err := s.recv(peerAddr, s.request(be64(0x802a, 1))); err != nil {
		t.Fatal(err)
	}
	s.succeed(s.sent()[1])
	if s.a.State() != StateConnected {
		t.Errorf("state %v", s.a.State())
	}
	t.Log("# without end-of-candidates patience counts from the latest candidate")
	s = newScript(t, RoleControlled)
	s.advance(30 * time.Second)
	s.candidate(peerAddr.String(), TypeHost, 100)
	r := s.wantRequest()
	if err := s.recv(r.Remote, s.errorResponse(r, 500)); err != nil {
		t.Fatal(err)
	}
	s.advance(39 * time.Second)
	if s.a.State() != StateChecking {
		t.Errorf("state %v", s.a.State())
	}
	s.advance(time.Second)
	if s.a.State() != StateFailed {
		t.Errorf("state %v", s.a.State())
	}
}

func TestObfuscatedCandidates(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
	a.hide = true
	b.mute = true
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return len(a.selects) > 0 && len(b.selects) > 0 }) {
		t.Fatalf("not connected\n%s", w.trace.String())
	}
	if b.selects[0].Remote.Type != TypeHost {
		t.Errorf("remote candidate %v", b.selects[0].Remote)
	}
}

func TestNamesWithoutAddress(t *testing.T) {
	s := newScript(t, RoleControlled)
	for i := range maxNames + 1 {
		err := s.a.AddRemoteCandidate(s.now, Candidate{
			Component: 1, Transport: "udp", Host: "x.local", Addr: netip.AddrPortFrom(netip.Addr{}, uint16(1+i)),
		})
		if (i < maxNames) != (err == nil) {
			t.Errorf("name %d: %v", i, err)
		}
	}
	for _, e := range s.drain() {
		if e, ok := e.(EventResolve); ok {
			s.a.HandleResolveResult(s.now, e.Gen, e.ID, nil, errors.New("no such host"))
		}
	}
	if len(s.a.resolves) != 0 {
		t.Error("names stay")
	}
	t.Log("# a name that is given again is not asked for again")
	if err := s.a.AddRemoteCandidate(s.now, Candidate{
		Component: 1, Transport: "udp", Host: "x.local", Addr: netip.AddrPortFrom(netip.Addr{}, 1),
	}); err != nil || len(s.a.resolves) != 0 {
		t.Errorf("%v, %d names", err, len(s.a.resolves))
	}
}

// §10, §13: what a generation has announced is over with end-of-candidates: nothing comes behind it.
func TestRFC8838Section13_NothingBehindTheEnd(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed)
		w.addTURN(false)
		w.delay = time.Duration(1+w.rng.IntN(200)) * time.Millisecond
		w.loss, w.deadSTUN = 0.2*w.rng.Float64(), w.rng.IntN(2) == 0
		a, b := w.add("a", withTURN(), "10.0.0.1", "10.0.2.1"), w.add("b", withTURN(), "10.0.1.1")
		a.nat, b.nat = newNAT("198.51.100.1", true), newNAT("198.51.100.2", false)
		w.connect(a, b)
		w.run(time.Minute, nil)
		for _, n := range []*node{a, b} {
			ended := false
			for _, e := range n.events {
				if g, ok := e.(EventGatheringState); ok {
					ended = g.State == GatheringComplete
				}
				if c, ok := e.(EventCandidate); ok && ended {
					t.Errorf("seed %d: %v behind the end", seed, c.Candidate)
				}
			}
			if !ended {
				t.Errorf("seed %d: gathering never ends", seed)
			}
		}
	}
}

// §12: a pair that trickles in waits if its foundation has had success, and freezes while another one of it is checked.
func TestRFC8838Section12_StatesOfLatePairs(t *testing.T) {
	s := newScript(t, RoleControlled)
	add := func(port uint16, foundation string) {
		t.Helper()
		c := Candidate{
			Foundation: foundation, Component: 1, Transport: "udp", Priority: 1000 - uint32(port)%1000,
			Addr: netip.AddrPortFrom(peerAddr.Addr(), port),
		}
		if err := s.a.AddRemoteCandidate(s.now, c); err != nil {
			t.Fatal(err)
		}
	}
	add(9000, "f")
	first := s.wantRequest()
	add(9001, "f")
	if got := s.pair(1).State; got != PairFrozen {
		t.Errorf("of a foundation that is checked: %v", got)
	}
	s.succeed(first)
	if got := s.pair(1).State; got == PairFrozen {
		t.Errorf("of a foundation that has had success: %v", got)
	}
	add(9002, "f")
	if got := s.pair(2).State; got == PairFrozen {
		t.Errorf("the next one of it: %v", got)
	}
	add(9003, "g")
	if got := s.pair(3).State; got == PairFrozen {
		t.Errorf("of another foundation: %v", got)
	}
}

// §9, §11: a candidate with the ufrag of no known generation waits for its parameters, and makes no pair.
func TestRFC8838Section11_CandidatesOfOtherGenerations(t *testing.T) {
	s := newScript(t, RoleControlled)
	c := Candidate{Foundation: "1", Component: 1, Transport: "udp", Priority: 100, Addr: peerAddr, Ufrag: "next"}
	if err := s.a.AddRemoteCandidate(s.now, c); err != nil {
		t.Fatal(err)
	}
	s.wantNothing()
	if n := len(s.a.Stats().Pairs); n != 0 {
		t.Errorf("%d pairs", n)
	}
	t.Log("# the parameters come, and then our side of the restart")
	s.peer = Parameters{Ufrag: "next", Pwd: "abcdefghijklmnopqrstuvw"}
	s.setRemote()
	if err := s.a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	s.bindAll("10.0.0.1")
	if r := s.nextSentOrNow(); r.Remote != peerAddr || string(username(r.Message)) != "next:"+s.a.LocalParameters().Ufrag {
		t.Errorf("a check to %v as %s", r.Remote, username(r.Message))
	}
}
