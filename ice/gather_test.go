package ice

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

var testServer = Server{URL: "stun:stun.example.org:19302", Host: "stun.example.org", Port: 19302}

// gatherer is an agent with one server that is gathering on the given addresses; the server's name is not resolved.
func gatherer(t *testing.T, addrs ...string) (*script, EventResolve) {
	t.Helper()
	a, err := New(Config{Rand: newSeeded(1), Servers: []Server{testServer}})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, a: a, now: epoch}
	a.Gather(s.now)
	s.bindAll(addrs...)
	for _, e := range s.events {
		if e, ok := e.(EventResolve); ok {
			return s, e
		}
	}
	t.Fatal("the server's name is not asked for")
	return nil, EventResolve{}
}

func (s *script) candidateErrors() (list []EventCandidateError) {
	s.drain()
	for _, e := range s.events {
		if e, ok := e.(EventCandidateError); ok {
			list = append(list, e)
		}
	}
	return list
}

func TestServersAreAskedInTheirFamily(t *testing.T) {
	s, r := gatherer(t, "10.0.0.1", "2001:db8::1", "127.0.0.1")
	s.a.HandleResolveResult(s.now, r.Gen, r.ID, []netip.Addr{
		netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6"), netip.MustParseAddr("2001:db8::5"),
	}, nil)
	s.advance(s.a.cfg.Pace)
	list := s.sent()
	if len(list) != 2 {
		t.Fatalf("%d requests, want one a family and none from loopback", len(list))
	}
	for _, m := range list {
		if m.Remote.Port() != 19302 || m.Contains(stun.AttrUsername) || m.Contains(stun.AttrMessageIntegrity) {
			t.Errorf("request to %v: %v", m.Remote, m.Message)
		}
	}
	t.Log("# answers from elsewhere and of the wrong family do not count")
	v4 := list[0]
	if v4.Remote.Addr().Is6() {
		v4 = list[1]
	}
	answer := func(ip string) []byte {
		return stun.MustBuild(v4.Message, stun.BindingSuccess, &stun.XORMappedAddress{IP: netip.MustParseAddr(ip).AsSlice(), Port: 7}).Raw
	}
	if _, err := s.a.HandlePacket(s.now, v4.Base, peerAddr, answer("198.51.100.1")); !errors.Is(err, ErrPacket) {
		t.Errorf("an answer from elsewhere: %v", err)
	}
	if _, err := s.a.HandlePacket(s.now, v4.Base, v4.Remote, answer("2001:db8::77")); err != nil {
		t.Error(err)
	}
	if list := s.candidateErrors(); len(list) != 1 || list[0].URL != testServer.URL {
		t.Errorf("errors %v", list)
	}
}

func TestServerRefuses(t *testing.T) {
	s, r := gatherer(t, "10.0.0.1")
	s.a.HandleResolveResult(s.now, r.Gen, r.ID, []netip.Addr{netip.MustParseAddr("203.0.113.5")}, nil)
	req := s.wantRequest()
	if err := s.recv(req.Remote, stun.MustBuild(req.Message, stun.BindingError, stun.CodeServerError).Raw); err != nil {
		t.Fatal(err)
	}
	if list := s.candidateErrors(); len(list) != 1 || list[0].Code != 500 || list[0].Local != s.local {
		t.Errorf("errors %v", list)
	}
	if s.a.GatheringState() != GatheringComplete {
		t.Error("gathering goes on")
	}
}

func TestServerWithoutAddress(t *testing.T) {
	s, r := gatherer(t, "10.0.0.1")
	s.a.HandleResolveResult(s.now, r.Gen+1, r.ID, []netip.Addr{netip.MustParseAddr("203.0.113.5")}, nil)
	if s.a.GatheringState() != GatheringActive {
		t.Fatal("a result of another generation is taken")
	}
	s.a.HandleResolveResult(s.now, r.Gen, r.ID, nil, errors.New("no such host"))
	if list := s.candidateErrors(); len(list) != 1 || list[0].Code != 701 {
		t.Errorf("errors %v", list)
	}
	if s.a.GatheringState() != GatheringComplete {
		t.Error("gathering goes on")
	}
}

