package dcep

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/openparley/webrtc/sctp"
)

func sampleOptions() []Options {
	return []Options{
		{},
		{Label: "chat", Protocol: "json", Priority: 256},
		{Label: "fast", Unordered: true, Reliability: sctp.LimitedRetransmits, MaxRetransmits: 3, Priority: 1024},
		{Label: "timed", Reliability: sctp.LimitedLifetime, MaxPacketLifeTime: 1500 * time.Millisecond},
		{Label: strings.Repeat("ü", 32767), Protocol: strings.Repeat("x", 65535)},
	}
}

// TestRFC8832OpenBytes checks the layout against section 5.1.
func TestRFC8832OpenBytes(t *testing.T) {
	got := AppendOpen(nil, &Options{Label: "ab", Protocol: "c", Priority: 512, Unordered: true, Reliability: sctp.LimitedRetransmits, MaxRetransmits: 7})
	want := []byte{3, 0x81, 2, 0, 0, 0, 0, 7, 0, 2, 0, 1, 'a', 'b', 'c'}
	if !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

func TestOpenRoundTrip(t *testing.T) {
	for _, o := range sampleOptions() {
		got, err := ParseOpen(AppendOpen(nil, &o))
		if err != nil || got != o {
			t.Errorf("%+v came back as %+v, %v", o, got, err)
		}
	}
}

func TestOpenRefusesMalformed(t *testing.T) {
	good := AppendOpen(nil, &Options{Label: "abc"})
	for _, b := range [][]byte{nil, {3}, good[:11], good[:len(good)-1], append(good[:len(good):len(good)], 0), {2}, {3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if _, err := ParseOpen(b); err == nil {
			t.Errorf("% x was taken", b)
		}
	}
}

func FuzzParseOpen(f *testing.F) {
	for _, o := range sampleOptions()[:4] {
		f.Add(AppendOpen(nil, &o))
	}
	f.Add([]byte{3, 0x82, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseOpen(b)
		if err != nil {
			return
		}
		again, err := ParseOpen(AppendOpen(nil, &o))
		if err != nil || again != o {
			t.Errorf("%+v came back as %+v, %v", o, again, err)
		}
	})
}
