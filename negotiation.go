package webrtc

import (
	"errors"
	"fmt"
	"math"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/sdp"
	"github.com/openparley/webrtc/sdp/jsep"
)

var errFixed = errors.New("certificates and policies are fixed once a connection is made, the pool once it gathers")

// Every operation below takes its place in the operations chain, computes and commits under pc.mu, then applies to the
// transport under transport.mu. None waits for the network or for a handler.

// chain runs one operation in its turn. When the chain is empty again, a check for negotiation that it has put off is
// made up for. [chain]
//
// [chain]: https://www.w3.org/TR/webrtc/#dfn-chain
func (pc *PeerConnection) chain(operation func() error) error {
	if !pc.ops.begin(pc.life.closing) {
		return errClosed()
	}
	err := operation()
	if pc.ops.end() {
		pc.mu.Lock()
		if pc.deferred {
			pc.deferred = false
			pc.updateNegotiationNeeded()
		}
		pc.mu.Unlock()
	}
	return err
}

// CreateOffer makes an offer for what the transceivers and data channels want. It changes nothing; give the result to
// SetLocalDescription. A nil options is the zero one. Errors: InvalidStateError. [createOffer]
//
// [createOffer]: https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-createoffer
func (pc *PeerConnection) CreateOffer(options *OfferOptions) (SessionDescription, error) {
	var o jsep.OfferOptions
	if options != nil {
		o.ICERestart = options.ICERestart
	}
	return pc.create(func() (jsep.Description, error) { return pc.jsep.CreateOffer(o, pc.localParams()) })
}

// CreateAnswer makes an answer to the remote offer. It changes nothing; give the result to SetLocalDescription. A nil
// options is the zero one. Errors: InvalidStateError. [createAnswer]
//
// [createAnswer]: https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-createanswer
func (pc *PeerConnection) CreateAnswer(options *AnswerOptions) (SessionDescription, error) {
	return pc.create(func() (jsep.Description, error) {
		return pc.jsep.CreateAnswer(jsep.AnswerOptions{}, pc.localParams())
	})
}

func (pc *PeerConnection) create(make func() (jsep.Description, error)) (d SessionDescription, err error) {
	err = pc.chain(func() error {
		pc.mu.Lock()
		defer pc.mu.Unlock()
		if pc.closed {
			return errClosed()
		}
		made, err := make()
		if err != nil {
			return fromJSEP(err)
		}
		d = fromJSEPDescription(made)
		return nil
	})
	return d, err
}

// localParams is what the transport says of itself in descriptions. pc.mu is held.
func (pc *PeerConnection) localParams() jsep.LocalParams {
	prints, _ := pc.certificate.GetFingerprints() // the connection's certificate is never empty
	p := jsep.LocalParams{}
	for _, f := range prints {
		p.Fingerprints = append(p.Fingerprints, sdp.Fingerprint{Algorithm: f.Algorithm, Value: f.Value})
	}
	if !pc.gatheringBegun {
		p.Ufrag, p.Pwd = pc.firstLocal.Ufrag, pc.firstLocal.Pwd
	}
	return p
}

// SetLocalDescription applies a description that CreateOffer or CreateAnswer has made, or rolls back. Gathering begins
// with it. The zero SessionDescription, or one without SDP, stands for the description that fits the signaling state:
// it is made on the spot (setLocalDescription without argument). Errors: InvalidStateError, InvalidModificationError (the
// description was changed), TypeError (no such type). [setLocalDescription]
//
// [setLocalDescription]: https://www.w3.org/TR/webrtc/#dom-peerconnection-setlocaldescription
func (pc *PeerConnection) SetLocalDescription(d SessionDescription) error {
	return pc.setDescription(d, func(j jsep.Description) (*jsep.Effects, error) {
		return pc.jsep.SetLocal(j, pc.localParams())
	}, true)
}

// SetRemoteDescription applies what the peer has sent. An offer that meets one of our own rolls ours back first, which
// is what perfect negotiation needs. Tracks are announced by it, OnTrack is called before the first packet has come.
// Errors: InvalidStateError, InvalidAccessError, TypeError (no such type), OperationError (another certificate, or other DTLS
// roles), RTCError with sdp-syntax-error. A description that is refused changes nothing.
// [setRemoteDescription]
//
// [setRemoteDescription]: https://www.w3.org/TR/webrtc/#dom-peerconnection-setremotedescription
func (pc *PeerConnection) SetRemoteDescription(d SessionDescription) error {
	return pc.setDescription(d, pc.jsep.SetRemote, false)
}

