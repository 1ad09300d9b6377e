package jsep

import "github.com/openparley/webrtc/sdp"

// rollback returns to the last stable state (RFC 9429 §4.1.10.2, webrtc-pc §4.4.1.5). What the application did meanwhile
// (directions, tracks, preferences) stays; what the descriptions did is undone.
func (c *change) rollback() error {
	s := c.s
	if st := s.st.signaling; st != StateHaveLocalOffer && st != StateHaveRemoteOffer {
		return fail(NameInvalidState, "a rollback in state %s", st)
	}
	stable := s.st.stable
	for _, t := range s.st.transceivers {
		old, known := stable.values[t]
		if known {
			c.rollbackKnown(t, &old)
		} else {
			c.rollbackNew(t)
		}
		if t.MID == "" && t.Stopping {
			// No description tells the other side of it any more.
			c.stop(t)
			s.st.transceivers = without(s.st.transceivers, t)
			c.fx.Removed = append(c.fx.Removed, t)
		}
	}
	if stable.local.Ufrag == "" {
		// What was gathered for a first offer serves the answer to the other side's: the generation goes on.
		s.st.next = s.st.local
	}
	s.st.local, s.st.conn = stable.local, stable.conn
	c.leaveNegotiation()
	c.fx.RolledBack = true
	return nil
}

// rollbackKnown gives a transceiver of the last stable state back what was negotiated.
func (c *change) rollbackKnown(t, old *Transceiver) {
	c.rollbackReceiver(t, old.FiredDirection, old.Receiver)
	t.MID, t.Index, t.payloads = old.MID, old.Index, old.payloads
	t.Sender.Encodings, t.hasSent = old.Sender.Encodings, old.hasSent
	if !t.Stopped {
		t.CurrentDirection, t.Receptive = old.CurrentDirection, old.Receptive
	}
}

// rollbackNew undoes a transceiver that came up since the last stable state: what the description made goes, unless the
// application has given it a track; what the application made is only disassociated.
func (c *change) rollbackNew(t *Transceiver) {
	c.rollbackReceiver(t, "", Receiver{})
	t.MID, t.Index, t.payloads = "", -1, nil
	t.CurrentDirection, t.Receptive = "", false
	if t.createdByRemote && !t.trackAdded {
		c.stop(t)
	}
	t.createdByRemote = false
}

// rollbackReceiver puts back what the other side sends.
func (c *change) rollbackReceiver(t *Transceiver, fired sdp.Direction, r Receiver) {
	if !fired.Receives() {
		c.endReceiving(t)
	} else if joined := c.setStreams(t, r.Streams); joined || !t.FiredDirection.Receives() {
		c.fx.TracksAdded = append(c.fx.TracksAdded, t)
	}
	t.FiredDirection, t.Receiver = fired, r
}
