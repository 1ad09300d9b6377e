package jsep

import (
	"strings"
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// RFC 3264 §6.1: the direction of the answer is what both want.
func TestDirectionsMeet(t *testing.T) {
	all := []sdp.Direction{sdp.SendRecv, sdp.SendOnly, sdp.RecvOnly, sdp.Inactive}
	for _, x := range all {
		for _, y := range all {
			a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
			ta := a.add(KindAudio, x, "s")
			o := a.offer()
			a.local(o)
			tb := b.remote(o).Created[0]
			if err := b.SetDirection(tb, y); err != nil {
				t.Fatal(err)
			}
			an := b.answer()
			fb := b.local(an)
			fa := a.remote(an)
			want := sdp.DirectionFrom(x.Sends() && y.Receives(), x.Receives() && y.Sends())
			if ta.CurrentDirection != want || tb.CurrentDirection != want.Reverse() {
				t.Errorf("%s and %s: %s and %s", x, y, ta.CurrentDirection, tb.CurrentDirection)
			}
			if fa.Flows[0].Send != want.Sends() || fa.Flows[0].Receive != want.Receives() || fb.Flows[0].Send != want.Receives() {
				t.Errorf("%s and %s: flows %+v", x, y, fa.Flows[0])
			}
			if ta.Receptive != want.Receives() || tb.Receptive != want.Sends() {
				t.Errorf("%s and %s: receptive %v %v", x, y, ta.Receptive, tb.Receptive)
			}
		}
	}
}

// RFC 3264 §6.1: the answer keeps the offer's numbers and order, whatever this side's own are.
func TestAnswerKeepsNumbersAndOrder(t *testing.T) {
	p := newPeer(t, "p", 1)
	o := videoOffer("120 97 99 98 96 121",
		"a=rtpmap:120 VP9/90000", "a=fmtp:120 profile-id=0", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96",
		"a=rtpmap:99 vp8/90000", "a=rtpmap:98 red/90000", "a=rtpmap:96 H264/90000",
		"a=fmtp:96 packetization-mode=1;profile-level-id=42e01f;level-asymmetry-allowed=1", "a=rtpmap:121 rtx/90000", "a=fmtp:121 apt=120")
	p.remote(o)
	m := parse(t, p.answer().SDP).Media[0]
	if got := codecNames(&m); got != "120 VP9 97 rtx 99 vp8 96 H264 121 rtx" {
		t.Fatalf("codecs %s", got)
	}
}

// RFC 9429 §5.3.1: with preferences the order is ours, the numbers still the offer's.
func TestAnswerWithPreferences(t *testing.T) {
	p := newPeer(t, "p", 1)
	o := videoOffer("120 99 97 96",
		"a=rtpmap:120 VP9/90000", "a=rtpmap:99 VP8/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96", "a=rtpmap:96 H264/90000",
		"a=fmtp:96 packetization-mode=1;profile-level-id=42e01f")
	tr := p.remote(o).Created[0]
	caps := testCapabilities().Video.Codecs
	if err := p.SetCodecPreferences(tr, []sdp.Codec{caps[3], {Name: "rtx", ClockRate: 90000}, caps[0]}); err != nil {
		t.Fatal(err)
	}
	m := parse(t, p.answer().SDP).Media[0]
	if got := codecNames(&m); got != "96 H264 97 rtx 99 VP8" {
		t.Fatalf("codecs %s", got)
	}
	if err := p.SetCodecPreferences(tr, caps[:1]); err != nil {
		t.Fatal(err)
	}
	m = parse(t, p.answer().SDP).Media[0]
	if got := codecNames(&m); got != "99 VP8" {
		t.Fatalf("codecs %s", got)
	}
}

// Numbers stay over renegotiations from either side, new codecs get new ones, and preferences count at once.
func TestNumbersAreStable(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	b.remote(Description{TypeOffer, recorded(t, "firefox153-offer-av-data.sdp")})
	b.local(b.answer())
	before := codecNames(&parse(t, b.LocalDescription().SDP).Media[1])
	b.add(KindVideo, sdp.SendOnly)
	again := parse(t, b.offer().SDP)
	if got := codecNames(&again.Media[1]); !strings.HasPrefix(got, before) {
		t.Fatalf("re-offer %q after %q", got, before)
	}
	byNumber := map[uint8]string{}
	for _, m := range again.Media {
		for _, c := range m.Codecs {
			if old := byNumber[c.PayloadType]; old != "" && old != c.Name+c.Fmtp {
				t.Errorf("%d is %q and %q", c.PayloadType, old, c.Name+c.Fmtp)
			}
			byNumber[c.PayloadType] = c.Name + c.Fmtp
		}
	}

	t.Log("# preferences of one transceiver, after it was negotiated")
	tv := a.add(KindVideo, sdp.SendRecv)
	c := newPeer(t, "c", 3)
	connect(a, c)
	caps := testCapabilities().Video.Codecs
	if err := a.SetCodecPreferences(tv, []sdp.Codec{caps[1], caps[0]}); err != nil {
		t.Fatal(err)
	}
	fa, _ := connect(a, c)
	if got := fa.Flows[0].SendCodecs; len(got) != 2 || got[0].Name != "VP9" || got[0].PayloadType != 98 || got[1].PayloadType != 96 {
		t.Fatalf("send codecs %+v", got)
	}
	if err := a.SetCodecPreferences(tv, nil); err != nil {
		t.Fatal(err)
	}
	fa, _ = connect(a, c)
	if got := fa.Flows[0].SendCodecs; len(got) < 10 || got[0].Name != "VP9" || got[2].Name != "VP8" {
		t.Fatalf("send codecs %+v", got)
	}
}

// The codec in use stays when the offerer asks again, also where the answerer's preferences chose it.
func TestReofferKeepsTheCodecInUse(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.add(KindVideo, sdp.SendRecv, "s")
	o := a.offer()
	a.local(o)
	tb := b.remote(o).Created[0]
	caps := testCapabilities().Video.Codecs
	if err := b.SetCodecPreferences(tb, []sdp.Codec{caps[5], caps[0], {Name: "rtx", ClockRate: 90000}}); err != nil {
		t.Fatal(err)
	}
	an := b.answer()
	b.local(an)
	fx := a.remote(an)
	if fx.Flows[0].SendCodecs[0].Name != "AV1" {
		t.Fatalf("%+v", fx.Flows[0].SendCodecs)
	}
	if err := b.SetCodecPreferences(tb, nil); err != nil {
		t.Fatal(err)
	}
	fx, _ = connect(a, b)
	if c := fx.Flows[0].SendCodecs; c[0].Name != "AV1" || c[0].PayloadType != 45 || c[2].Name != "VP8" || len(c) != 12 {
		t.Fatalf("%+v", c)
	}
}

// RFC 8285 §4.3, §6: ids beyond 14 only where both mix one- and two-byte headers; no id 15.
func TestExtensionIDs(t *testing.T) {
	offer := func(mixed string) Description {
		return videoOffer("96", "a=rtpmap:96 VP8/90000", "a=extmap:20 "+ExtensionMID, "a=extmap:15 "+ExtensionRID, "a=extmap:3/recvonly "+ExtensionRepairedRID, mixed)
	}
	p := newPeer(t, "p", 1)
	p.remote(offer("a=x"))
	m := parse(t, p.answer().SDP).Media[0]
	if len(m.Extensions) != 1 || m.Extensions[0] != (sdp.Extension{ID: 3, URI: ExtensionRepairedRID, Direction: sdp.SendOnly}) || m.ExtmapAllowMixed {
		t.Fatalf("%+v", m.Extensions)
	}
	p.remote(offer("a=extmap-allow-mixed"))
	m = parse(t, p.answer().SDP).Media[0]
	if len(m.Extensions) != 2 || m.Extensions[0].ID != 20 || !m.ExtmapAllowMixed {
		t.Fatalf("%+v", m.Extensions)
	}
	if fx := p.local(Description{}); !fx.Flows[0].ExtmapAllowMixed {
		t.Fatal("not mixed")
	}
	p.add(KindVideo, sdp.SendRecv)
	for _, m := range parse(t, p.offer().SDP).Media {
		if m.Extensions[0].ID != 20 || len(m.Extensions) != 3 {
			t.Fatalf("%+v", m.Extensions)
		}
	}
}

// RFC 3264 §5.1: an answer may use other numbers for what it wants to receive.
func TestAsymmetricPayloadTypes(t *testing.T) {
	a := newPeer(t, "a", 1)
	a.add(KindVideo, sdp.SendRecv, "s")
	o := a.offer()
	a.local(o)
	b := newPeer(t, "b", 2)
	b.remote(o)
	an := b.answer()
	d := parse(t, an.SDP)
	d.Media[0].Codecs = []sdp.Codec{
		{PayloadType: 110, Name: "VP8", ClockRate: 90000, Feedback: []string{"nack pli", "goog-remb"}},
		{PayloadType: 111, Name: "rtx", ClockRate: 90000, Fmtp: "apt=110"},
	}
	fx := a.remote(Description{TypeAnswer, d.Marshal()})
	f := fx.Flows[0]
	if len(f.SendCodecs) != 2 || f.SendCodecs[0].PayloadType != 110 || strings.Join(f.SendCodecs[0].Feedback, ",") != "nack pli" || !f.RTX {
		t.Fatalf("send codecs %+v", f.SendCodecs)
	}
	if f.ReceiveCodecs[0].PayloadType != 96 {
		t.Fatalf("receive codecs %+v", f.ReceiveCodecs)
	}
}

// A section of which nothing fits is rejected, and the transceiver ends (RFC 3264 §6).
func TestNoCommonCodec(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeerWith(t, "b", Config{Capabilities: Capabilities{Audio: testCapabilities().Audio}})
	ta, tv := a.add(KindAudio, sdp.SendRecv), a.add(KindVideo, sdp.SendRecv)
	fa, fb := connect(a, b)
	if !tv.Stopped || ta.Stopped || len(fa.Stopped) != 1 || len(fa.Removed) != 1 || len(a.Transceivers()) != 1 {
		t.Fatalf("effects at a %+v", fa)
	}
	if len(fb.Stopped) != 1 || len(b.Transceivers()) != 1 || len(fb.TracksMuted) != 1 {
		t.Fatalf("effects at b %+v", fb)
	}
	a.wantNeeded(false)
	b.wantNeeded(false)
	if _, err := b.AddTransceiver(KindVideo, TransceiverInit{}); err == nil {
		t.Fatal("a transceiver without codecs")
	}
	p := newPeer(t, "p", 1)
	p.remote(videoOffer("98 97", "a=rtpmap:98 red/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=98"))
	if m := parse(t, p.answer().SDP).Media[0]; !m.Rejected() {
		t.Fatal("resilience alone was accepted")
	}
}

// sectionHead are the transport lines of a section.
const sectionHead = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=rtcp-mux\r\n" +
	"a=fingerprint:sha-256 " +
	"AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n"

const sessionHead = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

func videoOffer(formats string, lines ...string) Description {
	return Description{TypeOffer, sessionHead + "m=video 9 UDP/TLS/RTP/SAVPF " + formats + "\r\n" + sectionHead + "a=mid:v\r\n" +
		strings.Join(lines, "\r\n") + "\r\n"}
}

func audioSection(mid string) string {
	s := "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" + sectionHead
	if mid != "" {
		s += "a=mid:" + mid + "\r\n"
	}
	return s
}

func dataSectionText(mid string) string {
	return "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" + sectionHead + "a=mid:" + mid + "\r\na=sctp-port:5000\r\n"
}
