package rtpflow

import "time"

// SenderConfig describes one outgoing stream.
type SenderConfig struct {
	SSRC      uint32
	ClockRate uint32 // of its payload types, Hz; zero: 90000
}

// OutboundStats are W3C's RTCSentRtpStreamStats, the network part of RTCOutboundRtpStreamStats, and
// RTCRemoteInboundRtpStreamStats.
type OutboundStats struct {
	SSRC                     uint32
	PacketsSent              uint64 // retransmissions included
	BytesSent                uint64 // payload
	HeaderBytesSent          uint64 // header, extensions and padding
	RetransmittedPacketsSent uint64
	RetransmittedBytesSent   uint64
	FramesSent               uint64 // packets with the marker bit
	LastPacketSent           time.Time
	NACKCount                uint32
	PLICount                 uint32
	FIRCount                 uint32
	Remote                   RemoteInboundStats
}

// RemoteInboundStats are what the receiver's reports said.
type RemoteInboundStats struct {
	ReportsReceived           uint64
	PacketsLost               int32
	FractionLost              float64 // 0 to 1, of the last report
	Jitter                    time.Duration
	HighestSequenceNumber     uint32
	RoundTripTime             time.Duration // the last; zero: not measured yet
	TotalRoundTripTime        time.Duration
	RoundTripTimeMeasurements uint64
	LastReport                time.Time
}

// SenderStream is the bookkeeping of one outgoing SSRC (RFC 3550 §6.4).
type SenderStream struct {
	cfg       SenderConfig
	timestamp uint32 // of the last packet, and when it was sent
	sentAt    time.Time
	octets    uint32 // payload, as sender reports count it
	packets   uint32
	reported  uint32 // packets at the last report
	stats     OutboundStats
}

// NewSenderStream makes the bookkeeping of a stream.
func NewSenderStream(cfg SenderConfig) *SenderStream {
	if cfg.ClockRate == 0 {
		cfg.ClockRate = 90000
	}
	return &SenderStream{cfg: cfg}
}

// SSRC returns the stream's SSRC.
func (s *SenderStream) SSRC() uint32 { return s.cfg.SSRC }

// Sent counts a packet that leaves in the stream.
func (s *SenderStream) Sent(now time.Time, h *Header) {
	s.count(now, h)
	// A packet sent again, or late, is no sign of where the media clock is.
	if s.packets == 1 || int32(h.Timestamp-s.timestamp) >= 0 {
		s.timestamp, s.sentAt = h.Timestamp, now
	}
	if h.Marker {
		s.stats.FramesSent++
	}
}

// SentAgain counts a retransmission that leaves in the stream itself, or in the retransmission stream that this is.
func (s *SenderStream) SentAgain(now time.Time, h *Header) {
	s.count(now, h)
	s.stats.RetransmittedPacketsSent++
	s.stats.RetransmittedBytesSent += uint64(len(h.Payload))
	if s.sentAt.IsZero() {
		s.timestamp, s.sentAt = h.Timestamp, now
	}
}

func (s *SenderStream) count(now time.Time, h *Header) {
	s.packets++
	s.octets += uint32(len(h.Payload))
	s.stats.PacketsSent++
	s.stats.BytesSent += uint64(len(h.Payload))
	s.stats.HeaderBytesSent += uint64(h.Length + h.Padding)
	s.stats.LastPacketSent = now
}

// SenderInfo makes the sender's part of a sender report: the timestamp is what the media clock shows now, reckoned from
// the last packet. It is false before the first packet.
func (s *SenderStream) SenderInfo(now time.Time) (SenderInfo, bool) {
	if s.sentAt.IsZero() {
		return SenderInfo{}, false
	}
	units := int64(now.Sub(s.sentAt).Seconds() * float64(s.cfg.ClockRate))
	return SenderInfo{
		SSRC: s.cfg.SSRC, NTP: NTPTime(now), RTP: s.timestamp + uint32(units), Packets: s.packets, Octets: s.octets,
	}, true
}

// active says whether packets were sent since the last report (RFC 3550 §6.4: then it is an SR).
func (s *SenderStream) active() bool { return s.packets != s.reported }

// HandleReportBlock notes a reception report about the stream and returns the round-trip time if it gave one (RFC 3550
// §6.4.1).
func (s *SenderStream) HandleReportBlock(now time.Time, b ReportBlock) (rtt time.Duration, ok bool) {
	r := &s.stats.Remote
	r.ReportsReceived++
	r.LastReport = now
	r.PacketsLost = b.Lost
	r.FractionLost = float64(b.FractionLost) / 256
	r.Jitter = time.Duration(uint64(b.Jitter) * uint64(time.Second) / uint64(s.cfg.ClockRate))
	r.HighestSequenceNumber = b.Highest
	if b.LSR == 0 {
		return 0, false
	}
	units := compactNTP(now) - b.LSR - b.DLSR
	if int32(units) < 0 {
		// The peer rounded its delay up past a very short path.
		if -int32(units) > 65536/100 {
			return 0, false
		}
		units = 0
	}
	rtt = compactDuration(units)
	if rtt > time.Minute {
		return 0, false
	}
	// A round trip is never nothing: W3C's consumers take zero for "not measured".
	rtt = max(rtt, time.Second/65536)
	r.RoundTripTime = rtt
	r.TotalRoundTripTime += rtt
	r.RoundTripTimeMeasurements++
	return rtt, true
}

// CountNACK, CountPLI and CountFIR count feedback that came about the stream.
func (s *SenderStream) CountNACK() { s.stats.NACKCount++ }

// CountPLI counts a picture loss indication that came.
func (s *SenderStream) CountPLI() { s.stats.PLICount++ }

// CountFIR counts a full intra request that came.
func (s *SenderStream) CountFIR() { s.stats.FIRCount++ }

// Stats returns the counters.
func (s *SenderStream) Stats() OutboundStats {
	st := s.stats
	st.SSRC = s.cfg.SSRC
	return st
}
