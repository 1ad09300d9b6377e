package jsep

import (
	"slices"
	"strings"
	"testing"

	"github.com/openparley/webrtc/sdp"
)

func (p *peer) simulcast(rids ...string) *Transceiver {
	p.t.Helper()
	t, err := p.AddTransceiver(KindVideo, TransceiverInit{Direction: sdp.SendOnly, Track: "cam", Streams: []string{"s"}, RIDs: rids})
	if err != nil {
		p.t.Fatal(err)
	}
	return t
}

func ridsOf(list []Encoding) (out []string) {
	for _, e := range list {
		out = append(out, e.RID)
	}
	return out
}

// RFC 8853 §5: offered, accepted, and renegotiated.
func TestSimulcastIsOfferedAndAccepted(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	tv := a.simulcast("q", "h", "f")
	o := a.offer()
	if !strings.Contains(o.SDP, "a=rid:q send\r\n") || !strings.Contains(o.SDP, "a=simulcast:send q;h;f\r\n") || strings.Contains(o.SDP, "a=ssrc") {
		t.Fatal(o.SDP)
	}
	fa, fb := connect(a, b)
	if got := ridsOf(tv.Sender.Encodings); !slices.Equal(got, []string{"q", "h", "f"}) {
		t.Fatalf("%v", got)
	}
	if !slices.Equal(fb.Flows[0].RIDs, []string{"q", "h", "f"}) || !slices.Equal(ridsOf(fa.Flows[0].Encodings), fb.Flows[0].RIDs) {
		t.Fatalf("%+v", fb.Flows[0].RIDs)
	}
	fa, fb = connect(b, a)
	if len(fb.Flows[0].Encodings) != 3 || len(fa.Flows[0].RIDs) != 3 {
		t.Fatalf("%+v\n%+v", fa.Flows[0], fb.Flows[0])
	}
}

// webrtc-pc §4.4.1.5: what is not accepted is dropped.
func TestSimulcastIsRefused(t *testing.T) {
	caps := testCapabilities()
	caps.Video.Extensions = caps.Video.Extensions[:1]
	a, b := newPeer(t, "a", 1), newPeerWith(t, "b", Config{Capabilities: caps})
	tv := a.simulcast("q", "h", "f")
	ssrc := tv.Sender.Encodings[0].SSRC
	fa, fb := connect(a, b)
	if e := tv.Sender.Encodings; len(e) != 1 || e[0].RID != "" || e[0].SSRC != ssrc || len(fa.Flows[0].Encodings) != 1 {
		t.Fatalf("%+v", e)
	}
	if fb.Flows[0].RIDs != nil {
		t.Fatalf("%+v", fb.Flows[0].RIDs)
	}
	t.Log("# by half")
	a, b = newPeer(t, "a", 1), newPeer(t, "b", 2)
	tv = a.simulcast("q", "h", "f")
	o := a.offer()
	a.local(o)
	b.remote(o)
	a.remote(edit(b.answer(), "a=simulcast:recv q;h;f", "a=simulcast:recv q;f", "a=rid:h recv\r\n", ""))
	if got := ridsOf(tv.Sender.Encodings); !slices.Equal(got, []string{"q", "f"}) {
		t.Fatalf("%v", got)
	}
}

// An offer that asks to receive simulcast gives the answerer its encodings.
func TestSimulcastIsAskedFor(t *testing.T) {
	p := newPeer(t, "p", 1)
	tv, _, err := p.AddTrack(KindVideo, "cam", nil)
	if err != nil {
		t.Fatal(err)
	}
	ssrc := tv.Sender.Encodings[0].SSRC
	o := videoOffer("96", "a=rtpmap:96 VP8/90000", "a=recvonly", "a=extmap:3 "+ExtensionRID, "a=extmap:4 "+ExtensionMID,
		"a=rid:lo recv", "a=rid:hi recv", "a=simulcast:recv lo;hi")
	p.remote(o)
	an := p.answer()
	fx := p.local(an)
	if !strings.Contains(an.SDP, "a=simulcast:send lo;hi\r\n") || tv.Sender.Encodings[0].SSRC != ssrc ||
		!slices.Equal(ridsOf(fx.Flows[0].Encodings), []string{"lo", "hi"}) || !fx.Flows[0].Send {
		t.Fatalf("%+v\n%s", fx.Flows, an.SDP)
	}
	if tv.MID != "v" {
		t.Fatal("the application's transceiver was not taken")
	}
}

func TestRIDsAreChecked(t *testing.T) {
	p := newPeer(t, "p", 1)
	for _, rids := range [][]string{{"a", "a"}, {"a", ""}, {"a", "b c"}, {"a", strings.Repeat("x", 256)}, make([]string, 17)} {
		if _, err := p.AddTransceiver(KindVideo, TransceiverInit{RIDs: rids}); err == nil {
			t.Errorf("%q accepted", rids)
		}
	}
	if tr := p.simulcast("only"); tr.Sender.Encodings[0].RID != "" {
		t.Error("one encoding keeps its rid")
	}
	tr, err := p.AddTransceiver(KindAudio, TransceiverInit{RIDs: []string{"a", "b"}})
	if err != nil || len(tr.Sender.Encodings) != 1 {
		t.Errorf("%+v %v", tr, err)
	}
}