func TestMappingIsKeptAliveUntilAPairIsSelected(t *testing.T) {
	s, r := gatherer(t, "10.0.0.1")
	s.a.HandleResolveResult(s.now, r.Gen, r.ID, []netip.Addr{netip.MustParseAddr("203.0.113.5")}, nil)
	req := s.wantRequest()
	raw := stun.MustBuild(req.Message, stun.BindingSuccess, &stun.XORMappedAddress{IP: []byte{198, 51, 100, 1}, Port: 7}).Raw
	if err := s.recv(req.Remote, raw); err != nil {
		t.Fatal(err)
	}
	if st := s.a.Stats(); len(st.Candidates) != 2 || st.Candidates[1].Candidate.URL != testServer.URL ||
		st.Candidates[1].Candidate.Related != s.local {
		t.Errorf("candidates %+v", st.Candidates)
	}
	s.advance(refreshInterval)
	again := s.wantRequest()
	if again.Remote != req.Remote || again.TransactionID == req.TransactionID {
		t.Errorf("refresh %v", again.Message)
	}
	s.advance(refreshInterval - 1)
	s.wantNothing()
	s.peer = Parameters{Ufrag: "peer", Pwd: "0123456789abcdefghijkl"}
	s.a.SetRole(s.now, RoleControlled)
	s.setRemote()
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.succeed(s.wantRequest())
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
		t.Fatal(err)
	}
	s.sent()
	s.advance(2 * time.Second)
	s.wantNothing()
}

func TestSoftDeadlineCoversEveryKindOfWork(t *testing.T) {
	a, err := New(Config{Rand: newSeeded(1), Servers: []Server{testServer}})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, a: a, now: epoch}
	a.Gather(s.now)
	a.Gather(s.now)
	var gen uint64
	for _, e := range s.drain() {
		if e, ok := e.(EventInterfaces); ok {
			gen = e.Gen
		}
	}
	t.Log("# neither the interfaces nor the name answer")
	s.advance(5 * time.Second)
	if a.GatheringState() != GatheringComplete {
		t.Fatal("gathering goes on")
	}
	if !a.Deadline().IsZero() {
		t.Error("a timer without a purpose")
	}
	a.HandleInterfacesResult(s.now, gen, []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil)
	for _, e := range s.drain() {
		if _, ok := e.(EventBind); ok {
			t.Error("a late list is bound")
		}
	}
}

