package jsep

import (
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// change is one SetLocal or SetRemote under way: what it has done so far, and what to go back to if it fails.
type change struct {
	s      *Session
	before checkpoint
	data   bool // a data section was negotiated
	fx     *Effects
}

func (s *Session) change() *change {
	return &change{s: s, before: s.checkpoint(), data: s.data() != nil, fx: &Effects{Old: s.st.signaling}}
}

func (c *change) undo() { c.s.restore(c.before) }

// finish completes the effects from the difference of before and now.
func (c *change) finish() *Effects {
	s, fx := c.s, c.fx
	fx.New = s.st.signaling
	for _, t := range s.st.transceivers {
		i := slices.Index(c.before.st.transceivers, t)
		var old sdp.Direction
		if i >= 0 {
			old = c.before.values[i].CurrentDirection
		}
		if t.CurrentDirection != old {
			fx.Directions = append(fx.Directions, t)
		}
	}
	s.fillSnapshot(fx)
	if t := fx.Transport; t != nil {
		t.LocalChanged = s.st.local != c.before.st.local
		t.RemoteChanged = t.Ready && s.st.conn.remote != c.before.st.conn.remote
	}
	fx.NegotiationNeeded = s.CheckNegotiationNeeded()
	return fx
}

// setSignaling is the only place where the signaling state changes, but for Close.
func (c *change) setSignaling(st SignalingState) { c.s.st.signaling = st }

// becomeStable makes the pending descriptions current, forgets the transceivers that are stopped on both sides, and the
// wish for a restart when the credentials are gone (webrtc-pc §4.4.1.5).
func (c *change) becomeStable() {
	s := c.s
	data := c.data || s.st.pendingLocal.typ == TypeOffer && s.dataSection(s.st.pendingLocal) >= 0
	s.st.currentLocal, s.st.currentRemote = s.st.pendingLocal, s.st.pendingRemote
	c.leaveNegotiation()
	if data && s.data() == nil {
		s.st.dataWanted = false // the exchange has ended the section (RFC 8841 §10.3, §10.4)
	}
	for _, t := range s.st.transceivers {
		t.createdByRemote = false
		if t.Stopped && (t.MID == "" || s.sectionGone(t)) {
			s.st.transceivers = without(s.st.transceivers, t)
			c.fx.Removed = append(c.fx.Removed, t)
		}
	}
	for i := range s.st.currentLocal.sdp.Media {
		if slices.Contains(s.st.replace, s.st.currentLocal.sdp.Media[i].ICEUfrag) {
			return
		}
	}
	s.st.replace = nil
}

// sectionGone reports whether the section of a transceiver is rejected, or was taken for another.
func (s *Session) sectionGone(t *Transceiver) bool {
	for _, d := range []*description{s.st.currentLocal, s.st.currentRemote} {
		if m, _ := d.section(t.MID); m == nil || m.Rejected() {
			return true
		}
	}
	return false
}

// leaveNegotiation forgets what was pending.
func (c *change) leaveNegotiation() {
	st := &c.s.st
	st.pendingLocal, st.pendingRemote = nil, nil
	st.lastOffer, st.lastAnswer, st.stable = nil, nil, nil
	c.setSignaling(StateStable)
}

// stop stops a transceiver.
func (c *change) stop(t *Transceiver) {
	if t.Stopped {
		return
	}
	t.stop()
	c.fx.Stopped = append(c.fx.Stopped, t)
}

// endReceiving is webrtc-pc's "process the removal of a remote track", if there was one.
func (c *change) endReceiving(t *Transceiver) {
	t.Receptive = false
	if !t.FiredDirection.Receives() {
		return
	}
	c.setStreams(t, nil)
	c.fx.TracksMuted = append(c.fx.TracksMuted, t)
	t.FiredDirection = sdp.DirectionFrom(t.FiredDirection.Sends(), false)
}

// setStreams is webrtc-pc's "set the associated remote streams"; it reports whether the track joined one.
func (c *change) setStreams(t *Transceiver, streams []string) (added bool) {
	for _, id := range t.Receiver.Streams {
		if !slices.Contains(streams, id) {
			c.fx.StreamRemovals = append(c.fx.StreamRemovals, StreamChange{Stream: id, Transceiver: t})
		}
	}
	for _, id := range streams {
		if !slices.Contains(t.Receiver.Streams, id) {
			c.fx.StreamAdditions = append(c.fx.StreamAdditions, StreamChange{Stream: id, Transceiver: t})
			added = true
		}
	}
	t.Receiver.Streams = streams
	return added
}

// setCurrent sets the negotiated direction.
func (t *Transceiver) setCurrent(d sdp.Direction) {
	t.CurrentDirection = d
	t.hasSent = t.hasSent || d.Sends()
}

// keepEncodings drops the encodings that the other side did not accept; without any the first one is left, without RID
// (webrtc-pc §4.4.1.5: simulcast that is not accepted).
func (t *Transceiver) keepEncodings(rids []string) {
	if len(t.encodingRIDs()) == 0 {
		return
	}
	var kept []Encoding
	for _, e := range t.Sender.Encodings {
		if slices.Contains(rids, e.RID) {
			kept = append(kept, e)
		}
	}
	if len(kept) == 0 {
		kept = []Encoding{t.Sender.Encodings[0]}
		kept[0].RID = ""
	}
	t.Sender.Encodings = kept
}
