package rtpflow

import (
	"errors"
	"strings"
	"testing"
)

const (
	extMID  = 1
	extRID  = 2
	extRRID = 3
)

// bundle has audio "0" (target 10), video "1" (target 11) and simulcast video "2" (target 12).
func bundle() *Table {
	video := []PayloadType{{Number: 96}, {Number: 97, Repair: true, Of: 96}, {Number: 100}}
	return &Table{
		MIDExtension: extMID, RIDExtension: extRID, RepairedRIDExtension: extRRID,
		Sections: []Section{
			{Target: 10, MID: "0", PayloadTypes: []PayloadType{{Number: 111}, {Number: 0}}, Sources: []Source{{SSRC: 1000}}},
			{Target: 11, MID: "1", PayloadTypes: append([]PayloadType{{Number: 125}}, video...), Sources: []Source{{SSRC: 2000}, {SSRC: 2001, Repairs: 2000}}},
			{Target: 12, MID: "2", PayloadTypes: video, RIDs: []string{"q", "h", "f"}},
		},
	}
}

type sent struct {
	ssrc           uint32
	pt             uint8
	mid, rid, rrid string
}

func (s sent) header(t testing.TB) *Header {
	var exts []Extension
	for id, v := range map[uint8]string{extMID: s.mid, extRID: s.rid, extRRID: s.rrid} {
		if v != "" {
			exts = append(exts, Extension{id, []byte(v)})
		}
	}
	_, h := packet(t, Fields{SSRC: s.ssrc, PayloadType: s.pt}, []byte{0, 1, 2}, exts...)
	return h
}

func TestRFC8843DemultiplexingOrder(t *testing.T) {
	d := NewDemuxer(0)
	d.SetTable(bundle())
	for _, step := range []struct {
		story string
		sent  sent
		want  Route
		err   error
	}{
		{"an announced SSRC", sent{ssrc: 1000, pt: 111}, Route{Target: 10, Layer: -1, New: true}, nil},
		{"the same again", sent{ssrc: 1000, pt: 0}, Route{Target: 10, Layer: -1}, nil},
		{"with another section's payload type", sent{ssrc: 1000, pt: 125}, Route{}, ErrPayloadType},
		{"a payload type that one section has", sent{ssrc: 1, pt: 111}, Route{Target: 10, Layer: -1, New: true}, nil},
		{"a payload type that two sections have", sent{ssrc: 2, pt: 96}, Route{}, ErrUnknownSource},
		{"a payload type that none has", sent{ssrc: 2, pt: 77}, Route{}, ErrUnknownSource},
		{"a MID binds the SSRC", sent{ssrc: 2, pt: 96, mid: "1"}, Route{Target: 11, Layer: -1, New: true}, nil},
		{"and then it is known without", sent{ssrc: 2, pt: 100}, Route{Target: 11, Layer: -1}, nil},
		{"a MID that does not exist", sent{ssrc: 2, pt: 96, mid: "9"}, Route{}, ErrUnknownMID},
		{"a MID wins over the SSRC", sent{ssrc: 2, pt: 96, mid: "2", rid: "h"}, Route{Target: 12, Layer: 1, New: true}, nil},
		{"a RID without a MID", sent{ssrc: 2, pt: 96, rid: "h"}, Route{Target: 12, Layer: 1}, nil},
		{"a RID that is not announced", sent{ssrc: 3, pt: 96, mid: "2", rid: "x"}, Route{}, ErrUnknownRID},
		{"another layer", sent{ssrc: 3, pt: 96, mid: "2", rid: "q"}, Route{Target: 12, Layer: 0, New: true}, nil},
		{"retransmission of a layer", sent{ssrc: 4, pt: 97, mid: "2", rrid: "q"}, Route{Target: 12, Layer: 0, New: true, Repair: true, MediaSSRC: 3, MediaPayloadType: 96}, nil},
		{"known later by its SSRC", sent{ssrc: 4, pt: 97}, Route{Target: 12, Layer: 0, Repair: true, MediaSSRC: 3, MediaPayloadType: 96}, nil},
		{"announced retransmission", sent{ssrc: 2001, pt: 97}, Route{Target: 11, Layer: -1, New: true, Repair: true, MediaSSRC: 2000, MediaPayloadType: 96}, nil},
		{"retransmission of a layer without media", sent{ssrc: 5, pt: 97, mid: "2", rrid: "f"}, Route{Target: 12, Layer: 2, New: true, Repair: true, MediaPayloadType: 96}, nil},
		{"its media comes", sent{ssrc: 6, pt: 96, mid: "2", rid: "f"}, Route{Target: 12, Layer: 2, New: true}, nil},
		{"now it is known", sent{ssrc: 5, pt: 97}, Route{Target: 12, Layer: 2, Repair: true, MediaSSRC: 6, MediaPayloadType: 96}, nil},
		{"the media changes its SSRC", sent{ssrc: 7, pt: 96, mid: "2", rid: "f"}, Route{Target: 12, Layer: 2, New: true}, nil},
		{"and the retransmission follows", sent{ssrc: 5, pt: 97}, Route{Target: 12, Layer: 2, Repair: true, MediaSSRC: 7, MediaPayloadType: 96}, nil},
	} {
		got, err := d.Route(step.sent.header(t))
		if !errors.Is(err, step.err) || got != step.want {
			t.Errorf("%s: %+v (%v), want %+v (%v)", step.story, got, err, step.want, step.err)
		}
	}
	if st := d.Stats(); st != (DemuxStats{UnknownMID: 1, UnknownRID: 1, UnknownSource: 2, PayloadType: 1}) {
		t.Errorf("%+v", st)
	}
}