func (pc *PeerConnection) setDescription(d SessionDescription, set func(jsep.Description) (*jsep.Effects, error), local bool) error {
	j := jsep.Description{SDP: d.SDP} // without a type, a local one is of the type that fits
	if d.Type != 0 || !local {
		if err := d.check(); err != nil {
			return err
		}
		j.Type = jsep.Type(d.Type.String())
	}
	return pc.chain(func() error {
		pc.mu.Lock()
		if pc.closed {
			pc.mu.Unlock()
			return errClosed()
		}
		fx, err := set(j)
		if err != nil {
			pc.mu.Unlock()
			return fromJSEP(err)
		}
		update, flows := pc.commit(fx)
		if local && pc.nothingGathers() {
			pc.task(func() func() {
				pc.wakeGatheringWaiters(func(w *gatheringWaiter) bool { return w.begun })
				return nil
			})
		}
		pc.mu.Unlock()
		return pc.applyToTransport(update, flows)
	})
}

// commit takes over the effects of a description into the objects of the API and posts the notices. It returns what the
// transport has to learn. pc.mu is held.
func (pc *PeerConnection) commit(fx *jsep.Effects) (transportUpdate, []flowUpdate) {
	for _, t := range fx.Created {
		pc.adopt(t)
	}
	update := pc.transportUpdate(fx)
	flows := pc.flowUpdates(fx)
	update.rtp = newRTPTable(flows)
	pc.announce(fx)
	for _, t := range fx.Removed {
		pc.forget(t)
	}
	update.noData = answered(fx) && fx.Data == nil && !pc.jsep.DataWanted()
	if fx.New == jsep.StateStable {
		// W3C clears the flag here and checks anew, so that what came up during the exchange leads to a new one.
		pc.needed = false
		pc.updateNegotiationNeeded()
	}
	return update, flows
}

// answered reports whether a final answer was applied.
func answered(fx *jsep.Effects) bool {
	return fx.Old != jsep.StateStable && fx.New == jsep.StateStable && !fx.RolledBack
}

// takeData makes the transport of the data channels when their section is negotiated, and drops it when a final answer has
// ended the section, as W3C does with [[SctpTransport]]. pc.mu is held.
func (pc *PeerConnection) takeData(fx *jsep.Effects) {
	if fx.Data == nil {
		if answered(fx) {
			pc.sctp = nil
		}
		return
	}
	if pc.sctp == nil {
		pc.sctp = &SCTPTransport{pc: pc, state: SCTPTransportStateConnecting}
	}
	pc.sctp.maxMessageSize = int(min(fx.Data.MaxMessageSize, math.MaxInt32))
}

// transportUpdate translates what the description says about the transport. pc.mu is held.
func (pc *PeerConnection) transportUpdate(fx *jsep.Effects) (u transportUpdate) {
	pc.takeData(fx)
	t := fx.Transport
	if t == nil {
		return u
	}
	pc.transportMID, pc.transportIndex = t.MID, t.Index
	if t.LocalChanged {
		u.local = ice.Parameters{Ufrag: t.Local.Ufrag, Pwd: t.Local.Pwd}
		pc.localUfrag, pc.gatheringBegun = t.Local.Ufrag, true
		if pc.serversChanged {
			pc.serversChanged = false
			u.servers = iceServers(pc.config.ICEServers, pc.api.settings.ServerProxy != nil)
			u.newServers, u.policy = true, icePolicy(pc.config.ICETransportPolicy)
		}
	}
	// While a restart of ours waits for its answer, the remote credentials are still those of the generation before: they
	// must not be paired with the new local ones.
	if !t.Ready || fx.New != jsep.StateStable && !t.RemoteChanged {
		return u
	}
	u.ready = true
	u.role = ice.RoleControlled
	if t.Controlling {
		u.role = ice.RoleControlling
	}
	u.remote = ice.Parameters{Ufrag: t.Remote.Ufrag, Pwd: t.Remote.Pwd, Lite: t.Remote.Lite}
	for _, text := range t.Candidates {
		if c, err := ice.ParseCandidate(text); err == nil {
			u.candidates = append(u.candidates, c)
		}
	}
	u.noMore = t.EndOfCandidates
	u.fingerprints = fingerprints(t.Fingerprints)
	u.dtlsRole = dtls.RoleClient
	if t.DTLSRole == jsep.DTLSRoleServer {
		u.dtlsRole = dtls.RoleServer
	}
	if fx.Data != nil {
		u.data = &dataUpdate{
			sctp: pc.sctp, localPort: fx.Data.LocalPort, remotePort: fx.Data.RemotePort, maxMessageSize: pc.sctp.maxMessageSize,
		}
	}
	return u
}

