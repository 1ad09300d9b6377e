package ice

import (
	"slices"
	"time"
)

// takeLite lets a lite agent learn from a check: that the pair works for the peer, and is nominated (RFC 8445 §7.3.2).
//
// A lite agent sends no consent checks (RFC 7675 §4). The peer that wants to receive goes on with its own, each of which
// tells that it is there and has our password: they renew the consent, so that a lite agent too stops sending to a peer that
// is gone.
func (a *Agent) takeLite(now time.Time, p *pair, e earlyCheck) {
	p.state = PairSucceeded
	if p.valid {
		p.refresh(now, a.cfg.ConsentTimeout)
	}
	if !e.useCandidate {
		return
	}
	if !p.valid {
		p.valid, p.validSince, p.produced = true, now, p
		p.refresh(now, a.cfg.ConsentTimeout)
		if !slices.Contains(p.gen.valid, p) {
			p.gen.valid = append(p.gen.valid, p)
		}
	}
	a.follow(now, p)
	p.lastNominate = now
}
