package jsep

import (
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// RFC 9429 §5.2.2: a stopped transceiver's section is rejected, and its place is taken by the next new one, under a new
// mid, whatever its kind.
func TestRejectedSectionIsRecycled(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv, "s")
	a.add(KindVideo, sdp.SendRecv, "s")
	connect(a, b)
	tb := b.Transceivers()[0]
	if err := a.StopTransceiver(ta); err != nil {
		t.Fatal(err)
	}
	if !ta.Stopping || ta.Stopped {
		t.Fatalf("%+v", ta)
	}
	a.wantNeeded(true)
	o := a.offer()
	if m := parse(t, o.SDP).Media[0]; !m.Rejected() || m.MID != "0" {
		t.Fatalf("section %+v", m)
	}
	if got := bundleOf(parse(t, o.SDP)); got != "1" {
		t.Fatalf("group %q", got)
	}
	a.local(o)
	fb := b.remote(o)
	if len(fb.Stopped) != 1 || fb.Stopped[0] != tb || len(fb.TracksMuted) != 1 || len(fb.StreamRemovals) != 1 {
		t.Fatalf("%+v", fb)
	}
	an := b.answer()
	fb = b.local(an)
	fa := a.remote(an)
	if len(fa.Stopped) != 1 || !ta.Stopped || len(fa.Removed) != 1 || len(fb.Removed) != 1 || len(a.Transceivers()) != 1 {
		t.Fatalf("%+v\n%+v", fa, fb)
	}
	a.wantNeeded(false)
	b.wantNeeded(false)

	t.Log("# the other side takes the place, with video")
	tv := b.add(KindVideo, sdp.SendOnly, "x")
	b.wantNeeded(true)
	_, fa = connect(b, a)
	if tv.MID != "2" || tv.Index != 0 || len(a.st.currentLocal.mids) != 2 || len(a.Transceivers()) != 2 {
		t.Fatalf("%+v, %v", tv, a.st.currentLocal.mids)
	}
	if f := fa.Flows; len(f) != 2 || f[1].MID != "2" || f[1].Index != 0 || !f[1].Receive {
		t.Fatalf("flows %+v", f)
	}
	a.add(KindAudio, sdp.SendRecv)
	connect(a, b)
	if len(a.st.currentLocal.mids) != 3 || a.st.currentLocal.mids[2] != "3" {
		t.Fatalf("mids %v", a.st.currentLocal.mids)
	}
}

// Stopping what was never negotiated takes no negotiation.
func TestStopBeforeNegotiation(t *testing.T) {
	a := newPeer(t, "a", 1)
	ta := a.add(KindAudio, sdp.SendRecv)
	if err := a.StopTransceiver(ta); err != nil {
		t.Fatal(err)
	}
	if !ta.Stopped || len(a.Transceivers()) != 0 {
		t.Fatalf("%+v", ta)
	}
	a.wantNeeded(false)
	if err := a.SetDirection(ta, sdp.SendOnly); err == nil {
		t.Fatal("a stopped transceiver took a direction")
	}
}

// A transceiver stopped between CreateOffer and SetLocal is offered once, and then rejected.
func TestStopBetweenCreateAndSet(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv)
	o := a.offer()
	if err := a.StopTransceiver(ta); err != nil {
		t.Fatal(err)
	}
	a.local(o)
	b.remote(o)
	a.remote(b.local(b.answer()).answerOf(b))
	a.wantNeeded(true)
	connect(a, b)
	a.wantNeeded(false)
	if len(a.Transceivers()) != 0 || len(b.Transceivers()) != 0 {
		t.Fatalf("%d %d left", len(a.Transceivers()), len(b.Transceivers()))
	}
}

// answerOf returns the description that was just set.
func (*Effects) answerOf(p *peer) Description { return *p.LocalDescription() }

