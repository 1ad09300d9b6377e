package ice

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func TestSection7_3_1_5_ControlledFollowsTheNomination(t *testing.T) {
	s := newScript(t, RoleControlled)
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.succeed(s.wantRequest())
	t.Log("# RFC 8445 §12.1: a valid pair carries packets before the nomination")
	if _, ok := s.a.Route(); !ok || s.a.cur.selected != nil {
		t.Fatal("no route on a valid pair")
	}
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
		t.Fatal(err)
	}
	if p := s.pair(0); !p.Selected || !p.Nominated {
		t.Errorf("pair %+v", p)
	}
}

func TestSection8_1_1_NominatesOnce(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate("10.0.0.9:9000", TypeHost, 100)
	s.candidate("10.0.0.9:9001", TypeHost, 50)
	first := s.wantRequest()
	s.succeed(first)
	s.advance(s.a.cfg.Pace)
	nomination := s.wantRequest()
	if !nomination.Contains(stun.AttrUseCandidate) || nomination.Remote != first.Remote {
		t.Fatalf("sent %v to %v, want the nomination", nomination.Message, nomination.Remote)
	}
	t.Log("# while it is on its way another pair succeeds: no second nomination")
	s.advance(s.a.cfg.Pace)
	second := s.wantRequest()
	s.succeed(second)
	s.advance(s.a.cfg.Pace)
	s.wantNothing()
	s.succeed(nomination)
	if p := s.pair(0); !p.Selected || !p.Nominated {
		t.Errorf("pair %+v", p)
	}
	s.advance(time.Second)
	s.wantNothing()
}

func TestSection8_1_1_FailedNominationGivesWay(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate("10.0.0.9:9000", TypeHost, 100)
	s.candidate("10.0.0.9:9001", TypeHost, 50)
	s.succeed(s.wantRequest())
	s.advance(s.a.cfg.Pace)
	nomination := s.wantRequest()
	s.advance(s.a.cfg.Pace)
	s.succeed(s.wantRequest())
	if err := s.recv(nomination.Remote, s.errorResponse(nomination, stun.CodeServerError)); err != nil {
		t.Fatal(err)
	}
	s.advance(s.a.cfg.Pace)
	r := s.wantRequest()
	if !r.Contains(stun.AttrUseCandidate) || r.Remote.Port() != 9001 {
		t.Fatalf("sent %v to %v, want a nomination of the other pair", r.Message, r.Remote)
	}
	s.succeed(r)
	if p := s.pair(1); !p.Selected {
		t.Errorf("pair %+v", p)
	}
}

func TestSection8_1_1_ReflexivePairWaitsForABetterOne(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate("10.0.0.9:9000", TypeHost, 100)
	host := s.wantRequest()
	s.candidate("198.51.100.9:9001", TypeServerReflexive, 50)
	s.advance(s.a.cfg.Pace)
	s.candidate("198.51.100.9:9002", TypePeerReflexive, 40)
	s.advance(s.a.cfg.RTO)
	var srflx sent
	for _, r := range s.sent() {
		if r.Remote.Port() == 9001 {
			srflx = r
		}
	}
	s.succeed(srflx)
	s.advance(s.a.cfg.ReflexiveWait - 1)
	for _, r := range s.sent() {
		if r.Contains(stun.AttrUseCandidate) {
			t.Fatal("nominated too early")
		}
	}
	t.Log("# the host pair makes it in time")
	s.succeed(host)
	s.advance(s.a.cfg.Pace)
	for _, r := range s.sent() {
		if r.Contains(stun.AttrUseCandidate) {
			if r.Remote.Port() != 9000 {
				t.Errorf("nominated %v", r.Remote)
			}
			return
		}
	}
	t.Error("no nomination")
}

