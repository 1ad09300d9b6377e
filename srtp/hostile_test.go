package srtp

import (
	"bytes"
	"errors"
	"math/rand"
	"testing"
)

func TestNoStateBeforeTheTagVerifies(t *testing.T) {
	forProfiles(t, func(t *testing.T, p Profile) {
		a, b := newPair(t, p)
		for ssrc := range uint32(3000) {
			forged := append(rtpPacket(ssrc, 1, 50), make([]byte, 16)...)
			if _, err := b.UnprotectRTP(nil, forged); !errors.Is(err, ErrAuthentication) {
				t.Fatal(err)
			}
			rtcp, err := a.ProtectRTCP(nil, rtcpPacket(ssrc, 3))
			if err != nil {
				t.Fatal(err)
			}
			rtcp[10] ^= 1
			if _, err := b.UnprotectRTCP(nil, rtcp); !errors.Is(err, ErrAuthentication) {
				t.Fatal(err)
			}
		}
		if len(b.received.list)+len(b.receivedRTCP.list)+len(b.received.bySSRC) != 0 {
			t.Fatal("forged packets left state behind")
		}
		if n := b.Stats().AuthenticationFailed; n != 6000 {
			t.Fatalf("%d counted", n)
		}

		t.Log("# a forged packet far ahead does not move the window of a known source")
		for _, seq := range []uint16{10, 11} {
			wire, _ := a.ProtectRTP(nil, rtpPacket(1, seq, 10))
			if _, err := b.UnprotectRTP(nil, bytes.Clone(wire)); err != nil {
				t.Fatal(err)
			}
			forged := append(rtpPacket(1, seq+20000, 10), make([]byte, 16)...)
			if _, err := b.UnprotectRTP(nil, forged); !errors.Is(err, ErrAuthentication) {
				t.Fatal(err)
			}
		}
	})
}

func TestRemoteSourcesAreCapped(t *testing.T) {
	p := ProfileAEADAES128GCM
	a := newSide(t, p, true)
	local, remote, _ := SplitKeyingMaterial(p, testMaterial(p), false)
	b, err := New(Config{Profile: p, Local: local, Remote: remote, MaxSources: 8})
	if err != nil {
		t.Fatal(err)
	}
	send := func(ssrc uint32, seq uint16) []byte {
		t.Helper()
		wire, err := a.ProtectRTP(nil, rtpPacket(ssrc, seq, 10))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.UnprotectRTP(nil, bytes.Clone(wire)); err != nil {
			t.Fatal(err)
		}
		return wire
	}
	t.Log("# one busy source, a thousand that come and go")
	var last []byte
	for i := range 1000 {
		send(uint32(1000+i), 1)
		last = send(7, uint16(i))
	}
	if len(b.received.list) != 8 || len(b.received.bySSRC) != 8 {
		t.Fatalf("%d sources", len(b.received.list))
	}
	if n := b.Stats().Evicted; n != 1001-8 {
		t.Fatalf("%d evicted", n)
	}
	if _, err := b.UnprotectRTP(nil, last); !errors.Is(err, ErrReplayed) {
		t.Fatalf("the busy source was given up: %v", err)
	}
}

