package turn

import (
	"fmt"
	"io"
	"net/netip"
	"time"
)

// ListenerID names an address that clients send to. It is the driver's choice.
type ListenerID uint32

// RelayID names a relay's socket. It is never zero and never used twice by a server.
type RelayID uint64

// FiveTuple is what a client is known by (RFC 8656 §3.2); the transport is the listener's.
type FiveTuple struct {
	Listener ListenerID
	// Local is the address that the client sent to, where a listener has several; it may be zero.
	Local netip.Addr
	// Remote is the client, never IPv4-mapped.
	Remote netip.AddrPort
}

// RelayAddress is where relays are opened.
type RelayAddress struct {
	// Local is the address of an interface.
	Local netip.Addr
	// Public is what clients are told: the outside address of a 1:1 NAT; zero: Local.
	Public netip.Addr
}

// ServerConfig is the configuration of a Server. Rand must be set. Without Auth and Relays it is a STUN server.
type ServerConfig struct {
	// Realm is told to clients; zero: "turn".
	Realm string
	// Auth knows the users; nil: allocations are refused.
	Auth Auth
	// Userhash lets clients hide their names (RFC 8489 §9.2). Auth must know names by their hashes, which time-limited
	// credentials do not.
	Userhash bool
	// Rand gives the secrets of nonces and the seed of port numbers: 64 bytes at NewServer.
	Rand io.Reader

	// Relays are where relays are opened, at most one of each family.
	Relays []RelayAddress
	// MinPort and MaxPort bound the ports of relays; zero: 49152 to 65535 (RFC 8656 §7.2).
	MinPort, MaxPort uint16

	// AllowPeers are ranges that are relayed to although the defaults, or DenyPeers, deny them. Meant for labs and for
	// servers inside a private network.
	AllowPeers []netip.Prefix
	// DenyPeers are ranges that are not relayed to, on top of loopback, private, link-local and other special ones.
	DenyPeers []netip.Prefix
	// Hosts are addresses of this machine, Relays among them: packets to these reach relays of this server and nothing else.
	Hosts []netip.Addr

	// Lifetime is what an allocation gets that asks for nothing; zero: 10 min. MaxLifetime caps what is asked for; zero: 1 h.
	Lifetime, MaxLifetime time.Duration
	// NonceLifetime is how long a nonce is good; zero: 10 min, at most 1 h.
	NonceLifetime time.Duration

	// MaxAllocations of all clients; zero: 10,000. MaxPerAccount and MaxPerAddress are those of one account and of one
	// client address (of IPv6 a /64); zero: no limit but the other.
	MaxAllocations, MaxPerAccount, MaxPerAddress int
	// MaxBitrate is how many bits of data a second an allocation may relay to peers, and as many from them; zero: no limit.
	// The data of a second may come at once; what is more is dropped.
	MaxBitrate int
	// ReplyRate is how many unauthenticated requests a second are answered to one client address, and TotalReplyRate to
	// all; zero: 50 and 20,000. Twice as many may come at once.
	ReplyRate, TotalReplyRate float64
}

// Caps on what a client can make grow.
const (
	maxPermissions  = 128 // of an allocation
	maxChannels     = 128
	maxBindAttempts = 16 // ports tried for an allocation
	maxReplies      = 4096
)

// Lifetimes that RFC 8656 fixes.
const (
	defaultLifetime    = 10 * time.Minute // §7.2
	permissionLifetime = 5 * time.Minute  // §9
	channelLifetime    = 10 * time.Minute // §12
	// sweepInterval is how late what has expired is taken away; it is of no use from the moment on all the same.
	sweepInterval = time.Second
)

func (c ServerConfig) withDefaults() (ServerConfig, error) {
	if c.Rand == nil {
		return c, fmt.Errorf("%w: no random source", ErrConfig)
	}
	var families [2]bool
	relays := make([]RelayAddress, 0, len(c.Relays))
	for _, r := range c.Relays {
		r.Local, r.Public = r.Local.Unmap(), r.Public.Unmap()
		if !r.Public.IsValid() {
			r.Public = r.Local
		}
		i := familyIndex(r.Local)
		if !r.Local.IsValid() || r.Public.IsUnspecified() || r.Local.Is4() != r.Public.Is4() || families[i] {
			return c, fmt.Errorf("%w: relay address %v for %v", ErrConfig, r.Local, r.Public)
		}
		families[i] = true
		relays = append(relays, r)
	}
	c.Relays = relays
	if c.Realm == "" {
		c.Realm = "turn"
	}
	if c.MinPort == 0 && c.MaxPort == 0 {
		c.MinPort, c.MaxPort = 49152, 65535
	}
	if c.MinPort == 0 || c.MaxPort < c.MinPort || len(c.Realm) > 127 {
		return c, fmt.Errorf("%w: realm, or ports %d to %d", ErrConfig, c.MinPort, c.MaxPort)
	}
	for _, d := range []struct {
		field *time.Duration
		zero  time.Duration
	}{{&c.Lifetime, defaultLifetime}, {&c.MaxLifetime, time.Hour}, {&c.NonceLifetime, 10 * time.Minute}} {
		if *d.field == 0 {
			*d.field = d.zero
		}
		if *d.field < time.Second {
			return c, fmt.Errorf("%w: a lifetime below a second", ErrConfig)
		}
	}
	c.MaxLifetime = max(c.MaxLifetime, c.Lifetime)
	c.NonceLifetime = min(c.NonceLifetime, time.Hour) // RFC 8656 §5: at least once an hour
	if c.MaxAllocations == 0 {
		c.MaxAllocations = 10_000
	}
	if c.ReplyRate == 0 {
		c.ReplyRate = 50
	}
	if c.TotalReplyRate == 0 {
		c.TotalReplyRate = 20_000
	}
	if min(c.MaxAllocations, c.MaxPerAccount, c.MaxPerAddress, c.MaxBitrate) < 0 || min(c.ReplyRate, c.TotalReplyRate) < 0 {
		return c, fmt.Errorf("%w: negative limit", ErrConfig)
	}
	return c, nil
}

func familyIndex(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
