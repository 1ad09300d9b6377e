package payload

import "time"

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
