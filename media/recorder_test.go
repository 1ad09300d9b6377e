package media

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/openparley/webrtc/internal/payload"
)

func record(t *testing.T, r Recorder, packets []*rtp.Packet) {
	t.Helper()
	for _, p := range packets {
		if err := r.WriteRTP(p); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.WriteRTP(packets[0]); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestRecordingsReadBack(t *testing.T) {
	for _, f := range files {
		t.Run(f.name, func(t *testing.T) {
			want := load(t, f.name, f.mime)
			// Timestamps and sequence numbers wrap on the way.
			packets := packetize(t, f.mime, want, 1200, 65530, 1<<32-20000)
			var out seekable
			r, err := NewRecorder(&out, f.mime)
			if err != nil {
				t.Fatal(err)
			}
			record(t, r, packets)
			var back sampleReader
			switch f.mime {
			case MimeTypeOpus:
				back, err = NewOggReader(bytes.NewReader(out.data))
			case MimeTypeH264:
				back = NewAnnexBReader(bytes.NewReader(out.data))
			default:
				var ivf *IVFReader
				ivf, err = NewIVFReader(bytes.NewReader(out.data))
				if err == nil {
					back = ivf
					if h := ivf.Header(); h.Width != 176 || h.Height != 144 || h.Length != 20*3600 || h.TimebaseDenominator != 90000 {
						t.Errorf("%+v", h)
					}
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			got := readAll(t, back)
			if len(got) != len(want) {
				t.Fatalf("%d samples, want %d", len(got), len(want))
			}
			for i := range got {
				if !bytes.Equal(onWire(f.mime, got[i].Data), onWire(f.mime, want[i].Data)) || got[i].KeyFrame != want[i].KeyFrame {
					t.Fatalf("sample %d differs", i)
				}
				if f.mime != MimeTypeH264 && got[i].Timestamp != want[i].Timestamp {
					t.Fatalf("sample %d at %d, want %d", i, got[i].Timestamp, want[i].Timestamp)
				}
			}
		})
	}
}

func TestRecordingBeginsWithAKeyFrame(t *testing.T) {
	for _, f := range files[:4] {
		samples := load(t, f.name, f.mime)
		var out bytes.Buffer
		r, err := NewRecorder(&out, f.mime)
		if err != nil {
			t.Fatal(err)
		}
		record(t, r, packetize(t, f.mime, samples[3:], 1200, 1, 77))
		st := r.(interface{ Stats() RecorderStats }).Stats()
		if st.Frames != 10 || st.AssemblerStats.Frames != 17 || st.Duration != 9*40*time.Millisecond {
			t.Errorf("%s: %+v", f.name, st)
		}
		out.Reset()
		r, _ = NewRecorder(&out, f.mime)
		record(t, r, packetize(t, f.mime, samples[1:5], 1200, 1, 77))
		if out.Len() != 0 {
			t.Errorf("%s: %d bytes without a key frame", f.name, out.Len())
		}
	}
}

// opus makes packets of 20 ms at the given multiples of 20 ms.
func opus(at ...int) (packets []*rtp.Packet) {
	for _, n := range at {
		packets = append(packets, &rtp.Packet{
			Header:  rtp.Header{SequenceNumber: uint16(n), Timestamp: 5000 + uint32(n)*960},
			Payload: []byte{31<<3 | 4, byte(n)},
		})
	}
	return packets
}

func TestRFC7845GapsAreConcealed(t *testing.T) {
	play := func(packets []*rtp.Packet) (starts map[byte]uint32, end uint32) {
		var out bytes.Buffer
		r, err := NewRecorder(&out, MimeTypeOpus)
		if err != nil {
			t.Fatal(err)
		}
		record(t, r, packets)
		back, err := NewOggReader(&out)
		if err != nil {
			t.Fatal(err)
		}
		starts = map[byte]uint32{}
		for _, s := range readAll(t, back) {
			if len(s.Data) > 1 {
				starts[s.Data[1]] = s.Timestamp
			} else if s.Data[0] != 31<<3|4 {
				t.Errorf("filled with %x", s.Data)
			}
			end = s.Timestamp + 960
		}
		return starts, end
	}
	t.Log("# three packets lost, and a second of silence that was not sent")
	starts, end := play(opus(0, 1, 5, 6, 56, 57))
	for _, n := range []byte{0, 1, 5, 6, 56, 57} {
		if starts[n] != uint32(n)*960 {
			t.Errorf("packet %d at %d", n, starts[n])
		}
	}
	if end != 58*960 {
		t.Errorf("ends at %d", end)
	}
	t.Log("# a gap that is no multiple of a frame is not forgotten")
	odd := opus(0, 1, 2, 3)
	odd[1].Timestamp += 700
	odd[2].Timestamp += 1400
	odd[3].Timestamp += 2100
	if starts, _ := play(odd); starts[1] != 960 || starts[2] != 3*960 || starts[3] != 5*960 {
		t.Errorf("%v", starts)
	}
	t.Log("# a pause of a minute is cut, a clock that jumps is followed")
	jump := opus(0, 1, 2, 3, 4)
	for i := range jump {
		if i >= 2 {
			jump[i].Timestamp += 60 * 48000
		}
		if i >= 3 {
			jump[i].Timestamp -= 1 << 31
		}
	}
	if starts, end := play(jump); starts[2] != 2*960 || starts[3] != 3*960 || end != 5*960 {
		t.Errorf("%v, end %d", starts, end)
	}
	t.Log("# what is no Opus packet is left out")
	junk := opus(0, 1, 2)
	junk[1].Payload = []byte{31<<3 | 3}
	if starts, _ := play(junk); len(starts) != 2 || starts[2] != 2*960 {
		t.Errorf("%v", starts)
	}
}

func TestRecorderErrors(t *testing.T) {
	for _, mime := range []string{MimeTypePCMU, "video/none"} {
		if _, err := NewRecorder(io.Discard, mime); !errors.Is(err, ErrCodec) {
			t.Errorf("%s: %v", mime, err)
		}
	}
	if _, err := NewIVFRecorder(io.Discard, "video/none"); !errors.Is(err, ErrCodec) {
		t.Error(err)
	}
	if _, err := NewOggRecorder(&failing{10}, OggWriterConfig{}); !errors.Is(err, errFull) {
		t.Error(err)
	}
	for _, f := range files {
		room := 0
		if f.mime == MimeTypeOpus {
			room = 200
		}
		r, err := NewRecorder(&failing{room}, f.mime)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packetize(t, f.mime, load(t, f.name, f.mime), 1200, 1, 0) {
			err = r.WriteRTP(p)
		}
		if f.mime == MimeTypeOpus {
			err = r.Close()
		}
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}

func TestCodecTable(t *testing.T) {
	for _, c := range payload.KnownCodecs {
		got, err := CodecOf(c.MimeType)
		if err != nil || got != c || c.Video() != (c.MimeType[:5] == "video") {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := NewPayloader(c.MimeType); err != nil {
			t.Error(err)
		}
		if _, err := NewDepacketizer(c.MimeType); err != nil {
			t.Error(err)
		}
	}
	if c, err := CodecOf("VIDEO/vp8"); err != nil || c.MimeType != MimeTypeVP8 {
		t.Error("case matters")
	}
	for mime, want := range map[string]string{MimeTypeVP8: ".ivf", MimeTypeH264: ".h264", MimeTypeOpus: ".ogg", MimeTypePCMA: "", "x": ""} {
		if got := FileExtension(mime); got != want {
			t.Errorf("%s: %q", mime, got)
		}
	}
	if _, err := NewPayloader("x"); !errors.Is(err, ErrCodec) {
		t.Error(err)
	}
	if IsKeyFrame("x", []byte{0}) || IsKeyFrame(MimeTypeVP8, nil) || !IsKeyFrame(MimeTypeOpus, []byte{1}) {
		t.Error("key frames")
	}
}

// TestShippedMedia holds what examples/call plays to what it promises.
func TestShippedMedia(t *testing.T) {
	const dir = "../examples/call/media/"
	video := openFile(t, dir+"pattern.ivf", func(r io.Reader) (sampleReader, error) { return NewIVFReader(r) })
	if len(video) != 250 {
		t.Errorf("%d frames", len(video))
	}
	for i, s := range video {
		if s.KeyFrame != (i%50 == 0) || s.Duration != 40*time.Millisecond {
			t.Errorf("frame %d: key %v, %v", i, s.KeyFrame, s.Duration)
		}
	}
	audio := openFile(t, dir+"melody.ogg", func(r io.Reader) (sampleReader, error) { return NewOggReader(r) })
	if len(audio) < 500 || len(audio) > 502 {
		t.Errorf("%d packets", len(audio))
	}
}
