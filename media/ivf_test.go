package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"
)

func TestIVFFilesOfAnotherEncoder(t *testing.T) {
	for _, f := range files[:3] {
		t.Run(f.name, func(t *testing.T) {
			r := openSamples(t, f.name).(*IVFReader)
			h := r.Header()
			if h.MimeType != f.mime || h.Width != 176 || h.Height != 144 || h.TimebaseDenominator != 25 || h.TimebaseNumerator != 1 {
				t.Fatalf("%+v", h)
			}
			samples := readAll(t, r)
			if len(samples) != 20 {
				t.Fatalf("%d frames", len(samples))
			}
			c, _ := CodecOf(f.mime)
			for i, s := range samples {
				if s.Timestamp != uint32(i)*3600 || s.Duration != 40*time.Millisecond {
					t.Errorf("frame %d: %d, %v", i, s.Timestamp, s.Duration)
				}
				if s.KeyFrame != (i%10 == 0) || IsKeyFrame(f.mime, s.Data) != s.KeyFrame {
					t.Errorf("frame %d: key frame %v", i, s.KeyFrame)
				}
				if w, h, ok := frameSize(c, s.Data); ok != s.KeyFrame || ok && (w != 176 || h != 144) {
					t.Errorf("frame %d: %d x %d, %v", i, w, h, ok)
				}
			}
		})
	}
}

func TestIVFRoundTrip(t *testing.T) {
	for _, f := range files[:3] {
		want := testdata(t, f.name)
		r := openSamples(t, f.name).(*IVFReader)
		h := r.Header()
		h.Length = 0
		var out seekable
		w, err := NewIVFWriter(&out, h)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range readAll(t, r) {
			if err := w.WriteFrame(s.Data, uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(out.data, want) {
			t.Errorf("%s: %d bytes that differ from the %d read", f.name, len(out.data), len(want))
		}
		if err := w.WriteFrame(nil, 1); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

func TestIVFDamage(t *testing.T) {
	good := testdata(t, "vp8.ivf")
	patched := func(at int, b ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[at:], b)
		return c
	}
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":            {nil, ErrFormat},
		"cut header":       {good[:31], ErrFormat},
		"signature":        {patched(0, 'X'), ErrFormat},
		"version":          {patched(4, 9), ErrFormat},
		"codec":            {patched(8, 'X'), ErrCodec},
		"timebase":         {patched(16, 0, 0, 0, 0), ErrFormat},
		"cut longer head":  {patched(6, 0xff, 0xff), ErrFormat},
		"cut frame header": {good[:40], ErrFormat},
		"cut frame":        {good[:60], ErrFormat},
		"huge frame":       {patched(32, 0xff, 0xff, 0xff, 0xff), ErrTooLarge},
		"large, cut frame": {patched(32, 0, 0, 0xff, 0), ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewIVFReader(bytes.NewReader(c.data))
			for err == nil {
				_, err = r.Next()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	t.Log("# a longer header is skipped")
	longer := append(append(patched(6, 36)[:32], 1, 2, 3, 4), good[32:]...)
	r, err := NewIVFReader(bytes.NewReader(longer))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(readAll(t, r)); n != 20 {
		t.Errorf("%d frames", n)
	}
}

func TestIVFWriterErrors(t *testing.T) {
	if _, err := NewIVFWriter(io.Discard, IVFHeader{MimeType: MimeTypeOpus}); !errors.Is(err, ErrCodec) {
		t.Error(err)
	}
	if _, err := NewIVFWriter(io.Discard, IVFHeader{MimeType: "video/none"}); !errors.Is(err, ErrCodec) {
		t.Error(err)
	}
	if _, err := NewIVFWriter(&failing{10}, IVFHeader{MimeType: MimeTypeVP8}); !errors.Is(err, errFull) {
		t.Error(err)
	}
	for room := range 20 {
		w, err := NewIVFWriter(&failing{32 + room}, IVFHeader{MimeType: MimeTypeVP8})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.WriteFrame(make([]byte, 10), 0); !errors.Is(err, errFull) {
				t.Errorf("room for %d: %v", room, err)
			}
		}
		if err := w.Close(); !errors.Is(err, errFull) {
			t.Error(err)
		}
	}
	w, _ := NewIVFWriter(io.Discard, IVFHeader{MimeType: MimeTypeVP8})
	if err := w.WriteFrame(make([]byte, MaxFrame+1), 0); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func FuzzIVFReader(f *testing.F) {
	for _, name := range []string{"vp8.ivf", "vp9.ivf", "av1.ivf"} {
		f.Add(testdata(f, name)[:2000])
	}
	huge := testdata(f, "vp8.ivf")[:100]
	binary.LittleEndian.PutUint64(huge[36:], 1<<63)
	f.Add(huge)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := NewIVFReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		for n := 0; err == nil; n++ {
			var s Sample
			if s, err = r.Next(); n > len(data) {
				t.Fatal("no end")
			}
			c, _ := CodecOf(r.Header().MimeType)
			frameSize(c, s.Data)
		}
	})
}
