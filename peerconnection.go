package webrtc

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/sdp/jsep"
)

// A PeerConnection is a connection to one peer, for media and data. W3C: RTCPeerConnection.
//
// Its methods may be called from any goroutine, and within any handler. Handlers run one at a time, in the order of what
// they report, on the connection's signaling goroutine (or on Settings.SignalingLoop), with no lock held; a handler that
// takes long holds up the following ones, but never the network.
type PeerConnection struct {
	// Immutable after NewPeerConnection.
	api         *API
	life        *lifetime
	events      *signaling
	transport   *transport
	certificate Certificate
	firstLocal  ice.Parameters // the credentials of the first ICE generation
	created     time.Time

	ops operations

	mu sync.Mutex
	// Guarded by mu, which is held for short computations only.
	config       Configuration
	jsep         *jsep.Session
	closed       bool
	transceivers []*RTPTransceiver
	streams      map[string]*MediaStream // the remote ones, by id
	sctp         *SCTPTransport          // nil while no data section is negotiated
	counters     connectionCounters
	bound        map[*RTPSender]TrackLocal // the tracks that this connection is in

	// What the handlers have been told, and getters return.
	signalingState   SignalingState
	gatheringState   ICEGatheringState
	iceState         ICEConnectionState
	connectionState  PeerConnectionState
	dtlsState        DTLSTransportState
	iceRole          ICERole
	selectedPair     *ICECandidatePair
	transportMID     string
	transportIndex   int
	localUfrag       string // of the newest generation
	gatheringBegun   bool   // a local description was set: firstLocal is in use
	serversChanged   bool   // by SetConfiguration, for the next gathering
	gatheringWaiters []*gatheringWaiter

	// needed and deferred are W3C's [[NegotiationNeeded]] and [[UpdateNegotiationNeededFlagOnEmptyChain]].
	needed   bool
	deferred bool
	// reportedState is the signaling state that the handler has been told; the getter may be ahead of it.
	reportedState SignalingState

	handlers handlers
}

// handlers are the user's. Guarded by pc.mu.
type handlers struct {
	negotiationNeeded        func()
	iceCandidate             func(*ICECandidate)
	iceCandidateError        func(ICECandidateError)
	signalingStateChange     func(SignalingState)
	iceConnectionStateChange func(ICEConnectionState)
	iceGatheringStateChange  func(ICEGatheringState)
	connectionStateChange    func(PeerConnectionState)
	track                    func(*TrackRemote, *RTPReceiver)
	trackEvent               func(TrackEvent)
	dataChannel              func(*DataChannel)
}

// connectionCounters are W3C's RTCPeerConnectionStats.
type connectionCounters struct {
	dataChannelsOpened, dataChannelsClosed uint64
}

// NewPeerConnection makes a connection with default settings. See API.NewPeerConnection.
func NewPeerConnection(c Configuration) (*PeerConnection, error) {
	api, err := NewAPI(Settings{})
	if err != nil {
		return nil, err
	}
	return api.NewPeerConnection(c)
}

// NewPeerConnection makes a connection; nothing is sent before a description is set. Errors: SyntaxError and
// InvalidAccessError (ICE servers, expired certificates), NotSupportedError (peer identity). Close it.
func (api *API) NewPeerConnection(c Configuration) (*PeerConnection, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	c = c.clone()
	pc := &PeerConnection{
		api: api, config: c, created: time.Now(), life: newLifetime(), streams: make(map[string]*MediaStream),
		bound: make(map[*RTPSender]TrackLocal),
	}
	if len(c.Certificates) > 0 {
		pc.certificate = c.Certificates[0]
	} else {
		cert, err := GenerateCertificate(nil)
		if err != nil {
			return nil, err
		}
		pc.certificate = *cert
		pc.config.Certificates = []Certificate{*cert}
	}
	var err error
	if pc.jsep, err = jsep.New(pc.jsepConfig()); err != nil {
		return nil, &OperationError{Err: err}
	}
	if pc.firstLocal, err = ice.GenerateParameters(api.settings.rand); err != nil {
		return nil, &OperationError{Err: err}
	}
	if pc.transport, err = newTransport(pc.compositeConfig(), &api.settings, pc.life, pc); err != nil {
		return nil, &OperationError{Err: err}
	}
	pc.localUfrag = pc.firstLocal.Ufrag
	pc.events = newSignaling(api.settings.SignalingLoop, pc.life)
	if api.settings.Trace != nil {
		if w := api.settings.Trace(pc); w != nil {
			pc.transport.setTrace(newPacketTrace(w))
		}
	}
	return pc, nil
}

