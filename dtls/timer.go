package dtls

import "time"

const (
	maxTimeout = 60 * time.Second
	// maxTimeouts is how often in a row a flight is sent again; the timeout after that ends the handshake.
	maxTimeouts = 12
	// ackShare is the part of the retransmission timeout after which an incomplete flight is acknowledged (RFC 9147 §7.1).
	ackShare = 4
)

// retransmitTimer backs off from its initial value to a minute (RFC 9147 §5.8.2). It keeps when it was started, so that a new estimate
// of the round-trip time moves the deadline too.
type retransmitTimer struct {
	initial time.Duration
	count   int
	started time.Time // zero: stopped
}

func (t *retransmitTimer) start(now time.Time) { t.started = now }

func (t *retransmitTimer) stop() { t.started, t.count = time.Time{}, 0 }

func (t *retransmitTimer) running() bool { return !t.started.IsZero() }

func (t *retransmitTimer) timeout() time.Duration {
	d := t.initial
	for range t.count {
		if d *= 2; d >= maxTimeout {
			return maxTimeout
		}
	}
	return min(d, maxTimeout)
}

func (t *retransmitTimer) deadline() time.Time {
	if !t.running() {
		return time.Time{}
	}
	return t.started.Add(t.timeout())
}

// expire counts a timeout and starts the next. It is false once there were too many.
func (t *retransmitTimer) expire(now time.Time) bool {
	t.count++
	t.started = now
	return t.count <= maxTimeouts
}

// earliest returns the first of the times that are not zero.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func due(now, deadline time.Time) bool { return !deadline.IsZero() && !now.Before(deadline) }
