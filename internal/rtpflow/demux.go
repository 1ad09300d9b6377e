package rtpflow

import "errors"

// Reasons why a packet belongs to no stream.
var (
	// ErrUnknownMID says that a packet names a media section that does not exist (RFC 8843 §9.2: drop).
	ErrUnknownMID = errors.New("rtpflow: unknown MID")
	// ErrUnknownRID says that a packet names a stream that its section does not announce.
	ErrUnknownRID = errors.New("rtpflow: unknown RID")
	// ErrUnknownSource says that nothing tells where a packet belongs: no MID, an SSRC not seen before, and a payload
	// type of several sections or of none.
	ErrUnknownSource = errors.New("rtpflow: unknown source")
	// ErrPayloadType says that the section of a packet does not have its payload type.
	ErrPayloadType = errors.New("rtpflow: payload type not of this section")
)

// Table is what was negotiated, as far as finding the stream of a packet needs it. The demultiplexer keeps it: it may
// not change afterwards.
type Table struct {
	// Ids of the header extensions, zero for one that was not negotiated: urn:ietf:params:rtp-hdrext:sdes:mid,
	// …:rtp-stream-id and …:repaired-rtp-stream-id.
	MIDExtension, RIDExtension, RepairedRIDExtension uint8
	Sections                                         []Section
}

// Section is one media section of a BUNDLE group that may receive.
type Section struct {
	// Target is the owner's number for the section; Route gives it back.
	Target int
	MID    string
	// PayloadTypes are the section's payload types to be received.
	PayloadTypes []PayloadType
	// Sources are the peer's a=ssrc lines.
	Sources []Source
	// RIDs are the simulcast streams that the peer announces, in order: their indexes are the layers.
	RIDs []string
}

// PayloadType is one payload type of a section.
type PayloadType struct {
	Number uint8
	// Repair marks a retransmission format (RFC 4588), which repairs the payload type Of.
	Repair bool
	Of     uint8
}

// Source is an SSRC that the peer's description announces.
type Source struct {
	SSRC uint32
	// Repairs is the SSRC of the stream that this one retransmits (the FID group of RFC 5576), zero: it is media.
	Repairs uint32
	// Layer is the index of its RID plus one; zero: it has none.
	Layer int
}

// Route says which stream a packet belongs to.
type Route struct {
	// Target is that of the section.
	Target int
	// Layer is the index into the section's RIDs, or -1.
	Layer int
	// Repair marks a retransmission: MediaSSRC is the stream that it repairs (zero: none was seen yet), and
	// MediaPayloadType the payload type of what it carries.
	Repair           bool
	MediaSSRC        uint32
	MediaPayloadType uint8
	// New marks the first packet of an SSRC, or the first that binds an SSRC to another stream.
	New bool
}

// DemuxStats counts packets without a route.
type DemuxStats struct {
	UnknownMID, UnknownRID, UnknownSource, PayloadType uint64
	// Evicted counts bindings that were given up for new ones.
	Evicted uint64
}

// DefaultMaxSources is how many SSRCs a Demuxer binds if not told otherwise.
const DefaultMaxSources = 512

// Demuxer finds the stream of incoming RTP packets in the order of RFC 8843 §9.2: the MID header extension, an SSRC that
// was bound by one or by the description, a payload type that only one section has. Streams within a section are told
// apart by RID (RFC 8852).
type Demuxer struct {
	table    *Table
	byMID    map[string]int
	unique   [128]int16 // section whose payload type it is, or -1
	payload  []sectionPayload
	maximum  int
	bindings map[uint32]*binding
	order    []*binding // eviction clock
	hand     int
	last     *binding
	stats    DemuxStats
	// generation counts what may change the media stream of a retransmission stream.
	generation uint64
}

const (
	formatNone  = 0xff
	formatMedia = 0xfe
	layerless   = -1
	noSection   = -1
)

// sectionPayload is a section's payload types: formatNone, formatMedia, or what it repairs.
type sectionPayload [128]uint8

// binding is what is known of one SSRC.
type binding struct {
	ssrc    uint32
	section int
	mid     string // names that survive a new table
	rid     string
	layer   int
	repair  bool   // its last packet had a retransmission format
	used    bool   // since the eviction hand passed
	seen    bool   // a packet came
	started uint64 // generation of the first packet

	announced uint32 // what it repairs, from the description
	repairs   uint32 // what it repairs, found in generation foundAt
	foundAt   uint64
}

