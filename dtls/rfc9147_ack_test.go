package dtls

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// inject seals content in a side's newest epoch, or in one of its choice, and delivers it to the other side.
func (l *link) inject(from int, w *writeEpoch, typ contentType, content []byte) {
	l.t.Helper()
	front, back := w.prot.overhead()
	buf := make([]byte, front+len(content)+back)
	copy(buf[front:], content)
	rec, err := w.seal(buf, front, len(content), typ)
	if err != nil {
		l.t.Fatal(err)
	}
	l.deliver(1-from, rec)
}

// failedWith wants a side to have ended the connection with an alert.
func (l *link) failedWith(side int, want Alert) {
	l.t.Helper()
	p := l.peers[side]
	l.pump()
	if len(p.events) == 0 {
		l.t.Fatalf("%s has no events", p.name)
	}
	last := p.events[len(p.events)-1]
	var a *AlertError
	if last.State != StateFailed || !errors.As(last.Err, &a) || a.Remote || a.Alert != want {
		l.t.Fatalf("%s: %v, want %v", p.name, last, want)
	}
}

// toServerFlight runs a DTLS 1.3 handshake to where the server's flight is on its way to the client, in small datagrams, and returns it.
func toServerFlight(t *testing.T) (*link, [][]byte) {
	t.Helper()
	client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
	server.MTU = MinMTU
	l := newLink(t, 1, client, server)
	l.client().conn.Start(l.now)
	for _, pkt := range outputs(l.client().conn) {
		l.deliver(1, pkt)
	}
	return l, outputs(l.server().conn)
}

// ackFor is an ACK of the records that a side has sent, from and to as slices go.
func ackFor(c *Conn, from, to int) []byte {
	var a ackList
	for _, r := range c.flight.sent[from:to] {
		a.push(r.number)
	}
	return a.append(nil, 2+maxACKRecords*recordNumberLen)
}

func TestPartOfAFlightIsAcknowledged(t *testing.T) {
	l, flight := toServerFlight(t)
	t.Log("# the client gets all but one datagram of the server's flight")
	for i, pkt := range flight {
		if i != len(flight)-2 {
			l.deliver(0, bytes.Clone(pkt))
		}
	}
	c, s := l.client().conn, l.server().conn
	if d := c.Deadline().Sub(l.now); d != DefaultInitialTimeout/ackShare || c.timer.running() {
		t.Fatalf("the client's timer runs out in %v", d)
	}
	l.now = c.Deadline()
	c.Advance(l.now)
	acks := outputs(c)
	if len(acks) != 1 || len(acks[0]) > c.limit {
		t.Fatalf("%d datagrams", len(acks))
	}
	t.Log("# the server sends only what is missing")
	before := s.Deadline()
	l.deliver(1, acks[0])
	if s.Deadline() != before {
		t.Fatal("a partial ACK moved the timer")
	}
	l.now = before
	s.Advance(l.now)
	again := outputs(s)
	if len(again) != 1 {
		t.Fatalf("%d datagrams of %d sent again", len(again), len(flight))
	}
	l.deliver(0, again[0])
	l.pump()
	l.run(time.Minute, l.bothConnected)
	l.agree()
}

func TestAcknowledgedFlightStopsTheTimer(t *testing.T) {
	l, _ := toServerFlight(t)
	s := l.server().conn
	w := &writeEpoch{epoch: epochHandshake, prot: l.server().conn.reads[1].prot}
	n := len(s.flight.sent)
	t.Log("# acknowledged in two parts, out of order")
	l.inject(0, w, contentACK, ackFor(s, n/2, n))
	if s.Deadline().IsZero() {
		t.Fatal("half is not all")
	}
	l.inject(0, w, contentACK, ackFor(s, 0, len(s.flight.sent)))
	if !s.Deadline().IsZero() || !s.flight.empty() || s.state != StateConnecting {
		t.Fatalf("%v, deadline %v", s.state, s.Deadline())
	}
}

