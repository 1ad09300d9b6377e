package jsep

import (
	"testing"

	"github.com/openparley/webrtc/sdp"
)

func TestDataOnly(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.wantNeeded(false)
	a.data().wantNeeded(true)
	o := a.offer()
	fx := a.local(o)
	if tr := fx.Transport; tr == nil || !tr.LocalChanged || tr.Ready || tr.MID != "0" || tr.Index != 0 {
		t.Fatalf("transport %+v", fx.Transport)
	}
	fb := b.remote(o)
	if fb.Transport != nil {
		t.Fatalf("a transport before the answer: %+v", fb.Transport)
	}
	an := b.answer()
	fb = b.local(an)
	fa := a.remote(an)
	ta, tb := fa.Transport, fb.Transport
	if !ta.Ready || !ta.Controlling || ta.DTLSRole != DTLSRoleServer || ta.Remote != tb.Local || ta.LocalChanged || !ta.RemoteChanged {
		t.Fatalf("a: %+v", ta)
	}
	if !tb.Ready || tb.Controlling || tb.DTLSRole != DTLSRoleClient || tb.Remote != ta.Local || !tb.LocalChanged {
		t.Fatalf("b: %+v", tb)
	}
	if fa.Data == nil || fb.Data == nil || fa.Data.RemotePort != 5000 || fa.Data.MaxMessageSize != 262144 {
		t.Fatalf("data %+v %+v", fa.Data, fb.Data)
	}
	a.wantNeeded(false)
	b.wantNeeded(false)
}

func TestAudioAndVideo(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv, "s")
	tv := a.add(KindVideo, sdp.SendOnly, "s")
	a.data()
	o := a.offer()
	fa := a.local(o)
	if len(fa.Flows) != 2 || fa.Flows[0].Send || !fa.Flows[0].Receive || fa.Flows[1].Send || fa.Flows[1].Receive {
		t.Fatalf("flows while the offer is out: %+v", fa.Flows)
	}
	fb := b.remote(o)
	if len(fb.TracksAdded) != 2 || len(fb.Created) != 2 || len(fb.StreamAdditions) != 2 || fb.StreamAdditions[0].Stream != "s" {
		t.Fatalf("effects of the offer: %+v", fb)
	}
	bt := fb.TracksAdded
	if _, reused, err := b.AddTrack(KindAudio, "mic", []string{"x"}); err != nil || !reused {
		t.Fatalf("AddTrack: reused %v, %v", reused, err)
	}
	an := b.answer()
	fb = b.local(an)
	fa = a.remote(an)
	if len(fa.TracksAdded) != 1 || fa.TracksAdded[0] != ta || fa.TracksAdded[0].Receiver.Track != "mic" {
		t.Fatalf("tracks at a: %+v", fa.TracksAdded)
	}
	if ta.CurrentDirection != sdp.SendRecv || tv.CurrentDirection != sdp.SendOnly || bt[1].CurrentDirection != sdp.RecvOnly {
		t.Fatalf("directions %s %s %s", ta.CurrentDirection, tv.CurrentDirection, bt[1].CurrentDirection)
	}
	if len(fa.Flows) != 2 || len(fb.Flows) != 2 {
		t.Fatalf("flows %d %d", len(fa.Flows), len(fb.Flows))
	}
	va, vb := fa.Flows[1], fb.Flows[1]
	if !va.Send || va.Receive || vb.Send || !vb.Receive || va.SendCodecs[0].Name != "VP8" || !va.RTX {
		t.Fatalf("video flows\n%+v\n%+v", va, vb)
	}
	if len(vb.SSRCs) != 2 || vb.SSRCs[0].ID != va.Encodings[0].SSRC || vb.SSRCs[1].ID != va.Encodings[0].RTX {
		t.Fatalf("ssrcs %+v %+v", vb.SSRCs, va.Encodings)
	}
	a.wantNeeded(false)
	b.wantNeeded(false)

	t.Log("# b turns the camera on too")
	if _, _, err := b.AddTrack(KindVideo, "cam", nil); err != nil {
		t.Fatal(err)
	}
	b.wantNeeded(true)
	connect(b, a)
	b.wantNeeded(false) // a only sends, and b's offer said what b wants
	if v := b.Transceivers()[1]; v.CurrentDirection != sdp.RecvOnly {
		t.Fatalf("direction %s", v.CurrentDirection)
	}
	if err := a.SetDirection(tv, sdp.SendRecv); err != nil {
		t.Fatal(err)
	}
	a.wantNeeded(true)
	connect(a, b)
	a.wantNeeded(false)
	b.wantNeeded(false)
	if tv.CurrentDirection != sdp.SendRecv {
		t.Fatalf("direction %s", tv.CurrentDirection)
	}
}
