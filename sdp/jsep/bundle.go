package jsep

import (
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// bundle is what one description says about sharing a transport: there is one transport only, so that sections outside
// of it cannot live.
type bundle struct {
	// tag is the mid of the section whose transport it is, empty without any section.
	tag string
	// grouped: there is a BUNDLE group with the tag in it.
	grouped bool
	mids    []string
}

// has reports whether a section shares the transport.
func (b bundle) has(mid string) bool { return slices.Contains(b.mids, mid) }

// chooseBundle picks, among the sections that may live, those of one transport: the group of the section that stands for
// the transport already (tag), or of the first one. The first that may live in the group's order is the new tag
// (RFC 8843 §7.3.1).
func chooseBundle(d *description, tag string, alive func(i int) bool) bundle {
	first := ""
	if m, i := d.section(tag); m != nil && alive(i) {
		first = tag
	}
	for i := 0; i < len(d.mids) && first == ""; i++ {
		if alive(i) {
			first = d.mids[i]
		}
	}
	if first == "" {
		return bundle{}
	}
	for _, g := range d.sdp.BundleGroups() {
		if !slices.Contains(g.MIDs, first) {
			continue
		}
		b := bundle{grouped: true}
		for _, mid := range g.MIDs {
			if _, i := d.section(mid); i >= 0 && alive(i) && !slices.Contains(b.mids, mid) {
				b.mids = append(b.mids, mid)
			}
		}
		b.tag = b.mids[0]
		return b
	}
	return bundle{tag: first, mids: []string{first}}
}

// led puts the first section that describes the transport in front: when the one that did is rejected, another can stand
// for it only so. Without any there is no transport (RFC 8843 §7.3.1).
func (b bundle) led(describes func(mid string) bool) bundle {
	i := slices.IndexFunc(b.mids, describes)
	if i < 0 {
		return bundle{}
	}
	if i > 0 {
		mids := []string{b.mids[i]}
		for j, mid := range b.mids {
			if j != i {
				mids = append(mids, mid)
			}
		}
		b.mids = mids
	}
	b.tag = b.mids[0]
	return b
}

// tagOf is the section of an offer of this side that stands for the transport before it is answered.
func tagOf(d *description) string {
	b := chooseBundle(d, "", func(i int) bool { return !d.sdp.Media[i].Rejected() })
	return b.tag
}

// speaks reports whether a section's protocol is one that the transport carries.
func speaks(m *sdp.Media) bool {
	switch m.Kind {
	case KindAudio, KindVideo:
		return m.IsRTP()
	}
	return m.IsData()
}
