package ice

import (
	"fmt"
	"testing"
	"time"

	"github.com/openparley/webrtc/internal/netsim"
)

// tortureLab is a whole session on netsim with everything drawn from the seed: NATs of every kind (one for both, one behind
// the other, hairpin, short timeouts), loss of up to 30 % there and back, reordering, duplication, round trips, trickle in any
// order, hidden addresses, role conflicts, relay-only policy; then an accident, a restart, and the end of the network.
type tortureLab struct {
	*lab
	a, b     *labPeer
	accident string
	up, back time.Duration
	restarts int
	kinds    []netsim.NATKind // what is in front of each peer, if it is one NAT of its own
	latest   time.Duration    // of signaling
	early    bool             // they have restarted before they were connected
}

func newTorture(t testing.TB, seed uint64) *tortureLab {
	rng := newSeeded(seed)
	n := func(most uint64) int { return int(rng.Uint64() % most) }
	link := netsim.LinkConfig{}
	if n(4) > 0 {
		link.Loss = float64(n(164)) / 1000 // twice each way: up to 30 %
		link.Duplicate, link.Reorder = float64(n(200))/1000, float64(n(200))/1000
		link.Jitter = time.Duration(n(20)) * time.Millisecond
	}
	x := &tortureLab{lab: newLab(t, seed, time.Duration(5+n(296))*time.Millisecond, link)}
	x.latest = time.Duration(1+n(400)) * time.Millisecond
	x.signaling = func() time.Duration { return time.Duration(1 + x.rng.Int64N(int64(x.latest))) }
	x.a = x.site(0)
	x.b = x.site(1)
	return x
}

func (x *tortureLab) nat(addr string, behind *netsim.NAT) (*netsim.NAT, netsim.NATKind) {
	kinds := []netsim.NATKind{full, netsim.AddressRestrictedCone, cone, sym, blocked}
	kind := kinds[x.rng.IntN(len(kinds))]
	return x.sim.Net.AddNAT(netsim.NATConfig{
		Kind: kind, Hairpin: x.rng.IntN(2) == 0, Addrs: []string{addr}, Behind: behind,
		Timeout: time.Duration(20+x.rng.IntN(100)) * time.Second,
	}), kind
}

// direct tells whether nothing stands in the way of a direct pair.
func (x *tortureLab) direct() bool {
	if x.early || x.link.Loss > 0 || len(x.kinds) < 2 || x.a.a.cfg.Policy != PolicyAll || x.b.a.cfg.Policy != PolicyAll {
		return false
	}
	p, q := x.kinds[0], x.kinds[1]
	if p == sym {
		p, q = q, p
	}
	return p != blocked && q != blocked && !(q == sym && (p == sym || p == cone))
}

// site puts a peer somewhere: the second one sometimes behind the NAT of the first. Its second interface is down.
func (x *tortureLab) site(i int) *labPeer {
	cfg := Config{Servers: labServers}
	if x.rng.IntN(8) == 0 {
		cfg.Policy = PolicyRelay
	}
	name, outside := string(rune('a'+i)), fmt.Sprintf("198.51.100.%d", 1+i)
	var p *labPeer
	switch k := x.rng.IntN(8); {
	case k == 0:
		p = x.add(name, cfg, nil, outside)
		x.kinds = append(x.kinds, open)
		if x.rng.IntN(2) == 0 {
			p.host.AddInterface(nil, x.link, x.link, fmt.Sprintf("2001:db8::%d", 1+i))
		}
	case k == 1 && i == 1 && x.a.nat != nil:
		p = x.add(name, cfg, x.a.nat, "10.0.0.2")
	case k == 2:
		carrier, _ := x.nat(outside, nil)
		nat, _ := x.nat(fmt.Sprintf("100.64.0.%d", 1+i), carrier)
		p = x.add(name, cfg, nat, fmt.Sprintf("10.%d.0.1", i))
	default:
		nat, kind := x.nat(outside, nil)
		x.kinds = append(x.kinds, kind)
		p = x.add(name, cfg, nat, fmt.Sprintf("10.%d.0.1", i))
	}
	p.hide = x.rng.IntN(3) == 0
	spare, _ := x.nat(fmt.Sprintf("198.51.100.%d", 101+i), nil)
	if x.rng.IntN(2) == 0 {
		spare = nil
	}
	addr := fmt.Sprintf("10.%d.9.1", i)
	if spare == nil {
		addr = fmt.Sprintf("198.51.100.%d", 201+i)
	}
	p.host.AddInterface(spare, x.link, x.link, addr).SetUp(false)
	return p
}

