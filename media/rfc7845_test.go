package media

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"testing"
	"time"
)

func TestRFC6716PacketDuration(t *testing.T) {
	for _, c := range []struct {
		packet []byte
		want   time.Duration
	}{
		{nil, 0},
		{[]byte{0 << 3}, 10 * time.Millisecond},
		{[]byte{3 << 3}, 60 * time.Millisecond},
		{[]byte{11<<3 | 1}, 120 * time.Millisecond},
		{[]byte{12 << 3}, 10 * time.Millisecond},
		{[]byte{15<<3 | 2}, 40 * time.Millisecond},
		{[]byte{16 << 3}, 2500 * time.Microsecond},
		{[]byte{31 << 3}, 20 * time.Millisecond},
		{[]byte{31<<3 | 3, 6}, 120 * time.Millisecond},
		{[]byte{31<<3 | 3, 7}, 0},
		{[]byte{31<<3 | 3, 0xc3}, 60 * time.Millisecond},
		{[]byte{31<<3 | 3}, 0},
		{[]byte{31<<3 | 3, 0}, 0},
	} {
		if got := OpusDuration(c.packet); got != c.want {
			t.Errorf("%x: %v, want %v", c.packet, got, c.want)
		}
	}
}

func TestOggFileOfAnotherEncoder(t *testing.T) {
	r := openSamples(t, "tone.ogg").(*OggReader)
	if h := r.Header(); h.Channels != 2 || h.PreSkip != 312 || h.InputSampleRate != 44100 && h.InputSampleRate != 48000 {
		t.Fatalf("%+v", h)
	}
	samples := readAll(t, r)
	if len(samples) != 51 {
		t.Fatalf("%d packets", len(samples))
	}
	for i, s := range samples {
		if s.Timestamp != uint32(i)*960 || s.Duration != 20*time.Millisecond || !s.KeyFrame {
			t.Fatalf("packet %d: %+v", i, s)
		}
	}
}

// pagesOf reads the pages of a file.
func pagesOf(t *testing.T, data []byte) (pages []oggPage) {
	t.Helper()
	p := oggPages{r: bytes.NewReader(data)}
	for {
		page, err := p.next()
		if errors.Is(err, io.EOF) {
			return pages
		}
		if err != nil {
			t.Fatal(err)
		}
		page.body, page.lacing = bytes.Clone(page.body), bytes.Clone(page.lacing)
		pages = append(pages, page)
	}
}

func TestRFC7845PagesAndGranules(t *testing.T) {
	var out bytes.Buffer
	w, err := NewOggWriter(&out, OggWriterConfig{Serial: 77, Comments: []string{"TITLE=tone"}})
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewSource(1))
	var want [][]byte
	total := uint64(0)
	for range 500 {
		toc := byte(rnd.Intn(32)) << 3
		packet := make([]byte, 1+rnd.Intn(1300))
		packet[0] = toc
		if rnd.Intn(50) == 0 {
			packet = append(packet, make([]byte, 50000)...)
		}
		if rnd.Intn(5) == 0 {
			packet = append([]byte{toc}, make([]byte, 254)...) // a multiple of 255 needs an empty segment behind it
		}
		want = append(want, packet)
		total += opusSamples(OpusDuration(packet))
		if err := w.WritePacket(packet); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil || !errors.Is(w.WritePacket(want[0]), ErrClosed) {
		t.Fatal("closed twice")
	}
	pages := pagesOf(t, out.Bytes())
	for i, p := range pages {
		flags := byte(0)
		switch i {
		case 0:
			flags = oggBegin
		case len(pages) - 1:
			flags = oggEnd
		}
		if p.serial != 77 || p.sequence != uint32(i) || p.flags != flags {
			t.Fatalf("page %d: %+v", i, p)
		}
		if i < 2 && (p.granule != 0 || i == 0 && len(p.lacing) != 1) {
			t.Fatalf("header page %d: granule %d", i, p.granule)
		}
	}
	if last := pages[len(pages)-1].granule; last != total {
		t.Fatalf("ends at %d, want %d", last, total)
	}
	wantDuration(t, "written", w.Duration(), time.Duration(total)*time.Second/48000, time.Microsecond)
	r, err := NewOggReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	if h := r.Header(); h.Channels != 2 || h.PreSkip != 3840 || h.InputSampleRate != 48000 {
		t.Fatalf("%+v", h)
	}
	got := readAll(t, r)
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i].Data, want[i]) {
			t.Fatalf("packet %d differs", i)
		}
	}
}

// page makes one Ogg page.
func page(flags byte, serial, sequence uint32, lacing []byte, body []byte) []byte {
	b := append([]byte("OggS\x00"), flags)
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, serial)
	b = le.AppendUint32(b, sequence)
	b = append(b, 0, 0, 0, 0, byte(len(lacing)))
	b = append(append(b, lacing...), body...)
	le.PutUint32(b[22:], oggChecksum(0, b))
	return b
}

