package ice

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// RFC 8489 §6.3.4 and RFC 8445 §7.2.5.2.4: an error that cannot be repaired fails the pair; nothing is sent again.
func TestRFC8489Section634_ErrorsFail(t *testing.T) {
	for _, code := range []stun.ErrorCode{300, 400, 401, 420, 438, 499, 500, 699} {
		s := newScript(t, RoleControlling)
		s.candidate(peerAddr.String(), TypeHost, 100)
		r := s.wantRequest()
		if err := s.recv(r.Remote, s.errorResponse(r, code)); err != nil {
			t.Fatal(err)
		}
		s.advance(20 * time.Second)
		s.wantNothing()
		if got := s.pair(0).State; got != PairFailed {
			t.Errorf("%d: the pair is %v", code, got)
		}
	}
}

// RFC 8489 §6.3.3: "If the success response contains unknown comprehension-required attributes, the response is discarded
// and the transaction is considered to have failed"; so is one without a mapped address. Optional ones are ignored.
func TestRFC8489Section633_UnknownAttributesInAResponse(t *testing.T) {
	at := &stun.XORMappedAddress{IP: netip.MustParseAddr("10.0.0.1").AsSlice(), Port: 4001}
	for name, c := range map[string]struct {
		list []stun.Setter
		want PairState
	}{
		"required":   {[]stun.Setter{at, attr(0x7777, 1, 2, 3, 4)}, PairFailed},
		"optional":   {[]stun.Setter{at, attr(0xff77, 1, 2, 3, 4)}, PairSucceeded},
		"no address": {nil, PairFailed},
	} {
		s := newScript(t, RoleControlling)
		s.candidate(peerAddr.String(), TypeHost, 100)
		r := s.wantRequest()
		list := append([]stun.Setter{r.Message, stun.BindingSuccess}, c.list...)
		raw := stun.MustBuild(append(list, stun.NewShortTermIntegrity(s.peer.Pwd), stun.Fingerprint)...).Raw
		if err := s.recv(r.Remote, raw); err != nil {
			t.Fatal(err)
		}
		if got := s.pair(0).State; got != c.want {
			t.Errorf("%s: the pair is %v", name, got)
		}
	}
}

// RFC 8489 §9.1.4: a response without MESSAGE-INTEGRITY, or with a wrong one, "MUST be discarded, as if it had never been
// received": the request is sent again, and the right response counts yet.
func TestRFC8489Section914_ForgedResponses(t *testing.T) {
	s := newScript(t, RoleControlling)
	s.candidate(peerAddr.String(), TypeHost, 100)
	r := s.wantRequest()
	at := &stun.XORMappedAddress{IP: s.local.Addr().AsSlice(), Port: int(s.local.Port())}
	for _, forged := range [][]stun.Setter{
		{r.Message, stun.BindingSuccess, at, stun.Fingerprint},
		{r.Message, stun.BindingSuccess, at, stun.NewShortTermIntegrity("another password 123456"), stun.Fingerprint},
		{r.Message, stun.BindingError, stun.CodeRoleConflict, stun.Fingerprint},
		{r.Message, stun.BindingError, stun.CodeBadRequest, stun.NewShortTermIntegrity("another password 123456"), stun.Fingerprint},
	} {
		if err := s.recv(r.Remote, stun.MustBuild(forged...).Raw); err == nil {
			t.Error("a forged response was taken")
		}
	}
	if s.a.Role() != RoleControlling || s.pair(0).State != PairInProgress {
		t.Errorf("%v, pair %v", s.a.Role(), s.pair(0).State)
	}
	s.advance(s.a.cfg.RTO)
	if again := s.wantRequest(); again.TransactionID != r.TransactionID {
		t.Error("another request")
	}
	s.succeed(r)
	if s.pair(0).State != PairSucceeded {
		t.Error("the right response came too late")
	}
}

// RFC 8489 §6.3.1, §6.3.2: a second copy of a request is answered the same way, and an indication not at all.
func TestRFC8489Section631_CopiesAndIndications(t *testing.T) {
	s := newScript(t, RoleControlled)
	raw := s.request(be64(stun.AttrICEControlling, 1))
	responses := func() (list []sent) {
		for _, m := range s.sent() {
			if m.Type == stun.BindingSuccess {
				list = append(list, m)
			}
		}
		return list
	}
	for range 3 {
		if err := s.recv(peerAddr, raw); err != nil {
			t.Fatal(err)
		}
		if list := responses(); len(list) != 1 || string(list[0].TransactionID[:]) != string(raw[8:20]) {
			t.Errorf("answers %v", list)
		}
	}
	if n := len(s.a.Stats().Pairs); n != 1 {
		t.Errorf("%d pairs of one check", n)
	}
	indication := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication), stun.Fingerprint).Raw
	if err := s.recv(peerAddr, indication); err != nil {
		t.Error(err)
	}
	if list := responses(); len(list) > 0 {
		t.Errorf("an indication is answered by %v", list)
	}
}

// RFC 8489 §6.1: transaction ids are random, and never used twice; RFC 7675 §5.1 wants it of each consent check.
func TestRFC8489Section61_TransactionIDs(t *testing.T) {
	seen := map[[stun.TransactionIDSize]byte]bool{}
	s := connected(t)
	for range 50 {
		r := s.nextSent()
		if seen[r.TransactionID] {
			t.Fatalf("%x twice", r.TransactionID)
		}
		seen[r.TransactionID] = true
		s.succeed(r)
	}
}

// RFC 8445 §7.3.1.2: by way of a relay, the mapped address of an answer is where the peer's packet came to the relay from.
func TestSection7_3_1_2_MappedAddressByARelay(t *testing.T) {
	w, a, b := relayPair(t, withTURN(relayOnly), withSTUN, false)
	w.connect(a, b)
	if !w.run(2*time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatal("no connection")
	}
	r, _ := a.a.Route()
	seen := false
	for _, c := range b.a.Stats().Candidates {
		seen = seen || (c.Local && c.Candidate.Addr == r.Peer)
	}
	if r.Peer.Addr() != b.nat.public || !seen {
		t.Errorf("the relay sees %v, and the peer does not know it", r.Peer)
	}
}