// Data channels too: rejected by the answerer they are not offered again, until the application wants them again.
func TestRejectedData(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.add(KindAudio, sdp.SendRecv)
	o := a.data().offer()
	a.local(o)
	b.remote(o)
	b.answer()
	d := parse(t, b.answer().SDP)
	d.Media[1] = rejectionOf(&d.Media[1], "1")
	d.Groups[0].MIDs = []string{"0"}
	fx := a.remote(Description{TypeAnswer, d.Marshal()})
	if fx.Data != nil {
		t.Fatalf("%+v", fx.Data)
	}
	a.wantNeeded(false)
	a.data().wantNeeded(true)
	m := parse(t, a.offer().SDP).Media
	if len(m) != 2 || m[1].MID != "2" || m[1].Rejected() {
		t.Fatalf("%+v", m)
	}
}

// Offers made while one is out build on it (webrtc-pc allows CreateOffer and SetLocal in have-local-offer).
func TestSecondLocalOffer(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.add(KindAudio, sdp.SendRecv)
	first := a.offer()
	a.local(first)
	tv := a.add(KindVideo, sdp.SendRecv)
	second := a.offer()
	a.local(second)
	a.wantState(StateHaveLocalOffer)
	if tv.MID != "1" {
		t.Fatalf("mid %q", tv.MID)
	}
	if _, err := a.SetLocal(first, testLocal); err == nil {
		t.Fatal("an old offer was set")
	}
	x, y := parse(t, first.SDP), parse(t, second.SDP)
	if x.Media[0].ICEUfrag != y.Media[0].ICEUfrag || y.Origin.SessionVersion != x.Origin.SessionVersion+1 {
		t.Fatalf("%s\n%s", first.SDP, second.SDP)
	}
	b.remote(first)
	b.remote(second)
	b.wantState(StateHaveRemoteOffer)
	if len(b.Transceivers()) != 2 {
		t.Fatalf("%d transceivers", len(b.Transceivers()))
	}
	an := b.answer()
	b.local(an)
	a.remote(an)
	a.wantNeeded(false)
}

// An offer that ends the data section ends the answerer's wish too, or it would offer again what was just refused.
func TestDataEndedByTheOffer(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.add(KindAudio, sdp.SendRecv)
	a.data()
	b.data()
	connect(a, b)
	o := a.offer()
	a.local(o)
	d := parse(t, o.SDP)
	d.Media[1] = rejectionOf(&d.Media[1], "1")
	d.Groups[0].MIDs = []string{"0"}
	b.remote(Description{TypeOffer, d.Marshal()})
	an := b.answer()
	if fx := b.local(an); fx.Data != nil {
		t.Fatalf("%+v", fx.Data)
	}
	b.wantNeeded(false)
	if fx := a.remote(an); fx.Data != nil {
		t.Fatalf("%+v", fx.Data)
	}
	a.wantNeeded(false)
	b.data().wantNeeded(true)
	connect(b, a)
	b.wantNeeded(false)
	if fx := a.Snapshot(); fx.Data == nil || fx.Data.MID != "2" || fx.Data.Index != 1 {
		t.Fatalf("%+v", fx.Data)
	}
}

// A data section that was dead already says nothing of the one that lives.
func TestDeadDataSectionBesideALivingOne(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv)
	connect(a, b)
	if err := a.StopTransceiver(ta); err != nil {
		t.Fatal(err)
	}
	a.data()
	connect(a, b) // audio ends in section 0, data begins in section 1
	o := a.offer()
	a.local(o)
	d := parse(t, o.SDP)
	d.Media[1] = rejectionOf(&d.Media[1], d.Media[1].MID)
	d.Groups = nil
	b.remote(Description{TypeOffer, d.Marshal()})
	a.remote(b.local(b.answer()).answerOf(b))
	a.data()
	connect(a, b) // data again, in section 0
	if fx := a.Snapshot(); fx.Data == nil || fx.Data.Index != 0 || !a.DataWanted() {
		t.Fatalf("%+v, wanted: %v", fx.Data, a.DataWanted())
	}
}
