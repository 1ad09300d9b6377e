package jsep

import (
	"slices"
	"strconv"

	"github.com/openparley/webrtc/sdp"
)

// CreateOffer returns an offer (RFC 9429 §5.2). InvalidStateError: neither stable nor have-local-offer. OperationError:
// no fingerprint.
func (s *Session) CreateOffer(o OfferOptions, p LocalParams) (Description, error) {
	if st := s.st.signaling; st != StateStable && st != StateHaveLocalOffer {
		return Description{}, fail(NameInvalidState, "an offer in state %s", st)
	}
	if err := p.check(); err != nil {
		return Description{}, err
	}
	restart := o.ICERestart || slices.Contains(s.st.replace, s.st.local.Ufrag)
	ice, err := s.generation(p, restart)
	if err != nil {
		return Description{}, err
	}
	b := offerBuilder{
		s: s, p: p, ice: ice, d: s.newDescription(TypeOffer), payloads: s.newPayloadTable(),
		extensions: s.newExtensionTable(), mid: s.st.nextMID,
	}
	b.known()
	b.fresh()
	b.bundle()
	b.d.text = b.d.sdp.Marshal()
	s.st.lastOffer = b.d
	return Description{Type: TypeOffer, SDP: b.d.text}, nil
}

// offerBuilder writes one offer.
type offerBuilder struct {
	s          *Session
	p          LocalParams
	ice        ICEParameters
	d          *description
	payloads   *payloadTable
	extensions *extensionTable
	mid        int
	taken      []*Transceiver
	hasData    bool
}

// known writes the sections that exist, in their places: renewed, rejected, or recycled (RFC 9429 §5.2.2).
func (b *offerBuilder) known() {
	layout := b.s.st.layout()
	if layout == nil {
		return
	}
	data := b.s.dataSection(layout)
	b.hasData = data >= 0
	for i := range layout.sdp.Media {
		old, mid := &layout.sdp.Media[i], layout.mids[i]
		t := b.s.st.byMID(mid)
		switch {
		case t != nil && !t.Stopping:
			b.rtp(t, mid)
		case i == data:
			b.data(mid, old)
		case b.s.rejected(i) && b.recycle():
		default:
			b.d.add(rejectionOf(old, mid), mid, t)
		}
	}
}

// rejected reports whether section i is dead in the last negotiation, so that its place may be taken.
func (s *Session) rejected(i int) bool {
	for _, d := range []*description{s.st.currentLocal, s.st.currentRemote} {
		if d != nil && i < len(d.sdp.Media) && d.sdp.Media[i].Rejected() {
			return true
		}
	}
	return false
}

// dataSection is the index of the section with data channels that lives, or -1.
func (s *Session) dataSection(d *description) int {
	for i := range d.sdp.Media {
		if m := &d.sdp.Media[i]; m.IsData() && !m.Rejected() && !s.rejectedSince(d, i) {
			return i
		}
	}
	return -1
}

// rejectedSince reports whether the last negotiation rejected section i of d, with the same mid.
func (s *Session) rejectedSince(d *description, i int) bool {
	for _, c := range []*description{s.st.currentLocal, s.st.currentRemote} {
		if c != nil && i < len(c.sdp.Media) && c.mids[i] == d.mids[i] && c.sdp.Media[i].Rejected() {
			return true
		}
	}
	return false
}

// recycle puts the next transceiver without a section, or the data section, into a dead place.
func (b *offerBuilder) recycle() bool {
	if t := b.unassociated(); t != nil {
		b.add(t)
		return true
	}
	if b.s.st.dataWanted && !b.hasData {
		b.hasData = true
		b.data(b.newMID(), nil)
		return true
	}
	return false
}

// fresh appends sections for what has none yet: transceivers in order, then data.
func (b *offerBuilder) fresh() {
	for t := b.unassociated(); t != nil; t = b.unassociated() {
		if len(b.d.sdp.Media) >= sdp.MaxSections {
			return
		}
		b.add(t)
	}
	if b.s.st.dataWanted && !b.hasData {
		b.data(b.newMID(), nil)
	}
}

func (b *offerBuilder) unassociated() *Transceiver {
	for _, t := range b.s.st.transceivers {
		if t.MID == "" && !t.Stopping && !t.Stopped && !slices.Contains(b.taken, t) {
			return t
		}
	}
	return nil
}

func (b *offerBuilder) add(t *Transceiver) {
	b.taken = append(b.taken, t)
	b.rtp(t, b.newMID())
}

