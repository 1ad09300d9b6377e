package srtp

import (
	"bytes"
	"crypto/aes"
	"errors"
	"math/rand"
	"testing"
)

func TestRFC3711AppendixB2KeyStream(t *testing.T) {
	block, err := aes.NewCipher(unhex(t, "2B7E151628AED2A6ABF7158809CF4F3C"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCounterMode(block)
	if err != nil {
		t.Fatal(err)
	}
	counter := [16]byte(unhex(t, "F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"))
	stream := make([]byte, 0xff02*16)
	c.xor(stream, stream, &counter)
	for at, want := range map[int]string{
		0x0000: "E03EAD0935C95E80E166B16DD92B4EB4",
		0x0001: "D23513162B02D0F72A43A2FE4A5F97AB",
		0x0002: "41E95B3BB0A2E8DD477901E4FCA894C0",
		0xfeff: "EC8CDF7398607CB0F2D21675EA9EA1E4",
		0xff00: "362B7C3C6773516318A077D7FC5073AE",
		0xff01: "6A2CC3787889374FBEB4C81B17BA6C44",
	} {
		if got := stream[at*16 : at*16+16]; !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("block %#04x: %X, want %s", at, got, want)
		}
	}
}

func TestRFC3711AppendixB3KeyDerivation(t *testing.T) {
	master := Keys{
		Key:  unhex(t, "E1F97A0D3E018BE0D64FA32C06DE4139"),
		Salt: unhex(t, "0EC675AD498AFEEBB6960B3AABE6"),
	}
	for _, c := range []struct {
		label byte
		want  string
	}{
		{labelRTPEncryption, "C61E7A93744F39EE10734AFE3FF7A087"},
		{labelRTPSalt, "30CBBC08863D8C85D49DB34A9AE1"},
		{labelRTPAuth, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E47403576"},
	} {
		want := unhex(t, c.want)
		got, err := derive(master, c.label, len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("label %d: %X (%v), want %X", c.label, got, err, want)
		}
	}
}

func TestKeyStreamAgreesWithBlockwiseAES(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 200 {
		var key, counter [16]byte
		rnd.Read(key[:])
		rnd.Read(counter[:])
		counter[14], counter[15] = 0, 0
		if rnd.Intn(4) == 0 {
			counter[12], counter[13] = 0, 0 // the 32-bit counter of GCM wraps before the first block
		}
		block, err := aes.NewCipher(key[:])
		if err != nil {
			t.Fatal(err)
		}
		c, err := newCounterMode(block)
		if err != nil {
			t.Fatal(err)
		}
		plain := make([]byte, 1+rnd.Intn(100))
		rnd.Read(plain)
		got := make([]byte, len(plain))
		c.xor(got, plain, &counter)
		for i := range plain {
			if i%16 == 0 {
				var ks [16]byte
				block.Encrypt(ks[:], counter[:])
				for j := i; j < len(plain) && j < i+16; j++ {
					plain[j] ^= ks[j-i]
				}
				counter[15]++
			}
		}
		if !bytes.Equal(got, plain) {
			t.Fatalf("key %x: got %x, want %x", key, got, plain)
		}
	}
}

func TestFieldArithmetic(t *testing.T) {
	rnd := rand.New(rand.NewSource(2))
	one := element{hi: 1 << 63}
	for range 50 {
		a := element{rnd.Uint64(), rnd.Uint64()}
		b := element{rnd.Uint64(), rnd.Uint64()}
		if a.mul(b) != b.mul(a) {
			t.Fatal("multiplication does not commute")
		}
		if a.mul(a.inverse()) != one {
			t.Fatalf("%x: no inverse", a)
		}
		var want element // bit by bit
		for i, x := 0, a; i < 128; i, x = i+1, x.timesX() {
			limb, shift := b.hi, 63-i
			if i >= 64 {
				limb, shift = b.lo, 127-i
			}
			if limb>>shift&1 != 0 {
				want.hi ^= x.hi
				want.lo ^= x.lo
			}
		}
		if got := a.mul(b); got != want {
			t.Fatalf("%x times %x is %x, want %x", a, b, got, want)
		}
	}
	if (element{}).inverse() != (element{}) {
		t.Fatal("inverse of zero")
	}
}

// RFC 3711 Appendix A gives the guess in pseudocode.
func appendixA(highest uint64, seq uint16) int64 {
	sl, roc := int64(uint16(highest)), int64(highest>>16)
	s := int64(seq)
	v := roc
	if sl < 1<<15 {
		if s-sl > 1<<15 {
			v = roc - 1
		}
	} else if sl-1<<15 > s {
		v = roc + 1
	}
	return s + v*65536
}

func TestRFC3711AppendixAIndexEstimate(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	for i := range 200000 {
		highest := uint64(rnd.Int63n(4 << 16))
		seq := uint16(rnd.Uint32())
		switch i % 4 {
		case 0:
			seq = uint16(highest) + 1<<15
		case 1:
			seq = uint16(highest) + 1<<15 + uint16(rnd.Intn(3)) - 1
		}
		w := window{started: true, highest: highest}
		got, err := w.estimate(seq)
		want := appendixA(highest, seq)
		if want < 0 {
			if !errors.Is(err, ErrTooOld) {
				t.Fatalf("highest %#x seq %#x: %v, want ErrTooOld", highest, seq, err)
			}
			continue
		}
		if err != nil || int64(got) != want {
			t.Fatalf("highest %#x seq %#x: %#x (%v), want %#x", highest, seq, got, err, want)
		}
	}
}

func TestReplayWindowAgainstAModel(t *testing.T) {
	rnd := rand.New(rand.NewSource(4))
	for _, words := range []int{1, 2, 16} {
		w := window{seen: make([]uint64, words)}
		seen := map[uint64]bool{}
		size := uint64(words * 64)
		highest, base := uint64(0), uint64(1000)
		for range 20000 {
			base += uint64(rnd.Intn(3))
			if rnd.Intn(500) == 0 {
				base += uint64(rnd.Intn(3 * words * 64))
			}
			index := base - uint64(rnd.Intn(words*80+10))%base
			err := w.check(index)
			switch {
			case len(seen) > 0 && index+size <= highest:
				if !errors.Is(err, ErrTooOld) {
					t.Fatalf("index %d, highest %d: %v, want ErrTooOld", index, highest, err)
				}
				continue
			case seen[index]:
				if !errors.Is(err, ErrReplayed) {
					t.Fatalf("index %d: %v, want ErrReplayed", index, err)
				}
				continue
			case err != nil:
				t.Fatalf("index %d, highest %d: %v", index, highest, err)
			}
			w.commit(index)
			seen[index] = true
			highest = max(highest, index)
		}
	}
}

func TestRolloverBothWays(t *testing.T) {
	forProfiles(t, func(t *testing.T, p Profile) {
		a, b := newPair(t, p)
		t.Log("# three times round the sequence numbers, every tenth pair swapped on the way")
		seq := uint16(1000)
		for i := range 3*65536/97 + 5 {
			first, second := rtpPacket(7, seq, 20), rtpPacket(7, seq+1, 20)
			seq += 97
			p1, err := a.ProtectRTP(nil, first)
			if err != nil {
				t.Fatal(err)
			}
			p2, err := a.ProtectRTP(nil, second)
			if err != nil {
				t.Fatal(err)
			}
			wire, want := [][]byte{p1, p2}, [][]byte{first, second}
			if i%10 == 0 {
				wire[0], wire[1], want[0], want[1] = p2, p1, second, first
			}
			for j := range wire {
				got, err := b.UnprotectRTP(nil, wire[j])
				if err != nil || !bytes.Equal(got, want[j]) {
					t.Fatalf("seq %d: %v", seq, err)
				}
			}
		}
		if roc := b.received.find(7).highest >> 16; roc < 2 {
			t.Fatalf("rollover counter %d", roc)
		}
	})
}

func TestReplayRefused(t *testing.T) {
	forProfiles(t, func(t *testing.T, p Profile) {
		a, b := newPair(t, p)
		rtp, err := a.ProtectRTP(nil, rtpPacket(1, 5, 100))
		if err != nil {
			t.Fatal(err)
		}
		rtcp, err := a.ProtectRTCP(nil, rtcpPacket(1, 5))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.UnprotectRTP(nil, rtp); err != nil {
			t.Fatal(err)
		}
		if _, err := b.UnprotectRTCP(nil, rtcp); err != nil {
			t.Fatal(err)
		}
		if _, err := b.UnprotectRTP(nil, rtp); !errors.Is(err, ErrReplayed) {
			t.Fatalf("RTP: %v", err)
		}
		if _, err := b.UnprotectRTCP(nil, rtcp); !errors.Is(err, ErrReplayed) {
			t.Fatalf("RTCP: %v", err)
		}
		t.Log("# far behind the newest packet")
		old, _ := a.ProtectRTP(nil, rtpPacket(1, 6, 100))
		for seq := uint16(7); seq < 7+1024; seq++ {
			wire, _ := a.ProtectRTP(nil, rtpPacket(1, seq, 1))
			if _, err := b.UnprotectRTP(nil, wire); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.UnprotectRTP(nil, old); !errors.Is(err, ErrTooOld) {
			t.Fatalf("old RTP: %v", err)
		}
		st := b.Stats()
		if st.Replayed != 2 || st.TooOld != 1 || st.RTPUnprotected != 1025 || st.RTCPUnprotected != 1 {
			t.Fatalf("%+v", st)
		}
	})
}

func TestKeyExhaustion(t *testing.T) {
	a := newSide(t, ProfileAEADAES128GCM, true)
	if _, err := a.ProtectRTP(nil, rtpPacket(1, 0xfffe, 4)); err != nil {
		t.Fatal(err)
	}
	a.senders[1].rtp.highest = maxRTPIndex - 1
	if _, err := a.ProtectRTP(nil, rtpPacket(1, 0xffff, 4)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ProtectRTP(nil, rtpPacket(1, 0, 4)); !errors.Is(err, ErrKeyExhausted) {
		t.Fatal(err)
	}
	a.senders[1].rtcpIndex = maxRTCPIndex
	if _, err := a.ProtectRTCP(nil, rtcpPacket(1, 5)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ProtectRTCP(nil, rtcpPacket(1, 5)); !errors.Is(err, ErrKeyExhausted) {
		t.Fatal(err)
	}
}
