package turn

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"
)

// limiter is a token bucket for each source network, and one for all. It has a fixed number of buckets that sources are
// hashed to by a secret, so that no number of forged addresses makes it grow.
type limiter struct {
	perSource, total float64 // tokens a second
	seed             [2]uint64
	slots            [limiterSlots]bucket
	all              bucket
}

const (
	limiterSlots = 4096
	// burstSeconds is how much a bucket holds.
	burstSeconds = 2
)

type bucket struct {
	tokens float64
	at     time.Time
}

// take takes a token of a bucket that refills at rate.
func (b *bucket) take(now time.Time, rate float64) bool {
	if b.at.IsZero() {
		b.tokens = rate * burstSeconds
	} else {
		b.tokens = min(rate*burstSeconds, b.tokens+max(0, now.Sub(b.at).Seconds())*rate)
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// allow tells whether an unauthenticated source may be answered.
func (l *limiter) allow(now time.Time, from netip.Addr) bool {
	b := from.As16()
	low := binary.BigEndian.Uint64(b[8:])
	if from.Is6() {
		low = 0 // a subscriber has a /64
	}
	key := mix(mix(binary.BigEndian.Uint64(b[:8])^l.seed[0]) ^ low ^ l.seed[1])
	return l.slots[key%limiterSlots].take(now, l.perSource) && l.all.take(now, l.total)
}

// share is what an allocation may use of a bit rate in one direction. Several readers may ask it at a time.
type share struct {
	// used is until when all of the rate is used, as time since the allocation began.
	used atomic.Int64
}

// shareBurst is for how much of the time to come data may be sent now.
const shareBurst = time.Second

// take takes n bytes at a time since the allocation began, if they are there.
func (s *share) take(at time.Duration, n, bitrate int) bool {
	for {
		old := s.used.Load()
		used := max(old, int64(at)) + int64(n)*8*int64(time.Second)/int64(bitrate)
		if used > int64(at+shareBurst) {
			return false
		}
		if s.used.CompareAndSwap(old, used) {
			return true
		}
	}
}

// within says whether data of n bytes keeps to the bit rate of its direction.
func (s *Server) within(now time.Time, a *allocation, direction *share, n int) bool {
	if s.cfg.MaxBitrate == 0 || direction.take(now.Sub(a.started), n, s.cfg.MaxBitrate) {
		return true
	}
	a.overBitrate.Add(1)
	return false
}
