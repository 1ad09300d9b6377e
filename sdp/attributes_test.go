package sdp

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

func mustParse(t *testing.T, text string) *Session {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s
}

// Every attribute of RFC 9429 and of the RFCs that it builds on reaches its field.
func TestAttributesReachTheirFields(t *testing.T) {
	s := mustParse(t, head+strings.ReplaceAll(`a=group:BUNDLE a v d
a=group:LS a v
a=ice-lite
a=ice-options:trickle ice2
a=ice-ufrag:sess
a=ice-pwd:sessionsessionsessionsess
a=fingerprint:SHA-256 ab:CD:01
a=setup:actpass
a=tls-id:abc3de65cddef001be82
a=extmap:5 urn:session
a=extmap-allow-mixed
a=recvonly
a=x-unknown:1:2
m=audio 9 UDP/TLS/RTP/SAVPF 111 0 96
c=IN IP4 0.0.0.0
b=AS:64
b=TIAS:64000
a=mid:a
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10
a=fmtp:111 useinbandfec=1
a=rtcp-fb:* nack
a=rtcp-fb:111 transport-cc
a=extmap:1/sendonly urn:one with more
a=msid:s1 t1
a=msid:s2 t1
a=ptime:20
m=video 9 UDP/TLS/RTP/SAVPF 96 97
a=mid:v
a=sendonly
a=bundle-only
a=rtcp-mux
a=rtcp-mux-only
a=rtcp-rsize
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:medi
a=ice-pwd:mediamediamediamediamedia
a=ice-options:other
a=candidate:1 1 udp 1 192.0.2.1 1 typ host
a=end-of-candidates
a=fingerprint:sha-1 00:11
a=setup:passive
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=ssrc-group:FID 1 2
a=ssrc:1 cname:c
a=ssrc:1 msid:s t
a=ssrc:2 cname:c
a=ssrc:2 label:x
a=rid:hi send pt=96;max-width=1280
a=rid:lo recv
a=simulcast:send hi,~lo recv lo
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=mid:d
a=sctp-port:5000
a=max-message-size:0
a=sctp-init:AQAA
`, "\n", "\r\n"))
	a, v, d := &s.Media[0], &s.Media[1], &s.Media[2]
	zero := uint64(0)
	for name, c := range map[string]struct{ got, want any }{
		"groups":       {s.Groups, []Group{{"BUNDLE", []string{"a", "v", "d"}}, {"LS", []string{"a", "v"}}}},
		"bundle":       {len(s.BundleGroups()), 1},
		"ice of a":     {s.ICEOf(0), ICE{"sess", "sessionsessionsessionsess", true, []string{"trickle", "ice2"}}},
		"ice of v":     {s.ICEOf(1), ICE{"medi", "mediamediamediamediamedia", true, []string{"other"}}},
		"ice of none":  {s.ICEOf(9).Ufrag, "sess"},
		"fingerprints": {s.FingerprintsOf(0), []Fingerprint{{"sha-256", "AB:CD:01"}}},
		"own":          {s.FingerprintsOf(1), []Fingerprint{{"sha-1", "00:11"}}},
		"setup":        {[]Setup{s.SetupOf(0), s.SetupOf(1)}, []Setup{SetupActpass, SetupPassive}},
		"direction":    {[]Direction{s.DirectionOf(0), s.DirectionOf(1)}, []Direction{RecvOnly, SendOnly}},
		"extensions":   {s.ExtensionsOf(0), []Extension{{5, "", "urn:session", ""}, {1, SendOnly, "urn:one", "with more"}}},
		"unknown":      {s.Attributes, []Attribute{{"x-unknown", "1:2"}}},
		"unknown of a": {a.Attributes, []Attribute{{"ptime", "20"}}},
		"tls-id":       {s.TLSID, "abc3de65cddef001be82"},
		"bandwidth":    {a.Bandwidths, []Bandwidth{{"AS", 64}, {"TIAS", 64000}}},
		"opus":         {a.Codecs[0], Codec{111, "opus", 48000, 2, "minptime=10;useinbandfec=1", []string{"transport-cc", "nack"}}},
		"static":       {a.Codecs[1], Codec{0, "PCMU", 8000, 0, "", []string{"nack"}}},
		"nameless":     {a.Codecs[2].Name, ""},
		"msids":        {a.MSIDs, []MSID{{"s1", "t1"}, {"s2", "t1"}}},
		"old msids":    {v.RemoteMSIDs(), []MSID{{"s", "t"}}},
		"flags":        {[]bool{v.BundleOnly, v.RTCPMux, v.RTCPMuxOnly, v.RTCPRsize, v.EndOfCandidates, v.Rejected()}, []bool{true, true, true, true, true, false}},
		"candidates":   {v.Candidates, []string{"1 1 udp 1 192.0.2.1 1 typ host"}},
		"groups of v":  {v.SSRCGroups, []SSRCGroup{{"FID", []uint32{1, 2}}}},
		"ssrc":         {v.SSRCs[1], SSRC{ID: 2, CNAME: "c", Attributes: []Attribute{{"label", "x"}}}},
		"rids":         {v.RIDs, []RID{{"hi", true, "pt=96;max-width=1280"}, {"lo", false, ""}}},
		"simulcast":    {v.Simulcast, &Simulcast{Send: [][]SimulcastID{{{"hi", false}, {"lo", true}}}, Recv: [][]SimulcastID{{{"lo", false}}}}},
		"sctp":         {[]any{d.SCTPPort, d.MaxMessageSize, d.SCTPInit, d.IsData(), d.IsRTP()}, []any{5000, &zero, "AQAA", true, false}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, c.got, c.want)
		}
	}
	again := mustParse(t, s.Marshal())
	if !reflect.DeepEqual(s, again) {
		t.Error("changed by a round trip")
	}
	if s.Marshal() != again.String() {
		t.Error("equal values give different text")
	}
}

