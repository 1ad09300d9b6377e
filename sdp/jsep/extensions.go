package jsep

import (
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// The largest ids: of one-byte header extensions, and of two-byte ones (RFC 8285 §4.2, §4.3).
const (
	maxOneByteID = 14
	maxTwoByteID = 255
)

// extensionTable gives header extensions of offers their ids: one meaning an id in the BUNDLE group (RFC 8843 §9.2).
type extensionTable struct {
	byURI map[string]int
	byID  map[int]string
	limit int
}

func (t *extensionTable) claim(e sdp.Extension) {
	if _, taken := t.byID[e.ID]; !taken {
		t.byID[e.ID] = e.URI
	}
	if _, known := t.byURI[e.URI]; !known && t.byID[e.ID] == e.URI && e.ID <= t.limit {
		t.byURI[e.URI] = e.ID
	}
}

func (s *Session) newExtensionTable() *extensionTable {
	t := &extensionTable{byURI: map[string]int{}, byID: map[int]string{}, limit: maxOneByteID}
	if s.cfg.Capabilities.ExtmapAllowMixed {
		t.limit = maxTwoByteID
	}
	for _, d := range s.st.descriptions() {
		for i := range d.sdp.Media {
			if m := &d.sdp.Media[i]; m.IsRTP() && !m.Rejected() {
				for _, e := range d.sdp.ExtensionsOf(i) {
					t.claim(e)
				}
			}
		}
	}
	return t
}

// id returns the id of an extension: the one in use, or the preferred one, or a free one; false if none is left.
func (t *extensionTable) id(e sdp.Extension) (int, bool) {
	if id, ok := t.byURI[e.URI]; ok {
		return id, true
	}
	id := e.ID
	if id < 1 || id > t.limit || id == maxOneByteID+1 || t.byID[id] != "" {
		id = 0
		for n := 1; n <= t.limit && id == 0; n++ {
			if t.byID[n] == "" && n != maxOneByteID+1 {
				id = n
			}
		}
	}
	if id == 0 {
		return 0, false
	}
	t.byID[id], t.byURI[e.URI] = e.URI, id
	return id, true
}

// offerExtensions are the header extensions to offer for a kind.
func (s *Session) offerExtensions(kind string, t *extensionTable) []sdp.Extension {
	var out []sdp.Extension
	for _, e := range s.cfg.Capabilities.of(kind).Extensions {
		id, ok := t.id(e)
		if !ok {
			continue
		}
		e.ID = id
		if e.Direction == sdp.SendRecv {
			e.Direction = ""
		}
		out = append(out, e)
	}
	return out
}

// answerExtensions answers offered header extensions: those that run, with the offer's ids and the other direction
// (RFC 8285 §7).
func (s *Session) answerExtensions(kind string, offered []sdp.Extension, mixed bool) []sdp.Extension {
	var out []sdp.Extension
	limit := maxOneByteID
	if mixed {
		limit = maxTwoByteID
	}
	ours := s.cfg.Capabilities.of(kind).Extensions
	for _, o := range offered {
		i := slices.IndexFunc(ours, func(e sdp.Extension) bool { return e.URI == o.URI })
		twice := slices.ContainsFunc(out, func(e sdp.Extension) bool { return e.ID == o.ID || e.URI == o.URI })
		if i < 0 || twice || o.ID > limit || o.ID == maxOneByteID+1 {
			continue
		}
		d := orSendRecv(o.Direction).Reverse().Intersect(orSendRecv(ours[i].Direction))
		if d == sdp.SendRecv {
			d = ""
		}
		out = append(out, sdp.Extension{ID: o.ID, URI: o.URI, Direction: d, Attributes: ours[i].Attributes})
	}
	return out
}

func orSendRecv(d sdp.Direction) sdp.Direction {
	if d == "" {
		return sdp.SendRecv
	}
	return d
}
