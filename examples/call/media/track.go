package media

import (
	"fmt"
	"math/rand/v2"

	"github.com/pion/rtp"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/media"
)

// A Track is a webrtc.TrackLocal that is fed with whole frames and cuts them into RTP packets itself. WriteSample is for
// one goroutine at a time.
type Track struct {
	*webrtc.TrackLocalStaticRTP
	packetizer rtp.Packetizer
}

// maxPacket is how large an RTP packet may be so that it fits into any path, encryption included.
const maxPacket = 1200

// NewTrack makes a track for the clip's codec. id and streamID are announced to the peer.
func (c *Clip) NewTrack(id, streamID string) (*Track, error) {
	payloader, err := media.NewPayloader(c.Codec.MimeType)
	if err != nil {
		return nil, err
	}
	static, err := webrtc.NewTrackLocalStaticRTP(c.Codec, id, streamID)
	if err != nil {
		return nil, fmt.Errorf("track %s: %w", id, err)
	}
	// Payload type and SSRC are each connection's own; the connection writes them into the packets.
	packetizer := rtp.NewPacketizerWithOptions(maxPacket, payloader, rtp.NewRandomSequencer(), c.Codec.ClockRate,
		rtp.WithTimestamp(rand.Uint32()))
	return &Track{static, packetizer}, nil
}

// WriteSample sends a frame to every connection that the track is bound to.
func (t *Track) WriteSample(frame media.Sample) error {
	units := (frame.Duration.Nanoseconds()*int64(t.Codec().ClockRate) + 5e8) / 1e9
	for _, packet := range t.packetizer.Packetize(frame.Data, uint32(units)) {
		if err := t.WriteRTP(packet); err != nil {
			return err
		}
	}
	return nil
}
