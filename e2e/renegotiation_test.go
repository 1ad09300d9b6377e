package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/lab"
)

// TestRenegotiation begins a call with data alone, adds media to it from both sides at once, stops the video from the
// browser's side, and adds video again in the section that became free.
func TestRenegotiation(t *testing.T) {
	lab.Alone(t)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launch(t, kind, lab.Host{})
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			p, tab := newGoPeer(t, false), open(ctx, t, b, url)
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Log("# data alone")
			check(call{goOffers: true}.connect(ctx, p, tab))
			check(p.roundTrip(ctx, []byte("before"), true))

			t.Log("# media from both sides")
			p.addAudio()
			p.addVideo()
			check(tab.Call(ctx, nil, "peer.addMedia"))
			check(call{goOffers: true}.negotiate(ctx, p, tab))
			check(p.received.wait(ctx, 10, 20))
			var s digest
			check(tab.Call(ctx, &s, "peer.media", 10, 20))

			t.Log("# the browser stops the video")
			check(tab.Call(ctx, nil, "peer.stop", "video"))
			check(call{goActive: true}.negotiate(ctx, p, tab))
			check(p.roundTrip(ctx, []byte("in between"), true))
			if n := sections(p.pc); n != 3 {
				t.Errorf("%d sections, want 3: data, audio, and the rejected one", n)
			}

			t.Log("# and there is video again, from this side")
			p.addVideo()
			check(call{goOffers: true}.negotiate(ctx, p, tab))
			if n := sections(p.pc); n != 3 {
				t.Errorf("%d sections, want 3: the rejected one is used again", n)
			}
			check(tab.Call(ctx, nil, "peer.decoding", 10))
			check(p.roundTrip(ctx, []byte("after"), true))
		})
	}
}

// TestGlare has both sides offer at once, twice: first this library gives way, then the browser does. In the end, both have
// what they offered.
func TestGlare(t *testing.T) {
	lab.Alone(t)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launch(t, kind, lab.Host{})
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			p, tab := newGoPeer(t, false), open(ctx, t, b, url)
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			check(call{goOffers: true}.connect(ctx, p, tab))

			t.Log("# both offer, this side gives way")
			p.addAudio()
			check(tab.Call(ctx, nil, "peer.addMedia"))
			_, err := p.offer()
			check(err)
			var offer, answer webrtc.SessionDescription
			check(tab.Call(ctx, &offer, "peer.offer"))
			answer, err = p.answer(offer) // rolls back
			check(err)
			check(tab.Call(ctx, nil, "peer.accept", answer))

			t.Log("# both offer, the browser gives way")
			p.addVideo()
			check(tab.Call(ctx, nil, "peer.offer", map[string]bool{"iceRestart": true}))
			offer, err = p.offer()
			check(err)
			check(tab.Call(ctx, &answer, "peer.answer", offer)) // rolls back
			check(p.pc.SetRemoteDescription(answer))
			check(p.received.wait(ctx, 10, 20))
			check(tab.Call(ctx, nil, "peer.media", 10, 20))
			check(p.roundTrip(ctx, []byte("after"), true))
		})
	}
}

// sections counts the sections of the newest offer or answer.
func sections(pc *webrtc.PeerConnection) int {
	return strings.Count(pc.CurrentLocalDescription().SDP, "\nm=")
}
