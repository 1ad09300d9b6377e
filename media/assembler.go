package media

import (
	"time"

	"github.com/pion/rtp"
)

// AssemblerConfig says how frames are put together. Zero values mean the defaults.
type AssemblerConfig struct {
	// MimeType is the payload format. It has to be set.
	MimeType string
	// ClockRate of the RTP timestamps. Zero: that of the codec.
	ClockRate uint32
	// MaxPackets is how many packets behind the newest a missing one is waited for. Zero: 512; at most 4096.
	MaxPackets int
	// MaxDelay is how far, in media time, the newest packet may be ahead of a missing one. Zero: one second.
	MaxDelay time.Duration
}

// FrameAssembler puts the frames of one RTP stream together: it sorts packets, waits for missing ones as long as it may,
// and leaves out frames that cannot be completed. Which packets make a frame is told by their timestamp; the marker only
// saves waiting for the next one.
//
// Not safe for concurrent use.
type FrameAssembler struct {
	codec    Codec
	mime     string
	rate     uint32
	max      uint16
	maxDelay uint32 // timestamp units
	depack   rtp.Depacketizer

	ring       []heldPacket
	started    bool
	next       uint16 // the first packet that was not used yet
	newest     uint16 // behind which packets are waited for
	newestTime uint32
	consumed   bool // next has moved on from where the stream began
	flushing   bool
	contiguous bool // the packet before next ended a frame

	dropped  int // since the last frame
	damaged  bool
	damageAt uint32 // timestamp of a frame that lost a packet
	emitted  bool
	lastTime uint32
	frame    []byte
	stats    AssemblerStats
}

type heldPacket struct {
	present   bool
	marker    bool
	timestamp uint32
	payload   []byte
}

// AssemblerStats counts what became of packets.
type AssemblerStats struct {
	Frames           uint64
	PacketsMissing   uint64 // never came in time
	PacketsDiscarded uint64 // came, but their frame was not whole, or they came too late
	Duplicates       uint64
	Malformed        uint64 // frames whose payloads could not be read
}

// NewFrameAssembler makes an assembler. It fails with ErrCodec.
func NewFrameAssembler(cfg AssemblerConfig) (*FrameAssembler, error) {
	c, err := CodecOf(cfg.MimeType)
	if err != nil {
		return nil, err
	}
	if cfg.ClockRate == 0 {
		cfg.ClockRate = c.ClockRate
	}
	if cfg.MaxPackets <= 0 {
		cfg.MaxPackets = 512
	}
	if cfg.MaxDelay <= 0 {
		cfg.MaxDelay = time.Second
	}
	cfg.MaxPackets = min(cfg.MaxPackets, 4096)
	// The ring's size divides 2^16, so that sequence numbers keep their place when they wrap.
	size := 64
	for size < 2*cfg.MaxPackets {
		size *= 2
	}
	a := &FrameAssembler{
		codec: c, mime: cfg.MimeType, rate: cfg.ClockRate, max: uint16(cfg.MaxPackets),
		maxDelay: uint32(min(cfg.MaxDelay, time.Hour).Seconds() * float64(cfg.ClockRate)),
		ring:     make([]heldPacket, size),
	}
	return a, a.resetDepacketizer()
}

func (a *FrameAssembler) resetDepacketizer() (err error) {
	a.depack, err = NewDepacketizer(a.mime)
	return err
}

// Stats returns the counters.
func (a *FrameAssembler) Stats() AssemblerStats { return a.stats }

func (a *FrameAssembler) at(seq uint16) *heldPacket { return &a.ring[int(seq)%len(a.ring)] }

// Push takes a packet; its payload is copied. Call Pop afterwards until it is false.
func (a *FrameAssembler) Push(pkt *rtp.Packet) {
	a.push(pkt.SequenceNumber, pkt.Timestamp, pkt.Marker, pkt.Payload)
}

func (a *FrameAssembler) push(seq uint16, timestamp uint32, marker bool, payload []byte) {
	if !a.started {
		a.begin(seq, timestamp)
	}
	ahead := int16(seq - a.next)
	switch {
	case ahead < 0 && !a.consumed && a.newest-seq < a.max:
		// From before the first packet that came, which is not used yet.
		a.next = seq
	case ahead < 0 && -int(ahead) < len(a.ring):
		a.stats.PacketsDiscarded++
		return
	case ahead < 0 || int(ahead) >= len(a.ring):
		// Another stream as it were: the sender started again, or was away for long.
		a.restart(seq, timestamp)
	}
	if int16(seq-a.newest) > 0 {
		a.newest, a.newestTime = seq, timestamp
	}
	slot := a.at(seq)
	if slot.present {
		a.stats.Duplicates++
		return
	}
	slot.present, slot.marker, slot.timestamp = true, marker, timestamp
	slot.payload = append(slot.payload[:0], payload...)
}

func (a *FrameAssembler) begin(seq uint16, timestamp uint32) {
	a.started, a.consumed, a.next, a.newest, a.newestTime = true, false, seq, seq, timestamp
}

func (a *FrameAssembler) restart(seq uint16, timestamp uint32) {
	for i := range a.ring {
		if a.ring[i].present {
			a.ring[i].present = false
			a.stats.PacketsDiscarded++
			a.dropped++
		}
	}
	a.begin(seq, timestamp)
	a.contiguous, a.damaged, a.emitted = false, false, false
	a.dropped++
	_ = a.resetDepacketizer() // the codec is known
}

