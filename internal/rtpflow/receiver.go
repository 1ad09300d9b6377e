package rtpflow

import (
	"math/bits"
	"time"
)

// ReceiverConfig describes one incoming stream.
type ReceiverConfig struct {
	SSRC      uint32
	ClockRate uint32 // of its payload types, Hz; zero: 90000
}

// Verdict says what a received packet is.
type Verdict uint8

const (
	// VerdictNew is the newest packet so far, perhaps after a gap.
	VerdictNew Verdict = iota
	// VerdictLate is an older packet that was missing.
	VerdictLate
	// VerdictDuplicate was received before (or is older than the 1024 packets that are remembered): drop it.
	VerdictDuplicate
	// VerdictSuspect is far away from the others: drop it, unless the next one follows it (RFC 3550 A.1).
	VerdictSuspect
	// VerdictRestart is the second of two packets that follow each other far away from the others: the sender has
	// started again, extended sequence numbers go on in a new cycle.
	VerdictRestart
)

// Arrival is where a packet stands in its stream.
type Arrival struct {
	Verdict Verdict
	// Extended is the sequence number with the cycles in front of it.
	Extended uint64
	// Missing is how many packets directly before a new packet have not come.
	Missing int
}

// InboundStats are W3C's RTCReceivedRtpStreamStats and the network part of RTCInboundRtpStreamStats.
type InboundStats struct {
	SSRC                         uint32
	PacketsReceived              uint64
	PacketsLost                  int64 // negative: duplicates outnumber losses
	Jitter                       time.Duration
	BytesReceived                uint64 // payload
	HeaderBytesReceived          uint64 // header, extensions and padding
	LastPacketReceived           time.Time
	RetransmittedPacketsReceived uint64
	RetransmittedBytesReceived   uint64
	PacketsDuplicated            uint64
	PacketsSuspect               uint64
	FramesReceived               uint64 // packets with the marker bit
	NACKCount                    uint32
	PLICount                     uint32
	FIRCount                     uint32
	// What the sender said of itself: W3C's RTCRemoteOutboundRtpStreamStats.
	Remote RemoteOutboundStats
}

// RemoteOutboundStats are what sender reports said.
type RemoteOutboundStats struct {
	ReportsSent     uint64
	PacketsSent     uint32
	BytesSent       uint32
	RemoteTimestamp time.Time
	LastReport      time.Time // on our clock
}

const (
	maxDropout  = 3000 // RFC 3550 A.1
	maxMisorder = 1024 // the RFC has 100; a retransmission may come later than that
	seenPackets = 1024
)

// ReceiverStream is the bookkeeping of one incoming SSRC (RFC 3550 A.1, A.3 and A.8). There is no probation: only packets
// that passed SRTP's authentication get here.
type ReceiverStream struct {
	cfg     ReceiverConfig
	started bool
	highest uint64
	base    uint64 // first packet of what is counted
	suspect uint32 // the sequence number that would confirm a restart; no 16-bit number: none
	seen    [seenPackets / 64]uint64

	// Jitter, A.8.
	epoch   time.Time // the clock of arrivals runs from here
	transit uint32
	jitter  uint32 // timestamp units, times 16

	counted      uint64 // packets since base, duplicates included (A.3)
	expectedLast uint64 // at the last report
	countedLast  uint64
	lostBefore   int64 // before a restart

	lsr   uint32
	lsrAt time.Time
	sr    SenderInfo

	stats InboundStats
}

const noSuspect = 1 << 16

// NewReceiverStream makes the bookkeeping of a stream.
func NewReceiverStream(cfg ReceiverConfig) *ReceiverStream {
	if cfg.ClockRate == 0 {
		cfg.ClockRate = 90000
	}
	return &ReceiverStream{cfg: cfg, suspect: noSuspect}
}

// SSRC returns the stream's SSRC.
func (r *ReceiverStream) SSRC() uint32 { return r.cfg.SSRC }

// Receive counts a packet that came in the stream itself.
func (r *ReceiverStream) Receive(now time.Time, h *Header) Arrival {
	a := r.place(h.SequenceNumber)
	r.count(now, h, a)
	if a.Verdict == VerdictNew || a.Verdict == VerdictLate || a.Verdict == VerdictRestart {
		r.measureJitter(now, h.Timestamp)
	}
	return a
}

