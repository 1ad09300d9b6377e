package dtls

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func states(p *peer) []State {
	var out []State
	for _, e := range p.events {
		out = append(out, e.State)
	}
	return out
}

func TestCloseNotify(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		l.mustConnect()
		t.Log("# one side closes; the other hears of it and answers")
		l.client().conn.Close(l.now)
		l.client().conn.Close(l.now)
		l.pump()
		l.run(time.Second, func() bool { return false })
		want := []State{StateConnecting, StateConnected, StateClosed}
		for _, p := range l.peers {
			if !slices.Equal(states(p), want) || p.events[2].Err != nil {
				t.Fatalf("%s: %v", p.name, p.events)
			}
			if !p.conn.Deadline().IsZero() {
				t.Fatal("a timer of a closed connection")
			}
			if _, err := p.conn.Seal(make([]byte, 100), 50, 1); !errors.Is(err, ErrClosed) {
				t.Fatal(err)
			}
			if _, _, err := p.conn.Open(l.now, make([]byte, 20)); !errors.Is(err, ErrClosed) {
				t.Fatal(err)
			}
			if _, err := p.conn.ExportKeyingMaterial("x", nil, 1); !errors.Is(err, ErrClosed) {
				t.Fatal(err)
			}
		}
	})
}

func TestCloseDuringTheHandshake(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.start()
	l.client().conn.Close(l.now)
	l.pump()
	l.run(10*time.Second, func() bool { return false })
	if !slices.Equal(states(l.client()), []State{StateConnecting, StateClosed}) {
		t.Fatal(l.client().events)
	}
	var a *AlertError
	if s := l.server(); s.conn.state != StateFailed || !errors.As(s.events[len(s.events)-1].Err, &a) || !a.Remote {
		t.Fatal(l.server().events)
	}
}

// TestTimerBacksOff: a client that hears nothing sends its flight at doubling intervals, up to a minute, and gives up after
// thirteen (RFC 9147 §5.8.2).
func TestTimerBacksOff(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	var sent []time.Duration
	l.forward = func(int, []byte) bool {
		sent = append(sent, l.now.Sub(epoch0))
		return false
	}
	l.start()
	l.run(time.Hour, func() bool { return false })
	var want []time.Duration
	at, step := time.Duration(0), DefaultInitialTimeout
	for range 13 {
		want = append(want, at, at) // two datagrams
		at += step
		step = min(2*step, time.Minute)
	}
	if !slices.Equal(sent, want) {
		t.Fatalf("%v, want %v", sent, want)
	}
	c := l.client()
	if last := c.events[len(c.events)-1]; last.State != StateFailed || !errors.Is(last.Err, ErrTimeout) || l.now.Sub(epoch0) != at {
		t.Fatalf("%v after %v, want %v", last, l.now.Sub(epoch0), at)
	}
}

func TestRTTSetsTheTimer(t *testing.T) {
	for _, c := range []struct{ rtt, want time.Duration }{
		{time.Millisecond, minRTTTimeout},
		{100 * time.Millisecond, 200 * time.Millisecond},
		{time.Minute, maxRTTTimeout},
		{0, DefaultInitialTimeout},
		{-1, DefaultInitialTimeout},
	} {
		l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
		l.start()
		t.Log("# a running timer follows the new estimate")
		l.client().conn.SetRTT(c.rtt)
		if d := l.client().conn.Deadline().Sub(epoch0); d != c.want {
			t.Fatalf("RTT %v: %v, want %v", c.rtt, d, c.want)
		}
	}
}

func TestSpuriousAdvanceIsNothing(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.start()
	for range 100 {
		l.client().conn.Advance(l.now)
		l.server().conn.Advance(l.now)
	}
	if len(outputs(l.client().conn)) != 0 || l.client().conn.Stats().Retransmissions != 0 {
		t.Fatal("a timer ran early")
	}
}

func TestMTUChangesInTheMiddle(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.loss = 1
	limit := DefaultMTU
	l.forward = func(_ int, pkt []byte) bool {
		if len(pkt) > limit {
			t.Fatalf("%d bytes, MTU %d", len(pkt), limit)
		}
		return true
	}
	l.start()
	for _, limit = range []int{900, 300, 1400, MinMTU} {
		l.client().conn.SetMTU(limit)
		l.run(2*time.Second, func() bool { return false })
	}
	l.server().conn.SetMTU(1) // counts as MinMTU
	l.loss = 0
	if !l.run(10*time.Minute, l.bothConnected) {
		t.Fatal("not connected")
	}
	l.agree()
}

