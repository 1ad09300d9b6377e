package ice

import (
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func lite(c *Config) {
	c.Lite = true
	c.Servers = []Server{{Kind: ServerSTUN, Host: "203.0.113.1"}}
}

func TestRFC8445Section5LiteHasHostCandidatesOnly(t *testing.T) {
	s := newScript(t, RoleControlling, lite)
	if s.a.Role() != RoleControlled {
		t.Errorf("role %v", s.a.Role())
	}
	s.a.SetRole(s.now, RoleControlling)
	if s.a.Role() != RoleControlled || s.a.GatheringState() != GatheringComplete {
		t.Errorf("role %v, gathering %v", s.a.Role(), s.a.GatheringState())
	}
	t.Log("# it makes no checks")
	s.candidate("10.0.0.9:9000", TypeHost, 1000)
	s.advance(10 * time.Second)
	s.wantNothing()
	if s.a.State() != StateChecking {
		t.Errorf("state %v", s.a.State())
	}
	t.Log("# and fails when nobody makes any")
	s.advance(time.Minute)
	if s.a.State() != StateFailed {
		t.Errorf("state %v", s.a.State())
	}
}

func TestRFC8445Section7LiteAnswers(t *testing.T) {
	s := newScript(t, RoleControlled, lite)
	check := func(more ...stun.Setter) {
		t.Helper()
		if err := s.recv(peerAddr, s.request(more...)); err != nil {
			t.Fatal(err)
		}
		list := s.sent()
		if len(list) != 1 || list[0].Type != stun.BindingSuccess || list[0].Remote != peerAddr {
			t.Fatalf("sent %v, want one answer and no triggered check", list)
		}
	}
	check(be64(stun.AttrICEControlling, 1))
	if _, ok := s.a.Route(); ok {
		t.Error("a route before the nomination")
	}
	t.Log("# the nomination makes the pair (section 7.3.2)")
	check(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))
	if r, ok := s.a.Route(); !ok || r.Remote != peerAddr || s.a.State() != StateConnected {
		t.Errorf("route %v, %v, state %v", r, ok, s.a.State())
	}
	t.Log("# another role than the peer's is not taken (section 7.3.1.1)")
	check(be64(stun.AttrICEControlled, 1<<63))
	if s.a.Role() != RoleControlled {
		t.Errorf("role %v", s.a.Role())
	}
	t.Log("# RFC 7675 section 4: no consent checks; the peer's renew ours")
	for range 10 {
		s.advance(5 * time.Second)
		check(be64(stun.AttrICEControlling, 1))
	}
	if s.a.State() != StateConnected {
		t.Errorf("state %v", s.a.State())
	}
	s.advance(10 * time.Second)
	if s.a.State() != StateDisconnected {
		t.Errorf("state %v", s.a.State())
	}
	s.advance(20*time.Second - 1)
	if _, ok := s.a.Route(); !ok {
		t.Error("the route is gone before its time")
	}
	s.advance(1)
	if _, ok := s.a.Route(); ok || s.a.State() != StateFailed {
		t.Error("consent does not end")
	}
	s.wantNothing()
}

func TestRFC8445LiteAndFullConnect(t *testing.T) {
	for _, offers := range []bool{true, false} {
		w := newWorld(t, 1)
		full, server := w.add("full", Config{}, "10.0.0.1"), w.add("lite", Config{Lite: true}, "203.0.113.9")
		full.nat = newNAT("198.51.100.1", true)
		server.lite = true
		if offers {
			w.connect(full, server)
		} else {
			w.connect(server, full)
		}
		if !w.run(time.Second, func() bool { return full.up() && server.up() }) {
			t.Fatalf("no connection\n%s", w.trace.String())
		}
		if full.a.Role() != RoleControlling || server.a.Role() != RoleControlled {
			t.Errorf("roles %v and %v", full.a.Role(), server.a.Role())
		}
		w.run(2*time.Minute, nil)
		if !full.in(StateCompleted) || !server.in(StateCompleted) {
			t.Errorf("later: %v and %v", full.a.State(), server.a.State())
		}
		t.Log("# a restart")
		w.must(full.a.Restart(w.now, Parameters{}))
		full.pump()
		w.exchange(full, server)
		before := len(server.selects)
		if !w.run(2*time.Second, func() bool { return len(server.selects) > before && full.in(StateCompleted) }) {
			t.Fatalf("no new pair\n%s", w.trace.String())
		}
		w.run(2*time.Minute, nil)
		if !full.in(StateCompleted) || !server.in(StateCompleted) {
			t.Errorf("after the restart: %v and %v", full.a.State(), server.a.State())
		}
	}
}
