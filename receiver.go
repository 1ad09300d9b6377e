package webrtc

import (
	"errors"
	"io"
	"time"

	"github.com/pion/rtcp"
)

// rtcpBuffer is how many RTCP packets are kept for a reader who is late.
const rtcpBuffer = 64

var (
	errTrackInUse = errors.New("the track is being sent by this connection already")
	errForeign    = errors.New("the sender belongs to another connection")
	// errTrackEnded ends the reads of a track whose peer has stopped for good.
	errTrackEnded = io.EOF
)

// An RTPReceiver receives the tracks of one media section: one, or one for each simulcast layer. W3C: RTCRtpReceiver.
type RTPReceiver struct {
	// Immutable after newRTPReceiver.
	pc          *PeerConnection
	transceiver *RTPTransceiver
	rtcp        *packetRing

	// Guarded by pc.mu.
	tracks     []*TrackRemote // the first one is W3C's receiver.track
	parameters RTPParameters
}

func newRTPReceiver(t *RTPTransceiver) *RTPReceiver {
	r := &RTPReceiver{pc: t.pc, transceiver: t, rtcp: newPacketRing(rtcpBuffer)}
	r.tracks = []*TrackRemote{newTrackRemote(r, "")}
	return r
}

// Track returns the track; with simulcast, the first layer's.
func (r *RTPReceiver) Track() *TrackRemote {
	r.pc.mu.Lock()
	defer r.pc.mu.Unlock()
	return r.tracks[0]
}

// Tracks returns the tracks: one, or one for each simulcast layer.
func (r *RTPReceiver) Tracks() []*TrackRemote {
	r.pc.mu.Lock()
	defer r.pc.mu.Unlock()
	return append([]*TrackRemote(nil), r.tracks...)
}

// RTPTransceiver returns the transceiver that the receiver belongs to.
func (r *RTPReceiver) RTPTransceiver() *RTPTransceiver { return r.transceiver }

// GetParameters returns what was negotiated for receiving; the slices are the caller's.
func (r *RTPReceiver) GetParameters() RTPParameters {
	r.pc.mu.Lock()
	defer r.pc.mu.Unlock()
	return r.parameters.clone()
}

// Read copies the next RTCP packet (a compound) that speaks of this receiver's sources into b: sender reports,
// goodbyes. It waits. Errors: io.EOF when the transceiver was stopped, net.ErrClosed, os.ErrDeadlineExceeded,
// io.ErrShortBuffer. The last 64 packets are kept for a reader who is late.
func (r *RTPReceiver) Read(b []byte) (int, error) { return r.rtcp.read(b) }

// ReadRTCP is Read for parsed packets.
func (r *RTPReceiver) ReadRTCP() ([]rtcp.Packet, error) { return readRTCP(r.rtcp) }

// SetReadDeadline ends Read and ReadRTCP with os.ErrDeadlineExceeded from t on. The zero time: never.
func (r *RTPReceiver) SetReadDeadline(t time.Time) error {
	r.rtcp.deadline.set(t)
	return nil
}

func readRTCP(ring *packetRing) ([]rtcp.Packet, error) {
	buf := make([]byte, maxPacketSize)
	n, err := ring.read(buf)
	if err != nil {
		return nil, err
	}
	return rtcp.Unmarshal(buf[:n])
}

// describe takes over what the remote description says of the tracks: one for each RID, or one without. pc.mu is held.
func (r *RTPReceiver) describe() {
	state := &r.transceiver.state.Receiver
	for i, rid := range state.RIDs {
		if i < len(r.tracks) && (r.tracks[i].rid == rid || i == 0 && r.tracks[i].rid == "") {
			r.tracks[i].rid = rid
			continue
		}
		for _, gone := range r.tracks[min(i, len(r.tracks)):] {
			gone.ended() // another layer takes its place: nobody else would release its readers
		}
		r.tracks = append(r.tracks[:i:i], newTrackRemote(r, rid))
	}
	for _, track := range r.tracks {
		track.id, track.streams = state.Track, state.Streams
	}
}

// endTracks ends the reads of a stopped receiver. pc.mu is held.
func (r *RTPReceiver) endTracks() {
	for _, t := range r.tracks {
		t.ended()
	}
	r.rtcp.close(errTrackEnded)
}

// close ends the reads of a closed connection.
func (r *RTPReceiver) close() {
	for _, t := range r.Tracks() {
		t.ring.close(ErrConnectionClosed)
	}
	r.rtcp.close(ErrConnectionClosed)
}
