package jsep

import (
	"slices"
	"strings"

	"github.com/openparley/webrtc/sdp"
)

// flows is the RTP table: the negotiated sections, and what a pending local offer lets arrive before its answer
// (RFC 3264 §5.1: the offerer must be ready to receive what it offered).
func (s *Session) flows() []Flow {
	local, remote := s.negotiated()
	shared := s.shared()
	var out []Flow
	for _, t := range s.st.transceivers {
		if t.Stopped || t.MID == "" {
			continue
		}
		f := Flow{MID: t.MID, Index: t.Index, Kind: t.Kind, Transceiver: t, CNAME: t.Sender.CNAME, Encodings: t.Sender.Encodings}
		l, i := local.section(t.MID)
		r, _ := remote.section(t.MID)
		if l != nil && r != nil && !l.Rejected() && !r.Rejected() && shared[t.MID] {
			f.negotiated(t, local, remote, i)
		}
		if s.st.signaling == StateHaveLocalOffer {
			f.offered(s.st.pendingLocal)
		}
		if f.Send || f.Receive || len(f.ReceiveCodecs) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// negotiated fills a flow from both descriptions of a section.
func (f *Flow) negotiated(t *Transceiver, local, remote *description, i int) {
	l, r := &local.sdp.Media[i], &remote.sdp.Media[i]
	d := local.sdp.DirectionOf(i).Intersect(remote.sdp.DirectionOf(i).Reverse())
	f.Send, f.Receive = d.Sends(), d.Receives()
	f.SendCodecs = sendCodecs(l.Codecs, r.Codecs, local.typ == TypeOffer)
	f.ReceiveCodecs = sdp.CloneCodecs(l.Codecs)
	f.RTX = slices.ContainsFunc(f.SendCodecs, func(c sdp.Codec) bool { return isRTX(&c) })
	lx, rx := local.sdp.ExtensionsOf(i), remote.sdp.ExtensionsOf(i)
	f.SendExtensions = commonExtensions(rx, lx)
	f.ReceiveExtensions = commonExtensions(lx, rx)
	f.RTCPRsize = l.RTCPRsize && r.RTCPRsize
	f.ExtmapAllowMixed = (l.ExtmapAllowMixed || local.sdp.ExtmapAllowMixed) && (r.ExtmapAllowMixed || remote.sdp.ExtmapAllowMixed)
	f.Encodings = t.Sender.negotiatedEncodings(l)
	f.SSRCs, f.SSRCGroups = t.Receiver.SSRCs, t.Receiver.SSRCGroups
	if answer := &answerOf(local, remote).sdp.Media[i]; answer.Simulcast != nil {
		f.RIDs = t.Receiver.RIDs
	}
}

// negotiatedEncodings are the encodings to send: those of the section's simulcast, or the first one without RID.
func (s *Sender) negotiatedEncodings(local *sdp.Media) []Encoding {
	rids := simulcastRIDs(local)
	var out []Encoding
	for _, e := range s.Encodings {
		if e.RID != "" && slices.Contains(rids, e.RID) {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		out = []Encoding{s.Encodings[0]}
		out[0].RID = ""
	}
	return out
}

// offered adds what a pending offer of this side allows to arrive.
func (f *Flow) offered(offer *description) {
	m, i := offer.section(f.MID)
	if m == nil || m.Rejected() {
		return
	}
	f.Receive = f.Receive || offer.sdp.DirectionOf(i).Receives()
	for _, c := range m.Codecs {
		if !slices.ContainsFunc(f.ReceiveCodecs, func(o sdp.Codec) bool { return o.PayloadType == c.PayloadType }) {
			f.ReceiveCodecs = append(f.ReceiveCodecs, c)
		}
	}
	for _, e := range offer.sdp.ExtensionsOf(i) {
		if !slices.ContainsFunc(f.ReceiveExtensions, func(o sdp.Extension) bool { return o.ID == e.ID }) {
			f.ReceiveExtensions = append(f.ReceiveExtensions, e)
		}
	}
}

// sendCodecs are the codecs of the other side that this side announced too: its payload types and parameters, the
// feedback of both, in the order of the answer.
func sendCodecs(local, remote []sdp.Codec, remoteAnswers bool) []sdp.Codec {
	var out []sdp.Codec
	numbers := map[uint8]bool{}
	add := func(r, l *sdp.Codec) {
		c := *r
		c.Feedback = intersectFeedback(r.Feedback, l.Feedback)
		out = append(out, c)
		numbers[c.PayloadType] = true
	}
	if remoteAnswers {
		for i := range remote {
			if l := counterpart(local, &remote[i]); l != nil {
				add(&remote[i], l)
			}
		}
	} else {
		// Our answer kept the offer's payload types.
		for i := range local {
			for j := range remote {
				if remote[j].PayloadType == local[i].PayloadType {
					add(&remote[j], &local[i])
				}
			}
		}
	}
	return slices.DeleteFunc(out, func(c sdp.Codec) bool {
		pt, ok := apt(&c)
		return isRTX(&c) && !(ok && numbers[pt])
	})
}

// counterpart finds the codec that an answered one stands for: the same payload type if it is the same codec, or else
// the first that is.
func counterpart(local []sdp.Codec, c *sdp.Codec) *sdp.Codec {
	same := func(l *sdp.Codec) bool { return sameCodec(l, c) && (!isRTX(c) || isRTX(l)) }
	for i := range local {
		if local[i].PayloadType == c.PayloadType && same(&local[i]) {
			return &local[i]
		}
	}
	for i := range local {
		if same(&local[i]) && !strings.EqualFold(c.Name, "") {
			return &local[i]
		}
	}
	return nil
}

// commonExtensions are those of list that other has too.
func commonExtensions(list, other []sdp.Extension) []sdp.Extension {
	var out []sdp.Extension
	for _, e := range list {
		if hasURI(other, e.URI) && !hasURI(out, e.URI) {
			out = append(out, e)
		}
	}
	return out
}
