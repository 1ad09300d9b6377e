package jsep

import (
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// SetRemote applies a remote description. An offer in have-local-offer rolls the local one back first.
// ErrSDPSyntax: it does not parse. InvalidAccessError: it contradicts itself or what it answers. InvalidStateError: the
// type does not fit the state.
func (s *Session) SetRemote(d Description) (*Effects, error) {
	if s.closed() {
		return nil, errClosed()
	}
	c := s.change()
	if err := c.setRemote(d); err != nil {
		c.undo()
		return nil, err
	}
	return c.finish(), nil
}

func (c *change) setRemote(d Description) error {
	s := c.s
	st := s.st.signaling
	switch d.Type {
	case TypeRollback:
		return c.rollback()
	case TypeOffer:
		if st == StateHaveLocalPranswer || st == StateHaveRemotePranswer {
			return fail(NameInvalidState, "a remote offer in state %s", st)
		}
	case TypeAnswer, TypePranswer:
		if st != StateHaveLocalOffer && st != StateHaveRemotePranswer {
			return fail(NameInvalidState, "a remote %s in state %s", d.Type, st)
		}
	default:
		return fail(NameType, "description of type %q", d.Type)
	}
	parsed, err := sdp.Parse(d.SDP)
	if err != nil {
		return syntaxError(err)
	}
	r := &description{typ: d.Type, sdp: parsed, text: d.SDP}
	for i := range parsed.Media {
		for _, text := range parsed.Media[i].Candidates {
			if _, err := parseCandidate(text); err != nil {
				c.fx.BadCandidates++
			}
		}
	}
	if d.Type != TypeOffer {
		return c.remoteAnswer(r)
	}
	// webrtc-pc §4.4.1.5: an offer that collides rolls the local one back.
	if st == StateHaveLocalOffer {
		if err := c.rollback(); err != nil {
			return err
		}
	}
	return c.remoteOffer(r)
}

// remoteOffer applies an offer of the other side (RFC 9429 §5.10).
func (c *change) remoteOffer(r *description) error {
	s := c.s
	s.nameSections(r)
	if err := s.checkOffer(r); err != nil {
		return err
	}
	s.leaveStable()
	s.st.pendingRemote, s.st.lastAnswer = r, nil
	for i := range r.sdp.Media {
		m, mid := &r.sdp.Media[i], r.mids[i]
		if m.Kind != KindAudio && m.Kind != KindVideo {
			continue
		}
		t := s.st.byMID(mid)
		if t == nil {
			if m.Rejected() {
				continue
			}
			var err error
			if t, err = c.transceiverFor(m, r.sdp.DirectionOf(i)); err != nil {
				return err
			}
		}
		t.MID, t.Index = mid, i
		if t.Stopped {
			continue
		}
		c.remoteSection(t, r, i)
		if m.Rejected() {
			c.stop(t)
			continue
		}
		if err := s.takeRequestedEncodings(t, m); err != nil {
			return err
		}
	}
	c.setSignaling(StateHaveRemoteOffer)
	return nil
}

// transceiverFor finds a transceiver for a new section of the other side: one that AddTrack made, if the other side wants
// to receive, or else a new one (RFC 9429 §5.10).
func (c *change) transceiverFor(m *sdp.Media, d sdp.Direction) (*Transceiver, error) {
	s := c.s
	if d.Receives() {
		for _, t := range s.st.transceivers {
			if t.addedByTrack && t.Kind == m.Kind && t.MID == "" && !t.Stopping && !t.Stopped {
				return t, nil
			}
		}
	}
	t, err := s.newTransceiver(m.Kind, sdp.RecvOnly, nil)
	if err != nil {
		return nil, err
	}
	t.createdByRemote = true
	s.st.transceivers = append(slices.Clone(s.st.transceivers), t)
	c.fx.Created = append(c.fx.Created, t)
	return t, nil
}

// remoteSection takes over what a section of the other side says of what it sends (webrtc-pc §4.4.1.5).
func (c *change) remoteSection(t *Transceiver, r *description, i int) {
	m := &r.sdp.Media[i]
	direction := r.sdp.DirectionOf(i).Reverse()
	if m.Rejected() {
		direction = sdp.Inactive
	}
	var streams []string
	t.Receiver.Track, t.Receiver.SSRCs, t.Receiver.SSRCGroups, t.Receiver.RIDs = "", nil, nil, nil
	if direction.Receives() {
		for _, id := range m.RemoteMSIDs() {
			if id.Stream != "-" && !slices.Contains(streams, id.Stream) {
				streams = append(streams, id.Stream)
			}
			t.Receiver.Track = id.Track
		}
		t.Receiver.SSRCs, t.Receiver.SSRCGroups = m.SSRCs, m.SSRCGroups
		t.Receiver.RIDs = simulcastRIDs(m)
	}
	if !direction.Receives() {
		c.endReceiving(t)
	} else if joined := c.setStreams(t, streams); joined || !t.FiredDirection.Receives() {
		c.fx.TracksAdded = append(c.fx.TracksAdded, t)
	}
	t.FiredDirection = direction
}

// takeRequestedEncodings: an offer that asks to receive simulcast gives a sender that has not sent yet its encodings
// (webrtc-pc §4.4.1.5), if they can be told apart.
func (s *Session) takeRequestedEncodings(t *Transceiver, m *sdp.Media) error {
	if m.Simulcast == nil || len(m.Simulcast.Recv) < 2 || t.hasSent || len(t.encodingRIDs()) > 0 ||
		!s.cfg.Capabilities.of(t.Kind).hasExtension(ExtensionRID) {
		return nil
	}
	var rids []string
	for _, stream := range m.Simulcast.Recv {
		if rid := stream[0].RID; !slices.Contains(rids, rid) && len(rids) < maxRIDs {
			rids = append(rids, rid)
		}
	}
	encodings, err := s.newEncodings(rids)
	if err != nil {
		return err
	}
	encodings[0].SSRC, encodings[0].RTX = t.Sender.Encodings[0].SSRC, t.Sender.Encodings[0].RTX
	t.Sender.Encodings = encodings
	return nil
}

// remoteAnswer applies an answer or provisional answer of the other side (RFC 9429 §5.11).
func (c *change) remoteAnswer(r *description) error {
	s := c.s
	offer := s.st.pendingLocal
	r.mids = offer.mids
	if err := checkAnswer(offer, r); err != nil {
		return err
	}
	final := r.typ == TypeAnswer
	s.st.pendingRemote = r
	if err := c.agree(offer, r, true, final); err != nil {
		return err
	}
	shared := chooseBundle(r, s.st.conn.tag, func(i int) bool { return !r.sdp.Media[i].Rejected() })
	for i := range r.sdp.Media {
		m, t := &r.sdp.Media[i], s.st.byMID(r.mids[i])
		if t == nil || t.Stopped {
			continue
		}
		// Deviates: a section accepted outside of the BUNDLE group would need a second transport; it is stopped.
		if m.Rejected() || !shared.has(r.mids[i]) {
			c.endReceiving(t)
			if final {
				c.stop(t)
			}
			continue
		}
		c.remoteSection(t, r, i)
		t.payloads = answeredFirst(t.payloads, m.Codecs)
		offered := offer.sdp.Media[i].Direction
		t.setCurrent(r.sdp.DirectionOf(i).Reverse().Intersect(offered))
		t.Receptive = t.CurrentDirection.Receives()
		if sc := offer.sdp.Media[i].Simulcast; sc != nil && len(sc.Send) > 0 {
			t.keepEncodings(acceptedRIDs(m))
		}
	}
	if !final {
		c.setSignaling(StateHaveRemotePranswer)
		return nil
	}
	c.becomeStable()
	return nil
}

// acceptedRIDs are the streams that an answer takes of the simulcast offered.
func acceptedRIDs(m *sdp.Media) []string {
	if m.Simulcast == nil {
		return nil
	}
	var rids []string
	for _, stream := range m.Simulcast.Recv {
		for _, id := range stream {
			rids = append(rids, id.RID)
		}
	}
	return rids
}
