package ice

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func overTCPAlone(c *Config) { c.Networks, c.Policy = NetworkTCP4|NetworkTCP6, PolicyAll }

func passiveOnly(c *Config) {
	overTCPAlone(c)
	c.TCPPassive = true
}

var passivePeer = Candidate{
	Foundation: "1", Component: 1, Transport: "tcp", Priority: 1000, TCPType: typePassive,
	Addr: netip.MustParseAddrPort("10.0.0.9:9000"), Type: TypeHost,
}

// wantConnect returns the one connection that was asked for.
func (s *script) wantConnect() EventConnect {
	s.t.Helper()
	var found []EventConnect
	for _, e := range s.drain() {
		if c, ok := e.(EventConnect); ok {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("%d connections were asked for, want one", len(found))
	}
	return found[0]
}

// unbound tells whether a base was given up since the last look.
func (s *script) unbound(id BaseID) bool {
	return slices.Contains(s.drain(), Event(EventUnbind{id}))
}

// accept makes the peer connect to our listener.
func (s *script) accept(from string) BaseID {
	s.t.Helper()
	id, err := s.a.HandleAccept(s.now, s.listener(), netip.MustParseAddrPort(from))
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *script) listener() BaseID {
	for _, b := range s.a.bases {
		if b.tcp == tcpPassive {
			return b.id
		}
	}
	s.t.Fatal("no listener")
	return 0
}

func (s *script) candidates() (list []Candidate) {
	for _, e := range s.events {
		if c, ok := e.(EventCandidate); ok {
			list = append(list, c.Candidate)
		}
	}
	return list
}

func TestRFC6544Section4Gathering(t *testing.T) {
	types := func(change func(*Config)) (got []string) {
		s := newScript(t, RoleControlling, change)
		for _, c := range s.candidates() {
			got = append(got, strings.TrimSpace(c.Transport+" "+c.TCPType))
		}
		if s.a.GatheringState() != GatheringComplete && !s.a.cfg.HideHosts { // names take their time
			t.Error("active candidates keep gathering from its end")
		}
		return got
	}
	t.Log("# it can be configured whether there are TCP candidates (section 4.1)")
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"the zero value", func(*Config) {}, []string{"udp"}},
		{"both", func(c *Config) { c.Networks = bothNetworks }, []string{"udp", "tcp active"}},
		{"both, with listeners", func(c *Config) { c.Networks, c.TCPPassive = bothNetworks, true }, []string{"udp", "tcp active", "tcp passive"}},
		{"TCP alone", overTCPAlone, []string{"tcp active"}},
		{"the other family", func(c *Config) { c.Networks, c.TCPPassive = NetworkUDP4|NetworkTCP6, true }, []string{"udp"}},
		{"lite", func(c *Config) { c.Networks, c.TCPPassive, c.Lite = bothNetworks, true, true }, []string{"udp", "tcp passive"}},
		{"relayed only", func(c *Config) { c.Networks, c.TCPPassive, c.Policy = bothNetworks, true, PolicyRelay }, nil},
		{"hidden addresses", func(c *Config) { c.Networks, c.HideHosts = bothNetworks, true }, nil},
	} {
		if got := types(c.change); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRFC6544Section4Priorities(t *testing.T) {
	s := newWorld(t, 1).add("a", Config{
		Networks: NetworkUDP4 | NetworkUDP6 | NetworkTCP4 | NetworkTCP6, TCPPassive: true,
	}, "10.0.0.1", "10.0.0.2", "2001:db8::1")
	s.a.Gather(epoch)
	s.pump()
	seen := map[uint32]bool{}
	least := map[string]uint32{}
	most := map[string]uint32{}
	for _, l := range s.a.cur.locals {
		c := l.Candidate
		if seen[c.Priority] {
			t.Errorf("%v shares its priority with another one", c) // each MUST have an other-pref of its own
		}
		seen[c.Priority] = true
		kind := c.Transport + c.TCPType
		if least[kind] == 0 || c.Priority < least[kind] {
			least[kind] = c.Priority
		}
		most[kind] = max(most[kind], c.Priority)
		if c.Transport == "udp" {
			continue
		}
		want := map[string]uint32{typeActive: 6, typePassive: 4}[c.TCPType]
		if got := c.Priority >> 21 & 7; got != want || c.Priority>>24 != 90 || c.Priority&255 != 255 {
			t.Errorf("%v: direction preference %d, want %d", c, got, want)
		}
	}
	if len(seen) != 9 {
		t.Errorf("%d candidates, want 9", len(seen))
	}
	reflexive := candidatePriority(TypeServerReflexive, 0)
	if most["tcpactive"] >= least["udp"] || most["tcpactive"] >= reflexive || most["tcppassive"] >= least["tcpactive"] ||
		least["tcppassive"] <= candidatePriority(TypeRelay, 65535) {
		t.Errorf("from %v to %v", least, most)
	}
	t.Log("# candidates of other transports have other foundations (RFC 8445 section 5.1.1.3)")
	for _, l := range s.a.cur.locals {
		for _, o := range s.a.cur.locals {
			if same := l.base.want == o.base.want && l.Transport == o.Transport; same != (l.Foundation == o.Foundation) {
				t.Errorf("%v and %v", l.Candidate, o.Candidate)
			}
		}
	}
}

func TestRFC6544Section45Encoding(t *testing.T) {
	s := newScript(t, RoleControlling, func(c *Config) { c.Networks, c.TCPPassive = bothNetworks, true })
	for _, c := range s.candidates() {
		text := c.String()
		parsed, err := ParseCandidate(text)
		if err != nil || parsed.TCPType != c.TCPType || parsed.Addr != c.Addr {
			t.Errorf("%s is read as %+v, %v", text, parsed, err)
		}
		switch c.TCPType {
		case typeActive:
			if !strings.Contains(text, " tcp ") || !strings.Contains(text, " 10.0.0.1 9 typ host tcptype active") {
				t.Errorf("%s", text)
			}
		case typePassive:
			if !strings.Contains(text, " typ host tcptype passive") || c.Addr.Port() == 9 {
				t.Errorf("%s", text)
			}
		}
	}
	t.Log("# the port of an active candidate MUST be ignored")
	for _, port := range []string{"0", "9", "1234"} {
		c, err := ParseCandidate("candidate:1 1 TCP 1518280447 10.0.0.9 " + port + " typ host tcptype active generation 0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.a.AddRemoteCandidate(s.now, c); err != nil {
			t.Error(err)
		}
	}
	if n := len(s.a.cur.remotes); n != 1 {
		t.Errorf("%d remote candidates, want one", n)
	}
}

func TestRFC6544Section62Pairs(t *testing.T) {
	s := newScript(t, RoleControlling, func(c *Config) { c.Networks, c.TCPPassive = bothNetworks, true })
	for _, kind := range []string{typeActive, typePassive, "so", ""} {
		c := passivePeer
		c.TCPType = kind
		if err := s.a.AddRemoteCandidate(s.now, c); err != nil {
			t.Error(err)
		}
	}
	s.candidate("10.0.0.9:9000", TypeHost, 2000)
	var got []string
	for _, p := range s.a.cur.pairs {
		got = append(got, p.local.Transport+p.local.TCPType+" "+p.remote.Transport+p.remote.TCPType)
	}
	// No pair MUST be left with a passive local candidate, and transports do not mix.
	if want := []string{"udp udp", "tcpactive tcppassive"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if n := s.a.Stats().Counters.Ignored; n != 2 {
		t.Errorf("%d candidates ignored, want 2: simultaneous open, and one of no type", n)
	}
	t.Log("# an agent that has no TCP takes none of them")
	s = newScript(t, RoleControlling)
	if err := s.a.AddRemoteCandidate(s.now, passivePeer); err != nil || len(s.a.cur.remotes) != 0 {
		t.Errorf("%v, %d candidates", err, len(s.a.cur.remotes))
	}
}

func TestRFC6544Section71ActiveSideConnectsFirst(t *testing.T) {
	s := newScript(t, RoleControlling, overTCPAlone)
	if err := s.a.AddRemoteCandidate(s.now, passivePeer); err != nil {
		t.Fatal(err)
	}
	t.Log("# the connection MUST be made from the interface of the candidate")
	e := s.wantConnect()
	if e.Local != netip.MustParseAddr("10.0.0.1") || e.Remote != passivePeer.Addr {
		t.Errorf("from %v to %v", e.Local, e.Remote)
	}
	s.wantNothing()
	s.advance(time.Second)
	s.a.HandleDialResult(s.now, e.Base, netip.MustParseAddrPort("10.0.0.1:50001"), nil)
	r := s.wantRequest()
	if r.Base != e.Base {
		t.Errorf("the check leaves by base %d, want %d", r.Base, e.Base)
	}
	t.Log("# its priority is that of an active peer-reflexive candidate")
	if raw, err := r.Get(stun.AttrPriority); err != nil || raw[0] != 80 || raw[1]>>5 != 6 {
		t.Errorf("priority %x, %v", raw, err)
	}
	t.Log("# RFC 8489 section 6.2.2: nothing is sent again over TCP")
	s.advance(20 * time.Second)
	s.wantNothing()
	if p := s.a.cur.pairs[0]; p.state != PairInProgress {
		t.Errorf("state %v", p.state)
	}
	t.Log("# the answer makes a pair with a peer-reflexive local candidate, for no candidate has the connection's port")
	if _, err := s.a.HandlePacket(s.now, e.Base, passivePeer.Addr, s.response(r, netip.MustParseAddrPort("10.0.0.1:50001"))); err != nil {
		t.Fatal(err)
	}
	s.advance(s.a.cfg.RelayWait)
	nomination := s.wantRequest()
	if !nomination.Contains(stun.AttrUseCandidate) || nomination.Base != e.Base {
		t.Fatalf("%v by base %d", nomination, nomination.Base)
	}
	_, _ = s.a.HandlePacket(s.now, e.Base, passivePeer.Addr, s.response(nomination, netip.MustParseAddrPort("10.0.0.1:50001")))
	route, ok := s.a.Route()
	if !ok || route.Base != e.Base || !route.Stream || route.Remote != passivePeer.Addr {
		t.Errorf("route %+v", route)
	}
	i := slices.IndexFunc(s.drain(), func(e Event) bool { _, ok := e.(EventSelectedPair); return ok })
	if i < 0 {
		t.Fatal("nothing was selected")
	}
	local := s.a.cur.selected.local.Candidate
	if local.Type != TypePeerReflexive || local.Transport != "tcp" || local.TCPType != typeActive || local.Addr.Port() != 50001 {
		t.Errorf("%v", local)
	}
}

func TestRFC6544Section71ConnectionsThatFail(t *testing.T) {
	for name, fail := range map[string]func(*script, EventConnect){
		"refused": func(s *script, e EventConnect) {
			s.a.HandleDialResult(s.now, e.Base, netip.AddrPort{}, errRefused)
		},
		"no answer": func(s *script, e EventConnect) {
			s.advance(connectTimeout)
			if !s.unbound(e.Base) {
				t.Error("the attempt is not ended")
			}
			s.a.HandleDialResult(s.now, e.Base, netip.MustParseAddrPort("10.0.0.1:50001"), nil)
			if !s.unbound(e.Base) {
				t.Error("a connection that comes too late is kept")
			}
		},
		"broken before the answer": func(s *script, e EventConnect) {
			s.a.HandleDialResult(s.now, e.Base, netip.MustParseAddrPort("10.0.0.1:50001"), nil)
			s.advance(s.a.cfg.Pace)
			s.wantRequest()
			s.a.HandleDisconnect(s.now, e.Base, errRefused)
		},
		"silent": func(s *script, e EventConnect) {
			s.a.HandleDialResult(s.now, e.Base, netip.MustParseAddrPort("10.0.0.1:50001"), nil)
			s.advance(s.a.cfg.Pace)
			s.wantRequest()
			s.advance(reliableTimeout)
			if !s.unbound(e.Base) {
				t.Error("a silent connection is kept")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, RoleControlling, overTCPAlone)
			if err := s.a.AddRemoteCandidate(s.now, passivePeer); err != nil {
				t.Fatal(err)
			}
			fail(s, s.wantConnect())
			if p := s.a.cur.pairs[0]; p.state != PairFailed { // the pair MUST fail
				t.Errorf("state %v", p.state)
			}
			if len(s.a.conns) != 0 {
				t.Errorf("%d connections left", len(s.a.conns))
			}
			s.advance(time.Minute)
			s.wantNothing()
			if s.a.State() != StateFailed {
				t.Errorf("state %v", s.a.State())
			}
		})
	}
}

func TestRFC6544Section72PassiveSide(t *testing.T) {
	s := newScript(t, RoleControlled, passiveOnly)
	from := netip.MustParseAddrPort("10.0.0.9:40000")
	base := s.accept(from.String())
	if s.wantNothing(); len(s.a.cur.pairs) != 0 {
		t.Error("a pair before the first check")
	}
	t.Log("# the first check is answered, and followed by one of ours, over the same connection")
	if _, err := s.a.HandlePacket(s.now, base, from, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	list := s.sent()
	if len(list) != 2 || list[0].Type != stun.BindingSuccess || list[1].Type != stun.BindingRequest ||
		list[0].Base != base || list[1].Base != base {
		t.Fatalf("sent %v", list)
	}
	r := s.a.cur.remotes[0]
	if r.Type != TypePeerReflexive || r.Transport != "tcp" || r.TCPType != typeActive || r.Addr != from {
		t.Errorf("remote candidate %v", r.Candidate)
	}
	if raw, err := list[1].Get(stun.AttrPriority); err != nil || raw[0] != 80 || raw[1]>>5 != 4 {
		t.Errorf("priority %x, %v", raw, err)
	}
	local := s.a.base(s.listener()).local
	_, _ = s.a.HandlePacket(s.now, base, from, s.response(list[1], local))
	_, _ = s.a.HandlePacket(s.now, base, from, s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate)))
	s.sent()
	if route, ok := s.a.Route(); !ok || route.Base != base || !route.Stream {
		t.Errorf("route %+v", route)
	}
	if c := s.a.cur.selected.local; c.Type != TypeHost || c.TCPType != typePassive {
		t.Errorf("selected %v", c.Candidate)
	}
	if !s.a.Verified(base, from) || !s.a.Consented(base, from) {
		t.Error("packets of the peer are not taken")
	}
}

