package webrtc

import (
	"slices"

	"github.com/openparley/webrtc/sdp/jsep"
)

// flowUpdates takes what was negotiated about RTP into the senders and receivers, and returns what the transport has to
// learn. pc.mu is held.
func (pc *PeerConnection) flowUpdates(fx *jsep.Effects) []flowUpdate {
	flows := make([]flowUpdate, 0, len(fx.Flows))
	for _, t := range pc.transceivers {
		t.sender.sending = false
	}
	for _, f := range fx.Flows {
		t := pc.adopt(f.Transceiver)
		t.sender.sending = f.Send
		t.sender.parameters = RTPParameters{
			Codecs: fromSDPCodecs(f.Kind, f.SendCodecs), HeaderExtensions: fromSDPExtensions(f.SendExtensions),
		}
		codecs := fromSDPCodecs(f.Kind, f.ReceiveCodecs)
		t.receiver.parameters = RTPParameters{Codecs: codecs, HeaderExtensions: fromSDPExtensions(f.ReceiveExtensions)}
		t.receiver.describe()
		for _, track := range t.receiver.tracks {
			track.codecs = withoutRepair(codecs)
		}
		flows = append(flows, flowUpdate{flow: f, transceiver: t, tracks: slices.Clone(t.receiver.tracks)})
	}
	return flows
}

// withoutRepair keeps the codecs that a track can be of.
func withoutRepair(codecs []RTPCodecParameters) []RTPCodecParameters {
	return slices.DeleteFunc(slices.Clone(codecs), func(c RTPCodecParameters) bool {
		return equalFold(c.MimeType, MimeTypeRTX)
	})
}

// announceTracks posts one notice that tells, in W3C's order, which tracks are muted, leave and join streams, and begin.
// pc.mu is held.
func (pc *PeerConnection) announceTracks(fx *jsep.Effects) {
	var notify []func()
	for _, state := range fx.TracksMuted {
		for _, track := range pc.adopt(state).receiver.tracks {
			if handler := track.setMuted(true); handler != nil {
				notify = append(notify, func() { call0(pc.events, handler) })
			}
		}
	}
	for _, change := range fx.StreamRemovals {
		notify = append(notify, pc.leaveStream(change))
	}
	for _, change := range fx.StreamAdditions {
		notify = append(notify, pc.joinStream(change))
	}
	for _, state := range fx.TracksAdded {
		receiver := pc.adopt(state).receiver
		receiver.describe()
		for _, track := range receiver.tracks {
			notify = append(notify, pc.trackNotice(track, state))
		}
	}
	for _, state := range fx.Stopped {
		if t, ok := state.User.(*RTPTransceiver); ok {
			t.receiver.endTracks()
		}
	}
	if len(notify) == 0 {
		return
	}
	pc.events.post(event{run: func() {
		for _, f := range notify {
			f()
		}
	}})
}

func (pc *PeerConnection) leaveStream(change jsep.StreamChange) func() {
	s, track := pc.stream(change.Stream), pc.adopt(change.Transceiver).receiver.tracks[0]
	s.tracks = slices.DeleteFunc(s.tracks, func(t *TrackRemote) bool { return t == track })
	if len(s.tracks) == 0 {
		delete(pc.streams, s.id)
	}
	return func() { call(pc.events, get(&pc.mu, &s.onRemoveTrack), track) }
}

func (pc *PeerConnection) joinStream(change jsep.StreamChange) func() {
	s, track := pc.stream(change.Stream), pc.adopt(change.Transceiver).receiver.tracks[0]
	if !slices.Contains(s.tracks, track) {
		s.tracks = append(s.tracks, track)
	}
	return func() { call(pc.events, get(&pc.mu, &s.onAddTrack), track) }
}

func (pc *PeerConnection) trackNotice(track *TrackRemote, state *jsep.Transceiver) func() {
	e := TrackEvent{Receiver: track.receiver, Track: track, Transceiver: track.receiver.transceiver}
	for _, id := range state.Receiver.Streams {
		e.Streams = append(e.Streams, pc.stream(id))
	}
	return func() {
		pc.mu.Lock()
		onTrack, onEvent := pc.handlers.track, pc.handlers.trackEvent
		pc.mu.Unlock()
		if onTrack != nil && pc.events.open() {
			onTrack(e.Track, e.Receiver)
		}
		call(pc.events, onEvent, e)
	}
}

// onTrackFlows is called under transport.mu at the first packet of a track, and at the first after a pause.
func (pc *PeerConnection) onTrackFlows(track *TrackRemote) {
	pc.task(func() func() {
		if !track.receiver.transceiver.state.Receptive {
			return nil // it has been muted since
		}
		handler := track.setMuted(false)
		return func() { call0(pc.events, handler) }
	})
}
