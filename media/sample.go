// Package media reads and writes media: files of encoded audio and video (IVF, Ogg Opus, H.264 Annex B), frames out of RTP
// packets, and recorders that put what a track receives into a playable file. It encodes and decodes nothing.
//
// Readers and writers work on io.Reader and io.Writer, hold no goroutine and are not safe for concurrent use. What comes
// from a file or from the network is checked: a damaged input gives an error, never a panic or unbounded memory.
package media

import (
	"errors"

	"github.com/openparley/webrtc/internal/payload"
)

// Errors of readers, writers and recorders.
var (
	// ErrCodec says that a codec is not known, or not one that a format can hold.
	ErrCodec = payload.ErrCodec
	// ErrFormat says that a file is not what its reader reads, or damaged.
	ErrFormat = errors.New("media: malformed file")
	// ErrTooLarge says that a frame is larger than MaxFrame.
	ErrTooLarge = errors.New("media: frame too large")
	// ErrClosed says that a writer or recorder was closed.
	ErrClosed = errors.New("media: closed")
)

// MaxFrame is the largest frame that readers and assemblers make, in bytes.
const MaxFrame = 16 << 20
