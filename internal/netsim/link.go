package netsim

import (
	"math/rand/v2"
	"time"
)

// LinkConfig is what one direction of a link does to packets. The zero value is
// a perfect wire: no delay, no loss, no limit.
//
// A packet waits in the queue, takes its time at the rate, and then meets what
// happens on the wire: loss, reordering, duplication, delay. So a lost packet
// has used the rate all the same.
type LinkConfig struct {
	// Delay is the propagation time.
	Delay time.Duration
	// Jitter is added on top, uniform in [0, Jitter]. It keeps the order.
	Jitter time.Duration

	// Loss is the probability that a packet is lost, independent of the others.
	Loss float64
	// Burst adds losses that come in bursts.
	Burst GilbertElliott
	// Duplicate is the probability that a packet arrives twice.
	Duplicate float64
	// Reorder is the probability that a packet is held back by ReorderDelay while
	// those behind it pass.
	Reorder float64
	// ReorderDelay is how long; zero means 10 ms.
	ReorderDelay time.Duration

	// Rate in bit/s, of IP packets; zero means no limit.
	Rate int64
	// QueueBytes and QueueTime limit what waits for the rate; a packet that finds
	// the queue full is dropped. Zero: not limited by it.
	QueueBytes int
	QueueTime  time.Duration
	// MarkAbove is the queueing time from which packets of ECN-capable transports
	// are marked CE (RFC 3168); zero: never.
	MarkAbove time.Duration

	// MTU is the largest IP packet in bytes; zero means 65535. The first link of
	// a path refuses larger ones with a *netio.SizeError, the others drop them
	// without a word.
	MTU int

	// Coalesce makes packets arrive only at multiples of this interval, as an
	// interrupt that waits for more; zero: each at its own time.
	Coalesce time.Duration

	// Blackouts are times in which everything on the wire is lost.
	Blackouts []Blackout
}

// Blackout is a span of time in which a link loses everything, from At after
// Epoch for the duration For.
type Blackout struct{ At, For time.Duration }

// GilbertElliott is a model of bursts of loss: a good and a bad state, moved
// between by each packet. The zero value stays good and loses nothing.
type GilbertElliott struct {
	// ToBad and ToGood are the probabilities of a change at each packet.
	ToBad, ToGood float64
	// LossGood and LossBad are the probabilities of loss within the states.
	LossGood, LossBad float64
}

// LinkStats counts what a link did.
type LinkStats struct {
	Packets, Bytes uint64 // sent over the wire, lost ones as well
	Delivered      uint64 // arrived, duplicates as well
	Lost           uint64 // by Loss, Burst or Blackouts
	QueueDrops     uint64
	MTUDrops       uint64
	Marked         uint64 // set to CE
	Duplicated     uint64
	Reordered      uint64
	// MaxQueue is the longest time that a packet waited for the rate.
	MaxQueue time.Duration
}

// Link is one direction of a link. Not safe for concurrent use.
type Link struct {
	cfg   LinkConfig
	rng   *rand.Rand
	stats LinkStats

	busyUntil   int64 // when the last byte accepted will have left
	lastArrival int64 // of the packets that keep the order
	bad         bool  // state of the Gilbert-Elliott model
	down        bool
}

// defaultReorderDelay is long enough for any ordinary train of packets to pass.
const defaultReorderDelay = 10 * time.Millisecond

// Config returns the configuration in use.
func (l *Link) Config() LinkConfig { return l.cfg }

// Configure changes the link from now on; packets under way are not touched.
func (l *Link) Configure(cfg LinkConfig) { l.cfg = cfg }

// SetDown loses everything on the wire while down is true, like a blackout
// without a planned end.
func (l *Link) SetDown(down bool) { l.down = down }

// Stats returns the counters.
func (l *Link) Stats() LinkStats { return l.stats }

// Queue returns how much waits for the rate now, as the time until a packet that
// is sent now would start.
func (l *Link) Queue(now time.Time) time.Duration {
	return time.Duration(max(0, l.busyUntil-since(now)))
}

// backlog is Queue in bytes.
func (l *Link) backlog(t int64) int64 {
	if l.cfg.Rate <= 0 || l.busyUntil <= t {
		return 0
	}
	return mulDiv(l.busyUntil-t, l.cfg.Rate, 8*int64(time.Second))
}

// fate is what became of a packet on a link.
type fate uint8