// applyToTransport brings the transport up to date. The operations chain keeps the order. An error, which no peer can bring
// about, leaves the description in force and the connection failed.
func (pc *PeerConnection) applyToTransport(u transportUpdate, flows []flowUpdate) error {
	now, ok := pc.transport.enter()
	if !ok {
		return errClosed()
	}
	err := pc.transport.engine.apply(now, u)
	pc.transport.exit(now)
	if err != nil {
		return &OperationError{Err: err}
	}
	pc.bindSenders(flows)
	return nil
}

// announce posts the notices of a description in W3C's order: the signaling state, then the streams and tracks.
func (pc *PeerConnection) announce(fx *jsep.Effects) {
	if fx.RolledBack && fx.Old != fx.New && fx.Old != jsep.StateStable && fx.New != jsep.StateStable {
		pc.noticeSignalingState(jsep.StateStable)
	}
	if fx.Old != fx.New {
		pc.noticeSignalingState(fx.New)
	}
	pc.announceTracks(fx)
}

// noticeSignalingState changes the getter's value now and reports it later: a notice. pc.mu is held.
func (pc *PeerConnection) noticeSignalingState(s jsep.SignalingState) {
	state := SignalingState(s)
	pc.signalingState = state
	pc.events.post(event{run: func() {
		pc.mu.Lock()
		pc.reportedState = state
		handler := pc.handlers.signalingStateChange
		pc.mu.Unlock()
		call(pc.events, handler, state)
	}})
}

// updateNegotiationNeeded is W3C's "update the negotiation-needed flag". pc.mu is held. [steps]
//
// [steps]: https://www.w3.org/TR/webrtc/#dfn-update-the-negotiation-needed-flag
func (pc *PeerConnection) updateNegotiationNeeded() {
	if pc.closed {
		return
	}
	if !pc.ops.empty() {
		pc.deferred = true
		return
	}
	pc.events.post(event{run: func() {
		pc.mu.Lock()
		if pc.closed {
			pc.mu.Unlock()
			return
		}
		if !pc.ops.empty() {
			pc.deferred = true
			pc.mu.Unlock()
			return
		}
		if pc.jsep.State() != jsep.StateStable || pc.reportedState != SignalingStateStable {
			pc.mu.Unlock()
			return // becoming stable asks again, behind the signalingstatechange event
		}
		if !pc.jsep.CheckNegotiationNeeded() {
			pc.needed = false
			pc.mu.Unlock()
			return
		}
		if pc.needed {
			pc.mu.Unlock()
			return
		}
		pc.needed = true
		handler := pc.handlers.negotiationNeeded
		pc.mu.Unlock()
		call0(pc.events, handler)
	}})
}

// AddICECandidate gives ICE a candidate of the peer's. An empty Candidate says that there are no more. Errors:
// InvalidStateError (ErrNoRemoteDescription), TypeError, OperationError (it does not parse, or belongs to no section).
// [addIceCandidate]
//
// [addIceCandidate]: https://www.w3.org/TR/webrtc/#dom-peerconnection-addicecandidate
func (pc *PeerConnection) AddICECandidate(candidate ICECandidateInit) error {
	if candidate.Candidate != "" && candidate.SDPMid == nil && candidate.SDPMLineIndex == nil {
		return typeError("a candidate without SDPMid and SDPMLineIndex")
	}
	c := jsep.Candidate{
		Candidate: candidateText(candidate.Candidate), MID: candidate.SDPMid, UsernameFragment: candidate.UsernameFragment,
	}
	if candidate.SDPMLineIndex != nil {
		index := int(*candidate.SDPMLineIndex)
		c.MLineIndex = &index
	}
	return pc.chain(func() error {
		pc.mu.Lock()
		if pc.closed {
			pc.mu.Unlock()
			return errClosed()
		}
		if pc.jsep.RemoteDescription() == nil {
			pc.mu.Unlock()
			return &InvalidStateError{Err: ErrNoRemoteDescription}
		}
		// ICE reads it first: what it cannot read must not stand in the remote description.
		parsed, err := parseRemoteCandidate(c.Candidate)
		if err != nil {
			pc.mu.Unlock()
			return &OperationError{Err: err}
		}
		use, err := pc.jsep.AddRemoteCandidate(c)
		pc.mu.Unlock()
		if err != nil {
			return fromJSEP(err)
		}
		if !use.Deliver {
			return nil
		}
		return pc.deliverCandidate(parsed, use.Candidate == "")
	})
}

