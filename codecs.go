package webrtc

import (
	"slices"
	"strings"
)

// RTPCodecType is the kind of a medium. W3C: the kind of a MediaStreamTrack.
type RTPCodecType int

// The values of RTPCodecType.
const (
	RTPCodecTypeAudio RTPCodecType = iota + 1
	RTPCodecTypeVideo
)

var rtpCodecTypeWords = []string{"unknown", "audio", "video"}

// String returns the W3C word.
func (t RTPCodecType) String() string { return enumWord(rtpCodecTypeWords, int(t)) }

// MarshalText implements encoding.TextMarshaler.
func (t RTPCodecType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (t *RTPCodecType) UnmarshalText(text []byte) error {
	return parseEnum(rtpCodecTypeWords, text, t)
}

// NewRTPCodecType parses "audio" and "video"; anything else is zero.
func NewRTPCodecType(word string) RTPCodecType {
	var t RTPCodecType
	if t.UnmarshalText([]byte(word)) != nil {
		return 0
	}
	return t
}

// The MIME types of the codecs that have a payload format built in. They compare without regard to case.
const (
	MimeTypeOpus = "audio/opus"
	MimeTypePCMU = "audio/PCMU"
	MimeTypePCMA = "audio/PCMA"
	MimeTypeG722 = "audio/G722"
	MimeTypeVP8  = "video/VP8"
	MimeTypeVP9  = "video/VP9"
	MimeTypeH264 = "video/H264"
	MimeTypeAV1  = "video/AV1"
	MimeTypeRTX  = "video/rtx"
)

// PayloadType is an RTP payload type, 0 to 127.
type PayloadType uint8

// SSRC is an RTP synchronisation source.
type SSRC uint32

// RTCPFeedback is one a=rtcp-fb of a codec: "nack", "pli" for Picture Loss Indication, for example (RFC 4585).
type RTCPFeedback struct {
	Type      string `json:"type"`
	Parameter string `json:"parameter,omitempty"`
}

// RTPCodecCapability describes a codec. W3C: RTCRtpCodec.
type RTPCodecCapability struct {
	MimeType  string `json:"mimeType"`
	ClockRate uint32 `json:"clockRate"`
	// Channels is 2 for stereo, and for Opus always; zero means that the codec has no such parameter, or one.
	Channels     uint16         `json:"channels,omitempty"`
	SDPFmtpLine  string         `json:"sdpFmtpLine,omitempty"`
	RTCPFeedback []RTCPFeedback `json:"-"`
}

// RTPCodecParameters is a codec with the payload type that it has on the wire. W3C: RTCRtpCodecParameters.
type RTPCodecParameters struct {
	RTPCodecCapability
	PayloadType PayloadType `json:"payloadType"`
}

// RTPHeaderExtensionParameter is a negotiated header extension (RFC 8285).
type RTPHeaderExtensionParameter struct {
	URI string `json:"uri"`
	ID  int    `json:"id"`
}

// RTPParameters are what sender and receiver have in common. W3C: RTCRtpParameters.
type RTPParameters struct {
	HeaderExtensions []RTPHeaderExtensionParameter `json:"headerExtensions"`
	Codecs           []RTPCodecParameters          `json:"codecs"`
}

// clone copies what a caller might change. Parameters that are in use are replaced, never changed.
func (p RTPParameters) clone() RTPParameters {
	p.HeaderExtensions, p.Codecs = slices.Clone(p.HeaderExtensions), slices.Clone(p.Codecs)
	for i := range p.Codecs {
		p.Codecs[i].RTCPFeedback = slices.Clone(p.Codecs[i].RTCPFeedback)
	}
	return p
}

// RTPCapabilities are the codecs and header extensions that are built in. W3C: RTCRtpCapabilities.
type RTPCapabilities struct {
	Codecs           []RTPCodecCapability `json:"codecs"`
	HeaderExtensions []string             `json:"headerExtensions"`
}

var videoFeedback = []RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}

// DefaultCodecs returns the codecs that are offered and accepted when Settings name none, in order of preference: Opus,
// G.722, PCMU and PCMA; VP8, VP9, H.264 and AV1, each with retransmission (RFC 4588). The caller may change the result.
func DefaultCodecs() []RTPCodecParameters {
	audio := func(pt PayloadType, mime string, rate uint32, channels uint16, fmtp string) RTPCodecParameters {
		return RTPCodecParameters{RTPCodecCapability{mime, rate, channels, fmtp, nil}, pt}
	}
	video := func(pt PayloadType, mime, fmtp string) RTPCodecParameters {
		return RTPCodecParameters{RTPCodecCapability{mime, 90000, 0, fmtp, slices.Clone(videoFeedback)}, pt}
	}
	rtx := func(pt PayloadType, apt string) RTPCodecParameters {
		return RTPCodecParameters{RTPCodecCapability{MimeTypeRTX, 90000, 0, "apt=" + apt, nil}, pt}
	}
	const h264 = "level-asymmetry-allowed=1;packetization-mode="
	return []RTPCodecParameters{
		audio(111, MimeTypeOpus, 48000, 2, "minptime=10;useinbandfec=1"),
		audio(9, MimeTypeG722, 8000, 0, ""),
		audio(0, MimeTypePCMU, 8000, 0, ""),
		audio(8, MimeTypePCMA, 8000, 0, ""),
		video(96, MimeTypeVP8, ""), rtx(97, "96"),
		video(98, MimeTypeVP9, "profile-id=0"), rtx(99, "98"),
		video(100, MimeTypeVP9, "profile-id=2"), rtx(101, "100"),
		video(102, MimeTypeH264, h264+"1;profile-level-id=42e01f"), rtx(103, "102"),
		video(104, MimeTypeH264, h264+"0;profile-level-id=42e01f"), rtx(105, "104"),
		video(106, MimeTypeH264, h264+"1;profile-level-id=42001f"), rtx(107, "106"),
		video(45, MimeTypeAV1, "level-idx=5;profile=0;tier=0"), rtx(46, "45"),
	}
}

// kind returns audio or video by the MIME type; zero for anything else.
func (c RTPCodecCapability) kind() RTPCodecType {
	top, _, _ := strings.Cut(c.MimeType, "/")
	return NewRTPCodecType(strings.ToLower(top))
}

// name returns the subtype, which is the encoding name of a=rtpmap.
func (c RTPCodecCapability) name() string {
	_, name, _ := strings.Cut(c.MimeType, "/")
	return name
}

// matches reports whether a track of this codec can be sent as other: the same encoding at the same clock rate. The
// format parameters were matched by offer and answer.
func (c RTPCodecCapability) matches(other RTPCodecCapability) bool {
	return strings.EqualFold(c.MimeType, other.MimeType) &&
		(c.ClockRate == 0 || c.ClockRate == other.ClockRate)
}
