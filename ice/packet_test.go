package ice

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func FuzzHandlePacket(f *testing.F) {
	f.Add([]byte(vectorRequest), uint16(0))
	f.Add([]byte(vectorResponse4), uint16(1))
	f.Add([]byte(vectorResponse6), uint16(2))
	f.Add([]byte("\x00\x11\x00\x08\x21\x12\xa4\x42123456789012\x80\x28\x00\x04\x00\x00\x00\x00"), uint16(3))
	f.Fuzz(func(t *testing.T, raw []byte, port uint16) {
		s := newSilentScript(t, RoleControlling, func(c *Config) {
			c.Local = Parameters{Ufrag: "evtj", Pwd: vectorPassword}
		})
		s.peer.Ufrag = "h6vY"
		s.setRemote()
		s.candidate(peerAddr.String(), TypeHost, 100)
		from := netip.AddrPortFrom(peerAddr.Addr(), port)
		_ = s.recv(from, raw)
		s.sent()
		// The same as the body of an authenticated check, and of an answer to ours.
		if len(raw) > 1000 {
			raw = raw[:1000]
		}
		attrs := splitAttributes(raw)
		_ = s.recv(from, s.request(attrs...))
		for _, r := range s.sent() {
			if r.Type == stun.BindingRequest {
				setters := append([]stun.Setter{r.Message, stun.BindingSuccess}, attrs...)
				setters = append(setters, stun.NewShortTermIntegrity(s.peer.Pwd), stun.Fingerprint)
				_ = s.recv(r.Remote, stun.MustBuild(setters...).Raw)
			}
		}
		s.advance(50 * time.Second)
		s.drain()
		s.a.Stats()
	})
}

// splitAttributes cuts bytes into attributes: type, length, value.
func splitAttributes(raw []byte) (list []stun.Setter) {
	for len(raw) > 3 {
		n := min(int(raw[2]), len(raw)-3)
		if t := stun.AttrType(raw[0])<<8 | stun.AttrType(raw[1]); t != stun.AttrMessageIntegrity && t != stun.AttrFingerprint {
			list = append(list, attr(t, raw[3:3+n]...))
		}
		raw = raw[3+n:]
	}
	return list
}

func TestGarbageLeavesTheAgentAsItWas(t *testing.T) {
	s := connected(t)
	before := s.a.Stats()
	d := s.a.Deadline()
	rng := newSeeded(3)
	for i := range 2000 {
		raw := s.request(be64(stun.AttrICEControlling, 1))
		switch i % 4 {
		case 0:
			raw = raw[:rng.Uint64()%uint64(len(raw))]
		case 1:
			raw[rng.Uint64()%uint64(len(raw))] ^= byte(1 + rng.Uint64()%255)
		case 2:
			raw = append(raw, raw...)
		case 3:
			_, _ = rng.Read(raw)
		}
		if err := s.recv(netip.AddrPortFrom(peerAddr.Addr(), uint16(i)), raw); err == nil {
			t.Fatalf("garbage %d was taken: %x", i, raw)
		}
	}
	if _, err := s.a.HandlePacket(s.now, 99, peerAddr, s.request()); err == nil {
		t.Error("a packet of an unknown base was taken")
	}
	s.wantNothing()
	after := s.a.Stats()
	if after.Counters.Malformed+after.Counters.BadIntegrity+after.Counters.BadUsername < 2000 {
		t.Errorf("counters %+v", after.Counters)
	}
	if len(after.Candidates) != len(before.Candidates) || len(after.Pairs) != len(before.Pairs) ||
		len(s.a.verified.entries) != 1 || !s.a.Deadline().Equal(d) {
		t.Error("garbage has changed something")
	}
}

