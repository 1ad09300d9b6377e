package rtpflow

import "time"

// NACKConfig says how missing packets are asked for. Zero values mean the defaults.
type NACKConfig struct {
	// Delay is how long a packet may be out of order before it is asked for. Zero: at once, at the end of the batch
	// that showed the gap.
	Delay time.Duration
	// MaxTries is how often a packet is asked for. Zero: 10.
	MaxTries int
	// MaxAge is when a packet is given up, counted from the gap. Zero: one second.
	MaxAge time.Duration
	// MinInterval is the least time between two requests for a packet; the round-trip time, if longer. Zero: 20 ms.
	MinInterval time.Duration
}

// nackReach is how far behind the newest packet a missing one may be. A power of two.
const nackReach = 1024

// maxNACKs is how many packets one message asks for; the rest waits for the next.
const maxNACKs = 128

// NACKGenerator keeps the list of missing packets of one incoming stream and says when to ask for which (RFC 4585
// §6.2.1).
//
//	         gap            delay over          round trip over
//	(none) ───────▶ missing ─────────▶ asked for ─────────┐
//	   ▲               │                  │  ▲            │
//	   └── arrived ────┴──────────────────┘  └────────────┘
//	   └── given up after MaxTries or MaxAge: a key frame is wanted
type NACKGenerator struct {
	cfg      NACKConfig
	rtt      time.Duration
	missing  [nackReach]missingPacket
	count    int
	low      uint64 // nothing is missing below
	high     uint64 // the newest packet plus one
	deadline time.Time
	ready    bool // something is due: set by Advance
	lost     bool
	batch    [maxNACKs]uint16
}

type missingPacket struct {
	extended uint64 // zero: not missing
	since    time.Time
	next     time.Time
	tries    int
}

// NewNACKGenerator makes an empty list.
func NewNACKGenerator(cfg NACKConfig) *NACKGenerator {
	if cfg.MaxTries == 0 {
		cfg.MaxTries = 10
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = time.Second
	}
	if cfg.MinInterval == 0 {
		cfg.MinInterval = 20 * time.Millisecond
	}
	return &NACKGenerator{cfg: cfg}
}

// SetRTT says how long an answer takes.
func (g *NACKGenerator) SetRTT(rtt time.Duration) { g.rtt = rtt }

// Receive takes what ReceiverStream said about a packet, original or repaired.
func (g *NACKGenerator) Receive(now time.Time, a Arrival) {
	switch a.Verdict {
	case VerdictRestart:
		g.reset()
		g.low, g.high = a.Extended, a.Extended+1
	case VerdictNew:
		g.gap(now, a)
	case VerdictLate:
		if p := &g.missing[a.Extended%nackReach]; p.extended == a.Extended {
			g.remove(p)
		}
	}
}

func (g *NACKGenerator) reset() {
	if g.count > 0 {
		clear(g.missing[:])
	}
	g.count, g.deadline, g.ready = 0, time.Time{}, false
}

func (g *NACKGenerator) gap(now time.Time, a Arrival) {
	if g.high == 0 || a.Missing >= nackReach {
		// A gap as wide as the list can only be closed by a key frame.
		g.lost = g.lost || a.Missing > 0
		g.reset()
		g.low, g.high = a.Extended, a.Extended+1
		return
	}
	first := a.Extended - uint64(a.Missing)
	if a.Extended >= nackReach {
		g.dropBelow(a.Extended - nackReach + 1)
	}
	for ext := first; ext < a.Extended; ext++ {
		g.missing[ext%nackReach] = missingPacket{extended: ext, since: now, next: now.Add(g.cfg.Delay)}
		g.count++
	}
	g.high = a.Extended + 1
	if a.Missing > 0 {
		g.wake(now.Add(g.cfg.Delay))
	}
}

func (g *NACKGenerator) dropBelow(floor uint64) {
	for ; g.low < floor; g.low++ {
		if g.count == 0 {
			g.low = floor
			return
		}
		if p := &g.missing[g.low%nackReach]; p.extended == g.low {
			g.remove(p)
			g.lost = true
		}
	}
}

func (g *NACKGenerator) remove(p *missingPacket) {
	p.extended = 0
	g.count--
	if g.count == 0 {
		g.deadline, g.ready = time.Time{}, false
	}
}

func (g *NACKGenerator) wake(t time.Time) {
	if g.deadline.IsZero() || t.Before(g.deadline) {
		g.deadline = t
	}
}

// Deadline returns when Advance wants to be called; zero: never.
func (g *NACKGenerator) Deadline() time.Time { return g.deadline }

// Advance gives up what is too old and looks for what is due.
func (g *NACKGenerator) Advance(now time.Time) {
	if g.deadline.IsZero() || now.Before(g.deadline) {
		return
	}
	g.deadline = time.Time{}
	for ext := g.low; ext < g.high && g.count > 0; ext++ {
		p := &g.missing[ext%nackReach]
		if p.extended != ext {
			continue
		}
		if p.next.After(now) {
			g.wake(p.next)
			continue
		}
		if p.tries >= g.cfg.MaxTries || now.Sub(p.since) >= g.cfg.MaxAge {
			g.remove(p)
			g.lost = true
			continue
		}
		g.ready = true
	}
}

// Next appends a NACK for the packets that are due to dst and says how many they are; call it until there is none.
// The list is walked only when Advance or Receive found something.
func (g *NACKGenerator) Next(now time.Time, dst []byte, sender, media uint32) ([]byte, int) {
	g.Advance(now)
	if !g.ready {
		return dst, 0
	}
	n := 0
	interval := max(g.rtt, g.cfg.MinInterval)
	g.ready = false
	for ext := g.low; ext < g.high; ext++ {
		p := &g.missing[ext%nackReach]
		if p.extended != ext || p.next.After(now) {
			continue
		}
		if n == maxNACKs {
			g.ready = true
			break
		}
		g.batch[n] = uint16(ext)
		n++
		p.tries++
		p.next = now.Add(interval)
		g.wake(p.next)
	}
	return AppendNACK(dst, sender, media, g.batch[:n]), n
}

// Missing returns how many packets are waited for.
func (g *NACKGenerator) Missing() int { return g.count }

// TakeLost says whether a packet was given up since the last call: what depends on it cannot be decoded, ask for a key
// frame.
func (g *NACKGenerator) TakeLost() bool {
	lost := g.lost
	g.lost = false
	return lost
}
