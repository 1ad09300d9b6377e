package dtls

import (
	"bytes"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// forEachVersion runs a story with both versions as the newest.
func forEachVersion(t *testing.T, story func(t *testing.T, client, server Config)) {
	for _, v := range []Version{VersionDTLS12, VersionDTLS13} {
		t.Run(v.String(), func(t *testing.T) {
			client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
			client.MaxVersion, server.MaxVersion = v, v
			story(t, client, server)
		})
	}
}

// outputs takes what a connection has to say.
func outputs(c *Conn) (pkts [][]byte) {
	for {
		pkt, ok := c.Next(nil)
		if !ok {
			return pkts
		}
		pkts = append(pkts, pkt)
	}
}

// plainRecord frames content in the clear.
func plainRecord(typ contentType, seq uint64, content []byte) []byte {
	rec := make([]byte, plainHeaderLen+len(content))
	putPlainHeader(rec, typ, VersionDTLS12, 0, seq, len(content))
	copy(rec[plainHeaderLen:], content)
	return rec
}

func fragment(h fragmentHeader, body []byte) []byte {
	h.fragLen = len(body)
	return append(h.append(nil), body...)
}

func TestForgedAlertsAreIgnored(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		n := uint64(1000)
		l.forward = func(from int, _ []byte) bool {
			t.Log("# whoever hears anything also hears a forged fatal alert")
			for _, a := range []Alert{AlertHandshakeFailure, AlertCloseNotify, AlertUserCanceled} {
				n++
				l.deliver(1-from, plainRecord(contentAlert, n, []byte{levelFatal, byte(a)}))
			}
			return true
		}
		l.mustConnect()
		l.agree()
		if l.client().conn.stats.DroppedAlerts+l.server().conn.stats.DroppedAlerts == 0 {
			t.Fatal("no alert was counted")
		}
	})
}

func TestHonestPlainAlertEndsTheHandshakeAfterGrace(t *testing.T) {
	client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
	client.CipherSuites = []CipherSuite{ChaCha20Poly1305SHA256}
	server.CipherSuites = []CipherSuite{AES128GCMSHA256}
	l := newLink(t, 1, client, server)
	l.start()
	if !l.run(5*time.Second, func() bool { return l.server().conn.state == StateFailed && l.client().conn.state == StateFailed }) {
		l.dump()
		t.Fatal("no verdict")
	}
	var a *AlertError
	if err := l.server().events[len(l.server().events)-1].Err; !errors.As(err, &a) || a.Alert != AlertHandshakeFailure || a.Remote {
		t.Fatal(err)
	}
	if err := l.client().events[len(l.client().events)-1].Err; !errors.As(err, &a) || a.Alert != AlertHandshakeFailure || !a.Remote {
		t.Fatal(err)
	}
}

func TestTwoClients(t *testing.T) {
	client, other := testConfig(t, RoleClient, 1), testConfig(t, RoleClient, 2)
	l := newLink(t, 1, client, other)
	l.start()
	l.server().conn.Start(l.now)
	l.pump()
	if !l.run(10*time.Second, func() bool { return l.client().conn.state == StateFailed && l.server().conn.state == StateFailed }) {
		l.dump()
		t.Fatal("no verdict")
	}
	for _, p := range l.peers {
		if err := p.events[len(p.events)-1].Err; !errors.Is(err, ErrRoleConflict) {
			var a *AlertError
			if !errors.As(err, &a) || !a.Remote {
				t.Fatal(err)
			}
		}
	}
}

// TestForgedHellosBesideARealOne: forged first messages arrive before, between and after the honest one's parts.
func TestForgedHellosBesideARealOne(t *testing.T) {
	for _, cookies := range []bool{false, true} {
		forEachVersion(t, func(t *testing.T, client, server Config) {
			server.Cookies = cookies
			l := newLink(t, 1, client, server)
			forger := newLink(t, 9, testConfig(t, RoleClient, 99), testConfig(t, RoleServer, 99))
			forger.client().conn.Start(l.now)
			forged := outputs(forger.client().conn)
			count := 0
			l.forward = func(from int, _ []byte) bool {
				if from == 0 && count < 3 {
					count++
					for i, pkt := range forged {
						pkt = bytes.Clone(pkt)
						putPlainHeader(pkt, contentHandshake, VersionDTLS12, 0, uint64(5000+100*count+i), len(pkt)-plainHeaderLen)
						l.deliver(1, pkt)
					}
				}
				return true
			}
			l.mustConnect()
			l.agree()
		})
	}
}

