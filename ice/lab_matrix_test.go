package ice

import (
	"fmt"
	"testing"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netsim"
)

// The pairs of the NAT lab in virtual time, where a round trip can be told from the next.

var labServers = []Server{
	{
		Kind: ServerTURN, URL: "turn:203.0.113.2", Host: "203.0.113.2", Username: "alice", Password: "wonderland",
		Transport: turn.UDP,
	},
	{
		Kind: ServerTURN, URL: "turn:203.0.113.2?transport=tcp", Host: "203.0.113.2", Username: "alice", Password: "wonderland",
		Transport: turn.TCP,
	},
}

// Sites: what is between a peer and the internet.
const (
	open    = netsim.NATKind(255)
	full    = netsim.FullCone
	cone    = netsim.PortRestrictedCone
	sym     = netsim.Symmetric
	blocked = netsim.UDPBlocked
)

// addSite adds a peer behind a NAT of its own.
func (l *lab) addSite(i int, cfg Config, kind netsim.NATKind) *labPeer {
	l.t.Helper()
	name := string(rune('a' + i))
	if kind == open {
		return l.add(name, cfg, nil, fmt.Sprintf("198.51.100.%d", 1+i))
	}
	nat := l.sim.Net.AddNAT(netsim.NATConfig{Kind: kind, Addrs: []string{fmt.Sprintf("198.51.100.%d", 1+i)}})
	return l.add(name, cfg, nat, fmt.Sprintf("10.%d.0.1", i))
}

// matrix holds for each pair of sites the relays that its route must lead over, and the half round trips, counted from the
// moment the offer leaves, in which the offerer and the answerer can be connected at the earliest. What they are made of:
//
//	½  the offer; 1 the answer, which finds the answerer gathering
//	1  for a reflexive address, 2 for an allocation over UDP, 3 over TCP; ½ to signal either
//	1  for a check and its answer, 2 by way of a relay; ½ or 1 less where the peer's own check has opened the way
var matrix = []struct {
	a, b             netsim.NATKind
	relays           int
	offerer, answers int // in halves of a round trip
}{
	{open, open, 0, 4, 3},
	{open, full, 0, 4, 3},
	{open, cone, 0, 4, 3},
	{open, sym, 0, 4, 3},
	{open, blocked, 1, 12, 11},
	{full, open, 0, 4, 5},
	{full, full, 0, 6, 5},
	{full, cone, 0, 6, 5},
	{full, sym, 0, 6, 5},
	{full, blocked, 1, 12, 11},
	{cone, open, 0, 4, 5},
	{cone, full, 0, 6, 7},
	{cone, cone, 0, 6, 7},
	{cone, sym, 1, 10, 9},
	{cone, blocked, 1, 12, 11},
	{sym, open, 0, 4, 5},
	{sym, full, 0, 6, 7},
	{sym, cone, 1, 8, 9},
	{sym, sym, 1, 10, 9},
	{sym, blocked, 1, 12, 14},
	{blocked, open, 1, 10, 11},
	{blocked, full, 1, 10, 11},
	{blocked, cone, 1, 10, 11},
	{blocked, sym, 1, 13, 11},
	{blocked, blocked, 2, 12, 14},
}

// matrixSlots is what the pacing of transactions may add: less than half of the longest round trip.
const matrixSlots = 5

func TestMatrix(t *testing.T) {
	for _, rtt := range []time.Duration{20 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond} {
		for _, c := range matrix {
			name := func(k netsim.NATKind) string {
				if k == open {
					return "open"
				}
				return k.String()
			}
			t.Run(fmt.Sprintf("%v/%s to %s", rtt, name(c.a), name(c.b)), func(t *testing.T) {
				l := newLab(t, 1, rtt, netsim.LinkConfig{})
				a, b := l.addSite(0, Config{Servers: labServers}, c.a), l.addSite(1, Config{Servers: labServers}, c.b)
				l.connect(a, b)
				if !l.run(10*time.Second, func() bool { return len(a.selects) > 0 && len(b.selects) > 0 }) {
					l.fatalf("not connected")
				}
				trips := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(rtt)) }
				t.Logf("connected after %v and %v (%s and %s round trips), nominated after %v and %v", a.up, b.up,
					trips(a.up), trips(b.up), a.selects[0].at, b.selects[0].at)
				slots := matrixSlots * a.a.cfg.Pace
				if most := time.Duration(c.offerer)*rtt/2 + slots; a.up > most {
					t.Errorf("the offerer is connected after %v, want %v", a.up, most)
				}
				if most := time.Duration(c.answers)*rtt/2 + slots; b.up > most {
					t.Errorf("the answerer is connected after %v, want %v", b.up, most)
				}
				l.pass(max(2*time.Second, 6*rtt) - l.elapsed())
				if a.selectedRelays() != c.relays || b.selectedRelays() != c.relays {
					t.Errorf("%d and %d relays, want %d\n%s", a.selectedRelays(), b.selectedRelays(), c.relays, l.trace.String())
				}
				l.media(a, b)
			})
		}
	}
}

// selectedRelays counts the relays of the nominated pair; -1: there is none, or the route is another one.
func (p *labPeer) selectedRelays() int {
	if s := p.a.cur.selected; s == nil || p.a.routePair != s {
		return -1
	}
	return p.relays()
}

// media sends a packet each way, which must arrive by the pair that the other side has nominated too.
func (l *lab) media(a, b *labPeer) {
	l.t.Helper()
	ha, hb := a.heard, b.heard
	a.say()
	b.say()
	if !l.run(time.Second+4*l.rtt, func() bool { return a.heard > ha && b.heard > hb }) || !a.onPair || !b.onPair {
		l.fatalf("media does not arrive by the pair of both: %d and %d packets, %v and %v", a.heard-ha, b.heard-hb, a.onPair, b.onPair)
	}
}

func TestANATThatForgets(t *testing.T) {
	for _, kinds := range [][2]netsim.NATKind{{sym, open}, {open, sym}, {sym, sym}, {cone, cone}, {sym, blocked}, {blocked, sym}} {
		for i := range 2 {
			l := newLab(t, 1, 60*time.Millisecond, netsim.LinkConfig{})
			peers := [2]*labPeer{l.addSite(0, Config{Servers: labServers}, kinds[0]), l.addSite(1, Config{Servers: labServers}, kinds[1])}
			l.connect(peers[0], peers[1])
			l.pass(20 * time.Second)
			l.media(peers[0], peers[1])
			if peers[i].nat == nil {
				continue
			}
			peers[i].nat.Reset()
			t.Log("# the next consent check at the latest finds it out, and what its answer says is told to the peer")
			l.pass(6*time.Second + 4*l.rtt)
			l.media(peers[0], peers[1])
			l.pass(time.Minute)
			l.media(peers[0], peers[1])
		}
	}
}
