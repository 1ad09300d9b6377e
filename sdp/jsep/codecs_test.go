package jsep

import (
	"testing"

	"github.com/openparley/webrtc/sdp"
)

func h264(fmtp string) sdp.Codec { return sdp.Codec{Name: "H264", ClockRate: 90000, Fmtp: fmtp} }

// RFC 6184 §8.1 table 5 and §8.2.2.
func TestH264Profiles(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"profile-level-id=42e01f;packetization-mode=1", "profile-level-id=42e01f;packetization-mode=1", true},
		{"profile-level-id=42e01f;packetization-mode=1", "packetization-mode=1;profile-level-id=42E034", true},
		{"profile-level-id=42e01f;packetization-mode=1", "profile-level-id=42e01f", false},
		{"profile-level-id=42e01f;packetization-mode=0", "profile-level-id=42e01f", true},
		{"profile-level-id=42e01f", "profile-level-id=42001f", false}, // constrained and plain baseline
		{"profile-level-id=42e01f", "profile-level-id=42c00d", true},  // GStreamer's constrained baseline
		{"profile-level-id=42e01f", "profile-level-id=4d801f", true},  // Main with constraint set 0
		{"profile-level-id=42e01f", "profile-level-id=4d001f", false},
		{"profile-level-id=640c1f", "profile-level-id=64001f", false}, // constrained and plain high
		{"profile-level-id=640c1f", "profile-level-id=640c34", true},
		{"profile-level-id=42000a", "", true}, // absent: baseline
		{"profile-level-id=42e0", "profile-level-id=42e0", false},
		{"profile-level-id=xxyyzz", "profile-level-id=xxyyzz", false},
		{"profile-level-id=ff001f", "profile-level-id=ff001f", false},
	} {
		a, b := h264(c.a), h264(c.b)
		if sameCodec(&a, &b) != c.same || sameCodec(&b, &a) != c.same {
			t.Errorf("%q and %q: same is not %v", c.a, c.b, c.same)
		}
	}
}