func TestBindErrorAndLateBind(t *testing.T) {
	a, err := New(Config{Rand: newSeeded(1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, a: a, now: epoch}
	a.Gather(s.now)
	gen := s.drain()[1].(EventInterfaces).Gen
	a.HandleInterfacesResult(s.now, gen, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%eth0")}, nil)
	binds := s.drain()
	first, second := binds[0].(EventBind), binds[1].(EventBind)
	if first.Network != "udp4" || second.Network != "udp6" || second.Addr.Addr().Zone() != "eth0" {
		t.Errorf("binds %v %v", first, second)
	}
	a.HandleBindResult(s.now, gen, first.Base, netip.AddrPort{}, errors.New("address in use"))
	if list := s.candidateErrors(); len(list) != 1 {
		t.Errorf("errors %v", list)
	}
	s.advance(5 * time.Second)
	a.HandleBindResult(s.now, gen, second.Base, netip.MustParseAddrPort("[fe80::1]:5000"), nil)
	events := s.drain()
	if e, ok := events[len(events)-1].(EventUnbind); !ok || e.Base != second.Base {
		t.Errorf("a socket that comes too late is not given back: %v", events)
	}
}

func TestInterfacesFail(t *testing.T) {
	s := connected(t)
	if err := s.a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	for _, e := range s.drain() {
		if e, ok := e.(EventInterfaces); ok {
			s.a.HandleInterfacesResult(s.now, e.Gen, nil, errors.New("netlink is forbidden"))
		}
	}
	t.Log("# the sockets that there are stay")
	for _, e := range s.drain() {
		if e, ok := e.(EventCandidate); ok && e.Candidate.Addr == s.local {
			return
		}
	}
	t.Error("no candidate of the old socket")
}

func TestRelayPolicyAnnouncesNothingElse(t *testing.T) {
	s := newScript(t, RoleControlling, func(c *Config) { c.Policy, c.Servers = PolicyRelay, []Server{testServer} })
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.advance(time.Second)
	for _, e := range append(s.events, s.drain()...) {
		switch e.(type) {
		case EventCandidate, EventResolve:
			t.Errorf("%T%v", e, e)
		}
	}
	s.wantNothing()
}

func TestLinkLocalAddressesTakeTheZoneOfTheirBase(t *testing.T) {
	s := newSilentScript(t, RoleControlled, func(c *Config) {})
	a, err := New(Config{Role: RoleControlled, Rand: newSeeded(9)})
	if err != nil {
		t.Fatal(err)
	}
	s.a, s.base = a, 0
	a.Gather(s.now)
	s.bindAll("fe80::1%eth7")
	s.setRemote()
	s.candidate("[fe80::2]:9000", TypeHost, 100)
	r := s.wantRequest()
	if r.Remote.Addr().Zone() != "eth7" {
		t.Errorf("the check goes to %v", r.Remote)
	}
	for _, e := range s.events {
		if e, ok := e.(EventCandidate); ok && e.Candidate.Addr.Addr().Zone() != "" {
			t.Errorf("candidate %v", e.Candidate)
		}
	}
	s.succeed(r)
	if route, ok := a.Route(); !ok || route.Remote != r.Remote {
		t.Errorf("route %v %v", route, ok)
	}
	for _, from := range []string{"[fe80::2%eth7]:9000", "[fe80::2]:9000"} {
		if !a.Verified(s.base, netip.MustParseAddrPort(from)) {
			t.Errorf("%s is not verified", from)
		}
	}
}

func TestServersOfTheNextGathering(t *testing.T) {
	s := connected(t)
	if err := s.a.SetServers(make([]Server, maxServers+1)); !errors.Is(err, ErrConfig) {
		t.Errorf("many servers: %v", err)
	}
	if err := s.a.SetServers([]Server{testServer}); err != nil {
		t.Fatal(err)
	}
	s.a.SetPolicy(PolicyAll)
	if err := s.a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	for _, e := range s.drain() {
		if e, ok := e.(EventResolve); ok && e.Host == testServer.Host {
			return
		}
	}
	t.Error("the new server is not asked for")
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]Config{
		"no source":    {},
		"consent":      {Rand: newSeeded(1), ConsentTimeout: time.Minute},
		"many servers": {Rand: newSeeded(1), Servers: make([]Server, maxServers+1)},
		"requests":     {Rand: newSeeded(1), MaxRequests: -1},
		"negative":     {Rand: newSeeded(1), GatherTimeout: -1},
	} {
		if _, err := New(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReflexiveCandidatesOfTwoServersHaveTheirOwnPriorities(t *testing.T) {
	a, err := New(Config{Rand: newSeeded(1), Servers: []Server{{Host: "203.0.113.5"}, {Host: "203.0.113.6", Port: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, a: a, now: epoch}
	a.Gather(s.now)
	s.bindAll("10.0.0.1")
	s.advance(s.a.cfg.Pace)
	for i, r := range s.sent() {
		raw := stun.MustBuild(r.Message, stun.BindingSuccess, &stun.XORMappedAddress{IP: []byte{198, 51, 100, 1}, Port: 7 + i}).Raw
		if err := s.recv(r.Remote, raw); err != nil {
			t.Fatal(err)
		}
	}
	seen, foundation := map[uint32]bool{}, map[string]bool{}
	for _, c := range a.Stats().Candidates {
		seen[c.Candidate.Priority], foundation[c.Candidate.Foundation] = true, true
	}
	if len(seen) != 3 || len(foundation) != 3 {
		t.Errorf("%d priorities and %d foundations of 3 candidates", len(seen), len(foundation))
	}
}

// mapped is a STUN server's answer.
func mapped(t *testing.T, r sent, addr string) []byte {
	t.Helper()
	ap := netip.MustParseAddrPort(addr)
	return stun.MustBuild(r.Message, stun.BindingSuccess,
		&stun.XORMappedAddress{IP: ap.Addr().AsSlice(), Port: int(ap.Port())}).Raw
}
