package jsep

import (
	"slices"
	"strconv"
	"strings"

	"github.com/openparley/webrtc/sdp"
)

// payloadTable gives codecs of offers their payload types. In a BUNDLE group a number means one codec (RFC 8843 §9.1), so
// there is one table for all sections: what any description in force already uses stays, and the same codec gets the
// same number everywhere.
type payloadTable struct {
	used [128]*sdp.Codec
	// taken are numbers that mean something already, though for a codec that may differ between sections.
	taken [128]bool
}

// claim records what a payload type means already. The first meaning stays.
func (t *payloadTable) claim(c *sdp.Codec) {
	if pt := c.PayloadType & 127; t.used[pt] == nil {
		t.used[pt], t.taken[pt] = c, true
	}
}

func (t *payloadTable) claimAll(codecs []sdp.Codec) {
	for i := range codecs {
		t.claim(&codecs[i])
	}
}

// number returns the payload type of a codec for a section that has used own before: the section's, or another
// section's, or the preferred one, or a free one.
func (t *payloadTable) number(c *sdp.Codec, own []sdp.Codec, same func(a, b *sdp.Codec) bool) (uint8, bool) {
	for i := range own {
		if same(&own[i], c) {
			return own[i].PayloadType, true
		}
	}
	for pt, o := range t.used {
		if o != nil && same(o, c) {
			return uint8(pt), true
		}
	}
	if pt := c.PayloadType & 127; !t.taken[pt] && (pt > 0 || strings.EqualFold(c.Name, "PCMU")) {
		return pt, true
	}
	return t.free()
}

// free returns an unused number: the dynamic range first, then those that RFC 3551 leaves unassigned. 64 to 95 would
// look like RTCP when it is multiplexed (RFC 5761 §4).
func (t *payloadTable) free() (uint8, bool) {
	for pt := uint8(96); pt < 128; pt++ {
		if !t.taken[pt] {
			return pt, true
		}
	}
	for pt := uint8(63); pt >= 35; pt-- {
		if !t.taken[pt] {
			return pt, true
		}
	}
	return 0, false
}

// offerCodecs are the codecs to offer for a transceiver, with their payload types. Those negotiated before come first,
// in that order (RFC 9429 §5.2.2), unless the application has preferences.
func (s *Session) offerCodecs(t *Transceiver, table *payloadTable) []sdp.Codec {
	k := s.cfg.Capabilities.of(t.Kind)
	ours, rtx := k.Codecs, k.RTX
	if len(t.Preferred) > 0 {
		ours, rtx = preferredCodecs(ours, t.Preferred, rtx)
	} else {
		ours = negotiatedFirst(ours, t.payloads)
	}
	var out []sdp.Codec
	numbers := map[uint8]uint8{} // by the number in the capabilities
	for i := range ours {
		c := ours[i]
		pt, ok := table.number(&c, t.payloads, sameCodec)
		if !ok {
			continue
		}
		numbers[c.PayloadType] = pt
		c.PayloadType = pt
		out = append(out, c)
		table.claim(&c)
		if !rtx || isAuxiliary(&c) || t.Kind != KindVideo {
			continue
		}
		r := sdp.Codec{Name: nameRTX, ClockRate: c.ClockRate, Fmtp: "apt=" + strconv.Itoa(int(pt)), PayloadType: pt + 1}
		if r.PayloadType, ok = table.number(&r, t.payloads, sameRTX); ok {
			out = append(out, r)
			table.claim(&r)
		}
	}
	return renumberRED(out, numbers)
}

// renumberRED writes the payload types that an audio RED wraps (RFC 2198 §5) as they are offered, and leaves out one that
// wraps what is not.
func renumberRED(codecs []sdp.Codec, numbers map[uint8]uint8) []sdp.Codec {
	out := codecs[:0]
	for _, c := range codecs {
		if wraps(&c) {
			parts := strings.Split(c.Fmtp, "/")
			known := true
			for i, part := range parts {
				old, err := strconv.ParseUint(strings.TrimSpace(part), 10, 7)
				number, ok := numbers[uint8(old)]
				known = known && err == nil && ok
				parts[i] = strconv.Itoa(int(number))
			}
			if !known {
				continue
			}
			c.Fmtp = strings.Join(parts, "/")
		}
		out = append(out, c)
	}
	return out
}

// sameRTX compares retransmission codecs by the payload type that they repair.
func sameRTX(a, b *sdp.Codec) bool {
	x, okX := apt(a)
	y, okY := apt(b)
	return isRTX(a) && isRTX(b) && okX && okY && x == y
}

// negotiatedFirst orders codecs: those in the list of the last negotiation in its order, then the others in theirs.
func negotiatedFirst(ours, last []sdp.Codec) []sdp.Codec {
	out := make([]sdp.Codec, 0, len(ours))
	for i := range last {
		if c := findCodec(ours, &last[i]); c != nil && findCodec(out, c) == nil {
			out = append(out, *c)
		}
	}
	for i := range ours {
		if findCodec(out, &ours[i]) == nil {
			out = append(out, ours[i])
		}
	}
	return out
}

// answeredFirst orders what this side offered: what the answer took in its order, then the rest. The next offer begins
// like the answer ended, so that an answer in the order of the offer changes no codec in use.
func answeredFirst(offered, answered []sdp.Codec) []sdp.Codec {
	out := make([]sdp.Codec, 0, len(offered))
	add := func(c *sdp.Codec) {
		if !slices.ContainsFunc(out, func(o sdp.Codec) bool { return o.PayloadType == c.PayloadType }) {
			out = append(out, *c)
		}
	}
	for i := range answered {
		if c := counterpart(offered, &answered[i]); c != nil {
			add(c)
		}
	}
	for i := range offered {
		add(&offered[i])
	}
	return out
}

// newPayloadTable gathers the numbers in use: what transceivers announced, then what the descriptions in force say.
func (s *Session) newPayloadTable() *payloadTable {
	table := &payloadTable{}
	for _, t := range s.st.transceivers {
		table.claimAll(t.payloads)
	}
	for _, d := range s.st.descriptions() {
		for i := range d.sdp.Media {
			if m := &d.sdp.Media[i]; m.IsRTP() && !m.Rejected() {
				table.claimAll(m.Codecs)
			}
		}
	}
	return table
}