func TestH264Levels(t *testing.T) {
	const asym = ";level-asymmetry-allowed=1"
	for _, c := range []struct{ offered, ours, want string }{
		{"profile-level-id=42e01f;packetization-mode=1" + asym, "profile-level-id=42e034" + asym, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e034"},
		{"profile-level-id=42c00d", "profile-level-id=42e01f" + asym, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42c00d"},
		{"profile-level-id=42e034", "profile-level-id=42e01f", "packetization-mode=0;profile-level-id=42e01f"},
		{"profile-level-id=42f00b", "profile-level-id=42e01f", "packetization-mode=0;profile-level-id=42f00b"},                                         // level 1b is less than 3.1
		{"profile-level-id=42f00b" + asym, "profile-level-id=42e00b" + asym, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e00b"}, // ours is 1.1
	} {
		o, m := h264(c.offered), h264(c.ours)
		if got := answerH264(&o, &m); got != c.want {
			t.Errorf("%q answered by %q: %q, want %q", c.offered, c.ours, got, c.want)
		}
	}
}

func TestOtherFormats(t *testing.T) {
	for _, c := range []struct {
		a, b sdp.Codec
		same bool
	}{
		{sdp.Codec{Name: "opus", ClockRate: 48000, Channels: 2}, sdp.Codec{Name: "OPUS", ClockRate: 48000, Channels: 2, Fmtp: "stereo=1"}, true},
		{sdp.Codec{Name: "opus", ClockRate: 48000, Channels: 2}, sdp.Codec{Name: "opus", ClockRate: 48000}, true},
		{sdp.Codec{Name: "L16", ClockRate: 44100, Channels: 2}, sdp.Codec{Name: "L16", ClockRate: 44100}, false},
		{sdp.Codec{Name: "G722", ClockRate: 8000}, sdp.Codec{Name: "G722", ClockRate: 8000, Channels: 1}, true},
		{sdp.Codec{Name: "telephone-event", ClockRate: 8000}, sdp.Codec{Name: "telephone-event", ClockRate: 48000}, false},
		{sdp.Codec{Name: "VP9", ClockRate: 90000}, sdp.Codec{Name: "VP9", ClockRate: 90000, Fmtp: "profile-id=0"}, true},
		{sdp.Codec{Name: "VP9", ClockRate: 90000, Fmtp: "profile-id=2"}, sdp.Codec{Name: "VP9", ClockRate: 90000, Fmtp: "profile-id=0"}, false},
		{sdp.Codec{Name: "AV1", ClockRate: 90000}, sdp.Codec{Name: "AV1", ClockRate: 90000, Fmtp: "level-idx=5;profile=0;tier=0"}, true},
		{sdp.Codec{Name: "AV1", ClockRate: 90000, Fmtp: "profile=1"}, sdp.Codec{Name: "AV1", ClockRate: 90000}, false},
		{sdp.Codec{Name: "H265", ClockRate: 90000, Fmtp: "level-id=93"}, sdp.Codec{Name: "H265", ClockRate: 90000, Fmtp: "profile-id=1;tier-flag=0;level-id=180;tx-mode=SRST"}, true},
		{sdp.Codec{Name: "H265", ClockRate: 90000, Fmtp: "profile-id=2"}, sdp.Codec{Name: "H265", ClockRate: 90000}, false},
		{sdp.Codec{Name: "VP8", ClockRate: 90000, Fmtp: "max-fs=12288;max-fr=60"}, sdp.Codec{Name: "VP8", ClockRate: 90000}, true},
	} {
		if sameCodec(&c.a, &c.b) != c.same || sameCodec(&c.b, &c.a) != c.same {
			t.Errorf("%+v and %+v: same is not %v", c.a, c.b, c.same)
		}
	}
}

// RED and FEC are answered when the capabilities list them, audio RED only with what it wraps.
func TestRedundancyIsMatchedWhenListed(t *testing.T) {
	ours := []sdp.Codec{{Name: "opus", ClockRate: 48000, Channels: 2}, {Name: "red", ClockRate: 48000, Channels: 2}}
	offered := []sdp.Codec{
		{PayloadType: 63, Name: "red", ClockRate: 48000, Channels: 2, Fmtp: "111/111"},
		{PayloadType: 64, Name: "red", ClockRate: 48000, Channels: 2, Fmtp: "5/5"},
		{PayloadType: 111, Name: "opus", ClockRate: 48000, Channels: 2},
	}
	got := negotiate(offered, ours, nil, false)
	if len(got) != 2 || got[0].PayloadType != 63 || got[0].Fmtp != "111/111" || got[1].PayloadType != 111 {
		t.Fatalf("%+v", got)
	}
	if got := negotiate(offered, ours[:1], nil, false); len(got) != 1 {
		t.Fatalf("%+v", got)
	}
}

// An offered audio RED names the numbers that the offer gives to what it wraps.
func TestOfferedREDIsRenumbered(t *testing.T) {
	caps := testCapabilities()
	caps.Audio.Codecs = append(caps.Audio.Codecs,
		sdp.Codec{PayloadType: 63, Name: "red", ClockRate: 48000, Channels: 2, Fmtp: "111/111"},
		sdp.Codec{PayloadType: 62, Name: "red", ClockRate: 8000, Fmtp: "3/3"})
	p := newPeerWith(t, "p", Config{Capabilities: caps})
	p.remote(Description{TypeOffer, recorded(t, "firefox153-offer-av-data.sdp")})
	p.local(Description{})
	p.add(KindAudio, sdp.SendRecv)
	d := parse(t, p.offer().SDP)
	m := &d.Media[len(d.Media)-1]
	if got := codecNames(m); got != "109 opus 9 G722 0 PCMU 8 PCMA 63 red" || m.Codecs[4].Fmtp != "109/109" {
		t.Fatalf("%s, %q", got, m.Codecs[len(m.Codecs)-1].Fmtp)
	}
}

func TestPreferencesAreChecked(t *testing.T) {
	p := newPeer(t, "p", 1)
	v := p.add(KindVideo, sdp.SendRecv)
	caps := testCapabilities().Video.Codecs
	for name, list := range map[string][]sdp.Codec{
		"unknown":   {caps[0], {Name: "VP7", ClockRate: 90000}},
		"only rtx":  {{Name: "rtx", ClockRate: 90000}},
		"of audio":  {{Name: "opus", ClockRate: 48000, Channels: 2}},
		"other fmt": {{Name: "VP9", ClockRate: 90000, Fmtp: "profile-id=1"}},
	} {
		if err := p.SetCodecPreferences(v, list); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := p.SetCodecPreferences(v, []sdp.Codec{caps[3], caps[3], {Name: "rtx", ClockRate: 90000}}); err != nil {
		t.Fatal(err)
	}
	m := parse(t, p.offer().SDP).Media[0]
	if got := codecNames(&m); got != "102 H264 103 rtx" {
		t.Fatalf("offer %s", got)
	}
}

// Without the flag there is no retransmission, in offers and answers; without the entry no extension.
func TestOnlyWhatRunsIsNegotiated(t *testing.T) {
	caps := testCapabilities()
	caps.Video.RTX, caps.Video.Extensions, caps.ExtmapAllowMixed, caps.RTCPRsize = false, nil, false, false
	for i := range caps.Video.Codecs {
		caps.Video.Codecs[i].Feedback = []string{"nack pli"}
	}
	a := newPeerWith(t, "a", Config{Capabilities: caps})
	a.add(KindVideo, sdp.SendRecv)
	b := newPeerWith(t, "b", Config{Capabilities: caps})
	b.remote(Description{TypeOffer, recorded(t, "chromium156-offer-simulcast.sdp")})
	for _, text := range []string{a.offer().SDP, b.answer().SDP} {
		d := parse(t, text)
		if d.ExtmapAllowMixed {
			t.Error("extmap-allow-mixed")
		}
		for i := range d.Media {
			m := &d.Media[i]
			if m.RTCPRsize || m.Kind == KindVideo && len(m.Extensions) > 0 || m.Simulcast != nil || len(m.RIDs) > 0 {
				t.Errorf("section %d:\n%s", i, text)
			}
			for j := range m.Codecs {
				if isRTX(&m.Codecs[j]) || m.Kind == KindVideo && (len(m.Codecs[j].Feedback) != 1 || m.Codecs[j].Feedback[0] != "nack pli") {
					t.Errorf("codec %+v", m.Codecs[j])
				}
			}
		}
	}
}

// When the numbers run out, codecs are left out; ids of extensions too.
func TestNumbersRunOut(t *testing.T) {
	var caps Capabilities
	for i := range 80 {
		caps.Video.Codecs = append(caps.Video.Codecs, sdp.Codec{PayloadType: 96, Name: "X" + string(rune('A'+i%26)) + string(rune('A'+i/26)), ClockRate: 90000})
	}
	for i := range 20 {
		caps.Video.Extensions = append(caps.Video.Extensions, sdp.Extension{ID: 1, URI: "urn:x:" + string(rune('a'+i))})
	}
	p := newPeerWith(t, "p", Config{Capabilities: caps})
	p.add(KindVideo, sdp.SendRecv)
	m := parse(t, p.offer().SDP).Media[0]
	if len(m.Codecs) != 32+29 || len(m.Extensions) != 14 {
		t.Fatalf("%d codecs, %d extensions", len(m.Codecs), len(m.Extensions))
	}
	for _, c := range m.Codecs {
		if c.PayloadType >= 64 && c.PayloadType < 96 {
			t.Errorf("payload type %d looks like RTCP", c.PayloadType)
		}
	}
}
