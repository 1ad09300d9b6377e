package jsep

import (
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// CheckNegotiationNeeded is webrtc-pc §4.7.3 "check if negotiation is needed", false unless the state is stable.
func (s *Session) CheckNegotiationNeeded() bool {
	if s.st.signaling != StateStable {
		return false
	}
	if len(s.st.replace) > 0 {
		return true
	}
	if s.st.dataWanted && (s.st.currentLocal == nil || s.dataSection(s.st.currentLocal) < 0) {
		return true
	}
	return slices.ContainsFunc(s.st.transceivers, s.needsNegotiation)
}

// needsNegotiation is the part of the algorithm about one transceiver.
func (s *Session) needsNegotiation(t *Transceiver) bool {
	if t.Stopping && !t.Stopped {
		return true
	}
	local, i := s.st.currentLocal.section(t.MID)
	remote, j := s.st.currentRemote.section(t.MID)
	if t.Stopped {
		return local != nil && !local.Rejected() && remote != nil && !remote.Rejected()
	}
	if local == nil {
		return true
	}
	if t.Direction.Sends() && !sameStreams(local.MSIDs, t.Sender.Streams) {
		return true
	}
	d := s.st.currentLocal.sdp.DirectionOf(i)
	if s.st.currentLocal.typ == TypeOffer {
		return t.Direction != d && (remote == nil || t.Direction != s.st.currentRemote.sdp.DirectionOf(j).Reverse())
	}
	offered := sdp.SendRecv
	if remote != nil {
		offered = s.st.currentRemote.sdp.DirectionOf(j).Reverse()
	}
	return d != t.Direction.Intersect(offered)
}

// sameStreams compares the msid lines of a section with the streams of its sender, in any order.
func sameStreams(lines []sdp.MSID, streams []string) bool {
	if len(streams) == 0 {
		return len(lines) == 1 && lines[0].Stream == "-"
	}
	if len(lines) != len(streams) {
		return false
	}
	for _, l := range lines {
		if !slices.Contains(streams, l.Stream) {
			return false
		}
	}
	return true
}
