package jsep

import (
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// CreateAnswer returns an answer (RFC 9429 §5.3). InvalidStateError: neither have-remote-offer nor have-local-pranswer.
// OperationError: no fingerprint. To send it as provisional, change the type to TypePranswer.
func (s *Session) CreateAnswer(_ AnswerOptions, p LocalParams) (Description, error) {
	if st := s.st.signaling; st != StateHaveRemoteOffer && st != StateHaveLocalPranswer {
		return Description{}, fail(NameInvalidState, "an answer in state %s", st)
	}
	if err := p.check(); err != nil {
		return Description{}, err
	}
	b := answerBuilder{s: s, p: p, offer: s.st.pendingRemote, d: s.newDescription(TypeAnswer)}
	if err := b.prepare(); err != nil {
		return Description{}, err
	}
	for i := range b.offer.sdp.Media {
		b.section(i)
	}
	b.finish()
	b.d.text = b.d.sdp.Marshal()
	s.st.lastAnswer = b.d
	return Description{Type: TypeAnswer, SDP: b.d.text}, nil
}

// answerBuilder writes one answer.
type answerBuilder struct {
	s      *Session
	p      LocalParams
	offer  *description
	d      *description
	ice    ICEParameters
	setup  sdp.Setup
	codecs [][]sdp.Codec // of section i, nil if it cannot be answered
	data   int
	bundle bundle
}

// prepare decides which sections live, and what the transport says of itself.
func (b *answerBuilder) prepare() error {
	media := b.offer.sdp.Media
	b.codecs = make([][]sdp.Codec, len(media))
	b.data = -1
	for i := range media {
		m := &media[i]
		switch {
		case m.Rejected() || !speaks(m):
		case m.IsData():
			if b.data < 0 {
				b.data = i
			}
		case m.RTCPMux:
			b.codecs[i] = b.negotiable(i)
		}
	}
	b.bundle = chooseBundle(b.offer, b.s.st.conn.tag, func(i int) bool { return i == b.data || b.codecs[i] != nil })
	b.bundle = b.bundle.led(func(mid string) bool {
		return describesTransport(b.offer, slices.Index(b.offer.mids, mid)) == nil
	})
	tag := slices.Index(b.offer.mids, b.bundle.tag)
	var err error
	remote := b.offer.sdp.ICEOf(tag)
	restart := b.s.st.conn.ready && tag >= 0 && remote.Ufrag != b.s.st.conn.remote.Ufrag
	if b.ice, err = b.s.generation(b.p, restart); err != nil {
		return err
	}
	b.setup = b.s.answerRole(b.offer.sdp.SetupOf(tag)).setup()
	return nil
}

// answerRole is this side's DTLS role: the established one, or the one that the offer leaves; that of the configuration if
// it leaves both (RFC 9429 §5.3.1, RFC 8842 §5.3).
func (s *Session) answerRole(offered sdp.Setup) DTLSRole {
	switch {
	case s.st.conn.ready:
		return s.st.conn.role
	case offered == sdp.SetupActive, offered == sdp.SetupActpass && s.cfg.AnsweringRole == DTLSRoleServer:
		return DTLSRoleServer
	}
	return DTLSRoleClient
}

// negotiable are the codecs of section i in the answer, nil if it must be rejected.
func (b *answerBuilder) negotiable(i int) []sdp.Codec {
	t := b.s.st.byMID(b.offer.mids[i])
	if t == nil || t.Stopping || t.Stopped {
		return nil
	}
	k := b.s.cfg.Capabilities.of(t.Kind)
	return negotiate(b.offer.sdp.Media[i].Codecs, k.Codecs, t.Preferred, k.RTX)
}

func (b *answerBuilder) section(i int) {
	o, mid := &b.offer.sdp.Media[i], b.offer.mids[i]
	t := b.s.st.byMID(mid)
	switch {
	case i == b.data && b.bundle.has(mid):
		m := b.s.dataMedia(o.MID, o)
		transportLines(&m, b.ice, b.p, b.setup)
		b.d.add(m, mid, nil)
	case b.codecs[i] != nil && b.bundle.has(mid):
		b.d.add(b.rtp(i, t), mid, t)
	default:
		b.d.add(rejectionOf(o, o.MID), mid, t)
	}
}

func (b *answerBuilder) rtp(i int, t *Transceiver) sdp.Media {
	o := &b.offer.sdp.Media[i]
	caps := &b.s.cfg.Capabilities
	mixed := caps.ExtmapAllowMixed && (o.ExtmapAllowMixed || b.offer.sdp.ExtmapAllowMixed)
	b.d.sdp.ExtmapAllowMixed = b.d.sdp.ExtmapAllowMixed || mixed && b.offer.sdp.ExtmapAllowMixed
	m := sdp.Media{
		Kind: o.Kind, Port: discardPort, Protocol: o.Protocol, MID: o.MID, Connection: noAddress,
		RTCP: "9 " + noAddress, RTCPMux: true, RTCPRsize: o.RTCPRsize && caps.RTCPRsize,
		ExtmapAllowMixed: mixed && !b.offer.sdp.ExtmapAllowMixed,
		Direction:        t.Direction.Intersect(b.offer.sdp.DirectionOf(i).Reverse()),
		Codecs:           sdp.CloneCodecs(b.codecs[i]),
		Extensions:       b.s.answerExtensions(t.Kind, b.offer.sdp.ExtensionsOf(i), mixed),
	}
	transportLines(&m, b.ice, b.p, b.setup)
	t.senderLines(&m, answeredRIDs(t, o, &m))
	if m.Direction.Receives() && hasURI(m.Extensions, ExtensionRID) {
		receiveRIDs(&m, simulcastRIDs(o))
	}
	return m
}

// answeredRIDs are the sender's RIDs that the offer asks to receive; nil: no simulcast.
func answeredRIDs(t *Transceiver, offer, m *sdp.Media) []string {
	if offer.Simulcast == nil || !hasURI(m.Extensions, ExtensionRID) {
		return nil
	}
	wanted := map[string]bool{}
	for _, stream := range offer.Simulcast.Recv {
		for _, id := range stream {
			wanted[id.RID] = true
		}
	}
	var rids []string
	for _, rid := range t.encodingRIDs() {
		if wanted[rid] {
			rids = append(rids, rid)
		}
	}
	if len(rids) < 2 {
		return nil
	}
	return rids
}

// simulcastRIDs are the streams that a section sends as simulcast, the first alternative of each.
func simulcastRIDs(m *sdp.Media) []string {
	if m.Simulcast == nil {
		return nil
	}
	var rids []string
	for _, stream := range m.Simulcast.Send {
		known := slices.ContainsFunc(m.RIDs, func(r sdp.RID) bool { return r.Send && r.ID == stream[0].RID })
		if known && len(rids) < maxRIDs && !slices.Contains(rids, stream[0].RID) {
			rids = append(rids, stream[0].RID)
		}
	}
	return rids
}

// receiveRIDs accepts simulcast streams.
func receiveRIDs(m *sdp.Media, rids []string) {
	if len(rids) == 0 {
		return
	}
	if m.Simulcast == nil {
		m.Simulcast = &sdp.Simulcast{}
	}
	for _, rid := range rids {
		if !slices.ContainsFunc(m.RIDs, func(r sdp.RID) bool { return r.ID == rid }) {
			m.RIDs = append(m.RIDs, sdp.RID{ID: rid})
			m.Simulcast.Recv = append(m.Simulcast.Recv, []sdp.SimulcastID{{RID: rid}})
		}
	}
}

// finish writes the group: what lives of the offer's, in its order.
func (b *answerBuilder) finish() {
	if !b.bundle.grouped {
		return
	}
	g := sdp.Group{Semantics: "BUNDLE", MIDs: b.bundle.mids}
	b.d.sdp.Groups = append(b.d.sdp.Groups, g)
}
