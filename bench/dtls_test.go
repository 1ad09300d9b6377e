package main

import (
	"bytes"
	"sync"
	"testing"
)

// The versions are the ones that the cases speak of: a protected record of DTLS 1.3 has the unified header, 001xxxxx
// (RFC 9147 section 4), one of DTLS 1.2 a content type. pion's connections have no other version than 1.2. In DTLS 1.2
// both libraries exchange keys with X25519: a ServerKeyExchange in the clear says named_curve, 29, 32 bytes (RFC 8422
// section 5.4).
func TestDTLSPairsSpeakTheVersionOfTheirCase(t *testing.T) {
	client, server, err := newIdentities()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		connect func(seen func([]byte)) connectDTLS
		unified bool
	}{
		{"parley/1.2", func(seen func([]byte)) connectDTLS { return connectParley(dtls12, seen) }, false},
		{"parley/1.3", func(seen func([]byte)) connectDTLS { return connectParley(dtls13, seen) }, true},
		{"parley/1.3/mlkem", func(seen func([]byte)) connectDTLS { return connectParley(dtls13Hybrid, seen) }, true},
		{"pion", connectPion, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			unified, x25519, packets := false, false, 0
			p, err := c.connect(func(packet []byte) {
				mu.Lock()
				defer mu.Unlock()
				packets++
				unified = unified || packet[0]>>5 == 1
				x25519 = x25519 || bytes.Contains(packet, []byte{3, 0, 29, 32})
			})(client, server)
			if err != nil {
				t.Fatal(err)
			}
			p.close()
			mu.Lock()
			defer mu.Unlock()
			if packets == 0 || unified != c.unified {
				t.Errorf("unified headers: %v in %d packets, want %v", unified, packets, c.unified)
			}
			if !c.unified && !x25519 {
				t.Error("another key exchange than X25519")
			}
		})
	}
}

func TestACertificateOfAnotherIsRefused(t *testing.T) {
	client, server, err := newIdentities()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.verify([][]byte{client.der}); err != nil {
		t.Error(err)
	}
	for _, chain := range [][][]byte{nil, {server.der}} {
		if client.verify(chain) == nil {
			t.Errorf("a chain of %d accepted", len(chain))
		}
	}
}

func TestRecordsComeBack(t *testing.T) {
	for name, open := range map[string]func() (sealOpen, error){
		"parley/1.2": parleyRecords(dtls12), "parley/1.3": parleyRecords(dtls13), "pion": pionRecords, "bare": bareAEAD,
	} {
		t.Run(name, func(t *testing.T) {
			sealOpen, err := open()
			if err != nil {
				t.Fatal(err)
			}
			for range 1000 {
				if err := sealOpen(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