func TestKeyLog(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		var a, b bytes.Buffer
		client.KeyLog, server.KeyLog = &a, &b
		l := newLink(t, 1, client, server)
		l.mustConnect()
		labels := "CLIENT_RANDOM"
		if client.MaxVersion == VersionDTLS13 {
			labels = "CLIENT_HANDSHAKE_TRAFFIC_SECRET SERVER_HANDSHAKE_TRAFFIC_SECRET CLIENT_TRAFFIC_SECRET_0 SERVER_TRAFFIC_SECRET_0 EXPORTER_SECRET"
		}
		var got []string
		for line := range strings.Lines(a.String()) {
			var label, random, secret string
			if _, err := fmt.Sscanf(line, "%s %s %s\n", &label, &random, &secret); err != nil || len(random) != 64 || len(secret) < 64 {
				t.Fatalf("%q: %v", line, err)
			}
			got = append(got, label)
		}
		if strings.Join(got, " ") != labels || a.String() != b.String() {
			t.Fatalf("%q and %q", a.String(), b.String())
		}
	})
}

func TestALPN(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		client.Protocols, server.Protocols = []string{"x", "c-webrtc", "webrtc"}, []string{"webrtc", "c-webrtc"}
		l := newLink(t, 1, client, server)
		l.mustConnect()
		if s := l.agree(); s.Protocol != "webrtc" {
			t.Fatalf("%q", s.Protocol)
		}
		server.Protocols = nil
		l = newLink(t, 1, client, server)
		l.mustConnect()
		if s := l.agree(); s.Protocol != "" {
			t.Fatalf("%q", s.Protocol)
		}
	})
}

func TestSRTPIsAgreedOnOnlyIfBothWantIt(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		for _, c := range []struct{ client, server []SRTPProfile }{
			{nil, []SRTPProfile{SRTPAEADAES128GCM}},
			{[]SRTPProfile{SRTPAEADAES128GCM}, nil},
			{[]SRTPProfile{SRTPAEADAES128GCM}, []SRTPProfile{SRTPAES128CMSHA1_80}},
		} {
			client.SRTPProfiles, server.SRTPProfiles = c.client, c.server
			l := newLink(t, 1, client, server)
			l.mustConnect()
			if s := l.agree(); s.SRTPProfile != 0 {
				t.Fatal(s.SRTPProfile)
			}
		}
	})
}

func TestClientWithoutCertificate(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		client.Certificate = Certificate{}
		l := newLink(t, 1, client, server)
		l.start()
		l.run(time.Minute, func() bool { return l.server().conn.state == StateFailed && l.client().conn.state == StateFailed })
		if l.server().conn.state != StateFailed || l.client().conn.state != StateFailed {
			t.Fatalf("%v %v", l.client().events, l.server().events)
		}
		for _, auth := range []ClientAuth{RequestCertificate, NoCertificate} {
			server.ClientAuth = auth
			l = newLink(t, 1, client, server)
			l.mustConnect()
			l.agree()
			if len(l.server().conn.ConnectionState().PeerCertificates) != 0 {
				t.Fatal("a certificate from nowhere")
			}
		}
	})
}

// TestPeersWithOldHabits: RSA certificates, P-256 alone, one suite.
func TestPeersWithOldHabits(t *testing.T) {
	client, server := testConfig(t, RoleClient, 1), dtls12(testConfig(t, RoleServer, 1))
	client.Certificate, server.Certificate = selfSigned(t, testKeys().rsa), selfSigned(t, testKeys().rsa)
	server.Groups = []Group{GroupP256}
	server.CipherSuites = []CipherSuite{ECDHERSAAES128GCMSHA256}
	l := newLink(t, 1, client, server)
	l.mustConnect()
	s := l.agree()
	if s.Group != GroupP256 || s.CipherSuite != ECDHERSAAES128GCMSHA256 || s.CipherSuite.String() != "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" {
		t.Fatalf("%+v", s)
	}
	if !bytes.Equal(s.PeerCertificates[0], server.Certificate.Chain[0]) {
		t.Fatal("somebody else's certificate")
	}
}

