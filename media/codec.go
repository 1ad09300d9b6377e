package media

import (
	"github.com/pion/rtp"

	"github.com/openparley/webrtc/internal/payload"
)

// Media types of RTP payload formats; they compare without regard to case.
const (
	MimeTypeVP8  = payload.MimeTypeVP8
	MimeTypeVP9  = payload.MimeTypeVP9
	MimeTypeAV1  = payload.MimeTypeAV1
	MimeTypeH264 = payload.MimeTypeH264
	MimeTypeOpus = payload.MimeTypeOpus
	MimeTypePCMU = payload.MimeTypePCMU
	MimeTypePCMA = payload.MimeTypePCMA
	MimeTypeG722 = payload.MimeTypeG722
)

// Sample is one frame of encoded video or one packet of encoded audio. Its fields:
//
//	Data               []byte        the encoded frame; who owns it is said where it comes from
//	Timestamp          uint32        counts in the codec's clock rate, modulo 2^32, as RTP does; the truth about when to play
//	Duration           time.Duration how long it plays; zero: not known
//	PrevDroppedPackets uint16        packets before it that did not come or did not make whole frames
//	KeyFrame           bool          video that can be decoded without what was before
type Sample = payload.Sample

// Codec says how a media type travels in RTP: MimeType, ClockRate, and Channels, which is zero for video.
type Codec = payload.Codec

// CodecOf returns what is known of a media type. It fails with ErrCodec.
func CodecOf(mimeType string) (Codec, error) { return payload.CodecOf(mimeType) }

// NewPayloader returns what cuts frames of a media type into RTP payloads. It fails with ErrCodec.
func NewPayloader(mimeType string) (rtp.Payloader, error) { return payload.NewPayloader(mimeType) }

// NewDepacketizer returns what takes a media type out of RTP payloads. It fails with ErrCodec.
func NewDepacketizer(mimeType string) (rtp.Depacketizer, error) {
	return payload.NewDepacketizer(mimeType)
}
