package webrtc

import (
	"slices"
	"strings"
	"unicode"

	"github.com/openparley/webrtc/sdp"
	"github.com/openparley/webrtc/sdp/jsep"
)

// The header extensions that are built in: they tell the streams of a bundled transport apart.
var headerExtensions = []string{jsep.ExtensionMID, jsep.ExtensionRID, jsep.ExtensionRepairedRID}

// capabilities are the codecs and header extensions of an API, in the form of jsep. Only what runs is in them: feedback
// that nobody acts on, or an extension that nobody reads, is never offered.
type capabilities struct {
	jsep   jsep.Capabilities
	codecs []RTPCodecParameters
}

// feedbackThatRuns lists the a=rtcp-fb values that have machinery.
var feedbackThatRuns = []string{"nack", "nack pli", "ccm fir"}

func newCapabilities(codecs []RTPCodecParameters) (capabilities, error) {
	c := capabilities{codecs: codecs}
	c.jsep.RTCPRsize = true
	c.jsep.ExtmapAllowMixed = true
	for i, uri := range headerExtensions {
		e := sdp.Extension{ID: i + 1, URI: uri}
		c.jsep.Video.Extensions = append(c.jsep.Video.Extensions, e)
		if uri == jsep.ExtensionMID {
			c.jsep.Audio.Extensions = append(c.jsep.Audio.Extensions, e)
		}
	}
	for _, codec := range codecs {
		if codec.PayloadType > 127 {
			return c, typeError("%s has payload type %d", codec.MimeType, codec.PayloadType)
		}
		if !isToken(codec.name()) || strings.ContainsFunc(codec.SDPFmtpLine, unicode.IsControl) {
			return c, typeError("%q with parameters %q cannot stand in a session description", codec.MimeType, codec.SDPFmtpLine)
		}
		if codec.ClockRate == 0 {
			return c, typeError("%s has no clock rate", codec.MimeType)
		}
		var kind *jsep.KindCapabilities
		switch codec.kind() {
		case RTPCodecTypeAudio:
			kind = &c.jsep.Audio
		case RTPCodecTypeVideo:
			kind = &c.jsep.Video
		default:
			return c, typeError("%q is neither an audio nor a video type", codec.MimeType)
		}
		if strings.EqualFold(codec.MimeType, MimeTypeRTX) {
			kind.RTX = true
			continue
		}
		kind.Codecs = append(kind.Codecs, toSDPCodec(codec))
	}
	return c, nil
}

func toSDPCodec(c RTPCodecParameters) sdp.Codec {
	s := sdp.Codec{
		PayloadType: uint8(c.PayloadType), Name: c.name(), ClockRate: c.ClockRate, Channels: c.Channels, Fmtp: c.SDPFmtpLine,
	}
	for _, f := range c.RTCPFeedback {
		if v := strings.TrimSpace(f.Type + " " + f.Parameter); slices.Contains(feedbackThatRuns, v) {
			s.Feedback = append(s.Feedback, v)
		}
	}
	return s
}

func fromSDPCodec(kind string, c sdp.Codec) RTPCodecParameters {
	p := RTPCodecParameters{
		RTPCodecCapability{MimeType: kind + "/" + c.Name, ClockRate: c.ClockRate, Channels: c.Channels, SDPFmtpLine: c.Fmtp},
		PayloadType(c.PayloadType),
	}
	for _, f := range c.Feedback {
		t, param, _ := strings.Cut(f, " ")
		p.RTCPFeedback = append(p.RTCPFeedback, RTCPFeedback{t, param})
	}
	return p
}

func fromSDPCodecs(kind string, codecs []sdp.Codec) []RTPCodecParameters {
	out := make([]RTPCodecParameters, 0, len(codecs))
	for _, c := range codecs {
		out = append(out, fromSDPCodec(kind, c))
	}
	return out
}

func fromSDPExtensions(exts []sdp.Extension) []RTPHeaderExtensionParameter {
	out := make([]RTPHeaderExtensionParameter, 0, len(exts))
	for _, e := range exts {
		out = append(out, RTPHeaderExtensionParameter{URI: e.URI, ID: e.ID})
	}
	return out
}

// GetCapabilities returns what this API can send and receive of a kind. W3C: RTCRtpSender.getCapabilities and
// RTCRtpReceiver.getCapabilities, which are the same here.
func (api *API) GetCapabilities(kind RTPCodecType) RTPCapabilities {
	var c RTPCapabilities
	for _, codec := range api.kinds.codecs {
		if codec.kind() == kind {
			codec.RTCPFeedback = slices.Clone(codec.RTCPFeedback)
			c.Codecs = append(c.Codecs, codec.RTPCodecCapability)
		}
	}
	c.HeaderExtensions = slices.Clone(headerExtensions)
	if kind == RTPCodecTypeAudio {
		c.HeaderExtensions = c.HeaderExtensions[:1]
	}
	return c
}