// parseRemoteCandidate returns the zero Candidate for the end of them, which is empty.
func parseRemoteCandidate(text string) (ice.Candidate, error) {
	if text == "" {
		return ice.Candidate{}, nil
	}
	return ice.ParseCandidate(text)
}

// deliverCandidate gives ICE a candidate, or the end of them.
func (pc *PeerConnection) deliverCandidate(c ice.Candidate, end bool) error {
	now, ok := pc.transport.enter()
	if !ok {
		return errClosed()
	}
	defer pc.transport.exit(now)
	if end {
		pc.transport.engine.ice.RemoteEndOfCandidates(now)
		return nil
	}
	pc.transport.engine.addRemoteCandidate(now, c)
	return nil
}

// RestartICE makes the next offer carry new ICE credentials, and negotiation needed. [restartIce]
//
// [restartIce]: https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-restartice
func (pc *PeerConnection) RestartICE() {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.closed {
		return
	}
	pc.jsep.RestartICE()
	pc.updateNegotiationNeeded()
}

// LocalDescription returns the pending local description, or else the current one, with the candidates gathered so far;
// nil before the first.
func (pc *PeerConnection) LocalDescription() *SessionDescription {
	return pc.description((*jsep.Session).LocalDescription)
}

// RemoteDescription returns the pending remote description, or else the current one; nil before the first.
func (pc *PeerConnection) RemoteDescription() *SessionDescription {
	return pc.description((*jsep.Session).RemoteDescription)
}

// CurrentLocalDescription returns the local description of the last exchange that was completed, or nil.
func (pc *PeerConnection) CurrentLocalDescription() *SessionDescription {
	return pc.description((*jsep.Session).CurrentLocalDescription)
}

// PendingLocalDescription returns the local description of the exchange that is going on, or nil.
func (pc *PeerConnection) PendingLocalDescription() *SessionDescription {
	return pc.description((*jsep.Session).PendingLocalDescription)
}

// CurrentRemoteDescription returns the remote description of the last exchange that was completed, or nil.
func (pc *PeerConnection) CurrentRemoteDescription() *SessionDescription {
	return pc.description((*jsep.Session).CurrentRemoteDescription)
}

// PendingRemoteDescription returns the remote description of the exchange that is going on, or nil.
func (pc *PeerConnection) PendingRemoteDescription() *SessionDescription {
	return pc.description((*jsep.Session).PendingRemoteDescription)
}

func (pc *PeerConnection) description(of func(*jsep.Session) *jsep.Description) *SessionDescription {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	d := of(pc.jsep)
	if d == nil {
		return nil
	}
	s := fromJSEPDescription(*d)
	return &s
}

// CanTrickleICECandidates tells whether the peer takes candidates after its description; known is false before the first
// remote description.
func (pc *PeerConnection) CanTrickleICECandidates() (trickle, known bool) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	return pc.jsep.CanTrickle()
}

func fromJSEPDescription(d jsep.Description) SessionDescription {
	var t SDPType
	_ = t.UnmarshalText([]byte(d.Type)) // jsep has W3C's words
	return SessionDescription{Type: t, SDP: d.SDP}
}

// fromJSEP turns an error of the state machine into the type of this package that has its name.
func fromJSEP(err error) error {
	var e *jsep.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	cause := e.Err
	if e.Reason != "" {
		cause = errors.New(e.Reason)
		if e.Err != nil {
			cause = fmt.Errorf("%s: %w", e.Reason, e.Err)
		}
	}
	switch e.Name {
	case jsep.NameInvalidState:
		return &InvalidStateError{Err: cause}
	case jsep.NameInvalidAccess:
		return &InvalidAccessError{Err: cause}
	case jsep.NameInvalidModification:
		return &InvalidModificationError{Err: cause}
	case jsep.NameType:
		return &TypeError{Err: cause}
	case jsep.NameNotSupported:
		return &NotSupportedError{Err: cause}
	case jsep.NameSDPSyntax:
		return &RTCError{Detail: "sdp-syntax-error", SDPLineNumber: e.Line, Err: cause}
	}
	return &OperationError{Err: cause}
}
