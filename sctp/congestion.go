package sctp

import "time"

// congestion decides how much may be in flight and how fast it may leave. Bytes are those of data chunks with their headers.
// Calls come in the order of events; none keeps a pointer.
type congestion interface {
	// onSent: bytes leave while inFlight others are on their way.
	onSent(now tick, inFlight, bytes int)
	// onAck: a SACK acknowledged something, or found something lost.
	onAck(a *ackSample)
	// onTimeout: T3-rtx expired, everything in flight counts as lost.
	onTimeout(now tick)
	// onSpurious: the last recovery was found needless.
	onSpurious()
	// onHandshake: the first round-trip time is known.
	onHandshake(rtt time.Duration)
	// onPath: the packet size changed; fresh: the path did, forget it.
	onPath(mtu int, fresh bool)
	// window is how many bytes may be in flight.
	window() int
	// pacingRate is in bytes a second; zero: not paced.
	pacingRate() int
}

// ackSample is what one SACK told.
type ackSample struct {
	now           tick
	acked         int           // bytes newly acknowledged
	lost          int           // bytes newly found lost
	inFlight      int           // bytes in flight after it
	priorInFlight int           // bytes in flight before it
	rtt           time.Duration // of the newest chunk acknowledged; zero: none
	smoothedRTT   time.Duration
	minRTT        time.Duration
	recovery      bool // a loss recovery begins with this sample
	inRecovery    bool
	limited       bool // the sender used its whole window before this SACK

	// The delivery rate sample (see delivery.go); interval zero: none.
	delivered      int // bytes delivered over interval
	interval       time.Duration
	appLimited     bool
	priorDelivered int64 // total delivered when the newest acknowledged chunk was sent
	totalDelivered int64
	newestPacket   uint64 // number of the newest packet acknowledged
	lastPacket     uint64 // number of the last packet sent
}

// initialWindow is RFC 6928's ten packets, which RFC 9260 section 7.2.1 allows by its "min(4*MTU, max(2*MTU, 4404))" only in
// part. Deviates: every deployed data channel stack begins with ten.
func initialWindow(mtu int) int { return 10 * mtu }

func newCongestion(kind Congestion, mtu int, hint time.Duration, seed uint32) congestion {
	if kind == CongestionCUBIC {
		return newCubic(mtu)
	}
	return newBBR(mtu, hint, seed)
}

// pacer spreads packets over time: a token bucket in bytes.
type pacer struct {
	tokens   float64
	last     tick
	deadline tick
}

const (
	// A refill below pacerQuantum is not worth waking for: bursts are the unit of work below us, and timers are about as coarse.
	pacerQuantum = time.Millisecond
	// pacerDepth is how much a late timer may catch up.
	pacerDepth = 3 * time.Millisecond
)

// allows reports whether a packet may leave now at rate bytes a second; if not, deadline is set.
func (p *pacer) allows(now tick, rate, mtu int) bool {
	if rate == 0 {
		return true
	}
	p.refill(now, rate, mtu)
	if p.tokens > 0 {
		p.deadline = 0
		return true
	}
	if p.deadline == 0 {
		// Wait for a burst's worth.
		want := max(float64(mtu), float64(rate)*pacerQuantum.Seconds()) - p.tokens
		p.deadline = now.after(time.Duration(want / float64(rate) * float64(time.Second)))
	}
	return false
}

func (p *pacer) refill(now tick, rate, mtu int) {
	depth := max(float64(10*mtu), float64(rate)*pacerDepth.Seconds())
	if p.last == 0 {
		p.tokens = depth
	} else {
		p.tokens = min(depth, p.tokens+float64(rate)*(now-p.last).duration().Seconds())
	}
	p.last = now
}

// spend takes a packet that left off. Debts are bounded, for probes and retransmissions that do not ask.
func (p *pacer) spend(n int) {
	p.tokens = max(p.tokens-float64(n), -float64(1<<16))
	p.deadline = 0
}
