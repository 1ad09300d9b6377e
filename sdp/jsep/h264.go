package jsep

import (
	"fmt"
	"strconv"

	"github.com/openparley/webrtc/sdp"
)

// h264Profile is a profile as RFC 6184 §8.1 table 5 tells it from profile_idc and profile-iop: several pairs are one.
type h264Profile uint8

const (
	h264Unknown h264Profile = iota
	h264ConstrainedBaseline
	h264Baseline
	h264Main
	h264Extended
	h264High
	h264ConstrainedHigh
	h264High10
	h264High422
	h264High444
)

// constraintSet3 in profile-iop, with level_idc 11 and these profiles, is level 1b.
const constraintSet3 = 0x10

// h264ID is a profile-level-id.
type h264ID struct {
	idc, iop, level uint8
}

// parseH264ID reads profile-level-id; absent is Baseline at level 1 (RFC 6184 §8.1).
func parseH264ID(c *sdp.Codec) (h264ID, bool) {
	v, ok := c.Param("profile-level-id")
	if !ok {
		return h264ID{idc: 0x42, iop: 0, level: 10}, true
	}
	n, err := strconv.ParseUint(v, 16, 24)
	if err != nil || len(v) != 6 {
		return h264ID{}, false
	}
	return h264ID{idc: uint8(n >> 16), iop: uint8(n >> 8), level: uint8(n)}, true
}

func (id h264ID) String() string { return fmt.Sprintf("%02x%02x%02x", id.idc, id.iop, id.level) }

var h264Patterns = []struct {
	idc, mask, iop uint8
	profile        h264Profile
}{
	{0x42, 0x4f, 0x40, h264ConstrainedBaseline},
	{0x4d, 0x8f, 0x80, h264ConstrainedBaseline},
	{0x58, 0xcf, 0xc0, h264ConstrainedBaseline},
	{0x42, 0x4f, 0x00, h264Baseline},
	{0x58, 0xcf, 0x80, h264Baseline},
	{0x4d, 0xaf, 0x00, h264Main},
	{0x58, 0xcf, 0x00, h264Extended},
	{0x64, 0xff, 0x00, h264High},
	{0x64, 0xff, 0x0c, h264ConstrainedHigh},
	{0x6e, 0xff, 0x00, h264High10},
	{0x7a, 0xff, 0x00, h264High422},
	{0xf4, 0xff, 0x00, h264High444},
}

func (id h264ID) profile() h264Profile {
	for _, p := range h264Patterns {
		if id.idc == p.idc && id.iop&p.mask == p.iop {
			return p.profile
		}
	}
	return h264Unknown
}

// hasLevel1b: the profiles in which constraint_set3 with level_idc 11 is level 1b.
func (id h264ID) hasLevel1b() bool { return id.idc == 0x42 || id.idc == 0x4d || id.idc == 0x58 }

// rank orders levels: level_idc tenfold, 1b between 1 and 1.1.
func (id h264ID) rank() int {
	if id.level == 11 && id.iop&constraintSet3 != 0 && id.hasLevel1b() || id.level == 9 {
		return 105
	}
	return int(id.level) * 10
}

// sameH264: the same profile and the same packetization mode are the same format; the level is no part of it
// (RFC 6184 §8.2.2).
func sameH264(a, b *sdp.Codec) bool {
	x, okX := parseH264ID(a)
	y, okY := parseH264ID(b)
	if !okX || !okY || x.profile() == h264Unknown || x.profile() != y.profile() {
		return false
	}
	return sameParam(a, b, "packetization-mode", "0")
}

// answerH264 is the fmtp that answers an H.264 offer: the offer's profile; our own level if both sides allow that the
// levels differ, or else the lower of the two (RFC 6184 §8.2.2).
func answerH264(offered, ours *sdp.Codec) string {
	o, okO := parseH264ID(offered)
	m, okM := parseH264ID(ours)
	if !okO || !okM {
		return offered.Fmtp
	}
	asymmetric := paramOr(offered, "level-asymmetry-allowed", "0") == "1" && paramOr(ours, "level-asymmetry-allowed", "0") == "1"
	id := o
	if asymmetric || m.rank() < o.rank() {
		id.level = m.level
		if id.hasLevel1b() {
			id.iop = id.iop&^constraintSet3 | m.iop&constraintSet3
		}
	}
	fmtp := "packetization-mode=" + paramOr(offered, "packetization-mode", "0") + ";profile-level-id=" + id.String()
	if paramOr(ours, "level-asymmetry-allowed", "0") == "1" {
		fmtp = "level-asymmetry-allowed=1;" + fmtp
	}
	return fmtp
}