// Flush says that no more packets come: Pop waits for nothing any more.
func (a *FrameAssembler) Flush() { a.flushing = true }

// Pop returns the next whole frame, in order. Its data is valid until the next call.
//
// The duration of audio is that of the packet where the codec tells; of video, and of other audio, the distance to the
// frame before, zero for the first: the timestamp is what counts.
func (a *FrameAssembler) Pop() (Sample, bool) {
	for a.started && int16(a.newest-a.next) >= 0 {
		head := a.at(a.next)
		switch {
		case !head.present:
			gap := a.missing()
			if !a.mayGiveUp(a.next, a.at(a.next+gap).timestamp) {
				return Sample{}, false
			}
			a.skip(gap)
		case len(head.payload) == 0:
			a.release(head) // padding that probes the path
		case !a.usable(head):
			a.discard(head)
		default:
			count, end := a.extent(head)
			switch {
			case end == frameArrives && !a.flushing,
				end == frameHole && !a.mayGiveUp(a.next+uint16(count), head.timestamp):
				return Sample{}, false
			case end != frameWhole:
				a.giveUpFrame(head, count)
				continue
			}
			if s, ok := a.take(head.timestamp, count); ok {
				return s, true
			}
		}
	}
	return Sample{}, false
}

// usable says whether a frame can begin with the packet.
func (a *FrameAssembler) usable(head *heldPacket) bool {
	if a.damaged && head.timestamp == a.damageAt {
		return false
	}
	return beginsFrame(a.codec, head.payload, a.contiguous)
}

// mayGiveUp says whether a missing packet has been waited for long enough; the timestamp is that of its neighbour.
func (a *FrameAssembler) mayGiveUp(missing uint16, timestamp uint32) bool {
	if a.flushing || a.newest-missing >= a.max {
		return true
	}
	since := a.newestTime - timestamp
	return int32(since) > 0 && since > a.maxDelay
}

// release moves on behind the packet at next.
func (a *FrameAssembler) release(p *heldPacket) {
	p.present = false
	a.next++
	a.consumed = true
}

// discard moves on behind a packet that belongs to no whole frame.
func (a *FrameAssembler) discard(p *heldPacket) {
	a.damage(p.timestamp)
	a.release(p)
	a.stats.PacketsDiscarded++
	a.dropped++
}

func (a *FrameAssembler) damage(timestamp uint32) {
	a.contiguous, a.damaged, a.damageAt = false, true, timestamp
}

// missing returns how many packets are missing from next on.
func (a *FrameAssembler) missing() uint16 {
	gap := uint16(0)
	for !a.at(a.next + gap).present {
		gap++ // the newest is there
	}
	return gap
}

func (a *FrameAssembler) skip(gap uint16) {
	a.next += gap
	a.stats.PacketsMissing += uint64(gap)
	a.dropped += int(gap)
	a.contiguous, a.consumed = false, true
}

// frameEnd says how the packets of a frame end.
type frameEnd uint8

const (
	frameWhole   frameEnd = iota
	frameHole             // a packet is missing
	frameArrives          // the newest packet belongs to it, perhaps not the last
)

// extent returns how many packets of the frame follow each other, and what comes then.
func (a *FrameAssembler) extent(head *heldPacket) (count int, end frameEnd) {
	for seq := a.next; ; seq++ {
		p := a.at(seq)
		switch {
		case int16(a.newest-seq) < 0:
			return count, frameArrives
		case !p.present:
			return count, frameHole
		case p.timestamp != head.timestamp:
			return count, frameWhole
		}
		count++
		if p.marker || !a.codec.Video() {
			return count, frameWhole
		}
	}
}

// giveUpFrame drops the packets of a frame of which one is missing, or that nothing ended.
func (a *FrameAssembler) giveUpFrame(head *heldPacket, count int) {
	timestamp := head.timestamp
	for range count {
		a.discard(a.at(a.next))
	}
	a.damage(timestamp)
}

// take makes a sample of the packets at next.
func (a *FrameAssembler) take(timestamp uint32, count int) (Sample, bool) {
	a.frame = a.frame[:0]
	whole := true
	for range count {
		p := a.at(a.next)
		if whole && len(p.payload) > 0 {
			part, err := a.depack.Unmarshal(p.payload)
			whole = err == nil && len(a.frame)+len(part) <= MaxFrame
			a.frame = append(a.frame, part...)
		}
		a.release(p)
	}
	a.contiguous, a.damaged = true, false
	if !whole || len(a.frame) == 0 {
		a.stats.Malformed++
		a.dropped += count
		_ = a.resetDepacketizer() // the codec is known
		return Sample{}, false
	}
	s := Sample{
		Data: a.frame, Timestamp: timestamp, KeyFrame: isKeyFrame(a.codec, a.frame),
		Duration: a.duration(timestamp), PrevDroppedPackets: uint16(min(a.dropped, 0xffff)),
	}
	a.emitted, a.lastTime, a.dropped = true, timestamp, 0
	a.stats.Frames++
	return s, true
}

func (a *FrameAssembler) duration(timestamp uint32) time.Duration {
	if a.codec.MimeType == MimeTypeOpus {
		return OpusDuration(a.frame)
	}
	since := int32(timestamp - a.lastTime)
	if !a.emitted || since < 0 {
		return 0
	}
	return time.Duration(since) * time.Second / time.Duration(a.rate)
}
