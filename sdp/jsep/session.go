package jsep

import (
	"errors"
	"io"
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// The defaults of Config.
const (
	defaultMaxMessageSize = 262144
	defaultSCTPPort       = 5000
)

// Config of a Session.
type Config struct {
	Capabilities Capabilities
	// Rand gives session ids, SSRCs, CNAME, track ids and ICE credentials. Required.
	Rand         io.Reader
	BundlePolicy BundlePolicy
	// AnsweringRole is the DTLS role of answers to offers that leave the choice; zero: client, as RFC 8842 §5.3 recommends.
	AnsweringRole DTLSRole
	// MaxMessageSize is what this side takes on a data channel, in bytes; zero: 262144.
	MaxMessageSize uint64
	// SCTPPort of this side; zero: 5000.
	SCTPPort uint16
	// ICELite: this side's ICE agent is a lite one, which its descriptions say (RFC 8839 §5.3) and which never controls.
	ICELite bool
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
	// Immutable after New.
	cfg       Config
	rand      source
	cname     string
	sessionID uint64

	st       state
	gathered gathered
}

// New returns a session in state stable without transceivers. It reads Config.Rand.
func New(cfg Config) (*Session, error) {
	if cfg.Rand == nil {
		return nil, errors.New("jsep: Config.Rand is missing")
	}
	if cfg.MaxMessageSize == 0 {
		cfg.MaxMessageSize = defaultMaxMessageSize
	}
	if cfg.SCTPPort == 0 {
		cfg.SCTPPort = defaultSCTPPort
	}
	s := &Session{cfg: cfg, rand: source{cfg.Rand}}
	var err error
	if s.cname, err = s.rand.token(16); err != nil {
		return nil, err
	}
	id, err := s.rand.uint64()
	if err != nil {
		return nil, err
	}
	// RFC 9429 §5.2.1: 64 bits with the highest one zero.
	s.sessionID = id >> 1
	return s, nil
}

// State returns the signaling state.
func (s *Session) State() SignalingState { return s.st.signaling }

// Close moves to state closed and stops the transceivers: everything after fails with InvalidStateError, or does nothing.
func (s *Session) Close() {
	s.st.signaling = StateClosed
	for _, t := range s.st.transceivers {
		t.stop()
	}
}

func (s *Session) closed() bool { return s.st.signaling == StateClosed }

func errClosed() error { return fail(NameInvalidState, "the connection is closed") }

// Transceivers returns the transceivers in order of creation. The slice is the caller's.
func (s *Session) Transceivers() []*Transceiver { return slices.Clone(s.st.transceivers) }

// LocalDescription returns the pending local description, or else the current one, or nil, with the candidates gathered
// so far.
func (s *Session) LocalDescription() *Description { return s.read(s.st.localDescription()) }

// RemoteDescription returns the pending remote description, or else the current one, or nil, with the candidates added.
func (s *Session) RemoteDescription() *Description { return s.read(s.st.remoteDescription()) }

// CurrentLocalDescription returns what was negotiated last, or nil.
func (s *Session) CurrentLocalDescription() *Description { return s.read(s.st.currentLocal) }

// PendingLocalDescription returns the local description under negotiation, or nil.
func (s *Session) PendingLocalDescription() *Description { return s.read(s.st.pendingLocal) }

// CurrentRemoteDescription returns what was negotiated last, or nil.
func (s *Session) CurrentRemoteDescription() *Description { return s.read(s.st.currentRemote) }

// PendingRemoteDescription returns the remote description under negotiation, or nil.
func (s *Session) PendingRemoteDescription() *Description { return s.read(s.st.pendingRemote) }

func (s *Session) read(d *description) *Description {
	if d == nil {
		return nil
	}
	if d.local {
		return &Description{Type: d.typ, SDP: s.withGathered(d)}
	}
	if d.changed {
		d.text, d.changed = d.sdp.Marshal(), false
	}
	return &Description{Type: d.typ, SDP: d.text}
}

// CanTrickle returns whether the other side takes trickled candidates; known is false (W3C: null) before a remote
// description.
func (s *Session) CanTrickle() (trickle, known bool) {
	d := s.st.remoteDescription()
	if d == nil {
		return false, false
	}
	return trickles(d.sdp), true
}

func trickles(d *sdp.Session) bool {
	for i := range d.Media {
		if !d.Media[i].Rejected() && d.ICEOf(i).Trickle() {
			return true
		}
	}
	return d.ICEOf(-1).Trickle()
}

// EnableData asks for a data channel section in the next offer: the first createDataChannel. Idempotent.
func (s *Session) EnableData() error {
	if s.closed() {
		return errClosed()
	}
	s.st.dataWanted = true
	return nil
}

// DataWanted reports whether data channels are wanted, or negotiated. An exchange in which either side rejects
// their section ends the wish.
func (s *Session) DataWanted() bool { return s.st.dataWanted }

// RestartICE asks for new ICE credentials in the next offer (restartIce). Without a local description there is nothing to
// restart.
func (s *Session) RestartICE() {
	if s.closed() {
		return
	}
	s.st.replace = nil
	for _, d := range []*description{s.st.currentLocal, s.st.pendingLocal} {
		if d == nil {
			continue
		}
		for i := range d.sdp.Media {
			if u := d.sdp.Media[i].ICEUfrag; u != "" && !slices.Contains(s.st.replace, u) {
				s.st.replace = append(s.st.replace, u)
			}
		}
	}
}
