package jsep

import "github.com/openparley/webrtc/sdp"

// Effects is what a successful SetLocal or SetRemote changed, and what is in force after it. It may be kept; its slices
// are shared with descriptions and are not to be written to.
type Effects struct {
	// Old and New are the signaling states; equal if it did not change. An implicit rollback passes through stable
	// and is told by RolledBack (W3C fires signalingstatechange for it too).
	Old, New SignalingState
	// RolledBack: the call was, or began with, a rollback.
	RolledBack bool

	// Created by the remote description, in the order of the sections.
	Created []*Transceiver
	// Removed from Session.Transceivers: by rollback, or stopped and gone. Those that were live before are in Stopped too.
	Removed []*Transceiver
	// Stopped became so in this call.
	Stopped []*Transceiver
	// Directions lists the transceivers whose CurrentDirection changed.
	Directions []*Transceiver

	// StreamRemovals, then StreamAdditions: tracks that leave and join remote streams, in W3C's order (removetrack, addtrack).
	StreamRemovals  []StreamChange
	StreamAdditions []StreamChange
	// TracksMuted: receivers whose track ends receiving. Mute, then StreamRemovals, StreamAdditions, then TracksAdded.
	TracksMuted []*Transceiver
	// TracksAdded: fire a track event for each; the streams are Receiver.Streams at this time.
	TracksAdded []*Transceiver

	// Transport of the BUNDLE group; nil while there is no section that needs one.
	Transport *Transport
	// Flows is the RTP table: one entry for each live section, with what may be sent and received now.
	Flows []Flow
	// Data is the data channel section; nil while none is negotiated.
	Data *Data

	// NegotiationNeeded is CheckNegotiationNeeded after the call, when the state is stable.
	NegotiationNeeded bool
	// BadCandidates counts the a=candidate lines of the remote description that did not parse. They are ignored.
	BadCandidates int
}

// StreamChange is one track that joins or leaves a remote stream.
type StreamChange struct {
	Stream      string
	Transceiver *Transceiver
}

// ICEParameters are the credentials of one side and generation.
type ICEParameters struct {
	Ufrag string
	Pwd   string
	Lite  bool
}

// Transport is what the one transport needs to know.
type Transport struct {
	// MID and Index of the section that stands for the transport: what icecandidate events carry.
	MID   string
	Index int

	// Local are this side's credentials; LocalChanged: they were changed by this call (first ones, restart, rollback of a
	// restart): set or restart ICE, gather.
	Local        ICEParameters
	LocalChanged bool

	// Ready: both sides are described (an answer or pranswer was applied); the fields below are meaningful. It does
	// not become false again, except by rollback of a first offer.
	Ready bool
	// Remote are the other side's credentials; RemoteChanged: they were changed by this call (first ones or restart).
	Remote        ICEParameters
	RemoteChanged bool
	// Trickle: the other side takes candidates later than its description.
	Trickle bool
	// Controlling is the ICE role to begin with (RFC 8445 §6.1.1: the offerer, or the full agent if the other is lite).
	Controlling bool
	// DTLSRole of this side; kept for the life of the DTLS association.
	DTLSRole DTLSRole
	// Fingerprints that the certificate of the other side must match, one of them.
	Fingerprints []sdp.Fingerprint
	// Candidates are all remote ones known for this generation, in order, as values of a=candidate; giving one twice to ICE
	// is harmless. EndOfCandidates: no more will come.
	Candidates      []string
	EndOfCandidates bool
}

// Flow is the RTP of one section.
type Flow struct {
	MID         string
	Index       int
	Kind        string
	Transceiver *Transceiver

	// Send and Receive: what the negotiated direction allows now. Receive is true from the local offer on.
	Send    bool
	Receive bool

	// SendCodecs are the codecs that the other side takes, in its order, with its payload types, fmtp and feedback; the first that
	// is no resilience codec is the one to send. RTX entries follow their codec ("apt" in Fmtp).
	SendCodecs []sdp.Codec
	// ReceiveCodecs are those that this side announced, with its payload types and fmtp.
	ReceiveCodecs []sdp.Codec
	// SendExtensions and ReceiveExtensions are the negotiated header extensions.
	SendExtensions    []sdp.Extension
	ReceiveExtensions []sdp.Extension
	// Encodings to send, with SSRCs; RIDs only if simulcast was accepted.
	Encodings []Encoding
	// RTX: retransmissions were negotiated for sending.
	RTX bool
	// CNAME of this side.
	CNAME string
	// SSRCs, SSRCGroups and RIDs of the other side, as declared.
	SSRCs      []sdp.SSRC
	SSRCGroups []sdp.SSRCGroup
	RIDs       []string
	// RTCPRsize: reduced-size RTCP may be sent.
	RTCPRsize bool
	// ExtmapAllowMixed: one- and two-byte headers may be mixed.
	ExtmapAllowMixed bool
}

// Data is the negotiated data channel section.
type Data struct {
	MID   string
	Index int
	// LocalPort and RemotePort are the SCTP ports.
	LocalPort  uint16
	RemotePort uint16
	// MaxMessageSize is the largest message that the other side takes, in bytes; zero: no limit. An absent attribute
	// is 65536 (RFC 8841 §6.1).
	MaxMessageSize uint64
	// Init is the other side's a=sctp-init, empty if not given.
	Init string
	// Old: the section is in the old DTLS/SCTP and sctpmap syntax.
	Old bool
}

// Candidate is W3C's RTCIceCandidateInit. Nil pointers are JavaScript's null.
type Candidate struct {
	// Candidate is the value of a=candidate, with or without the "candidate:" or "a=candidate:" before it; empty: end of
	// candidates.
	Candidate        string
	MID              *string
	MLineIndex       *int
	UsernameFragment *string
}

// CandidateUse says what to do with a remote candidate that was recorded.
type CandidateUse struct {
	// Deliver: give Candidate to ICE now. False: it belongs to a section or generation that the transport does not use
	// (yet); those that it will use come with Effects.Transport.Candidates.
	Deliver bool
	// Candidate is the value without prefix; empty: end of candidates.
	Candidate string
	// MID is the section that it was recorded in, empty for an end of candidates of all.
	MID string
}
