package jsep

import (
	"slices"
	"strconv"
	"strings"

	"github.com/openparley/webrtc/sdp"
)

// nameRTX is the encoding name of retransmissions (RFC 4588).
const nameRTX = "rtx"

// isRTX reports a retransmission codec.
func isRTX(c *sdp.Codec) bool { return strings.EqualFold(c.Name, nameRTX) }

// isResilience reports a codec that carries no media of its own: it repairs or wraps others.
func isResilience(c *sdp.Codec) bool {
	switch strings.ToLower(c.Name) {
	case nameRTX, "red", "ulpfec", "flexfec", "flexfec-03":
		return true
	}
	return false
}

// isAuxiliary reports a codec that cannot be the only one of a section: resilience, comfort noise, DTMF.
func isAuxiliary(c *sdp.Codec) bool {
	switch strings.ToLower(c.Name) {
	case "cn", "telephone-event":
		return true
	}
	return isResilience(c)
}

// apt is the payload type that a retransmission codec belongs to.
func apt(c *sdp.Codec) (uint8, bool) {
	v, ok := c.Param("apt")
	if !ok {
		return 0, false
	}
	pt, err := strconv.ParseUint(v, 10, 7)
	return uint8(pt), err == nil
}

// sameCodec reports whether two codecs are the same format, whatever their payload types: name, clock and channels, and
// the parameters that RFC 3264 §6.1 lets the payload format count as part of the format. Levels do not count.
// Retransmission codecs are compared by name only; their apt is a payload type.
func sameCodec(a, b *sdp.Codec) bool {
	if !strings.EqualFold(a.Name, b.Name) || a.ClockRate != b.ClockRate || channels(a) != channels(b) {
		return false
	}
	switch strings.ToLower(a.Name) {
	case "h264":
		return sameH264(a, b)
	case "h265":
		// RFC 7798 §7.2.2: profile and tier must be the same; the level may be lowered.
		return sameParam(a, b, "profile-id", "1") && sameParam(a, b, "tier-flag", "0") && sameParam(a, b, "tx-mode", "SRST")
	case "vp9":
		// RFC 9628 §7.
		return sameParam(a, b, "profile-id", "0")
	case "av1":
		// AV1 RTP payload §7.2.1: profile and tier.
		return sameParam(a, b, "profile", "0") && sameParam(a, b, "tier", "0")
	}
	return true
}

// channels takes Opus for stereo whatever the line says: RFC 7587 §7 wants "/2" there always, and some peers leave it out.
func channels(c *sdp.Codec) uint16 {
	if strings.EqualFold(c.Name, "opus") {
		return 2
	}
	return max(c.Channels, 1)
}

func sameParam(a, b *sdp.Codec, name, absent string) bool {
	return strings.EqualFold(paramOr(a, name, absent), paramOr(b, name, absent))
}

func paramOr(c *sdp.Codec, name, absent string) string {
	if v, ok := c.Param(name); ok && v != "" {
		return v
	}
	return absent
}

// findCodec returns the first codec of list that is the same format as c, or nil.
func findCodec(list []sdp.Codec, c *sdp.Codec) *sdp.Codec {
	for i := range list {
		if sameCodec(&list[i], c) {
			return &list[i]
		}
	}
	return nil
}

// answerCodec is the codec that answers offered, given what we can: the payload type of the offer, our parameters
// where the format lets each side say its own, and the feedback that both know.
func answerCodec(offered, ours *sdp.Codec) sdp.Codec {
	c := *offered
	c.Feedback = intersectFeedback(offered.Feedback, ours.Feedback)
	switch strings.ToLower(c.Name) {
	case "h264":
		c.Fmtp = answerH264(offered, ours)
	case "red":
		// The fmtp of audio RED is payload types, those of the offer.
	default:
		c.Fmtp = ours.Fmtp
	}
	return c
}

func intersectFeedback(a, b []string) []string {
	var out []string
	for _, f := range a {
		if slices.Contains(b, f) {
			out = append(out, f)
		}
	}
	return out
}

