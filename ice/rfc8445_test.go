package ice

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func TestSection5_1_1_1_NoCandidateOfUnusableAddresses(t *testing.T) {
	var in []netip.Addr
	for _, s := range []string{"0.0.0.0", "::", "224.0.0.1", "ff02::1", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1"} {
		in = append(in, netip.MustParseAddr(s))
	}
	got := usableLocals(append(in, netip.Addr{}))
	want := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSection5_1_2_PrioritiesAreUniqueAndInOrder(t *testing.T) {
	if got := candidatePriority(TypeHost, 65535); got != 2130706431 {
		t.Errorf("host priority %d, want 2130706431", got)
	}
	if got := candidatePriority(TypeServerReflexive, 65535); got != 1694498815 {
		t.Errorf("srflx priority %d, want 1694498815", got)
	}
	var addrs []netip.Addr
	for i := range 40 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
	}
	seen := map[uint16]bool{}
	for _, p := range localPreferences(addrs) {
		if seen[p] {
			t.Fatalf("preference %d twice", p)
		}
		seen[p] = true
	}
}

func TestRFC8421_FamiliesAlternate(t *testing.T) {
	var addrs []netip.Addr
	for _, s := range []string{"127.0.0.1", "10.0.0.1", "10.0.0.2", "fe80::1", "2001:db8::1", "2001:db8::2"} {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	prefs := localPreferences(addrs)
	order := slices.Clone(addrs)
	slices.SortFunc(order, func(x, y netip.Addr) int {
		return int(prefs[slices.Index(addrs, y)]) - int(prefs[slices.Index(addrs, x)])
	})
	var got string
	for _, a := range order {
		got += a.String() + " "
	}
	if want := "2001:db8::1 10.0.0.1 2001:db8::2 10.0.0.2 fe80::1 127.0.0.1 "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSection5_1_3_RedundantReflexiveCandidateIsDropped(t *testing.T) {
	w := newWorld(t, 1)
	a := w.add("a", Config{Servers: []Server{{Host: stunServer.Addr().String()}}}, "10.0.0.1")
	a.a.Gather(w.now)
	a.pump()
	w.run(time.Second, nil)
	if a.a.GatheringState() != GatheringComplete {
		t.Fatal("not complete")
	}
	if n := len(a.a.Stats().Candidates); n != 1 {
		t.Errorf("%d candidates without a NAT, want the host candidate alone", n)
	}
}

func TestSection5_3_Credentials(t *testing.T) {
	for _, p := range []Parameters{
		{Ufrag: "abc", Pwd: "0123456789012345678901"},
		{Ufrag: "abcd", Pwd: "012345678901234567890"},
		{Ufrag: "ab:d", Pwd: "0123456789012345678901"},
		{Ufrag: "abcd"},
		{Pwd: "0123456789012345678901"},
	} {
		if _, err := New(Config{Rand: newSeeded(1), Local: p}); err == nil {
			t.Errorf("%v is taken", p)
		}
	}
	p, err := GenerateParameters(newSeeded(1))
	if err != nil || p.validate() != nil || len(p.Ufrag) < 4 || len(p.Pwd) < 22 {
		t.Errorf("generated %v, %v", p, err)
	}
}

func TestSection6_1_1_LitePeerMakesUsControlling(t *testing.T) {
	s := newSilentScript(t, RoleControlled)
	s.peer.Lite = true
	s.setRemote()
	if s.a.Role() != RoleControlling {
		t.Error("not controlling in front of a lite peer")
	}
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.succeed(s.wantRequest())
	s.advance(s.a.cfg.Pace)
	if r := s.wantRequest(); !r.Contains(stun.AttrUseCandidate) {
		t.Error("no nomination for the lite peer")
	} else {
		s.succeed(r)
	}
	if p := s.pair(0); !p.Nominated || !p.Selected {
		t.Errorf("pair %+v", p)
	}
}

func TestSection6_1_2_2_PairsWithinAFamilyAndScope(t *testing.T) {
	s := newSilentScript(t, RoleControlling)
	for _, tc := range []struct {
		local, remote string
		want          bool
	}{
		{"10.0.0.1", "10.0.0.2", true},
		{"10.0.0.1", "2001:db8::1", false},
		{"fe80::1", "fe80::2", true},
		{"fe80::1", "2001:db8::2", false},
		{"2001:db8::1", "fe80::2", false},
		{"127.0.0.1", "127.0.0.1", true},
		{"10.0.0.1", "127.0.0.1", false},
	} {
		l := &localCandidate{Candidate: Candidate{Addr: netip.AddrPortFrom(netip.MustParseAddr(tc.local), 1)}}
		r := &remoteCandidate{Candidate: Candidate{Addr: netip.AddrPortFrom(netip.MustParseAddr(tc.remote), 1)}}
		if got := s.a.mayPair(l, r); got != tc.want {
			t.Errorf("%s with %s: %v", tc.local, tc.remote, got)
		}
	}
}

func TestSection6_1_2_3_PairPriority(t *testing.T) {
	if got := pairPriority(5, 3); got != 3<<32+2*5+1 {
		t.Errorf("G > D: %d", got)
	}
	if got := pairPriority(3, 5); got != 3<<32+2*5 {
		t.Errorf("G < D: %d", got)
	}
}

func TestSection6_1_2_4_ReflexiveCandidatesArePruned(t *testing.T) {
	w := newWorld(t, 1)
	a := w.add("a", Config{Servers: []Server{{Host: stunServer.Addr().String()}}}, "10.0.0.1")
	a.nat = newNAT("198.51.100.1", false)
	a.a.Gather(w.now)
	a.pump()
	w.run(time.Second, nil)
	w.must(a.a.SetRemoteParameters(w.now, Parameters{Ufrag: "peer", Pwd: "0123456789012345678901"}))
	w.must(a.a.AddRemoteCandidate(w.now, Candidate{Foundation: "1", Component: 1, Transport: "udp", Addr: peerAddr}))
	st := a.a.Stats()
	if len(st.Candidates) != 3 || len(st.Pairs) != 1 {
		t.Errorf("%d candidates and %d pairs, want host, srflx and remote in one pair", len(st.Candidates), len(st.Pairs))
	}
}

func TestSection6_1_2_5_AtMostHundredPairs(t *testing.T) {
	s := newScript(t, RoleControlling)
	for i := range maxRemotes {
		s.candidate(fmt.Sprintf("10.1.0.1:%d", 1000+i), TypeHost, uint32(1000+i))
	}
	if n := len(s.a.Stats().Pairs); n != maxPairs {
		t.Fatalf("%d pairs", n)
	}
	if p := s.pair(0); p.RemoteAddr.Port() != 1000+maxRemotes-1 {
		t.Errorf("the best pair is %v: the worst ones must give way", p.RemoteAddr)
	}
	err := s.a.AddRemoteCandidate(s.now, Candidate{Component: 1, Transport: "udp", Addr: peerAddr})
	if err == nil {
		t.Error("no limit of remote candidates")
	}
}

func TestSection6_1_2_6_OnePairOfAFoundationWaits(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate("10.0.0.2:1000", TypeHost, 100)
	first := s.wantRequest()
	t.Log("# its foundation is busy: the next two freeze")
	s.candidate("10.0.0.2:1001", TypeHost, 99)
	s.candidate("10.0.0.2:1002", TypeHost, 98)
	for i, want := range []PairState{PairInProgress, PairFrozen, PairFrozen} {
		if got := s.pair(i).State; got != want {
			t.Errorf("pair %d is %v, want %v", i, got, want)
		}
	}
	t.Log("# §7.2.5.3.3: success thaws the foundation")
	s.candidate("10.0.0.3:1003", TypeServerReflexive, 200) // keeps the nomination waiting
	s.succeed(first)
	frozen := 0
	for _, p := range s.a.Stats().Pairs {
		if p.State == PairFrozen {
			frozen++
		}
	}
	if frozen != 0 {
		t.Errorf("%d pairs are still frozen", frozen)
	}
}

func TestSection6_1_4_2_OneCheckEachTa(t *testing.T) {
	s := newScript(t, RoleControlling)
	for i := range 5 {
		c := Candidate{
			Foundation: fmt.Sprint(i), Component: 1, Transport: "udp", Priority: uint32(100 - i),
			Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(1000+i)),
		}
		if err := s.a.AddRemoteCandidate(s.now, c); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		if r := s.wantRequest(); r.Remote.Port() != uint16(1000+i) {
			t.Errorf("check %d goes to %v: not in order of priority", i, r.Remote)
		}
		s.advance(s.a.cfg.Pace - 1)
		s.wantNothing()
		s.advance(1)
	}
}

func TestSection7_2_4_WhatACheckCarries(t *testing.T) {
	for _, role := range []Role{RoleControlling, RoleControlled} {
		s := newScript(t, role)
		s.candidate(peerAddr.String(), TypeHost, 100)
		r := s.wantRequest()
		if want := s.peer.Ufrag + ":" + s.a.LocalParameters().Ufrag; string(username(r.Message)) != want {
			t.Errorf("%v: username %s, want %s", role, username(r.Message), want)
		}
		if err := stun.NewShortTermIntegrity(s.peer.Pwd).Check(r.Message); err != nil {
			t.Errorf("%v: %v", role, err)
		}
		if err := stun.Fingerprint.Check(r.Message); err != nil {
			t.Errorf("%v: %v", role, err)
		}
		if v, _ := r.Get(stun.AttrPriority); binary.BigEndian.Uint32(v)>>24 != typePreference[TypePeerReflexive] {
			t.Errorf("%v: PRIORITY %x is not that of a peer-reflexive candidate", role, v)
		}
		if r.Contains(stun.AttrICEControlling) != (role == RoleControlling) || r.Contains(stun.AttrICEControlled) == (role == RoleControlling) {
			t.Errorf("%v: the role attribute is wrong: %v", role, r.Message)
		}
		if r.Contains(stun.AttrUseCandidate) {
			t.Errorf("%v: an ordinary check nominates", role)
		}
	}
}

func TestSection7_2_5_1_RoleConflictResponse(t *testing.T) {
	for _, role := range []Role{RoleControlling, RoleControlled} {
		s := newScript(t, role)
		s.candidate(peerAddr.String(), TypeHost, 100)
		r := s.wantRequest()
		before, _ := r.Get(map[Role]stun.AttrType{RoleControlling: stun.AttrICEControlling, RoleControlled: stun.AttrICEControlled}[role])
		if err := s.recv(r.Remote, s.errorResponse(r, stun.CodeRoleConflict)); err != nil {
			t.Fatal(err)
		}
		if s.a.Role() == role {
			t.Fatalf("still %v", role)
		}
		s.advance(s.a.cfg.Pace)
		again := s.wantRequest()
		after, err := again.Get(map[Role]stun.AttrType{RoleControlled: stun.AttrICEControlling, RoleControlling: stun.AttrICEControlled}[role])
		if err != nil {
			t.Fatalf("the triggered check has the old role: %v", again.Message)
		}
		if string(before) == string(after) {
			t.Error("the tie-breaker must change")
		}
	}
}

func TestSection7_2_5_2_1_AsymmetricResponseFails(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate(peerAddr.String(), TypeHost, 100)
	r := s.wantRequest()
	if err := s.recv(netip.MustParseAddrPort("10.0.0.66:1"), s.response(r, s.local)); err != nil {
		t.Fatal(err)
	}
	if got := s.pair(0).State; got != PairFailed {
		t.Errorf("the pair is %v", got)
	}
	if _, ok := s.a.Route(); ok {
		t.Error("there is a route")
	}
}

func TestSection7_2_5_2_3_TimeoutFails(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate(peerAddr.String(), TypeHost, 100)
	first := s.wantRequest()
	t.Log("# RFC 8489 §6.2.1: sent at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s, failed at 39.5 s")
	at := time.Duration(0)
	for _, gap := range []int{500, 1000, 2000, 4000, 8000, 16000} {
		s.advance(time.Duration(gap)*time.Millisecond - 1)
		s.wantNothing()
		s.advance(1)
		at += time.Duration(gap) * time.Millisecond
		if r := s.wantRequest(); r.TransactionID != first.TransactionID {
			t.Fatalf("at %v another transaction", at)
		}
	}
	s.advance(8*time.Second - 1)
	if got := s.pair(0).State; got != PairInProgress {
		t.Errorf("at 39.5 s - 1 ns the pair is %v", got)
	}
	s.advance(1)
	if got := s.pair(0).State; got != PairFailed {
		t.Errorf("at 39.5 s the pair is %v", got)
	}
	s.wantNothing()
}

func TestSection7_2_5_3_1_PeerReflexiveLocalCandidate(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate(peerAddr.String(), TypeHost, 100)
	r := s.wantRequest()
	mapped := netip.MustParseAddrPort("198.51.100.1:777")
	if err := s.recv(r.Remote, s.response(r, mapped)); err != nil {
		t.Fatal(err)
	}
	priority, _ := r.Get(stun.AttrPriority)
	for _, c := range s.a.Stats().Candidates {
		if c.Candidate.Addr == mapped {
			if c.Candidate.Type != TypePeerReflexive || c.Candidate.Related != s.local || c.Base != s.base ||
				c.Candidate.Priority != binary.BigEndian.Uint32(priority) {
				t.Errorf("candidate %+v", c)
			}
			if route, ok := s.a.Route(); !ok || route.Base != s.base || route.Remote != peerAddr {
				t.Errorf("route %v %v", route, ok)
			}
			return
		}
	}
	t.Error("no peer-reflexive candidate")
}

func TestSection14_3_RTO(t *testing.T) {
	s := newScript(t, RoleControlling)
	if got := s.a.checkRTO(); got != 500*time.Millisecond {
		t.Errorf("RTO %v", got)
	}
	for i := range 60 {
		s.candidate(fmt.Sprintf("10.1.0.1:%d", 1000+i), TypeHost, uint32(1000+i))
	}
	if got, want := s.a.checkRTO(), 60*s.a.cfg.Pace; got != want {
		t.Errorf("RTO with 60 pairs %v, want %v", got, want)
	}
	if _, err := New(Config{Rand: newSeeded(1), Pace: 4 * time.Millisecond}); err == nil {
		t.Error("§14.2: Ta below 5 ms is taken")
	}
}

func TestSection6_1_4_2_FrozenPairsThawWhenTheirFoundationIsIdle(t *testing.T) {
	s := newScript(t, RoleControlled)
	s.candidate("10.0.0.2:1000", TypeHost, 100)
	first := s.wantRequest()
	s.candidate("10.0.0.2:1001", TypeHost, 99)
	s.advance(100 * time.Millisecond)
	s.wantNothing()
	if err := s.recv(first.Remote, s.errorResponse(first, stun.CodeServerError)); err != nil {
		t.Fatal(err)
	}
	if r := s.wantRequest(); r.Remote.Port() != 1001 {
		t.Errorf("the check goes to %v", r.Remote)
	}
}

func TestSpuriousAdvanceDoesNothing(t *testing.T) {
	s := connected(t)
	d := s.a.Deadline()
	for range 100 {
		s.a.Advance(s.now)
		s.a.EndBatch(s.now)
	}
	s.wantNothing()
	if got := s.a.Deadline(); !got.Equal(d) {
		t.Errorf("the deadline moves from %v to %v", d, got)
	}
}

func TestNamesOfStates(t *testing.T) {
	var got string
	for i := range 4 {
		got += Role(i).String() + " " + GatheringState(i).String() + " " + CandidateType(i).String() + " "
	}
	for i := range 9 {
		got += State(i).String() + " " + PairState(i).String() + " "
	}
	want := "unknown new host controlling gathering srflx controlled complete prflx unknown unknown relay " +
		"new frozen checking waiting connected in-progress completed succeeded disconnected failed " +
		"failed unknown closed unknown unknown unknown unknown unknown "
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRoleChangeLeavesNoRequestsOfTheOldRole(t *testing.T) {
	s := newScript(t, RoleControlled)
	s.candidate(peerAddr.String(), TypeHost, 100)
	old := s.wantRequest()
	s.a.SetRole(s.now, RoleControlling)
	s.advance(s.a.cfg.Pace)
	if r := s.wantRequest(); !r.Contains(stun.AttrICEControlling) {
		t.Errorf("sent %v", r.Message)
	}
	s.advance(3 * time.Second)
	for _, r := range s.sent() {
		if r.TransactionID == old.TransactionID {
			t.Error("a check of the old role is sent again")
		}
	}
	t.Log("# but its answer counts")
	s.succeed(old)
	if got := s.pair(0).State; got != PairSucceeded {
		t.Errorf("the pair is %v", got)
	}
}

func TestParametersTwiceDoNoHarm(t *testing.T) {
	s := connected(t)
	local := s.a.LocalParameters()
	s.setRemote()
	if _, ok := s.a.Route(); !ok || s.a.LocalParameters() != local || s.a.prev != nil || s.a.cur.selected == nil {
		t.Error("the same parameters begin a restart")
	}
}

func TestRefusedInputsLeaveTheTimersAlone(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate("198.51.100.9:9001", TypeServerReflexive, 50)
	s.succeed(s.wantRequest())
	t.Log("# the nomination is due, but what comes is garbage")
	s.now = s.now.Add(s.a.cfg.ReflexiveWait + time.Second)
	if err := s.recv(peerAddr, []byte("garbage")); err == nil {
		t.Fatal("taken")
	}
	if err := s.recv(peerAddr, s.requestAs(Parameters{Ufrag: "zzzz", Pwd: s.peer.Pwd}, "peer")); err == nil {
		t.Fatal("taken")
	}
	if d := s.a.Deadline(); d.IsZero() || d.After(s.now) {
		t.Errorf("the deadline is %v from now", d.Sub(s.now))
	}
	s.a.Advance(s.now)
	if r := s.wantRequest(); !r.Contains(stun.AttrUseCandidate) {
		t.Errorf("sent %v", r.Message)
	}
}
