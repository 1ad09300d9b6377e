package jsep

import "github.com/openparley/webrtc/sdp"

// Capabilities is what may be offered and answered. The caller lists only what its media machinery runs; the package
// adds nothing to it.
type Capabilities struct {
	Audio KindCapabilities
	Video KindCapabilities
	// ExtmapAllowMixed: the RTP pipeline reads and writes two-byte header extensions beside one-byte ones (RFC 8285).
	ExtmapAllowMixed bool
	// RTCPRsize: reduced-size RTCP may be received (RFC 5506).
	RTCPRsize bool
}

// KindCapabilities are the capabilities of audio or of video.
type KindCapabilities struct {
	// Codecs in order of preference. PayloadType is the number to offer if it is free; zero for a codec without a static
	// number takes any. Feedback lists the rtcp-fb values that run. Resilience codecs ("red", "ulpfec", "flexfec-03")
	// are listed like the others and need their flag in the machinery of the caller, not here. "rtx" is not listed: see RTX.
	Codecs []sdp.Codec
	// RTX makes a retransmission codec (RFC 4588) for every codec of Codecs except resilience codecs.
	RTX bool
	// Extensions are the header extensions that run, in order; ID is the number to offer if it is free; an empty Direction
	// is sendrecv.
	Extensions []sdp.Extension
}

// The header extensions that this package itself looks for.
const (
	ExtensionMID         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	ExtensionRID         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	ExtensionRepairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
)

func (c *Capabilities) of(kind string) *KindCapabilities {
	if kind == KindAudio {
		return &c.Audio
	}
	return &c.Video
}

func (k *KindCapabilities) hasExtension(uri string) bool {
	for _, e := range k.Extensions {
		if e.URI == uri {
			return true
		}
	}
	return false
}
