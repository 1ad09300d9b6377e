package sdp

import (
	"slices"
)

// Session is a session description: the lines above the first m= line, and one Media per m= line.
//
// ICE credentials, fingerprints, setup, direction and header extensions may stand at the session level and then count
// for each section that has none of its own; they are kept where they were written. The methods ICEOf, FingerprintsOf
// and SetupOf resolve the two levels. The zero value has no origin and no sections.
type Session struct {
	Origin Origin
	// Name is the s= line; empty is written as "-".
	Name string
	// Connection is the session-level c= line, empty if there is none.
	Connection string
	// Bandwidths are the session-level b= lines.
	Bandwidths []Bandwidth

	// Groups are the a=group lines in order.
	Groups []Group
	// ICELite says that the sender is an ICE-lite agent (RFC 8839 §5.3).
	ICELite    bool
	ICEOptions []string
	ICEUfrag   string
	ICEPwd     string
	// Fingerprints of the certificates that the sender may use (RFC 8122).
	Fingerprints []Fingerprint
	// Setup is the DTLS role (RFC 8842), empty if not given.
	Setup Setup
	TLSID string
	// ExtmapAllowMixed says that one-byte and two-byte header extensions may be mixed (RFC 8285 §6).
	ExtmapAllowMixed bool
	// MSIDSemantic is the value of a=msid-semantic, for old peers.
	MSIDSemantic string
	// Direction is the session-level direction, empty if not given.
	Direction  Direction
	Extensions []Extension
	// EndOfCandidates at session level counts for every section (RFC 8838).
	EndOfCandidates bool
	// Attributes are the session-level attributes without a field of their own, in order.
	Attributes []Attribute

	Media []Media
}

// Origin is the o= line (RFC 8866 §5.2).
type Origin struct {
	Username       string
	SessionID      uint64
	SessionVersion uint64
	NetworkType    string
	AddressType    string
	Address        string
}

// Bandwidth is a b= line: the type ("AS", "TIAS", "X-YZ") and its value in the unit of the type.
type Bandwidth struct {
	Type  string
	Value uint64
}

// Group is an a=group line (RFC 5888).
type Group struct {
	Semantics string
	MIDs      []string
}

// Attribute is an a= line; Value is empty for a property ("a=foo").
type Attribute struct {
	Key   string
	Value string
}

// Fingerprint is an a=fingerprint line. Algorithm is in lower case, Value in upper case hex with colons.
type Fingerprint struct {
	Algorithm string
	Value     string
}

// Usable reports whether the fingerprint can vouch for a certificate: its hash is SHA-256, SHA-384 or SHA-512, and as long as
// that. Weaker ones must not be believed (RFC 8122 §5), and others are not known.
func (f Fingerprint) Usable() bool {
	size := map[string]int{"sha-256": 32, "sha-384": 48, "sha-512": 64}[f.Algorithm]
	return size > 0 && len(f.Value) == 3*size-1
}

// ICE is what a section says about ICE after the two levels were merged.
type ICE struct {
	Ufrag   string
	Pwd     string
	Lite    bool
	Options []string
}

// Trickle reports whether the sender understands trickled candidates (RFC 8840).
func (i ICE) Trickle() bool { return slices.Contains(i.Options, "trickle") }

// BundleGroups returns the groups with the semantics BUNDLE, in order.
func (s *Session) BundleGroups() []Group {
	var groups []Group
	for _, g := range s.Groups {
		if g.Semantics == "BUNDLE" {
			groups = append(groups, g)
		}
	}
	return groups
}

// MediaByMID returns the section with that mid and its index, or nil and -1.
func (s *Session) MediaByMID(mid string) (*Media, int) {
	for i := range s.Media {
		if s.Media[i].MID == mid {
			return &s.Media[i], i
		}
	}
	return nil, -1
}

