package dtls

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestHandshake13(t *testing.T) {
	for _, g := range groups {
		for _, suite := range suites {
			if suite.version != VersionDTLS13 {
				continue
			}
			t.Run(fmt.Sprintf("%v/%v", g.id, suite.id), func(t *testing.T) {
				client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
				client.CipherSuites = []CipherSuite{suite.id}
				client.Groups = []Group{g.id}
				client.SRTPProfiles = []SRTPProfile{SRTPAES128CMSHA1_80, SRTPAEADAES128GCM}
				server.SRTPProfiles = client.SRTPProfiles
				if g.id == GroupP384 {
					server.Certificate = selfSigned(t, testKeys().p384)
					client.Certificate = selfSigned(t, testKeys().rsa)
				}
				l := newLink(t, 1, client, server)
				l.mustConnect()
				s := l.agree()
				if s.Version != VersionDTLS13 || s.CipherSuite != suite.id || s.Group != g.id || s.SRTPProfile != SRTPAES128CMSHA1_80 || s.HelloRetried {
					t.Fatalf("%+v", s)
				}
				if trips := l.now.Sub(epoch0); trips > 35*time.Millisecond {
					t.Fatalf("the handshake took %v", trips)
				}
				t.Log("# the last flight is acknowledged, then no timer is left")
				l.run(time.Minute, func() bool { return false })
				for _, p := range l.peers {
					if d := p.conn.Deadline(); !d.IsZero() || !p.conn.flight.empty() {
						t.Fatalf("%s: timer at %v", p.name, d.Sub(epoch0))
					}
					if p.conn.stats.Retransmissions != 0 {
						t.Fatal("retransmissions on a clean link")
					}
				}
			})
		}
	}
}

func TestHelloRetryRequest(t *testing.T) {
	for _, cookies := range []bool{false, true} {
		client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
		server.Groups = []Group{GroupP256}
		server.Cookies = cookies
		l := newLink(t, 1, client, server)
		l.mustConnect()
		if s := l.agree(); s.Group != GroupP256 || !s.HelloRetried || s.Version != VersionDTLS13 {
			t.Fatalf("%+v", s)
		}
	}
	client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
	server.Cookies = true
	l := newLink(t, 1, client, server)
	l.mustConnect()
	if s := l.agree(); s.Group != GroupX25519MLKEM768 || !s.HelloRetried {
		t.Fatalf("%+v", s)
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct{ client, server, want Version }{
		{VersionDTLS13, VersionDTLS12, VersionDTLS12},
		{VersionDTLS12, VersionDTLS13, VersionDTLS12},
		{VersionDTLS13, VersionDTLS13, VersionDTLS13},
	} {
		client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
		client.MaxVersion, server.MaxVersion = c.client, c.server
		l := newLink(t, 1, client, server)
		l.mustConnect()
		if s := l.agree(); s.Version != c.want {
			t.Fatalf("%v with %v: %v", c.client, c.server, s.Version)
		}
	}
}

func TestClientHelloTakesTwoDatagrams(t *testing.T) {
	client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
	for _, swap := range []bool{false, true} {
		l := newLink(t, 1, client, server)
		l.client().conn.Start(l.now)
		var hello [][]byte
		for {
			pkt, ok := l.client().conn.Next(nil)
			if !ok {
				break
			}
			hello = append(hello, pkt)
		}
		if len(hello) != 2 || len(hello[0]) > DefaultMTU {
			t.Fatalf("%d datagrams", len(hello))
		}
		if swap {
			slices.Reverse(hello)
		}
		for _, pkt := range hello {
			l.deliver(1, pkt)
		}
		l.pump()
		if !l.run(time.Minute, l.bothConnected) {
			t.Fatal("not connected")
		}
		l.agree()
	}
}

func TestHandshake13Lossy(t *testing.T) {
	for seed := range uint64(60) {
		client, server := testConfig(t, RoleClient, seed), testConfig(t, RoleServer, seed)
		client.MTU, server.MTU = 300, 256
		server.Cookies = seed%2 == 0
		if seed%3 == 0 {
			server.Groups = []Group{GroupP384}
		}
		l := newLink(t, seed, client, server)
		l.loss, l.dup, l.jitter = 0.3, 0.2, 50*time.Millisecond
		l.mustConnect()
		l.loss = 0
		l.agree()
	}
}

func TestKeyUpdate(t *testing.T) {
	l := newLink(t, 1, testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1))
	l.mustConnect()
	l.run(time.Minute, func() bool { return false })
	for i := range 6 {
		from := i % 2
		t.Log("# one side asks for new keys in both directions")
		if err := l.peers[from].conn.UpdateKeys(l.now, true); err != nil {
			t.Fatal(err)
		}
		l.pump()
		l.agree()
		l.run(time.Minute, func() bool { return false })
		l.agree()
		want := uint64(epochApplication + i + 1)
		if a, b := l.client().conn.write.epoch, l.server().conn.write.epoch; a != want || b != want {
			t.Fatalf("epochs %d, %d, want %d", a, b, want)
		}
	}
}
