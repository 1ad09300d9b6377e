package sctp

import (
	"time"
)

// Serial number arithmetic (RFC 1982) for TSNs, MIDs, FSNs and request numbers; SSNs have 16 bits.

func tsnLess(a, b uint32) bool   { return int32(a-b) < 0 }
func tsnLessEq(a, b uint32) bool { return int32(a-b) <= 0 }
func ssnLess(a, b uint16) bool   { return int16(a-b) < 0 }

// tick is a time inside the engine: nanoseconds since the association's epoch. Zero means "not set"; the epoch lies an hour
// before the first call, so that no real time is zero.
type tick int64

func ticks(d time.Duration) tick          { return tick(d) }
func (t tick) duration() time.Duration    { return time.Duration(t) }
func (t tick) after(d time.Duration) tick { return t + tick(d) }
func (t tick) due(now tick) bool          { return t != 0 && t <= now }
func earliest(a, b tick) tick {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	default:
		return min(a, b)
	}
}