// ICEOf merges what the session and its section i say about ICE. An index out of range gives the session's values.
func (s *Session) ICEOf(i int) ICE {
	ice := ICE{Ufrag: s.ICEUfrag, Pwd: s.ICEPwd, Lite: s.ICELite, Options: s.ICEOptions}
	if i < 0 || i >= len(s.Media) {
		return ice
	}
	m := &s.Media[i]
	if m.ICEUfrag != "" {
		ice.Ufrag = m.ICEUfrag
	}
	if m.ICEPwd != "" {
		ice.Pwd = m.ICEPwd
	}
	if len(m.ICEOptions) > 0 {
		ice.Options = m.ICEOptions
	}
	return ice
}

// FingerprintsOf returns the fingerprints that count for section i: its own, or else the session's (RFC 8122 §5).
func (s *Session) FingerprintsOf(i int) []Fingerprint {
	if i >= 0 && i < len(s.Media) && len(s.Media[i].Fingerprints) > 0 {
		return s.Media[i].Fingerprints
	}
	return s.Fingerprints
}

// SetupOf returns the setup role that counts for section i, empty if neither level has one.
func (s *Session) SetupOf(i int) Setup {
	if i >= 0 && i < len(s.Media) && s.Media[i].Setup != "" {
		return s.Media[i].Setup
	}
	return s.Setup
}

// ExtensionsOf returns the header extensions of section i, those of the session level included.
func (s *Session) ExtensionsOf(i int) []Extension {
	if i < 0 || i >= len(s.Media) {
		return s.Extensions
	}
	if len(s.Extensions) == 0 {
		return s.Media[i].Extensions
	}
	return append(slices.Clone(s.Extensions), s.Media[i].Extensions...)
}

// DirectionOf returns the direction of section i: its own, or else the session's, or else sendrecv (RFC 8866 §6.7).
func (s *Session) DirectionOf(i int) Direction {
	if i >= 0 && i < len(s.Media) && s.Media[i].Direction != "" {
		return s.Media[i].Direction
	}
	if s.Direction != "" {
		return s.Direction
	}
	return SendRecv
}

// String returns the text of the description: Marshal's.
func (s *Session) String() string { return s.Marshal() }

// Clone returns a deep copy.
func (s *Session) Clone() *Session {
	if s == nil {
		return nil
	}
	c := *s
	c.Bandwidths = slices.Clone(s.Bandwidths)
	c.Groups = slices.Clone(s.Groups)
	for i := range c.Groups {
		c.Groups[i].MIDs = slices.Clone(c.Groups[i].MIDs)
	}
	c.ICEOptions = slices.Clone(s.ICEOptions)
	c.Fingerprints = slices.Clone(s.Fingerprints)
	c.Extensions = slices.Clone(s.Extensions)
	c.Attributes = slices.Clone(s.Attributes)
	c.Media = slices.Clone(s.Media)
	for i := range c.Media {
		c.Media[i] = c.Media[i].clone()
	}
	return &c
}

// Direction is the direction of a section, from its sender's point of view. Empty: not given.
type Direction string

// The four directions (RFC 8866 §6.7).
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// DirectionFrom builds the direction that sends and receives as told.
func DirectionFrom(send, recv bool) Direction {
	switch {
	case send && recv:
		return SendRecv
	case send:
		return SendOnly
	case recv:
		return RecvOnly
	}
	return Inactive
}

// Sends reports whether d includes sending.
func (d Direction) Sends() bool { return d == SendRecv || d == SendOnly }

// Receives reports whether d includes receiving.
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

// Reverse returns the direction as the other side sees it.
func (d Direction) Reverse() Direction {
	if d == "" {
		return ""
	}
	return DirectionFrom(d.Receives(), d.Sends())
}

// Intersect returns the direction that both allow (both from the same point of view).
func (d Direction) Intersect(o Direction) Direction {
	return DirectionFrom(d.Sends() && o.Sends(), d.Receives() && o.Receives())
}

// Setup is the value of a=setup (RFC 4145, RFC 8842). Empty: not given.
type Setup string

// The setup roles.
const (
	SetupActive   Setup = "active"
	SetupPassive  Setup = "passive"
	SetupActpass  Setup = "actpass"
	SetupHoldconn Setup = "holdconn"
)