// The syntax before RFC 8841: the port on the m= line, and sctpmap.
func TestOldDataSyntax(t *testing.T) {
	s := mustParse(t, head+"m=application 9 DTLS/SCTP 5001\r\na=sctpmap:5001 webrtc-datachannel 256\r\n")
	m := &s.Media[0]
	if !m.IsData() || m.SCTPPort != 5001 || *m.SCTPMap != (SCTPMap{5001, "webrtc-datachannel", 256}) {
		t.Fatalf("%+v", m)
	}
	if out := s.Marshal(); !strings.Contains(out, "m=application 9 DTLS/SCTP 5001\r\n") || !strings.Contains(out, "a=sctpmap:5001 webrtc-datachannel 256\r\n") ||
		strings.Contains(out, "sctp-port") {
		t.Fatal(out)
	}
}

func TestDirections(t *testing.T) {
	for d, want := range map[Direction][2]bool{SendRecv: {true, true}, SendOnly: {true, false}, RecvOnly: {false, true}, Inactive: {false, false}} {
		r := d.Reverse()
		if d.Sends() != want[0] || d.Receives() != want[1] || r.Sends() != want[1] || r.Receives() != want[0] || d.Intersect(SendRecv) != d ||
			DirectionFrom(want[0], want[1]) != d || d.Intersect(Inactive) != Inactive {
			t.Errorf("%s", d)
		}
	}
	if Direction("").Reverse() != "" {
		t.Error("the reverse of nothing")
	}
}

func TestFmtp(t *testing.T) {
	c := Codec{Fmtp: "packetization-mode=1; Profile-Level-Id = 42e01f;x"}
	if v, ok := c.Param("profile-level-id"); !ok || v != "42e01f" {
		t.Errorf("%q %v", v, ok)
	}
	if v, ok := c.Param("x"); !ok || v != "" {
		t.Errorf("%q %v", v, ok)
	}
	if _, ok := c.Param("y"); ok {
		t.Error("found y")
	}
	if got := SetFmtpParam("a=1;b=2", "A", "3"); got != "A=3;b=2" {
		t.Error(got)
	}
	if got := SetFmtpParam(SetFmtpParam("", "a", "1"), "b", "2"); got != "a=1;b=2" {
		t.Error(got)
	}
}

// Beyond its limits a description is refused before it is read.
func TestLimits(t *testing.T) {
	for name, text := range map[string]string{
		"size":     head + "a=" + strings.Repeat("x", MaxSize),
		"lines":    head + strings.Repeat("a=x\n", MaxLines),
		"sections": head + strings.Repeat("m=audio 9 RTP/AVP 0\n", MaxSections+1),
		"empty":    "",
		"prefix":   "v=0\r\n",
	} {
		var se *SyntaxError
		if _, err := Parse(text); !errors.As(err, &se) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mustParse(t, head+strings.Repeat("m=audio 9 RTP/AVP 0\n", MaxSections))
}

// A value with a line break does not become two lines.
func TestNoInjection(t *testing.T) {
	s := mustParse(t, head)
	s.Attributes = []Attribute{{"x", "1\r\na=y:2"}}
	s.Name = "n\r\nm=audio 9 RTP/AVP 0"
	again := mustParse(t, s.Marshal())
	if len(again.Media) != 0 || len(again.Attributes) != 1 {
		t.Fatal(s.Marshal())
	}
}

func BenchmarkParse(b *testing.B) {
	text := recorded(b)["chromium156-offer-av-data.sdp"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
