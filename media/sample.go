// Package media reads and writes media: files of encoded audio and video (IVF, Ogg Opus, H.264 Annex B), frames out of RTP
// packets, and recorders that put what a track receives into a playable file. It encodes and decodes nothing.
//
// Readers and writers work on io.Reader and io.Writer, hold no goroutine and are not safe for concurrent use. What comes
// from a file or from the network is checked: a damaged input gives an error, never a panic or unbounded memory.
package media

import (
	"errors"
	"time"
)

// Sample is one frame of encoded video or one packet of encoded audio.
type Sample struct {
	// Data is the encoded frame. Who owns it is said where it comes from.
	Data []byte
	// Timestamp counts in the clock rate of the codec, modulo 2^32, as RTP does. It is the truth about when to play the
	// sample; durations are a help.
	Timestamp uint32
	// Duration is how long the sample plays. Zero: not known.
	Duration time.Duration
	// PrevDroppedPackets is how many RTP packets between the sample before and this one did not come or did not make
	// whole frames.
	PrevDroppedPackets uint16
	// KeyFrame marks video that can be decoded without what was before. Audio always can.
	KeyFrame bool
}

// Errors of readers, writers and recorders.
var (
	// ErrCodec says that a codec is not known, or not one that a format can hold.
	ErrCodec = errors.New("media: unsupported codec")
	// ErrFormat says that a file is not what its reader reads, or damaged.
	ErrFormat = errors.New("media: malformed file")
	// ErrTooLarge says that a frame is larger than MaxFrame.
	ErrTooLarge = errors.New("media: frame too large")
	// ErrClosed says that a writer or recorder was closed.
	ErrClosed = errors.New("media: closed")
)

// MaxFrame is the largest frame that readers and assemblers make, in bytes.
const MaxFrame = 16 << 20
