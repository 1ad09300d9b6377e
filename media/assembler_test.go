package media

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/openparley/webrtc/internal/payload"
)

func newAssembler(t testing.TB, cfg AssemblerConfig) *FrameAssembler {
	t.Helper()
	a, err := NewFrameAssembler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// popAll takes what is there, with data of its own.
func popAll(a *FrameAssembler) (all []Sample) {
	for {
		s, ok := a.Pop()
		if !ok {
			return all
		}
		s.Data = bytes.Clone(s.Data)
		all = append(all, s)
	}
}

func assemble(a *FrameAssembler, packets []*rtp.Packet) (all []Sample) {
	for _, p := range packets {
		a.Push(p)
		all = append(all, popAll(a)...)
	}
	a.Flush()
	return append(all, popAll(a)...)
}

func TestFramesSurvivePacketsInAnyOrder(t *testing.T) {
	for _, f := range files {
		t.Run(f.name, func(t *testing.T) {
			want := load(t, f.name, f.mime)
			for seed := range seeds(30) {
				rnd := rand.New(rand.NewSource(seed))
				packets := packetize(t, f.mime, want, uint16(100+rnd.Intn(1100)), uint16(rnd.Uint32()), rnd.Uint32())
				if seed > 0 {
					// The first packet stays: with it the stream begins.
					for i := 1; i < len(packets); i++ {
						if j := i + rnd.Intn(10); j < len(packets) {
							packets[i], packets[j] = packets[j], packets[i]
						}
					}
				}
				var sent []*rtp.Packet
				for _, p := range packets {
					sent = append(sent, p)
					if rnd.Intn(4) == 0 {
						sent = append(sent, p)
					}
				}
				a := newAssembler(t, AssemblerConfig{MimeType: f.mime})
				got := assemble(a, sent)
				if len(got) != len(want) {
					t.Fatalf("seed %d: %d frames, want %d; %+v", seed, len(got), len(want), a.Stats())
				}
				for i := range got {
					if !bytes.Equal(got[i].Data, onWire(f.mime, want[i].Data)) {
						t.Fatalf("seed %d: frame %d differs", seed, i)
					}
					if got[i].Timestamp-got[0].Timestamp != want[i].Timestamp-want[0].Timestamp || got[i].PrevDroppedPackets != 0 || got[i].KeyFrame != want[i].KeyFrame {
						t.Fatalf("seed %d: frame %d: %+v", seed, i, got[i])
					}
				}
			}
		})
	}
}

func TestLostPacketsCostTheirFrameOnly(t *testing.T) {
	for _, f := range files {
		t.Run(f.name, func(t *testing.T) {
			frames := load(t, f.name, f.mime)
			for seed := range seeds(60) {
				rnd := rand.New(rand.NewSource(seed))
				base := rnd.Uint32()
				packets := packetize(t, f.mime, frames, 200, uint16(rnd.Uint32()), base)
				broken, headless := map[uint32]bool{}, map[uint32]bool{}
				var sent []*rtp.Packet
				for i, p := range packets {
					if i > 0 && rnd.Intn(15) == 0 {
						broken[p.Timestamp] = true
						headless[p.Timestamp] = headless[p.Timestamp] || packets[i-1].Marker
						continue
					}
					sent = append(sent, p)
				}
				a := newAssembler(t, AssemblerConfig{MimeType: f.mime, MaxPackets: 20})
				var got []Sample
				for _, s := range assemble(a, sent) {
					if f.mime == MimeTypeH264 && headless[s.Timestamp] {
						continue // the picture may as well begin where the parameter sets are missing
					}
					if broken[s.Timestamp] {
						t.Fatalf("seed %d: a frame with a hole", seed)
					}
					got = append(got, s)
				}
				whole := 0
				for _, fr := range frames {
					if !broken[base+fr.Timestamp] {
						whole++
					}
				}
				if len(got) != whole {
					t.Fatalf("seed %d: %d frames of %d whole ones", seed, len(got), whole)
				}
				st := a.Stats()
				if int(st.PacketsMissing) > len(packets)-len(sent) || len(got) > int(st.Frames) || st.Malformed != 0 {
					t.Fatalf("seed %d: %+v", seed, st)
				}
			}
		})
	}
}

// vp8 makes a packet of a VP8 frame; begin sets S.
func vp8(seq uint16, timestamp uint32, begin, marker bool, payload string) *rtp.Packet {
	first := byte(0)
	if begin {
		first = 0x10
	}
	return &rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: timestamp, Marker: marker}, Payload: append([]byte{first}, payload...)}
}