func TestTablesAreCapped(t *testing.T) {
	s := newScript(t, RoleControlled)
	t.Log("# a peer with our password checks from everywhere, and never answers")
	for i := range 2000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1000)
		if err := s.recv(from, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			s.advance(s.a.cfg.Pace)
		}
	}
	g := s.a.cur
	if len(g.remotes) > maxRemotes || len(g.pairs) > maxPairs || len(g.triggered) > maxPairs ||
		len(s.a.verified.entries) > maxVerified || len(s.a.transactions) > maxTransaction || s.a.out.n > maxOut {
		t.Errorf("remotes %d, pairs %d, queue %d, verified %d, transactions %d, out %d", len(g.remotes), len(g.pairs),
			len(g.triggered), len(s.a.verified.entries), len(s.a.transactions), s.a.out.n)
	}
	if s.a.Stats().Counters.SendDropped == 0 {
		t.Error("nothing was dropped")
	}
	s.sent()
	t.Log("# answers that see us everywhere")
	s = newScript(t, RoleControlled)
	s.candidate(peerAddr.String(), TypeHost, 100)
	for i := range 200 {
		for _, r := range s.sent() {
			if r.Type == stun.BindingRequest {
				mapped := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, 1}), uint16(1000+i))
				if err := s.recv(r.Remote, s.response(r, mapped)); err != nil {
					t.Fatal(err)
				}
			}
		}
		p := s.a.cur.pairs[0]
		p.produced = nil
		s.a.cur.trigger(p)
		s.a.Advance(s.now)
		s.advance(s.a.cfg.Pace)
	}
	if n := len(s.a.cur.locals); n > 1+maxPeerReflex {
		t.Errorf("%d local candidates", n)
	}
	t.Log("# checks before the parameters")
	s = newSilentScript(t, RoleControlled)
	for i := range 100 {
		from := netip.AddrPortFrom(peerAddr.Addr(), uint16(1+i))
		if err := s.recv(from, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.a.cur.early); n != maxEarly {
		t.Errorf("%d early checks", n)
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	s := connected(t)
	check := s.request(be64(stun.AttrICEControlling, 1))
	buf := make([]byte, 0, 1500)
	unknown := netip.MustParseAddrPort("10.0.0.77:7")
	for name, f := range map[string]func(){
		"Verified": func() {
			if !s.a.Verified(s.base, peerAddr) || s.a.Verified(s.base, unknown) {
				t.Fatal("wrong")
			}
		},
		"Route": func() {
			if _, ok := s.a.Route(); !ok {
				t.Fatal("wrong")
			}
		},
		"Deadline": func() { s.a.deadlineSet = false; s.a.Deadline() },
		"Advance":  func() { s.a.Advance(s.now) },
		"check and answer": func() {
			if _, err := s.a.HandlePacket(s.now, s.base, peerAddr, check); err != nil {
				t.Fatal(err)
			}
			if _, ok := s.a.Next(buf); !ok {
				t.Fatal("no answer")
			}
		},
		"garbage": func() { _, _ = s.a.HandlePacket(s.now, s.base, peerAddr, check[:50]) },
	} {
		f()
		if n := testing.AllocsPerRun(200, f); n != 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkCheckAndAnswer(b *testing.B) {
	s := connected(&testing.T{})
	check := s.request(be64(stun.AttrICEControlling, 1))
	buf := make([]byte, 0, 1500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.a.HandlePacket(s.now, s.base, peerAddr, check); err != nil {
			b.Fatal(err)
		}
		s.a.Next(buf)
	}
}

func BenchmarkVerified(b *testing.B) {
	s := connected(&testing.T{})
	b.ReportAllocs()
	for b.Loop() {
		if !s.a.Verified(s.base, peerAddr) {
			b.Fatal("not verified")
		}
	}
}

func TestVerifiedKeepsThePairInUse(t *testing.T) {
	s := connected(t)
	for i := range 3 * maxVerified {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 3, 0, 1}), uint16(1+i))
		if err := s.recv(from, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
			t.Fatal(err)
		}
		if !s.a.Verified(s.base, peerAddr) {
			t.Fatalf("after %d others the pair in use is not verified any more", i+1)
		}
	}
}
