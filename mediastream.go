package webrtc

import "slices"

// A MediaStream groups remote tracks that belong together: what the peer's camera and microphone send, for example. Its
// methods may be called from any goroutine. W3C: MediaStream.
type MediaStream struct {
	// Immutable after newMediaStream.
	pc *PeerConnection
	id string

	// Guarded by pc.mu.
	tracks                    []*TrackRemote
	onAddTrack, onRemoveTrack func(*TrackRemote)
}

// ID is the stream's id as the peer has announced it.
func (s *MediaStream) ID() string { return s.id }

// GetTracks returns the tracks that belong to the stream now.
func (s *MediaStream) GetTracks() []*TrackRemote {
	s.pc.mu.Lock()
	defer s.pc.mu.Unlock()
	return slices.Clone(s.tracks)
}

// OnAddTrack sets the handler for tracks that join the stream.
func (s *MediaStream) OnAddTrack(f func(*TrackRemote)) { setHandler(&s.pc.mu, &s.onAddTrack, f) }

// OnRemoveTrack sets the handler for tracks that leave the stream.
func (s *MediaStream) OnRemoveTrack(f func(*TrackRemote)) {
	setHandler(&s.pc.mu, &s.onRemoveTrack, f)
}

// A TrackEvent tells about a track that the peer begins to send. W3C: RTCTrackEvent.
type TrackEvent struct {
	Receiver    *RTPReceiver
	Track       *TrackRemote
	Streams     []*MediaStream
	Transceiver *RTPTransceiver
}

// stream returns the remote stream with an id, and makes it at first. pc.mu is held.
func (pc *PeerConnection) stream(id string) *MediaStream {
	s := pc.streams[id]
	if s == nil {
		s = &MediaStream{pc: pc, id: id}
		pc.streams[id] = s
	}
	return s
}
