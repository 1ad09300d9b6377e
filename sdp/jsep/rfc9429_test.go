package jsep

import (
	"errors"
	"strings"
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

// RFC 9429 §7.1: audio and video both ways, candidates trickled.
func TestSimpleExample(t *testing.T) {
	alice, bob := newPeer(t, "alice", 1), newPeer(t, "bob", 2)
	for _, p := range []*peer{alice, bob} {
		for _, kind := range []string{KindAudio, KindVideo} {
			if _, _, err := p.AddTrack(kind, kind+p.name, []string{p.name}); err != nil {
				t.Fatal(err)
			}
		}
	}
	o := alice.offer()
	d := parse(t, o.SDP)
	if d.Origin.SessionVersion != 1 || d.Origin.Username != "-" || bundleOf(d) != "0 1" {
		t.Fatal(o.SDP)
	}
	for i, m := range d.Media {
		if m.Port != 9 || m.Connection != "IN IP4 0.0.0.0" || m.Protocol != "UDP/TLS/RTP/SAVPF" || m.Setup != sdp.SetupActpass ||
			m.ICEUfrag == "" || m.ICEPwd == "" || len(m.Fingerprints) != 1 || !m.RTCPMux || !m.RTCPMuxOnly || !d.ICEOf(i).Trickle() ||
			m.Direction != sdp.SendRecv || len(m.MSIDs) != 1 || m.MSIDs[0].Stream != "alice" || len(m.Extensions) == 0 {
			t.Fatalf("section %d\n%s", i, o.SDP)
		}
	}
	alice.local(o)
	fb := bob.remote(o)
	if len(fb.Created) != 0 || len(fb.TracksAdded) != 2 || fb.TracksAdded[1].Receiver.Track != "videoalice" {
		t.Fatalf("bob's own transceivers are not taken: %+v", fb)
	}
	fb = bob.local(Description{})
	an := bob.LocalDescription()
	if an.Type != TypeAnswer {
		t.Fatal(an.Type)
	}
	fa := alice.remote(*an)
	for _, fx := range []*Effects{fa, fb} {
		if len(fx.Flows) != 2 || !fx.Flows[0].Send || !fx.Flows[0].Receive || !fx.Flows[1].Send || len(fx.Directions) != 2 {
			t.Fatalf("%+v", fx)
		}
	}
	t.Log("# both sides trickle into the section of the transport")
	mid := fa.Transport.MID
	use, err := alice.AddRemoteCandidate(Candidate{Candidate: "candidate:" + hostCandidate, MID: &mid})
	if err != nil || !use.Deliver {
		t.Fatalf("%+v %v", use, err)
	}
}

// RFC 9429 §7.2: audio and data first, then two videos from the other side, the second of them one way.
func TestDetailedExample(t *testing.T) {
	alice, bob := newPeer(t, "alice", 1), newPeer(t, "bob", 2)
	a := alice.add(KindAudio, sdp.SendRecv, "a")
	bobAudio, _, err := bob.AddTrack(KindAudio, "mic", []string{"b"})
	if err != nil {
		t.Fatal(err)
	}
	fa, fb := connect(alice.data(), bob)
	if fa.Data == nil || fa.Data.MID != "1" || fb.Data.Index != 1 || a.CurrentDirection != sdp.SendRecv {
		t.Fatalf("%+v", fa)
	}
	v1, v2 := bob.add(KindVideo, sdp.SendRecv, "v1"), bob.add(KindVideo, sdp.SendOnly, "v2")
	o := bob.offer()
	bob.local(o)
	d := parse(t, o.SDP)
	if len(d.Media) != 4 || d.Media[1].MID != "1" || d.Media[2].MID != "2" || !d.Media[3].BundleOnly || d.Origin.SessionVersion != 2 {
		t.Fatal(o.SDP)
	}
	fa = alice.remote(o)
	if len(fa.Created) != 2 || len(fa.TracksAdded) != 2 || fa.Data == nil {
		t.Fatalf("%+v", fa)
	}
	if _, reused, err := alice.AddTrack(KindVideo, "cam", []string{"a"}); err != nil || !reused {
		t.Fatalf("%v %v", reused, err)
	}
	an := alice.answer()
	fa = alice.local(an)
	bob.remote(an)
	if v1.CurrentDirection != sdp.SendRecv || v2.CurrentDirection != sdp.SendOnly || bobAudio.CurrentDirection != sdp.SendRecv {
		t.Fatalf("%s %s %s", v1.CurrentDirection, v2.CurrentDirection, bobAudio.CurrentDirection)
	}
	if len(fa.Flows) != 3 || fa.Data == nil || fa.Transport.LocalChanged || fa.Transport.RemoteChanged || len(fa.Directions) != 2 {
		t.Fatalf("%+v", fa)
	}
	alice.wantNeeded(false)
	bob.wantNeeded(false)
}

// RFC 9429 §7.3: the answerer gets transports up before its user has agreed; tracks come later without negotiation.
func TestEarlyTransportWarmup(t *testing.T) {
	alice, bob := newPeer(t, "alice", 1), newPeer(t, "bob", 2)
	a := alice.add(KindAudio, sdp.SendRecv, "a")
	o := alice.offer()
	alice.local(o)
	b := bob.remote(o).TracksAdded[0]
	if err := bob.SetDirection(b, sdp.SendRecv); err != nil {
		t.Fatal(err)
	}
	if err := bob.SetStreams(b, []string{"b"}); err != nil {
		t.Fatal(err)
	}
	an := bob.answer()
	bob.local(an)
	alice.remote(an)
	if a.CurrentDirection != sdp.SendRecv || a.Receiver.Streams[0] != "b" {
		t.Fatalf("%+v", a)
	}
	if err := bob.ReplaceTrack(b, "mic"); err != nil {
		t.Fatal(err)
	}
	bob.wantNeeded(false)
	t.Log("# the msid stays when the track changes (RFC 8830)")
	if first, second := parse(t, an.SDP).Media[0].MSIDs[0], parse(t, bob.offer().SDP).Media[0].MSIDs[0]; first != second {
		t.Fatalf("%v, then %v", first, second)
	}
}

// A description that was not the last one created is refused (webrtc-pc §4.4.1.5), and types must fit the state.
func TestDescriptionsThatDoNotFit(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.add(KindAudio, sdp.SendRecv)
	o := a.offer()
	for _, c := range []struct {
		d    Description
		want error
	}{
		{edit(o, "a=sendrecv", "a=sendonly"), ErrInvalidModification},
		{Description{TypeAnswer, o.SDP}, ErrInvalidState},
		{Description{"maybe", o.SDP}, ErrType},
	} {
		if _, err := a.SetLocal(c.d, testLocal); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.d.Type, err)
		}
	}
	if _, err := a.CreateAnswer(AnswerOptions{}, testLocal); !errors.Is(err, ErrInvalidState) {
		t.Error(err)
	}
	if _, err := a.CreateOffer(OfferOptions{}, LocalParams{}); !errors.Is(err, ErrOperation) {
		t.Error(err)
	}
	a.wantRemoteError(Description{TypeAnswer, o.SDP}, ErrInvalidState)
	a.wantRemoteError(Description{"", o.SDP}, ErrType)
	a.local(o)
	b.remote(o)
	an := b.answer()
	if _, err := b.SetLocal(edit(an, "a=recvonly", "a=inactive"), testLocal); !errors.Is(err, ErrInvalidModification) {
		t.Error(err)
	}
	if _, err := b.CreateOffer(OfferOptions{}, testLocal); !errors.Is(err, ErrInvalidState) {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"fewer sections": sessionHead,
		"other kind":     edit(an, "m=audio", "m=video").SDP,
		"other mid":      edit(an, "a=mid:0", "a=mid:1").SDP,
		"no rtcp-mux":    edit(an, "a=rtcp-mux\r\n", "").SDP,
		"no credentials": edit(an, "a=ice-ufrag", "a=x").SDP,
		"no fingerprint": edit(an, "a=fingerprint", "a=x").SDP,
		"strange group":  edit(an, "BUNDLE 0", "BUNDLE 7").SDP,
		"data for audio": edit(an, "UDP/TLS/RTP/SAVPF", "UDP/DTLS/SCTP").SDP,
	} {
		t.Run(name, func(t *testing.T) {
			before := imageOf(a.Session)
			_, err := a.SetRemote(Description{TypeAnswer, text})
			if !errors.Is(err, ErrInvalidAccess) {
				t.Fatal(err)
			}
			refuse(t, a.Session, before, err)
		})
	}
	_, err := a.SetRemote(Description{TypeAnswer, edit(an, "s=-", "s").SDP})
	var je *Error
	if !errors.As(err, &je) || je.Name != NameSDPSyntax || je.Line != 3 {
		t.Fatalf("%v", err)
	}
	a.remote(an)
	a.Close()
	a.wantRemoteError(o, ErrInvalidState)
	a.RestartICE()
}

// What a re-offer may not do to the sections (RFC 9429 §5.2.2, §5.10).
func TestReoffersThatDoNotFit(t *testing.T) {
	p := newPeer(t, "p", 1)
	two := sessionHead + "a=group:BUNDLE a d\r\n" + audioSection("a") + dataSectionText("d")
	p.remote(Description{TypeOffer, two})
	p.local(p.answer())
	for name, text := range map[string]string{
		"fewer sections": sessionHead + audioSection("a"),
		"other kind":     sessionHead + "a=group:BUNDLE a d\r\n" + strings.Replace(audioSection("a"), "m=audio", "m=video", 1) + dataSectionText("d"),
		"other mid":      sessionHead + "a=group:BUNDLE x d\r\n" + audioSection("x") + dataSectionText("d"),
		"swapped":        sessionHead + "a=group:BUNDLE a d\r\n" + dataSectionText("d") + audioSection("a"),
	} {
		before := imageOf(p.Session)
		_, err := p.SetRemote(Description{TypeOffer, text})
		if !errors.Is(err, ErrInvalidAccess) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		refuse(t, p.Session, before, err)
	}
	p.remote(Description{TypeOffer, two})
}
