package jsep

import (
	"slices"
	"strconv"

	"github.com/openparley/webrtc/sdp"
)

// nameSections gives the sections of a remote offer their mids. One without a=mid keeps the name that the section in its
// place has, or gets a new one that is never written (RFC 9429 §5.10).
func (s *Session) nameSections(r *description) {
	layout := s.st.layout()
	next := s.st.nextMID
	used := func(mid string) bool {
		known := slices.Contains(r.mids, mid) || s.st.byMID(mid) != nil
		for i := range r.sdp.Media {
			known = known || r.sdp.Media[i].MID == mid
		}
		return known
	}
	for i := range r.sdp.Media {
		mid := r.sdp.Media[i].MID
		if mid == "" && layout != nil && i < len(layout.mids) && layout.sdp.Media[i].Kind == r.sdp.Media[i].Kind {
			mid = layout.mids[i]
		}
		for mid == "" || r.sdp.Media[i].MID == "" && slices.Contains(r.mids, mid) {
			if mid = strconv.Itoa(next); used(mid) {
				mid = ""
			}
			next++
		}
		r.mids = append(r.mids, mid)
	}
}

// checkOffer checks a remote offer against itself and against what was negotiated (RFC 9429 §5.8, §5.10).
func (s *Session) checkOffer(r *description) error {
	if err := checkNames(r); err != nil {
		return err
	}
	layout := s.st.layout()
	if layout != nil && len(r.mids) < len(layout.mids) {
		return fail(NameInvalidAccess, "%d sections after %d", len(r.mids), len(layout.mids))
	}
	for i := range r.mids {
		if layout == nil || i >= len(layout.mids) {
			break
		}
		if r.mids[i] == layout.mids[i] {
			if r.sdp.Media[i].Kind != layout.sdp.Media[i].Kind {
				return fail(NameInvalidAccess, "section %d changes from %s to %s", i, layout.sdp.Media[i].Kind, r.sdp.Media[i].Kind)
			}
			continue
		}
		// RFC 9429 §5.2.2: only the place of a rejected section may be taken.
		if !s.rejected(i) && !layout.sdp.Media[i].Rejected() {
			return fail(NameInvalidAccess, "section %d changes its mid from %q to %q", i, layout.mids[i], r.mids[i])
		}
	}
	for _, t := range s.st.transceivers {
		if i := slices.Index(r.mids, t.MID); t.MID != "" && i >= 0 && (i != t.Index || r.sdp.Media[i].Kind != t.Kind) {
			return fail(NameInvalidAccess, "mid %q moved to another section", t.MID)
		}
	}
	if err := checkTransport(r); err != nil {
		return err
	}
	conn := &s.st.conn
	shared := chooseBundle(r, conn.tag, func(i int) bool { return !r.sdp.Media[i].Rejected() && speaks(&r.sdp.Media[i]) })
	i := slices.Index(r.mids, shared.tag)
	if i >= 0 && describesTransport(r, i) != nil {
		return nil // it is rejected or led by another section
	}
	return conn.keepsCertificate(r, i)
}

// checkNames checks mids and groups.
func checkNames(r *description) error {
	for i := range r.sdp.Media {
		if mid := r.sdp.Media[i].MID; mid != "" && slices.Contains(r.mids[:i], mid) {
			return fail(NameInvalidAccess, "mid %q twice", mid)
		}
	}
	var grouped []string
	for _, g := range r.sdp.BundleGroups() {
		for _, mid := range g.MIDs {
			if m, _ := r.sdp.MediaByMID(mid); m == nil {
				return fail(NameInvalidAccess, "BUNDLE group names mid %q, which no section has", mid)
			}
			if slices.Contains(grouped, mid) {
				return fail(NameInvalidAccess, "mid %q is in a BUNDLE group twice", mid)
			}
			grouped = append(grouped, mid)
		}
	}
	return nil
}

// checkTransport checks that each section which may stand for a transport describes it.
func checkTransport(r *description) error {
	follows := map[string]bool{}
	for _, g := range r.sdp.BundleGroups() {
		for i, mid := range g.MIDs {
			follows[mid] = i > 0
		}
	}
	for i := range r.sdp.Media {
		m := &r.sdp.Media[i]
		if m.Rejected() || !speaks(m) || follows[r.mids[i]] || m.BundleOnly {
			continue
		}
		if err := describesTransport(r, i); err != nil {
			return err
		}
	}
	return nil
}

func describesTransport(r *description, i int) error {
	if ice := r.sdp.ICEOf(i); ice.Ufrag == "" || ice.Pwd == "" {
		return fail(NameInvalidAccess, "section %d has no ICE credentials", i)
	}
	if !slices.ContainsFunc(r.sdp.FingerprintsOf(i), sdp.Fingerprint.Usable) {
		return fail(NameInvalidAccess, "section %d has no certificate fingerprint of a hash that is known and strong", i)
	}
	return nil
}

// checkAnswer checks a remote answer against the offer (RFC 9429 §5.8, §5.11; RFC 3264 §6).
func checkAnswer(offer, r *description) error {
	if len(offer.sdp.Media) != len(r.sdp.Media) {
		return fail(NameInvalidAccess, "%d sections answer %d", len(r.sdp.Media), len(offer.sdp.Media))
	}
	for i := range r.sdp.Media {
		o, m := &offer.sdp.Media[i], &r.sdp.Media[i]
		switch {
		case o.Kind != m.Kind:
			return fail(NameInvalidAccess, "section %d answers %s with %s", i, o.Kind, m.Kind)
		case m.MID != "" && m.MID != offer.mids[i]:
			return fail(NameInvalidAccess, "section %d answers mid %q with %q", i, offer.mids[i], m.MID)
		case m.Port == 0 && m.BundleOnly:
			// RFC 8843 §6: bundle-only is for offers. A zero port rejects.
			m.BundleOnly = false
		}
		if m.Rejected() {
			continue
		}
		if o.Rejected() {
			return fail(NameInvalidAccess, "section %d accepts what was rejected", i)
		}
		if !speaks(m) || o.IsRTP() != m.IsRTP() {
			return fail(NameInvalidAccess, "section %d answers with protocol %s", i, m.Protocol)
		}
		// RFC 9429 §4.1.1: the policy "require".
		if m.IsRTP() && !m.RTCPMux {
			return fail(NameInvalidAccess, "section %d answers without rtcp-mux", i)
		}
	}
	return checkNames(&description{sdp: r.sdp, mids: withoutMIDs(r.sdp)})
}

// withoutMIDs are the mids as they are written.
func withoutMIDs(d *sdp.Session) []string {
	mids := make([]string, len(d.Media))
	for i := range d.Media {
		mids[i] = d.Media[i].MID
	}
	return mids
}