// wantFrames compares as text: what was dropped in front, then the data.
func wantFrames(t *testing.T, got []Sample, want ...string) {
	t.Helper()
	var text []string
	for _, s := range got {
		text = append(text, fmt.Sprintf("%d %s", s.PrevDroppedPackets, s.Data))
	}
	if fmt.Sprint(text) != fmt.Sprint(want) {
		t.Fatalf("%q, want %q", text, want)
	}
}

func TestAssemblerStories(t *testing.T) {
	cfg := AssemblerConfig{MimeType: MimeTypeVP8, MaxPackets: 8}
	push := func(a *FrameAssembler, packets ...*rtp.Packet) []Sample {
		var all []Sample
		for _, p := range packets {
			a.Push(p)
			all = append(all, popAll(a)...)
		}
		return all
	}
	t.Run("the marker gives a frame at once", func(t *testing.T) {
		a := newAssembler(t, cfg)
		wantFrames(t, push(a, vp8(65535, 100, true, false, "ab"), vp8(0, 100, false, true, "cd")), "0 abcd")
	})
	t.Run("without markers the next frame does", func(t *testing.T) {
		a := newAssembler(t, cfg)
		wantFrames(t, push(a, vp8(1, 100, true, false, "a"), vp8(2, 100, false, false, "b")))
		wantFrames(t, push(a, vp8(3, 200, true, false, "c")), "0 ab")
	})
	t.Run("a stream joined in the middle of a frame", func(t *testing.T) {
		a := newAssembler(t, cfg)
		wantFrames(t, push(a, vp8(5, 100, false, true, "x"), vp8(6, 200, true, true, "y")), "1 y")
	})
	t.Run("a first packet that comes second", func(t *testing.T) {
		a := newAssembler(t, cfg)
		a.Push(vp8(6, 100, false, true, "b"))
		a.Push(vp8(5, 100, true, false, "a"))
		wantFrames(t, popAll(a), "0 ab")
	})
	t.Run("waiting ends by count", func(t *testing.T) {
		a := newAssembler(t, cfg)
		wantFrames(t, push(a, vp8(1, 100, true, true, "a"), vp8(3, 300, true, true, "c"), vp8(9, 900, true, true, "i")), "0 a")
		wantFrames(t, push(a, vp8(10, 1000, true, true, "j")), "1 c")
	})
	t.Run("waiting ends by time", func(t *testing.T) {
		a := newAssembler(t, cfg)
		wantFrames(t, push(a, vp8(1, 100, true, true, "a"), vp8(3, 300, true, true, "c"), vp8(4, 300+90000, true, true, "d")), "0 a")
		wantFrames(t, push(a, vp8(5, 301+90000, true, true, "e")), "1 c", "0 d", "0 e")
	})
	t.Run("a slow stream is no reason to give up", func(t *testing.T) {
		a := newAssembler(t, cfg)
		wantFrames(t, push(a, vp8(1, 0, true, true, "a"), vp8(2, 900000, true, false, "b")), "0 a")
		wantFrames(t, push(a, vp8(3, 900000, false, true, "c")), "0 bc")
	})
	t.Run("padding that probes the path", func(t *testing.T) {
		a := newAssembler(t, cfg)
		probe := &rtp.Packet{Header: rtp.Header{SequenceNumber: 2, Timestamp: 100}}
		wantFrames(t, push(a, vp8(1, 100, true, true, "a"), probe, vp8(3, 200, true, true, "b")), "0 a", "0 b")
	})
	t.Run("too late", func(t *testing.T) {
		a := newAssembler(t, cfg)
		wantFrames(t, push(a, vp8(5, 100, true, true, "a"), vp8(4, 50, true, true, "old"), vp8(5, 100, true, true, "a")), "0 a")
		if st := a.Stats(); st.PacketsDiscarded != 2 {
			t.Errorf("%+v", st)
		}
	})
	t.Run("the sender starts again elsewhere", func(t *testing.T) {
		a := newAssembler(t, cfg)
		push(a, vp8(5, 100, true, true, "a"), vp8(7, 100, true, true, "waits"))
		wantFrames(t, push(a, vp8(30000, 7, true, true, "b"), vp8(1000, 9, true, true, "c")), "2 b", "1 c")
	})
	t.Run("payloads that cannot be read", func(t *testing.T) {
		a := newAssembler(t, AssemblerConfig{MimeType: MimeTypeVP8})
		bad := &rtp.Packet{Header: rtp.Header{SequenceNumber: 1, Timestamp: 100, Marker: true}, Payload: []byte{0x90}}
		wantFrames(t, push(a, bad, vp8(2, 200, true, true, "b")), "1 b")
		if st := a.Stats(); st.Malformed != 1 || st.Frames != 1 {
			t.Errorf("%+v", st)
		}
	})
	t.Run("an unknown codec", func(t *testing.T) {
		if _, err := NewFrameAssembler(AssemblerConfig{MimeType: "video/none"}); !errors.Is(err, ErrCodec) {
			t.Error(err)
		}
	})
}

