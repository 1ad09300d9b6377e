package ice

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func TestSection7_3_IntegrityBeforeAnything(t *testing.T) {
	s := newScript(t, RoleControlled)
	good := s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))
	local := s.a.LocalParameters()
	without := func(setters ...stun.Setter) []byte {
		return stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, setters...)...).Raw
	}
	user := stun.NewUsername(local.Ufrag + ":" + s.peer.Ufrag)
	prio := be32(stun.AttrPriority, 1000)
	flipped := slices.Clone(good)
	flipped[len(flipped)-12] ^= 1
	for name, raw := range map[string][]byte{
		"no integrity":          without(user, prio, stun.Fingerprint),
		"no username":           without(prio, stun.NewShortTermIntegrity(local.Pwd), stun.Fingerprint),
		"wrong password":        without(user, prio, stun.NewShortTermIntegrity("x"+local.Pwd), stun.Fingerprint),
		"wrong ufrag":           s.requestAs(Parameters{Ufrag: "zzzz", Pwd: local.Pwd}, s.peer.Ufrag),
		"wrong peer":            s.requestAs(local, "zzzz"),
		"username after":        without(prio, stun.NewShortTermIntegrity(local.Pwd), user, stun.Fingerprint),
		"no fingerprint":        without(user, prio, stun.NewShortTermIntegrity(local.Pwd)),
		"flipped bit":           flipped,
		"unknown and no secret": without(user, prio, attr(0x7777), stun.Fingerprint),
		"truncated":             good[:len(good)-4],
		"trailing byte":         append(slices.Clone(good), 0),
		"short":                 good[:19],
		"empty":                 nil,
	} {
		if err := s.recv(peerAddr, raw); err == nil {
			t.Errorf("%s: taken", name)
		}
		if list := s.sent(); len(list) != 0 {
			t.Errorf("%s: answered by %v", name, list[0].Message)
		}
	}
	if s.a.Verified(s.base, peerAddr) || len(s.a.Stats().Pairs) != 0 {
		t.Error("something unauthenticated has left traces")
	}
	t.Log("# what follows the integrity is ignored: here a USE-CANDIDATE and an unknown attribute")
	m := stun.MustBuild(stun.TransactionID, stun.BindingRequest, user, prio, be64(stun.AttrICEControlling, 1),
		stun.NewShortTermIntegrity(local.Pwd), attr(stun.AttrUseCandidate), attr(0x7777), stun.Fingerprint)
	if err := s.recv(peerAddr, m.Raw); err != nil {
		t.Fatal(err)
	}
	if s.a.cur.pairs[0].wanted {
		t.Error("an attribute behind MESSAGE-INTEGRITY nominates")
	}
}

func TestSection7_3_UnknownAttributeIsRefused(t *testing.T) {
	s := newScript(t, RoleControlled)
	if err := s.recv(peerAddr, s.request(attr(0x7777, 1, 2, 3, 4))); err != nil {
		t.Fatal(err)
	}
	list := s.sent()
	if len(list) != 1 || list[0].Type != stun.BindingError {
		t.Fatalf("sent %v", list)
	}
	var code stun.ErrorCodeAttribute
	if err := code.GetFrom(list[0].Message); err != nil || code.Code != stun.CodeUnknownAttribute {
		t.Errorf("code %v, %v", code, err)
	}
	if v, _ := list[0].Get(stun.AttrUnknownAttributes); string(v) != "\x77\x77" {
		t.Errorf("UNKNOWN-ATTRIBUTES %x", v)
	}
}

func TestSection7_3_1_1_RoleConflict(t *testing.T) {
	for _, tc := range []struct {
		role    Role
		attr    stun.AttrType
		tie     uint64
		becomes Role
		refused bool
	}{
		{RoleControlling, stun.AttrICEControlling, 0, RoleControlling, true},
		{RoleControlling, stun.AttrICEControlling, 1<<64 - 1, RoleControlled, false},
		{RoleControlled, stun.AttrICEControlled, 0, RoleControlling, false},
		{RoleControlled, stun.AttrICEControlled, 1<<64 - 1, RoleControlled, true},
		{RoleControlled, stun.AttrICEControlling, 0, RoleControlled, false},
	} {
		s := newScript(t, tc.role)
		if err := s.recv(peerAddr, s.request(be64(tc.attr, tc.tie))); err != nil {
			t.Fatal(err)
		}
		if s.a.Role() != tc.becomes {
			t.Errorf("%v: role %v", tc, s.a.Role())
		}
		answer := s.sent()[0]
		if refused := answer.Type == stun.BindingError; refused != tc.refused {
			t.Errorf("%v: answer %v", tc, answer.Message)
		}
		if err := stun.NewShortTermIntegrity(s.a.LocalParameters().Pwd).Check(answer.Message); err != nil {
			t.Errorf("%v: answer: %v", tc, err)
		}
	}
}

