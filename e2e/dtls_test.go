package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/browser"
	"github.com/openparley/webrtc/e2e/lab"
)

const postQuantum = "X25519MLKEM768"

// TestDTLS makes a call with each browser in each DTLS role: with DTLS 1.3 and a post-quantum key exchange, which is what
// both sides do unless told otherwise, and with DTLS 1.2 where this library is told so.
func TestDTLS(t *testing.T) {
	lab.Alone(t)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launch(t, kind, lab.Host{})
			for i, want := range []handshake{
				{active: true, version: webrtc.DTLS13, group: postQuantum},
				{active: false, version: webrtc.DTLS13, group: postQuantum},
				{active: true, version: webrtc.DTLS12, group: "x25519"},
				{active: false, version: webrtc.DTLS12, group: "x25519"},
			} {
				want.settings.DTLSMaxVersion = want.version
				if want.version == webrtc.DTLS13 {
					want.settings.DTLSMaxVersion = 0 // not asked for: what one gets
				}
				t.Run(want.String(), func(t *testing.T) { want.run(t, b, url, i%2 == 0) })
			}
		})
	}
}

// TestWithoutPostQuantum makes calls with browsers that do not offer it, and whose ClientHello is one datagram for that.
func TestWithoutPostQuantum(t *testing.T) {
	lab.Alone(t)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launchWith(t, kind, browser.Options{NoPostQuantum: true})
			for i, active := range []bool{true, false} {
				want := handshake{active: active, version: webrtc.DTLS13, group: "x25519"}
				t.Run(want.String(), func(t *testing.T) { want.run(t, b, url, i%2 == 0) })
			}
		})
	}
}

// handshake is what a call is to agree on.
type handshake struct {
	settings webrtc.Settings
	active   bool // this library is the DTLS client
	version  webrtc.DTLSVersion
	group    string
}

func (want handshake) String() string {
	role := "server"
	if want.active {
		role = "client"
	}
	return fmt.Sprintf("%s,%04X,%s", role, uint16(want.version), want.group)
}

// run makes the call, data and no media, and looks at both sides' statistics.
func (want handshake) run(t *testing.T, b *browser.Browser, url string, goOffers bool) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	p, tab := newGoPeerWith(t, want.settings, false), open(ctx, t, b, url)
	c := call{goOffers: goOffers, goActive: want.active}
	if err := c.connect(ctx, p, tab); err != nil {
		t.Fatal(err)
	}
	if err := p.roundTrip(ctx, []byte("is anybody there?"), true); err != nil {
		t.Fatal(err)
	}
	var s digest
	if err := tab.Call(ctx, &s, "peer.stats"); err != nil {
		t.Fatal(err)
	}
	c.checkRoles(t, p, s)
	ours := p.transport()
	version := fmt.Sprintf("%04X", uint16(want.version))
	if ours.TLSVersion != version || ours.DTLSGroup != want.group {
		t.Errorf("we report DTLS %s with %s, want %s with %s", ours.TLSVersion, ours.DTLSGroup, version, want.group)
	}
	if s.TLSVersion != version || s.TLSGroup != "" && s.TLSGroup != want.group {
		t.Errorf("the browser reports DTLS %s with %q, want %s with %s", s.TLSVersion, s.TLSGroup, version, want.group)
	}
	t.Logf("the browser reports tlsVersion %q, dtlsCipher %q, tlsGroup %q; we %s, %s, %s",
		s.TLSVersion, s.DTLSCipher, s.TLSGroup, ours.TLSVersion, ours.DTLSCipher, ours.DTLSGroup)
}

// transport returns this library's statistics of the one transport that there is.
func (p *goPeer) transport() *webrtc.TransportStats {
	p.t.Helper()
	for _, s := range p.pc.GetStats() {
		if s, ok := s.(*webrtc.TransportStats); ok {
			return s
		}
	}
	p.t.Fatal("no statistics of a transport")
	return nil
}