func TestDurationsComeFromTimestamps(t *testing.T) {
	a := newAssembler(t, AssemblerConfig{MimeType: MimeTypeVP8})
	got := assemble(a, []*rtp.Packet{vp8(1, 1<<32-3000, true, true, "a"), vp8(2, 0, true, true, "b"), vp8(3, 9000, true, true, "c")})
	for i, want := range []time.Duration{0, time.Second / 30, 100 * time.Millisecond} {
		wantDuration(t, fmt.Sprint(i), got[i].Duration, want, time.Microsecond)
	}
	a = newAssembler(t, AssemblerConfig{MimeType: MimeTypePCMU})
	audio := func(seq uint16, timestamp uint32) *rtp.Packet {
		return &rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: timestamp}, Payload: make([]byte, 160)}
	}
	got = assemble(a, []*rtp.Packet{audio(1, 0), audio(2, 160), audio(3, 320)})
	if len(got) != 3 || got[2].Duration != 20*time.Millisecond || !got[2].KeyFrame {
		t.Fatalf("%+v", got)
	}
}

func TestH264FrameBeginsAfterALoss(t *testing.T) {
	for _, c := range []struct {
		payload []byte
		want    bool
	}{
		{[]byte{0x67, 1}, true},               // SPS
		{[]byte{0x68, 1}, true},               // PPS
		{[]byte{0x06, 1}, true},               // SEI
		{[]byte{0x09, 1}, true},               // AUD
		{[]byte{0x78, 0, 1}, true},            // STAP-A
		{[]byte{0x65, 0x88}, true},            // IDR, first macroblock zero
		{[]byte{0x65, 0x40}, false},           // IDR, another
		{[]byte{0x41, 0x9a}, true},            // slice
		{[]byte{0x41}, false},                 // slice without a header
		{[]byte{0x7c, 0x85, 0x88}, true},      // FU-A start of IDR
		{[]byte{0x7c, 0x85, 0x40}, false},     // of its second slice
		{[]byte{0x7c, 0x05, 0x88}, false},     // FU-A middle
		{[]byte{0x7c, 0x87, 0x00, 0}, true},   // FU-A start of SPS
		{[]byte{0x7c, 0x85}, false},           // FU-A cut
		{[]byte{0x1f | 0x40, 0, 0, 0}, false}, // unknown
	} {
		if got := beginsFrame(Codec{MimeType: MimeTypeH264}, c.payload, false); got != c.want {
			t.Errorf("%x: %v", c.payload, got)
		}
	}
}

func TestAssemblingAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates by itself: nothing to measure here")
		return
	}
	a := newAssembler(t, AssemblerConfig{MimeType: MimeTypeVP8})
	p := vp8(0, 0, true, true, string(make([]byte, 1000)))
	step := func() {
		p.SequenceNumber++
		p.Timestamp += 3000
		a.Push(p)
		if _, ok := a.Pop(); !ok {
			t.Fatal("no frame")
		}
	}
	for range len(a.ring) {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFrameAssembler(f *testing.F) {
	for i, file := range files {
		var seed []byte
		for _, p := range packetize(f, file.mime, load(f, file.name, file.mime)[:2], 300, 1, 0) {
			body := p.Payload[:min(len(p.Payload), 60)]
			seed = append(seed, byte(p.SequenceNumber), byte(p.Timestamp>>8), byte(len(body)))
			seed = append(seed, body...)
		}
		f.Add(seed, uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		a := newAssembler(t, AssemblerConfig{MimeType: payload.KnownCodecs[int(which)%len(payload.KnownCodecs)].MimeType, MaxPackets: 16})
		pushed, frames := 0, 0
		for len(data) >= 3 {
			n := min(int(data[2]), len(data)-3)
			a.push(uint16(data[0])<<5|uint16(data[1]&1), uint32(data[1])<<8, data[1]&2 != 0, data[3:3+n])
			data = data[3+n:]
			pushed++
			frames += len(popAll(a))
		}
		a.Flush()
		if frames += len(popAll(a)); frames > pushed {
			t.Fatalf("%d frames of %d packets", frames, pushed)
		}
		for i := range a.ring {
			if a.ring[i].present {
				t.Fatal("a packet is left after Flush")
			}
		}
	})
}