func TestSection7_3_1_2_TheAnswer(t *testing.T) {
	s := newScript(t, RoleControlled)
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	answer := s.sent()[0]
	if answer.Type != stun.BindingSuccess || answer.Base != s.base || answer.Remote != peerAddr {
		t.Fatalf("answer %v to %v", answer.Message, answer.Remote)
	}
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(answer.Message); err != nil || mapped.String() != peerAddr.String() {
		t.Errorf("mapped %v, %v", mapped, err)
	}
	if err := stun.NewShortTermIntegrity(s.a.LocalParameters().Pwd).Check(answer.Message); err != nil {
		t.Error(err)
	}
	if err := stun.Fingerprint.Check(answer.Message); err != nil {
		t.Error(err)
	}
	if !s.a.Verified(s.base, peerAddr) {
		t.Error("the source is not verified")
	}
}

func TestSection7_3_1_3_PeerReflexiveRemoteCandidate(t *testing.T) {
	s := newScript(t, RoleControlled)
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	st := s.a.Stats()
	c := st.Candidates[len(st.Candidates)-1].Candidate
	if c.Addr != peerAddr || c.Type != TypePeerReflexive || c.Priority != 1000 {
		t.Errorf("candidate %+v", c)
	}
	t.Log("# signaling tells later what it really is")
	s.candidate(peerAddr.String(), TypeHost, 5000)
	st = s.a.Stats()
	if c = st.Candidates[len(st.Candidates)-1].Candidate; c.Type != TypeHost || c.Priority != 5000 || len(st.Pairs) != 1 {
		t.Errorf("candidate %+v, %d pairs", c, len(st.Pairs))
	}
}

func TestSection7_3_1_4_TriggeredChecks(t *testing.T) {
	t.Log("# a new pair: a check at once, behind the answer")
	s := newScript(t, RoleControlled)
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	list := s.sent()
	if len(list) != 2 || list[0].Type != stun.BindingSuccess || list[1].Type != stun.BindingRequest {
		t.Fatalf("sent %v", list)
	}
	t.Log("# in progress: a second check, the first one is sent no more, but its answer counts")
	s.advance(s.a.cfg.Pace)
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	second := s.sent()
	if len(second) != 2 || second[1].TransactionID == list[1].TransactionID {
		t.Fatalf("sent %v", second)
	}
	s.advance(s.a.cfg.RTO)
	if r := s.wantRequest(); r.TransactionID != second[1].TransactionID {
		t.Error("the first check is sent again")
	}
	s.succeed(list[1])
	if got := s.pair(0).State; got != PairSucceeded {
		t.Errorf("the pair is %v", got)
	}
	t.Log("# succeeded: nothing to check")
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	if list = s.sent(); len(list) != 1 {
		t.Errorf("sent %v", list)
	}
}

func TestSection7_3_1_4_FailedPairIsTriedAgain(t *testing.T) {
	s := newScript(t, RoleControlled)
	s.candidate(peerAddr.String(), TypeHost, 100)
	r := s.wantRequest()
	if err := s.recv(r.Remote, s.errorResponse(r, stun.CodeServerError)); err != nil {
		t.Fatal(err)
	}
	if got := s.pair(0).State; got != PairFailed {
		t.Fatalf("the pair is %v", got)
	}
	s.advance(time.Second)
	s.wantNothing()
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	if list := s.sent(); len(list) != 2 || list[1].Type != stun.BindingRequest {
		t.Errorf("sent %v", list)
	}
}

func TestSection7_3_EarlyChecks(t *testing.T) {
	s := newSilentScript(t, RoleControlled)
	t.Log("# no remote parameters yet: answered, verified, remembered")
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
		t.Fatal(err)
	}
	if list := s.sent(); len(list) != 1 || list[0].Type != stun.BindingSuccess {
		t.Fatalf("sent %v", list)
	}
	if !s.a.Verified(s.base, peerAddr) {
		t.Error("not verified")
	}
	s.advance(100 * time.Millisecond)
	s.wantNothing()
	t.Log("# the parameters come: a check at once, and its success is the nominated pair")
	s.setRemote()
	s.succeed(s.wantRequest())
	if p := s.pair(0); !p.Selected || !p.Nominated {
		t.Errorf("pair %+v", p)
	}
}