func TestACKOfALaterEpochIsRefused(t *testing.T) {
	for _, n := range []recordNumber{{3, 0}, {1 << 16, 0}, {0, 1 << 48}} {
		l, _ := toServerFlight(t)
		w := &writeEpoch{epoch: epochHandshake, prot: l.server().conn.reads[1].prot}
		a := ackList{numbers: []recordNumber{n}}
		l.inject(0, w, contentACK, a.append(nil, 100))
		l.failedWith(1, AlertIllegalParameter)
	}
}

func TestForgedACKIsIgnored(t *testing.T) {
	l, _ := toServerFlight(t)
	s := l.server().conn
	before := s.Deadline()
	l.deliver(1, plainRecord(contentACK, 99, ackFor(s, 0, len(s.flight.sent))))
	if s.flight.acked() || s.Deadline() != before {
		t.Fatal("an ACK in the clear was believed")
	}
}

// TestFinishedIsAcknowledgedAgain: a client whose Finished was not acknowledged sends it again, and hears about it even after application
// data; four minutes later the keys are gone.
func TestFinishedIsAcknowledgedAgain(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.forward = func(from int, _ []byte) bool { return from == 0 || l.server().conn.state != StateConnected }
	l.mustConnect()
	l.say(0, "application data")
	c, s := l.client().conn, l.server().conn
	if c.flight.empty() {
		t.Fatal("the ACK came through")
	}
	l.forward = nil
	l.run(time.Minute, func() bool { return c.flight.empty() })
	if !c.flight.empty() || c.stats.Retransmissions == 0 {
		t.Fatal("Finished was never acknowledged")
	}
	if len(s.reads) != 2 || len(c.reads) != 1 {
		t.Fatalf("%d read epochs of the server, which may be asked again, and %d of the client", len(s.reads), len(c.reads))
	}
	l.run(time.Hour, func() bool { return false })
	l.now = l.now.Add(epochLifetime)
	// A record of epoch 2 is now one without keys.
	l.deliver(1, []byte{0x2e, 0, 1, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0})
	if len(s.reads) != 1 || s.stats.DroppedEpoch != 1 {
		t.Fatalf("%d read epochs, %+v", len(s.reads), s.stats)
	}
	l.agree()
}

func TestKeyUpdateWaitsForItsACK(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.mustConnect()
	l.run(time.Minute, func() bool { return false })
	c := l.client().conn
	if err := c.UpdateKeys(l.now, false); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.UpdateKeys(l.now, false); err != nil {
			t.Fatal(err)
		}
		l.say(0, "in the old epoch")
		if c.write.epoch != epochApplication {
			t.Fatal("new keys without an ACK")
		}
	}
	l.run(time.Minute, func() bool { return false })
	if c.write.epoch != epochApplication+1 {
		t.Fatalf("epoch %d: the repeated requests were not one", c.write.epoch)
	}
	l.agree()
}

func TestTooManyKeyUpdates(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.mustConnect()
	l.run(time.Minute, func() bool { return false })
	for range maxKeyUpdates {
		if err := l.client().conn.UpdateKeys(l.now, false); err != nil {
			t.Fatal(err)
		}
		l.pump()
		l.run(time.Minute, func() bool { return false })
	}
	if s := l.server(); s.conn.state != StateConnected {
		t.Fatal(s.events)
	}
	if err := l.client().conn.UpdateKeys(l.now, false); err != nil {
		t.Fatal(err)
	}
	l.pump()
	l.run(time.Second, func() bool { return false })
	l.failedWith(1, AlertUnexpectedMessage)
}

