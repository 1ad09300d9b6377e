package main

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtp"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/media"
)

// A source is where the packets of an output come from.
type source int

const (
	fromClip source = iota
	fromVisitor
	sources
)

// An output is one track that a visitor gets, from one source at a time. The browser must not notice a change: whatever
// the source, the packets are numbered on and their time goes on, and video changes with a key frame. Its methods may be
// called from any goroutine.
type output struct {
	track *webrtc.TrackLocalStaticRTP
	send  func(*rtp.Packet) error // the track's
	clock uint32                  // units a second
	video bool

	mu      sync.Mutex // guards what follows
	request [sources]func()
	wanted  source
	current source // it stays until the wanted one has a key frame

	// The last packet that was sent, and when.
	sequence  uint16
	timestamp uint32
	at        time.Time
	// What is added to the current source's numbers.
	sequenceShift  uint16
	timestampShift uint32
	begun          bool // the shifts are those of the current source
}

func newOutput(codec webrtc.RTPCodecCapability, id string) (*output, error) {
	track, err := webrtc.NewTrackLocalStaticRTP(codec, id, "parley")
	if err != nil {
		return nil, err
	}
	return &output{
		track: track, send: track.WriteRTP, clock: codec.ClockRate, video: track.Kind() == webrtc.RTPCodecTypeVideo,
		sequence: uint16(rand.Uint32()), timestamp: rand.Uint32(), at: time.Now(),
	}, nil
}

// source introduces a source. keyFrame is called when one of its key frames is needed; it must not wait.
func (o *output) source(s source, keyFrame func()) {
	o.mu.Lock()
	o.request[s] = keyFrame
	needed := o.wanted == s && o.current != s
	o.mu.Unlock()
	if needed {
		keyFrame()
	}
}

// choose changes to another source as soon as that has something.
func (o *output) choose(s source) {
	o.mu.Lock()
	o.wanted = s
	o.mu.Unlock()
	o.keyFrame()
}

// keyFrame asks the wanted source for a key frame.
func (o *output) keyFrame() {
	o.mu.Lock()
	request := o.request[o.wanted]
	o.mu.Unlock()
	if o.video && request != nil {
		request()
	}
}

// write sends a packet if it comes from the source that is on air. It changes the packet.
func (o *output) write(from source, p *rtp.Packet) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if from == o.wanted && from != o.current && (!o.video || beginsKeyFrame(p.Payload)) {
		o.current, o.begun = from, false
	}
	if from != o.current {
		return nil
	}
	now := time.Now()
	if !o.begun {
		o.begun = true
		pause := uint32(max(now.Sub(o.at).Seconds()*float64(o.clock), 1))
		o.sequenceShift = o.sequence + 1 - p.SequenceNumber
		o.timestampShift = o.timestamp + pause - p.Timestamp
	}
	// Header extensions are each connection's own, and stay behind.
	forward := rtp.Packet{Header: rtp.Header{
		Version: 2, Marker: p.Marker, SequenceNumber: p.SequenceNumber + o.sequenceShift, Timestamp: p.Timestamp + o.timestampShift,
	}, Payload: p.Payload}
	if o.video {
		forward.Payload = bare(p.Payload)
	}
	// A packet that was overtaken does not turn the clock back.
	if int16(forward.SequenceNumber-o.sequence) > 0 {
		o.sequence, o.timestamp, o.at = forward.SequenceNumber, forward.Timestamp, now
	}
	return o.send(&forward)
}

// descriptorSize is how long the payload descriptor of a VP8 packet is (RFC 7741, section 4.2); zero if it is cut off.
func descriptorSize(payload []byte) int {
	n := 1
	if len(payload) > 1 && payload[0]&0x80 != 0 { // X: there are optional fields
		fields := payload[1]
		n++
		if fields&0x80 != 0 && len(payload) > n { // I: a picture id, of two bytes if its first bit is set
			n += 1 + int(payload[n]>>7)
		}
		if fields&0x40 != 0 { // L
			n++
		}
		if fields&0x30 != 0 { // T or K
			n++
		}
	}
	if n >= len(payload) {
		return 0
	}
	return n
}

// beginsKeyFrame tells whether a VP8 payload is the first of a key frame: S is set and the partition is the first one in
// the descriptor, and P is zero in the frame's header (RFC 7741, sections 4.2 and 4.3).
func beginsKeyFrame(payload []byte) bool {
	n := descriptorSize(payload)
	return n > 0 && payload[0]&0x17 == 0x10 && payload[n]&1 == 0
}

// bare takes the optional fields out of a VP8 payload's descriptor: picture ids and layers of two sources do not fit
// together. Without them, the sequence numbers tell everything.
func bare(payload []byte) []byte {
	n := descriptorSize(payload)
	if n == 0 {
		return payload
	}
	payload[n-1] = payload[0] & 0x37 // N, S and PID
	return payload[n-1:]
}

// maxPacket is how large an RTP packet may be so that it fits into any path, encryption included.
const maxPacket = 1200

// packetize returns a function that cuts a clip's frames into packets for the output.
func (o *output) packetize(codec webrtc.RTPCodecCapability) (func(media.Sample) error, error) {
	payloader, err := media.NewPayloader(codec.MimeType)
	if err != nil {
		return nil, err
	}
	packetizer := rtp.NewPacketizerWithOptions(maxPacket, payloader, rtp.NewRandomSequencer(), codec.ClockRate)
	return func(frame media.Sample) error {
		units := uint32(frame.Duration.Seconds()*float64(codec.ClockRate) + 0.5)
		for _, packet := range packetizer.Packetize(frame.Data, units) {
			if err := o.write(fromClip, packet); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
