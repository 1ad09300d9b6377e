package sctp

import (
	"math"
	"time"
)

// bbr paces by a model of the path: the highest recent delivery rate and the lowest recent round-trip time. It is of the BBR
// family (draft-ietf-ccwg-bbr), and deviates from its drafts in the following.
//
//   - Loss by itself means nothing: no threshold of a loss rate lowers the model. A round of losses counts as congestion only
//     when the whole round was spent behind a standing queue; then the bound on what may be in flight is lowered.
//   - The lowest round-trip time stays fresh while samples come near it, which they do after every draining phase unless
//     others hold the queue; PROBE_RTT is the exception, not a tax of two percent.
//   - Start-up ends after one round without growth when a standing queue agrees that the pipe is full, after three without.
//   - The bandwidth-delay product is computed over at least bbrMinRTT: hosts schedule, and timers tick, in milliseconds.
type bbr struct {
	mtu  int
	mode bbrMode
	seed uint32

	// The model.
	rates     [bbrRateRounds]int // highest delivery rate of each of the last rounds, bytes a second
	minRTT    time.Duration
	minRTTAt  tick
	bound     int // on bytes in flight, learnt from congestion; zero: none
	boundStep int

	// Rounds: one passes when what was sent at its begin is acknowledged.
	round       int
	roundEnd    int64         // total delivered
	roundRTT    time.Duration // lowest of the round
	priorRTT    time.Duration // and of the round before
	roundLost   int
	roundAcked  int
	standing    bool // the last round was spent behind a queue
	fullRate    int
	fullRounds  int
	phaseAt     tick
	phaseLength time.Duration

	cwnd       int
	pacingGain float64
	rate       int // pacing, bytes a second
	probeUntil tick
}

type bbrMode uint8

// startup ──pipe full──▶ drain ──queue gone──▶ cruise ──▶ up ──▶ down ──▶ cruise …
// any ──lowest RTT is old──▶ probeRTT ──▶ cruise
const (
	bbrStartup bbrMode = iota
	bbrDrain
	bbrCruise
	bbrUp
	bbrDown
	bbrProbeRTT
)

const (
	bbrRateRounds  = 8
	bbrMinRTT      = 2 * time.Millisecond
	bbrRTTWindow   = 10 * time.Second
	bbrProbeRTTFor = 200 * time.Millisecond
	bbrStartupGain = 2.77
	bbrUpGain      = 1.25
	bbrDownGain    = 0.75
	bbrWindowGain  = 2.5
	bbrBeta        = 0.7  // of CUBIC: who backs off less takes the other's share
	bbrLeastBound  = 0.85 // of the product
	bbrLeastWindow = 4    // packets
	bbrExtra       = 10.0
	bbrMostExtra   = 2.0 // products
)

func newBBR(mtu int, hint time.Duration, seed uint32) *bbr {
	b := &bbr{mtu: mtu, seed: seed}
	b.reset(hint)
	return b
}

// reset forgets the path.
func (b *bbr) reset(hint time.Duration) {
	*b = bbr{mtu: b.mtu, seed: b.seed, cwnd: initialWindow(b.mtu), pacingGain: bbrStartupGain}
	b.onHandshake(hint)
}

// onHandshake takes the first round-trip time: it sets the pace of the initial window.
func (b *bbr) onHandshake(rtt time.Duration) {
	if b.round == 0 {
		b.rate = int(bbrStartupGain * float64(b.cwnd) / max(rtt, time.Millisecond).Seconds())
	}
}

func (b *bbr) onPath(mtu int, fresh bool) {
	b.mtu = mtu
	if fresh {
		b.reset(0)
	}
}

func (b *bbr) window() int     { return b.cwnd }
func (b *bbr) pacingRate() int { return b.rate }

func (b *bbr) onSent(tick, int, int) {}

// bandwidth is the model's delivery rate in bytes a second.
func (b *bbr) bandwidth() int {
	best := 0
	for _, r := range b.rates {
		best = max(best, r)
	}
	return best
}

// product is the bandwidth-delay product in bytes, times gain.
func (b *bbr) product(gain float64) int {
	return int(gain * float64(b.bandwidth()) * max(b.minRTT, bbrMinRTT).Seconds())
}

func (b *bbr) onAck(a *ackSample) {
	b.updateRound(a)
	b.updateRate(a)
	b.updateMinRTT(a)
	b.updateMode(a)
	b.setPace()
	b.setWindow(a)
}

