package sdp

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func recorded(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.sdp")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded descriptions: %v", err)
	}
	out := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = string(b)
	}
	return out
}

// Every line of a recorded description survives: Marshal writes the same set of lines, but for what is told below.
func TestRecordedDescriptionsSurviveARoundTrip(t *testing.T) {
	for name, text := range recorded(t) {
		s, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := Parse(s.Marshal())
		if err != nil {
			t.Errorf("%s: second time: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(s, again) {
			t.Errorf("%s: changed by a round trip:\n%s", name, s.Marshal())
		}
		if !reflect.DeepEqual(s, s.Clone()) {
			t.Errorf("%s: Clone differs", name)
		}
		have := map[string]int{}
		for line := range strings.SplitSeq(s.Marshal(), "\r\n") {
			have[line]++
		}
		for line := range strings.SplitSeq(text, "\r\n") {
			// Blanks in a value are not kept where they say nothing.
			if have[line] == 0 && !strings.HasPrefix(line, "a=msid-semantic") {
				t.Errorf("%s: lost %q", name, line)
			}
			have[line]--
		}
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	head := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
	audio := "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\n"
	for _, c := range []struct {
		name, text string
		line       int
	}{
		{"grammar", head + "m=audio x UDP/TLS/RTP/SAVPF 0\r\n", 5},
		{"grammar late", head + audio + "a=mid:0\r\nv=0\r\n", 7},
		{"no type", head + "hello\r\n", 5},
		{"payload type", head + "m=audio 9 RTP/AVP 128\r\n", 5},
		{"payload type twice", head + "m=audio 9 RTP/AVP 0 0\r\n", 5},
		{"rtpmap", head + audio + "a=rtpmap:111 opus\r\n", 6},
		{"rtpmap of 200", head + audio + "a=rtpmap:200 opus/48000\r\n", 6},
		{"fingerprint", head + "a=fingerprint:sha-256 AB:CG\r\n", 5},
		{"setup", head + audio + "a=setup:both\r\n", 6},
		{"extmap", head + audio + "a=extmap:0 urn:x\r\n", 6},
		{"ssrc", head + audio + "a=ssrc:4294967296 cname:x\r\n", 6},
		{"rid", head + audio + "a=rid:a both\r\n", 6},
		{"simulcast", head + audio + "a=simulcast:send\r\n", 6},
		{"ufrag", head + audio + "a=ice-ufrag:abc\r\n", 6},
		{"sctp-port", head + audio + "a=sctp-port:65536\r\n", 6},
		{"group", head + "a=group:\r\n", 5},
		{"LF only", strings.ReplaceAll(head, "\r", "") + "a=setup:both\n", 5},
	} {
		_, err := Parse(c.text)
		var se *SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%s: error %v", c.name, err)
			continue
		}
		if se.Line != c.line {
			t.Errorf("%s: line %d, want %d: %v", c.name, se.Line, c.line, err)
		}
	}
}
