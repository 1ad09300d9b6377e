package srtp

import (
	"encoding/binary"
	"testing"
)

func TestNoAllocationPerPacket(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates by itself: nothing to measure here")
		return
	}
	forProfiles(t, func(t *testing.T, p Profile) {
		a, b := newPair(t, p)
		buf := make([]byte, 2048)
		pkt := rtpPacket(1, 0, 1200)
		seq := uint16(0)
		rtp := func() {
			seq++
			n := copy(buf, pkt)
			binary.BigEndian.PutUint16(buf[2:], seq)
			wire, err := a.ProtectRTP(buf[:0], buf[:n])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.UnprotectRTP(wire[:0], wire); err != nil {
				t.Fatal(err)
			}
			if _, err := b.UnprotectRTP(wire[:0], wire); err == nil { // dropped ones are free too
				t.Fatal("replay accepted")
			}
		}
		report := rtcpPacket(1, 20)
		rtcp := func() {
			n := copy(buf, report)
			wire, err := a.ProtectRTCP(buf[:0], buf[:n])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.UnprotectRTCP(wire[:0], wire); err != nil {
				t.Fatal(err)
			}
		}
		rtp()
		rtcp()
		if n := testing.AllocsPerRun(1000, rtp); n != 0 {
			t.Errorf("RTP: %v allocations", n)
		}
		if n := testing.AllocsPerRun(1000, rtcp); n != 0 {
			t.Errorf("RTCP: %v allocations", n)
		}
	})
}

func BenchmarkProtect(b *testing.B) {
	for _, p := range allProfiles {
		b.Run(p.String(), func(b *testing.B) {
			s := newSide(b, p, true)
			benchmarkSeal(b, func(dst, pkt []byte) { _, _ = s.ProtectRTP(dst, pkt) })
		})
		b.Run(p.String()+"/pion", func(b *testing.B) {
			c, _ := pionContexts(b, p, true)
			benchmarkSeal(b, func(dst, pkt []byte) { _, _ = c.EncryptRTP(dst, pkt, nil) })
		})
	}
}

func benchmarkSeal(b *testing.B, seal func(dst, pkt []byte)) {
	buf, pkt := make([]byte, 2048), rtpPacket(1, 0, 1188)
	b.ReportAllocs()
	b.SetBytes(int64(len(pkt)))
	seq := uint16(0)
	for b.Loop() {
		seq++
		n := copy(buf, pkt)
		binary.BigEndian.PutUint16(buf[2:], seq)
		seal(buf[:0], buf[:n])
	}
}

func BenchmarkUnprotect(b *testing.B) {
	for _, p := range allProfiles {
		b.Run(p.String(), func(b *testing.B) {
			s := newSide(b, p, false)
			benchmarkOpen(b, p, func(dst, pkt []byte) error { _, err := s.UnprotectRTP(dst, pkt); return err })
		})
		b.Run(p.String()+"/pion", func(b *testing.B) {
			_, c := pionContexts(b, p, false)
			benchmarkOpen(b, p, func(dst, pkt []byte) error { _, err := c.DecryptRTP(dst, pkt, nil); return err })
		})
	}
}

func benchmarkOpen(b *testing.B, p Profile, open func(dst, pkt []byte) error) {
	sender := newSide(b, p, true)
	pkt := rtpPacket(1, 0, 1188)
	batch := make([][]byte, 256)
	next := len(batch)
	seq := uint16(0)
	b.ReportAllocs()
	b.SetBytes(int64(len(pkt)))
	for i := range batch {
		batch[i] = make([]byte, 0, 1500)
	}
	for b.Loop() {
		if next == len(batch) {
			b.StopTimer()
			for i := range batch {
				seq++
				binary.BigEndian.PutUint16(pkt[2:], seq)
				batch[i], _ = sender.ProtectRTP(batch[i][:0], pkt)
			}
			next = 0
			b.StartTimer()
		}
		if err := open(batch[next][:0], batch[next]); err != nil {
			b.Fatal(err)
		}
		next++
	}
}