// updateRound counts rounds and judges the one that ended.
func (b *bbr) updateRound(a *ackSample) {
	b.roundLost += a.lost
	b.roundAcked += a.acked
	if a.rtt > 0 && (b.roundRTT == 0 || a.rtt < b.roundRTT) {
		b.roundRTT = a.rtt
	}
	if a.acked == 0 || a.priorDelivered < b.roundEnd {
		return
	}
	b.roundEnd = a.totalDelivered
	b.round++
	b.standing = b.minRTT > 0 && b.roundRTT > b.queueLimit()
	b.judge(a)
	b.checkFull(a)
	b.rates[b.round%bbrRateRounds] = 0
	b.joinProbe(a.now)
	b.roundLost, b.roundAcked, b.priorRTT, b.roundRTT = 0, 0, b.roundRTT, 0
}

// joinProbe goes along when somebody else seems to drain the queue: flows that look for the lowest round-trip time one after the
// other would only see each other's queues.
func (b *bbr) joinProbe(now tick) {
	if b.mode == bbrStartup || b.mode == bbrProbeRTT || b.priorRTT == 0 || b.roundRTT == 0 {
		return
	}
	if b.roundRTT < b.priorRTT*4/5 && b.priorRTT > b.queueLimit() && now > b.minRTTAt.after(bbrRTTWindow/2) {
		b.enter(now, bbrProbeRTT)
	}
}

// queueLimit is the round-trip time above which a queue stands.
func (b *bbr) queueLimit() time.Duration {
	return b.minRTT + max(b.minRTT/4, 5*time.Millisecond)
}

// judge moves the bound on bytes in flight: down after congestion, up slowly otherwise.
func (b *bbr) judge(a *ackSample) {
	if b.roundLost > 0 && b.standing {
		level := max(a.priorInFlight, b.product(1))
		if b.bound > 0 {
			level = min(level, b.bound)
		}
		// Not far below the product: the rate in it is the highest of some rounds, and what a flow gets varies among others.
		b.bound = max(int(bbrBeta*float64(level)), b.product(bbrLeastBound)+bbrLeastWindow*b.mtu)
		b.boundStep = 0
		return
	}
	if b.bound > 0 && a.limited {
		b.boundStep++
		b.bound += b.mtu * min(1+b.boundStep/4, 32)
		if b.bound > b.product(bbrWindowGain)+b.boundSlack() {
			b.bound = 0
		}
	}
}

func (b *bbr) boundSlack() int { return 16 * b.mtu }

// checkFull ends start-up when the delivery rate grows no more.
func (b *bbr) checkFull(a *ackSample) {
	if b.mode != bbrStartup || a.appLimited {
		return
	}
	rate := b.bandwidth()
	if rate >= b.fullRate*5/4 {
		b.fullRate, b.fullRounds = rate, 0
		return
	}
	b.fullRounds++
	if b.fullRounds >= 3 || b.standing {
		b.enter(a.now, bbrDrain)
	}
}

func (b *bbr) updateRate(a *ackSample) {
	if a.interval <= 0 || a.delivered <= 0 || a.acked == 0 {
		return
	}
	if b.minRTT > 0 && a.interval < b.minRTT/2 {
		return // compressed acknowledgements: nothing is delivered within less than a round trip
	}
	rate := int(float64(a.delivered) / max(a.interval, 10*time.Microsecond).Seconds())
	if a.appLimited && rate <= b.bandwidth() {
		return
	}
	slot := &b.rates[b.round%bbrRateRounds]
	*slot = max(*slot, rate)
}

// updateMinRTT keeps the lowest round-trip time of the last ten seconds.
func (b *bbr) updateMinRTT(a *ackSample) {
	if a.rtt <= 0 {
		return
	}
	near := a.rtt <= b.minRTT+max(b.minRTT/50, 500*time.Microsecond)
	switch {
	case b.minRTT == 0 || a.rtt < b.minRTT:
		b.minRTT, b.minRTTAt = a.rtt, a.now
	case near:
		b.minRTTAt = a.now
	case b.mode == bbrProbeRTT && a.now > b.minRTTAt.after(bbrRTTWindow):
		b.minRTT, b.minRTTAt = a.rtt, a.now
	}
}

