package ice

// Role says which side nominates (RFC 8445 §6.1.1).
type Role uint8

// The roles, as W3C's RTCIceRole.
const (
	// RoleUnknown is the role before [Agent.SetRole]; on the wire it counts as controlled.
	RoleUnknown Role = iota
	// RoleControlling nominates pairs: the offerer, or the full agent in front of a lite one.
	RoleControlling
	// RoleControlled follows the nominations of its peer.
	RoleControlled
)

// String returns W3C's name of the role.
func (r Role) String() string {
	switch r {
	case RoleControlling:
		return "controlling"
	case RoleControlled:
		return "controlled"
	}
	return "unknown"
}

// State is the state of the agent as W3C's RTCIceTransportState has it.
//
//	new ──▶ checking ──▶ connected ◀──▶ completed
//	           │  ▲          │  ▲           │
//	           │  │restart   ▼  │           │
//	           │  └──── disconnected ◀──────┘
//	           ▼             │
//	         failed ◀────────┘          any ──▶ closed
//
// A restart leads from completed to connected and from disconnected or failed to checking.
type State uint8

// The states, as W3C's RTCIceTransportState.
const (
	// StateNew: gathering, or waiting for the peer's parameters and candidates.
	StateNew State = iota
	// StateChecking: pairs are being checked and none is usable.
	StateChecking
	// StateConnected: a pair is usable; checks, gathering or the peer's candidates are not at their end.
	StateConnected
	// StateCompleted: a pair is selected and nothing is left to gather or to check.
	StateCompleted
	// StateDisconnected: the pair in use has been silent for longer than [Config.DisconnectedAfter].
	StateDisconnected
	// StateFailed: no pair works, or consent has expired. Only a restart leads out.
	StateFailed
	// StateClosed: [Agent.Close] was called.
	StateClosed
)

var stateNames = [...]string{"new", "checking", "connected", "completed", "disconnected", "failed", "closed"}

// String returns W3C's name of the state.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// GatheringState is W3C's RTCIceGathererState.
type GatheringState uint8

// The gathering states.
const (
	// GatheringNew: [Agent.Gather] was not called.
	GatheringNew GatheringState = iota
	// GatheringActive: interfaces, sockets or servers have not all answered.
	GatheringActive
	// GatheringComplete: every bind and every STUN transaction has ended, or the soft deadline has passed.
	GatheringComplete
)

// String returns W3C's name of the gathering state.
func (s GatheringState) String() string {
	switch s {
	case GatheringNew:
		return "new"
	case GatheringActive:
		return "gathering"
	case GatheringComplete:
		return "complete"
	}
	return "unknown"
}

// CandidateType is the kind of a candidate (RFC 8445 §5.1.1). The zero value is a host candidate.
type CandidateType uint8

// The candidate types.
const (
	TypeHost            CandidateType = iota // an address of an interface
	TypeServerReflexive                      // the address that a STUN server saw
	TypePeerReflexive                        // the address that the peer saw
	TypeRelay                                // an address of a TURN server
)

// String returns the name of the candidate-attribute's grammar: host, srflx, prflx or relay.
func (t CandidateType) String() string {
	switch t {
	case TypeHost:
		return "host"
	case TypeServerReflexive:
		return "srflx"
	case TypePeerReflexive:
		return "prflx"
	case TypeRelay:
		return "relay"
	}
	return "unknown"
}

// PairState is the state of a candidate pair (RFC 8445 §6.1.2.6), as W3C's RTCStatsIceCandidatePairState.
//
//	frozen ──▶ waiting ──▶ in-progress ──▶ succeeded
//	              ▲             │
//	              └── failed ◀──┘     (a triggered check gives every pair another chance)
type PairState uint8

// The pair states.
const (
	PairFrozen PairState = iota
	PairWaiting
	PairInProgress
	PairSucceeded
	PairFailed
)

var pairStateNames = [...]string{"frozen", "waiting", "in-progress", "succeeded", "failed"}

// String returns W3C's name of the pair state.
func (s PairState) String() string {
	if int(s) < len(pairStateNames) {
		return pairStateNames[s]
	}
	return "unknown"
}

// TransportPolicy is W3C's RTCIceTransportPolicy.
type TransportPolicy uint8

// The transport policies.
const (
	// PolicyAll uses every candidate.
	PolicyAll TransportPolicy = iota
	// PolicyRelay announces and pairs relayed candidates only.
	PolicyRelay
)
