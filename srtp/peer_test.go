package srtp

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"testing"

	pion "github.com/pion/srtp/v3"
)

func pionContexts(t testing.TB, p Profile, isClient bool) (local, remote *pion.Context) {
	t.Helper()
	profile := pion.ProtectionProfile(p)
	l, r, err := SplitKeyingMaterial(p, testMaterial(p), isClient)
	if err != nil {
		t.Fatal(err)
	}
	if local, err = pion.CreateContext(l.Key, l.Salt, profile); err != nil {
		t.Fatal(err)
	}
	remote, err = pion.CreateContext(r.Key, r.Salt, profile, pion.SRTPReplayProtection(1024), pion.SRTCPReplayProtection(64))
	if err != nil {
		t.Fatal(err)
	}
	return local, remote
}

func TestIndependentPeer(t *testing.T) {
	forProfiles(t, func(t *testing.T, p Profile) {
		ours := newSide(t, p, true)
		theirLocal, theirRemote := pionContexts(t, p, false)
		rnd := rand.New(rand.NewSource(int64(p)))
		seq := uint16(30000)
		for i := range 2000 {
			seq += uint16(1 + rnd.Intn(200)) // rolls over several times
			pkt := rtpPacket(0xdecafbad, seq, rnd.Intn(1200))
			switch i % 3 {
			case 1: // a header extension of two words
				pkt = append(append(append([]byte{}, pkt[:12]...), 0xbe, 0xde, 0, 2, 0x12, 1, 2, 3, 0, 0, 0, 0), pkt[12:]...)
				pkt[0] |= 0x10
			case 2: // two CSRCs
				pkt = append(append(append([]byte{}, pkt[:12]...), 1, 2, 3, 4, 5, 6, 7, 8), pkt[12:]...)
				pkt[0] |= 2
			}
			wire, err := ours.ProtectRTP(nil, pkt)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := theirRemote.DecryptRTP(nil, wire, nil); err != nil || !bytes.Equal(got, pkt) {
				t.Fatalf("they cannot open RTP %d: %v", i, err)
			}
			if wire, err = theirLocal.EncryptRTP(nil, pkt, nil); err != nil {
				t.Fatal(err)
			}
			if got, err := ours.UnprotectRTP(wire[:0], wire); err != nil || !bytes.Equal(got, pkt) {
				t.Fatalf("we cannot open RTP %d: %v", i, err)
			}
			rtcp := rtcpPacket(0xfeed, rnd.Intn(30))
			if wire, err = ours.ProtectRTCP(nil, rtcp); err != nil {
				t.Fatal(err)
			}
			if got, err := theirRemote.DecryptRTCP(nil, wire, nil); err != nil || !bytes.Equal(got, rtcp) {
				t.Fatalf("they cannot open RTCP %d: %v", i, err)
			}
			if wire, err = theirLocal.EncryptRTCP(nil, rtcp, nil); err != nil {
				t.Fatal(err)
			}
			if got, err := ours.UnprotectRTCP(wire[:0], wire); err != nil || !bytes.Equal(got, rtcp) {
				t.Fatalf("we cannot open RTCP %d: %v", i, err)
			}
		}
	})
}

func TestAppendBehindAPrefixInPlace(t *testing.T) {
	forProfiles(t, func(t *testing.T, p Profile) {
		a, b := newPair(t, p)
		const head = 36 // room for a relay header
		buf := make([]byte, 2048)
		pkt := rtpPacket(1, 1, 1000)
		n := copy(buf[head:], pkt)
		out, err := a.ProtectRTP(buf[:head], buf[head:head+n])
		if err != nil || &out[0] != &buf[0] || len(out) != head+n+p.RTPOverhead() {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
		got, err := b.UnprotectRTP(out[:head], out[head:])
		if err != nil || !bytes.Equal(got[head:], pkt) || &got[0] != &buf[0] {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		t.Log("# a full array makes room elsewhere and leaves the packet alone")
		tight := bytes.Clone(rtcpPacket(9, 6))
		wire, err := a.ProtectRTCP(tight[:0:len(tight)], tight)
		if err != nil || !bytes.Equal(tight, rtcpPacket(9, 6)) || len(wire) != len(tight)+p.RTCPOverhead() {
			t.Fatalf("%d bytes, %v", len(wire), err)
		}
		if binary.BigEndian.Uint32(wire[4:]) != 9 {
			t.Fatal("SSRC not readable")
		}
	})
}
