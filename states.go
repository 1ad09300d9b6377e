package webrtc

import "fmt"

// The enumerations of W3C's specification. The zero value is the initial state, or "unknown" where there is none; String gives
// the specification's word, which is also the JSON form.

// SignalingState describes where the connection is in the exchange of offer and answer. W3C: RTCSignalingState.
type SignalingState int

// The values of SignalingState.
const (
	SignalingStateStable SignalingState = iota
	SignalingStateHaveLocalOffer
	SignalingStateHaveRemoteOffer
	SignalingStateHaveLocalPranswer
	SignalingStateHaveRemotePranswer
	SignalingStateClosed
)

var signalingStateWords = []string{"stable", "have-local-offer", "have-remote-offer", "have-local-pranswer", "have-remote-pranswer", "closed"}

// String returns the W3C word.
func (v SignalingState) String() string { return enumWord(signalingStateWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v SignalingState) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *SignalingState) UnmarshalText(text []byte) error {
	return parseEnum(signalingStateWords, text, v)
}

// ICEGatheringState tells how far the gathering of local candidates is. W3C: RTCIceGatheringState.
type ICEGatheringState int

// The values of ICEGatheringState.
const (
	ICEGatheringStateNew ICEGatheringState = iota
	ICEGatheringStateGathering
	ICEGatheringStateComplete
)

var iceGatheringStateWords = []string{"new", "gathering", "complete"}

// String returns the W3C word.
func (v ICEGatheringState) String() string { return enumWord(iceGatheringStateWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v ICEGatheringState) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *ICEGatheringState) UnmarshalText(text []byte) error {
	return parseEnum(iceGatheringStateWords, text, v)
}

// ICEConnectionState tells whether a usable pair of candidates was found. W3C: RTCIceConnectionState.
type ICEConnectionState int

// The values of ICEConnectionState.
const (
	ICEConnectionStateNew ICEConnectionState = iota
	ICEConnectionStateChecking
	ICEConnectionStateConnected
	ICEConnectionStateCompleted
	ICEConnectionStateDisconnected
	ICEConnectionStateFailed
	ICEConnectionStateClosed
)

var iceConnectionStateWords = []string{"new", "checking", "connected", "completed", "disconnected", "failed", "closed"}

// String returns the W3C word.
func (v ICEConnectionState) String() string { return enumWord(iceConnectionStateWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v ICEConnectionState) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *ICEConnectionState) UnmarshalText(text []byte) error {
	return parseEnum(iceConnectionStateWords, text, v)
}

// PeerConnectionState sums up the states of ICE and DTLS. W3C: RTCPeerConnectionState.
type PeerConnectionState int

// The values of PeerConnectionState.
const (
	PeerConnectionStateNew PeerConnectionState = iota
	PeerConnectionStateConnecting
	PeerConnectionStateConnected
	PeerConnectionStateDisconnected
	PeerConnectionStateFailed
	PeerConnectionStateClosed
)

var peerConnectionStateWords = []string{"new", "connecting", "connected", "disconnected", "failed", "closed"}

// String returns the W3C word.
func (v PeerConnectionState) String() string { return enumWord(peerConnectionStateWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v PeerConnectionState) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *PeerConnectionState) UnmarshalText(text []byte) error {
	return parseEnum(peerConnectionStateWords, text, v)
}

// DTLSTransportState is the state of the DTLS transport. W3C: RTCDtlsTransportState.
type DTLSTransportState int

// The values of DTLSTransportState.
const (
	DTLSTransportStateNew DTLSTransportState = iota
	DTLSTransportStateConnecting
	DTLSTransportStateConnected
	DTLSTransportStateClosed
	DTLSTransportStateFailed
)

var dtlsTransportStateWords = []string{"new", "connecting", "connected", "closed", "failed"}

// String returns the W3C word.
func (v DTLSTransportState) String() string { return enumWord(dtlsTransportStateWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v DTLSTransportState) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *DTLSTransportState) UnmarshalText(text []byte) error {
	return parseEnum(dtlsTransportStateWords, text, v)
}

// SCTPTransportState is the state of the SCTP transport. W3C: RTCSctpTransportState.
type SCTPTransportState int

// The values of SCTPTransportState.
const (
	SCTPTransportStateConnecting SCTPTransportState = iota
	SCTPTransportStateConnected
	SCTPTransportStateClosed
)

var sctpTransportStateWords = []string{"connecting", "connected", "closed"}

// String returns the W3C word.
func (v SCTPTransportState) String() string { return enumWord(sctpTransportStateWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v SCTPTransportState) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *SCTPTransportState) UnmarshalText(text []byte) error {
	return parseEnum(sctpTransportStateWords, text, v)
}

// DataChannelState is the state of a data channel. W3C: RTCDataChannelState.
type DataChannelState int

// The values of DataChannelState.
const (
	DataChannelStateConnecting DataChannelState = iota
	DataChannelStateOpen
	DataChannelStateClosing
	DataChannelStateClosed
)

var dataChannelStateWords = []string{"connecting", "open", "closing", "closed"}

// String returns the W3C word.
func (v DataChannelState) String() string { return enumWord(dataChannelStateWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v DataChannelState) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *DataChannelState) UnmarshalText(text []byte) error {
	return parseEnum(dataChannelStateWords, text, v)
}

// RTPTransceiverDirection tells which way media flows, seen from here. W3C: RTCRtpTransceiverDirection.
type RTPTransceiverDirection int

// The values of RTPTransceiverDirection.
const (
	RTPTransceiverDirectionSendrecv RTPTransceiverDirection = iota + 1
	RTPTransceiverDirectionSendonly
	RTPTransceiverDirectionRecvonly
	RTPTransceiverDirectionInactive
	RTPTransceiverDirectionStopped
)

