package jsep

import (
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// agree takes over what an answer settles about the transport. weOffered tells which side answered; final is false for
// a provisional answer.
func (c *change) agree(local, remote *description, weOffered, final bool) error {
	conn := c.s.st.conn
	answer := local
	if weOffered {
		answer = remote
	}
	shared := chooseBundle(answer, conn.tag, func(i int) bool {
		return !local.sdp.Media[i].Rejected() && !answer.sdp.Media[i].Rejected()
	})
	conn.tag = shared.tag
	if shared.tag == "" {
		c.s.st.conn = conn
		return nil
	}
	i := slices.Index(remote.mids, shared.tag)
	if err := describesTransport(remote, i); err != nil {
		return err
	}
	if err := conn.keepsCertificate(remote, i); err != nil {
		return err
	}
	ice := remote.sdp.ICEOf(i)
	conn.remote = ICEParameters{Ufrag: ice.Ufrag, Pwd: ice.Pwd, Lite: ice.Lite}
	if !conn.fixed {
		role, err := settleRole(local.sdp.SetupOf(i), remote.sdp.SetupOf(i), weOffered)
		if err != nil {
			return err
		}
		if conn.ready && role != conn.role {
			return fail(NameOperation, "section %d turns the DTLS roles of the provisional answer round: that takes a new connection", i)
		}
		conn.role = role
	}
	if !conn.ready {
		// RFC 8445 §6.1.1: a full agent controls a lite one; otherwise the offerer controls.
		conn.controlling = !c.s.cfg.ICELite && (weOffered || ice.Lite)
		conn.fingerprints = remote.sdp.FingerprintsOf(i)
	}
	conn.ready = true
	conn.fixed = conn.fixed || final
	c.s.st.conn = conn
	return nil
}

// keepsCertificate refuses the fingerprints of another certificate once an answer has begun DTLS, be it provisional: they
// ask for a new association (RFC 8842 §4), which the transport cannot make.
func (conn *connection) keepsCertificate(remote *description, i int) error {
	if !conn.ready || i < 0 {
		return nil
	}
	for _, f := range remote.sdp.FingerprintsOf(i) {
		if slices.Contains(conn.fingerprints, f) {
			return nil
		}
	}
	return fail(NameOperation, "section %d has another certificate: that takes a new connection", i)
}

// settleRole is this side's DTLS role after an answer (RFC 8842 §5).
func settleRole(local, remote sdp.Setup, weOffered bool) (DTLSRole, error) {
	if !weOffered {
		if local == sdp.SetupPassive {
			return DTLSRoleServer, nil
		}
		return DTLSRoleClient, nil
	}
	switch remote {
	case sdp.SetupPassive:
		return DTLSRoleClient, nil
	case sdp.SetupActive, "":
		// RFC 4145 §4: an answer without the attribute is active.
		return DTLSRoleServer, nil
	}
	return 0, fail(NameInvalidAccess, "an answer with setup:%s", remote)
}

// transport is the present state of the one transport, nil while no section needs it.
func (s *Session) transport() *Transport {
	conn := &s.st.conn
	t := &Transport{Local: s.st.local, Index: -1}
	if conn.ready {
		t.MID = conn.tag
	} else if s.st.pendingLocal != nil {
		t.MID = tagOf(s.st.pendingLocal)
	}
	if t.MID == "" {
		return nil
	}
	for _, d := range s.st.descriptions() {
		if _, i := d.section(t.MID); i >= 0 {
			t.Index = i
			break
		}
	}
	if !conn.ready {
		return t
	}
	t.Ready, t.Remote, t.Controlling, t.DTLSRole = true, conn.remote, conn.controlling, conn.role
	t.Fingerprints = slices.Clone(conn.fingerprints)
	if d := s.remoteOfGeneration(); d != nil {
		m, i := d.section(t.MID)
		t.Trickle = d.sdp.ICEOf(i).Trickle()
		t.Candidates = firstComponents(m.Candidates, d.loose)
		t.EndOfCandidates = m.EndOfCandidates || d.sdp.EndOfCandidates
	}
	return t
}

// remoteOfGeneration is the newest remote description of the ICE generation in force.
func (s *Session) remoteOfGeneration() *description {
	for _, d := range []*description{s.st.pendingRemote, s.st.currentRemote} {
		if _, i := d.section(s.st.conn.tag); i >= 0 && d.sdp.ICEOf(i).Ufrag == s.st.conn.remote.Ufrag {
			return d
		}
	}
	return nil
}

// data is the negotiated data channel section, nil if there is none.
func (s *Session) data() *Data {
	local, remote := s.negotiated()
	if local == nil || remote == nil {
		return nil
	}
	shared := s.shared()
	for i := range local.sdp.Media {
		l, r := &local.sdp.Media[i], &remote.sdp.Media[i]
		if !l.IsData() || !r.IsData() || l.Rejected() || r.Rejected() || !shared[local.mids[i]] {
			continue
		}
		d := &Data{
			MID: local.mids[i], Index: i, LocalPort: uint16(l.SCTPPort), RemotePort: uint16(r.SCTPPort),
			MaxMessageSize: 65536, Init: r.SCTPInit, Old: r.SCTPMap != nil,
		}
		if d.RemotePort == 0 {
			d.RemotePort = defaultSCTPPort
		}
		if r.MaxMessageSize != nil {
			d.MaxMessageSize = *r.MaxMessageSize
		}
		return d
	}
	return nil
}

// negotiated is the pair of descriptions that media flows by: that of a provisional answer, or the current one.
func (s *Session) negotiated() (local, remote *description) {
	switch s.st.signaling {
	case StateHaveLocalPranswer, StateHaveRemotePranswer:
		return s.st.pendingLocal, s.st.pendingRemote
	}
	return s.st.currentLocal, s.st.currentRemote
}

// answerOf is the one of the pair that answers.
func answerOf(local, remote *description) *description {
	if local.typ == TypeOffer {
		return remote
	}
	return local
}

// shared are the mids on the transport, by the answer of the negotiated pair.
func (s *Session) shared() map[string]bool {
	local, remote := s.negotiated()
	if local == nil || remote == nil {
		return nil
	}
	a := answerOf(local, remote)
	b := chooseBundle(a, s.st.conn.tag, func(i int) bool { return !a.sdp.Media[i].Rejected() })
	out := make(map[string]bool, len(b.mids))
	for _, mid := range b.mids {
		out[mid] = true
	}
	return out
}

// fillSnapshot sets Transport, Flows and Data.
func (s *Session) fillSnapshot(fx *Effects) {
	fx.Transport, fx.Flows, fx.Data = s.transport(), s.flows(), s.data()
}

// Snapshot returns Transport, Flows and Data as they are now, in an otherwise empty Effects.
func (s *Session) Snapshot() *Effects {
	fx := &Effects{Old: s.st.signaling, New: s.st.signaling}
	s.fillSnapshot(fx)
	return fx
}