// ReceiveRepaired counts a packet that a retransmission brought; h is the header of the original packet. Its arrival says
// nothing about jitter, and it cannot restart the stream.
func (r *ReceiverStream) ReceiveRepaired(now time.Time, h *Header) Arrival {
	if !r.started {
		return Arrival{Verdict: VerdictSuspect}
	}
	if d := h.SequenceNumber - uint16(r.highest); d >= maxDropout && -d >= maxMisorder {
		r.stats.PacketsSuspect++
		return Arrival{Verdict: VerdictSuspect}
	}
	a := r.place(h.SequenceNumber)
	r.stats.RetransmittedPacketsReceived++
	r.stats.RetransmittedBytesReceived += uint64(len(h.Payload))
	r.count(now, h, a)
	return a
}

// place finds the extended sequence number and says whether it is new.
func (r *ReceiverStream) place(seq uint16) Arrival {
	if !r.started {
		// One cycle in front, so that packets from before the first have a place.
		r.started = true
		r.restartAt(1<<16 | uint64(seq))
		return Arrival{Verdict: VerdictNew, Extended: r.highest}
	}
	delta := seq - uint16(r.highest)
	switch {
	case delta != 0 && delta < maxDropout:
		ext := r.highest + uint64(delta)
		r.advanceTo(ext)
		r.suspect = noSuspect
		return Arrival{Verdict: VerdictNew, Extended: ext, Missing: int(delta) - 1}
	case -delta < maxMisorder:
		ext := r.highest - uint64(-delta)
		if r.isSeen(ext) {
			return Arrival{Verdict: VerdictDuplicate, Extended: ext}
		}
		r.setSeen(ext)
		r.base = min(r.base, ext)
		return Arrival{Verdict: VerdictLate, Extended: ext}
	case uint32(seq) == r.suspect:
		r.lostBefore += int64(r.expected()) - int64(r.counted)
		r.restartAt((r.highest>>16+1)<<16 | uint64(seq))
		return Arrival{Verdict: VerdictRestart, Extended: r.highest}
	default:
		r.suspect = uint32(seq + 1)
		return Arrival{Verdict: VerdictSuspect}
	}
}

func (r *ReceiverStream) restartAt(ext uint64) {
	clear(r.seen[:])
	r.highest, r.base = ext, ext
	r.suspect = noSuspect
	r.counted, r.countedLast, r.expectedLast = 0, 0, 0
	r.epoch, r.jitter = time.Time{}, 0
	r.setSeen(ext)
}

func (r *ReceiverStream) advanceTo(ext uint64) {
	if ext-r.highest >= seenPackets {
		clear(r.seen[:])
	} else {
		for i := r.highest + 1; i < ext; i++ {
			r.seen[i/64%(seenPackets/64)] &^= 1 << (i % 64)
		}
	}
	r.setSeen(ext)
	r.highest = ext
}

func (r *ReceiverStream) setSeen(ext uint64) { r.seen[ext/64%(seenPackets/64)] |= 1 << (ext % 64) }

func (r *ReceiverStream) isSeen(ext uint64) bool {
	return r.seen[ext/64%(seenPackets/64)]&(1<<(ext%64)) != 0
}

func (r *ReceiverStream) count(now time.Time, h *Header, a Arrival) {
	switch a.Verdict {
	case VerdictSuspect:
		r.stats.PacketsSuspect++
		return
	case VerdictDuplicate:
		r.stats.PacketsDuplicated++
		r.counted++ // A.3: "the number of packets received includes any which are late or duplicates"
		return
	}
	r.counted++
	r.stats.PacketsReceived++
	r.stats.BytesReceived += uint64(len(h.Payload))
	r.stats.HeaderBytesReceived += uint64(h.Length + h.Padding)
	r.stats.LastPacketReceived = now
	if h.Marker {
		r.stats.FramesReceived++
	}
}

