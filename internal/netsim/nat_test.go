package netsim

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// natLab is a host behind a NAT and a server with two addresses and ports.
type natLab struct {
	t      *testing.T
	net    *Network
	nat    *NAT
	in     *Host
	server *Host
	now    time.Duration
}

const outsideAddr = "198.51.100.1"

var (
	insidePort = netip.MustParseAddrPort("10.0.0.2:5000")
	server1    = netip.MustParseAddrPort("203.0.113.1:3478")
	server1b   = netip.MustParseAddrPort("203.0.113.1:3479")
	server2    = netip.MustParseAddrPort("203.0.113.2:3478")
)

func newNATLab(t *testing.T, cfg NATConfig) *natLab {
	t.Helper()
	l := &natLab{t: t, net: New(1)}
	cfg.Addrs = []string{outsideAddr}
	l.nat = l.net.AddNAT(cfg)
	l.in = l.net.AddHost("in")
	l.in.AddInterface(l.nat, LinkConfig{}, LinkConfig{}, "10.0.0.2/24")
	l.server = l.net.Connect("server", LinkConfig{}, "203.0.113.1", "203.0.113.2")
	return l
}

// pass sends a datagram and returns the source that the receiver saw, and the
// destination; false if it did not arrive.
func (l *natLab) pass(h *Host, from, to netip.AddrPort) (seen, dest netip.AddrPort, ok bool) {
	l.t.Helper()
	mustSend(l.t, h, l.now, from, to, []byte("x"), 0)
	d, ok := l.net.Next(Epoch.Add(l.now))
	return d.From, d.To, ok
}

func TestNATBehaviours(t *testing.T) {
	for _, c := range []struct {
		kind                                   NATKind
		passes, oneMapping                     bool
		sameAddress, otherPort, strangerEnters bool
	}{
		{FullCone, true, true, true, true, true},
		{AddressRestrictedCone, true, true, true, true, false},
		{PortRestrictedCone, true, true, true, false, false},
		{Symmetric, true, false, true, false, false},
		{UDPBlocked, false, false, false, false, false},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			l := newNATLab(t, NATConfig{Kind: c.kind})
			seen, _, ok := l.pass(l.in, insidePort, server1)
			if ok != c.passes {
				t.Fatalf("out: %v", ok)
			}
			if !ok {
				return
			}
			if seen.Addr().String() != outsideAddr {
				t.Errorf("seen as %v", seen)
			}
			for _, in := range []struct {
				from netip.AddrPort
				want bool
			}{{server1, c.sameAddress}, {server1b, c.otherPort}, {server2, c.strangerEnters}} {
				_, dest, ok := l.pass(l.server, in.from, seen)
				if ok != in.want || (ok && dest != insidePort) {
					t.Errorf("from %v: enters %v, want %v (to %v)", in.from, ok, in.want, dest)
				}
			}
			second, _, _ := l.pass(l.in, insidePort, server2)
			if (second == seen) != c.oneMapping {
				t.Errorf("seen as %v by one and as %v by the other", seen, second)
			}
			if _, _, ok := l.pass(l.server, server2, second); !ok {
				t.Error("the answer does not enter")
			}
		})
	}
}

func TestNATMappingTimesOut(t *testing.T) {
	l := newNATLab(t, NATConfig{Kind: PortRestrictedCone, Timeout: 30 * time.Second})
	seen, _, _ := l.pass(l.in, insidePort, server1)
	l.now = 29 * time.Second
	if _, _, ok := l.pass(l.server, server1, seen); !ok {
		t.Error("closed too early")
	}
	t.Log("# packets from outside do not keep it open, those from inside do")
	l.now = 31 * time.Second
	if _, _, ok := l.pass(l.server, server1, seen); ok {
		t.Error("still open")
	}
	seen, _, _ = l.pass(l.in, insidePort, server1)
	l.now = 55 * time.Second
	l.pass(l.in, insidePort, server1)
	l.now = 80 * time.Second
	if _, _, ok := l.pass(l.server, server1, seen); !ok {
		t.Error("closed though it was refreshed")
	}
	t.Log("# a restart of the box forgets everything")
	l.nat.Reset()
	if _, _, ok := l.pass(l.server, server1, seen); ok || l.nat.Mappings() != 0 {
		t.Error("open after a restart")
	}
}