func TestSection8_1_2_ChecksEndWithTheNomination(t *testing.T) {
	s := newScript(t, RoleControlled)
	s.candidate("10.0.0.9:9000", TypeHost, 100)
	first := s.wantRequest()
	for i := range 10 {
		s.candidate(fmt.Sprintf("10.0.0.9:%d", 9001+i), TypeHost, uint32(99-i))
	}
	s.succeed(first)
	if err := s.recv(first.Remote, s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
		t.Fatal(err)
	}
	s.sent()
	s.advance(3 * time.Second)
	s.wantNothing()
}

func TestSection7_2_5_1_ConflictAfterTheNominationWasFollowed(t *testing.T) {
	s := newScript(t, RoleControlled)
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.succeed(s.wantRequest())
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
		t.Fatal(err)
	}
	s.sent()
	t.Log("# the peer gives its role up before it has concluded: we nominate what we have followed")
	s.advance(s.a.cfg.Pace)
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlled, 0))); err != nil {
		t.Fatal(err)
	}
	list := s.sent()
	if len(list) != 2 || !list[1].Contains(stun.AttrUseCandidate) {
		t.Fatalf("sent %v", list)
	}
	t.Log("# its refusal does not cost us the pair")
	if err := s.recv(peerAddr, s.errorResponse(list[1], stun.CodeBadRequest)); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.a.Route(); !ok || s.a.cur.nominating != nil || s.a.Stats().SelectedChanges != 1 {
		t.Error("the selected pair is gone")
	}
}

func TestSection8_1_1_NominationThatNobodyAnswers(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.succeed(s.wantRequest())
	s.advance(29 * time.Second)
	nominations := 0
	for _, r := range s.sent() {
		if r.Contains(stun.AttrUseCandidate) {
			nominations++
		}
	}
	if nominations < 10 {
		t.Errorf("%d requests nominate: check, consent checks and probe should all try", nominations)
	}
	s.advance(time.Second)
	if _, ok := s.a.Route(); ok || s.a.cur.nominating != nil {
		t.Error("the pair outlives its consent")
	}
	s.sent()
	s.advance(20 * time.Second)
	if s.a.State() != StateFailed {
		t.Errorf("state %v", s.a.State())
	}
	s.wantNothing()
}

func TestSection8_1_1_AnswerToAConsentCheckConcludesTheNomination(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.succeed(s.wantRequest())
	s.advance(7 * time.Second)
	list := s.sent()
	for _, r := range list {
		if int(s.pair(0).ConsentSent) > 0 && r.TransactionID != list[0].TransactionID {
			s.succeed(r)
			break
		}
	}
	if p := s.pair(0); !p.Selected || !p.Nominated || s.a.cur.selected == nil {
		t.Errorf("pair %+v", p)
	}
}

func TestSection7_3_1_5_SeveralNominations(t *testing.T) {
	s := newScript(t, RoleControlled)
	var from [3]netip.AddrPort
	for i, priority := range []uint32{50, 100, 10} {
		from[i] = netip.AddrPortFrom(peerAddr.Addr(), uint16(9000+i))
		s.candidate(from[i].String(), CandidateType(i), priority)
		s.advance(s.a.cfg.Pace)
		for _, r := range s.sent() {
			s.succeed(r)
		}
	}
	nominate := func(i int) netip.AddrPort {
		t.Helper()
		if err := s.recv(from[i], s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
			t.Fatal(err)
		}
		s.sent()
		r, _ := s.a.Route()
		return r.Remote
	}
	if got := nominate(0); got != from[0] {
		t.Errorf("route %v", got)
	}
	t.Log("# of the pairs of a peer that nominates them all the best one counts")
	if got := nominate(1); got != from[1] {
		t.Errorf("route %v", got)
	}
	if got := nominate(2); got != from[1] {
		t.Errorf("route %v", got)
	}
	t.Log("# a peer that stays with another one means it")
	s.advance(renominateAfter + 1)
	if got := nominate(2); got != from[2] {
		t.Errorf("route %v", got)
	}
}