const (
	fateDelivered fate = iota
	fateLost
	fateBlackout
	fateQueue
	fateMTU
	fateNAT
	fateFiltered
	fateNoRoute
	fateDown
)

// reasons are the words of the trace.
var reasons = [...]string{
	fateDelivered: "ok",
	fateLost:      "loss",
	fateBlackout:  "blackout",
	fateQueue:     "queue",
	fateMTU:       "mtu",
	fateNAT:       "nat",
	fateFiltered:  "filtered",
	fateNoRoute:   "no-route",
	fateDown:      "down",
}

// crossing is the result of putting a packet on a link.
type crossing struct {
	fate      fate
	arrival   int64
	duplicate int64 // arrival of the second copy, 0: none
	mark      bool
}

// cross puts a packet of size bytes on the link at t.
func (l *Link) cross(t int64, size int, ect bool) crossing {
	if size > l.mtu() {
		l.stats.MTUDrops++
		return crossing{fate: fateMTU}
	}
	left := t
	var mark bool
	if l.cfg.Rate > 0 {
		wait := max(0, l.busyUntil-t)
		if l.full(t, wait, size) {
			l.stats.QueueDrops++
			return crossing{fate: fateQueue}
		}
		l.stats.MaxQueue = max(l.stats.MaxQueue, time.Duration(wait))
		mark = ect && l.cfg.MarkAbove > 0 && wait >= int64(l.cfg.MarkAbove)
		left = t + wait + mulDiv(int64(size), 8*int64(time.Second), l.cfg.Rate)
		l.busyUntil = left
	}
	l.stats.Packets++
	l.stats.Bytes += uint64(size)
	if mark {
		l.stats.Marked++
	}
	if f := l.loss(left); f != fateDelivered {
		l.stats.Lost++
		return crossing{fate: f}
	}
	c := crossing{arrival: l.arrival(left), mark: mark}
	l.stats.Delivered++
	if l.chance(l.cfg.Duplicate) {
		l.stats.Duplicated++
		l.stats.Delivered++
		c.duplicate = l.arrival(left)
	}
	return c
}

func (l *Link) mtu() int {
	if l.cfg.MTU > 0 {
		return l.cfg.MTU
	}
	return 65535
}

// full says whether the queue has no room. A packet that finds an idle link is
// never refused.
func (l *Link) full(t, wait int64, size int) bool {
	if wait == 0 {
		return false
	}
	if l.cfg.QueueTime > 0 && wait > int64(l.cfg.QueueTime) {
		return true
	}
	return l.cfg.QueueBytes > 0 && l.backlog(t)+int64(size) > int64(l.cfg.QueueBytes)
}

// loss decides whether the wire loses a packet at t. Blackouts come last, so that
// they leave the draws of the packets around them as they would be without.
func (l *Link) loss(t int64) fate {
	lost := l.chance(l.cfg.Loss)
	if g := l.cfg.Burst; g != (GilbertElliott{}) {
		move, p := g.ToBad, g.LossGood
		if l.bad {
			move = g.ToGood
		}
		if l.chance(move) {
			l.bad = !l.bad
		}
		if l.bad {
			p = g.LossBad
		}
		if l.chance(p) {
			lost = true
		}
	}
	if l.down {
		return fateBlackout
	}
	for _, b := range l.cfg.Blackouts {
		if t >= int64(b.At) && t < int64(b.At+b.For) {
			return fateBlackout
		}
	}
	if lost {
		return fateLost
	}
	return fateDelivered
}

// arrival draws when a packet that left at t comes out.
func (l *Link) arrival(t int64) int64 {
	at := t + int64(l.cfg.Delay)
	if l.cfg.Jitter > 0 {
		at += l.rng.Int64N(int64(l.cfg.Jitter) + 1)
	}
	if l.chance(l.cfg.Reorder) {
		l.stats.Reordered++
		hold := l.cfg.ReorderDelay
		if hold == 0 {
			hold = defaultReorderDelay
		}
		at += int64(hold)
	} else {
		at = max(at, l.lastArrival)
		l.lastArrival = at
	}
	if q := int64(l.cfg.Coalesce); q > 0 {
		at = (at + q - 1) / q * q
	}
	return at
}

// chance is true with probability p. It draws only if both results are possible.
func (l *Link) chance(p float64) bool {
	if p <= 0 {
		return false
	}
	return p >= 1 || l.rng.Float64() < p
}