func TestRenegotiationKeepsWhatWasLearned(t *testing.T) {
	d := NewDemuxer(0)
	d.SetTable(bundle())
	route := func(s sent) (Route, error) { return d.Route(s.header(t)) }
	for _, s := range []sent{{ssrc: 1, pt: 96, mid: "1"}, {ssrc: 2, pt: 96, mid: "2", rid: "f"}, {ssrc: 3, pt: 96, mid: "2", rid: "q"}, {ssrc: 4, pt: 111, mid: "0"}} {
		if _, err := route(s); err != nil {
			t.Fatal(err)
		}
	}
	t.Log("# audio goes, a section comes in front, layer q is dropped")
	next := bundle()
	next.Sections[0] = Section{Target: 20, MID: "3", PayloadTypes: []PayloadType{{Number: 96}}}
	next.Sections[2].RIDs = []string{"f"}
	d.SetTable(next)
	if r, err := route(sent{ssrc: 1, pt: 96}); err != nil || r != (Route{Target: 11, Layer: -1}) {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := route(sent{ssrc: 2, pt: 96}); err != nil || r != (Route{Target: 12, Layer: 0}) {
		t.Errorf("%+v %v", r, err)
	}
	for _, s := range []sent{{ssrc: 3, pt: 96}, {ssrc: 4, pt: 111}, {ssrc: 1000, pt: 96}} {
		if r, err := route(s); !errors.Is(err, ErrUnknownSource) {
			t.Errorf("SSRC %d: %+v %v", s.ssrc, r, err)
		}
	}
}

func TestDemuxerWithoutMIDs(t *testing.T) {
	d := NewDemuxer(0)
	d.SetTable(&Table{Sections: []Section{{Target: 1, PayloadTypes: []PayloadType{{Number: 8}}}}})
	if r, err := d.Route(sent{ssrc: 9, pt: 8}.header(t)); err != nil || r.Target != 1 {
		t.Fatal(r, err)
	}
	d.SetTable(&Table{Sections: []Section{{Target: 1, PayloadTypes: []PayloadType{{Number: 8}}}}})
	if r, err := d.Route(sent{ssrc: 9, pt: 8}.header(t)); err != nil || r.New {
		t.Fatal(r, err)
	}
	d.SetTable(&Table{})
	if _, err := d.Route(sent{ssrc: 9, pt: 8}.header(t)); !errors.Is(err, ErrUnknownSource) {
		t.Fatal(err)
	}
}

func TestLookupAndForget(t *testing.T) {
	d := NewDemuxer(0)
	d.SetTable(bundle())
	if r, ok := d.Lookup(2001); !ok || r != (Route{Target: 11, Layer: -1, Repair: true, MediaSSRC: 2000}) {
		t.Errorf("%+v", r)
	}
	if _, ok := d.Lookup(5); ok {
		t.Error("an SSRC that is not bound")
	}
	d.Forget(5)
	d.Forget(2000)
	if _, ok := d.Lookup(2000); ok {
		t.Error("still bound")
	}
}

func TestLearnedSourcesAreCapped(t *testing.T) {
	d := NewDemuxer(16)
	d.SetTable(bundle())
	busy := sent{ssrc: 7, pt: 96, mid: "1"}.header(t)
	for i := range 1000 {
		if r, err := d.Route(busy); err != nil || r.New != (i == 0) {
			t.Fatalf("round %d: %+v %v", i, r, err)
		}
		if _, err := d.Route(sent{ssrc: uint32(10000 + i), pt: 96, mid: "2", rid: "q"}.header(t)); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.bindings) != 16 || len(d.order) != 16 {
		t.Fatalf("%d bindings, %d in order", len(d.bindings), len(d.order))
	}
	if n := d.Stats().Evicted; n != 1001+3-16 {
		t.Fatalf("%d evicted", n)
	}
}

func TestRoutingAllocatesNothing(t *testing.T) {
	d := NewDemuxer(0)
	d.SetTable(bundle())
	packets := [][]byte{}
	for _, s := range []sent{
		{ssrc: 1, pt: 111},
		{ssrc: 2, pt: 96, mid: "1"},
		{ssrc: 3, pt: 96, mid: "2", rid: "h"},
		{ssrc: 4, pt: 97, mid: "2", rrid: "h"},
		{ssrc: 5, pt: 96, mid: strings.Repeat("x", 16)},
		{ssrc: 6, pt: 77},
	} {
		var exts []Extension
		for _, e := range []Extension{{extMID, []byte(s.mid)}, {extRID, []byte(s.rid)}, {extRRID, []byte(s.rrid)}} {
			if len(e.Data) > 0 {
				exts = append(exts, e)
			}
		}
		pkt, _ := packet(t, Fields{SSRC: s.ssrc, PayloadType: s.pt}, []byte{0, 1}, exts...)
		packets = append(packets, pkt)
	}
	wantNoAllocs(t, "Route", func() {
		for _, pkt := range packets {
			h, err := ParseHeader(pkt)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = d.Route(&h)
		}
	})
}

func BenchmarkParseAndRoute(b *testing.B) {
	d := NewDemuxer(0)
	d.SetTable(bundle())
	pkt, _ := packet(b, Fields{SSRC: 3, PayloadType: 96}, make([]byte, 1000), Extension{extMID, []byte("2")}, Extension{extRID, []byte("h")})
	r := NewReceiverStream(ReceiverConfig{SSRC: 3})
	g := NewNACKGenerator(NACKConfig{})
	b.ReportAllocs()
	for b.Loop() {
		h, err := ParseHeader(pkt)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Route(&h); err != nil {
			b.Fatal(err)
		}
		pkt[3]++
		if pkt[3] == 0 {
			pkt[2]++
		}
		g.Receive(start, r.Receive(start, &h))
	}
}
