package webrtc

import (
	"reflect"
	"slices"

	"github.com/openparley/webrtc/sdp"
	"github.com/openparley/webrtc/sdp/jsep"
)

// An RTPTransceiver pairs the sender and the receiver of one media section. Its methods may be called from any goroutine.
// W3C: RTCRtpTransceiver.
type RTPTransceiver struct {
	// Immutable after adopt.
	pc       *PeerConnection
	kind     RTPCodecType
	sender   *RTPSender
	receiver *RTPReceiver

	// state is jsep's; guarded by pc.mu.
	state *jsep.Transceiver
}

// RTPTransceiverInit are the options of AddTransceiverFromKind and AddTransceiverFromTrack. W3C: RTCRtpTransceiverInit.
type RTPTransceiverInit struct {
	// Direction; zero: sendrecv.
	Direction RTPTransceiverDirection
	// Streams are the ids of the MediaStreams that the track belongs to; nil: the track's StreamID.
	Streams []string
}

// AddTrack sends a track to the peer: by a sender that may take it, or by a new one. It makes negotiation needed.
// Errors: InvalidStateError (closed), InvalidAccessError (the track is being sent already). [addTrack]
//
// [addTrack]: https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-addtrack
func (pc *PeerConnection) AddTrack(track TrackLocal) (*RTPSender, error) {
	kind, id, streams, err := describeTrack(track, nil)
	if err != nil {
		return nil, err
	}
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.closed {
		return nil, errClosed()
	}
	for _, t := range pc.transceivers {
		if t.sender.track == track && !t.state.Stopped {
			return nil, &InvalidAccessError{Err: errTrackInUse}
		}
	}
	state, _, err := pc.jsep.AddTrack(kind.String(), id, streams)
	if err != nil {
		return nil, fromJSEP(err)
	}
	t := pc.adopt(state)
	t.sender.track = track
	pc.updateNegotiationNeeded()
	return t.sender, nil
}

// describeTrack calls the user's track, so no lock is held.
func describeTrack(track TrackLocal, streams []string) (kind RTPCodecType, id string, ids []string, err error) {
	if track == nil {
		return 0, "", nil, typeError("the track is nil")
	}
	if !reflect.TypeOf(track).Comparable() {
		return 0, "", nil, typeError("a track of type %T cannot be told from another: use a pointer", track)
	}
	kind, id = track.Kind(), track.ID()
	if kind != RTPCodecTypeAudio && kind != RTPCodecTypeVideo {
		return 0, "", nil, typeError("track %q is neither audio nor video", id)
	}
	if !isToken(id) {
		return 0, "", nil, typeError("the track's id %q cannot stand in a session description", id)
	}
	if streams == nil && track.StreamID() != "" {
		streams = []string{track.StreamID()}
	}
	for _, s := range streams {
		if !isToken(s) {
			return 0, "", nil, typeError("the stream's id %q cannot stand in a session description", s)
		}
	}
	return kind, id, streams, nil
}

// RemoveTrack stops sending a track; the transceiver stays. It makes negotiation needed. Errors: InvalidStateError
// (closed), InvalidAccessError (a sender of another connection). [removeTrack]
//
// [removeTrack]: https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-removetrack
func (pc *PeerConnection) RemoveTrack(sender *RTPSender) error {
	if sender == nil || sender.pc != pc {
		return &InvalidAccessError{Err: errForeign}
	}
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.closed {
		return errClosed()
	}
	changed, err := pc.jsep.RemoveTrack(sender.transceiver.state)
	if err != nil {
		return fromJSEP(err)
	}
	if !changed {
		return nil
	}
	sender.track = nil
	pc.rebind(sender)
	pc.updateNegotiationNeeded()
	return nil
}

// AddTransceiverFromKind adds a media section without a track. It makes negotiation needed. Errors: InvalidStateError
// (closed), TypeError. [addTransceiver]
//
// [addTransceiver]: https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-addtransceiver
func (pc *PeerConnection) AddTransceiverFromKind(kind RTPCodecType, init ...RTPTransceiverInit) (*RTPTransceiver, error) {
	if kind != RTPCodecTypeAudio && kind != RTPCodecTypeVideo {
		return nil, typeError("a transceiver is audio or video")
	}
	o, err := transceiverInit(init)
	if err != nil {
		return nil, err
	}
	return pc.addTransceiver(kind, nil, o)
}

// AddTransceiverFromTrack adds a media section that sends the track. It makes negotiation needed. Errors:
// InvalidStateError (closed), TypeError. [addTransceiver]
//
// [addTransceiver]: https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-addtransceiver
func (pc *PeerConnection) AddTransceiverFromTrack(track TrackLocal, init ...RTPTransceiverInit) (*RTPTransceiver, error) {
	o, err := transceiverInit(init)
	if err != nil {
		return nil, err
	}
	kind, id, streams, err := describeTrack(track, o.Streams)
	if err != nil {
		return nil, err
	}
	o.Track, o.Streams = id, streams
	return pc.addTransceiver(kind, track, o)
}

func transceiverInit(init []RTPTransceiverInit) (jsep.TransceiverInit, error) {
	if len(init) > 1 {
		return jsep.TransceiverInit{}, typeError("more than one RTPTransceiverInit")
	}
	if len(init) == 0 {
		return jsep.TransceiverInit{}, nil
	}
	o := jsep.TransceiverInit{Streams: slices.Clone(init[0].Streams)}
	switch d := init[0].Direction; d {
	case 0:
	case RTPTransceiverDirectionSendrecv, RTPTransceiverDirectionSendonly, RTPTransceiverDirectionRecvonly,
		RTPTransceiverDirectionInactive:
		o.Direction = sdp.Direction(d.String())
	default:
		return o, typeError("a transceiver cannot begin with direction %v", d)
	}
	return o, nil
}

