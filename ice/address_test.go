package ice

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPublicAddresses(t *testing.T) {
	s := newScript(t, RoleControlling, func(c *Config) {
		c.PublicAddrs = []netip.Addr{netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("2001:db8::9")}
	})
	if list := s.announced(); len(list) != 1 || !strings.Contains(list[0], " 198.51.100.9 4001 typ host") {
		t.Errorf("announced %q", list)
	}
	t.Log("# what the peer sees of us is no news")
	s.candidate("198.51.100.77:9000", TypeHost, 1000)
	r := s.wantRequest()
	if err := s.recv(r.Remote, s.response(r, netip.MustParseAddrPort("198.51.100.9:4001"))); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.a.Stats().Candidates {
		if c.Local && c.Candidate.Type != TypeHost {
			t.Errorf("candidate %v", c.Candidate)
		}
	}
	if _, ok := s.a.Route(); !ok {
		t.Error("no route")
	}
}

func TestPublicAddressBehindANAT(t *testing.T) {
	w := newWorld(t, 1)
	a := w.add("a", Config{}, "198.51.100.50")
	b := w.add("b", Config{Lite: true, PublicAddrs: []netip.Addr{netip.MustParseAddr("198.51.100.9")}}, "10.0.0.1")
	b.lite = true
	b.nat = newNAT("198.51.100.9", false)
	port := b.port + 1
	inside := netip.AddrPortFrom(b.addrs[0], port)
	b.nat.inside[port], b.nat.ports[inside.String()] = inside, port
	b.nat.open = true
	w.connect(a, b)
	if !w.run(time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatalf("no connection\n%s", w.trace.String())
	}
	w.chat(a, b)
}

func TestRemoteFilter(t *testing.T) {
	s := newScript(t, RoleControlled, func(c *Config) {
		c.RemoteFilter = func(addr netip.Addr) bool { return addr != peerAddr.Addr() }
	})
	s.candidate(peerAddr.String(), TypeHost, 1000)
	s.wantNothing()
	if err := s.recv(peerAddr, s.request()); !errors.Is(err, ErrPacket) {
		t.Errorf("a check from a filtered address: %v", err)
	}
	s.wantNothing()
	s.candidate("10.0.0.10:9000", TypeHost, 1000)
	s.wantRequest()
}