// TestLyingFragments: fragments that overlap, contradict each other or claim to be long, in the clear.
func TestLyingFragments(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		rng := mrand.New(seeded(3))
		seq := uint64(1 << 20)
		l.forward = func(from int, _ []byte) bool {
			if l.now.Sub(epoch0) > 2*time.Second {
				return true
			}
			for range 20 {
				h := fragmentHeader{typ: messageType(rng.IntN(25)), length: rng.IntN(1 << 17), seq: uint16(rng.IntN(10))}
				if h.length > 0 {
					h.offset = rng.IntN(h.length)
				}
				body := make([]byte, rng.IntN(40))
				seq++
				l.deliver(1-from, plainRecord(contentHandshake, seq, fragment(h, body)))
				for _, p := range l.peers {
					if n := p.conn.in.reserved + p.conn.again.reserved; n > 2*maxReassembly {
						t.Fatalf("%d bytes reserved", n)
					}
				}
			}
			return true
		}
		l.start()
		if !l.run(10*time.Minute, func() bool {
			return l.bothConnected() || l.client().conn.state.terminal() || l.server().conn.state.terminal()
		}) {
			t.Fatal("neither an end nor a connection")
		}
	})
}

// TestOneByteFragments: a flight in fragments of a byte is put together within the caps.
func TestOneByteFragments(t *testing.T) {
	client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
	client.Groups = []Group{GroupX25519}
	l := newLink(t, 1, client, server)
	l.client().conn.Start(l.now)
	hello := l.client().conn.hs.helloRaw
	h := l.client().conn.flight.messages[0].header()
	body := hello[messageHeaderLen:]
	for i := len(body) - 1; i >= 0; i-- {
		h.offset = i
		l.deliver(1, plainRecord(contentHandshake, uint64(10000-i), fragment(h, body[i:i+1])))
	}
	l.pump()
	if !l.run(time.Minute, l.bothConnected) {
		t.Fatal("not connected")
	}
	l.agree()
}

func TestReplayedRecordsAreDropped(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		l.mustConnect()
		c, s := l.client().conn, l.server().conn
		front, back := c.Overhead()
		rec, err := c.Seal(make([]byte, front+1+back), front, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Open(l.now, bytes.Clone(rec)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Open(l.now, bytes.Clone(rec)); !errors.Is(err, ErrReplay) {
			t.Fatal(err)
		}
		t.Log("# a record with a flipped bit leaves the window alone")
		rec, _ = c.Seal(make([]byte, front+1+back), front, 1)
		bad := bytes.Clone(rec)
		bad[len(bad)-1] ^= 1
		if _, _, err := s.Open(l.now, bad); !errors.Is(err, ErrUnauthenticated) {
			t.Fatal(err)
		}
		if _, _, err := s.Open(l.now, bytes.Clone(rec)); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.DroppedReplay != 1 || st.DroppedUnauthenticated != 1 {
			t.Fatalf("%+v", st)
		}
	})
}

// TestPlaintextAfterTheHandshake: nothing in the clear does anything any more.
func TestPlaintextAfterTheHandshake(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		l.mustConnect()
		l.run(time.Minute, func() bool { return false })
		for i, p := range l.peers {
			seq := uint64(1 << 30)
			for _, typ := range []contentType{contentAlert, contentHandshake, contentApplicationData, contentChangeCipherSpec, contentACK, 99} {
				for _, content := range [][]byte{nil, {2, 40}, {1, 0}, []byte("application data"), fragment(fragmentHeader{typ: typeClientHello, length: 4}, make([]byte, 4))} {
					seq++
					l.deliver(i, plainRecord(typ, seq, content))
				}
			}
			if len(p.got) != 0 || p.conn.state != StateConnected || !p.conn.Deadline().IsZero() || len(outputs(p.conn)) != 0 {
				t.Fatalf("%s was impressed", p.name)
			}
		}
		l.agree()
	})
}

