package webrtc

import (
	"sync"
	"time"

	"github.com/pion/rtp"

	"github.com/openparley/webrtc/internal/payload"
)

// A TrackLocalStaticSample is a track that the application feeds with encoded frames, which it packetises. Its methods
// may be called from any goroutine, but samples are a sequence: one goroutine should write them.
type TrackLocalStaticSample struct {
	rtp *TrackLocalStaticRTP

	mu         sync.Mutex // serialises samples
	packetizer *packetizer
}

// NewTrackLocalStaticSample makes a track of the given codec; the identifiers are those of NewTrackLocalStaticRTP. Its
// error is a TypeError, or a NotSupportedError when there is no payload format for the codec.
func NewTrackLocalStaticSample(codec RTPCodecCapability, id, streamID string, options ...func(*TrackLocalStaticRTP)) (*TrackLocalStaticSample, error) {
	t, err := NewTrackLocalStaticRTP(codec, id, streamID, options...)
	if err != nil {
		return nil, err
	}
	p, err := newPacketizer(codec)
	if err != nil {
		return nil, err
	}
	return &TrackLocalStaticSample{rtp: t, packetizer: p}, nil
}

// Bind implements TrackLocal.
func (s *TrackLocalStaticSample) Bind(c TrackLocalContext) (RTPCodecParameters, error) {
	return s.rtp.Bind(c)
}

// Unbind implements TrackLocal.
func (s *TrackLocalStaticSample) Unbind(c TrackLocalContext) error { return s.rtp.Unbind(c) }

func (s *TrackLocalStaticSample) forget(closed *transport) { s.rtp.forget(closed) }

// ID implements TrackLocal.
func (s *TrackLocalStaticSample) ID() string { return s.rtp.ID() }

// RID implements TrackLocal.
func (s *TrackLocalStaticSample) RID() string { return s.rtp.RID() }

// StreamID implements TrackLocal.
func (s *TrackLocalStaticSample) StreamID() string { return s.rtp.StreamID() }

// Kind implements TrackLocal.
func (s *TrackLocalStaticSample) Kind() RTPCodecType { return s.rtp.Kind() }

// Codec returns the codec that the track was made with.
func (s *TrackLocalStaticSample) Codec() RTPCodecCapability { return s.rtp.Codec() }

// WriteSample packetises a frame (a media.Sample) and sends it to every connection that the track is bound to. The frame's Duration moves
// the RTP timestamp on; dropped packets that the source knows of (PrevDroppedPackets) leave a gap in the sequence
// numbers. The data is not kept.
func (s *TrackLocalStaticSample) WriteSample(sample payload.Sample) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	bindings := *s.rtp.bindings.Load()
	var failed error
	s.packetizer.packetize(sample, func(header *rtp.Header, body []byte) {
		for i := range bindings {
			header.PayloadType = uint8(bindings[i].pt)
			if _, err := bindings[i].writer.WriteRTP(header, body); err != nil {
				failed = joinUnlessClosed(failed, err)
			}
		}
	})
	return failed
}

// rtpPayloadSize leaves room for IPv6, UDP, a TURN channel, the RTP header with extensions and the SRTP tag in a packet
// of 1280 bytes, which every path carries.
const rtpPayloadSize = 1160

// A packetizer turns frames into RTP packets.
type packetizer struct {
	payloader rtp.Payloader
	clockRate uint64
	sequence  uint16
	timestamp uint32
	// remainder is what the timestamp lags behind the sum of the durations, in units of 1/clockRate nanoseconds, so that
	// 29.97 frames a second do not drift. It begins at one half: timestamps are rounded, not cut.
	remainder uint64
}

func newPacketizer(codec RTPCodecCapability) (*packetizer, error) {
	payloader, err := payload.NewPayloader(codec.MimeType)
	if err != nil {
		return nil, &NotSupportedError{Err: err}
	}
	if codec.ClockRate == 0 {
		return nil, typeError("%s without a clock rate", codec.MimeType)
	}
	// RFC 3550, section 5.1: both start at random.
	return &packetizer{
		payloader: payloader, clockRate: uint64(codec.ClockRate), sequence: randomUint16(), timestamp: randomUint32(),
		remainder: uint64(time.Second / 2),
	}, nil
}

// packetize calls send for each packet of the frame; the last one carries the marker. The header is reused.
func (p *packetizer) packetize(s payload.Sample, send func(header *rtp.Header, body []byte)) {
	p.sequence += s.PrevDroppedPackets
	bodies := p.payloader.Payload(rtpPayloadSize, s.Data)
	header := rtp.Header{Version: 2, Timestamp: p.timestamp}
	for i, body := range bodies {
		header.Marker = i == len(bodies)-1
		header.SequenceNumber = p.sequence
		p.sequence++
		send(&header, body)
	}
	ticks := uint64(max(s.Duration, 0))*p.clockRate + p.remainder
	p.timestamp += uint32(ticks / uint64(time.Second))
	p.remainder = ticks % uint64(time.Second)
}