// agreed lets media go both ways until it arrives at both ends by the pair that both have nominated.
func (x *tortureLab) agreed(limit time.Duration) bool {
	a, b := x.a, x.b
	ha, hb := a.heard, b.heard
	end := x.now().Add(limit)
	for x.now().Before(end) {
		a.say()
		b.say()
		if x.run(100*time.Millisecond, func() bool { return a.heard > ha && b.heard > hb && a.onPair && b.onPair }) {
			return true
		}
	}
	return false
}

// tortureBound is how long anything may take that must succeed.
const tortureBound = 60 * time.Second

func (x *tortureLab) session() {
	x.sim.OnStep = func(time.Time) error { return x.capped() }
	a, b := x.a, x.b
	x.lab.connect(a, b)
	if x.rng.IntN(4) == 0 {
		x.sim.After(2*x.rtt, func(now time.Time) { b.enter(func() { b.a.SetRole(now, RoleControlling) }) }) // a conflict
	}
	if x.rng.IntN(5) == 0 { // another offer before they are connected, or soon after
		x.sim.After(3*x.latest+time.Duration(x.rng.IntN(1000))*time.Millisecond, func(time.Time) {
			if x.accident == "" {
				x.early = true
				x.lab.restart(a, b)
			}
		})
	}
	if !x.agreed(tortureBound) {
		x.fatalf("not connected")
	}
	x.up = x.elapsed()
	if bound := max(2*time.Second, 6*x.rtt) + 3*x.latest; x.direct() &&
		!x.run(bound-x.elapsed(), func() bool { return x.a.selectedRelays() == 0 && x.b.selectedRelays() == 0 }) {
		x.fatalf("%d and %d relays after %v", x.a.selectedRelays(), x.b.selectedRelays(), bound)
	}
	x.pass(time.Duration(x.rng.IntN(20000)) * time.Millisecond)
	at := x.now()
	x.haveAccident()
	x.pass(2 * x.rtt) // what is on its way
	if x.agreed(tortureBound) {
		x.back = x.now().Sub(at)
	} else {
		x.logf("%s needs a restart", x.accident)
		x.restarts++
	}
	x.restart()
	x.end()
}

func (x *tortureLab) restart() {
	first, second := x.a, x.b
	if x.rng.IntN(2) == 0 {
		first, second = second, first
	}
	x.run(tortureBound, func() bool { return !x.offered })
	ca, cb := len(x.a.selects), len(x.b.selects)
	x.lab.restart(first, second)
	if !x.run(tortureBound, func() bool { return len(x.a.selects) > ca && len(x.b.selects) > cb }) || !x.agreed(tortureBound) {
		x.fatalf("%s, and the restart did not connect", x.accident)
	}
}

// haveAccident lets something happen that a call should live through.
func (x *tortureLab) haveAccident() {
	p := x.a
	if x.rng.IntN(2) == 0 {
		p = x.b
	}
	accidents := []string{
		"nothing", "roaming", "both roam", "a NAT forgets", "another kind of NAT", "the server restarts", "the server is away",
		"the network pauses",
	}
	x.accident = accidents[x.rng.IntN(len(accidents))]
	x.logf("accident: %s, %s", p.name, x.accident)
	switch x.accident {
	case "roaming":
		p.roam(time.Duration(x.rng.IntN(1500)) * time.Millisecond)
	case "both roam":
		x.a.roam(time.Duration(x.rng.IntN(1500)) * time.Millisecond)
		x.b.roam(time.Duration(x.rng.IntN(1500)) * time.Millisecond)
	case "a NAT forgets":
		if p.nat != nil {
			p.nat.Reset()
		}
	case "another kind of NAT":
		if p.nat != nil {
			p.nat.SetKind(cone)
		}
	case "the server restarts":
		x.turn.restart()
	case "the server is away":
		x.turn.restart()
		x.turn.down = true
		x.pass(time.Duration(1+x.rng.IntN(8)) * time.Second)
		x.turn.down = false
	case "the network pauses":
		x.silence(true)
		x.pass(time.Duration(1+x.rng.IntN(12)) * time.Second)
		x.silence(false)
	}
}

