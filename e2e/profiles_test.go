package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/lab"
)

// TestProfiles makes a call with each version of DTLS and each SRTP profile alone.
func TestProfiles(t *testing.T) {
	lab.Alone(t)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launch(t, kind, lab.Host{})
			for i, want := range []struct {
				profile webrtc.SRTPProfile
				version webrtc.DTLSVersion
				cipher  string
			}{
				{webrtc.SRTPAES128CMHMACSHA180, webrtc.DTLS12, "SRTP_AES128_CM_HMAC_SHA1_80"},
				{webrtc.SRTPAEADAES128GCM, webrtc.DTLS13, "SRTP_AEAD_AES_128_GCM"},
				{webrtc.SRTPAEADAES256GCM, webrtc.DTLS12, "SRTP_AEAD_AES_256_GCM"},
			} {
				t.Run(want.cipher, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					p := newGoPeerWith(t, webrtc.Settings{
						SRTPProfiles: []webrtc.SRTPProfile{want.profile}, DTLSMinVersion: want.version, DTLSMaxVersion: want.version,
					}, true)
					c := call{goOffers: i%2 == 0, goActive: i%2 == 0, media: true}
					s := c.run(ctx, t, p, open(ctx, t, b, url))
					if version := fmt.Sprintf("%04X", uint16(want.version)); s.SRTPCipher != want.cipher || s.TLSVersion != version {
						t.Errorf("DTLS %s with %s, want %s with %s", s.TLSVersion, s.SRTPCipher, version, want.cipher)
					}
				})
			}
		})
	}
}
