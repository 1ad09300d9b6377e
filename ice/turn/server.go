package turn

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v3"
)

// Server is the engine of a STUN and TURN server. It knows sockets by numbers: listeners, which the driver adds, and
// relays, which the server asks for by events. Its driver
//
//   - feeds what clients send to [Server.HandlePacket], and what peers send to relays to [Server.Deliver],
//   - sends what these return and what [Server.Next] hands out,
//   - opens and closes relay sockets as [Server.Event] says,
//   - calls [Server.Advance] at [Server.Deadline].
//
// Not safe for concurrent use, with one exception: [Server.Forward] and [Server.Deliver] change nothing but atomic counters
// and may run beside each other under a read lock, while everything else needs the write lock. `now` must never go
// backwards from call to call by more than the two locks let calls overtake each other.
type Server struct {
	// Immutable after NewServer.
	cfg    ServerConfig
	policy peerPolicy
	nonces nonces

	rng         *rand.ChaCha8
	limiter     limiter
	listeners   map[ListenerID]listener
	allocations map[FiveTuple]*allocation
	relays      map[RelayID]*relay
	byAddr      map[netip.AddrPort]*relay // local and public addresses of relays
	accounts    map[string]int            // allocations of each
	addresses   map[netip.Addr]int
	lastRelay   RelayID
	draining    bool
	closed      bool
	sweepAt     time.Time

	replies  []reply
	events   []ServerEvent
	tx       stun.Message
	scratch  attributes
	counters ServerStats // of control, and of the data of allocations that have ended
	lastID   atomic.Uint64
}

type listener struct {
	transport Transport
	local     netip.AddrPort
}

type reply struct {
	to   FiveTuple
	data []byte
}

// ServerStats are counters since the start, and how many there are of what is there now.
type ServerStats struct {
	Allocations, Relays   int
	AllocationsTotal      uint64
	BindingRequests       uint64
	Challenges            uint64 // 401 and 438
	AuthFailures          uint64 // wrong integrity or unknown user
	Refused               uint64 // other error responses
	RateLimited           uint64 // unauthenticated requests that were not answered
	Dropped               uint64 // packets of clients that were no use
	PeersDenied           uint64 // permissions and channels that the policy has denied
	FromClients, ToPeers  uint64 // data packets: ToPeers passed the gate
	FromPeers, ToClients  uint64
	OverBitrate           uint64 // data packets above MaxBitrate
	BytesToPeers          uint64
	BytesToClients        uint64
	BindFailures          uint64
	RepliesDropped        uint64
	AllocationsExpired    uint64
	ClosedByDisconnection uint64
}

// ServerEvent is one of Bind, Unbind, AllocationStarted, AllocationEnded.
type ServerEvent interface{ serverEvent() }

// Bind asks for a UDP socket at Addr: [Server.HandleBindResult].
type Bind struct {
	Relay RelayID
	Addr  netip.AddrPort
}

// Unbind says that a relay's socket is not needed any more.
type Unbind struct{ Relay RelayID }

// AllocationStarted is for logs.
type AllocationStarted struct {
	Client   FiveTuple
	Username string
	Relayed  []netip.AddrPort
}

// AllocationEnded is for logs and accounts.
type AllocationEnded struct {
	Client                         FiveTuple
	Username                       string
	Started, Ended                 time.Time
	Reason                         string // "expired", "deleted", "disconnected", "closed"
	PacketsToPeers, BytesToPeers   uint64
	PacketsToClient, BytesToClient uint64
}

func (Bind) serverEvent()              {}
func (Unbind) serverEvent()            {}
func (AllocationStarted) serverEvent() {}
func (AllocationEnded) serverEvent()   {}

// NewServer makes a server without listeners. Errors are ErrConfig, or those of ServerConfig.Rand.
func NewServer(cfg ServerConfig) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var secrets [64]byte
	if _, err := io.ReadFull(cfg.Rand, secrets[:]); err != nil {
		return nil, fmt.Errorf("turn: random source: %w", err)
	}
	features := byte(featureAlgorithms)
	if cfg.Userhash {
		features |= featureUserhash
	}
	s := &Server{
		cfg:         cfg,
		nonces:      newNonces([32]byte(secrets[:32]), features, cfg.NonceLifetime),
		rng:         rand.NewChaCha8([32]byte(secrets[32:])),
		listeners:   make(map[ListenerID]listener),
		allocations: make(map[FiveTuple]*allocation),
		relays:      make(map[RelayID]*relay),
		byAddr:      make(map[netip.AddrPort]*relay),
		accounts:    make(map[string]int),
		addresses:   make(map[netip.Addr]int),
	}
	s.limiter = limiter{perSource: cfg.ReplyRate, total: cfg.TotalReplyRate, seed: [2]uint64{s.rng.Uint64(), s.rng.Uint64()}}
	s.lastID.Store(s.rng.Uint64())
	s.policy = peerPolicy{allow: slices.Clone(cfg.AllowPeers), deny: slices.Clone(cfg.DenyPeers)}
	for _, h := range cfg.Hosts {
		s.policy.hosts = append(s.policy.hosts, h.Unmap().WithZone(""))
	}
	for _, r := range cfg.Relays {
		s.policy.hosts = append(s.policy.hosts, r.Local, r.Public)
	}
	return s, nil
}