func (pc *PeerConnection) addTransceiver(kind RTPCodecType, track TrackLocal, o jsep.TransceiverInit) (*RTPTransceiver, error) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.closed {
		return nil, errClosed()
	}
	state, err := pc.jsep.AddTransceiver(kind.String(), o)
	if err != nil {
		return nil, fromJSEP(err)
	}
	t := pc.adopt(state)
	t.sender.track = track
	pc.updateNegotiationNeeded()
	return t, nil
}

// adopt returns the object for one of jsep's transceivers, and makes it if it is new. pc.mu is held.
func (pc *PeerConnection) adopt(state *jsep.Transceiver) *RTPTransceiver {
	if t, ok := state.User.(*RTPTransceiver); ok {
		return t
	}
	t := &RTPTransceiver{pc: pc, kind: NewRTPCodecType(state.Kind), state: state}
	t.sender = &RTPSender{pc: pc, transceiver: t, rtcp: newPacketRing(rtcpBuffer)}
	t.receiver = newRTPReceiver(t)
	state.User = t
	pc.transceivers = append(pc.transceivers, t)
	return t
}

// forget takes a transceiver out of the connection: it was stopped, or its creation was rolled back. pc.mu is held.
func (pc *PeerConnection) forget(state *jsep.Transceiver) {
	t, ok := state.User.(*RTPTransceiver)
	if !ok {
		return
	}
	pc.transceivers = slices.DeleteFunc(pc.transceivers, func(o *RTPTransceiver) bool { return o == t })
	t.sender.track = nil
	pc.rebind(t.sender)
	t.receiver.endTracks()
	t.sender.rtcp.close(errTrackEnded)
}

// Kind returns audio or video.
func (t *RTPTransceiver) Kind() RTPCodecType { return t.kind }

// Mid returns the id of the media section; empty before negotiation.
func (t *RTPTransceiver) Mid() string { return get(&t.pc.mu, &t.state.MID) }

// Sender returns the sender.
func (t *RTPTransceiver) Sender() *RTPSender { return t.sender }

// Receiver returns the receiver.
func (t *RTPTransceiver) Receiver() *RTPReceiver { return t.receiver }

// Direction returns the direction that the application wants.
func (t *RTPTransceiver) Direction() RTPTransceiverDirection {
	t.pc.mu.Lock()
	defer t.pc.mu.Unlock()
	if t.state.Stopping || t.state.Stopped {
		return RTPTransceiverDirectionStopped
	}
	return fromSDPDirection(t.state.Direction)
}

// SetDirection changes the direction that the application wants; it makes negotiation needed. Errors: InvalidStateError
// (stopped), TypeError.
func (t *RTPTransceiver) SetDirection(d RTPTransceiverDirection) error {
	if d < RTPTransceiverDirectionSendrecv || d > RTPTransceiverDirectionInactive {
		return typeError("direction %v cannot be set", d)
	}
	t.pc.mu.Lock()
	defer t.pc.mu.Unlock()
	if t.pc.closed {
		return errClosed()
	}
	if err := t.pc.jsep.SetDirection(t.state, sdp.Direction(d.String())); err != nil {
		return fromJSEP(err)
	}
	t.pc.updateNegotiationNeeded()
	return nil
}

// CurrentDirection returns the direction that was negotiated; zero before that.
func (t *RTPTransceiver) CurrentDirection() RTPTransceiverDirection {
	t.pc.mu.Lock()
	defer t.pc.mu.Unlock()
	if t.state.Stopped {
		return RTPTransceiverDirectionStopped
	}
	return fromSDPDirection(t.state.CurrentDirection)
}

// Stop ends the transceiver for good: nothing is sent or received any more, and the peer learns it by negotiation, which
// becomes needed.
func (t *RTPTransceiver) Stop() error {
	t.pc.mu.Lock()
	defer t.pc.mu.Unlock()
	if t.pc.closed {
		return errClosed()
	}
	if err := t.pc.jsep.StopTransceiver(t.state); err != nil {
		return fromJSEP(err)
	}
	t.sender.track = nil
	t.pc.rebind(t.sender)
	t.receiver.endTracks()
	if t.state.Stopped {
		t.pc.forget(t.state)
	}
	t.pc.updateNegotiationNeeded()
	return nil
}

// SetCodecPreferences chooses the codecs of the section and their order; none: the connection's again. It counts from
// the next offer or answer on. Errors: InvalidModificationError (a codec that is not in Settings.Codecs).
func (t *RTPTransceiver) SetCodecPreferences(codecs []RTPCodecParameters) error {
	var preferred []sdp.Codec
	for _, c := range codecs {
		preferred = append(preferred, toSDPCodec(c))
	}
	t.pc.mu.Lock()
	defer t.pc.mu.Unlock()
	if t.pc.closed {
		return errClosed()
	}
	if err := t.pc.jsep.SetCodecPreferences(t.state, preferred); err != nil {
		return fromJSEP(err)
	}
	return nil
}

// closeSilently is what PeerConnection.Close does to its transceivers: no events.
func (t *RTPTransceiver) closeSilently() {
	t.sender.rtcp.close(ErrConnectionClosed)
	t.receiver.close()
}

func fromSDPDirection(d sdp.Direction) RTPTransceiverDirection {
	var v RTPTransceiverDirection
	_ = v.UnmarshalText([]byte(d)) // an empty one is zero
	return v
}
