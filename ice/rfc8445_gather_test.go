package ice

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// §5.1.1.1: "Deprecated IPv4-compatible IPv6 addresses and IPv6 site-local unicast addresses MUST NOT be included".
func TestSection5_1_1_1_DeprecatedAddresses(t *testing.T) {
	for addr, want := range map[string]bool{
		"::10.0.0.1": false, "::1:2": false, "fec0::1": false, "feff::1": false, "::1": true, "fe80::1": true, "fd00::1": true, "10.0.0.1": true,
	} {
		if got := len(usableLocals([]netip.Addr{netip.MustParseAddr(addr)})) == 1; got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
}

// §5.1.1.2: a request goes to each server from each host candidate, and a new one every Ta at most (§14.2).
func TestSection5_1_1_2_EveryBaseAsksEveryServer(t *testing.T) {
	servers := []Server{{URL: "stun:a", Host: "203.0.113.1"}, {URL: "stun:b", Host: "203.0.113.3", Port: 9}}
	a, err := New(Config{Servers: servers, Rand: newSeeded(7)})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, a: a, now: epoch}
	a.Gather(s.now)
	s.bindAll("10.0.0.1", "10.0.0.2")
	asked, last := map[string]time.Time{}, time.Time{}
	for range 4 {
		r := s.nextSentOrNow()
		if !last.IsZero() && s.now.Sub(last) < s.a.cfg.Pace {
			t.Errorf("%v after the one before", s.now.Sub(last))
		}
		last = s.now
		if r.Contains(stun.AttrMessageIntegrity) || r.Contains(stun.AttrUsername) {
			t.Error("credentials for a STUN server")
		}
		asked[fmt.Sprint(r.Base, r.Remote)] = s.now
	}
	if len(asked) != 4 {
		t.Errorf("asked %v", asked)
	}
}

// nextSentOrNow is nextSent, or what waits already.
func (s *script) nextSentOrNow() sent {
	s.t.Helper()
	if list := s.sent(); len(list) > 0 {
		return list[0]
	}
	return s.nextSent()
}

// §5.1.1.3: one foundation for candidates of the same type, base address, server and transport, another one for all others.
func TestSection5_1_1_3_Foundations(t *testing.T) {
	f := foundations{}
	one, two := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	base := func(s string, tcp tcpKind) *base { return &base{local: netip.MustParseAddrPort(s), tcp: tcp} }
	first := f.of(TypeServerReflexive, base("10.0.0.1:1", tcpNone), one)
	if again := f.of(TypeServerReflexive, base("10.0.0.1:2", tcpNone), one); again != first {
		t.Errorf("another port: %s, then %s", first, again)
	}
	seen := map[string]string{first: "the first"}
	for what, name := range map[string]string{
		"type":      f.of(TypeHost, base("10.0.0.1:1", tcpNone), one),
		"base":      f.of(TypeServerReflexive, base("10.0.0.2:1", tcpNone), one),
		"server":    f.of(TypeServerReflexive, base("10.0.0.1:1", tcpNone), two),
		"transport": f.of(TypeServerReflexive, base("10.0.0.1:1", tcpPassive), one),
	} {
		if other, ok := seen[name]; ok || len(name) > 32 || !isICEChars(name) {
			t.Errorf("another %s: foundation %q, as %s", what, name, other)
		}
		seen[name] = what
	}
}

// §5.1.2.1: type preferences are 0 to 126, different for different types, and that of peer-reflexive candidates higher than
// that of server-reflexive ones.
func TestSection5_1_2_1_TypePreferences(t *testing.T) {
	seen := map[uint32]bool{}
	for _, p := range typePreference {
		if p > 126 || seen[p] {
			t.Errorf("preference %d", p)
		}
		seen[p] = true
	}
	for _, table := range [][4]uint32{typePreference, tcpTypePreference} {
		if table[TypePeerReflexive] <= table[TypeServerReflexive] || table[TypeHost] <= table[TypePeerReflexive] || table[TypeRelay] != 0 {
			t.Errorf("%v", table)
		}
	}
}

