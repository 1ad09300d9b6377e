package ice

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/openparley/webrtc/ice/turn"
)

// Errors of the package. They come wrapped with context; use errors.Is.
var (
	// ErrClosed: the agent was closed.
	ErrClosed = errors.New("ice: closed")
	// ErrConfig: a Config or Parameters value is not usable.
	ErrConfig = errors.New("ice: bad configuration")
	// ErrCandidate: a candidate-attribute does not parse, or a candidate is not usable.
	ErrCandidate = errors.New("ice: bad candidate")
	// ErrLimit: a table is full; the input was dropped.
	ErrLimit = errors.New("ice: limit reached")
	// ErrPacket: a datagram was dropped because it is malformed, unknown or unexpected.
	ErrPacket = errors.New("ice: packet dropped")
	// ErrIntegrity: a datagram was dropped because its MESSAGE-INTEGRITY is missing or wrong.
	ErrIntegrity = errors.New("ice: integrity check failed")
)

// Parameters are the credentials of one side for one generation (RFC 8839 §5.4).
type Parameters struct {
	Ufrag string // 4 to 256 ice-chars
	Pwd   string // 22 to 256 ice-chars
	Lite  bool   // the side is ICE-lite (only meaningful for the peer)
}

// validate checks the lengths and the alphabet of RFC 8839 §5.4.
func (p Parameters) validate() error {
	if len(p.Ufrag) < 4 || len(p.Ufrag) > 256 || !isICEChars(p.Ufrag) {
		return fmt.Errorf("%w: ufrag must be 4 to 256 ice-chars", ErrConfig)
	}
	if len(p.Pwd) < 22 || len(p.Pwd) > 256 || !isICEChars(p.Pwd) {
		return fmt.Errorf("%w: pwd must be 22 to 256 ice-chars", ErrConfig)
	}
	return nil
}

const iceChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// isICEChars is the ice-char of RFC 8839 §5.1, and "-", "=", "#" and "_", which older servers send and browsers take.
func isICEChars(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.Contains("+/-=#_", s[i:i+1]) {
			return false
		}
	}
	return true
}

// GenerateParameters draws fresh credentials: 48 bits of ufrag and 144 bits of password, where RFC 8445 §5.3 wants at
// least 24 and 128. It fails only when rand does.
func GenerateParameters(rand io.Reader) (Parameters, error) {
	var b [32]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return Parameters{}, fmt.Errorf("ice: random source: %w", err)
	}
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(iceChars[c&63])
	}
	return Parameters{Ufrag: s.String()[:8], Pwd: s.String()[8:]}, nil
}

// ServerKind says what a server is for.
type ServerKind uint8

// The kinds of servers.
const (
	// ServerSTUN: binding requests over UDP, for server-reflexive candidates.
	ServerSTUN ServerKind = iota
	// ServerTURN: an allocation, for a relayed candidate, and over UDP a server-reflexive one.
	ServerTURN
)

// Server is one STUN or TURN server. It is comparable: allocations on a server that is configured again are kept.
type Server struct {
	Kind ServerKind
	URL  string // as configured; repeated in candidates, errors and statistics
	Host string // a name or an IP literal without brackets
	Port uint16 // zero: 3478, or 5349 for TLS and DTLS

	// Transport is how a TURN server is reached; the zero value: UDP.
	Transport turn.Transport
	// Username and Password are the long-term credentials for a TURN server.
	Username, Password string
	// ByName leaves a TURN server's name to whoever makes the connection, as for a server behind a proxy, whose name means
	// something only there. It has no effect on UDP and DTLS.
	ByName bool
	// Useless, if set, is why a server is of no use: each gathering reports it, and asks the server for nothing.
	Useless string
}

// unnamed stands for the address of a server that is known by its name, in 0.0.0.0/8, which is nobody's: servers must be
// told apart.
func unnamed(index int) netip.Addr { return netip.AddrFrom4([4]byte{0, 0, 0, byte(index + 1)}) }

// port returns the port of a server with its default (RFC 7064 §3.2, RFC 7065 §3.2).
func (s *Server) port() uint16 {
	switch {
	case s.Port != 0:
		return s.Port
	case s.Kind == ServerTURN && (s.Transport == turn.TLS || s.Transport == turn.DTLS):
		return 5349
	}
	return 3478
}

// Networks is a set of transports and address families.
type Networks uint8

// The members of Networks.
const (
	NetworkUDP4 Networks = 1 << iota
	NetworkUDP6
	NetworkTCP4
	NetworkTCP6
)

