package jsep

import (
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// benchmarkCall negotiates one call between two new sessions.
func benchmarkCall(b *testing.B, media bool) {
	caps := testCapabilities()
	b.ReportAllocs()
	for n := range b.N {
		var s [2]*Session
		for i := range s {
			var err error
			if s[i], err = New(Config{Capabilities: caps, Rand: seeded(uint64(2*n + i))}); err != nil {
				b.Fatal(err)
			}
		}
		if media {
			for _, kind := range []string{KindAudio, KindVideo} {
				if _, err := s[0].AddTransceiver(kind, TransceiverInit{Direction: sdp.SendRecv}); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := s[0].EnableData(); err != nil {
			b.Fatal(err)
		}
		for i, set := range s {
			if _, err := set.SetLocal(Description{}, testLocal); err != nil {
				b.Fatal(err)
			}
			if _, err := s[1-i].SetRemote(*set.LocalDescription()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDataCall(b *testing.B)  { benchmarkCall(b, false) }
func BenchmarkMediaCall(b *testing.B) { benchmarkCall(b, true) }