var rtpTransceiverDirectionWords = []string{"unknown", "sendrecv", "sendonly", "recvonly", "inactive", "stopped"}

// String returns the W3C word.
func (v RTPTransceiverDirection) String() string {
	return enumWord(rtpTransceiverDirectionWords, int(v))
}

// MarshalText implements encoding.TextMarshaler.
func (v RTPTransceiverDirection) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *RTPTransceiverDirection) UnmarshalText(text []byte) error {
	return parseEnum(rtpTransceiverDirectionWords, text, v)
}

// SDPType is the role of a session description. W3C: RTCSdpType.
type SDPType int

// The values of SDPType.
const (
	SDPTypeOffer SDPType = iota + 1
	SDPTypePranswer
	SDPTypeAnswer
	SDPTypeRollback
)

var sdpTypeWords = []string{"unknown", "offer", "pranswer", "answer", "rollback"}

// String returns the W3C word.
func (v SDPType) String() string { return enumWord(sdpTypeWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v SDPType) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *SDPType) UnmarshalText(text []byte) error { return parseEnum(sdpTypeWords, text, v) }

// ICETransportPolicy says which candidates may be used. W3C: RTCIceTransportPolicy.
type ICETransportPolicy int

// The values of ICETransportPolicy.
const (
	ICETransportPolicyAll ICETransportPolicy = iota
	ICETransportPolicyRelay
)

var iceTransportPolicyWords = []string{"all", "relay"}

// String returns the W3C word.
func (v ICETransportPolicy) String() string { return enumWord(iceTransportPolicyWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v ICETransportPolicy) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *ICETransportPolicy) UnmarshalText(text []byte) error {
	return parseEnum(iceTransportPolicyWords, text, v)
}

// BundlePolicy says what to do when the peer does not bundle. Parley always offers max-bundle. W3C: RTCBundlePolicy.
type BundlePolicy int

// The values of BundlePolicy.
const (
	BundlePolicyBalanced BundlePolicy = iota
	BundlePolicyMaxCompat
	BundlePolicyMaxBundle
)

var bundlePolicyWords = []string{"balanced", "max-compat", "max-bundle"}

// String returns the W3C word.
func (v BundlePolicy) String() string { return enumWord(bundlePolicyWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v BundlePolicy) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *BundlePolicy) UnmarshalText(text []byte) error { return parseEnum(bundlePolicyWords, text, v) }

// RTCPMuxPolicy says whether RTCP may have a port of its own. Parley always multiplexes. W3C: RTCRtcpMuxPolicy.
type RTCPMuxPolicy int

// The values of RTCPMuxPolicy.
const (
	RTCPMuxPolicyRequire RTCPMuxPolicy = iota
)

var rtcpMuxPolicyWords = []string{"require"}

// String returns the W3C word.
func (v RTCPMuxPolicy) String() string { return enumWord(rtcpMuxPolicyWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v RTCPMuxPolicy) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *RTCPMuxPolicy) UnmarshalText(text []byte) error {
	return parseEnum(rtcpMuxPolicyWords, text, v)
}

// ICERole is the part that an ICE agent plays. W3C: RTCIceRole.
type ICERole int

// The values of ICERole.
const (
	ICERoleControlling ICERole = iota + 1
	ICERoleControlled
)

var iceRoleWords = []string{"unknown", "controlling", "controlled"}

// String returns the W3C word.
func (v ICERole) String() string { return enumWord(iceRoleWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v ICERole) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *ICERole) UnmarshalText(text []byte) error { return parseEnum(iceRoleWords, text, v) }

// DTLSRole is the part that a DTLS endpoint plays. W3C: RTCDtlsRole.
type DTLSRole int

// The values of DTLSRole.
const (
	DTLSRoleClient DTLSRole = iota + 1
	DTLSRoleServer
)

var dtlsRoleWords = []string{"unknown", "client", "server"}

// String returns the W3C word.
func (v DTLSRole) String() string { return enumWord(dtlsRoleWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v DTLSRole) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *DTLSRole) UnmarshalText(text []byte) error { return parseEnum(dtlsRoleWords, text, v) }

// ICECandidateType is the kind of an ICE candidate. W3C: RTCIceCandidateType.
type ICECandidateType int

// The values of ICECandidateType.
const (
	ICECandidateTypeHost ICECandidateType = iota + 1
	ICECandidateTypeSrflx
	ICECandidateTypePrflx
	ICECandidateTypeRelay
)

var iceCandidateTypeWords = []string{"unknown", "host", "srflx", "prflx", "relay"}

// String returns the W3C word.
func (v ICECandidateType) String() string { return enumWord(iceCandidateTypeWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v ICECandidateType) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *ICECandidateType) UnmarshalText(text []byte) error {
	return parseEnum(iceCandidateTypeWords, text, v)
}

// ICEProtocol is the transport protocol of a candidate. W3C: RTCIceProtocol.
type ICEProtocol int

// The values of ICEProtocol.
const (
	ICEProtocolUDP ICEProtocol = iota + 1
	ICEProtocolTCP
)

var iceProtocolWords = []string{"unknown", "udp", "tcp"}

// String returns the W3C word.
func (v ICEProtocol) String() string { return enumWord(iceProtocolWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v ICEProtocol) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *ICEProtocol) UnmarshalText(text []byte) error { return parseEnum(iceProtocolWords, text, v) }

func enumWord(words []string, v int) string {
	if v < 0 || v >= len(words) {
		return fmt.Sprintf("invalid(%d)", v)
	}
	return words[v]
}

func parseEnum[E ~int](words []string, text []byte, v *E) error {
	for i, w := range words {
		if w == string(text) {
			*v = E(i)
			return nil
		}
	}
	return typeError("%q is none of %v", text, words)
}