// Config is the configuration of an Agent. Rand must be set; every other zero value works.
type Config struct {
	// Role may be left unknown until [Agent.SetRole].
	Role Role
	// Local are the credentials of the first generation; zero: generated from Rand.
	Local Parameters
	// Servers are asked for server-reflexive candidates, at most 16.
	Servers []Server
	// Policy restricts which candidates are announced and paired.
	Policy TransportPolicy
	// Lite makes a lite agent (RFC 8445 §2.5), for hosts that every peer can reach: it has host candidates only, makes no
	// checks, is always controlled and answers. Its peer must be a full agent. What keeps consent fresh are the peer's own
	// checks.
	Lite bool
	// PublicAddrs are the outside addresses of a 1:1 NAT, at most one of each family: host candidates of that family are
	// announced with it in the place of their own address, with the same port.
	PublicAddrs []netip.Addr
	// RemoteFilter, if set, keeps the addresses of peers that it returns true for: others are neither asked nor answered.
	RemoteFilter func(netip.Addr) bool
	// SharedPort says that other agents use the same local addresses: servers cannot tell their allocations by UDP apart, so
	// that there are none.
	SharedPort bool
	// Networks are what candidates are gathered for, and what the peer's are used of; zero: UDP over both families. TCP makes
	// an active candidate of each address, which needs no socket (RFC 6544). TURN servers are reached in any case, by UDP where
	// there is a base.
	Networks Networks
	// TCPPassive asks for a TCP listener at each address too, where Networks has TCP, for passive candidates.
	TCPPassive bool
	// HideHosts announces host candidates under names of multicast DNS, which EventPublish asks for, as browsers do
	// (draft-ietf-mmusic-mdns-ice-candidates), and leaves addresses of this host out of all others.
	HideHosts bool
	// Rand gives the seed of transaction ids, tie-breaker and jitter: 32 bytes at New, and credentials when Local is zero.
	Rand io.Reader

	// MTU is the largest UDP payload that a new route is trusted to carry; zero: 1200.
	MTU int

	// Pace is Ta, the time between two new transactions (RFC 8445 §14.2); zero: 20 ms, at least 5 ms.
	Pace time.Duration
	// RTO is the initial and least retransmission timeout (RFC 8445 §14.3); zero: 500 ms.
	RTO time.Duration
	// MaxRequests is Rc, how often a request is sent before its transaction fails (RFC 8489 §6.2.1); zero: 7.
	MaxRequests int
	// GatherTimeout is the soft deadline of gathering: what has not answered then is given up, because nothing may be
	// announced after end-of-candidates (RFC 8838 §13). Zero: 5 s.
	GatherTimeout time.Duration
	// ConsentInterval is the mean time between consent checks (RFC 7675 §5.1), each randomised by 0.8 to 1.2; zero: 5 s.
	ConsentInterval time.Duration
	// ConsentTimeout is how long consent lasts after an answer (RFC 7675 §5.1); zero: 30 s, the most that is allowed.
	ConsentTimeout time.Duration
	// DisconnectedAfter is how long the pair in use may be silent before the state is disconnected; zero: 8 s, which is the
	// longest consent interval and two seconds for the answer.
	DisconnectedAfter time.Duration
	// Patience is the least time between the start of the checks and the state failed (RFC 8863 §4); zero: 39.5 s.
	Patience time.Duration
	// ReflexiveWait is how long a controlling agent hopes for something better than a valid pair with a reflexive end; zero: 100 ms.
	ReflexiveWait time.Duration
	// RelayWait is the same for a pair with a relayed end; zero: 300 ms.
	RelayWait time.Duration
}

// Caps on what a peer, a driver or a server can make grow.
const (
	maxBases       = 64   // addresses
	maxConns       = 32   // connections to peers, on their way too
	maxStrangers   = 8    // of them those that nothing authenticated has come by
	maxServers     = 16   // STUN and TURN servers
	maxRelays      = 16   // allocations
	maxNameAddrs   = 2    // addresses taken of one name of a remote candidate
	maxLocals      = 128  // local candidates of a generation
	maxRemotes     = 128  // remote candidates of a generation, signaled and peer-reflexive
	maxPairs       = 100  // RFC 8445 §6.1.2.5
	maxValid       = 100  // valid pairs that are in no checklist
	maxPeerReflex  = 32   // peer-reflexive candidates of a side and generation
	maxNames       = 16   // names of remote candidates of a generation
	maxEarly       = 16   // checks before the remote parameters
	maxPending     = 64   // remote candidates before the remote parameters
	maxTransaction = 256  // transactions in flight
	maxVerified    = 64   // addresses that authenticated messages came from
	maxOut         = 256  // packets that wait for Next
	maxMessage     = 1500 // bytes of a STUN message
)

func (c Config) withDefaults() (Config, error) {
	if c.Rand == nil {
		return c, fmt.Errorf("%w: no random source", ErrConfig)
	}
	if len(c.Servers) > maxServers {
		return c, fmt.Errorf("%w: more than %d servers", ErrConfig, maxServers)
	}
	for _, d := range []struct {
		field       *time.Duration
		zero, least time.Duration
	}{
		{&c.Pace, 20 * time.Millisecond, leastPace},
		{&c.RTO, 500 * time.Millisecond, 10 * time.Millisecond},
		{&c.GatherTimeout, 5 * time.Second, 0},
		{&c.ConsentInterval, 5 * time.Second, 10 * time.Millisecond},
		{&c.ConsentTimeout, 30 * time.Second, 10 * time.Millisecond},
		{&c.DisconnectedAfter, 8 * time.Second, 10 * time.Millisecond},
		{&c.Patience, 39500 * time.Millisecond, 0},
		{&c.ReflexiveWait, 100 * time.Millisecond, 0},
		{&c.RelayWait, 300 * time.Millisecond, 0},
	} {
		if *d.field == 0 {
			*d.field = d.zero
		}
		if *d.field < d.least {
			return c, fmt.Errorf("%w: a duration is below %v", ErrConfig, d.least)
		}
	}
	if c.ConsentTimeout > 30*time.Second {
		return c, fmt.Errorf("%w: consent must not last longer than 30 s", ErrConfig)
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 7
	}
	if c.Networks == 0 {
		c.Networks = NetworkUDP4 | NetworkUDP6
	}
	if c.MTU == 0 {
		c.MTU = 1200
	}
	if c.MaxRequests < 1 || c.MTU < 0 {
		return c, fmt.Errorf("%w: negative count", ErrConfig)
	}
	c.Servers = append([]Server(nil), c.Servers...)
	c.PublicAddrs = append([]netip.Addr(nil), c.PublicAddrs...)
	return c, nil
}
