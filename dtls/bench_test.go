package dtls

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"runtime"
	"testing"
)

// shake runs a handshake without a network between.
func shake(b testing.TB, client, server Config) (x, y *Conn) {
	b.Helper()
	x, err := New(client)
	if err != nil {
		b.Fatal(err)
	}
	y, err = New(server)
	if err != nil {
		b.Fatal(err)
	}
	now := epoch0
	x.Start(now)
	buf := make([]byte, 1500)
	for moved := true; moved; {
		moved = false
		for _, pair := range [][2]*Conn{{x, y}, {y, x}} {
			for {
				pkt, ok := pair[0].Next(buf)
				if !ok {
					break
				}
				moved = true
				for len(pkt) > 0 {
					_, pkt, _ = pair[1].Open(now, pkt)
				}
			}
		}
	}
	if x.state != StateConnected || y.state != StateConnected {
		b.Fatalf("%v %v", x.state, y.state)
	}
	return x, y
}

func BenchmarkHandshake(b *testing.B) {
	for _, c := range []struct {
		name    string
		version Version
		group   Group
	}{
		{"1.2/P256", VersionDTLS12, GroupP256},
		{"1.2/X25519", VersionDTLS12, GroupX25519},
		{"1.3/X25519", VersionDTLS13, GroupX25519},
		{"1.3/X25519MLKEM768", VersionDTLS13, GroupX25519MLKEM768},
	} {
		b.Run(c.name, func(b *testing.B) {
			client, server := testConfig(b, RoleClient, 1), testConfig(b, RoleServer, 1)
			for _, cfg := range []*Config{&client, &server} {
				cfg.MaxVersion, cfg.Groups, cfg.Rand = c.version, []Group{c.group}, rand.Reader
			}
			b.ReportAllocs()
			for b.Loop() {
				shake(b, client, server)
			}
		})
	}
}

// BenchmarkHandshakePion is the same with pion on both sides: P-256 certificates and key exchange, AES-128-GCM.
func BenchmarkHandshakePion(b *testing.B) {
	cert := selfSigned(b, testKeys().p256)
	b.ReportAllocs()
	for b.Loop() {
		x, y := newPipes()
		done := make(chan error, 1)
		server, err := pionConn(x, RoleClient, cert)
		if err != nil {
			b.Fatal(err)
		}
		go func() { done <- server.Handshake() }()
		client, err := pionConn(y, RoleServer, cert)
		if err != nil {
			b.Fatal(err)
		}
		if err := client.Handshake(); err != nil {
			b.Fatal(err)
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		_ = client.Close()
		_ = server.Close()
	}
}

const benchPayload = 1200

func BenchmarkRecord(b *testing.B) {
	for _, v := range []Version{VersionDTLS12, VersionDTLS13} {
		for _, id := range []CipherSuite{AES128GCMSHA256, ChaCha20Poly1305SHA256} {
			b.Run(fmt.Sprintf("%v/%v", v, id), func(b *testing.B) {
				client, server := recordPair(b, v, id)
				front, back := client.Overhead()
				buf := make([]byte, front+benchPayload+back)
				b.SetBytes(benchPayload)
				b.ReportAllocs()
				for b.Loop() {
					client.write.seq %= keyUpdateAfter - 1 // one key for the whole run
					if client.write.seq == 0 {
						server.reads[len(server.reads)-1].replay = replayWindow{}
					}
					rec, err := client.Seal(buf, front, benchPayload)
					if err != nil {
						b.Fatal(err)
					}
					if app, _, err := server.Open(epoch0, rec); err != nil || len(app) != benchPayload {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkAEAD is what a record cannot cost less than.
func BenchmarkAEAD(b *testing.B) {
	for _, id := range []CipherSuite{AES128GCMSHA256, ChaCha20Poly1305SHA256} {
		b.Run(id.String(), func(b *testing.B) {
			s := suiteByID(id)
			aead, err := s.aead(make([]byte, s.keyLen))
			if err != nil {
				b.Fatal(err)
			}
			nonce, aad := make([]byte, 12), make([]byte, 13)
			buf := make([]byte, benchPayload, benchPayload+tagLen)
			b.SetBytes(benchPayload)
			b.ReportAllocs()
			for b.Loop() {
				ct := aead.Seal(buf[:0], nonce, buf, aad)
				if _, err := aead.Open(ct[:0], nonce, ct, aad); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// recordPair connects two sides with a suite of the version.
func recordPair(tb testing.TB, v Version, id CipherSuite) (client, server *Conn) {
	tb.Helper()
	a, b := testConfig(tb, RoleClient, 1), testConfig(tb, RoleServer, 1)
	if v == VersionDTLS12 {
		id = map[CipherSuite]CipherSuite{
			AES128GCMSHA256: ECDHEECDSAAES128GCMSHA256, AES256GCMSHA384: ECDHEECDSAAES256GCMSHA384,
			ChaCha20Poly1305SHA256: ECDHEECDSAChaCha20Poly1305,
		}[id]
	}
	a.MaxVersion, a.CipherSuites = v, []CipherSuite{id}
	return shake(tb, a, b)
}

func TestRecordsAllocateNothing(t *testing.T) {
	for _, v := range []Version{VersionDTLS12, VersionDTLS13} {
		for _, id := range []CipherSuite{AES128GCMSHA256, AES256GCMSHA384, ChaCha20Poly1305SHA256} {
			client, server := recordPair(t, v, id)
			front, back := client.Overhead()
			buf := make([]byte, front+benchPayload+back)
			want := bytes.Repeat([]byte{7}, benchPayload)
			allocs := testing.AllocsPerRun(100, func() {
				copy(buf[front:], want)
				rec, err := client.Seal(buf, front, benchPayload)
				if err != nil {
					t.Fatal(err)
				}
				app, rest, err := server.Open(epoch0, rec)
				if err != nil || len(rest) != 0 || !bytes.Equal(app, want) {
					t.Fatal(err)
				}
			})
			if allocs != 0 && !raceEnabled {
				t.Errorf("%v %v: %v allocations", v, id, allocs)
			}
		}
	}
}

// BenchmarkIdle tells what a connection holds on to once it stands.
func BenchmarkIdle(b *testing.B) {
	for _, v := range []Version{VersionDTLS12, VersionDTLS13} {
		b.Run(v.String(), func(b *testing.B) {
			const pairs = 200
			for b.Loop() {
				keep := make([]*Conn, 0, 2*pairs)
				client, server := testConfig(b, RoleClient, 1), testConfig(b, RoleServer, 1)
				client.MaxVersion = v
				client.Rand, server.Rand = rand.Reader, rand.Reader
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				for range pairs {
					x, y := shake(b, client, server)
					keep = append(keep, x, y)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(2*pairs), "B/conn")
				runtime.KeepAlive(keep)
			}
		})
	}
}
