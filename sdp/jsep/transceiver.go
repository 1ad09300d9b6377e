package jsep

import "github.com/openparley/webrtc/sdp"

// The kinds of transceivers.
const (
	KindAudio = "audio"
	KindVideo = "video"
)

// Transceiver is one RTCRtpTransceiver as data (webrtc-pc §5.4). The session owns it and changes it only inside its own
// methods; everybody else reads, except User, which belongs to the caller.
type Transceiver struct {
	// MID is empty until a description associated the transceiver with a section.
	MID string
	// Index of the m= line, -1 without one.
	Index int
	// Kind is KindAudio or KindVideo.
	Kind string
	// Direction is what the application wants.
	Direction sdp.Direction
	// CurrentDirection is what was negotiated last, empty before; RTCRtpTransceiver.currentDirection ("stopped" is Stopped).
	CurrentDirection sdp.Direction
	// FiredDirection is the direction of the last remote description (webrtc-pc's slot of that name).
	FiredDirection sdp.Direction
	// Stopping: Stop was called, the other side does not know yet. Stopped: it does.
	Stopping bool
	Stopped  bool
	// Receptive says that RTP may be received: it was negotiated, or offered (webrtc-pc's slot of that name).
	Receptive bool

	// Preferred are the codec preferences, nil for none.
	Preferred []sdp.Codec

	Sender   Sender
	Receiver Receiver

	// User is the caller's, untouched here.
	User any

	// addedByTrack: AddTrack made it (RFC 9429 §5.10 may associate it with a section of the other side).
	addedByTrack bool
	// trackAdded: AddTrack gave it a track once; rollback then keeps it.
	trackAdded bool
	// hasSent: CurrentDirection was sendrecv or sendonly once; AddTrack does not take it again.
	hasSent bool
	// createdByRemote: a remote offer that is not answered yet made it.
	createdByRemote bool
	// payloads are the codecs that this side offers or answered in the section, kept so that the numbers stay.
	payloads []sdp.Codec
}

// Sender is the sending half.
type Sender struct {
	// Track is the id of the attached track, empty without one.
	Track string
	// Streams are the ids of the associated streams.
	Streams []string
	// CNAME is the RTCP CNAME: one a session.
	CNAME string
	// Encodings has at least one element. With more, each has a RID.
	Encodings []Encoding
	// id stands for the track on the a=msid line: a track's id may not be a token of SDP, and it may be replaced.
	id string
	// announced: a description with id was applied.
	announced bool
}

// Encoding is one RTP stream of a sender (an RTCRtpEncodingParameters).
type Encoding struct {
	// RID is empty for a single stream.
	RID string
	// SSRC of the stream; RTX of its retransmissions, used once rtx is negotiated.
	SSRC uint32
	RTX  uint32
	// Paused: the other side asked for a pause of the stream with "~" (RFC 8853 §5.1).
	Paused bool
}

// Receiver is the receiving half, as far as the remote description tells.
type Receiver struct {
	// Track is the id that the remote msid gives, empty without one. (W3C: the id of receiver.track is not bound to it.)
	Track string
	// Streams are the ids of the associated remote streams.
	Streams []string
	// SSRCs and SSRCGroups as declared; often empty.
	SSRCs      []sdp.SSRC
	SSRCGroups []sdp.SSRCGroup
	// RIDs that the other side sends in, in the order of a=simulcast; nil without simulcast.
	RIDs []string
}

// TransceiverInit is W3C's RTCRtpTransceiverInit.
type TransceiverInit struct {
	// Direction is sendrecv if empty.
	Direction sdp.Direction
	// Track is the id of the track to send; empty: none yet.
	Track   string
	Streams []string
	// RIDs of the send encodings, for simulcast; nil: one encoding without RID. One RID alone is dropped, as in W3C.
	RIDs []string
}