// TestFlood: a flood of junk costs no memory and does not keep the handshake from completing.
func TestFlood(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		rng := mrand.New(seeded(7))
		l.forward = func(from int, _ []byte) bool {
			for range 200 {
				junk := make([]byte, rng.IntN(300))
				for i := range junk {
					junk[i] = byte(rng.Uint32())
				}
				if len(junk) > 3 && rng.IntN(2) == 0 {
					junk[0], junk[1], junk[2] = byte(20+rng.IntN(10)), 0xfe, 0xfd
				}
				l.deliver(1-from, junk)
			}
			return true
		}
		l.mustConnect()
		l.agree()
	})
}

// TestEarlyApplicationData: what overtakes the end of the handshake is delivered after it, and only then.
func TestEarlyApplicationData(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		var held [][]byte
		hold := 0 // the side whose last flight is held back
		if client.MaxVersion == VersionDTLS12 {
			hold = 1
		}
		other := l.peers[1-hold]
		sender := l.peers[hold]
		l.forward = func(from int, pkt []byte) bool {
			if from == hold && sender.conn.state == StateConnected {
				held = append(held, bytes.Clone(pkt))
				return false
			}
			return true
		}
		l.start()
		l.run(100*time.Millisecond, func() bool { return sender.conn.state == StateConnected })
		if other.conn.state != StateConnecting || len(held) == 0 {
			t.Fatalf("%v, %d held", other.conn.state, len(held))
		}
		front, back := sender.conn.Overhead()
		for i := range 12 {
			text := fmt.Sprintf("early %02d", i)
			buf := make([]byte, front+len(text)+back)
			copy(buf[front:], text)
			rec, err := sender.conn.Seal(buf, front, len(text))
			if err != nil {
				t.Fatal(err)
			}
			l.deliver(1-hold, rec)
		}
		l.pump()
		if len(other.got) != 0 {
			t.Fatal("data before the end of the handshake")
		}
		l.forward = nil
		for _, pkt := range held {
			l.deliver(1-hold, pkt)
		}
		l.pump()
		if other.conn.state != StateConnected || len(other.got) != maxEarly || string(other.got[0]) != "early 00" || string(other.got[7]) != "early 07" {
			t.Fatalf("%v %q", other.conn.state, other.got)
		}
		l.agree()
	})
}

// TestLyingLengths: every length of a ClientHello, off by one, is an error and no panic.
func TestLyingLengths(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.client().conn.Start(l.now)
	body := l.client().conn.hs.helloRaw[messageHeaderLen:]
	for i := range body {
		for _, d := range []byte{1, 255, 128} {
			bad := bytes.Clone(body)
			bad[i] += d
			// It need not fail; it must not panic.
			_, _ = parseClientHello(cryptobyte.String(bad))
			_, _ = parseClientHello(cryptobyte.String(bad[:i]))
		}
	}
}

// TestRefusedCertificate: the caller's reason reaches the caller, the alert the peer.
func TestRefusedCertificate(t *testing.T) {
	refused := errors.New("fingerprint mismatch")
	for _, who := range []Role{RoleClient, RoleServer} {
		forEachVersion(t, func(t *testing.T, client, server Config) {
			cfg := &client
			if who == RoleServer {
				cfg = &server
			}
			cfg.VerifyPeer = func([][]byte) error { return refused }
			l := newLink(t, 1, client, server)
			l.start()
			l.run(time.Minute, func() bool { return l.client().conn.state.terminal() && l.server().conn.state.terminal() })
			for _, p := range l.peers {
				err := p.events[len(p.events)-1].Err
				var a *AlertError
				if !errors.As(err, &a) || a.Alert != AlertBadCertificate || errors.Is(err, refused) != (p.name == who.String()) {
					t.Fatalf("%s: %v", p.name, err)
				}
			}
		})
	}
}
