package sctp

import "time"

// rttEstimator computes the retransmission time-out (RFC 9260 section 6.3.1).
//
// Deviates: RTO.Min is 400 ms instead of one second: enough for the 200 ms by which a peer may delay a SACK, and what other
// data channel stacks use. RTO.Max is 10 s instead of 60: beneath lies ICE, which ends the connection when the path is gone for
// about 30 s, and after a blackout nobody wants to wait for a minute.
type rttEstimator struct {
	min, max         time.Duration
	smoothed, varied time.Duration
	latest, lowest   time.Duration
	backoff          int // doublings since the last sample (section 6.3.3 E2)
}

const initialRTO = 500 * time.Millisecond

func (r *rttEstimator) sample(rtt time.Duration) {
	rtt = max(rtt, time.Microsecond)
	r.latest = rtt
	if r.lowest == 0 || rtt < r.lowest {
		r.lowest = rtt
	}
	r.backoff = 0
	if r.smoothed == 0 {
		r.smoothed, r.varied = rtt, rtt/2 // C2
		return
	}
	diff := max(r.smoothed-rtt, rtt-r.smoothed)
	r.varied += (diff - r.varied) / 4 // C3
	r.smoothed += (rtt - r.smoothed) / 8
}

// base is the time-out without backoff.
func (r *rttEstimator) base(hint time.Duration) time.Duration {
	if r.smoothed == 0 {
		return firstTimeout(hint)
	}
	return max(r.min, min(r.max, r.smoothed+4*r.varied))
}

// timeout is the time-out with backoff.
func (r *rttEstimator) timeout(hint time.Duration) time.Duration {
	return min(r.base(hint)<<min(r.backoff, 12), r.max)
}

func (r *rttEstimator) smoothedOr(hint time.Duration) time.Duration {
	if r.smoothed != 0 {
		return r.smoothed
	}
	return hint
}

// firstTimeout is the time-out before anything was measured.
//
// Deviates from RTO.Initial of one second: the lower layers have measured this path already. Three times their figure allows
// for its variance; 200 ms is the floor because nothing here answers late on purpose (INIT and COOKIE ECHO are never delayed).
func firstTimeout(hint time.Duration) time.Duration {
	if hint <= 0 {
		return initialRTO
	}
	return max(200*time.Millisecond, min(3*hint, 3*time.Second))
}
