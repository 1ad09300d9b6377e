package sctp

import (
	"encoding/binary"
	"testing"
	"time"
)

// TestRFC9653ZeroChecksum watches the checksums of two associations.
func TestRFC9653ZeroChecksum(t *testing.T) {
	for _, tc := range []struct {
		name   string
		a, b   bool
		aZeros bool // a sends packets without checksum
	}{
		{"both", true, true, true},
		{"only the sender", true, false, false},
		{"only the receiver", false, true, false},
		{"nobody", false, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 1, Config{EnableZeroChecksum: tc.a}, Config{EnableZeroChecksum: tc.b})
			zeros := 0
			w.a.out.drop = func(pkt []byte) bool {
				first := chunkType(pkt[headerSize])
				zero := binary.LittleEndian.Uint32(pkt[8:]) == 0
				if zero {
					zeros++
				}
				// Section 5.2: INIT and COOKIE ECHO always carry a true one.
				if zero && (first == typeInit || first == typeCookieEcho) {
					t.Errorf("chunk type %d without checksum", first)
				}
				return false
			}
			w.connect()
			w.a.mustSend(t, w.now, 1, payload(10_000, 1), SendOptions{})
			w.runUntil(time.Second, "message", func() bool { return len(w.b.got) == 1 })
			if (zeros > 0) != tc.aZeros {
				t.Errorf("%d packets without checksum", zeros)
			}
		})
	}
}

// TestRFC9653OnlyWhenOffered: who did not say that zero is acceptable does not take it, and nobody takes it on INIT.
func TestRFC9653OnlyWhenOffered(t *testing.T) {
	for _, offered := range []bool{false, true} {
		c := plain()
		c.EnableZeroChecksum = offered
		d := runDrill(t, c, false, ``)
		pkt := append(appendHeader(nil, 5000, 5000, d.a.localTag), appendHeartbeat(nil, 7)...)
		if err := d.a.HandlePacket(d.now, pkt); (err == nil) != offered {
			t.Errorf("offered %v: %v", offered, err)
		}
		init := append(appendHeader(nil, 5000, 5000, 0), d.init(typeInit)...)
		if err := d.a.HandlePacket(d.now, init); err == nil {
			t.Error("an INIT without checksum was taken")
		}
		pkt = append(appendHeader(nil, 5000, 5000, d.a.localTag), appendHeartbeat(nil, 7)...)
		putChecksum(pkt)
		pkt[8] ^= 1
		if err := d.a.HandlePacket(d.now, pkt); err == nil {
			t.Error("a wrong checksum was taken")
		}
	}
}