func TestSealWantsRoom(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		if _, err := l.client().conn.Seal(make([]byte, 100), 50, 1); !errors.Is(err, ErrNotConnected) {
			t.Fatal(err)
		}
		if f, b := l.client().conn.Overhead(); f != 0 || b != 0 {
			t.Fatal(f, b)
		}
		l.mustConnect()
		front, back := l.client().conn.Overhead()
		for _, c := range []struct{ size, head, n int }{
			{front + 5 + back, front - 1, 5},
			{front + 4 + back, front, 5},
			{front, front, 0},
			{100, 200, 1},
			{100, 50, -1},
			{front + maxPlaintext + 1 + back, front, maxPlaintext + 1},
		} {
			if _, err := l.client().conn.Seal(make([]byte, c.size), c.head, c.n); !errors.Is(err, ErrNoRoom) {
				t.Fatalf("%+v: %v", c, err)
			}
		}
		if _, err := l.client().conn.Seal(make([]byte, 0, front+5+back)[:front], front, 5); err != nil {
			t.Fatal("capacity counts:", err)
		}
	})
}

// TestWornKeysAreReplaced: long before the limit the writer changes its keys; at the limit it stops (RFC 9147 §4.5.3).
func TestWornKeysAreReplaced(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.mustConnect()
	l.run(time.Minute, func() bool { return false })
	c := l.client().conn
	// Numbers go over the wire modulo 2^16; the receiver has followed them.
	c.write.seq = keyUpdateAfter
	l.server().conn.reads[len(l.server().conn.reads)-1].replay.mark(keyUpdateAfter - 1)
	l.agree()
	l.run(time.Minute, func() bool { return false })
	if c.write.epoch != epochApplication+1 || l.server().conn.Stats().KeyUpdates != 1 {
		t.Fatalf("epoch %d", c.write.epoch)
	}
	l.agree()
	c.write.seq = recordLimit
	front, back := c.Overhead()
	if _, err := c.Seal(make([]byte, front+1+back), front, 1); !errors.Is(err, ErrKeyExhausted) {
		t.Fatal(err)
	}
}

// TestLostFinalFlight: the side that has sent the last flight sends it again for a peer that has not heard it.
func TestLostFinalFlight(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		lost := 0
		l.forward = func(from int, _ []byte) bool {
			if l.peers[from].conn.state == StateConnected && lost < 3 {
				lost++
				return false
			}
			return true
		}
		l.mustConnect()
		if lost != 3 {
			t.Fatalf("%d lost", lost)
		}
		l.agree()
	})
}

func TestNonceIsTheRecordNumber(t *testing.T) {
	client, server := recordPair(t, VersionDTLS12, AES128GCMSHA256)
	front, back := client.Overhead()
	for range 5 {
		rec, err := client.Seal(make([]byte, front+1+back), front, 1)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(rec[3:11], rec[13:21]) {
			t.Fatalf("record number %x, nonce %x", rec[3:11], rec[13:21])
		}
	}
	_ = server
}

// TestPRF is the vector that the TLS working group's list agreed on for P_SHA256.
func TestPRF(t *testing.T) {
	secret, _ := hex.DecodeString("9bbe436ba940f017b17652849a71db35")
	seed, _ := hex.DecodeString("a0ba9f936cda311827a6f796ffd5198c")
	want := "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af"
	if got := hex.EncodeToString(prf(crypto.SHA256, secret, "test label", seed, 48)); got != want {
		t.Fatal(got)
	}
}