func (x *tortureLab) silence(down bool) {
	for _, p := range []*labPeer{x.a, x.b} {
		for _, i := range p.host.Interfaces() {
			i.Up.SetDown(down)
			i.Down.SetDown(down)
		}
		p.cut = down
	}
}

// roam takes the peer's first interface away, and brings its second one after a while.
func (p *labPeer) roam(gap time.Duration) {
	change := func(now time.Time) { p.enter(func() { p.a.NetworkChanged(now) }) }
	list := p.host.Interfaces()
	for _, i := range list[:len(list)-1] {
		i.SetUp(false)
	}
	p.hangUp()
	change(p.l.now())
	p.l.sim.After(gap, func(now time.Time) {
		list[len(list)-1].SetUp(true)
		change(now)
	})
}

// end takes the network away: consent must run out on both sides, after which nothing may be sent, and both must fail, later if
// a relay is what was missed first. Then both are closed.
func (x *tortureLab) end() {
	x.silence(true)
	routes := func() bool {
		_, a := x.a.a.Route()
		_, b := x.b.a.Route()
		return a || b
	}
	if !x.run(31*time.Second, func() bool { return !routes() }) {
		x.fatalf("consent outlives the network: %v and %v", x.a.a.State(), x.b.a.State())
	}
	if !x.run(2*time.Minute, func() bool { return x.a.a.State() == StateFailed && x.b.a.State() == StateFailed }) {
		x.fatalf("without a network: %v and %v", x.a.a.State(), x.b.a.State())
	}
	for _, p := range []*labPeer{x.a, x.b} {
		if _, ok := p.a.Route(); ok {
			x.fatalf("%s has a route without consent", p.name)
		}
		p.enter(func() { p.a.Close(x.now()); p.closed = true })
		if d := p.a.Deadline(); !d.IsZero() {
			x.fatalf("%s has a deadline after Close", p.name)
		}
	}
	x.silence(false)
	x.pass(5 * time.Second)
}

// capped holds the tables to their caps.
func (x *tortureLab) capped() error {
	for _, p := range x.peers {
		a, g := p.a, p.a.cur
		if len(a.bases) > maxBases || len(a.relays) > maxRelays || len(a.transactions) > maxTransaction || a.out.n > maxOut ||
			len(a.verified.entries) > maxVerified || len(g.locals) > maxLocals || len(g.remotes) > maxRemotes ||
			len(g.pairs) > maxPairs || len(g.valid) > maxValid || len(g.triggered) > len(g.pairs) || len(a.events) > 0 {
			return fmt.Errorf("%s: a table is over its cap: %d bases, %d relays, %d transactions, %d pairs, %d valid, %d triggered, %d events",
				p.name, len(a.bases), len(a.relays), len(a.transactions), len(g.pairs), len(g.valid), len(g.triggered), len(a.events))
		}
	}
	return nil
}

func TestLabTorture(t *testing.T) {
	var slowest, back time.Duration
	accidents, restarts, direct := map[string]int{}, map[string]int{}, 0
	n := seeds(100)
	for seed := range uint64(n) {
		x := newTorture(t, seed)
		x.session()
		slowest, back = max(slowest, x.up), max(back, x.back)
		accidents[x.accident]++
		restarts[x.accident] += x.restarts
		if x.direct() {
			direct++
		}
		if seed%50 == 0 {
			again := newTorture(t, seed)
			again.session()
			if again.trace.String() != x.trace.String() {
				t.Fatalf("seed %d: the traces differ", seed)
			}
		}
	}
	t.Logf("%d sessions, %d where nothing was in the way: the slowest connection took %v, the slowest recovery %v", n, direct, slowest, back)
	t.Logf("accidents %v, not recovered from without a restart %v", accidents, restarts)
	needed := 0
	for _, k := range restarts {
		needed += k
	}
	if needed > n/1000 || restarts["nothing"] > 0 {
		t.Errorf("%d of %d accidents needed a restart: %v", needed, n, restarts)
	}
}
