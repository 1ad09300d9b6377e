package jsep

import (
	"errors"
	"io"

	"github.com/openparley/webrtc/sdp"
)

// Config of a Session.
type Config struct {
	Capabilities Capabilities
	// Rand gives session ids, SSRCs, CNAME, track ids and ICE credentials. Required.
	Rand         io.Reader
	BundlePolicy BundlePolicy
	// MaxMessageSize is what this side takes on a data channel, in bytes; zero: 262144.
	MaxMessageSize uint64
	// SCTPPort of this side; zero: 5000.
	SCTPPort uint16
}

// LocalParams is what the transport of this side says of itself in descriptions.
type LocalParams struct {
	// Fingerprints of the certificates. Required, one or more.
	Fingerprints []sdp.Fingerprint
	// Ufrag and Pwd, if not empty, are taken when a new ICE generation is needed; otherwise the session makes them.
	Ufrag string
	Pwd   string
}

// OfferOptions is W3C's RTCOfferOptions.
type OfferOptions struct {
	ICERestart bool
}

// AnswerOptions is W3C's RTCAnswerOptions (empty).
type AnswerOptions struct{}

// Session is the offer/answer state of one PeerConnection. Not safe for concurrent use; driven by the owner of the
// PeerConnection's state. Create it with New.
type Session struct {
	cfg Config
}

// New returns a session in state stable without transceivers. It reads Config.Rand.
func New(cfg Config) (*Session, error) {
	if cfg.Rand == nil {
		return nil, errors.New("jsep: Config.Rand is missing")
	}
	return &Session{cfg: cfg}, nil
}

// State returns the signaling state.
func (s *Session) State() SignalingState { return StateStable }

// Close moves to state closed: everything after fails with InvalidStateError, or does nothing.
func (s *Session) Close() {}

// Transceivers returns the transceivers in order of creation. The slice is the caller's.
func (s *Session) Transceivers() []*Transceiver { return nil }

// LocalDescription returns the pending local description, or else the current one, or nil, with the candidates gathered
// so far.
func (s *Session) LocalDescription() *Description { return nil }

// RemoteDescription returns the pending remote description, or else the current one, or nil, with the candidates added.
func (s *Session) RemoteDescription() *Description { return nil }

// CurrentLocalDescription returns what was negotiated last, or nil.
func (s *Session) CurrentLocalDescription() *Description { return nil }

// PendingLocalDescription returns the local description under negotiation, or nil.
func (s *Session) PendingLocalDescription() *Description { return nil }

// CurrentRemoteDescription returns what was negotiated last, or nil.
func (s *Session) CurrentRemoteDescription() *Description { return nil }

// PendingRemoteDescription returns the remote description under negotiation, or nil.
func (s *Session) PendingRemoteDescription() *Description { return nil }

// CanTrickle returns whether the other side takes trickled candidates; known is false (W3C: null) before a remote
// description.
func (s *Session) CanTrickle() (trickle, known bool) { return false, false }

// AddTransceiver adds a transceiver (webrtc-pc §5.1 addTransceiver). TypeError: bad kind, direction or RIDs.
func (s *Session) AddTransceiver(kind string, init TransceiverInit) (*Transceiver, error) {
	return nil, nil
}

// AddTrack attaches a track to the first sender that may take it, or adds a transceiver (webrtc-pc §5.1 addTrack).
// reused tells which. InvalidAccessError: a sender has the track already.
func (s *Session) AddTrack(kind, track string, streams []string) (t *Transceiver, reused bool, err error) {
	return nil, false, nil
}

// RemoveTrack detaches the sender's track (webrtc-pc §5.1 removeTrack). changed is false if there was nothing to do.
func (s *Session) RemoveTrack(t *Transceiver) (changed bool, err error) { return false, nil }

// ReplaceTrack sets the id of the sender's track without negotiation; empty: none.
func (s *Session) ReplaceTrack(t *Transceiver, track string) error { return nil }

// SetStreams sets the streams of the sender (RTCRtpSender.setStreams). Doubles are dropped.
func (s *Session) SetStreams(t *Transceiver, streams []string) error { return nil }

// SetDirection sets the wanted direction. InvalidStateError: t is stopping or stopped. TypeError: no such direction.
func (s *Session) SetDirection(t *Transceiver, d sdp.Direction) error { return nil }

// StopTransceiver begins to stop t (RTCRtpTransceiver.stop). One that was never associated with a section is stopped and
// removed at once. Idempotent.
func (s *Session) StopTransceiver(t *Transceiver) error { return nil }

// SetCodecPreferences sets or, with none, resets the codecs of t and their order. InvalidModificationError: a codec that
// the capabilities lack, or only resilience codecs.
func (s *Session) SetCodecPreferences(t *Transceiver, codecs []sdp.Codec) error { return nil }

// EnableData asks for a data channel section in the next offer: the first createDataChannel. Idempotent.
func (s *Session) EnableData() error { return nil }

// RestartICE asks for new ICE credentials in the next offer (restartIce).
func (s *Session) RestartICE() {}

// CreateOffer returns an offer. InvalidStateError: neither stable nor have-local-offer. OperationError: no fingerprint.
func (s *Session) CreateOffer(o OfferOptions, p LocalParams) (Description, error) {
	return Description{}, nil
}

// CreateAnswer returns an answer. InvalidStateError: neither have-remote-offer nor have-local-pranswer. Send it as
// TypePranswer by changing the type.
func (s *Session) CreateAnswer(o AnswerOptions, p LocalParams) (Description, error) {
	return Description{}, nil
}

// SetLocal applies a local description. The zero Description means the one that fits the state, made now if need be; an
// empty SDP means the last one created. InvalidModificationError: the SDP is not the last created one.
// InvalidStateError: the type does not fit the state.
func (s *Session) SetLocal(d Description, p LocalParams) (*Effects, error) {
	return nil, nil
}

// SetRemote applies a remote description. An offer in have-local-offer rolls the local one back first.
// ErrSDPSyntax: it does not parse. InvalidAccessError: it contradicts itself or what it answers. InvalidStateError: the
// type does not fit the state.
func (s *Session) SetRemote(d Description) (*Effects, error) { return nil, nil }

// AddRemoteCandidate checks a candidate and records it in the remote description (webrtc-pc §4.4.2 addIceCandidate).
// InvalidStateError: there is no remote description yet. TypeError: a candidate without mid and index.
// OperationError: it does not parse, or no section or generation matches.
func (s *Session) AddRemoteCandidate(c Candidate) (CandidateUse, error) {
	return CandidateUse{}, nil
}

// AddLocalCandidate records a gathered candidate (the value of a=candidate) in the local descriptions of the generation
// ufrag. Unknown generations are ignored.
func (s *Session) AddLocalCandidate(ufrag, candidate string) {}

// EndOfLocalCandidates records that the generation's gathering is complete.
func (s *Session) EndOfLocalCandidates(ufrag string) {}

// CheckNegotiationNeeded is webrtc-pc §4.7.3 "check if negotiation is needed", false unless the state is stable.
func (s *Session) CheckNegotiationNeeded() bool { return false }

// Snapshot returns Transport, Flows and Data as they are now, in an otherwise empty Effects.
func (s *Session) Snapshot() *Effects { return &Effects{} }
