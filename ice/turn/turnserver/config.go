// Package turnserver puts sockets under the engine of [turn.Server]: an embeddable STUN and TURN server over UDP, TCP,
// TLS and DTLS.
//
//	server, err := turnserver.Start(turnserver.Config{
//		Server: turn.ServerConfig{
//			Realm: "example.org",
//			Auth:  turn.SharedSecret(secret),
//		},
//		UDP: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:3478")},
//	})
//
// On Linux a few goroutines read all UDP sockets, those of relays too, many packets at a time (docs/adr/0006-relay-sockets.md);
// elsewhere each socket has one. Each stream has a reader and a writer. Data packets need only a read lock; they come and
// leave in bursts, where the system has segmentation offload.
package turnserver

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// Config is the configuration of a Server. At least one of UDP and Streams is needed; every other zero value works.
type Config struct {
	// Server is the configuration of the protocol. Rand is crypto/rand if it is nil. Relays, if there are none, are opened
	// on the addresses of the UDP listeners, or for a wildcard on the first address of each family that the host has.
	// Hosts is completed with all addresses of this machine.
	Server turn.ServerConfig
	// PublicIPs are the outside addresses of a 1:1 NAT, at most one of each family: they are what clients are told of
	// relays. Only if Server.Relays is empty.
	PublicIPs []netip.Addr

	// UDP are the addresses to listen at. Port 0 is one of the system's choice.
	UDP []netip.AddrPort
	// DTLS are the addresses to listen at for DTLS, with the certificates of TLS: Certificates, or else GetCertificate,
	// which is asked for each new client and told nothing of it.
	DTLS []netip.AddrPort
	TLS  *tls.Config
	// Streams are listeners for TCP, or of package crypto/tls for TLS. The server closes them.
	Streams []net.Listener

	// Readers is how many sockets and goroutines serve a UDP address, where the system can share a port, and, on Linux,
	// the relays; zero: one for every two processors (GOMAXPROCS), at most 8.
	Readers int
	// Gather is how long packets wait for others, on Linux, while they come so closely that several would come in that
	// time: what is sent after a pause is relayed at once, and so is a burst. Being woken for each packet costs more than
	// relaying it. Zero: 1 ms; negative: they never wait.
	Gather time.Duration
	// MaxStreams is how many connections there may be; zero: 10,000. MaxStrangers is how many of them may have no
	// allocation, and MaxStrangersPerAddress how many of one address; zero: 1,000 and 64.
	MaxStreams, MaxStrangers, MaxStrangersPerAddress int
	// StrangerTimeout is how long a connection may be without an allocation; zero: 15 s.
	StrangerTimeout time.Duration
	// StreamBuffer is how many bytes may wait for a slow connection; what comes on top is dropped, as a network does.
	// Zero: 256 KiB.
	StreamBuffer int

	// Logger gets beginning and end of allocations, with addresses, at the debug level; nil: nobody.
	Logger *slog.Logger

	network netio.Network // System, or a simulated one in tests
}

// ErrConfig: a configuration is not usable.
var ErrConfig = errors.New("turnserver: bad configuration")

func (c Config) withDefaults() (Config, error) {
	if len(c.UDP)+len(c.DTLS)+len(c.Streams) == 0 {
		return c, fmt.Errorf("%w: nothing to listen at", ErrConfig)
	}
	if len(c.DTLS) > 0 && c.TLS == nil {
		return c, fmt.Errorf("%w: DTLS without certificates", ErrConfig)
	}
	if c.network == nil {
		c.network = netio.System
	}
	if c.Server.Rand == nil {
		c.Server.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, n := range []struct {
		field *int
		zero  int
	}{
		{&c.Readers, min(max(1, runtime.GOMAXPROCS(0)/2), 8)},
		{&c.MaxStreams, 10_000},
		{&c.MaxStrangers, 1000},
		{&c.MaxStrangersPerAddress, 64},
		{&c.StreamBuffer, 256 << 10},
	} {
		if *n.field == 0 {
			*n.field = n.zero
		}
		if *n.field < 0 {
			return c, fmt.Errorf("%w: negative limit", ErrConfig)
		}
	}
	if c.Gather == 0 {
		c.Gather = time.Millisecond
	}
	c.Gather = max(0, c.Gather)
	if c.StrangerTimeout == 0 {
		c.StrangerTimeout = 15 * time.Second
	}
	return c, c.completeAddresses()
}

// completeAddresses finds out where relays are opened, and which addresses are this machine's.
func (c *Config) completeAddresses() error {
	interfaces, err := c.network.Interfaces()
	if err != nil {
		return fmt.Errorf("turnserver: %w", err)
	}
	c.Server.Hosts = slices.Clone(c.Server.Hosts)
	var found [2]netip.Addr // the first address of each family
	for _, i := range interfaces {
		for _, p := range i.Addrs {
			a := p.Addr().Unmap()
			c.Server.Hosts = append(c.Server.Hosts, a)
			if f := family(a); i.Up && !found[f].IsValid() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
				found[f] = a
			}
		}
	}
	if len(c.Server.Relays) > 0 || c.Server.Auth == nil {
		return nil
	}
	for f := range found {
		local := c.relayAddress(f, found[f])
		if !local.IsValid() {
			continue
		}
		r := turn.RelayAddress{Local: local}
		for _, p := range c.PublicIPs {
			if family(p.Unmap()) == f {
				r.Public = p.Unmap()
			}
		}
		c.Server.Relays = append(c.Server.Relays, r)
	}
	if len(c.Server.Relays) == 0 {
		return fmt.Errorf("%w: no address for relays", ErrConfig)
	}
	return nil
}

// relayAddress is where relays of a family are opened: at the address of a listener, or at the one found if that is a
// wildcard or there are only streams. Invalid: nowhere.
func (c *Config) relayAddress(f int, found netip.Addr) netip.Addr {
	datagrams := slices.Concat(c.UDP, c.DTLS)
	for _, l := range datagrams {
		a := l.Addr().Unmap()
		switch {
		case !a.IsValid(), a == netip.IPv6Unspecified():
			return found
		case family(a) != f:
		case a.IsUnspecified():
			return found
		default:
			return a.WithZone("")
		}
	}
	if len(datagrams) == 0 {
		return found
	}
	return netip.Addr{}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