func (pc *PeerConnection) jsepConfig() jsep.Config {
	s := &pc.api.settings
	cfg := jsep.Config{
		Capabilities: pc.api.kinds.jsep, Rand: s.rand, BundlePolicy: jsepBundlePolicy(pc.config.BundlePolicy),
		MaxMessageSize: uint64(s.MaxMessageSize), ICELite: s.ICELite,
	}
	if s.AnsweringDTLSRole == DTLSRoleServer {
		cfg.AnsweringRole = jsep.DTLSRoleServer
	}
	return cfg
}

func (pc *PeerConnection) compositeConfig() compositeConfig {
	s := &pc.api.settings
	cfg := compositeConfig{
		ice: ice.Config{
			Local: pc.firstLocal, Servers: iceServers(pc.config.ICEServers, s.ServerProxy != nil), Rand: s.rand,
			DisconnectedAfter: s.ICEDisconnectedTimeout, ConsentTimeout: s.consent(),
			ConsentInterval: s.consentInterval(), HideHosts: s.HideLocalAddresses, Lite: s.ICELite,
			Networks: s.networks(), TCPPassive: s.listensTCP(),
			SharedPort: s.UDPMux != nil, PublicAddrs: s.PublicIPs, RemoteFilter: s.RemoteIPFilter,
		},
		certificate: dtls.Certificate{Chain: [][]byte{pc.certificate.der}, PrivateKey: pc.certificate.key},
		minDTLS:     dtls.Version(s.DTLSMinVersion), maxDTLS: dtls.Version(s.DTLSMaxVersion),
		rand: s.rand, keyLog: s.KeyLog, logger: s.Logger,
		maxMessageSize: s.MaxMessageSize, sendBuffer: s.DataChannelSendBuffer, trackBuffer: s.TrackBuffer,
	}
	cfg.ice.Policy = icePolicy(pc.config.ICETransportPolicy)
	for _, p := range s.SRTPProfiles {
		cfg.profiles = append(cfg.profiles, dtls.SRTPProfile(p))
	}
	return cfg
}

func jsepBundlePolicy(p BundlePolicy) jsep.BundlePolicy {
	switch p {
	case BundlePolicyMaxCompat:
		return jsep.BundleMaxCompat
	case BundlePolicyMaxBundle:
		return jsep.BundleMaxBundle
	case BundlePolicyBalanced:
	}
	return jsep.BundleBalanced
}

// The setters of handlers. A nil handler takes the handler away. They may be called at any time; a change counts for the
// events that have not been delivered yet.

// OnNegotiationNeeded sets the handler that should make an offer.
func (pc *PeerConnection) OnNegotiationNeeded(f func()) {
	setHandler(&pc.mu, &pc.handlers.negotiationNeeded, f)
}

// OnICECandidate sets the handler for local candidates; nil is the last one of a generation.
func (pc *PeerConnection) OnICECandidate(f func(candidate *ICECandidate)) {
	setHandler(&pc.mu, &pc.handlers.iceCandidate, f)
}

// OnICECandidateError sets the handler for failures of gathering, such as a STUN server that does not answer.
func (pc *PeerConnection) OnICECandidateError(f func(ICECandidateError)) {
	setHandler(&pc.mu, &pc.handlers.iceCandidateError, f)
}

