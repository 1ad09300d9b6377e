package sdp

import (
	"slices"
	"strings"
)

// Media is one m= section.
type Media struct {
	// Kind is the media type: "audio", "video", "application", or another.
	Kind string
	// Port of the m= line. Zero is a rejected section, unless BundleOnly is set (see Rejected).
	Port int
	// Protocol is the transport of the m= line ("UDP/TLS/RTP/SAVPF", "UDP/DTLS/SCTP", "DTLS/SCTP").
	Protocol string
	// Formats are the formats of the m= line as written: payload types, or "webrtc-datachannel", or an SCTP port (old syntax).
	// Marshal writes the payload types of Codecs instead when the section is RTP and has any.
	Formats []string
	// Title is the i= line.
	Title string
	// Connection is the c= line ("IN IP4 0.0.0.0"), empty if there is none.
	Connection string
	Bandwidths []Bandwidth

	MID string
	// Direction is empty if the section has none of its own.
	Direction  Direction
	BundleOnly bool

	ICEUfrag   string
	ICEPwd     string
	ICEOptions []string
	// Candidates are the values of a=candidate, opaque here ("1 1 udp 2130706431 192.0.2.1 5000 typ host").
	Candidates      []string
	EndOfCandidates bool
	Fingerprints    []Fingerprint
	Setup           Setup
	TLSID           string

	RTCPMux     bool
	RTCPMuxOnly bool
	RTCPRsize   bool
	// RTCP is the value of a=rtcp, empty if there is none.
	RTCP string

	// Codecs are the RTP payload types in the order of the m= line. A format without an a=rtpmap gets the static mapping
	// of RFC 3551, or an empty name.
	Codecs           []Codec
	Extensions       []Extension
	ExtmapAllowMixed bool
	MSIDs            []MSID
	// SSRCs in order of their first a=ssrc line.
	SSRCs      []SSRC
	SSRCGroups []SSRCGroup
	RIDs       []RID
	// Simulcast is nil without an a=simulcast line.
	Simulcast *Simulcast

	// SCTPPort is the value of a=sctp-port, or of the old syntax's m= line and a=sctpmap; zero: none.
	SCTPPort int
	// MaxMessageSize is the value of a=max-message-size in bytes, zero being "no limit"; nil: not given (RFC 8841 §6: 64 KiB).
	MaxMessageSize *uint64
	// SCTPInit is the value of a=sctp-init (base64 of an INIT chunk).
	SCTPInit string
	// SCTPMap says that the section uses the old syntax: "m=application 9 DTLS/SCTP 5000" and
	// "a=sctpmap:5000 webrtc-datachannel 1024".
	SCTPMap *SCTPMap

	// Attributes are the attributes without a field of their own, in order.
	Attributes []Attribute
}

// SCTPMap is an a=sctpmap line of the old syntax (draft-ietf-mmusic-sctp-sdp-05).
type SCTPMap struct {
	Port    int
	App     string
	Streams int
}

// Codec is one RTP payload type of a section.
type Codec struct {
	// PayloadType is 0 to 127.
	PayloadType uint8
	// Name is the encoding name as written ("opus", "VP8").
	Name string
	// ClockRate in Hz.
	ClockRate uint32
	// Channels of an audio codec; zero: not given (one).
	Channels uint16
	// Fmtp is the value of a=fmtp after the payload type, as written.
	Fmtp string
	// Feedback are the values of a=rtcp-fb ("nack", "nack pli", "ccm fir"), those given for "*" included.
	Feedback []string
}

// Extension is an a=extmap line (RFC 8285).
type Extension struct {
	// ID is 1 to 255, without 15 only when one-byte headers are used; 4096 and above are offers that need mapping.
	ID int
	// Direction is empty when the line gives none: then it is the section's.
	Direction Direction
	URI       string
	// Attributes is what follows the URI.
	Attributes string
}

// MSID is an a=msid line (RFC 8830): a stream, "-" meaning none, and the track.
type MSID struct {
	Stream string
	Track  string
}

