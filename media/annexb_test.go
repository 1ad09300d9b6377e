package media

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestAnnexBFileOfAnotherEncoder(t *testing.T) {
	whole := testdata(t, "h264.h264")
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(whole), "byte by byte": iotest.OneByteReader(bytes.NewReader(whole)),
		"with the end": iotest.DataErrReader(bytes.NewReader(whole)),
	} {
		units := readAll(t, NewAnnexBReader(r))
		if len(units) != 20 {
			t.Fatalf("%s: %d access units", name, len(units))
		}
		for i, u := range units {
			if u.KeyFrame != (i%10 == 0) || IsKeyFrame(MimeTypeH264, u.Data) != u.KeyFrame {
				t.Errorf("%s: unit %d: key frame %v", name, i, u.KeyFrame)
			}
			slices := 0
			for nal := range annexBUnits(u.Data) {
				if kind := nal[0] & 0x1f; kind == nalSlice || kind == nalIDR {
					slices++
				}
			}
			if slices != 2 {
				t.Errorf("%s: unit %d has %d slices", name, i, slices)
			}
		}
	}
}

func TestAnnexBRoundTrip(t *testing.T) {
	var out bytes.Buffer
	w := NewAnnexBWriter(&out)
	r := NewAnnexBReader(bytes.NewReader(testdata(t, "h264.h264")))
	var want [][]byte
	for {
		nal, err := r.NextNAL()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, nal)
		if err := w.WriteNAL(nal); err != nil {
			t.Fatal(err)
		}
	}
	r = NewAnnexBReader(&out)
	for i, nal := range want {
		if got, err := r.NextNAL(); err != nil || !bytes.Equal(got, nal) {
			t.Fatalf("NAL unit %d: %v", i, err)
		}
	}
	if _, err := r.NextNAL(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func TestAnnexBDamage(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		want error
	}{
		"empty":         {"", io.EOF},
		"zeros":         {"\x00\x00\x00\x00", io.EOF},
		"no start code": {"hello", ErrFormat},
		"junk in front": {"hello\x00\x00\x01\x65", ErrFormat},
		"only codes":    {"\x00\x00\x01\x00\x00\x01\x00\x00\x01", io.EOF},
	} {
		if _, err := NewAnnexBReader(bytes.NewReader([]byte(c.data))).Next(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	endless := io.MultiReader(bytes.NewReader([]byte{0, 0, 1}), infinite{})
	if _, err := NewAnnexBReader(endless).NextNAL(); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, err := NewAnnexBReader(iotest.ErrReader(errFull)).Next(); !errors.Is(err, errFull) {
		t.Error(err)
	}
	for room := range 6 {
		w := NewAnnexBWriter(&failing{room})
		if err := w.WriteNAL([]byte{1, 2, 3}); !errors.Is(err, errFull) {
			t.Error(err)
		}
	}
	if err := NewAnnexBWriter(&failing{1}).WriteAccessUnit([]byte{1, 2, 3}); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

type infinite struct{}

func (infinite) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 7
	}
	return len(b), nil
}

func FuzzAnnexBReader(f *testing.F) {
	f.Add(testdata(f, "h264.h264")[:1500])
	f.Add([]byte("\x00\x00\x00\x01\x67abc\x00\x00\x01\x68\x00\x00\x00\x01\x65\x88\x00\x00\x01\x41\x9a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var joined []byte
		r := NewAnnexBReader(iotest.HalfReader(bytes.NewReader(data)))
		var err error
		for n := 0; err == nil; n++ {
			var s Sample
			if s, err = r.Next(); n > len(data) {
				t.Fatal("no end")
			}
			joined = append(joined, s.Data...)
		}
		t.Log("# what was read reads the same again")
		want := NewAnnexBReader(bytes.NewReader(data))
		got := NewAnnexBReader(bytes.NewReader(joined))
		for len(joined) > 0 && errors.Is(err, io.EOF) {
			a, aerr := want.NextNAL()
			b, berr := got.NextNAL()
			if !bytes.Equal(a, b) || (aerr == nil) != (berr == nil) {
				t.Fatalf("%x (%v), then %x (%v)", a, aerr, b, berr)
			}
			if aerr != nil {
				return
			}
		}
	})
}