// TestProtectedNonsense: what an authenticated peer must not send ends the connection with the right alert.
func TestProtectedNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		version Version
		typ     contentType
		content []byte
		want    Alert
	}{
		"unknown content type":   {VersionDTLS13, 99, []byte{1}, AlertUnexpectedMessage},
		"protected CCS":          {VersionDTLS12, contentChangeCipherSpec, []byte{1}, AlertUnexpectedMessage},
		"ACK in DTLS 1.2":        {VersionDTLS12, contentACK, []byte{0, 0}, AlertUnexpectedMessage},
		"malformed ACK":          {VersionDTLS13, contentACK, []byte{0, 1, 0}, AlertDecodeError},
		"empty handshake record": {VersionDTLS13, contentHandshake, nil, AlertDecodeError},
		"half a fragment header": {VersionDTLS13, contentHandshake, []byte{24, 0}, AlertDecodeError},
		"fragment beyond":        {VersionDTLS13, contentHandshake, []byte{24, 0, 0, 1, 0, 9, 0, 0, 1, 0, 0, 1, 0}, AlertIllegalParameter},
		"huge message":           {VersionDTLS13, contentHandshake, []byte{24, 255, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0}, AlertIllegalParameter},
		"malformed alert":        {VersionDTLS13, contentAlert, []byte{2}, AlertDecodeError},
		"alert of level 66":      {VersionDTLS12, contentAlert, []byte{66, 10}, AlertIllegalParameter},
		"renegotiation":          {VersionDTLS12, contentHandshake, fragment(fragmentHeader{typ: typeHelloRequest}, nil), AlertUnexpectedMessage},
		"a new ClientHello":      {VersionDTLS12, contentHandshake, fragment(fragmentHeader{typ: typeClientHello, seq: 9, length: 1}, []byte{0}), AlertUnexpectedMessage},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
			client.MaxVersion = c.version
			for side := range 2 {
				l := newLink(t, 1, client, server)
				l.mustConnect()
				l.inject(side, l.peers[side].conn.write, c.typ, c.content)
				l.failedWith(1-side, c.want)
			}
		})
	}
}

func TestKeyUpdateMessages(t *testing.T) {
	for _, c := range []struct {
		typ  messageType
		body []byte
		want Alert
	}{
		{typeKeyUpdate, []byte{2}, AlertIllegalParameter},
		{typeKeyUpdate, []byte{0, 0}, AlertDecodeError},
		{typeKeyUpdate, nil, AlertDecodeError},
		{typeFinished, make([]byte, 32), AlertUnexpectedMessage},
		{typeCertificateRequest, []byte{0, 0, 0}, AlertUnexpectedMessage},
		{typeNewSessionTicket, []byte{0}, AlertDecodeError},
	} {
		l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
		l.mustConnect()
		h := fragmentHeader{typ: c.typ, length: len(c.body), seq: uint16(l.client().conn.in.next)}
		l.inject(1, l.server().conn.write, contentHandshake, fragment(h, c.body))
		l.failedWith(0, c.want)
	}
	t.Log("# a ticket is parsed, acknowledged and forgotten")
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.mustConnect()
	body := []byte{0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0, 1, 9, 0, 0}
	h := fragmentHeader{typ: typeNewSessionTicket, length: len(body), seq: uint16(l.client().conn.in.next)}
	l.inject(1, l.server().conn.write, contentHandshake, fragment(h, body))
	if c := l.client().conn; c.acks.started.IsZero() {
		t.Fatal("no ACK is due")
	}
	l.agree()
}

// TestDowngradeIsNoticed: who strikes DTLS 1.3 from a ClientHello is found out by the server's random (RFC 8446 §4.1.3).
func TestDowngradeIsNoticed(t *testing.T) {
	client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
	client.Grace = -1
	l := newLink(t, 1, client, server)
	l.client().conn.Start(l.now)
	hs := l.client().conn.hs
	struck := *hs.hello
	struck.versions, struck.hasShares, struck.shares = []Version{VersionDTLS12}, false, nil
	body, err := struck.marshal()
	if err != nil {
		t.Fatal(err)
	}
	outputs(l.client().conn)
	l.deliver(1, plainRecord(contentHandshake, 0, fragment(fragmentHeader{typ: typeClientHello, length: len(body)}, body)))
	for _, pkt := range outputs(l.server().conn) {
		l.deliver(0, pkt)
	}
	l.failedWith(0, AlertIllegalParameter)
}
