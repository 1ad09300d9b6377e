package rtpflow

import (
	"encoding/binary"
	"time"
)

// RTCP packet types (RFC 3550 §12.1, RFC 4585 §6.1, RFC 3611).
const (
	TypeSenderReport      = 200
	TypeReceiverReport    = 201
	TypeSourceDescription = 202
	TypeGoodbye           = 203
	TypeApplication       = 204
	TypeTransportFeedback = 205
	TypePayloadFeedback   = 206
	TypeExtendedReport    = 207
)

// Feedback message types: the count field of TypeTransportFeedback and TypePayloadFeedback.
const (
	FeedbackNACK         = 1  // transport: generic NACK, RFC 4585 §6.2.1
	FeedbackTransportCC  = 15 // transport: transport-wide congestion control
	FeedbackPLI          = 1  // payload: picture loss indication, RFC 4585 §6.3.1
	FeedbackFIR          = 4  // payload: full intra request, RFC 5104 §4.3.1
	FeedbackApplication  = 15 // payload: application layer, REMB
	maxReportBlocks      = 31
	reportBlockSize      = 24
	senderReportSize     = 28
	receiverReportHeader = 8
)

// RTCP is a view of one packet of a compound. Its slice points into the datagram.
type RTCP struct {
	Type  uint8
	Count uint8  // reception reports, chunks, sources, or the feedback message type
	Body  []byte // what follows the first word, without padding
}

// NextRTCP takes the first packet off a compound. It fails with ErrShort or ErrVersion; what was read before stands. Each
// call consumes at least four bytes.
func NextRTCP(compound []byte) (p RTCP, rest []byte, err error) {
	if len(compound) < 4 {
		return RTCP{}, nil, ErrShort
	}
	if compound[0]>>6 != 2 {
		return RTCP{}, nil, ErrVersion
	}
	n := 4 + 4*int(binary.BigEndian.Uint16(compound[2:]))
	if len(compound) < n {
		return RTCP{}, nil, ErrShort
	}
	p = RTCP{Type: compound[1], Count: compound[0] & 0x1f, Body: compound[4:n:n]}
	if compound[0]&0x20 != 0 {
		if len(p.Body) == 0 {
			return RTCP{}, nil, ErrShort
		}
		pad := int(p.Body[len(p.Body)-1])
		if pad == 0 || pad%4 != 0 || pad > len(p.Body) {
			return RTCP{}, nil, ErrShort
		}
		p.Body = p.Body[:len(p.Body)-pad]
	}
	return p, compound[n:], nil
}

// SSRC returns the sender of the packet, which is its first word in every type but SDES. It is false for a packet
// without one.
func (p *RTCP) SSRC() (uint32, bool) {
	if len(p.Body) < 4 || p.Type == TypeSourceDescription || p.Type == TypeGoodbye && p.Count == 0 {
		return 0, false
	}
	return binary.BigEndian.Uint32(p.Body), true
}

// SenderInfo is the sender's part of a sender report (RFC 3550 §6.4.1).
type SenderInfo struct {
	SSRC    uint32
	NTP     uint64 // 32.32 seconds since 1900
	RTP     uint32
	Packets uint32
	Octets  uint32
}

// SenderInfo reads a sender report.
func (p *RTCP) SenderInfo() (SenderInfo, bool) {
	if p.Type != TypeSenderReport || len(p.Body) < 24 {
		return SenderInfo{}, false
	}
	b := p.Body
	return SenderInfo{
		SSRC:    binary.BigEndian.Uint32(b),
		NTP:     binary.BigEndian.Uint64(b[4:]),
		RTP:     binary.BigEndian.Uint32(b[12:]),
		Packets: binary.BigEndian.Uint32(b[16:]),
		Octets:  binary.BigEndian.Uint32(b[20:]),
	}, true
}

// ReportBlock is a reception report (RFC 3550 §6.4.1).
type ReportBlock struct {
	SSRC         uint32 // whose packets are reported on
	FractionLost uint8  // of 256, since the last report
	Lost         int32  // cumulative, 24 bits
	Highest      uint32 // extended sequence number
	Jitter       uint32 // timestamp units
	LSR          uint32 // middle 32 bits of the last sender report's NTP time; 0: none came
	DLSR         uint32 // since then, 1/65536 s
}

