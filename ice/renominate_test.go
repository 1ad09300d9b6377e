package ice

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// twoPairs is an agent with two valid pairs, of which the first is better.
func twoPairs(t *testing.T, role Role) (s *script, first, second netip.AddrPort) {
	t.Helper()
	s = newScript(t, role)
	first, second = netip.AddrPortFrom(peerAddr.Addr(), 9000), netip.AddrPortFrom(peerAddr.Addr(), 9001)
	s.candidate(first.String(), TypeServerReflexive, 200)
	s.candidate(second.String(), TypeRelay, 100)
	s.advance(s.a.cfg.Pace)
	for _, r := range s.sent() {
		s.succeed(r)
	}
	if n := len(s.a.cur.valid); n != 2 {
		t.Fatalf("%d valid pairs", n)
	}
	return s, first, second
}

// nominations returns where the requests with USE-CANDIDATE went that wait to be sent.
func (s *script) nominations() (list []sent) {
	for _, r := range s.sent() {
		if r.Type == stun.BindingRequest && r.Contains(stun.AttrUseCandidate) {
			list = append(list, r)
		}
	}
	return list
}

func (s *script) check(from netip.AddrPort, more ...stun.Setter) {
	s.t.Helper()
	role := stun.AttrICEControlled
	if s.a.Role() == RoleControlled {
		role = stun.AttrICEControlling
	}
	if err := s.recv(from, s.request(append(more, be64(role, 1))...)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) wantRoute(want netip.AddrPort) {
	s.t.Helper()
	if r, ok := s.a.Route(); !ok || r.Remote != want {
		s.t.Errorf("route %v, want %v", r.Remote, want)
	}
}

func TestANominationThatIsNotAnsweredGivesWay(t *testing.T) {
	s, first, second := twoPairs(t, RoleControlling)
	s.advance(s.a.cfg.ReflexiveWait)
	list := s.nominations()
	if len(list) != 1 || list[0].Remote != first {
		t.Fatalf("nominated by %v", list)
	}
	t.Log("# as long as the peer is silent everywhere, it may be all the same")
	s.advance(nominationPatience)
	for _, r := range s.nominations() {
		if r.Remote != first {
			t.Errorf("%v is nominated", r.Remote)
		}
	}
	t.Log("# but it is heard on another pair")
	s.check(second)
	s.advance(leastPace)
	again := s.nominations()
	if len(again) != 1 || again[0].Remote != second {
		t.Fatalf("nominated by %v", again)
	}
	s.succeed(again[0])
	if s.a.cur.selected == nil || s.a.cur.selected.remote.Addr != second {
		t.Error("the second pair is not selected")
	}
	t.Log("# the answer to the first nomination comes after all: it counts no more")
	if err := s.recv(first, s.response(list[0], s.local)); err == nil {
		t.Error("the old nomination is answered")
	}
	s.wantRoute(second)
	t.Log("# and a peer that stays with that pair is told again")
	s.advance(nominationPatience + 1)
	s.sent()
	s.check(first)
	s.advance(leastPace)
	if list := s.nominations(); len(list) == 0 || list[len(list)-1].Remote != second {
		t.Errorf("nominated by %v", list)
	}
}

func TestANominationThatWasNotFollowedIsFollowedInNeed(t *testing.T) {
	s, first, second := twoPairs(t, RoleControlled)
	s.check(first, attr(stun.AttrUseCandidate))
	s.wantRoute(first)
	t.Log("# soon a worse one: the better one counts")
	s.advance(time.Second)
	s.check(second, attr(stun.AttrUseCandidate))
	s.wantRoute(first)
	s.sent()
	t.Log("# but it answers nothing any more, and the peer is heard on the other")
	s.advance(s.a.cfg.ConsentInterval / 2)
	s.check(second)
	s.advance(s.a.cfg.ConsentInterval)
	s.wantRoute(second)
}

func TestASilentNetworkChangesNothing(t *testing.T) {
	s, first, second := twoPairs(t, RoleControlled)
	s.check(first, attr(stun.AttrUseCandidate))
	s.advance(time.Second)
	s.check(second, attr(stun.AttrUseCandidate))
	s.check(first)
	s.advance(20 * time.Second)
	s.wantRoute(first)
}

// A NAT has forgotten us: the answer to a consent check says so, and the peer is told by another nomination.
func TestAnotherMappedAddressIsNominated(t *testing.T) {
	s, first, _ := twoPairs(t, RoleControlling)
	s.advance(s.a.cfg.ReflexiveWait)
	s.succeed(s.nominations()[0])
	s.drain()
	consent := s.nextSent()
	elsewhere := netip.MustParseAddrPort("198.51.100.1:7")
	if err := s.recv(consent.Remote, s.response(consent, elsewhere)); err != nil {
		t.Fatal(err)
	}
	s.advance(leastPace)
	list := s.nominations()
	if len(list) != 1 || list[0].Remote != first {
		t.Fatalf("nominated by %v", list)
	}
	if err := s.recv(first, s.response(list[0], elsewhere)); err != nil {
		t.Fatal(err)
	}
	if v := s.a.cur.selected; v.local.Addr != elsewhere || v.local.Type != TypePeerReflexive {
		t.Errorf("selected %v", v.local.Candidate)
	}
	t.Log("# once is enough")
	next := s.nextSent()
	if err := s.recv(next.Remote, s.response(next, elsewhere)); err != nil {
		t.Fatal(err)
	}
	s.advance(time.Second)
	if list := s.nominations(); len(list) > 0 {
		t.Errorf("nominated by %v", list)
	}
}

// The older of two addresses of a foundation may be gone: it holds the other one back for a second only.
func TestASilentPairHoldsItsFoundationBackForASecond(t *testing.T) {
	s := newScript(t, RoleControlled)
	for i := range 2 {
		s.candidate(netip.AddrPortFrom(peerAddr.Addr(), uint16(9000+i)).String(), TypeRelay, uint32(100-i))
	}
	s.wantRequest()
	s.advance(thawAfter - 1)
	for _, r := range s.sent() {
		if r.Remote.Port() != 9000 {
			t.Errorf("%v is asked", r.Remote)
		}
	}
	s.advance(1)
	if r := s.wantRequest(); r.Remote.Port() != 9001 {
		t.Errorf("%v is asked", r.Remote)
	}
}
