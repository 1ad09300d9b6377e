package jsep

import (
	"strings"
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// RFC 8842 §5: the roles that an offer leaves and an answer takes; renegotiation keeps them.
func TestDTLSRoles(t *testing.T) {
	for _, c := range []struct {
		offer  string
		answer sdp.Setup
		role   DTLSRole
	}{
		{"a=setup:actpass", sdp.SetupActive, DTLSRoleClient},
		{"a=setup:active", sdp.SetupPassive, DTLSRoleServer},
		{"a=setup:passive", sdp.SetupActive, DTLSRoleClient},
		{"a=x-no-setup", sdp.SetupActive, DTLSRoleClient},
	} {
		a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
		o := a.data().offer()
		a.local(o)
		b.remote(edit(o, "a=setup:actpass", c.offer))
		an := b.answer()
		if got := parse(t, an.SDP).SetupOf(0); got != c.answer {
			t.Errorf("%s: answered %s", c.offer, got)
		}
		if fx := b.local(an); fx.Transport.DTLSRole != c.role {
			t.Errorf("%s: role %s", c.offer, fx.Transport.DTLSRole)
		}
		fx := a.remote(an)
		if fx.Transport.DTLSRole == c.role {
			t.Errorf("%s: both are %s", c.offer, c.role)
		}
		t.Log("# again, from the other side")
		b.add(KindAudio, sdp.SendRecv)
		fb, fa := connect(b, a)
		if fb.Transport.DTLSRole != c.role || fa.Transport.DTLSRole == c.role || !fa.Transport.Controlling {
			t.Errorf("%s: after renegotiation %+v %+v", c.offer, fa.Transport, fb.Transport)
		}
	}
}

// An answer takes the passive role where the configuration wants it and the offer leaves it.
func TestAnswersInTheRoleOfTheConfiguration(t *testing.T) {
	for offer, want := range map[string]sdp.Setup{
		"a=setup:actpass": sdp.SetupPassive, "a=setup:active": sdp.SetupPassive, "a=setup:passive": sdp.SetupActive,
	} {
		a, b := newPeer(t, "a", 1), newPeerWith(t, "b", Config{Rand: seeded(2), AnsweringRole: DTLSRoleServer})
		o := a.data().offer()
		a.local(o)
		b.remote(edit(o, "a=setup:actpass", offer))
		an := b.answer()
		if got := parse(t, an.SDP).SetupOf(0); got != want {
			t.Errorf("%s: answered %s", offer, got)
		}
		fb, fa := b.local(an), a.remote(an)
		if fb.Transport.DTLSRole.setup() != want || fa.Transport.DTLSRole == fb.Transport.DTLSRole {
			t.Errorf("%s: roles %s and %s", offer, fa.Transport.DTLSRole, fb.Transport.DTLSRole)
		}
	}
}

func TestAnswersWithImpossibleRoles(t *testing.T) {
	for _, setup := range []string{"actpass", "holdconn"} {
		a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
		o := a.data().offer()
		a.local(o)
		b.remote(o)
		a.wantRemoteError(edit(b.answer(), "a=setup:active", "a=setup:"+setup), ErrInvalidAccess)
		a.wantState(StateHaveLocalOffer)
		if fx := a.remote(edit(b.answer(), "a=setup:active", "a=setup:passive")); fx.Transport.DTLSRole != DTLSRoleClient {
			t.Fatalf("%+v", fx.Transport)
		}
	}
}

// ICE restart from either side, and by restartIce (RFC 9429 §5.2.3.1, webrtc-pc §4.4.3).
func TestICERestart(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.data()
	a.RestartICE() // nothing to restart yet
	connect(a, b)
	a.wantNeeded(false)
	old := a.Snapshot().Transport

	d, err := a.CreateOffer(OfferOptions{ICERestart: true}, testLocal)
	if err != nil {
		t.Fatal(err)
	}
	fx := a.local(d)
	if !fx.Transport.LocalChanged || fx.Transport.Local.Ufrag == old.Local.Ufrag || fx.Transport.RemoteChanged || !fx.Transport.Ready {
		t.Fatalf("%+v", fx.Transport)
	}
	fb := b.remote(d)
	if fb.Transport.RemoteChanged || fb.Transport.Remote != old.Local {
		t.Fatalf("the restart took effect before the answer: %+v", fb.Transport)
	}
	an := b.answer()
	fb = b.local(an)
	if !fb.Transport.LocalChanged || !fb.Transport.RemoteChanged || fb.Transport.Local == old.Remote {
		t.Fatalf("%+v", fb.Transport)
	}
	fa := a.remote(an)
	if fa.Transport.LocalChanged || !fa.Transport.RemoteChanged || fa.Transport.Remote != fb.Transport.Local || !fa.Transport.Controlling {
		t.Fatalf("%+v", fa.Transport)
	}

	t.Log("# an offer without the flag restarts nothing")
	fa, fb = connect(a, b)
	if fa.Transport.RemoteChanged || fb.Transport.LocalChanged {
		t.Fatalf("%+v %+v", fa.Transport, fb.Transport)
	}

	t.Log("# restartIce is remembered until it is done, also when the other side restarts meanwhile")
	b.RestartICE()
	b.wantNeeded(true)
	connect(a, b)
	b.wantNeeded(true)
	d, err = a.CreateOffer(OfferOptions{ICERestart: true}, testLocal)
	if err != nil {
		t.Fatal(err)
	}
	a.local(d)
	b.remote(d)
	an = b.answer()
	fb = b.local(an)
	a.remote(an)
	if !fb.Transport.LocalChanged {
		t.Fatalf("%+v", fb.Transport)
	}
	b.wantNeeded(false)
	b.RestartICE()
	fb, _ = connect(b, a)
	b.wantNeeded(false)
	if !fb.Transport.RemoteChanged {
		t.Fatalf("%+v", fb.Transport)
	}

	t.Log("# credentials of the caller's")
	p := testLocal
	p.Ufrag, p.Pwd = "mine", "abcdefghijklmnopqrstuvwx"
	d, err = a.CreateOffer(OfferOptions{ICERestart: true}, p)
	if err != nil || !strings.Contains(d.SDP, "a=ice-ufrag:mine\r\n") {
		t.Fatalf("%v\n%s", err, d.SDP)
	}
}

// RFC 8445 §6.1.1: the full agent controls.
func TestLitePeer(t *testing.T) {
	p := newPeer(t, "p", 1)
	p.remote(Description{TypeOffer, strings.Replace(sessionHead, "t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", 1) + dataSectionText("0")})
	fx := p.local(p.answer())
	if !fx.Transport.Remote.Lite || !fx.Transport.Controlling || fx.Transport.Trickle {
		t.Fatalf("%+v", fx.Transport)
	}
}

// RFC 8445 §6.1.1, RFC 8839 §5.3: a lite agent says so and is controlled, whoever offers.
func TestLiteSelf(t *testing.T) {
	lite, full := newPeer(t, "lite", 1), newPeer(t, "full", 2)
	lite.cfg.ICELite = true
	if err := lite.EnableData(); err != nil {
		t.Fatal(err)
	}
	offer := lite.offer()
	if !strings.Contains(offer.SDP, "a=ice-lite\r\n") {
		t.Fatalf("the offer does not tell:\n%s", offer.SDP)
	}
	lite.local(offer)
	full.remote(offer)
	answer := full.answer()
	if fx := full.local(answer); !fx.Transport.Controlling || !fx.Transport.Remote.Lite {
		t.Errorf("the full side: %+v", fx.Transport)
	}
	if fx := lite.remote(answer); fx.Transport.Controlling {
		t.Errorf("the lite side: %+v", fx.Transport)
	}
}

// Fingerprint, setup and ICE at session level count for each section without its own.
func TestSessionLevelTransport(t *testing.T) {
	text := sessionHead + strings.ReplaceAll(strings.ReplaceAll(sectionHead, "c=IN IP4 0.0.0.0\r\n", ""), "a=rtcp-mux\r\n", "") + "a=ice-options:trickle\r\na=recvonly\r\n" +
		"a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=rtcp-mux\r\na=fingerprint:sha-384 " + strings.Repeat("00:", 47) + "00\r\n" +
		"m=application 9 DTLS/SCTP 5001\r\na=mid:1\r\na=sctpmap:5001 webrtc-datachannel 256\r\n"
	p := newPeer(t, "p", 1)
	p.remote(Description{TypeOffer, strings.Replace(text, "a=setup:actpass", "a=setup:active", 1)})
	an := p.answer()
	fx := p.local(an)
	tr := fx.Transport
	if tr.Remote.Ufrag != "abcd" || tr.Fingerprints[0].Algorithm != "sha-384" || tr.DTLSRole != DTLSRoleServer || !tr.Trickle {
		t.Fatalf("%+v", tr)
	}
	if len(p.Transceivers()) != 1 || p.Transceivers()[0].CurrentDirection != sdp.Inactive {
		t.Fatalf("direction %s", p.Transceivers()[0].CurrentDirection)
	}
	if fx.Data == nil || !fx.Data.Old || fx.Data.RemotePort != 5001 || fx.Data.MaxMessageSize != 65536 {
		t.Fatalf("%+v", fx.Data)
	}
	if m := parse(t, an.SDP).Media[1]; m.Protocol != "DTLS/SCTP" || m.SCTPMap == nil || m.SCTPMap.Port != 5000 || m.Formats[0] != "5000" {
		t.Fatal(an.SDP)
	}
}

// RFC 8841 §6.1: absent is 64 KiB, zero is no limit.
func TestMaxMessageSize(t *testing.T) {
	for text, want := range map[string]uint64{"": 65536, "a=max-message-size:0\r\n": 0, "a=max-message-size:1073741823\r\n": 1073741823} {
		p := newPeerWith(t, "p", Config{MaxMessageSize: 1 << 20, SCTPPort: 6000})
		p.remote(Description{TypeOffer, sessionHead + dataSectionText("d") + text})
		an := p.answer()
		fx := p.local(an)
		if fx.Data.MaxMessageSize != want || fx.Data.LocalPort != 6000 || !strings.Contains(an.SDP, "a=max-message-size:1048576\r\n") {
			t.Errorf("%q: %+v\n%s", text, fx.Data, an.SDP)
		}
	}
}

// A section without a=mid gets none in the answer, and keeps its place (RFC 9429 §5.10).
func TestSectionsWithoutMID(t *testing.T) {
	p := newPeer(t, "p", 1)
	p.add(KindAudio, sdp.SendRecv)
	fx := p.remote(Description{TypeOffer, sessionHead + audioSection("")})
	tr := fx.Created[0]
	if tr.MID == "" {
		t.Fatalf("%+v", tr)
	}
	an := p.answer()
	if strings.Contains(an.SDP, "a=mid") || strings.Contains(an.SDP, "a=group") {
		t.Fatal(an.SDP)
	}
	p.local(an)
	mid := tr.MID
	fx = p.remote(Description{TypeOffer, sessionHead + audioSection("")})
	if len(fx.Created) != 0 || tr.MID != mid {
		t.Fatalf("%+v", fx)
	}
	p.local(p.answer())
	if got := parse(t, p.offer().SDP); got.Media[0].MID != mid || len(got.Media) != 2 || got.Media[1].MID == mid {
		t.Fatal(p.offer().SDP)
	}
}

// Peers that answer without mids and msids.
func TestAnswerWithoutMID(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv)
	o := a.offer()
	a.local(o)
	b.remote(o)
	an := b.answer()
	fx := a.remote(edit(an, "a=mid:0\r\n", "", "a=group:BUNDLE 0\r\n", "", "a=sendrecv", "a=x", "a=recvonly", "a=x"))
	if ta.CurrentDirection != sdp.SendRecv || len(fx.TracksAdded) != 1 || len(ta.Receiver.Streams) != 0 || fx.Transport == nil {
		t.Fatalf("%+v", fx)
	}
}

// A restart that was asked for has nothing to restart once every section is gone.
func TestRestartOfNothing(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv)
	connect(a, b)
	if err := a.StopTransceiver(ta); err != nil {
		t.Fatal(err)
	}
	a.RestartICE()
	connect(a, b)
	a.wantNeeded(false)
}

// RFC 8842 §4: another certificate asks for a new association; there is none to be had.
func TestAnotherCertificateIsRefused(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.data()
	connect(a, b)
	other := strings.Repeat("CD:", 31) + "CD"
	o := a.offer()
	a.local(o)
	b.wantRemoteError(edit(o, testFingerprint.Value, other), ErrOperation)
	b.remote(edit(o, "a=fingerprint:", "a=fingerprint:sha-256 "+other+"\r\na=fingerprint:"))
	an := b.answer()
	b.local(an)
	a.wantRemoteError(edit(an, testFingerprint.Value, other), ErrOperation)
	a.remote(an)
}
