package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/lab"
)

// TestTCPMux makes calls with browsers that have nothing but our TCP port to connect to.
func TestTCPMux(t *testing.T) {
	lab.Alone(t)
	mux, err := webrtc.NewTCPMux(webrtc.TCPMuxConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mux.Close(); err != nil {
			t.Error(err)
		}
	})
	settings := webrtc.Settings{
		TCPMux: mux, NetworkTypes: []webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6},
	}
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launch(t, kind, lab.Host{})
			for _, c := range []call{{goOffers: true, media: true}, {goActive: true, media: true}} {
				t.Run(c.String(), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					p := newGoPeerWith(t, settings, c.media)
					s := c.run(ctx, t, p, open(ctx, t, b, url))
					if s.Remote.Protocol != "tcp" || s.Remote.Port != int(mux.LocalAddr().Port()) {
						t.Errorf("the browser's pair is %+v to %+v", s.Local, s.Remote)
					}
					if sdp := p.pc.LocalDescription().SDP; strings.Contains(sdp, " udp ") || !strings.Contains(sdp, " tcptype passive") {
						t.Errorf("candidates of UDP, or none of TCP:\n%s", sdp)
					}
				})
			}
			t.Run("UDP goes first", func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				p := newGoPeerWith(t, webrtc.Settings{TCPMux: mux}, false)
				s := call{goOffers: true}.run(ctx, t, p, open(ctx, t, b, url))
				if s.Remote.Protocol != "udp" {
					t.Errorf("the browser's pair is %+v to %+v", s.Local, s.Remote)
				}
				if sdp := p.pc.LocalDescription().SDP; !strings.Contains(sdp, " tcptype passive") {
					t.Errorf("no candidate of TCP:\n%s", sdp)
				}
			})
		})
	}
}