// measureJitter follows A.8 in integers. The arrival clock starts at the first packet, which keeps its product with the
// clock rate in range.
func (r *ReceiverStream) measureJitter(now time.Time, timestamp uint32) {
	first := r.epoch.IsZero()
	if first {
		r.epoch = now
	}
	transit := r.units(now.Sub(r.epoch)) - timestamp
	d := int32(transit - r.transit)
	r.transit = transit
	if first {
		return
	}
	if d < 0 {
		d = -d
	}
	// A jump of the timestamps is no jitter.
	if uint32(d) > 10*r.cfg.ClockRate {
		return
	}
	r.jitter += uint32(d) - (r.jitter+8)>>4
}

// units converts to timestamp units, modulo 2^32.
func (r *ReceiverStream) units(d time.Duration) uint32 {
	hi, lo := bits.Mul64(uint64(max(d, 0)), uint64(r.cfg.ClockRate))
	q, _ := bits.Div64(hi%uint64(time.Second), lo, uint64(time.Second))
	return uint32(q)
}

func (r *ReceiverStream) expected() uint64 {
	if !r.started {
		return 0
	}
	return r.highest - r.base + 1
}

// HandleSenderReport notes a sender report of the stream (RFC 3550 §6.4.1).
func (r *ReceiverStream) HandleSenderReport(now time.Time, s SenderInfo) {
	r.lsr, r.lsrAt, r.sr = uint32(s.NTP>>16), now, s
	r.stats.Remote.ReportsSent++
	r.stats.Remote.PacketsSent, r.stats.Remote.BytesSent = s.Packets, s.Octets
	r.stats.Remote.RemoteTimestamp, r.stats.Remote.LastReport = TimeOfNTP(s.NTP), now
}

// CaptureTime converts a timestamp of the stream to the sender's wall clock, for playing streams of one sender in step.
// It is false before the first sender report.
func (r *ReceiverStream) CaptureTime(timestamp uint32) (time.Time, bool) {
	if r.lsrAt.IsZero() {
		return time.Time{}, false
	}
	units := int64(int32(timestamp - r.sr.RTP))
	return TimeOfNTP(r.sr.NTP).Add(time.Duration(units * int64(time.Second) / int64(r.cfg.ClockRate))), true
}

// ReportBlock makes the reception report of the stream and starts the next interval (RFC 3550 §6.4.1, A.3). It is false
// before the first packet.
func (r *ReceiverStream) ReportBlock(now time.Time) (ReportBlock, bool) {
	if !r.started {
		return ReportBlock{}, false
	}
	expected, counted := r.expected(), r.counted
	b := ReportBlock{
		SSRC:    r.cfg.SSRC,
		Lost:    int32(min(max(r.lost(), -1<<23), 1<<23-1)),
		Highest: uint32(r.highest - 1<<16),
		Jitter:  r.jitter >> 4,
		LSR:     r.lsr,
	}
	if r.lsr != 0 {
		b.DLSR = uint32(min(now.Sub(r.lsrAt), time.Hour) * 65536 / time.Second)
	}
	expectedNow := int64(expected) - int64(r.expectedLast)
	lostNow := expectedNow - (int64(counted) - int64(r.countedLast))
	if expectedNow > 0 && lostNow > 0 {
		b.FractionLost = uint8(min(lostNow<<8/expectedNow, 255))
	}
	r.expectedLast, r.countedLast = expected, counted
	return b, true
}

func (r *ReceiverStream) lost() int64 {
	return r.lostBefore + int64(r.expected()) - int64(r.counted)
}

// CountNACK, CountPLI and CountFIR count feedback that was sent about the stream.
func (r *ReceiverStream) CountNACK() { r.stats.NACKCount++ }

// CountPLI counts a picture loss indication that was sent.
func (r *ReceiverStream) CountPLI() { r.stats.PLICount++ }

// CountFIR counts a full intra request that was sent.
func (r *ReceiverStream) CountFIR() { r.stats.FIRCount++ }

// Stats returns the counters.
func (r *ReceiverStream) Stats() InboundStats {
	s := r.stats
	s.SSRC = r.cfg.SSRC
	s.PacketsLost = r.lost()
	s.Jitter = time.Duration(uint64(r.jitter>>4) * uint64(time.Second) / uint64(r.cfg.ClockRate))
	return s
}
