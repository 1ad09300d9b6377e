package sctp

import "time"

// cubic is RFC 9438 with HyStart++ (RFC 9406), in bytes, paced.
type cubic struct {
	mtu      int
	cwnd     float64
	ssthresh float64
	// The curve of section 4.2.
	wMax, wEst, k float64
	epoch         tick
	// What to return to when a recovery was needless.
	priorCwnd, priorSsthresh, priorMax float64
	idleSince                          tick
	rtt                                time.Duration
	slow                               hystart
}

const (
	cubicC    = 0.4
	cubicBeta = 0.7
)

func newCubic(mtu int) *cubic {
	c := &cubic{}
	c.onPath(mtu, true)
	return c
}

func (c *cubic) onPath(mtu int, fresh bool) {
	c.mtu = mtu
	if fresh {
		*c = cubic{mtu: mtu, cwnd: float64(initialWindow(mtu)), ssthresh: 1 << 30}
	}
}

// onHandshake does not pace the first round: the initial window is small.
func (c *cubic) onHandshake(time.Duration) {}

func (c *cubic) window() int { return int(c.cwnd) }

// pacingRate is twice the window a round trip in slow start and a fifth above it later, as RFC 9002 section 7.7 suggests.
func (c *cubic) pacingRate() int {
	if c.rtt == 0 {
		return 0
	}
	gain := 1.2
	if c.cwnd < c.ssthresh {
		gain = 2
	}
	return int(gain * c.cwnd / c.rtt.Seconds())
}

func (c *cubic) onSent(now tick, inFlight, _ int) {
	if inFlight == 0 && c.idleSince != 0 && c.epoch != 0 {
		c.epoch += now - c.idleSince // section 5.8: idle time does not grow the window
	}
	c.idleSince = 0
}

func (c *cubic) onAck(a *ackSample) {
	c.rtt = a.smoothedRTT
	if a.recovery {
		c.reduce(a)
	}
	if a.inFlight == 0 {
		c.idleSince = a.now
	}
	if a.acked == 0 || a.inRecovery || !a.limited {
		return
	}
	if c.cwnd < c.ssthresh {
		c.cwnd += c.slow.growth(a, c)
		return
	}
	c.grow(a)
}

// reduce is the multiplicative decrease with fast convergence (sections 4.6, 4.7).
func (c *cubic) reduce(a *ackSample) {
	c.priorCwnd, c.priorSsthresh, c.priorMax = c.cwnd, c.ssthresh, c.wMax
	if c.cwnd < c.wMax {
		c.wMax = c.cwnd * (1 + cubicBeta) / 2
	} else {
		c.wMax = c.cwnd
	}
	c.ssthresh = max(min(c.cwnd, float64(a.priorInFlight))*cubicBeta, float64(2*c.mtu))
	c.cwnd = c.ssthresh
	c.epoch = 0
}

// grow follows the curve (sections 4.2 to 4.5).
func (c *cubic) grow(a *ackSample) {
	mss := float64(c.mtu)
	if c.epoch == 0 {
		c.epoch = a.now
		c.k = cubeRoot(max(c.wMax-c.cwnd, 0) / mss / cubicC)
		c.wMax = max(c.wMax, c.cwnd)
		c.wEst = c.cwnd
	}
	t := (a.now - c.epoch).duration().Seconds()
	target := c.curve(t + a.smoothedRTT.Seconds())
	target = min(max(target, c.cwnd), 1.5*c.cwnd)
	// Reno-friendly region (section 4.3): alpha makes the averages equal until the old maximum is reached.
	alpha := 3 * (1 - cubicBeta) / (1 + cubicBeta)
	if c.wEst >= c.wMax {
		alpha = 1
	}
	c.wEst += alpha * mss * float64(a.acked) / c.cwnd
	if c.curve(t) < c.wEst {
		c.cwnd = max(c.cwnd, c.wEst)
		return
	}
	c.cwnd += (target - c.cwnd) * float64(a.acked) / c.cwnd
}

func (c *cubic) curve(t float64) float64 {
	d := t - c.k
	return cubicC*d*d*d*float64(c.mtu) + c.wMax
}

func cubeRoot(x float64) float64 {
	if x <= 0 {
		return 0
	}
	r := max(x, 1)
	for range 40 { // Newton
		r -= (r*r*r - x) / (3 * r * r)
	}
	return r
}

func (c *cubic) onTimeout(tick) {
	c.priorCwnd, c.priorSsthresh, c.priorMax = c.cwnd, c.ssthresh, c.wMax
	c.ssthresh = max(c.cwnd*cubicBeta, float64(2*c.mtu))
	c.wMax = c.cwnd
	c.cwnd = float64(c.mtu)
	c.epoch = 0
	c.slow = hystart{}
}

func (c *cubic) onSpurious() {
	if c.priorCwnd > c.cwnd {
		c.cwnd, c.ssthresh, c.wMax = c.priorCwnd, c.priorSsthresh, c.priorMax
		c.epoch = 0
	}
}

// hystart leaves slow start when the round-trip time rises, before the queue overflows (RFC 9406).
type hystart struct {
	roundEnd         uint64 // packet that ends the round
	lowest, previous time.Duration
	samples          int
	css              bool // conservative slow start
	cssRounds        int
	cssBase          time.Duration
}

const (
	hystartSamples = 8
	hystartRounds  = 5
)

// growth is by how much an acknowledgement opens the window; it ends slow start by setting ssthresh.
func (h *hystart) growth(a *ackSample, c *cubic) float64 {
	if a.newestPacket >= h.roundEnd {
		if h.css {
			if h.cssRounds++; h.cssRounds >= hystartRounds {
				c.ssthresh, c.wMax = c.cwnd, c.cwnd
			}
		}
		h.previous, h.lowest, h.samples = h.lowest, 0, 0
		h.roundEnd = a.lastPacket
	}
	if a.rtt > 0 {
		h.samples++
		if h.lowest == 0 || a.rtt < h.lowest {
			h.lowest = a.rtt
		}
	}
	if h.samples >= hystartSamples && h.previous > 0 {
		if h.css {
			if h.lowest < h.cssBase {
				*h = hystart{roundEnd: h.roundEnd, lowest: h.lowest, previous: h.previous, samples: h.samples}
			}
		} else if h.lowest >= h.previous+min(max(h.previous/8, 4*time.Millisecond), 16*time.Millisecond) {
			h.css, h.cssBase, h.cssRounds = true, h.lowest, 0
		}
	}
	if h.css {
		return float64(a.acked) / 4
	}
	return float64(a.acked)
}