// NewDemuxer makes a demultiplexer without sections. maxSources zero: DefaultMaxSources.
func NewDemuxer(maxSources int) *Demuxer {
	if maxSources <= 0 {
		maxSources = DefaultMaxSources
	}
	d := &Demuxer{maximum: maxSources, bindings: make(map[uint32]*binding)}
	d.SetTable(&Table{})
	return d
}

// Stats returns the counters.
func (d *Demuxer) Stats() DemuxStats { return d.stats }

// SetTable replaces what was negotiated. Bindings that were learned stay if their section and RID still exist.
func (d *Demuxer) SetTable(t *Table) {
	d.table = t
	d.last = nil
	d.byMID = make(map[string]int, len(t.Sections))
	d.payload = make([]sectionPayload, len(t.Sections))
	for i := range d.unique {
		d.unique[i] = noSection
	}
	var owners [128]int
	for i := range t.Sections {
		sec := &t.Sections[i]
		if sec.MID != "" {
			d.byMID[sec.MID] = i
		}
		p := &d.payload[i]
		for j := range p {
			p[j] = formatNone
		}
		for _, pt := range sec.PayloadTypes {
			n := pt.Number & 0x7f
			if p[n] == formatNone {
				owners[n]++
			}
			d.unique[n] = int16(i)
			p[n] = formatMedia
			if pt.Repair {
				p[n] = pt.Of & 0x7f
			}
		}
	}
	for n, count := range owners {
		if count > 1 {
			d.unique[n] = noSection
		}
	}
	d.rebind()
	for i := range t.Sections {
		for _, src := range t.Sections[i].Sources {
			d.announce(i, src)
		}
	}
}

// rebind drops the bindings that the new table has no place for.
func (d *Demuxer) rebind() {
	kept := d.order[:0]
	for _, b := range d.order {
		section, ok := d.sectionOf(b)
		if ok && b.rid != "" {
			b.layer = d.layerOf(section, []byte(b.rid))
			ok = b.layer != layerless
		}
		if !ok {
			delete(d.bindings, b.ssrc)
			continue
		}
		b.section = section
		kept = append(kept, b)
	}
	clear(d.order[len(kept):])
	d.order, d.hand = kept, 0
}

func (d *Demuxer) sectionOf(b *binding) (int, bool) {
	if b.mid != "" {
		i, ok := d.byMID[b.mid]
		return i, ok
	}
	// Sections without a MID are known by their place.
	return b.section, b.section < len(d.table.Sections) && d.table.Sections[b.section].MID == ""
}

func (d *Demuxer) announce(section int, src Source) {
	b := d.bindings[src.SSRC]
	if b == nil {
		b = d.bind(src.SSRC, section)
	} else if b.section != section {
		b.move(d, section)
	}
	b.announced = src.Repairs
	if i := src.Layer - 1; i >= 0 && i < len(d.table.Sections[section].RIDs) {
		b.layer, b.rid = i, d.table.Sections[section].RIDs[i]
	}
}

func (d *Demuxer) bind(ssrc uint32, section int) *binding {
	b := &binding{}
	if len(d.order) >= d.maximum {
		b = d.evict()
	} else {
		d.order = append(d.order, b)
	}
	*b = binding{ssrc: ssrc, used: true}
	b.move(d, section)
	d.bindings[ssrc] = b
	return b
}

func (b *binding) move(d *Demuxer, section int) {
	b.section, b.mid = section, d.table.Sections[section].MID
	b.layer, b.rid, b.seen = layerless, "", false
	b.announced, b.repairs, b.foundAt = 0, 0, 0
	d.generation++
}

func (d *Demuxer) evict() *binding {
	for d.order[d.hand].used {
		d.order[d.hand].used = false
		d.hand = (d.hand + 1) % len(d.order)
	}
	b := d.order[d.hand]
	d.hand = (d.hand + 1) % len(d.order)
	delete(d.bindings, b.ssrc)
	if d.last == b {
		d.last = nil
	}
	d.stats.Evicted++
	return b
}