// ReportBlock returns the i-th reception report of a sender or receiver report, false behind the last.
func (p *RTCP) ReportBlock(i int) (ReportBlock, bool) {
	at := 4
	switch p.Type {
	case TypeSenderReport:
		at = 24
	case TypeReceiverReport:
	default:
		return ReportBlock{}, false
	}
	at += i * reportBlockSize
	if i < 0 || i >= int(p.Count) || len(p.Body) < at+reportBlockSize {
		return ReportBlock{}, false
	}
	b := p.Body[at:]
	word := binary.BigEndian.Uint32(b[4:])
	return ReportBlock{
		SSRC:         binary.BigEndian.Uint32(b),
		FractionLost: uint8(word >> 24),
		Lost:         int32(word<<8) >> 8,
		Highest:      binary.BigEndian.Uint32(b[8:]),
		Jitter:       binary.BigEndian.Uint32(b[12:]),
		LSR:          binary.BigEndian.Uint32(b[16:]),
		DLSR:         binary.BigEndian.Uint32(b[20:]),
	}, true
}

// MediaSSRC returns the media source that a feedback message speaks of. A FIR leaves it zero and names its sources in
// its entries (RFC 5104 §4.3.1.2).
func (p *RTCP) MediaSSRC() (uint32, bool) {
	if p.Type != TypeTransportFeedback && p.Type != TypePayloadFeedback || len(p.Body) < 8 {
		return 0, false
	}
	return binary.BigEndian.Uint32(p.Body[4:]), true
}

// NACK returns the i-th pair of a generic NACK: a lost packet, and a bit for each of the 16 that follow it.
func (p *RTCP) NACK(i int) (pid, blp uint16, ok bool) {
	if p.Type != TypeTransportFeedback || p.Count != FeedbackNACK || i < 0 || len(p.Body) < 8+4*i+4 {
		return 0, 0, false
	}
	b := p.Body[8+4*i:]
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), true
}

// FIR returns the i-th entry of a full intra request.
func (p *RTCP) FIR(i int) (ssrc uint32, seq uint8, ok bool) {
	if p.Type != TypePayloadFeedback || p.Count != FeedbackFIR || i < 0 || len(p.Body) < 8+8*i+8 {
		return 0, 0, false
	}
	b := p.Body[8+8*i:]
	return binary.BigEndian.Uint32(b), b[4], true
}

// IsPLI says whether the packet is a picture loss indication; MediaSSRC tells of what.
func (p *RTCP) IsPLI() bool {
	return p.Type == TypePayloadFeedback && p.Count == FeedbackPLI && len(p.Body) >= 8
}

// Goodbye returns the i-th source that leaves.
func (p *RTCP) Goodbye(i int) (uint32, bool) {
	if p.Type != TypeGoodbye || i < 0 || i >= int(p.Count) || len(p.Body) < 4*i+4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(p.Body[4*i:]), true
}

// NTPTime converts to NTP's 32.32 seconds since 1900 (RFC 3550 §4).
func NTPTime(t time.Time) uint64 {
	const unixEpoch = 2208988800
	sec := uint64(t.Unix() + unixEpoch)
	frac := uint64(t.Nanosecond()) << 32 / uint64(time.Second)
	return sec<<32 | frac
}

// TimeOfNTP converts from NTP's 32.32 seconds, taken to lie between 1968 and 2104 (RFC 2030 §3).
func TimeOfNTP(ntp uint64) time.Time {
	const unixEpoch = 2208988800
	sec := int64(ntp>>32) - unixEpoch
	if ntp>>63 == 0 {
		sec += 1 << 32
	}
	return time.Unix(sec, int64(ntp&0xffffffff*uint64(time.Second)>>32)).UTC()
}

// compactNTP is the middle 32 bits.
func compactNTP(t time.Time) uint32 { return uint32(NTPTime(t) >> 16) }

// compactDuration converts 1/65536 s.
func compactDuration(v uint32) time.Duration {
	return time.Duration(uint64(v) * uint64(time.Second) >> 16)
}