func TestNATHostsShareTheOutside(t *testing.T) {
	l := newNATLab(t, NATConfig{Kind: PortRestrictedCone})
	other := l.net.AddHost("other")
	other.AddInterface(l.nat, LinkConfig{}, LinkConfig{}, "10.0.0.3/24")
	from := netip.MustParseAddrPort("10.0.0.3:5000")
	a, _, _ := l.pass(l.in, insidePort, server1)
	b, _, _ := l.pass(other, from, server1)
	if a == b || a.Addr() != b.Addr() || a.Port() != 5000 {
		t.Errorf("%v and %v", a, b)
	}
	if _, dest, ok := l.pass(l.server, server1, b); !ok || dest != from {
		t.Errorf("arrived at %v", dest)
	}
	t.Log("# inside, they reach each other without the NAT")
	if seen, _, ok := l.pass(other, from, insidePort); !ok || seen != from {
		t.Errorf("seen as %v, %v", seen, ok)
	}
	t.Log("# the inside is not reached from outside")
	if _, _, ok := l.pass(l.server, server1, insidePort); ok {
		t.Error("a private address was routed")
	}
}

func TestNATHairpin(t *testing.T) {
	for _, hairpin := range []bool{false, true} {
		t.Run(fmt.Sprint(hairpin), func(t *testing.T) {
			l := newNATLab(t, NATConfig{Kind: FullCone, Hairpin: hairpin})
			other := l.net.AddHost("other")
			other.AddInterface(l.nat, LinkConfig{}, LinkConfig{}, "10.0.0.3/24")
			outside, _, _ := l.pass(l.in, insidePort, server1)
			seen, dest, ok := l.pass(other, netip.MustParseAddrPort("10.0.0.3:6000"), outside)
			if ok != hairpin {
				t.Fatalf("arrived: %v", ok)
			}
			if ok && (dest != insidePort || seen.Addr().String() != outsideAddr) {
				t.Errorf("seen as %v at %v", seen, dest)
			}
		})
	}
}

func TestNATBehindNAT(t *testing.T) {
	n := New(1)
	carrier := n.AddNAT(NATConfig{Kind: Symmetric, Addrs: []string{outsideAddr}})
	home := n.AddNAT(NATConfig{Kind: PortRestrictedCone, Addrs: []string{"100.64.0.2"}, Behind: carrier})
	in := n.AddHost("in")
	in.AddInterface(home, LinkConfig{}, LinkConfig{}, "10.0.0.2")
	l := &natLab{t: t, net: n, server: n.Connect("server", LinkConfig{}, "203.0.113.1"), in: in}
	seen, _, ok := l.pass(in, insidePort, server1)
	if !ok || seen.Addr().String() != outsideAddr {
		t.Fatalf("seen as %v, %v", seen, ok)
	}
	if _, dest, ok := l.pass(l.server, server1, seen); !ok || dest != insidePort {
		t.Errorf("the answer arrived at %v, %v", dest, ok)
	}
}

// TestHolePunching lets two hosts behind NATs send to each other's mapping, as
// ICE does, and says for which kinds that opens a direct path.
func TestHolePunching(t *testing.T) {
	kinds := []NATKind{FullCone, AddressRestrictedCone, PortRestrictedCone, Symmetric}
	for _, ka := range kinds {
		for _, kb := range kinds {
			n := New(7)
			server := n.Connect("server", LinkConfig{}, "203.0.113.1")
			hosts := make([]*Host, 2)
			mapped := make([]netip.AddrPort, 2)
			for i, kind := range []NATKind{ka, kb} {
				nat := n.AddNAT(NATConfig{Kind: kind, Addrs: []string{fmt.Sprintf("198.51.100.%d", i+1)}})
				hosts[i] = n.AddHost(fmt.Sprint(i))
				hosts[i].AddInterface(nat, LinkConfig{}, LinkConfig{}, "10.0.0.2") // both inside addresses are the same
				mustSend(t, hosts[i], 0, insidePort, server1, nil, 0)
				d, _ := n.Next(Epoch)
				if d.Host != server {
					t.Fatal("no mapping")
				}
				mapped[i] = d.From
			}
			connected := false
			for range 3 { // both send; answers go where the packet came from
				for i, h := range hosts {
					mustSend(t, h, 0, insidePort, mapped[1-i], nil, 0)
				}
				for {
					d, ok := n.Next(Epoch)
					if !ok {
						break
					}
					connected = true
					for i, h := range hosts {
						if d.Host == h {
							mapped[1-i] = d.From
						}
					}
				}
			}
			restricted := func(k NATKind) bool { return k == PortRestrictedCone || k == Symmetric }
			want := !(ka == Symmetric && restricted(kb)) && !(kb == Symmetric && restricted(ka))
			if connected != want {
				t.Errorf("%v and %v: direct %v, want %v", ka, kb, connected, want)
			}
		}
	}
}