func TestRFC3533ContinuedPacketsAndOtherStreams(t *testing.T) {
	head := OpusHeader{Channels: 1}.marshal()
	tags := marshalOpusTags("v", nil)
	start := func() (b []byte) {
		b = append(b, page(oggBegin, 1, 0, []byte{8}, []byte("\x80theora!"))...)
		b = append(b, page(oggBegin, 2, 0, []byte{byte(len(head))}, head)...)
		b = append(b, page(0, 1, 1, []byte{3}, []byte("abc"))...)
		return append(b, page(0, 2, 1, []byte{byte(len(tags))}, tags)...)
	}
	half := bytes.Repeat([]byte{0xf8}, 255)
	file := start()
	file = append(file, page(0, 2, 2, []byte{1, 255}, append([]byte{1}, half...))...)
	file = append(file, page(0, 1, 2, []byte{3}, []byte("def"))...)
	file = append(file, page(oggContinued, 2, 3, []byte{2, 1}, []byte{0xf8, 0xf8, 2})...)
	file = append(file, page(oggEnd, 2, 4, nil, nil)...)
	sizes := func(file []byte) (sizes []int) {
		r, err := NewOggReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range readAll(t, r) {
			sizes = append(sizes, len(s.Data))
		}
		return sizes
	}
	if got := sizes(file); len(got) != 3 || got[0] != 1 || got[1] != 257 || got[2] != 1 {
		t.Errorf("%v", got)
	}
	t.Log("# a lost page takes the packet that went on into it along")
	file = start()
	file = append(file, page(0, 2, 2, []byte{1, 255}, append([]byte{1}, half...))...)
	file = append(file, page(oggContinued, 2, 4, []byte{2, 3}, []byte{0xf8, 0xf8, 2, 2, 2})...)
	if got := sizes(file); len(got) != 2 || got[0] != 1 || got[1] != 3 {
		t.Errorf("%v", got)
	}
}

func TestOggDamage(t *testing.T) {
	good := testdata(t, "tone.ogg")
	flip := bytes.Clone(good)
	flip[len(flip)-5] ^= 1
	head := func(h []byte) []byte { return page(oggBegin, 1, 0, []byte{byte(len(h))}, h) }
	opus := OpusHeader{Channels: 1}.marshal()
	with := func(at int, v byte) []byte {
		b := bytes.Clone(opus)
		b[at] = v
		return head(b)
	}
	endless := head(opus)
	for i := range uint32(20) {
		endless = append(endless, page(oggContinued, 1, i+1, bytes.Repeat([]byte{255}, 255), make([]byte, 255*255))...)
	}
	for name, data := range map[string][]byte{
		"empty":             nil,
		"no pages":          []byte("no pages in here, but more than twenty-seven bytes"),
		"cut page":          good[:len(good)-3],
		"cut head":          good[:10],
		"cut lacing":        good[:27],
		"checksum":          flip,
		"no begin":          page(0, 1, 0, []byte{19}, opus),
		"no Opus":           page(oggBegin, 1, 0, []byte{8}, []byte("\x80theora!")),
		"head alone":        head(opus),
		"version":           with(8, 0x10),
		"no channels":       with(9, 0),
		"too many channels": with(9, 3),
		"no mapping":        with(18, 1),
		"no tags":           append(head(opus), page(0, 1, 1, []byte{8}, []byte("OpusHead"))...),
		"endless packet":    endless,
	} {
		r, err := NewOggReader(bytes.NewReader(data))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOggWriterErrors(t *testing.T) {
	if _, err := NewOggWriter(io.Discard, OggWriterConfig{Channels: 3}); !errors.Is(err, ErrCodec) {
		t.Error(err)
	}
	if _, err := NewOggWriter(&failing{10}, OggWriterConfig{}); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if _, err := NewOggWriter(io.Discard, OggWriterConfig{Comments: []string{string(make([]byte, 70000))}}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	w, err := NewOggWriter(&failing{200}, OggWriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(nil); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	if err := w.WritePacket(make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

func FuzzOggReader(f *testing.F) {
	f.Add(testdata(f, "tone.ogg")[:1000])
	head := OpusHeader{Channels: 2}.marshal()
	file := page(oggBegin, 1, 0, []byte{byte(len(head))}, head)
	tags := marshalOpusTags("v", nil)
	file = append(file, page(0, 1, 1, []byte{byte(len(tags))}, tags)...)
	file = append(file, page(oggContinued, 1, 2, []byte{3, 0, 255}, make([]byte, 258))...)
	f.Add(file)
	f.Fuzz(func(t *testing.T, data []byte) {
		// Right checksums let the fuzzer reach what is behind them.
		data = bytes.Clone(data)
		for at := 0; at+oggHeaderSize <= len(data) && string(data[at:at+4]) == "OggS"; {
			end := at + oggHeaderSize + int(data[at+26])
			if end > len(data) {
				break
			}
			for _, n := range data[at+oggHeaderSize : end] {
				end += int(n)
			}
			if end > len(data) {
				break
			}
			clear(data[at+22 : at+26])
			le.PutUint32(data[at+22:], oggChecksum(0, data[at:end]))
			at = end
		}
		r, err := NewOggReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		for n := 0; err == nil; n++ {
			if _, err = r.Next(); n > len(data) {
				t.Fatal("no end")
			}
		}
	})
}