func TestLocalSourcesAreCapped(t *testing.T) {
	p := ProfileAEADAES128GCM
	local, remote, _ := SplitKeyingMaterial(p, testMaterial(p), true)
	a, err := New(Config{Profile: p, Local: local, Remote: remote, MaxLocalSources: 2})
	if err != nil {
		t.Fatal(err)
	}
	for ssrc := range uint32(2) {
		if _, err := a.ProtectRTP(nil, rtpPacket(ssrc, 1, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.ProtectRTP(nil, rtpPacket(2, 1, 10)); !errors.Is(err, ErrTooManySources) {
		t.Fatal(err)
	}
	if _, err := a.ProtectRTCP(nil, rtcpPacket(3, 1)); !errors.Is(err, ErrTooManySources) {
		t.Fatal(err)
	}
	if a.Stats().SendRefused != 2 {
		t.Fatalf("%+v", a.Stats())
	}
}

func TestNonceIsNeverReused(t *testing.T) {
	for _, p := range []Profile{ProfileAEADAES128GCM, ProfileAEADAES256GCM} {
		a := newSide(t, p, true)
		for _, seq := range []uint16{5, 4, 6} {
			if _, err := a.ProtectRTP(nil, rtpPacket(1, seq, 10)); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 100)
		if _, err := a.ProtectRTP(buf[:0], rtpPacket(1, 4, 11)); !errors.Is(err, ErrReused) {
			t.Fatalf("%v: %v", p, err)
		}
		if !bytes.Equal(buf, make([]byte, 100)) {
			t.Fatal("the second ciphertext under one nonce was left in the buffer")
		}
		if _, err := a.ProtectRTP(nil, rtpPacket(1, 6+1024, 10)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.ProtectRTP(nil, rtpPacket(1, 6, 10)); !errors.Is(err, ErrTooOld) {
			t.Fatalf("%v: %v", p, err)
		}
	}
}

func TestRetransmissionGivesTheSameBytes(t *testing.T) {
	forProfiles(t, func(t *testing.T, p Profile) {
		a := newSide(t, p, true)
		var first [][]byte
		for seq := range uint16(1000) {
			wire, err := a.ProtectRTP(nil, rtpPacket(1, seq, 10))
			if err != nil {
				t.Fatal(err)
			}
			first = append(first, wire)
		}
		for seq := range uint16(1000) {
			wire, err := a.ProtectRTP(nil, rtpPacket(1, seq, 10))
			if err != nil || !bytes.Equal(wire, first[seq]) {
				t.Fatal(err)
			}
		}
	})
}

func TestRTCPWithoutEBitRefused(t *testing.T) {
	forProfiles(t, func(t *testing.T, p Profile) {
		a, b := newPair(t, p)
		wire, err := a.ProtectRTCP(nil, rtcpPacket(1, 5))
		if err != nil {
			t.Fatal(err)
		}
		at := len(wire) - 4
		if p == ProfileAES128CMHMACSHA1_80 {
			at -= cmTagSize
		}
		wire[at] &^= 0x80
		if _, err := b.UnprotectRTCP(nil, wire); !errors.Is(err, ErrNotEncrypted) {
			t.Fatal(err)
		}
		if b.Stats().NotEncrypted != 1 {
			t.Fatal("not counted")
		}
	})
}

func TestEveryBitIsAuthenticated(t *testing.T) {
	forProfiles(t, func(t *testing.T, p Profile) {
		a, b := newPair(t, p)
		rtp, _ := a.ProtectRTP(nil, rtpPacket(1, 5, 7))
		rtcp, _ := a.ProtectRTCP(nil, rtcpPacket(1, 2))
		for bit := range 8 * len(rtp) {
			bad := bytes.Clone(rtp)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := b.UnprotectRTP(nil, bad); err == nil {
				t.Fatalf("RTP bit %d", bit)
			}
		}
		for bit := range 8 * len(rtcp) {
			bad := bytes.Clone(rtcp)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := b.UnprotectRTCP(nil, bad); err == nil {
				t.Fatalf("RTCP bit %d", bit)
			}
		}
		if _, err := b.UnprotectRTP(nil, rtp); err != nil {
			t.Fatal(err)
		}
		if _, err := b.UnprotectRTCP(nil, rtcp); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTruncatedAndGarbage(t *testing.T) {
	forProfiles(t, func(t *testing.T, p Profile) {
		a, b := newPair(t, p)
		ext := rtpPacket(1, 5, 20)
		ext[0] |= 0x1f // 15 CSRCs and an extension that are not there
		for _, bad := range [][]byte{nil, ext, ext[:12], {0x80}, make([]byte, 70000), make([]byte, 40)} {
			if _, err := a.ProtectRTP(nil, bad); err == nil {
				t.Errorf("ProtectRTP took %d bytes", len(bad))
			}
		}
		for _, bad := range [][]byte{nil, {0x80, 200, 0}, make([]byte, 70000), make([]byte, 40)} {
			if _, err := a.ProtectRTCP(nil, bad); err == nil {
				t.Errorf("ProtectRTCP took %d bytes", len(bad))
			}
		}
		rtp, _ := a.ProtectRTP(nil, rtpPacket(1, 5, 20))
		rtcp, _ := a.ProtectRTCP(nil, rtcpPacket(1, 4))
		for n := range rtp {
			if _, err := b.UnprotectRTP(nil, bytes.Clone(rtp[:n])); err == nil {
				t.Fatalf("RTP cut to %d bytes", n)
			}
		}
		for n := range rtcp {
			if _, err := b.UnprotectRTCP(nil, bytes.Clone(rtcp[:n])); err == nil {
				t.Fatalf("RTCP cut to %d bytes", n)
			}
		}
		rnd := rand.New(rand.NewSource(int64(p)))
		for range 5000 {
			junk := make([]byte, rnd.Intn(80))
			rnd.Read(junk)
			if len(junk) > 0 {
				junk[0] = junk[0]&0x3f | 0x80
			}
			if _, err := b.UnprotectRTP(nil, bytes.Clone(junk)); err == nil {
				t.Fatal("junk accepted")
			}
			if _, err := b.UnprotectRTCP(nil, junk); err == nil {
				t.Fatal("junk accepted")
			}
		}
	})
}

func FuzzUnprotect(f *testing.F) {
	a := newSide(f, ProfileAES128CMHMACSHA1_80, true)
	rtp, _ := a.ProtectRTP(nil, rtpPacket(1, 5, 20))
	rtcp, _ := a.ProtectRTCP(nil, rtcpPacket(1, 4))
	f.Add(rtp)
	f.Add(rtcp)
	f.Add([]byte{0x9f, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(append(rtpPacket(1, 5, 0), make([]byte, 16)...))
	var sides []*Session
	for _, p := range allProfiles {
		sides = append(sides, newSide(f, p, false), newSide(f, p, true))
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		for _, s := range sides {
			_, _ = s.UnprotectRTP(nil, bytes.Clone(pkt))
			_, _ = s.UnprotectRTCP(nil, bytes.Clone(pkt))
			if len(s.received.list) > 1024 {
				t.Fatal("table over its cap")
			}
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(rtpPacket(1, 5, 20), uint8(0))
	f.Add(rtcpPacket(1, 4), uint8(2))
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x10, 1, 0, 0, 9}, uint8(1))
	f.Fuzz(func(t *testing.T, pkt []byte, which uint8) {
		p := allProfiles[int(which)%len(allProfiles)]
		a, b := newPair(t, p)
		if wire, err := a.ProtectRTP(nil, pkt); err == nil {
			if got, err := b.UnprotectRTP(wire[:0], wire); err != nil || !bytes.Equal(got, pkt) {
				t.Fatalf("RTP: %v", err)
			}
		}
		if wire, err := a.ProtectRTCP(nil, pkt); err == nil {
			if got, err := b.UnprotectRTCP(wire[:0], wire); err != nil || !bytes.Equal(got, pkt) {
				t.Fatalf("RTCP: %v", err)
			}
		}
	})
}