// Route finds the stream of a packet that passed authentication, and remembers what it tells about its SSRC. It fails
// with ErrUnknownMID, ErrUnknownRID, ErrUnknownSource or ErrPayloadType: drop the packet.
func (d *Demuxer) Route(h *Header) (Route, error) {
	b := d.last
	if b == nil || b.ssrc != h.SSRC {
		b = d.bindings[h.SSRC]
	}
	section, err := d.section(h, b)
	if err != nil {
		return Route{}, err
	}
	format := d.payload[section][h.PayloadType]
	if format == formatNone {
		d.stats.PayloadType++
		return Route{}, ErrPayloadType
	}
	layer, named, err := d.layer(h, section)
	if err != nil {
		return Route{}, err
	}
	if b == nil {
		b = d.bind(h.SSRC, section)
	} else if b.section != section {
		b.move(d, section)
	}
	if named && layer != b.layer {
		b.layer, b.rid, b.seen = layer, d.table.Sections[section].RIDs[layer], false
		d.generation++
	}
	d.last = b
	b.used = true
	b.repair = format != formatMedia
	r := Route{Target: d.table.Sections[section].Target, Layer: b.layer, New: !b.seen}
	if !b.seen {
		d.generation++
		b.seen, b.started = true, d.generation
	}
	if b.repair {
		r.Repair, r.MediaPayloadType = true, format
		r.MediaSSRC = d.repaired(b)
	}
	return r, nil
}

func (d *Demuxer) section(h *Header, b *binding) (int, error) {
	if mid := h.Extension(d.table.MIDExtension); mid != nil {
		if b != nil && b.mid == string(mid) {
			return b.section, nil
		}
		i, ok := d.byMID[string(mid)]
		if !ok {
			d.stats.UnknownMID++
			return 0, ErrUnknownMID
		}
		return i, nil
	}
	if b != nil {
		return b.section, nil
	}
	if i := d.unique[h.PayloadType]; i != noSection {
		return int(i), nil
	}
	d.stats.UnknownSource++
	return 0, ErrUnknownSource
}

// layer reads the RID of a packet, the repaired one on a retransmission (RFC 8852 §3.2).
func (d *Demuxer) layer(h *Header, section int) (layer int, named bool, err error) {
	rid := h.Extension(d.table.RIDExtension)
	if rid == nil {
		rid = h.Extension(d.table.RepairedRIDExtension)
	}
	if rid == nil || len(d.table.Sections[section].RIDs) == 0 {
		return layerless, false, nil
	}
	layer = d.layerOf(section, rid)
	if layer == layerless {
		d.stats.UnknownRID++
		return 0, false, ErrUnknownRID
	}
	return layer, true, nil
}

func (d *Demuxer) layerOf(section int, rid []byte) int {
	for i, name := range d.table.Sections[section].RIDs {
		if name == string(rid) {
			return i
		}
	}
	return layerless
}

// repaired finds the media stream that a retransmission stream belongs to: the announced one, or the youngest of the same
// section and layer. (RFC 4588 §5.3 would guess from the answer to a request; BUNDLE peers send MID and repaired RID,
// and a section or layer has one stream at a time.)
func (d *Demuxer) repaired(b *binding) uint32 {
	if b.announced != 0 {
		return b.announced
	}
	if b.foundAt == d.generation {
		return b.repairs
	}
	b.repairs, b.foundAt = 0, d.generation
	var youngest uint64
	for _, m := range d.order {
		if m.repair || m.announced != 0 || !m.seen || m.section != b.section || m.layer != b.layer {
			continue
		}
		if m.started > youngest {
			youngest, b.repairs = m.started, m.ssrc
		}
	}
	return b.repairs
}

// Lookup says which stream an SSRC is bound to, for RTCP. It is false for one that is not bound.
func (d *Demuxer) Lookup(ssrc uint32) (Route, bool) {
	b := d.bindings[ssrc]
	if b == nil {
		return Route{}, false
	}
	r := Route{Target: d.table.Sections[b.section].Target, Layer: b.layer}
	if r.Repair = b.repair || b.announced != 0; r.Repair {
		r.MediaSSRC = d.repaired(b)
	}
	return r, true
}

// Forget drops what is known of an SSRC that said BYE.
func (d *Demuxer) Forget(ssrc uint32) {
	b := d.bindings[ssrc]
	if b == nil {
		return
	}
	delete(d.bindings, ssrc)
	for i, o := range d.order {
		if o == b {
			d.order = append(d.order[:i], d.order[i+1:]...)
			break
		}
	}
	d.hand, d.last = 0, nil
	d.generation++
}
