package rtpflow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand"
	"testing"
	"time"
)

func TestRFC4588WrapAndUnwrap(t *testing.T) {
	f := Fields{Marker: true, PayloadType: 96, SequenceNumber: 65535, Timestamp: 77, SSRC: 1}
	pkt, h := packet(t, f, []byte("payload"), Extension{1, []byte("0")}, Extension{2, []byte("hi")})
	padded := append(bytes.Clone(pkt), 0, 0, 3)
	padded[0] |= 0x20
	s := NewRTXSender(RTXConfig{SSRC: 2, Sequence: 65535, PayloadTypes: [128]uint8{96: 97}, RIDExtension: 2, RepairedRIDExtension: 3})
	for i := range 3 {
		wrapped, ok := s.Append([]byte("prefix"), padded)
		if !ok {
			t.Fatal("no retransmission")
		}
		wrapped = wrapped[len("prefix"):]
		wh, err := ParseHeader(wrapped)
		if err != nil {
			t.Fatal(err)
		}
		if wh.SSRC != 2 || wh.PayloadType != 97 || wh.SequenceNumber != uint16(65535+i) || wh.Timestamp != 77 || !wh.Marker || wh.Padding != 0 {
			t.Fatalf("%+v", wh)
		}
		if binary.BigEndian.Uint16(wh.Payload) != 65535 || string(wh.Payload[2:]) != "payload" {
			t.Fatalf("%q", wh.Payload)
		}
		if string(wh.Extension(1)) != "0" || wh.Extension(2) != nil || string(wh.Extension(3)) != "hi" {
			t.Fatal("RID did not become repaired RID")
		}
		back, err := UnwrapRTX(wrapped, &wh, 1, 96)
		if err != nil || len(back) != len(pkt) {
			t.Fatal(err)
		}
		bh, err := ParseHeader(back)
		if err != nil || bh.SequenceNumber != h.SequenceNumber || bh.SSRC != 1 || bh.PayloadType != 96 || !bytes.Equal(bh.Payload, h.Payload) {
			t.Fatalf("%+v %v", bh, err)
		}
	}
	if _, ok := s.Append(nil, pkt[:5]); ok {
		t.Error("half a header")
	}
	pkt[1] = 98
	if _, ok := s.Append(nil, pkt); ok {
		t.Error("a payload type without retransmission format")
	}
	probe, ph := packet(t, Fields{PayloadType: 97}, []byte{0})
	if _, err := UnwrapRTX(probe, ph, 1, 96); !errors.Is(err, ErrPadding) {
		t.Error(err)
	}
}

func TestTwoByteExtensionIsRenamed(t *testing.T) {
	pkt, _ := packet(t, Fields{PayloadType: 96}, []byte("payload"), Extension{20, []byte("hi")}, Extension{21, nil})
	s := NewRTXSender(RTXConfig{PayloadTypes: [128]uint8{96: 97}, RIDExtension: 20, RepairedRIDExtension: 30})
	wrapped, _ := s.Append(nil, pkt)
	if h, err := ParseHeader(wrapped); err != nil || string(h.Extension(30)) != "hi" {
		t.Fatal(err)
	}
}