// OnSignalingStateChange sets the handler for the signaling state.
func (pc *PeerConnection) OnSignalingStateChange(f func(SignalingState)) {
	setHandler(&pc.mu, &pc.handlers.signalingStateChange, f)
}

// OnICEConnectionStateChange sets the handler for the state of ICE.
func (pc *PeerConnection) OnICEConnectionStateChange(f func(ICEConnectionState)) {
	setHandler(&pc.mu, &pc.handlers.iceConnectionStateChange, f)
}

// OnICEGatheringStateChange sets the handler for the gathering state.
func (pc *PeerConnection) OnICEGatheringStateChange(f func(ICEGatheringState)) {
	setHandler(&pc.mu, &pc.handlers.iceGatheringStateChange, f)
}

// OnConnectionStateChange sets the handler for the sum of ICE's and DTLS's states.
func (pc *PeerConnection) OnConnectionStateChange(f func(PeerConnectionState)) {
	setHandler(&pc.mu, &pc.handlers.connectionStateChange, f)
}

// OnTrack sets the handler for tracks that the peer begins to send. It is called when the remote description is set, as
// W3C has it, before the first packet has come; see OnTrackEvent for the streams.
func (pc *PeerConnection) OnTrack(f func(track *TrackRemote, receiver *RTPReceiver)) {
	setHandler(&pc.mu, &pc.handlers.track, f)
}

// OnTrackEvent sets a handler like OnTrack's that gets W3C's whole RTCTrackEvent.
func (pc *PeerConnection) OnTrackEvent(f func(TrackEvent)) {
	setHandler(&pc.mu, &pc.handlers.trackEvent, f)
}

// OnDataChannel sets the handler for channels that the peer opens. Set the channel's own handlers inside it: they miss
// nothing.
func (pc *PeerConnection) OnDataChannel(f func(*DataChannel)) {
	setHandler(&pc.mu, &pc.handlers.dataChannel, f)
}

// get reads one value under a lock.
func get[T any](mu *sync.Mutex, v *T) T {
	mu.Lock()
	defer mu.Unlock()
	return *v
}

// SignalingState returns where the exchange of descriptions is.
func (pc *PeerConnection) SignalingState() SignalingState { return get(&pc.mu, &pc.signalingState) }

// ICEGatheringState returns how far gathering is.
func (pc *PeerConnection) ICEGatheringState() ICEGatheringState {
	return get(&pc.mu, &pc.gatheringState)
}

// ICEConnectionState returns the state of ICE.
func (pc *PeerConnection) ICEConnectionState() ICEConnectionState {
	return get(&pc.mu, &pc.iceState)
}

// ConnectionState returns the sum of ICE's and DTLS's states.
func (pc *PeerConnection) ConnectionState() PeerConnectionState {
	return get(&pc.mu, &pc.connectionState)
}

// GetConfiguration returns a copy of the configuration; the certificate that was made on the spot is in it.
func (pc *PeerConnection) GetConfiguration() Configuration {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	return pc.config.clone()
}

// SetConfiguration replaces the servers and the transport policy for the next gathering. Certificates and the other
// policies cannot be changed, nor the size of the candidate pool once a local description was set
// (InvalidModificationError). Other errors as NewPeerConnection's.
func (pc *PeerConnection) SetConfiguration(c Configuration) error {
	if err := c.validate(); err != nil {
		return err
	}
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.closed {
		return errClosed()
	}
	sameCertificates := len(c.Certificates) == 0 ||
		slices.EqualFunc(c.Certificates, pc.config.Certificates, Certificate.Equals)
	if c.ICECandidatePoolSize != pc.config.ICECandidatePoolSize && pc.gatheringBegun {
		return &InvalidModificationError{Err: errFixed}
	}
	if !sameCertificates || c.BundlePolicy != pc.config.BundlePolicy || c.RTCPMuxPolicy != pc.config.RTCPMuxPolicy {
		return &InvalidModificationError{Err: errFixed}
	}
	certificates := pc.config.Certificates
	pc.config = c.clone()
	pc.config.Certificates = certificates
	pc.serversChanged = true
	return nil
}

