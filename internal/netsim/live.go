package netsim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

// Live runs a network on the clock of the program, for testing/synctest: each
// host becomes a netio.Network with sockets that goroutines wait on. Inside a
// bubble the clock is virtual and the waits are durable. All that Live makes
// belongs to the bubble that NewLive was called in. Safe for concurrent use; the
// Network under it may be touched only inside Do.
type Live struct {
	// ResolveDelay is how long Resolve takes. Set before use.
	ResolveDelay time.Duration

	// Guarded by mu.
	mu        sync.Mutex
	net       *Network
	sockets   map[*Host][]*socket
	listeners []*streamListener
	stalled   chan struct{} // closed: the connections of before are dead
	nextEph   map[*Host]uint16
	timer     *time.Timer
	armed     time.Time
	closed    bool
}

// NewLive takes over a network.
func NewLive(n *Network) *Live {
	return &Live{
		net:     n,
		sockets: make(map[*Host][]*socket),
		nextEph: make(map[*Host]uint16),
	}
}

// Do runs f, which may change hosts, links and NATs, while the network stands
// still.
func (l *Live) Do(f func(n *Network)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.net)
	l.arm()
}

// Close closes all sockets and stops the timer.
func (l *Live) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.net.hosts {
		for _, s := range l.sockets[h] {
			s.closeLocked()
		}
		delete(l.sockets, h)
	}
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// Host returns the netio.Network of a host.
func (l *Live) Host(h *Host) netio.Network { return liveHost{l, h} }

// deliver takes out of the network what has arrived, and arms the timer.
func (l *Live) deliver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = time.Time{}
	l.deliverLocked()
	l.arm()
}

func (l *Live) deliverLocked() {
	now := l.now()
	for {
		d, ok := l.net.Next(now)
		if !ok {
			return
		}
		if s := l.socketFor(d.Host, d.From, d.To); s != nil {
			s.arrive(d)
		}
	}
}

// now is the network's time.
func (l *Live) now() time.Time { return time.Now() }

// arm sets the timer to the network's deadline, if it is not there yet.
func (l *Live) arm() {
	d := l.net.Deadline()
	if l.closed || d.IsZero() || (!l.armed.IsZero() && !d.Before(l.armed)) {
		return
	}
	l.armed = d
	wait := max(0, time.Until(d))
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.deliver)
		return
	}
	l.timer.Reset(wait)
}

// socketFor finds the receiver: a socket bound to the address goes before one
// bound to all of them. Of those that share a port, the flow decides.
func (l *Live) socketFor(h *Host, from, to netip.AddrPort) (best *socket) {
	var rank uint64
	for i, s := range l.sockets[h] {
		r := uint64(0)
		switch {
		case s.bound == to:
			r = 2
		case s.takesAll(to.Addr()) && s.bound.Port() == to.Port():
			r = 1
		default:
			continue
		}
		if r = r<<32 | uint64(spread(from, i)); r >= rank {
			best, rank = s, r
		}
	}
	return best
}

// liveHost is the netio.Network of one host.
type liveHost struct {
	live *Live
	host *Host
}

// Interfaces implements netio.Network. Interfaces that are down have no
// addresses.
func (h liveHost) Interfaces() ([]netio.Interface, error) {
	h.live.mu.Lock()
	defer h.live.mu.Unlock()
	list := []netio.Interface{{
		Name: "lo", Index: 1, MTU: 65535, Up: true, Loopback: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")},
	}}
	for _, i := range h.host.ifaces {
		one := netio.Interface{Name: i.name, Index: i.index, MTU: i.Up.mtu(), Up: i.IsUp(), Multicast: true}
		if i.IsUp() {
			one.Addrs = i.Addrs()
		}
		list = append(list, one)
	}
	return list, nil
}

// errNoSuchHost is the cause of a *net.DNSError.
const errNoSuchHost = "no such host"

// Resolve implements netio.Network, from the names given to AddName.
func (h liveHost) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if h.live.ResolveDelay > 0 {
		timer := time.NewTimer(h.live.ResolveDelay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("netsim: resolve: %w", err)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	h.live.mu.Lock()
	defer h.live.mu.Unlock()
	addrs := h.live.net.Lookup(host)
	if len(addrs) == 0 {
		return nil, fmt.Errorf("netsim: %w", &net.DNSError{Err: errNoSuchHost, Name: host, IsNotFound: true})
	}
	return addrs, nil
}

// firstEphemeral starts the range of IANA for ports of the system's choice.
const firstEphemeral = 49152

// ListenUDP implements netio.Network.
func (h liveHost) ListenUDP(local netip.AddrPort) (netio.PacketConn, error) {
	return h.listen(local, false)
}

func (h liveHost) listen(local netip.AddrPort, shared bool) (netio.PacketConn, error) {
	l := h.live
	l.mu.Lock()
	defer l.mu.Unlock()
	addr := local.Addr().Unmap()
	if addr.IsValid() && !addr.IsUnspecified() && !h.host.owns(addr) {
		return nil, fmt.Errorf("netsim: listen: %w", syscall.EADDRNOTAVAIL)
	}
	s := &socket{
		live: l, host: h.host, both: !addr.IsValid(), shared: shared,
		ready: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if s.both {
		addr = netip.IPv6Unspecified()
	}
	port := local.Port()
	if port == 0 {
		port = l.ephemeral(h.host)
	}
	s.bound = netip.AddrPortFrom(addr, port)
	for _, o := range l.sockets[h.host] {
		if shared && o.shared && o.bound == s.bound {
			continue
		}
		if o.bound.Port() == port && (o.bound == s.bound || o.takesAll(addr) || s.takesAll(o.bound.Addr())) {
			return nil, fmt.Errorf("netsim: listen: %w", syscall.EADDRINUSE)
		}
	}
	l.sockets[h.host] = append(l.sockets[h.host], s)
	return s, nil
}

// ephemeral returns a port that no socket of the host has.
func (l *Live) ephemeral(h *Host) uint16 {
	for {
		port := l.nextEph[h]
		if port < firstEphemeral {
			port = firstEphemeral
		}
		l.nextEph[h] = port + 1 // wraps to 0, and so to the first again
		used := false
		for _, s := range l.sockets[h] {
			used = used || s.bound.Port() == port
		}
		if !used {
			return port
		}
	}
}

// isFull says whether the rest of a batch should be kept: the uplink's queue is
// the socket's.
func isFull(err error) bool { return errors.Is(err, ErrFull) }