func TestHistoryAgainstAModel(t *testing.T) {
	for seed := range seeds(15) {
		rnd := rand.New(rand.NewSource(seed))
		cfg := HistoryConfig{MaxPackets: 64 << rnd.Intn(4), MaxBytes: 16 << (10 + rnd.Intn(3)), MinAge: time.Duration(rnd.Intn(200)) * time.Millisecond}
		h := NewHistory(cfg)
		kept := map[uint16][]byte{}
		seq, now := uint16(rnd.Uint32()), start
		for range 3000 {
			now = now.Add(time.Duration(rnd.Intn(3)) * time.Millisecond)
			seq += uint16(rnd.Intn(3)) // sometimes the same again
			pkt := make([]byte, 1+rnd.Intn(1500))
			rnd.Read(pkt)
			h.Store(now, seq, pkt)
			kept[seq] = pkt
			if got := h.Get(seq); !bytes.Equal(got, pkt) {
				t.Fatalf("seed %d: the packet just stored is not there", seed)
			}
			ask := seq - uint16(rnd.Intn(600))
			if got := h.Get(ask); got != nil && !bytes.Equal(got, kept[ask]) {
				t.Fatalf("seed %d: wrong bytes", seed)
			}
			if h.Size() > max(cfg.MaxBytes, firstHistoryBytes) || h.Len() > cfg.MaxPackets {
				t.Fatalf("seed %d: %d bytes, %d packets", seed, h.Size(), h.Len())
			}
		}
		total := 0
		for s := seq; h.Get(s) != nil || kept[s] == nil && seq-s < 3000; s-- {
			total += len(h.Get(s))
		}
		if total < h.Size()/8 {
			t.Fatalf("seed %d: only %d bytes of %d are in use", seed, total, h.Size())
		}
	}
}

func TestHistoryGrowsWithTheBitRate(t *testing.T) {
	fill := func(packetsPerSecond int) *History {
		h := NewHistory(HistoryConfig{})
		if h.Size() != 0 {
			t.Fatal("memory before the first packet")
		}
		pkt := make([]byte, 1000)
		for i := range 3 * packetsPerSecond {
			h.Store(start.Add(time.Duration(i)*time.Second/time.Duration(packetsPerSecond)), uint16(i), pkt)
		}
		return h
	}
	if h := fill(10); h.Size() != 16<<10 {
		t.Errorf("%d bytes for 80 kbit/s", h.Size())
	}
	if h := fill(250); h.Size() != 256<<10 || h.Len() < 250 {
		t.Errorf("%d bytes, %d packets for 2 Mbit/s", h.Size(), h.Len())
	}
	if h := fill(5000); h.Size() != 1<<20 || h.Len() < 1000 {
		t.Errorf("%d bytes, %d packets for 40 Mbit/s", h.Size(), h.Len())
	}
	h := NewHistory(HistoryConfig{})
	h.Store(start, 1, nil)
	h.Store(start, 2, make([]byte, 1<<20))
	h.Store(start, 3, make([]byte, 60000))
	if h.Get(1) != nil || h.Get(2) != nil || len(h.Get(3)) != 60000 || h.Get(4) != nil {
		t.Error("sizes at the edges")
	}
	if NewHistory(HistoryConfig{}).Get(0) != nil {
		t.Error("an empty history")
	}
}

func TestAnswersThatCrossARequestAreNotRepeated(t *testing.T) {
	h := NewHistory(HistoryConfig{})
	h.Store(start, 1, []byte{1})
	rtt := 50 * time.Millisecond
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {20 * time.Millisecond, false}, {49 * time.Millisecond, false}, {50 * time.Millisecond, true}, {51 * time.Millisecond, false}} {
		if got := h.Resend(at(step.after), 1, rtt) != nil; got != step.want {
			t.Errorf("after %v: %v", step.after, got)
		}
	}
	if h.Resend(start, 2, rtt) != nil {
		t.Error("a packet that was never sent")
	}
}

func TestRetransmissionAllocatesNothing(t *testing.T) {
	h := NewHistory(HistoryConfig{MaxBytes: 64 << 10, MaxPackets: 64})
	s := NewRTXSender(RTXConfig{PayloadTypes: [128]uint8{96: 97}})
	pkt, _ := packet(t, Fields{PayloadType: 96}, make([]byte, 1000))
	buf := make([]byte, 0, 1500)
	seq := uint16(0)
	step := func() {
		seq++
		h.Store(start, seq, pkt)
		wrapped, _ := s.Append(buf, h.Resend(start, seq, 0))
		wh, err := ParseHeader(wrapped)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := UnwrapRTX(wrapped, &wh, 1, 96); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		step()
	}
	wantNoAllocs(t, "a retransmission", step)
}
