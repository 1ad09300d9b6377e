package jsep

import (
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// The protocols of new sections (RFC 9429 §5.1.2, RFC 8841 §4).
const (
	protocolRTP  = "UDP/TLS/RTP/SAVPF"
	protocolData = "UDP/DTLS/SCTP"
	formatData   = "webrtc-datachannel"
	kindData     = "application"
)

// noAddress is the c= line of a section without candidates, and discardPort its port (RFC 9429 §5.2.1).
const (
	noAddress   = "IN IP4 0.0.0.0"
	discardPort = 9
)

// newDescription starts a local description.
func (s *Session) newDescription(typ Type) *description {
	return &description{typ: typ, local: true, sdp: &sdp.Session{
		Origin: sdp.Origin{
			Username: "-", SessionID: s.sessionID, SessionVersion: s.st.version + 1,
			NetworkType: "IN", AddressType: "IP4", Address: "127.0.0.1",
		},
		MSIDSemantic: "WMS *", ICELite: s.cfg.ICELite,
	}}
}

func (d *description) add(m sdp.Media, mid string, t *Transceiver) {
	d.sdp.Media = append(d.sdp.Media, m)
	d.mids = append(d.mids, mid)
	d.plan = append(d.plan, t)
}

// transportLines writes what every section says of the one transport. RFC 8843 wants it in the tagged section only; all
// browsers write it in each, and what reads only some sections is served.
func transportLines(m *sdp.Media, ice ICEParameters, p LocalParams, setup sdp.Setup) {
	m.ICEUfrag, m.ICEPwd = ice.Ufrag, ice.Pwd
	m.ICEOptions = []string{"trickle", "ice2"} // RFC 8840 §4.1, RFC 8445 §10
	m.Fingerprints = slices.Clone(p.Fingerprints)
	m.Setup = setup
}

// rejectedSection is a section with port zero: a rejected one of the other side, or a stopped one.
func rejectedSection(kind, protocol, mid string, formats []string, codecs []sdp.Codec) sdp.Media {
	m := sdp.Media{Kind: kind, Protocol: protocol, MID: mid, Formats: formats, Connection: noAddress, Direction: sdp.Inactive}
	if len(codecs) > 0 {
		// A rejected section needs formats, nobody reads more of them (RFC 3264 §6).
		m.Codecs = sdp.CloneCodecs(codecs[:1])
		m.Codecs[0].Feedback = nil
	}
	if kind == kindData {
		m.Direction = ""
	}
	return m
}

// rejectionOf repeats a section of another description as rejected.
func rejectionOf(o *sdp.Media, mid string) sdp.Media {
	return rejectedSection(o.Kind, o.Protocol, mid, slices.Clone(o.Formats), o.Codecs)
}

// senderLines writes msid, ssrc, rid and simulcast. The msid stands there when the transceiver wants to send (RFC 9429
// §5.2.1), the others when the section does. rids are the encodings to name; nil: the first one, without a name.
func (t *Transceiver) senderLines(m *sdp.Media, rids []string) {
	if !t.Direction.Sends() {
		return
	}
	streams := t.Sender.Streams
	if len(streams) == 0 {
		streams = []string{"-"}
	}
	for _, id := range streams {
		m.MSIDs = append(m.MSIDs, sdp.MSID{Stream: id, Track: t.Sender.id})
	}
	if !m.Direction.Sends() {
		return
	}
	if len(rids) > 0 {
		m.Simulcast = &sdp.Simulcast{}
		for _, rid := range rids {
			m.RIDs = append(m.RIDs, sdp.RID{ID: rid, Send: true})
			m.Simulcast.Send = append(m.Simulcast.Send, []sdp.SimulcastID{{RID: rid}})
		}
		return
	}
	e := t.Sender.Encodings[0]
	msid := &sdp.MSID{Stream: streams[0], Track: t.Sender.id}
	m.SSRCs = append(m.SSRCs, sdp.SSRC{ID: e.SSRC, CNAME: t.Sender.CNAME, MSID: msid})
	if slices.ContainsFunc(m.Codecs, func(c sdp.Codec) bool { return isRTX(&c) }) {
		m.SSRCs = append(m.SSRCs, sdp.SSRC{ID: e.RTX, CNAME: t.Sender.CNAME, MSID: msid})
		m.SSRCGroups = append(m.SSRCGroups, sdp.SSRCGroup{Semantics: "FID", SSRCs: []uint32{e.SSRC, e.RTX}})
	}
}

// encodingRIDs are the RIDs of a sender that sends simulcast, nil for one that does not.
func (t *Transceiver) encodingRIDs() []string {
	var rids []string
	for _, e := range t.Sender.Encodings {
		if e.RID != "" {
			rids = append(rids, e.RID)
		}
	}
	return rids
}

// hasURI reports whether a section negotiates a header extension.
func hasURI(list []sdp.Extension, uri string) bool {
	return slices.ContainsFunc(list, func(e sdp.Extension) bool { return e.URI == uri })
}

// generation returns the credentials for a new description: those in force, or new ones if there are none or they must
// go. New ones are kept until they are applied, so that descriptions made again agree.
func (s *Session) generation(p LocalParams, fresh bool) (ICEParameters, error) {
	if s.st.local.Ufrag != "" && !fresh {
		return s.st.local, nil
	}
	if p.Ufrag != "" && p.Pwd != "" && p.Ufrag != s.st.local.Ufrag {
		s.st.next = ICEParameters{Ufrag: p.Ufrag, Pwd: p.Pwd}
	}
	if s.st.next.Ufrag == "" || s.st.next.Ufrag == s.st.local.Ufrag {
		next, err := s.rand.credentials()
		if err != nil {
			return ICEParameters{}, err
		}
		s.st.next = next
	}
	return s.st.next, nil
}

func (p LocalParams) check() error {
	if len(p.Fingerprints) == 0 {
		return fail(NameOperation, "no certificate fingerprint")
	}
	return nil
}
