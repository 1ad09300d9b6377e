package ice

import (
	"slices"
	"testing"
	"time"

	"github.com/openparley/webrtc/ice/turn"
)

func overTCP(c *Config) { c.Servers[0].Transport = turn.TCP }

func TestRelayOverAConnection(t *testing.T) {
	w, a, b := relayPair(t, withTURN(overTCP), withTURN(), false)
	t.Log("# all UDP of one side is blocked")
	w.blocked = udpOf(a)
	w.connect(a, b)
	if !w.run(2*time.Second, func() bool { return a.up() && b.up() }) {
		t.Fatalf("no connection\n%s", w.trace.String())
	}
	t.Logf("connected after %v, %v one way", w.now.Sub(w.start), w.delay)
	w.chat(a, b)
	w.run(time.Minute, nil)
	w.chat(a, b)
	t.Log("# the connection breaks in mid-call")
	w.turn.breakAll()
	start := w.now
	heard := func() [2]int { return [2]int{len(a.heard), len(b.heard)} }
	before := heard()
	both := func() bool { h := heard(); return h[0] > before[0] && h[1] > before[1] }
	w.run(2*w.delay, nil)
	for !both() && w.now.Sub(start) < 20*time.Second {
		a.say("\x80media")
		b.say("\x80media")
		w.run(20*time.Millisecond, both)
	}
	t.Logf("media is back after %v", w.now.Sub(start))
	if w.now.Sub(start) > 3*time.Second {
		t.Errorf("want 3 s\n%s", w.trace.String())
	}
	t.Log("# a restart keeps connection and allocation")
	n := w.turn.s.Stats().AllocationsTotal
	w.must(a.a.Restart(w.now, Parameters{}))
	a.pump()
	w.exchange(a, b)
	selects := len(a.selects)
	if !w.run(5*time.Second, func() bool { return len(a.selects) > selects && b.up() }) {
		t.Fatalf("no pair after the restart\n%s", w.trace.String())
	}
	w.chat(a, b)
	if got := w.turn.s.Stats().AllocationsTotal; got != n {
		t.Errorf("%d allocations, want %d", got, n)
	}
	t.Log("# the end closes the connection")
	a.a.Close(w.now)
	a.pump()
	if len(a.streams) != 0 {
		t.Error("the connection is open")
	}
}

func TestServerThatRefusesConnections(t *testing.T) {
	w := newWorld(t, 1)
	a := w.add("a", withTURN(overTCP), "10.0.0.1")
	a.a.Gather(w.now)
	a.pump()
	if !w.run(time.Second, func() bool { return a.a.GatheringState() == GatheringComplete }) {
		t.Fatal("gathering does not end")
	}
	if !slices.ContainsFunc(a.events, func(e Event) bool {
		e2, ok := e.(EventCandidateError)
		return ok && e2.Code == 701 && e2.URL == testTURN.URL
	}) {
		t.Errorf("no error in %v", a.events)
	}
	t.Log("# a connection that comes too late is closed")
	n := len(a.events)
	a.a.HandleDialResult(w.now, 2, a.addrPort(), nil)
	a.pump()
	if len(a.events) != n+1 || a.events[n] != (EventUnbind{2}) {
		t.Errorf("events %v", a.events[n:])
	}
}

// Behind a proxy a server's name may mean something only there.
func TestServersThatAreKnownByTheirNames(t *testing.T) {
	servers := []Server{
		{Kind: ServerTURN, Host: "a.example", Transport: turn.TCP, Username: "u", Password: "p", ByName: true},
		{Kind: ServerTURN, Host: "b.example", Transport: turn.TLS, Username: "u", Password: "p", ByName: true},
		{Kind: ServerTURN, Host: "c.example", Username: "u", Password: "p", ByName: true},
		{Kind: ServerTURN, Host: "10.0.0.9", Transport: turn.TCP, Username: "u", Password: "p", ByName: true},
		{URL: "stuns:d.example", Useless: "for a reason"},
	}
	s := newSilentScript(t, RoleControlling, func(c *Config) { c.Servers = servers })
	for range 4 {
		s.advance(s.a.cfg.Pace)
	}
	s.drain()
	var dials, names, errs []string
	for _, e := range s.events {
		switch e := e.(type) {
		case EventDial:
			dials = append(dials, e.Network+" "+e.Remote.String()+" "+e.Host)
		case EventResolve:
			names = append(names, e.Host)
		case EventCandidateError:
			errs = append(errs, e.URL+" "+e.Text)
		}
	}
	if want := []string{"tcp 0.0.0.1:3478 a.example", "tls 0.0.0.2:5349 b.example", "tcp 10.0.0.9:3478 10.0.0.9"}; !slices.Equal(dials, want) {
		t.Errorf("dials %q, want %q", dials, want)
	}
	if !slices.Equal(names, []string{"c.example"}) || !slices.Equal(errs, []string{"stuns:d.example for a reason"}) {
		t.Errorf("asked for %q, reported %q", names, errs)
	}
}
