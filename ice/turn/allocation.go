package turn

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v3"
)

// allocation is what a client has (RFC 8656 §3.2): relays, permissions and channels.
//
//	binding (not active) ─► active ─► removed
type allocation struct {
	// Immutable once there.
	client  FiveTuple
	stream  bool
	user    Identity
	account string
	source  netip.Addr // what the quota of addresses counts by
	started time.Time

	// What the Allocate request wanted, and how it is answered.
	id       [stun.TransactionIDSize]byte
	auth     integrity
	lifetime time.Duration
	evenPort bool
	attempts int
	// familyError is what became of the second address, if it was asked for (ADDRESS-ERROR-CODE).
	familyError int

	active      bool
	relays      [2]*relay // by family
	permissions map[netip.Addr]*permission
	channels    map[uint16]*channel
	byPeer      map[netip.AddrPort]*channel
	expiresAt   time.Time

	fromClient, toPeer, bytesToPeer   atomic.Uint64
	fromPeer, toClient, bytesToClient atomic.Uint64
	overBitrate                       atomic.Uint64
	peerShare, clientShare            share // of MaxBitrate
}

// relay is one relayed transport address.
type relay struct {
	id     RelayID
	owner  *allocation
	wanted netip.AddrPort // while it is being bound
	config RelayAddress
	local  netip.AddrPort
	public netip.AddrPort
	bound  bool
}

// permission is the gate (RFC 8656 §9): nothing is relayed to or from an address without one, and it is only made for
// addresses that the policy lets pass.
type permission struct {
	expiresAt time.Time
	own       bool // one of our addresses: the relay there may be one of ours
	network   bool // may leave by the network
}

// channel is a channel binding (RFC 8656 §12).
type channel struct {
	number     uint16
	peer       netip.AddrPort
	permission *permission
	expiresAt  time.Time
}

// find returns the living allocation of a client.
func (s *Server) find(now time.Time, client FiveTuple) *allocation {
	a := s.allocations[client]
	if a == nil || !a.active || !a.expiresAt.After(now) {
		return nil
	}
	return a
}

// sourceOf is what the quota of addresses counts by.
func sourceOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	return netip.PrefixFrom(a.WithZone(""), 64).Masked().Addr()
}

// admit checks the quotas; zero: the client may have an allocation (RFC 8656 §7.2).
func (s *Server) admit(account string, source netip.Addr) stun.ErrorCode {
	switch {
	case s.draining || len(s.allocations) >= s.cfg.MaxAllocations:
		return stun.CodeInsufficientCapacity
	case s.cfg.MaxPerAccount > 0 && s.accounts[account] >= s.cfg.MaxPerAccount,
		s.cfg.MaxPerAddress > 0 && s.addresses[source] >= s.cfg.MaxPerAddress:
		return stun.CodeAllocQuotaReached
	}
	return 0
}

// add puts an allocation into the tables and asks for its sockets.
func (s *Server) add(now time.Time, a *allocation, families []bool) {
	a.started, a.expiresAt = now, now.Add(a.lifetime)
	a.permissions, a.channels = make(map[netip.Addr]*permission), make(map[uint16]*channel)
	a.byPeer = make(map[netip.AddrPort]*channel)
	s.allocations[a.client] = a
	s.accounts[a.account]++
	s.addresses[a.source]++
	if s.sweepAt.IsZero() {
		s.sweepAt = now.Add(sweepInterval)
	}
	for _, config := range s.cfg.Relays {
		if i := familyIndex(config.Local); families[i] {
			a.relays[i] = &relay{owner: a, config: config}
			s.bind(a.relays[i])
		}
	}
}

// bind asks for a socket with a random port: one that nobody can tell in advance (RFC 8656 §7.2).
func (s *Server) bind(r *relay) {
	s.lastRelay++
	r.id = s.lastRelay
	first, step := uint64(s.cfg.MinPort), uint64(1)
	if r.owner.evenPort {
		first, step = (first+1)&^1, 2
	}
	n := (uint64(s.cfg.MaxPort)-first)/step + 1
	for range maxBindAttempts {
		port := first + s.rng.Uint64()%n*step
		r.wanted = netip.AddrPortFrom(r.config.Local, uint16(port))
		if s.byAddr[r.wanted] == nil {
			break
		}
	}
	s.relays[r.id] = r
	s.post(Bind{Relay: r.id, Addr: r.wanted})
}

// HandleBindResult says that a relay's socket is there, or why not; another port is tried then. A socket whose relay was
// given up meanwhile is unbound again by an event.
func (s *Server) HandleBindResult(now time.Time, id RelayID, local netip.AddrPort, err error) {
	r := s.relays[id]
	if r == nil || r.bound {
		if r == nil && err == nil {
			s.post(Unbind{id})
		}
		return
	}
	a := r.owner
	if err != nil {
		s.counters.BindFailures++
		delete(s.relays, id)
		if a.attempts++; a.attempts < maxBindAttempts {
			s.bind(r)
			return
		}
		a.relays[familyIndex(r.config.Local)] = nil
		a.familyError = int(stun.CodeInsufficientCapacity)
	} else {
		r.bound, r.local = true, local
		r.public = netip.AddrPortFrom(r.config.Public, local.Port())
		s.byAddr[r.local], s.byAddr[r.public] = r, r
	}
	s.settle(now, a)
}

