package ice

import (
	"net/netip"
	"time"
)

// announce tells a local candidate, or has its address hidden first.
func (a *Agent) announce(l *localCandidate) {
	c, b := l.Candidate, l.base
	if c.TCPType == typeActive && a.cfg.HideHosts {
		return // it tells the peer nothing but the address
	}
	if public, ok := a.public(l); ok {
		c.Addr = public
		a.post(EventCandidate{c})
		return
	}
	if !a.cfg.HideHosts || b.local.Addr().IsLoopback() {
		a.post(EventCandidate{c})
		return
	}
	if c.Type != TypeHost {
		a.post(EventCandidate{hideRelated(c)})
		return
	}
	if b.name != "" {
		a.post(EventCandidate{hideAddress(c, b.name)})
		return
	}
	if b.named != a.gather.gen {
		b.named = a.gather.gen
		a.post(EventPublish{Gen: b.named, Base: b.id, Addr: b.local.Addr()})
	}
}

// public returns what a host candidate is reached at from outside of a 1:1 NAT.
func (a *Agent) public(l *localCandidate) (netip.AddrPort, bool) {
	own := l.Addr.Addr()
	if l.Type != TypeHost || own.IsLoopback() || own.IsLinkLocalUnicast() {
		return netip.AddrPort{}, false
	}
	for _, addr := range a.cfg.PublicAddrs {
		if addr = addr.Unmap(); addr.Is4() == own.Is4() {
			return netip.AddrPortFrom(addr, l.Addr.Port()), true
		}
	}
	return netip.AddrPort{}, false
}

// hideAddress puts a name in the place of the address.
func hideAddress(c Candidate, name string) Candidate {
	c.Host, c.Addr = name, netip.AddrPortFrom(netip.Addr{}, c.Addr.Port())
	return c
}

// hideRelated leaves out where a reflexive candidate was gathered from.
func hideRelated(c Candidate) Candidate {
	if !c.Related.IsValid() {
		return c
	}
	none := netip.IPv4Unspecified()
	if c.Addr.Addr().Is6() {
		none = netip.IPv6Unspecified()
	}
	c.Related = netip.AddrPortFrom(none, 0)
	return c
}

// HandlePublishResult brings the name of an EventPublish. Without one the candidate is not announced: the peer may still
// learn it from our checks, but not from the signaling.
func (a *Agent) HandlePublishResult(now time.Time, gen uint64, base BaseID, name string, err error) {
	b := a.base(base)
	if a.state == StateClosed || b == nil || b.named != gen {
		return
	}
	a.now = now
	b.named = 0
	switch {
	case err != nil:
		a.post(EventCandidateError{Local: b.local, Code: 701, Text: "name: " + err.Error()})
	default:
		b.name = name
		if a.gather.state == GatheringActive && b.gen == a.gather.gen {
			for _, l := range a.cur.locals {
				if l.base == b && l.Type == TypeHost {
					a.announce(l)
				}
			}
		}
	}
	a.run(now)
}
