package jsep

import (
	"slices"
	"strconv"
)

// SetLocal applies a local description. The zero Description means the one that fits the state; an empty SDP means one
// made now. InvalidModificationError: the SDP is not the last created one. InvalidStateError: the type does not fit the
// state.
func (s *Session) SetLocal(d Description, p LocalParams) (*Effects, error) {
	if s.closed() {
		return nil, errClosed()
	}
	c := s.change()
	if err := c.setLocal(d, p); err != nil {
		c.undo()
		return nil, err
	}
	return c.finish(), nil
}

// impliedType is the type of setLocalDescription() without one (webrtc-pc §4.4.2).
func (s *Session) impliedType() Type {
	switch s.st.signaling {
	case StateHaveRemoteOffer, StateHaveLocalPranswer:
		return TypeAnswer
	}
	return TypeOffer
}

func (c *change) setLocal(d Description, p LocalParams) error {
	s := c.s
	if d.Type == "" {
		d.Type = s.impliedType()
	}
	switch d.Type {
	case TypeRollback:
		return c.rollback()
	case TypeOffer:
		if st := s.st.signaling; st != StateStable && st != StateHaveLocalOffer {
			return fail(NameInvalidState, "a local offer in state %s", st)
		}
		if d.SDP == "" {
			var err error
			if d, err = s.CreateOffer(OfferOptions{}, p); err != nil {
				return err
			}
		}
		if s.st.lastOffer == nil || s.st.lastOffer.text != d.SDP {
			return fail(NameInvalidModification, "not the offer that was created last")
		}
		c.localOffer(s.st.lastOffer)
		return nil
	case TypeAnswer, TypePranswer:
		if st := s.st.signaling; st != StateHaveRemoteOffer && st != StateHaveLocalPranswer {
			return fail(NameInvalidState, "a local %s in state %s", d.Type, st)
		}
		if d.SDP == "" {
			made, err := s.CreateAnswer(AnswerOptions{}, p)
			if err != nil {
				return err
			}
			d.SDP = made.SDP
		}
		if s.st.lastAnswer == nil || s.st.lastAnswer.text != d.SDP {
			return fail(NameInvalidModification, "not the answer that was created last")
		}
		return c.localAnswer(s.st.lastAnswer, d.Type)
	}
	return fail(NameType, "description of type %q", d.Type)
}

// localOffer applies an offer of this side (RFC 9429 §5.9).
func (c *change) localOffer(d *description) {
	s := c.s
	s.leaveStable()
	s.st.pendingLocal = d
	c.announced(d)
	for i, t := range d.plan {
		if t == nil {
			continue
		}
		if !slices.Contains(s.st.transceivers, t) {
			// Stopped since the offer was made: it lives until the section is rejected.
			s.st.transceivers = append(slices.Clone(s.st.transceivers), t)
		}
		t.MID, t.Index = d.mids[i], i
		if m := &d.sdp.Media[i]; !m.Rejected() {
			t.payloads = m.Codecs
			t.Receptive = t.Receptive || m.Direction.Receives()
		}
	}
	c.setSignaling(StateHaveLocalOffer)
}

// announced takes over what a local description fixes: version, mids, ICE credentials.
func (c *change) announced(d *description) {
	s := c.s
	s.st.version = d.sdp.Origin.SessionVersion
	for i, mid := range d.mids {
		if n, err := strconv.Atoi(mid); err == nil && n >= s.st.nextMID && n < 1<<30 {
			s.st.nextMID = n + 1
		}
		m := &d.sdp.Media[i]
		if t := d.plan[i]; t != nil && m.Direction.Sends() {
			t.Sender.announced = true
		}
		if m.ICEUfrag != "" && m.ICEUfrag != s.st.local.Ufrag {
			s.st.local, s.st.next = ICEParameters{Ufrag: m.ICEUfrag, Pwd: m.ICEPwd}, ICEParameters{}
		}
	}
}

// localAnswer applies an answer of this side (RFC 9429 §5.9, webrtc-pc §4.4.1.5).
func (c *change) localAnswer(made *description, typ Type) error {
	s := c.s
	d := *made
	d.typ = typ
	s.st.pendingLocal = &d
	c.announced(&d)
	if err := c.agree(&d, s.st.pendingRemote, false, typ == TypeAnswer); err != nil {
		return err
	}
	for i, t := range d.plan {
		if t == nil || t.Stopped {
			continue
		}
		m := &d.sdp.Media[i]
		if m.Rejected() {
			c.endReceiving(t)
			if typ == TypeAnswer {
				c.stop(t)
			}
			continue
		}
		t.payloads = m.Codecs
		t.Receptive = m.Direction.Receives()
		if !m.Direction.Receives() {
			c.endReceiving(t)
		}
		t.setCurrent(m.Direction)
		t.FiredDirection = m.Direction
	}
	if typ == TypePranswer {
		c.setSignaling(StateHaveLocalPranswer)
		return nil
	}
	c.becomeStable()
	return nil
}