// §9: a restart keeps the role and the tie-breaker; the credentials are both new.
func TestSection9_RestartKeepsTheRole(t *testing.T) {
	for _, role := range []Role{RoleControlling, RoleControlled} {
		s := newScript(t, role)
		before, tie := s.a.LocalParameters(), s.a.tieBreaker
		if err := s.a.Restart(s.now, Parameters{}); err != nil {
			t.Fatal(err)
		}
		after := s.a.LocalParameters()
		if s.a.Role() != role || s.a.tieBreaker != tie {
			t.Errorf("role %v, was %v", s.a.Role(), role)
		}
		if before.Ufrag == after.Ufrag || before.Pwd == after.Pwd {
			t.Errorf("%+v, then %+v", before, after)
		}
	}
}

// §11: "agents MUST ensure" that something is sent on the selected pair at least every Tr, which is 15 s: consent checks are.
func TestSection11_KeepalivesWithoutMedia(t *testing.T) {
	w := newWorld(t, 3)
	a, b := w.add("a", Config{}, "198.51.100.1"), w.add("b", Config{}, "198.51.100.2")
	w.connect(a, b)
	if !w.run(5*time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
		t.Fatal("no connection")
	}
	last := map[netip.AddrPort]time.Time{a.bases[1]: w.now, b.bases[1]: w.now}
	w.blocked = func(from, _ netip.AddrPort) bool { // sees every packet and stops none
		if gap := w.now.Sub(last[from]); gap > 15*time.Second {
			t.Errorf("%v was silent for %v", from, gap)
		}
		last[from] = w.now
		return false
	}
	w.run(5*time.Minute, nil)
	for from, at := range last {
		if w.now.Sub(at) > 15*time.Second {
			t.Errorf("%v was silent at the end", from)
		}
	}
}

// §12.1: no data before a pair is valid, the best valid one until the nomination, and then the nominated one.
func TestSection12_1_WhereDataGoes(t *testing.T) {
	s := newScript(t, RoleControlled)
	s.candidate("10.0.0.8:8000", TypeHost, 200)
	s.candidate(peerAddr.String(), TypeServerReflexive, 100)
	if _, ok := s.a.Route(); ok {
		t.Error("a route without a valid pair")
	}
	better := s.wantRequest()
	s.advance(s.a.cfg.Pace)
	worse := s.wantRequest()
	s.succeed(worse)
	if r, ok := s.a.Route(); !ok || r.Remote != peerAddr {
		t.Errorf("route %+v", r)
	}
	s.succeed(better)
	if r, ok := s.a.Route(); !ok || r.Remote != better.Remote {
		t.Errorf("route %+v", r)
	}
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
		t.Fatal(err)
	}
	if r, ok := s.a.Route(); !ok || r.Remote != peerAddr {
		t.Errorf("route %+v", r)
	}
}

// §14.2: "Ta ... MUST NOT be less than 5 ms", triggered checks and nominations included.
func TestSection14_2_NothingIsFasterThanTa(t *testing.T) {
	if _, err := New(Config{Rand: newSeeded(1), Pace: 4 * time.Millisecond}); err == nil {
		t.Error("a Ta of 4 ms is taken")
	}
	s := newScript(t, RoleControlling)
	for i := range 20 {
		from := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.9"), uint16(9000+i))
		if err := s.recv(from, s.request(be64(stun.AttrICEControlled, 1))); err != nil {
			t.Fatal(err)
		}
	}
	requests := func() (n int) {
		for _, r := range s.sent() {
			if r.Type == stun.BindingRequest {
				n++
			}
		}
		return n
	}
	if n := requests(); n > 1 {
		t.Errorf("%d checks at once", n)
	}
	begin, total := s.now, 1
	for s.now.Sub(begin) < 200*time.Millisecond {
		s.advance(5*time.Millisecond - 1)
		early := requests()
		s.advance(1)
		n := requests()
		if early+n > 1 {
			t.Errorf("%d checks within 5 ms", early+n)
		}
		total += early + n
	}
	if total < 20 {
		t.Errorf("%d triggered checks in 200 ms", total)
	}
}
