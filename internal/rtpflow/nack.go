package rtpflow

import (
	"cmp"
	"slices"
	"time"
)

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

// nackReach is how far behind the newest packet a missing one may be, and so the most that can be missing.
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
	missing  []missingPacket // in ascending order
	deadline time.Time
	ready    bool // something is due
	lost     bool
	batch    [maxNACKs]uint16
}

type missingPacket struct {
	extended uint64
	tries    int
	since    time.Time
	next     time.Time
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
		g.lost = g.lost || len(g.missing) > 0
		g.forget()
	case VerdictNew:
		g.gap(now, a)
	case VerdictLate:
		i, found := slices.BinarySearchFunc(g.missing, a.Extended, compareMissing)
		if found {
			g.missing = slices.Delete(g.missing, i, i+1)
			if len(g.missing) == 0 {
				g.forget()
			}
		}
	}
}

func compareMissing(p missingPacket, extended uint64) int { return cmp.Compare(p.extended, extended) }

func (g *NACKGenerator) forget() {
	g.missing, g.deadline, g.ready = g.missing[:0], time.Time{}, false
}

func (g *NACKGenerator) gap(now time.Time, a Arrival) {
	if a.Missing >= nackReach {
		// A gap as wide as the list can only be closed by a key frame.
		g.lost = true
		g.forget()
		return
	}
	if len(g.missing) > 0 && a.Extended >= nackReach {
		old, _ := slices.BinarySearchFunc(g.missing, a.Extended-nackReach+1, compareMissing)
		g.lost = g.lost || old > 0
		g.missing = slices.Delete(g.missing, 0, old)
	}
	for ext := a.Extended - uint64(a.Missing); ext < a.Extended; ext++ {
		g.missing = append(g.missing, missingPacket{extended: ext, since: now, next: now.Add(g.cfg.Delay)})
	}
	if a.Missing > 0 {
		g.wake(now.Add(g.cfg.Delay))
	}
}

func (g *NACKGenerator) wake(t time.Time) {
	if g.deadline.IsZero() || t.Before(g.deadline) {
		g.deadline = t
	}
}

// Deadline returns when Advance or Next wants to be called; zero: never.
func (g *NACKGenerator) Deadline() time.Time { return g.deadline }

// Advance gives up what is too old and looks for what is due.
func (g *NACKGenerator) Advance(now time.Time) {
	if g.deadline.IsZero() || now.Before(g.deadline) {
		return
	}
	g.deadline = time.Time{}
	kept := g.missing[:0]
	for _, p := range g.missing {
		due := !p.next.After(now)
		if due && (p.tries >= g.cfg.MaxTries || now.Sub(p.since) >= g.cfg.MaxAge) {
			g.lost = true
			continue
		}
		if due {
			g.ready = true
		} else {
			g.wake(p.next)
		}
		kept = append(kept, p)
	}
	g.missing = kept
	if len(kept) == 0 {
		g.forget()
	}
}

// Next appends a NACK for the packets that are due to dst and says how many they are; call it until there is none.
// Calling it when nothing is due costs nothing.
func (g *NACKGenerator) Next(now time.Time, dst []byte, sender, media uint32) ([]byte, int) {
	g.Advance(now)
	if !g.ready {
		return dst, 0
	}
	g.ready = false
	n := 0
	interval := max(g.rtt, g.cfg.MinInterval)
	for i := range g.missing {
		p := &g.missing[i]
		if p.next.After(now) {
			continue
		}
		if n == maxNACKs {
			g.ready = true
			break
		}
		g.batch[n] = uint16(p.extended)
		n++
		p.tries++
		p.next = now.Add(interval)
		g.wake(p.next)
	}
	return AppendNACK(dst, sender, media, g.batch[:n]), n
}

// Missing returns how many packets are waited for.
func (g *NACKGenerator) Missing() int { return len(g.missing) }

// TakeLost says whether a packet was given up since the last call: what depends on it cannot be decoded, ask for a key
// frame.
func (g *NACKGenerator) TakeLost() bool {
	lost := g.lost
	g.lost = false
	return lost
}