func TestConnectionsOfStrangers(t *testing.T) {
	s := newScript(t, RoleControlled, passiveOnly)
	t.Log("# one that shows no credentials in time is closed")
	base := s.accept("10.0.0.9:40000")
	for _, pkt := range [][]byte{{}, {0}, []byte("GET / HTTP/1.1\r\n\r\n"), s.requestAs(Parameters{Ufrag: "nobody", Pwd: "0123456789abcdefghijkl"}, "peer")} {
		_, _ = s.a.HandlePacket(s.now, base, peerAddr, pkt)
	}
	s.wantNothing()
	s.advance(strangerTimeout - 1)
	if s.unbound(base) {
		t.Error("closed too early")
	}
	if s.advance(1); !s.unbound(base) || len(s.a.conns) != 0 {
		t.Error("a stranger is kept")
	}
	t.Log("# many of them do not keep the peer out, nor one that it has")
	known := s.accept("10.0.0.9:50000")
	if _, err := s.a.HandlePacket(s.now, known, peerAddr, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	for i := range 10 * maxConns {
		s.accept(netip.AddrPortFrom(netip.MustParseAddr("10.6.6.6"), uint16(1000+i)).String())
	}
	if len(s.a.conns) != maxStrangers+1 || s.a.connection(known) == nil {
		t.Errorf("%d connections", len(s.a.conns))
	}
	t.Log("# nor does the peer have any number")
	refused := 0
	for i := range 10 * maxConns {
		from := netip.AddrPortFrom(peerAddr.Addr(), uint16(1000+i))
		id, err := s.a.HandleAccept(s.now, s.listener(), from)
		if err != nil {
			refused++
			continue
		}
		_, _ = s.a.HandlePacket(s.now, id, from, s.request(be64(stun.AttrICEControlling, 1)))
	}
	if len(s.a.conns) > maxConns || refused == 0 || len(s.a.cur.remotes) > maxPeerReflex {
		t.Errorf("%d connections, %d refused, %d remote candidates", len(s.a.conns), refused, len(s.a.cur.remotes))
	}
	t.Log("# the end closes all of them")
	n := len(s.a.conns)
	s.drain()
	s.a.Close(s.now)
	closed := 0
	for _, e := range s.drain() {
		if _, ok := e.(EventUnbind); ok {
			closed++
		}
	}
	if closed != n+1 { // the listener too
		t.Errorf("%d bases closed, want %d", closed, n+1)
	}
	if _, err := s.a.HandleAccept(s.now, 1, peerAddr); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestFilteredPeersDoNotConnect(t *testing.T) {
	evil := netip.MustParseAddr("10.6.6.6")
	s := newScript(t, RoleControlled, passiveOnly, func(c *Config) { c.RemoteFilter = func(a netip.Addr) bool { return a != evil } })
	if _, err := s.a.HandleAccept(s.now, s.listener(), netip.AddrPortFrom(evil, 1000)); !errors.Is(err, ErrPacket) {
		t.Errorf("%v", err)
	}
	c := passivePeer
	c.Addr = netip.AddrPortFrom(evil, 1000)
	if err := s.a.AddRemoteCandidate(s.now, c); err != nil || len(s.a.cur.pairs) != 0 {
		t.Errorf("%v, %d pairs", err, len(s.a.cur.pairs))
	}
	t.Log("# and nobody makes us probe our own host")
	c.Addr = netip.MustParseAddrPort("127.0.0.1:22")
	if err := s.a.AddRemoteCandidate(s.now, c); err != nil || len(s.a.cur.pairs) != 0 {
		t.Errorf("%v, %d pairs", err, len(s.a.cur.pairs))
	}
}

func TestAPeerDoesNotMakeUsConnectEverywhere(t *testing.T) {
	s := newScript(t, RoleControlling, overTCPAlone)
	for i := range 120 {
		c := passivePeer
		c.Addr = netip.AddrPortFrom(c.Addr.Addr(), uint16(1000+i))
		_ = s.a.AddRemoteCandidate(s.now, c)
	}
	s.advance(5 * time.Second)
	dials := 0
	for _, e := range s.drain() {
		if _, ok := e.(EventConnect); ok {
			dials++
		}
	}
	if dials > maxConns || dials == 0 {
		t.Errorf("%d connections, want at most %d", dials, maxConns)
	}
}
