package e2e

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/browser"
	"github.com/openparley/webrtc/e2e/lab"
)

// TestIPv6Only makes calls between two hosts that have no IPv4.
func TestIPv6Only(t *testing.T) {
	far := lab.IPv6Only(t)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launch(t, kind, far)
			for _, c := range []call{{goOffers: true, media: true}, {goActive: true, media: true}} {
				t.Run(c.String(), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					s := c.run(ctx, t, newGoPeer(t, c.media), open(ctx, t, b, url))
					for _, text := range []string{s.Local.Address, s.Remote.Address} {
						if addr, err := netip.ParseAddr(text); err != nil || !addr.Is6() {
							t.Errorf("the call runs over %v to %v, want IPv6 only", s.Local, s.Remote)
						}
					}
				})
			}
		})
	}
}

// TestTwoInterfaces makes calls between two hosts that are joined by two networks, then pulls the cable of the one in
// use, and restarts ICE: the call goes on over the other one.
func TestTwoInterfaces(t *testing.T) {
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			far := lab.TwoInterfaces(t)
			ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
			defer cancel()
			b, url := launch(t, kind, far)
			p, tab := newGoPeer(t, true), open(ctx, t, b, url)
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			check(call{goOffers: true, media: true}.connect(ctx, p, tab))
			check(p.roundTrip(ctx, []byte("over the first network"), true))
			for _, addr := range []string{"10.77.0.1", "fd77::1", "10.78.0.1", "fd78::1"} {
				if sdp := p.pc.LocalDescription().SDP; !strings.Contains(sdp, " "+addr+" ") {
					t.Errorf("no candidate of %s in\n%s", addr, sdp)
				}
			}
			theirs := []string{"10.77.0.2", "10.78.0.2", "fd77::2", "fd78::2"}
			if kind == browser.Firefox { // which shows the addresses of its default route alone
				theirs = []string{"10.77.0.2", "fd77::2"}
			}
			for _, addr := range theirs {
				if all := strings.Join(p.remote, "\n"); !strings.Contains(all, " "+addr+" ") {
					t.Errorf("no candidate of %s in\n%s", addr, all)
				}
			}
			var before, after digest
			check(tab.Call(ctx, &before, "peer.stats"))
			first, second := "lab0", "78:"
			if strings.Contains(before.Remote.Address, "78") {
				first, second = "lab1", "77:"
			}
			t.Logf("from %v to %v; now cutting %s", before.Local, before.Remote, first)
			lab.Cut(t, far, first)
			offer, err := p.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
			check(err)
			check(p.pc.SetLocalDescription(offer))
			var answer webrtc.SessionDescription
			check(tab.Call(ctx, &answer, "peer.answer", offer))
			check(p.pc.SetRemoteDescription(answer))
			check(p.trickle(ctx, tab))
			check(p.roundTrip(ctx, []byte("over the second one"), true))
			check(tab.Call(ctx, nil, "peer.roundTrip", "binary", 1000))
			check(tab.Call(ctx, &after, "peer.stats"))
			t.Logf("from %v to %v", after.Local, after.Remote)
			if !strings.Contains(strings.ReplaceAll(after.Remote.Address, ".", ":"), second) {
				t.Errorf("the call goes on from %v to %v, want the network %s", after.Local, after.Remote, second)
			}
		})
	}
}

// TestHiddenAddresses makes calls with browsers that show names of multicast DNS in place of their addresses, as they do
// for pages without a camera. Nobody here resolves them: their checks must do.
func TestHiddenAddresses(t *testing.T) {
	lab.Alone(t)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launchWith(t, kind, browser.Options{HideAddresses: true})
			for _, c := range []call{{goOffers: true}, {goActive: true}} {
				t.Run(c.String(), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					p := newGoPeer(t, c.media)
					c.run(ctx, t, p, open(ctx, t, b, url))
					if all := strings.Join(p.remote, "\n"); !strings.Contains(all, ".local ") {
						t.Errorf("no name in the candidates:\n%s", all)
					}
				})
			}
		})
	}
}