// negotiate returns the codecs that answer those offered: the offer's payload types in its order (RFC 3264 §6.1), or in
// the order of the preferences if there are any (RFC 9429 §5.3.1). None if nothing but auxiliary codecs would be left.
func negotiate(offered, ours, preferred []sdp.Codec, rtx bool) []sdp.Codec {
	if len(preferred) > 0 {
		ours, rtx = preferredCodecs(ours, preferred, rtx)
	}
	var accepted []sdp.Codec
	rank := map[uint8]int{}
	usable := false
	for i := range offered {
		o := &offered[i]
		mine := findCodec(ours, o)
		if o.Name == "" || mine == nil || isRTX(o) || !redundancyFits(o, offered, ours) {
			continue
		}
		accepted = append(accepted, answerCodec(o, mine))
		rank[o.PayloadType] = slices.IndexFunc(ours, func(c sdp.Codec) bool { return sameCodec(&c, o) })
		usable = usable || !isAuxiliary(o)
	}
	if !usable {
		return nil
	}
	if len(preferred) > 0 {
		slices.SortStableFunc(accepted, func(a, b sdp.Codec) int { return rank[a.PayloadType] - rank[b.PayloadType] })
	}
	if rtx {
		accepted = withOfferedRTX(accepted, offered, len(preferred) > 0)
	}
	return accepted
}

// withOfferedRTX adds the offer's retransmission codecs of accepted codecs: where the offer has them, or behind their
// codec if the order is ours.
func withOfferedRTX(accepted, offered []sdp.Codec, follow bool) []sdp.Codec {
	var out []sdp.Codec
	if follow {
		for _, c := range accepted {
			out = append(out, c)
			for i := range offered {
				if pt, ok := apt(&offered[i]); ok && isRTX(&offered[i]) && pt == c.PayloadType {
					out = append(out, bareRTX(&offered[i]))
					break
				}
			}
		}
		return out
	}
	for i := range offered {
		o := &offered[i]
		if isRTX(o) {
			if pt, ok := apt(o); ok && slices.ContainsFunc(accepted, func(c sdp.Codec) bool { return c.PayloadType == pt }) {
				out = append(out, bareRTX(o))
			}
			continue
		}
		for _, c := range accepted {
			if c.PayloadType == o.PayloadType {
				out = append(out, c)
			}
		}
	}
	return out
}

// bareRTX is an offered retransmission codec without feedback.
func bareRTX(c *sdp.Codec) sdp.Codec {
	r := *c
	r.Feedback = nil
	return r
}

// wraps reports an audio RED, whose fmtp names the payload types in it.
func wraps(c *sdp.Codec) bool {
	return strings.EqualFold(c.Name, "red") && strings.Contains(c.Fmtp, "/")
}

// redundancyFits checks that the codecs that an audio RED wraps ("111/111", RFC 2198 §5) are taken too.
func redundancyFits(c *sdp.Codec, offered, ours []sdp.Codec) bool {
	if !wraps(c) {
		return true
	}
	for num := range strings.SplitSeq(c.Fmtp, "/") {
		pt, err := strconv.ParseUint(strings.TrimSpace(num), 10, 7)
		if err != nil {
			return false
		}
		i := slices.IndexFunc(offered, func(o sdp.Codec) bool { return uint64(o.PayloadType) == pt })
		if i < 0 || findCodec(ours, &offered[i]) == nil {
			return false
		}
	}
	return true
}

// preferredCodecs are our codecs in the order of the preferences, and whether retransmissions are among them.
func preferredCodecs(ours, preferred []sdp.Codec, rtx bool) ([]sdp.Codec, bool) {
	var out []sdp.Codec
	listed := false
	for i := range preferred {
		p := &preferred[i]
		if isRTX(p) {
			listed = true
			continue
		}
		if mine := findCodec(ours, p); mine != nil && findCodec(out, p) == nil {
			out = append(out, *mine)
		}
	}
	return out, rtx && listed
}
