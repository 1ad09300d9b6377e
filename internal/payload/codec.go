// Package payload is what the connections and the media package both know of encoded media: samples, and how each media
// type travels in RTP.
package payload

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// ErrCodec says that a codec is not known, or not one that a format can hold.
var ErrCodec = errors.New("media: unsupported codec")

// Media types of RTP payload formats; they compare without regard to case.
const (
	MimeTypeVP8  = "video/VP8"
	MimeTypeVP9  = "video/VP9"
	MimeTypeAV1  = "video/AV1"
	MimeTypeH264 = "video/H264"
	MimeTypeOpus = "audio/opus"
	MimeTypePCMU = "audio/PCMU"
	MimeTypePCMA = "audio/PCMA"
	MimeTypeG722 = "audio/G722"
)

// Codec says how a media type travels in RTP.
type Codec struct {
	MimeType  string
	ClockRate uint32
	Channels  uint16 // zero for video
}

// Video says whether the codec is one of video.
func (c Codec) Video() bool { return c.Channels == 0 }

// KnownCodecs are the media types that have a payload format. It must not be changed.
var KnownCodecs = []Codec{
	{MimeTypeVP8, 90000, 0},
	{MimeTypeVP9, 90000, 0},
	{MimeTypeAV1, 90000, 0},
	{MimeTypeH264, 90000, 0},
	{MimeTypeOpus, 48000, 2},
	{MimeTypePCMU, 8000, 1},
	{MimeTypePCMA, 8000, 1},
	{MimeTypeG722, 8000, 1}, // RFC 3551 §4.5.2: 16000 samples a second, a clock of 8000
}

// CodecOf returns what is known of a media type. It fails with ErrCodec.
func CodecOf(mimeType string) (Codec, error) {
	for _, c := range KnownCodecs {
		if strings.EqualFold(c.MimeType, mimeType) {
			return c, nil
		}
	}
	return Codec{}, fmt.Errorf("%w %q", ErrCodec, mimeType)
}

// NewPayloader returns what cuts frames of a media type into RTP payloads. It fails with ErrCodec.
func NewPayloader(mimeType string) (rtp.Payloader, error) {
	c, err := CodecOf(mimeType)
	if err != nil {
		return nil, err
	}
	switch c.MimeType {
	case MimeTypeVP8:
		return &codecs.VP8Payloader{EnablePictureID: true}, nil
	case MimeTypeVP9:
		return &codecs.VP9Payloader{}, nil
	case MimeTypeAV1:
		return &codecs.AV1Payloader{}, nil
	case MimeTypeH264:
		return &codecs.H264Payloader{}, nil
	case MimeTypeOpus:
		return &codecs.OpusPayloader{}, nil
	case MimeTypeG722:
		return &codecs.G722Payloader{}, nil
	default:
		return &codecs.G711Payloader{}, nil
	}
}

// NewDepacketizer returns what takes a media type out of RTP payloads. It fails with ErrCodec.
func NewDepacketizer(mimeType string) (rtp.Depacketizer, error) {
	c, err := CodecOf(mimeType)
	if err != nil {
		return nil, err
	}
	switch c.MimeType {
	case MimeTypeVP8:
		return &codecs.VP8Packet{}, nil
	case MimeTypeVP9:
		return &codecs.VP9Packet{}, nil
	case MimeTypeAV1:
		return &codecs.AV1Depacketizer{}, nil
	case MimeTypeH264:
		return &codecs.H264Packet{}, nil
	default:
		return wholePayload{}, nil
	}
}

// wholePayload is the depacketizer of audio: the payload is the sample.
type wholePayload struct{}

func (wholePayload) Unmarshal(payload []byte) ([]byte, error)    { return payload, nil }
func (wholePayload) IsPartitionHead(payload []byte) bool         { return len(payload) > 0 }
func (wholePayload) IsPartitionTail(_ bool, payload []byte) bool { return len(payload) > 0 }
