package rtpflow

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pion/rtp"
)

func TestHeaderAgreesWithAnIndependentCodec(t *testing.T) {
	for _, c := range []struct {
		name    string
		profile uint16
		exts    []Extension
	}{
		{"plain", 0, nil},
		{"one byte", 0xbede, []Extension{{1, []byte("0")}, {14, bytes.Repeat([]byte{7}, 16)}}},
		{"two byte", 0x1000, []Extension{{200, []byte("high")}, {3, bytes.Repeat([]byte{9}, 17)}, {4, []byte{}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Fields{Marker: true, PayloadType: 111, SequenceNumber: 65000, Timestamp: 1 << 31, SSRC: 0xdeadbeef}
			pkt, h := packet(t, f, []byte("payload"), c.exts...)
			var theirs rtp.Packet
			if err := theirs.Unmarshal(pkt); err != nil {
				t.Fatal(err)
			}
			if theirs.SSRC != h.SSRC || theirs.Timestamp != h.Timestamp || theirs.SequenceNumber != h.SequenceNumber ||
				theirs.Marker != h.Marker || theirs.PayloadType != h.PayloadType || !bytes.Equal(theirs.Payload, h.Payload) {
				t.Fatalf("%+v, they read %+v", h, theirs)
			}
			if h.ExtensionProfile != c.profile {
				t.Errorf("profile %#x", h.ExtensionProfile)
			}
			for _, e := range c.exts {
				if got := h.Extension(e.ID); got == nil || !bytes.Equal(got, e.Data) || !bytes.Equal(got, theirs.GetExtension(e.ID)) {
					t.Errorf("extension %d: %x", e.ID, got)
				}
			}
			if h.Extension(0) != nil || h.Extension(99) != nil {
				t.Error("an extension that is not there")
			}
		})
	}
}

func TestHeaderRefusals(t *testing.T) {
	for name, pkt := range map[string][]byte{
		"empty":               {},
		"cut CSRCs":           {0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"cut extension":       {0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 1},
		"no extension header": {0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe},
		"no padding":          {0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"padding of zero":     {0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"padding too long":    {0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3},
	} {
		if _, err := ParseHeader(pkt); !errors.Is(err, ErrShort) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseHeader(make([]byte, 12)); !errors.Is(err, ErrVersion) {
		t.Errorf("version 0: %v", err)
	}
	for _, e := range []Extension{{0, []byte{1}}, {1, make([]byte, 256)}} {
		if _, err := AppendHeader(nil, Fields{}, []Extension{e}); !errors.Is(err, ErrExtension) {
			t.Errorf("extension %d of %d bytes: %v", e.ID, len(e.Data), err)
		}
	}
}

func TestRFC8285OneByteReservedIDs(t *testing.T) {
	h := Header{ExtensionProfile: 0xbede, Extensions: []byte{0, 0x10, 'a', 0xf0, 'x', 0x20, 'b', 0}}
	if got := h.Extension(1); string(got) != "a" {
		t.Errorf("behind padding: %q", got)
	}
	if got := h.Extension(2); got != nil {
		t.Errorf("id 15 ends the processing, but %q was found behind it", got)
	}
	h = Header{ExtensionProfile: 0x1000, Extensions: []byte{5, 9, 1, 2}}
	if h.Extension(5) != nil {
		t.Error("an element longer than its block")
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add([]byte{0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3})
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1, 0x10, '1', 0, 0, 9})
	f.Add([]byte{0xb1, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 7, 7, 7, 7, 0x10, 0, 0, 1, 1, 2, 3, 4, 9, 0, 0, 3})
	f.Fuzz(func(t *testing.T, pkt []byte) {
		h, err := ParseHeader(pkt)
		if err != nil {
			return
		}
		if h.Length+len(h.Payload)+h.Padding != len(pkt) {
			t.Fatalf("%d + %d + %d of %d bytes", h.Length, len(h.Payload), h.Padding, len(pkt))
		}
		for id := range 256 {
			_ = h.Extension(uint8(id))
		}
		s := NewRTXSender(RTXConfig{SSRC: 9, PayloadTypes: [128]uint8{96: 97}, RIDExtension: 1, RepairedRIDExtension: 2})
		wrapped, ok := s.Append(nil, pkt)
		if !ok {
			return
		}
		wh, err := ParseHeader(wrapped)
		if err != nil {
			t.Fatal(err)
		}
		back, err := UnwrapRTX(wrapped, &wh, h.SSRC, 96)
		if err != nil {
			t.Fatal(err)
		}
		bh, err := ParseHeader(back)
		if err != nil || bh.SequenceNumber != h.SequenceNumber || !bytes.Equal(bh.Payload, h.Payload) || bh.Padding != 0 {
			t.Fatalf("retransmission: %+v, %v", bh, err)
		}
	})
}