// updateMode walks the cycle.
func (b *bbr) updateMode(a *ackSample) {
	if b.mode != bbrProbeRTT && b.mode != bbrStartup && b.minRTT > 0 && a.now > b.minRTTAt.after(bbrRTTWindow) {
		b.enter(a.now, bbrProbeRTT)
	}
	switch b.mode {
	case bbrStartup:
	case bbrDrain:
		if a.inFlight <= b.product(1) || a.now > b.phaseAt.after(4*a.smoothedRTT) {
			b.enter(a.now, bbrCruise)
		}
	case bbrCruise:
		if a.now >= b.phaseAt.after(b.phaseLength) {
			b.enter(a.now, bbrUp)
		}
	case bbrUp:
		// For a round trip at least, and until the extra is in flight, unless the way is blocked.
		if a.now >= b.phaseAt.after(b.minRTT) && (a.inFlight >= b.product(bbrUpGain) || a.lost > 0 || a.now >= b.phaseAt.after(3*b.minRTT) || b.bound > 0) {
			b.enter(a.now, bbrDown)
		}
	case bbrDown:
		if a.inFlight <= b.product(1) || a.now >= b.phaseAt.after(2*b.minRTT) {
			b.enter(a.now, bbrCruise)
		}
	case bbrProbeRTT:
		b.stayProbeRTT(a)
	}
}

// stayProbeRTT holds the window low until the queue of our own has gone for a while.
func (b *bbr) stayProbeRTT(a *ackSample) {
	if b.probeUntil == 0 {
		if a.inFlight <= b.product(0.5)+bbrLeastWindow*b.mtu {
			b.probeUntil = a.now.after(max(bbrProbeRTTFor, 2*a.smoothedRTT))
			b.minRTTAt = min(b.minRTTAt, a.now-tick(bbrRTTWindow)-1) // take what is measured now
		}
		return
	}
	if a.now >= b.probeUntil {
		b.minRTTAt = a.now
		b.enter(a.now, bbrCruise)
	}
}

func (b *bbr) enter(now tick, m bbrMode) {
	b.mode, b.phaseAt = m, now
	switch m {
	case bbrDrain:
		b.pacingGain = 1 / bbrStartupGain
	case bbrUp:
		b.pacingGain = bbrUpGain
	case bbrDown:
		b.pacingGain = bbrDownGain
	case bbrProbeRTT:
		b.pacingGain, b.probeUntil = 1, 0
	case bbrCruise:
		b.pacingGain = 1
		// Four to eight round trips, by chance, so that flows which share a queue do not probe in step.
		b.seed = b.seed*1664525 + 1013904223
		b.phaseLength = max(b.minRTT, bbrMinRTT) * time.Duration(16+b.seed>>28) / 4
	}
}

func (b *bbr) setPace() {
	rate := int(b.pacingGain * float64(b.bandwidth()))
	// In start-up a lower sample is no reason to slow down.
	if rate > 0 && (b.mode != bbrStartup || rate > b.rate) {
		b.rate = max(rate, 2*b.mtu)
	}
}

// setWindow opens the window by what was acknowledged until it reaches the target.
func (b *bbr) setWindow(a *ackSample) {
	gain := float64(bbrWindowGain)
	if b.mode == bbrStartup {
		gain = bbrStartupGain
	}
	target := b.product(gain) + 3*max(b.mtu, b.rate/1000) + b.extra()
	switch b.mode {
	case bbrProbeRTT:
		target = b.product(0.5)
	case bbrStartup:
		target = max(target, initialWindow(b.mtu))
	}
	if b.bound > 0 {
		target = min(target, b.bound)
	}
	target = max(target, bbrLeastWindow*b.mtu)
	if b.mode == bbrStartup {
		b.cwnd = max(min(b.cwnd+a.acked, target), b.cwnd)
		return
	}
	b.cwnd = min(b.cwnd+a.acked, target)
}

// extra grows the window by the square root of its packets. When several flows hold a standing queue, shares follow windows and
// windows follow shares, so that any division would last; a term which favours the smaller one makes them equal. It is not
// more than some products: on a path of few packets, two of them would fill every buffer.
func (b *bbr) extra() int {
	packets := float64(b.product(1) / b.mtu)
	return int(min(bbrExtra*math.Sqrt(packets), bbrMostExtra*packets)) * b.mtu
}

func (b *bbr) onTimeout(tick) {
	b.cwnd = bbrLeastWindow * b.mtu
}

func (b *bbr) onSpurious() {}