// GetTransceivers returns the transceivers in the order in which they were made.
func (pc *PeerConnection) GetTransceivers() []*RTPTransceiver {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	return slices.Clone(pc.transceivers)
}

// GetSenders returns the senders of the transceivers that are not stopped.
func (pc *PeerConnection) GetSenders() (senders []*RTPSender) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	for _, t := range pc.transceivers {
		if !t.state.Stopped {
			senders = append(senders, t.sender)
		}
	}
	return senders
}

// GetReceivers returns the receivers of the transceivers that are not stopped.
func (pc *PeerConnection) GetReceivers() (receivers []*RTPReceiver) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	for _, t := range pc.transceivers {
		if !t.state.Stopped {
			receivers = append(receivers, t.receiver)
		}
	}
	return receivers
}

// Flush sends at once what Send, WriteRTP and WriteSample have left to be bundled; without it, that takes a millisecond at
// most.
func (pc *PeerConnection) Flush() {
	if now, ok := pc.transport.enter(); ok {
		pc.transport.exit(now)
	}
}

// Post runs f on the signaling goroutine, after the events that were posted before. After Close it does nothing.
func (pc *PeerConnection) Post(f func()) {
	if f != nil {
		pc.events.post(event{run: func() { call0(pc.events, f) }})
	}
}

// Done is closed after Close, when the last handler has returned and every goroutine of the connection is gone.
func (pc *PeerConnection) Done() <-chan struct{} { return pc.life.done }

// Close ends the connection. The peer is told, once. It fires no events, does not wait for handlers and may be called in
// one; when it returns, no handler is started any more, blocked calls return and the sockets are closed: for each of several
// callers at a time too, of whom the later ones wait for the first. It is idempotent and never fails. [close]
//
// [close]: https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-close
func (pc *PeerConnection) Close() error {
	pc.mu.Lock()
	if pc.closed {
		pc.mu.Unlock()
		<-pc.life.closing
		return nil
	}
	pc.closed = true
	pc.jsep.Close()
	pc.signalingState, pc.iceState = SignalingStateClosed, ICEConnectionStateClosed
	pc.connectionState = PeerConnectionStateClosed
	pc.dtlsState = DTLSTransportStateClosed
	if pc.sctp != nil {
		pc.sctp.state, pc.sctp.maxMessageSize = SCTPTransportStateClosed, 0
	}
	transceivers := pc.transceivers
	pc.transceivers = nil
	bound := pc.bound
	pc.bound = nil
	pc.wakeGatheringWaiters(func(*gatheringWaiter) bool { return true })
	pc.mu.Unlock()

	pc.events.close()
	channels := pc.transport.close()
	for _, dc := range channels {
		dc.closeSilently()
	}
	for _, t := range transceivers {
		t.closeSilently()
	}
	for _, track := range bound {
		takeOut(track, pc.transport)
	}
	pc.life.end()
	return nil
}

// Shutdown is Close after everything that data channels have queued was delivered, or the context has ended; its error is
// the context's then, and the connection is closed all the same. Not for use in handlers.
func (pc *PeerConnection) Shutdown(ctx context.Context) error {
	defer func() { _ = pc.Close() }()
	now, ok := pc.transport.enter()
	if !ok {
		return nil
	}
	drained := pc.transport.await(pc.transport.engine.drained)
	pc.transport.exit(now)
	select {
	case <-drained:
		return nil
	case <-pc.life.closing:
		return nil
	case <-ctx.Done():
		pc.transport.abandon(drained)
		return ctx.Err()
	}
}
