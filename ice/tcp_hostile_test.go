package ice

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// checkConnections wants the tables to agree about the connections that there are.
func (s *script) checkConnections(what string) {
	s.t.Helper()
	fail := func(format string, args ...any) {
		s.t.Helper()
		s.t.Fatalf("%s: %s", what, fmt.Sprintf(format, args...))
	}
	if len(s.a.conns) > maxConns {
		fail("%d connections", len(s.a.conns))
	}
	for _, c := range s.a.conns {
		if c.of == nil || !slices.Contains(s.a.bases, c.of) {
			fail("a connection of a base that is gone")
		}
		if c.bound && !c.local.IsValid() {
			fail("a connection without an address")
		}
	}
	for _, g := range s.a.generations() {
		for _, p := range slices.Concat(g.pairs, g.valid) {
			switch {
			case p.conn != nil && !s.a.has(p.conn):
				fail("a pair with a connection that is gone, %v", p.state)
			case p.conn != nil && !p.tcp(), p.valid && p.tcp() && p.conn == nil:
				fail("a pair of %s with connection %v", p.local.Transport, p.conn)
			case p.local.Transport != p.remote.Transport:
				fail("%v with %v", p.local.Candidate, p.remote.Candidate)
			}
		}
		for _, l := range g.locals {
			if !s.a.has(l.base) {
				fail("a candidate of a base that is gone: %v", l.Candidate)
			}
		}
	}
	for _, t := range s.a.transactions {
		if !s.a.has(t.base) {
			fail("a request on a base that is gone")
		}
	}
	if p := s.a.routePair; p != nil && !s.a.has(p.base()) {
		fail("a route by a base that is gone")
	}
}

// TestTCPWhateverHappens feeds an agent with everything that a driver and a peer can do, in any order.
func TestTCPWhateverHappens(t *testing.T) {
	for seed := range seeds(100) {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		s := newScript(t, Role(1+rng.IntN(2)), func(c *Config) {
			c.Networks, c.TCPPassive, c.Lite = bothNetworks, true, rng.IntN(8) == 0
		})
		live := map[BaseID]bool{} // connections that the driver has
		var dials []BaseID
		addrs := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
		port := uint16(20000)
		drain := func() {
			for _, e := range s.drain() {
				switch e := e.(type) {
				case EventConnect:
					dials = append(dials, e.Base)
				case EventUnbind:
					delete(live, e.Base)
				case EventInterfaces:
					s.a.HandleInterfacesResult(s.now, e.Gen, addrs, nil)
				case EventBind:
					port++
					s.a.HandleBindResult(s.now, e.Gen, e.Base, netip.AddrPortFrom(e.Addr.Addr(), port), nil)
				}
			}
		}
		anyOf := func(list []BaseID) BaseID {
			if len(list) == 0 || rng.IntN(10) == 0 {
				return BaseID(rng.IntN(40))
			}
			return list[rng.IntN(len(list))]
		}
		connections := func() (list []BaseID) {
			for id := range live {
				list = append(list, id)
			}
			slices.Sort(list)
			return list
		}
		ops := map[string]func(){
			"candidate": func() {
				c := passivePeer
				c.TCPType = []string{typeActive, typePassive, typePassive, "so"}[rng.IntN(4)]
				c.Addr = netip.AddrPortFrom(c.Addr.Addr(), uint16(9000+rng.IntN(5)))
				_ = s.a.AddRemoteCandidate(s.now, c)
			},
			"dial": func() {
				id := anyOf(dials)
				port++
				if rng.IntN(3) == 0 {
					s.a.HandleDialResult(s.now, id, netip.AddrPort{}, errRefused)
					return
				}
				live[id] = true
				s.a.HandleDialResult(s.now, id, netip.AddrPortFrom(addrs[0], port), nil)
			},
			"accept": func() {
				for _, b := range s.a.bases {
					port++
					if id, err := s.a.HandleAccept(s.now, b.id, netip.AddrPortFrom(peerAddr.Addr(), port)); err == nil {
						live[id] = true
					}
				}
			},
			"check": func() {
				more := []stun.Setter{be64(stun.AttrICEControlling, rng.Uint64())}
				if rng.IntN(2) == 0 {
					more = append(more, attr(stun.AttrUseCandidate))
				}
				_, _ = s.a.HandlePacket(s.now, anyOf(connections()), peerAddr, s.request(more...))
			},
			"disconnect": func() { s.a.HandleDisconnect(s.now, anyOf(connections()), errRefused) },
			"answers": func() {
				for _, r := range s.sent() {
					if r.Type != stun.BindingRequest || rng.IntN(4) == 0 {
						continue
					}
					mapped := netip.MustParseAddrPort("198.51.100.1:1000")
					if b := s.a.base(r.Base); b != nil && rng.IntN(2) == 0 {
						mapped = b.local
					}
					_, _ = s.a.HandlePacket(s.now, r.Base, r.Remote, s.response(r, mapped))
				}
			},
			"time":  func() { s.advance(time.Duration(rng.IntN(3000)) * time.Millisecond) },
			"ages":  func() { s.advance(time.Duration(rng.IntN(40)) * time.Second) },
			"role":  func() { s.a.SetRole(s.now, Role(1+rng.IntN(2))) },
			"mine":  func() { _ = s.a.Restart(s.now, Parameters{}) },
			"yours": func() { s.peer.Ufrag = fmt.Sprintf("peer%d", rng.IntN(1000)); s.setRemote() },
			"back":  func() { s.a.Rollback(s.now) },
			"network": func() {
				addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + rng.IntN(3))})}
				s.a.NetworkChanged(s.now)
			},
		}
		names := make([]string, 0, len(ops))
		for name := range ops {
			names = append(names, name)
		}
		slices.Sort(names)
		often := []string{"time", "answers", "check", "candidate", "dial"}
		for i := range 200 {
			name := names[rng.IntN(len(names))]
			if rng.IntN(2) == 0 {
				name = often[rng.IntN(len(often))]
			}
			ops[name]()
			drain()
			s.a.Advance(s.now)
			drain()
			if d := s.a.Deadline(); !d.IsZero() && !d.After(s.now) {
				t.Fatalf("seed %d, step %d, %s: the deadline is %v in the past", seed, i, name, s.now.Sub(d))
			}
			s.checkConnections(fmt.Sprintf("seed %d, step %d, %s", seed, i, name))
		}
		s.a.Close(s.now)
		drain()
		for id := range live {
			if s.a.lastBase >= id {
				t.Fatalf("seed %d: connection %d was never given up", seed, id)
			}
		}
	}
}
