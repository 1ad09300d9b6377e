package sdp

import (
	"reflect"
	"testing"
)

// FuzzParse: no text panics, and what parses survives a round trip.
func FuzzParse(f *testing.F) {
	for _, text := range recorded(f) {
		f.Add(text)
	}
	f.Add("v=0\no=- 1 1 IN IP4 0.0.0.0\ns=x\nc=IN IP4 224.2.1.1/127/3\nb=X-Y:1\nt=0 0\nm=application 9 DTLS/SCTP 5000\na=sctpmap:5000 webrtc-datachannel 1024\n")
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9/2 RTP/AVP 34 96\r\ni=title\r\na=rtcp-fb:* nack\r\na=simulcast:send a,~b;c recv d\r\na=ssrc-group:FID 1 2\r\na=ssrc:1 x:y\r\n")
	f.Add("v=\no=0 0 0 IN\ns=\nt=\nm=video 0 RTP/AVP 00\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		out := s.Marshal()
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("what was written does not parse: %v\n%s", err, out)
		}
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("a round trip changes it:\n%s\n%s", out, again.Marshal())
		}
		if !reflect.DeepEqual(s, s.Clone()) {
			t.Fatal("the clone differs")
		}
	})
}