// AddListener tells the server of an address that clients send to.
func (s *Server) AddListener(id ListenerID, t Transport, local netip.AddrPort) {
	s.listeners[id] = listener{t, local}
	if a := local.Addr().Unmap().WithZone(""); a.IsValid() && !a.IsUnspecified() {
		s.policy.hosts = append(s.policy.hosts, a)
	}
}

var bindingIndication = stun.NewType(stun.MethodBinding, stun.ClassIndication)

// HandlePacket feeds what a client has sent: a datagram, or a whole message of a stream. True: it was data for a peer, and
// is to be sent on as the [Forward] says. The error says why a packet was dropped.
func (s *Server) HandlePacket(now time.Time, from FiveTuple, pkt []byte) (Forward, bool, error) {
	if s.closed {
		return Forward{}, false, ErrClosed
	}
	if f, ok := s.Forward(now, from, pkt); ok {
		return f, true, nil
	}
	if IsMessage(pkt) && messageType(pkt) == bindingIndication {
		return Forward{}, false, nil // somebody keeps a NAT's mapping alive
	}
	if !IsMessage(pkt) || messageType(pkt).Class != stun.ClassRequest {
		return Forward{}, false, s.drop("no request")
	}
	return Forward{}, false, s.request(now, from, pkt)
}

func (s *Server) drop(why string) error {
	s.counters.Dropped++
	return fmt.Errorf("%w: %s", ErrPacket, why)
}

// HandleDisconnect says that a client's connection is gone, and with it its allocation (RFC 8656 §6).
func (s *Server) HandleDisconnect(now time.Time, client FiveTuple) {
	if a := s.allocations[client]; a != nil {
		s.counters.ClosedByDisconnection++
		s.remove(now, a, "disconnected")
	}
}

// Established tells whether a client has an allocation: a stream without one is not worth keeping for long.
func (s *Server) Established(client FiveTuple) bool {
	a := s.allocations[client]
	return a != nil && a.active
}

// Next takes the next response. Data is appended to dst[:0] and the caller's. False: nothing is left.
func (s *Server) Next(dst []byte) (to FiveTuple, data []byte, ok bool) {
	if len(s.replies) == 0 {
		return FiveTuple{}, nil, false
	}
	r := s.replies[0]
	if s.replies = s.replies[1:]; len(s.replies) == 0 {
		s.replies = nil
	}
	return r.to, append(dst[:0], r.data...), true
}

func (s *Server) send(to FiveTuple, data []byte) {
	if len(s.replies) >= maxReplies {
		s.counters.RepliesDropped++
		return
	}
	s.replies = append(s.replies, reply{to, slices.Clone(data)})
}

// Event returns the next event; false: there is none.
func (s *Server) Event() (ServerEvent, bool) {
	if len(s.events) == 0 {
		return nil, false
	}
	e := s.events[0]
	s.events[0] = nil
	if s.events = s.events[1:]; len(s.events) == 0 {
		s.events = nil
	}
	return e, true
}

func (s *Server) post(e ServerEvent) { s.events = append(s.events, e) }

// EndBatch does nothing; it is there for the engine contract.
func (s *Server) EndBatch(time.Time) {}

// Advance takes away what has expired. Early and repeated calls do nothing.
func (s *Server) Advance(now time.Time) {
	if !due(s.sweepAt, now) {
		return
	}
	for _, a := range s.allocations {
		if !a.expiresAt.After(now) {
			s.counters.AllocationsExpired++
			s.remove(now, a, "expired")
		} else {
			a.sweep(now)
		}
	}
	s.sweepAt = time.Time{}
	if len(s.allocations) > 0 {
		s.sweepAt = now.Add(sweepInterval)
	}
}

// Deadline returns when Advance wants to be called next; zero: no timer is armed. After Advance(now) it is zero or after now.
func (s *Server) Deadline() time.Time { return s.sweepAt }

// Drain makes the server take no new allocations; those that there are go on.
func (s *Server) Drain() { s.draining = true }

// Close ends all allocations. TURN has no goodbye of servers on the wire. Idempotent.
func (s *Server) Close(now time.Time) {
	for _, a := range s.allocations {
		s.remove(now, a, "closed")
	}
	s.closed, s.sweepAt, s.replies = true, time.Time{}, nil
}

// Stats is a snapshot.
func (s *Server) Stats() ServerStats {
	r := s.counters
	for _, a := range s.allocations {
		r.addData(a)
	}
	r.Allocations, r.Relays = len(s.allocations), len(s.relays)
	return r
}

func (r *ServerStats) addData(a *allocation) {
	r.FromClients += a.fromClient.Load()
	r.ToPeers += a.toPeer.Load()
	r.BytesToPeers += a.bytesToPeer.Load()
	r.FromPeers += a.fromPeer.Load()
	r.ToClients += a.toClient.Load()
	r.BytesToClients += a.bytesToClient.Load()
	r.OverBitrate += a.overBitrate.Load()
}
