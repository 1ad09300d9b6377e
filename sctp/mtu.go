package sctp

import "time"

// mtuSearch is packetization layer path MTU discovery (RFC 8899, section 6.2 for SCTP): probes are a HEARTBEAT and a PAD chunk
// (RFC 4820), carry no data, and their loss means nothing to congestion control.
type mtuSearch struct {
	low, high int // known to pass; not yet known to fail
	size      int // of the probe that is out
	tries     int
	nonce     uint64
	due       bool
	deadline  tick
	base      int // known to pass before the search
}

const (
	mtuProbes    = 3                // MAX_PROBES
	mtuStep      = 16               // a search that is this close is done
	mtuRaise     = 10 * time.Minute // PMTU_RAISE_TIMER
	mtuProbeWait = time.Second      // at least, until a probe counts as lost
	// blackHoleLosses of one chunk, or a time-out, make the size suspect.
	blackHoleLosses = 3
)

// restart begins the search for a path.
func (m *mtuSearch) restart(now tick, p Path) {
	*m = mtuSearch{low: p.MTU, high: p.MaxMTU, base: p.MTU}
	if m.high > m.low {
		m.deadline = now.after(max(2*p.RTT, 100*time.Millisecond))
	}
}

// fallBack returns to the base size: what is larger seems to vanish (RFC 8899 section 4.3). The search begins anew, a little
// later; a mistake costs no more than that.
func (a *Association) fallBack() {
	m := &a.mtu
	if a.path.MTU <= m.base {
		return
	}
	a.path.MTU = m.base
	a.cc.onPath(m.base, false)
	m.low, m.high, m.size, m.nonce, m.due = m.base, a.path.MaxMTU, 0, 0, false
	m.deadline = a.now.after(max(mtuProbeWait, 4*a.rtt.smoothed))
}

// next picks the size to try: the end first (nearly every path is an Ethernet), then by halves.
func (m *mtuSearch) next() {
	switch {
	case m.high-m.low < mtuStep:
		m.size = 0
	case m.size == 0:
		m.size = m.high
	default:
		m.size = (m.low + m.high) / 2 &^ 3
	}
	m.tries = 0
}

// advanceMTU sends the next probe, or gives a size up.
func (a *Association) advanceMTU() {
	m := &a.mtu
	if !m.deadline.due(a.now) {
		return
	}
	m.deadline = 0
	if a.cfg.DisablePMTUD || a.phase != phaseEstablished {
		return
	}
	switch {
	case m.size == 0:
		m.high = max(m.high, a.path.MaxMTU)
		m.next()
	case m.tries >= mtuProbes:
		m.high = m.size - 4
		m.next()
	}
	m.nonce = 0
	if m.size == 0 {
		m.deadline = a.now.after(mtuRaise)
		return
	}
	m.due = true
	m.deadline = a.now.after(max(mtuProbeWait, 3*a.rtt.smoothed))
}

// appendMTUProbe fills a packet of the size to be tried.
func (a *Association) appendMTUProbe(b []byte, limit int) ([]byte, bool) {
	m := &a.mtu
	if !m.due || m.size > limit {
		return b, false
	}
	m.due = false
	m.tries++
	m.nonce = uint64(a.now)
	b = appendHeartbeat(b, m.nonce)
	pad := m.size - len(b) - chunkHeaderSize
	b = appendChunkHeader(b, typePad, 0, pad)
	for range pad {
		b = append(b, 0)
	}
	return b, true
}

// mtuProbed takes the answer to a probe.
func (a *Association) mtuProbed() {
	m := &a.mtu
	m.nonce = 0
	m.low = m.size
	a.path.MTU = m.low
	a.cc.onPath(a.path.MTU, false)
	m.next()
	m.deadline = a.now + 1
	if m.size == 0 {
		m.deadline = a.now.after(mtuRaise)
	}
}
