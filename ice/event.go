package ice

import "net/netip"

// BaseID names a local address or a connection that the agent asked for or was told of. It is never zero and never used twice by an agent.
type BaseID uint32

// Event is one of the Event… structs of this package. Events own what they refer to.
type Event interface{ iceEvent() }

// EventState: the state has changed.
type EventState struct{ State State }

// EventGatheringState: the gathering state has changed. After GatheringComplete of a generation the peer may be told
// end-of-candidates (RFC 8838 §13).
type EventGatheringState struct{ State GatheringState }

// EventCandidate: a local candidate was found; it is to be signaled to the peer. Candidate.Ufrag names its generation.
type EventCandidate struct{ Candidate Candidate }

// EventCandidateError: a socket could not be bound, or a server did not answer (W3C's icecandidateerror).
type EventCandidateError struct {
	Local netip.AddrPort // the base, if the error belongs to one
	URL   string         // the server, if the error belongs to one
	Code  int            // the server's error code; 701: it was not reached
	Text  string
}

// EventSelectedPair: a pair was nominated, and application packets take it from now on.
type EventSelectedPair struct {
	Local, Remote Candidate
	Base          BaseID
}

// EventRole: a role conflict, a lite peer or SetRole has changed the role.
type EventRole struct{ Role Role }

// EventInterfaces asks for the addresses of this host: [Agent.HandleInterfacesResult].
type EventInterfaces struct{ Gen uint64 }

// EventBind asks for a UDP socket or a TCP listener at Addr, whose port zero stands for one of the driver's choice:
// [Agent.HandleBindResult]. Addr is never a wildcard and carries the zone of a link-local address.
type EventBind struct {
	Gen     uint64
	Base    BaseID
	Network string // "udp4", "udp6", "tcp4" or "tcp6"
	Addr    netip.AddrPort
}

// EventDial asks for a connection to a TURN server: [Agent.HandleDialResult]. What comes in by it is given to HandlePacket in
// whole messages (turn.FrameLength), with Remote as the sender; when it breaks, [Agent.HandleDisconnect] wants to know.
type EventDial struct {
	Base    BaseID
	Network string // "tcp", "tls" or "dtls"
	// Remote is the server. An address in 0.0.0.0/8 stands for a server that is known by its Host alone ([Server.ByName]).
	Remote netip.AddrPort
	Host   string // the name that a certificate is checked for
}

// EventConnect asks for a TCP connection to a peer (RFC 6544 §7.1), from Local to Remote, both with the zone of a link-local
// address: [Agent.HandleDialResult]. Packets lie in it as RFC 4571 frames; when it breaks, [Agent.HandleDisconnect] wants
// to know.
type EventConnect struct {
	Base   BaseID
	Local  netip.Addr
	Remote netip.AddrPort
}

// EventUnbind says that a base or connection, which may still be on its way, is not needed any more.
type EventUnbind struct{ Base BaseID }

// EventResolve asks for the addresses of a name, which is a STUN server's or ends in ".local" and wants multicast DNS
// (a browser's obfuscated candidate): [Agent.HandleResolveResult].
type EventResolve struct {
	Gen  uint64
	ID   uint64
	Host string
}

// EventPublish asks for a name of multicast DNS that stands for the address of a base: [Agent.HandlePublishResult]. It
// serves until the base is unbound, and after Close not at all.
type EventPublish struct {
	Gen  uint64
	Base BaseID
	Addr netip.Addr
}

func (EventState) iceEvent()          {}
func (EventGatheringState) iceEvent() {}
func (EventCandidate) iceEvent()      {}
func (EventCandidateError) iceEvent() {}
func (EventSelectedPair) iceEvent()   {}
func (EventRole) iceEvent()           {}
func (EventInterfaces) iceEvent()     {}
func (EventBind) iceEvent()           {}
func (EventUnbind) iceEvent()         {}
func (EventResolve) iceEvent()        {}
func (EventPublish) iceEvent()        {}
func (EventDial) iceEvent()           {}
func (EventConnect) iceEvent()        {}