// SSRC is what the a=ssrc lines of a section say about one source (RFC 5576).
type SSRC struct {
	ID    uint32
	CNAME string
	// MSID is the value of the "msid" attribute, in the way before RFC 8830.
	MSID *MSID
	// Attributes are the others, in order.
	Attributes []Attribute
}

// SSRCGroup is an a=ssrc-group line; Semantics is FID, FEC-FR or SIM, or another.
type SSRCGroup struct {
	Semantics string
	SSRCs     []uint32
}

// RID is an a=rid line (RFC 8851).
type RID struct {
	ID string
	// Send is the direction: true for "send", false for "recv".
	Send bool
	// Restrictions is what follows the direction ("pt=97;max-width=1280").
	Restrictions string
}

// Simulcast is an a=simulcast line (RFC 8853): for each direction the streams, each with its alternatives.
type Simulcast struct {
	Send [][]SimulcastID
	Recv [][]SimulcastID
}

// SimulcastID names a RID; Paused is the "~" before it.
type SimulcastID struct {
	RID    string
	Paused bool
}

// Rejected reports a section with port zero that is not merely bundle-only (RFC 8843 §6).
func (m *Media) Rejected() bool { return m.Port == 0 && !m.BundleOnly }

// IsRTP reports whether the protocol carries RTP.
func (m *Media) IsRTP() bool { return strings.Contains(m.Protocol, "RTP/") }

// IsData reports whether the section is SCTP over DTLS, in the new or in the old syntax.
func (m *Media) IsData() bool {
	return m.Kind == "application" && strings.HasSuffix(m.Protocol, "DTLS/SCTP")
}

// Codec returns the codec with that payload type, or nil.
func (m *Media) Codec(pt uint8) *Codec {
	for i := range m.Codecs {
		if m.Codecs[i].PayloadType == pt {
			return &m.Codecs[i]
		}
	}
	return nil
}

// RemoteMSIDs returns the msid lines, or else those given with the SSRCs in the old way, without doubles.
func (m *Media) RemoteMSIDs() []MSID {
	if len(m.MSIDs) > 0 {
		return m.MSIDs
	}
	var msids []MSID
	for _, s := range m.SSRCs {
		if s.MSID != nil && !slices.Contains(msids, *s.MSID) {
			msids = append(msids, *s.MSID)
		}
	}
	return msids
}

func (m Media) clone() Media {
	m.Formats = slices.Clone(m.Formats)
	m.Bandwidths = slices.Clone(m.Bandwidths)
	m.ICEOptions = slices.Clone(m.ICEOptions)
	m.Candidates = slices.Clone(m.Candidates)
	m.Fingerprints = slices.Clone(m.Fingerprints)
	m.Codecs = CloneCodecs(m.Codecs)
	m.Extensions = slices.Clone(m.Extensions)
	m.MSIDs = slices.Clone(m.MSIDs)
	m.SSRCs = slices.Clone(m.SSRCs)
	for i := range m.SSRCs {
		m.SSRCs[i].Attributes = slices.Clone(m.SSRCs[i].Attributes)
	}
	m.SSRCGroups = slices.Clone(m.SSRCGroups)
	for i := range m.SSRCGroups {
		m.SSRCGroups[i].SSRCs = slices.Clone(m.SSRCGroups[i].SSRCs)
	}
	m.RIDs = slices.Clone(m.RIDs)
	m.Attributes = slices.Clone(m.Attributes)
	if m.Simulcast != nil {
		m.Simulcast = &Simulcast{Send: cloneStreams(m.Simulcast.Send), Recv: cloneStreams(m.Simulcast.Recv)}
	}
	if m.SCTPMap != nil {
		c := *m.SCTPMap
		m.SCTPMap = &c
	}
	return m
}

func cloneStreams(in [][]SimulcastID) [][]SimulcastID {
	out := slices.Clone(in)
	for i := range out {
		out[i] = slices.Clone(out[i])
	}
	return out
}

// CloneCodecs returns a deep copy.
func CloneCodecs(in []Codec) []Codec {
	out := slices.Clone(in)
	for i := range out {
		out[i].Feedback = slices.Clone(out[i].Feedback)
	}
	return out
}
