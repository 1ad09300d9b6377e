package ice

import (
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// connected is a controlled agent whose only pair is nominated.
func connected(t *testing.T, change ...func(*Config)) *script {
	t.Helper()
	s := newScript(t, RoleControlled, change...)
	s.candidate(peerAddr.String(), TypeHost, 100)
	s.succeed(s.wantRequest())
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1), attr(stun.AttrUseCandidate))); err != nil {
		t.Fatal(err)
	}
	s.sent()
	s.drain()
	return s
}

func TestRFC7675_ConsentChecksAtRandomTimes(t *testing.T) {
	s := connected(t)
	var gaps []time.Duration
	last := s.now
	for range 40 {
		r := s.nextSent()
		gaps = append(gaps, s.now.Sub(last))
		last = s.now
		s.succeed(r)
	}
	distinct := map[time.Duration]bool{}
	for _, g := range gaps {
		if g < 4*time.Second || g > 6*time.Second {
			t.Errorf("a gap of %v, want 4 to 6 s", g)
		}
		distinct[g] = true
	}
	if len(distinct) < 30 {
		t.Errorf("only %d different gaps of %d: not random", len(distinct), len(gaps))
	}
	if s.a.State() != StateConnected {
		t.Errorf("state %v", s.a.State())
	}
}

// nextSent lets time pass until the agent sends something.
func (s *script) nextSent() sent {
	s.t.Helper()
	for range 100 {
		d := s.a.Deadline()
		if d.IsZero() {
			break
		}
		s.now = d
		s.a.Advance(d)
		if list := s.sent(); len(list) > 0 {
			return list[0]
		}
	}
	s.t.Fatal("nothing is sent")
	return sent{}
}

func TestRFC7675_ConsentChecksAreNeverSentAgain(t *testing.T) {
	s := connected(t)
	s.advance(29 * time.Second)
	times := map[[12]byte]int{}
	for _, r := range s.sent() {
		times[r.TransactionID]++
		if err := stun.NewShortTermIntegrity(s.peer.Pwd).Check(r.Message); err != nil {
			t.Error(err)
		}
	}
	once := 0
	for _, n := range times {
		if n == 1 {
			once++
		}
	}
	t.Log("# one more transaction is the probe: a connectivity check, which may be sent again")
	if n := int(s.pair(0).ConsentSent); n != once || n < 4 || n > 7 || len(times) != n+1 {
		t.Errorf("%d consent checks in 29 s, %d transactions of %d sent once", n, once, len(times))
	}
}

func TestUnansweredConsentCheckMakesUsProbe(t *testing.T) {
	s := connected(t)
	s.nextSent()
	s.advance(probeAfter - 1)
	s.wantNothing()
	s.advance(1)
	probe := s.wantRequest()
	s.advance(s.a.cfg.RTO)
	if r := s.wantRequest(); r.TransactionID != probe.TransactionID {
		t.Error("the probe is not sent again")
	}
	s.succeed(probe)
	if got := s.pair(0).ConsentExpires; !got.Equal(s.now.Add(30 * time.Second)) {
		t.Errorf("consent expires in %v", got.Sub(s.now))
	}
	s.advance(2 * time.Second)
	s.wantNothing()
}

func TestRFC7675_ExpiryIsStrict(t *testing.T) {
	s := connected(t)
	s.advance(30*time.Second - 1)
	if _, ok := s.a.Route(); !ok {
		t.Fatal("consent has ended before its time")
	}
	if s.a.State() != StateDisconnected {
		t.Errorf("state %v, want disconnected", s.a.State())
	}
	t.Log("# the answer comes in the very moment of the expiry: too late")
	list := s.sent()
	s.now = s.now.Add(1)
	if err := s.recv(peerAddr, s.response(list[len(list)-1], s.local)); err == nil {
		t.Error("the late answer was taken")
	}
	if _, ok := s.a.Route(); ok {
		t.Error("there is a route without consent")
	}
	if s.a.State() != StateFailed {
		t.Errorf("state %v, want failed", s.a.State())
	}
	t.Log("# nothing is sent any more: no checks, no answers")
	if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
		t.Fatal(err)
	}
	s.advance(time.Minute)
	s.wantNothing()
	if !s.a.Deadline().IsZero() {
		t.Error("a failed agent has a timer")
	}
}

func TestRFC7675_RequestsOfThePeerAreNoConsent(t *testing.T) {
	s := connected(t)
	for range 31 {
		s.advance(time.Second)
		if err := s.recv(peerAddr, s.request(be64(stun.AttrICEControlling, 1))); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.a.Route(); ok {
		t.Error("requests have renewed consent")
	}
}

func TestRFC7675_UnauthenticatedAnswersAreNoConsent(t *testing.T) {
	s := connected(t)
	s.advance(7 * time.Second)
	r := s.sent()[0]
	before := s.pair(0).ConsentExpires
	forged := stun.MustBuild(r.Message, stun.BindingSuccess,
		&stun.XORMappedAddress{IP: s.local.Addr().AsSlice(), Port: int(s.local.Port())},
		stun.NewShortTermIntegrity("not the password at all"), stun.Fingerprint).Raw
	if err := s.recv(peerAddr, forged); err == nil {
		t.Error("taken")
	}
	if s.pair(0).ConsentExpires != before {
		t.Error("a forged answer has renewed consent")
	}
	s.succeed(r)
	if got := s.pair(0).ConsentExpires; !got.Equal(s.now.Add(30 * time.Second)) {
		t.Errorf("consent expires in %v", got.Sub(s.now))
	}
}

func TestApplicationPacketsAreLifeButNoConsent(t *testing.T) {
	s := connected(t)
	for range 29 {
		s.advance(time.Second)
		s.a.Verified(s.base, peerAddr)
		if s.a.State() != StateConnected {
			t.Fatalf("state %v", s.a.State())
		}
	}
	s.advance(time.Second)
	if _, ok := s.a.Route(); ok || s.a.State() != StateFailed {
		t.Errorf("consent was not refreshed, but state %v", s.a.State())
	}
}

func TestDisconnectedAndBack(t *testing.T) {
	w := newWorld(t, 5)
	a, b := w.add("a", Config{}, "10.0.0.1"), w.add("b", Config{}, "10.0.0.2")
	w.connect(a, b)
	w.run(time.Second, nil)
	t.Log("# the cable is out for 15 s")
	w.loss = 1
	if !w.run(9*time.Second, func() bool { return a.in(StateDisconnected) && b.in(StateDisconnected) }) {
		t.Fatalf("states %v %v", a.a.State(), b.a.State())
	}
	w.run(6*time.Second, nil)
	w.loss = 0
	if !w.run(7*time.Second, func() bool { return a.in(StateCompleted) && b.in(StateCompleted) }) {
		t.Fatalf("states %v %v", a.a.State(), b.a.State())
	}
	t.Log("# and then for good")
	w.loss = 1
	if !w.run(31*time.Second, func() bool { return a.in(StateFailed) && b.in(StateFailed) }) {
		t.Fatalf("states %v %v", a.a.State(), b.a.State())
	}
}
