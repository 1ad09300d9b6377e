package turn

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"
)

// Errors of the package. They come wrapped with context; use errors.Is.
var (
	// ErrClosed: the client or server was closed.
	ErrClosed = errors.New("turn: closed")
	// ErrConfig: a configuration is not usable.
	ErrConfig = errors.New("turn: bad configuration")
	// ErrPacket: a packet was dropped because it is malformed, unknown or unexpected.
	ErrPacket = errors.New("turn: packet dropped")
	// ErrIntegrity: a packet was dropped because its integrity attribute is missing or wrong.
	ErrIntegrity = errors.New("turn: integrity check failed")
	// ErrTimeout: a request was not answered.
	ErrTimeout = errors.New("turn: no answer from the server")
	// ErrLimit: a table is full; the call had no effect.
	ErrLimit = errors.New("turn: limit reached")
	// ErrState: there is no allocation.
	ErrState = errors.New("turn: no allocation")
	// ErrForbidden: the address of a peer is one that the server does not relay to.
	ErrForbidden = errors.New("turn: peer address is denied")
)

// Error is an error response (RFC 8489 §14.8, RFC 8656 §19).
type Error struct {
	Code   int
	Reason string // as the server wrote it, perhaps empty
}

// Error tells the code and, quoted, the server's words.
func (e *Error) Error() string {
	return "turn: the server refused: " + strconv.Itoa(e.Code) + " " + strconv.Quote(e.Reason)
}

// Transport is how a client and a server talk to each other. Relaying to peers is always over UDP.
type Transport uint8

// The transports of RFC 8656 §2.1.
const (
	UDP Transport = iota
	TCP
	TLS
	DTLS
)

// String returns the name in lower case.
func (t Transport) String() string {
	if int(t) < len(transportNames) {
		return transportNames[t]
	}
	return "transport " + strconv.Itoa(int(t))
}

var transportNames = [...]string{"udp", "tcp", "tls", "dtls"}

// Stream tells whether messages need a [Framer] and are never lost one by one.
func (t Transport) Stream() bool { return t == TCP || t == TLS }

// Families says which relayed addresses are wanted.
type Families uint8

// The choices of families.
const (
	// IPv4 asks for one IPv4 address, in the way that every server understands.
	IPv4 Families = iota
	// IPv6 asks for one IPv6 address (REQUESTED-ADDRESS-FAMILY).
	IPv6
	// Dual asks for one of each (ADDITIONAL-ADDRESS-FAMILY); a server may give only one.
	Dual
)

// Config is the configuration of a Client. Server and Rand must be set.
type Config struct {
	// Server is the address of the server.
	Server netip.AddrPort
	// Transport is how the server is reached; the zero value: UDP.
	Transport Transport
	// Username and Password are the long-term credentials.
	Username, Password string
	// Families are the relayed addresses that are wanted; the zero value: one of IPv4.
	Families Families
	// Lifetime is what is asked for; zero: the server's choice, which is ten minutes as a rule.
	Lifetime time.Duration
	// Rand gives the seed of transaction ids: 32 bytes at New.
	Rand io.Reader

	// RTO is the first retransmission timeout over UDP and DTLS (RFC 8489 §6.2.1); zero: 500 ms.
	RTO time.Duration
	// MaxRequests is how often a request is sent before it fails; zero: 7. Over a stream it is always sent once.
	MaxRequests int
	// ProbeAfter is how long the server may be silent, while packets are sent through it, before it is asked whether it
	// still has the allocation: a server that was restarted is found out by this. Zero: 1 s.
	ProbeAfter time.Duration
	// KeepAlive is how long nothing may be sent over UDP or DTLS while there is an allocation: NATs on the way forget
	// (RFC 4787 REQ-5), and the server would take us for somebody else. Zero: 20 s.
	KeepAlive time.Duration
}

// Caps on what an application or a server can make grow.
const (
	maxPeers           = 128 // channels and permissions of a client
	maxOut             = 256 // packets that wait for Next
	maxRedirects       = 3   // alternate servers after one another (RFC 8656 §7.4 leaves the number open)
	maxChallenges      = 3   // 401 and 438 after one another for one request
	maxPeersPerRequest = 16  // addresses of one CreatePermission
	maxRedials         = 6   // connections that fail after one another, once there was an allocation
)

func (c Config) withDefaults() (Config, error) {
	c.Server = normalize(c.Server)
	switch {
	case c.Rand == nil:
		return c, fmt.Errorf("%w: no random source", ErrConfig)
	case !c.Server.IsValid() || c.Server.Port() == 0:
		return c, fmt.Errorf("%w: no server address", ErrConfig)
	case c.Transport > DTLS || c.Families > Dual:
		return c, fmt.Errorf("%w: unknown transport or family", ErrConfig)
	case len(c.Username) > 508: // RFC 8489 §14.3
		return c, fmt.Errorf("%w: user name of %d bytes", ErrConfig, len(c.Username))
	case c.Lifetime < 0 || c.RTO < 0 || c.MaxRequests < 0 || c.ProbeAfter < 0 || c.KeepAlive < 0:
		return c, fmt.Errorf("%w: negative value", ErrConfig)
	}
	if c.RTO == 0 {
		c.RTO = 500 * time.Millisecond
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 7
	}
	if c.ProbeAfter == 0 {
		c.ProbeAfter = time.Second
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = 20 * time.Second
	}
	return c, nil
}
