package jsep

import "github.com/openparley/webrtc/sdp"

// SignalingState is W3C's RTCSignalingState (webrtc-pc §4.3.1).
//
//	                 SetLocal(offer)                       SetRemote(answer)
//	   ┌───────────► have-local-offer ──SetRemote(pranswer)─► have-remote-pranswer ─┐
//	   │                 │ rollback                                                 │ SetRemote(answer)
//	stable ◄─────────────┴──────────────────────────────────────────────────────────┘
//	   │                 ┌ rollback                                                 ┐ SetLocal(answer)
//	   └───────────► have-remote-offer ──SetLocal(pranswer)─► have-local-pranswer ──┘
//	                 SetRemote(offer)                      SetLocal(answer)
type SignalingState uint8

// The signaling states.
const (
	StateStable SignalingState = iota
	StateHaveLocalOffer
	StateHaveRemoteOffer
	StateHaveLocalPranswer
	StateHaveRemotePranswer
	StateClosed
)

var stateNames = [...]string{
	"stable", "have-local-offer", "have-remote-offer", "have-local-pranswer", "have-remote-pranswer", "closed",
}

// String returns W3C's name.
func (s SignalingState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Type is W3C's RTCSdpType.
type Type string

// The types of descriptions.
const (
	TypeOffer    Type = "offer"
	TypePranswer Type = "pranswer"
	TypeAnswer   Type = "answer"
	TypeRollback Type = "rollback"
)

// Description is W3C's RTCSessionDescriptionInit. The zero value given to SetLocal means "make the one that fits".
type Description struct {
	Type Type
	SDP  string
}

// BundlePolicy is W3C's RTCBundlePolicy. There is always one transport only; the policy decides which sections of a
// first offer are marked bundle-only (RFC 9429 §4.1.1).
type BundlePolicy uint8

// The bundle policies; the zero value is W3C's default.
const (
	BundleBalanced BundlePolicy = iota
	BundleMaxCompat
	BundleMaxBundle
)

// DTLSRole is the DTLS role of this side (RFC 8842).
type DTLSRole uint8

// The DTLS roles; unknown until an answer was applied.
const (
	DTLSRoleUnknown DTLSRole = iota
	DTLSRoleClient
	DTLSRoleServer
)

// String returns "client", "server" or "unknown".
func (r DTLSRole) String() string {
	switch r {
	case DTLSRoleClient:
		return "client"
	case DTLSRoleServer:
		return "server"
	case DTLSRoleUnknown:
	}
	return "unknown"
}

func (r DTLSRole) setup() sdp.Setup {
	if r == DTLSRoleServer {
		return sdp.SetupPassive
	}
	return sdp.SetupActive
}