// newMID returns a number that no section has or had. The same calls give the same numbers until one is applied.
func (b *offerBuilder) newMID() string {
	for {
		mid := strconv.Itoa(b.mid)
		b.mid++
		known := slices.Contains(b.d.mids, mid) || b.s.st.byMID(mid) != nil
		for _, d := range b.s.st.descriptions() {
			known = known || slices.Contains(d.mids, mid)
		}
		if !known {
			return mid
		}
	}
}

func (b *offerBuilder) rtp(t *Transceiver, mid string) {
	caps := &b.s.cfg.Capabilities
	m := sdp.Media{
		Kind: t.Kind, Port: discardPort, Protocol: protocolRTP, MID: mid, Connection: noAddress, Direction: t.Direction,
		RTCP: "9 " + noAddress, RTCPMux: true, RTCPMuxOnly: true, RTCPRsize: caps.RTCPRsize,
		Codecs:     sdp.CloneCodecs(b.s.offerCodecs(t, b.payloads)),
		Extensions: b.s.offerExtensions(t.Kind, b.extensions),
	}
	if len(m.Codecs) == 0 {
		// The other side made a transceiver of a kind that nothing here can play.
		b.d.add(rejectedSection(t.Kind, protocolRTP, mid, []string{"0"}, nil), mid, t)
		return
	}
	transportLines(&m, b.ice, b.p, sdp.SetupActpass)
	var rids []string
	if hasURI(m.Extensions, ExtensionRID) {
		rids = t.encodingRIDs()
	}
	t.senderLines(&m, rids)
	if l, _ := b.s.st.currentLocal.section(mid); m.Direction.Receives() && l != nil && l.Simulcast != nil && len(l.Simulcast.Recv) > 0 {
		// Simulcast that comes in is not ended by an offer that does not speak of it.
		receiveRIDs(&m, t.Receiver.RIDs)
	}
	b.d.sdp.ExtmapAllowMixed = caps.ExtmapAllowMixed
	b.d.add(m, mid, t)
}

// data writes the data section, in the syntax of the old one if there is one.
func (b *offerBuilder) data(mid string, old *sdp.Media) {
	m := b.s.dataMedia(mid, old)
	transportLines(&m, b.ice, b.p, sdp.SetupActpass)
	b.d.add(m, mid, nil)
}

func (s *Session) dataMedia(line string, like *sdp.Media) sdp.Media {
	size := s.cfg.MaxMessageSize
	m := sdp.Media{
		Kind: kindData, Port: discardPort, Protocol: protocolData, MID: line, Connection: noAddress,
		Formats: []string{formatData}, SCTPPort: int(s.cfg.SCTPPort), MaxMessageSize: &size,
	}
	if like != nil {
		m.Protocol = like.Protocol
		if like.SCTPMap != nil {
			streams := max(like.SCTPMap.Streams, 1024)
			m.SCTPMap = &sdp.SCTPMap{Port: m.SCTPPort, App: formatData, Streams: streams}
			m.Formats = []string{strconv.Itoa(m.SCTPPort)}
		}
	}
	return m
}

// bundle writes the BUNDLE group of all live sections, and marks in first offers those that exist only in it.
func (b *offerBuilder) bundle() {
	group := sdp.Group{Semantics: "BUNDLE"}
	kinds := map[string]bool{}
	for i := range b.d.sdp.Media {
		m := &b.d.sdp.Media[i]
		if m.Rejected() {
			continue
		}
		first := len(group.MIDs) == 0
		group.MIDs = append(group.MIDs, m.MID)
		var only bool
		switch b.s.cfg.BundlePolicy {
		case BundleMaxBundle:
			only = !first
		case BundleBalanced:
			only = kinds[m.Kind]
		case BundleMaxCompat:
		}
		kinds[m.Kind] = true
		if _, known := b.s.st.currentLocal.section(b.d.mids[i]); only && known < 0 {
			m.BundleOnly, m.Port = true, 0
		}
	}
	if len(group.MIDs) == 0 {
		return
	}
	b.keepTag(group.MIDs)
	b.d.sdp.Groups = append(b.d.sdp.Groups, group)
}

// keepTag puts the section that stands for the transport first in the group, as long as it lives.
func (b *offerBuilder) keepTag(mids []string) {
	if i := slices.Index(mids, b.s.st.conn.tag); i > 0 {
		copy(mids[1:i+1], mids[:i])
		mids[0] = b.s.st.conn.tag
	}
}
