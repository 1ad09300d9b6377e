package turn

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// peer is a permission, or a channel, which includes one.
type peer struct {
	addr      netip.AddrPort // port zero: a permission for all ports
	channel   uint16         // zero: a permission
	ready     bool           // the server has confirmed it
	asking    bool           // a request is in flight
	retried   bool           // with another number
	refreshAt time.Time
}

// refreshInterval leaves a minute of a permission's five (RFC 8656 §9). Channels live for ten minutes, but binding one
// again also renews its permission, so that one request does for both.
const refreshInterval = 4 * time.Minute

// CreatePermission lets the server relay to and from all ports of an address: EventPeerReady or EventPeerFailed follows.
// Data may be sent at once. The permission is kept until Release. Errors: ErrState, ErrLimit, ErrConfig.
func (c *Client) CreatePermission(now time.Time, addr netip.Addr) error {
	return c.want(now, netip.AddrPortFrom(addr, 0))
}

// Bind gives a peer a channel: less overhead in every packet, and a permission for its address. EventPeerReady or
// EventPeerFailed follows; data may be sent at once. The channel is kept until Release. Errors: ErrState, ErrLimit,
// ErrConfig.
func (c *Client) Bind(now time.Time, peer netip.AddrPort) error {
	if peer.Port() == 0 {
		return fmt.Errorf("%w: peer without a port", ErrConfig)
	}
	return c.want(now, peer)
}

func (c *Client) want(now time.Time, addr netip.AddrPort) error {
	c.now = now
	addr = normalize(addr)
	switch _, known := c.peers[addr]; {
	case c.state == StateClosing || c.state == StateClosed:
		return ErrClosed
	case c.state == StateIdle || c.state == StateFailed:
		return ErrState
	case known:
		return nil
	case !addr.IsValid() || !c.reaches(addr.Addr()):
		return fmt.Errorf("%w: no relayed address of the peer's family", ErrConfig)
	case len(c.peers) >= maxPeers:
		return fmt.Errorf("%w: %d peers", ErrLimit, maxPeers)
	}
	p := &peer{addr: addr}
	if addr.Port() != 0 {
		c.number(p)
	}
	c.peers[addr] = p
	c.order = append(c.order, p)
	if c.state == StateAllocated {
		c.ask(p)
	}
	return nil
}

// reaches tells whether a peer's address is of the family of a relayed one: others the server answers by 443.
func (c *Client) reaches(addr netip.Addr) bool {
	if c.state != StateAllocated {
		return c.wants(addr)
	}
	return slices.ContainsFunc(c.relayed, func(r netip.AddrPort) bool { return r.Addr().Is4() == addr.Is4() })
}

// number gives a peer a channel number that was not used for as long as possible: a number must not be bound to another
// peer for five minutes after its binding has expired (RFC 8656 §12).
func (c *Client) number(p *peer) {
	if c.channels == nil {
		c.channels = make([]*peer, lastChannel-firstChannel+1)
	}
	for c.channels[c.nextChannel] != nil {
		c.nextChannel = (c.nextChannel + 1) % len(c.channels)
	}
	c.channels[c.nextChannel] = p
	p.channel = firstChannel + uint16(c.nextChannel)
	c.nextChannel = (c.nextChannel + 1) % len(c.channels)
}

// Release ends the refreshing of a channel, or with port zero of a permission; the server forgets it in time. Packets from
// the peer are dropped from now on.
func (c *Client) Release(now time.Time, peer netip.AddrPort) {
	c.now = now
	p := c.peers[normalize(peer)]
	if p == nil {
		return
	}
	c.requests = slices.DeleteFunc(c.requests, func(r *request) bool { return r.peer == p })
	c.forget(p)
}

func (c *Client) forget(p *peer) {
	delete(c.peers, p.addr)
	c.order = slices.DeleteFunc(c.order, func(q *peer) bool { return p == q })
	if p.channel != 0 {
		c.channels[p.channel-firstChannel] = nil
	}
}

// Ready tells whether the server has confirmed a channel, or with port zero a permission.
func (c *Client) Ready(peer netip.AddrPort) bool {
	p := c.peers[normalize(peer)]
	return p != nil && p.ready
}

// ask sends the request that makes or refreshes a permission or channel.
func (c *Client) ask(p *peer) {
	method := stun.MethodCreatePermission
	if p.channel != 0 {
		method = stun.MethodChannelBind
	}
	p.refreshAt = time.Time{}
	p.asking = c.send(&request{method: method, peer: p})
	if !p.asking {
		p.refreshAt = c.now.Add(c.cfg.RTO)
	}
}

func (c *Client) refreshPeers() {
	for _, p := range c.order {
		if due(p.refreshAt, c.now) {
			c.ask(p)
		}
	}
}

func (c *Client) peerReady(r *request) {
	p := r.peer
	p.asking = false
	p.refreshAt = c.now.Add(refreshInterval)
	if !p.ready {
		p.ready = true
		c.post(EventPeerReady{p.addr})
	}
}

// peerFailed handles a refusal. A number that the server has bound to another peer is replaced once: it may remember one
// of before a restart of ours.
func (c *Client) peerFailed(r *request, err error) {
	p := r.peer
	p.asking = false
	var refusal *Error
	if errors.As(err, &refusal) && refusal.Code == 400 && p.channel != 0 && !p.retried {
		p.retried, p.ready = true, false
		c.channels[p.channel-firstChannel] = nil
		c.number(p)
		c.ask(p)
		return
	}
	c.forget(p)
	c.post(EventPeerFailed{p.addr, err})
}

// forgetReplies makes all peers be asked for again, at the next allocation.
func (c *Client) forgetReplies() {
	for _, p := range c.order {
		p.ready, p.asking, p.retried, p.refreshAt = false, false, false, time.Time{}
	}
}