func TestExporterLabels(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		l := newLink(t, 1, client, server)
		if _, err := l.client().conn.ExportKeyingMaterial("x", nil, 1); !errors.Is(err, ErrNotConnected) {
			t.Fatal(err)
		}
		l.mustConnect()
		c := l.client().conn
		a, _ := c.ExportKeyingMaterial("label", nil, 32)
		b, _ := c.ExportKeyingMaterial("label", []byte{}, 32)
		// RFC 5705 §4 tells no context from an empty one, RFC 8446 §7.5 does not.
		if bytes.Equal(a, b) != (client.MaxVersion == VersionDTLS13) {
			t.Fatalf("%x %x", a, b)
		}
		if _, err := c.ExportKeyingMaterial("x", nil, -1); err == nil {
			t.Fatal("a negative length")
		}
		if _, err := c.ExportKeyingMaterial(labelMaster, nil, 48); (err != nil) != (client.MaxVersion == VersionDTLS12) {
			t.Fatal(err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"role":       func(c *Config) { c.Role = 0 },
		"random":     func(c *Config) { c.Rand = nil },
		"MTU":        func(c *Config) { c.MTU = 255 },
		"versions":   func(c *Config) { c.MinVersion, c.MaxVersion = VersionDTLS13, VersionDTLS12 },
		"version":    func(c *Config) { c.MaxVersion = 0xfeff },
		"suite":      func(c *Config) { c.CipherSuites = []CipherSuite{1} },
		"group":      func(c *Config) { c.Groups = []Group{1} },
		"groups":     func(c *Config) { c.Groups = []Group{} },
		"share":      func(c *Config) { c.Groups, c.KeyShares = []Group{GroupP256}, []Group{GroupX25519} },
		"key":        func(c *Config) { c.Certificate.PrivateKey = nil },
		"chain":      func(c *Config) { c.Certificate.Chain = nil },
		"timeout":    func(c *Config) { c.InitialTimeout = -1 },
		"protocol":   func(c *Config) { c.Protocols = []string{""} },
		"randomness": func(c *Config) { c.Rand = bytes.NewReader(nil) },
	} {
		cfg := testConfig(t, RoleServer, 1)
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]fmt.Stringer{
		"client": RoleClient, "server": RoleServer, "connected": StateConnected, "new": StateNew, "connecting": StateConnecting,
		"closed": StateClosed, "failed": StateFailed, "DTLS 1.3": VersionDTLS13, "DTLS 1.2": VersionDTLS12,
		"X25519MLKEM768": GroupX25519MLKEM768, "x25519": GroupX25519, "secp256r1": GroupP256, "secp384r1": GroupP384,
		"SRTP_AEAD_AES_128_GCM": SRTPAEADAES128GCM, "SRTP_AES128_CM_HMAC_SHA1_80": SRTPAES128CMSHA1_80,
		"handshake_failure": AlertHandshakeFailure, "alert 99": Alert(99), "Group(1)": Group(1), "Role(0)": Role(0),
		"State(9)": State(9), "Version(0x0001)": Version(1), "SRTPProfile(0x0000)": SRTPProfile(0), "CipherSuite(0x0001)": CipherSuite(1),
	} {
		if got.String() != want {
			t.Errorf("%q, want %q", got.String(), want)
		}
	}
}

func TestReplayWindow(t *testing.T) {
	var w replayWindow
	seen := map[uint64]bool{}
	rng := newLink(t, 5, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)).rng
	high := uint64(0)
	for range 20000 {
		n := high + uint64(rng.IntN(600))
		if d := uint64(rng.IntN(400)); d < n {
			n -= d
		}
		want := !seen[n] && (n+replaySpan >= high)
		if high > 0 && n+replaySpan < high {
			want = false
		}
		if got := w.fresh(n); got != want {
			t.Fatalf("number %d of %d: fresh %v, want %v", n, high, got, want)
		}
		if want {
			w.mark(n)
			seen[n] = true
			high = max(high, n+1)
		}
	}
}

func TestSequenceExpansion(t *testing.T) {
	for _, c := range []struct {
		seq, next uint64
		bits      int
		want      uint64
	}{
		{0, 0, 16, 0},
		{5, 3, 16, 5},
		{0xffff, 0x10000, 16, 0xffff},
		{0, 0xffff, 16, 0x10000},
		{1, 0x1fffe, 16, 0x20001},
		{0xfffe, 0x20001, 16, 0x1fffe},
		{0xff, 0, 8, 0xff},
		{0x80, 0x1ff, 8, 0x180},
		{0x10, 0x1ff, 8, 0x210},
	} {
		if got := expandSequence(c.seq, c.next, c.bits); got != c.want {
			t.Errorf("%#x after %#x: %#x, want %#x", c.seq, c.next, got, c.want)
		}
	}
}