// settle answers the Allocate request once all sockets are there, or none is to be had.
func (s *Server) settle(now time.Time, a *allocation) {
	bound := 0
	for _, r := range a.relays {
		if r != nil && !r.bound {
			return
		}
		if r != nil {
			bound++
		}
	}
	if bound == 0 {
		s.refuse(a.client, stun.MethodAllocate, a.id, stun.CodeInsufficientCapacity, a.auth, nil)
		s.remove(now, a, "no port")
		return
	}
	a.active = true
	a.expiresAt = now.Add(a.lifetime)
	s.counters.AllocationsTotal++
	s.post(AllocationStarted{Client: a.client, Username: a.user.Username, Relayed: a.relayed()})
	s.answerAllocate(now, a)
}

func (a *allocation) relayed() (list []netip.AddrPort) {
	for _, r := range a.relays {
		if r != nil {
			list = append(list, r.public)
		}
	}
	return list
}

// remove takes an allocation out of all tables.
func (s *Server) remove(now time.Time, a *allocation, why string) {
	for _, r := range a.relays {
		if r == nil {
			continue
		}
		delete(s.relays, r.id)
		if r.bound {
			delete(s.byAddr, r.local)
			delete(s.byAddr, r.public)
			s.post(Unbind{r.id})
		}
	}
	delete(s.allocations, a.client)
	if s.accounts[a.account]--; s.accounts[a.account] <= 0 {
		delete(s.accounts, a.account)
	}
	if s.addresses[a.source]--; s.addresses[a.source] <= 0 {
		delete(s.addresses, a.source)
	}
	s.counters.addData(a)
	if a.active {
		s.post(AllocationEnded{
			Client: a.client, Username: a.user.Username, Started: a.started, Ended: now, Reason: why,
			PacketsToPeers: a.toPeer.Load(), BytesToPeers: a.bytesToPeer.Load(),
			PacketsToClient: a.toClient.Load(), BytesToClient: a.bytesToClient.Load(),
		})
	}
}

// sweep takes expired permissions and channels away.
func (a *allocation) sweep(now time.Time) {
	for addr, p := range a.permissions {
		if !p.expiresAt.After(now) {
			delete(a.permissions, addr)
		}
	}
	for number, ch := range a.channels {
		if !ch.expiresAt.After(now) {
			delete(a.channels, number)
			delete(a.byPeer, ch.peer)
		}
	}
}

// reaches tells whether the allocation has a relayed address of a peer's family (RFC 8656 §10.2).
func (a *allocation) reaches(addr netip.Addr) bool { return a.relays[familyIndex(addr)] != nil }

// gate is the one place where permissions come from. Zero: all addresses have theirs now; otherwise none has changed.
func (s *Server) gate(now time.Time, a *allocation, peers ...netip.AddrPort) stun.ErrorCode {
	fresh := 0
	for _, p := range peers {
		addr := p.Addr()
		switch {
		case !a.reaches(addr):
			return stun.CodePeerAddrFamilyMismatch
		case s.policy.judge(addr) == verdictDeny:
			s.counters.PeersDenied++
			return stun.CodeForbidden
		case a.permissions[addr] == nil:
			fresh++
		}
	}
	if len(a.permissions)+fresh > maxPermissions {
		return stun.CodeInsufficientCapacity
	}
	for _, p := range peers {
		addr := p.Addr()
		if a.permissions[addr] == nil {
			a.permit(addr, &permission{
				own:     slices.Contains(s.policy.hosts, addr),
				network: s.policy.judge(addr) == verdictAllow,
			})
		}
		a.permissions[addr].expiresAt = now.Add(permissionLifetime)
	}
	return 0
}

// permit puts a new permission in force, for the channels too that have outlived one for the same address.
func (a *allocation) permit(addr netip.Addr, p *permission) {
	a.permissions[addr] = p
	for _, ch := range a.channels {
		if ch.peer.Addr() == addr {
			ch.permission = p
		}
	}
}

// bindChannel makes or refreshes a channel (RFC 8656 §12.2). Zero: done.
func (s *Server) bindChannel(now time.Time, a *allocation, number uint16, peer netip.AddrPort) (stun.ErrorCode, error) {
	if number < firstChannel || number > lastChannel || peer.Port() == 0 {
		return stun.CodeBadRequest, fmt.Errorf("%w: channel %#x", ErrPacket, number)
	}
	a.sweep(now)
	byNumber, byPeer := a.channels[number], a.byPeer[peer]
	if byNumber != byPeer { // the number has another peer, or the peer another number
		return stun.CodeBadRequest, fmt.Errorf("%w: channel is bound otherwise", ErrPacket)
	}
	if byNumber == nil && len(a.channels) >= maxChannels {
		return stun.CodeInsufficientCapacity, ErrLimit
	}
	if code := s.gate(now, a, peer); code != 0 {
		return code, ErrForbidden
	}
	ch := byNumber
	if ch == nil {
		ch = &channel{number: number, peer: peer}
		a.channels[number], a.byPeer[peer] = ch, ch
	}
	ch.permission, ch.expiresAt = a.permissions[peer.Addr()], now.Add(channelLifetime)
	return 0, nil
}
