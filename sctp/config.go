package sctp

import (
	"fmt"
	"io"
	"time"
)

// Congestion names a congestion controller.
type Congestion uint8

const (
	// CongestionBBR paces by a model of the path (delivery rate and round-trip time); the default. See bbr.go.
	CongestionBBR Congestion = iota
	// CongestionCUBIC is RFC 9438 with HyStart++ (RFC 9406).
	CongestionCUBIC
)

// Config is what an Association is made from. It is copied; the zero value of every field but Rand works.
type Config struct {
	// Rand gives tags, TSNs, cookie keys. Required. Production: crypto/rand.Reader.
	Rand io.Reader
	// LocalPort and RemotePort; zero: 5000 (RFC 8841 a=sctp-port).
	LocalPort, RemotePort uint16
	// MaxMessageSize is the largest message taken from the peer, in bytes (our a=max-message-size); zero: 16 MiB. A larger one
	// ends the association.
	MaxMessageSize int
	// MaxSendSize is the largest message that Send takes (the peer's a=max-message-size); zero: no limit but SendBuffer.
	MaxSendSize int
	// ReceiveWindow is the window advertised at first, in bytes; zero: 1 MiB.
	ReceiveWindow int
	// MaxReceiveWindow is what the window may grow to when the application keeps up; zero: the larger of 16 MiB and
	// MaxMessageSize + ReceiveWindow.
	MaxReceiveWindow int
	// SendBuffer caps the bytes that are queued and not yet sent, of all streams; zero: 32 MiB.
	SendBuffer int
	// Path is what is known about the path before the first SetPath.
	Path Path
	// Congestion chooses the congestion controller.
	Congestion Congestion
	// DisableInterleaving turns I-DATA (RFC 8260) off.
	DisableInterleaving bool
	// EnableZeroChecksum offers and uses RFC 9653. Only right over DTLS or another integrity-protected lower layer.
	EnableZeroChecksum bool
	// DisablePMTUD never probes above Path.MTU.
	DisablePMTUD bool
	// HeartbeatInterval is the time between heartbeats of an idle association; zero: 30 s; negative: none.
	HeartbeatInterval time.Duration
	// AckDelay is the longest that a SACK is delayed; zero: 100 ms (RFC 9260 section 6.2 allows 200, at most 500).
	AckDelay time.Duration
	// RTOMin and RTOMax bound the retransmission time-out; zero: 400 ms and 10 s. See rto.go for the reasons.
	RTOMin, RTOMax time.Duration
	// MaxRetransmits is Association.Max.Retrans: unanswered time-outs in a row that end the association; zero: 10.
	MaxRetransmits int
	// MaxInitRetransmits is Max.Init.Retransmits; zero: 8.
	MaxInitRetransmits int
}

// Path describes the way to the peer.
type Path struct {
	// MTU is the SCTP packet size, common header included, that is known to pass, in bytes; zero: 1172 (1200 bytes of UDP
	// payload less DTLS 1.2 with AES-GCM, rounded down to 4).
	MTU int
	// MaxMTU is the packet size up to which path MTU discovery may probe; zero or less than MTU: MTU (no probing).
	MaxMTU int
	// RTT is a hint of the round-trip time (from ICE checks or the DTLS handshake); zero: unknown.
	RTT time.Duration
	// Changed says that packets take another way than before: what was learnt about the old one is dropped.
	Changed bool
}

// Reliability is how hard a message is tried (RFC 3758, RFC 7496).
type Reliability uint8

const (
	// Reliable retransmits until acknowledged.
	Reliable Reliability = iota
	// LimitedRetransmits gives a message up after SendOptions.MaxRetransmits retransmissions.
	LimitedRetransmits
	// LimitedLifetime gives a message up SendOptions.Lifetime after Send.
	LimitedLifetime
)

// SendOptions are the properties of one message. The zero value is ordered and reliable.
type SendOptions struct {
	Unordered      bool
	Reliability    Reliability
	MaxRetransmits uint16        // LimitedRetransmits: zero sends once
	Lifetime       time.Duration // LimitedLifetime
	// Uncounted keeps the message out of BufferedAmount: it belongs to the layer above, not to its user.
	Uncounted bool
}

// Message is one received message.
type Message struct {
	Stream    uint16
	PPID      uint32
	Unordered bool
	// Data is what alloc returned, filled. It belongs to the caller.
	Data []byte
	// Charge is what this message takes of the receive window; the caller gives exactly this to Credit when the application
	// has consumed the message.
	Charge int
}

const (
	defaultPort           = 5000
	defaultMTU            = 1172
	minMTU                = 508
	maxMTU                = 65532
	defaultMaxMessage     = 16 << 20
	defaultReceiveWindow  = 1 << 20
	defaultMaxWindow      = 16 << 20
	defaultSendBuffer     = 32 << 20
	defaultHeartbeat      = 30 * time.Second
	defaultAckDelay       = 100 * time.Millisecond
	defaultRTOMin         = 400 * time.Millisecond
	defaultRTOMax         = 10 * time.Second
	defaultMaxRetransmits = 10
	defaultMaxInit        = 8
	maxCookieLife         = 60 * time.Second
)

func orDefault[T int | uint16 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// withDefaults returns the configuration with every zero replaced.
func (c Config) withDefaults() (Config, error) {
	if c.Rand == nil {
		return c, fmt.Errorf("sctp: Config.Rand is nil")
	}
	c.LocalPort = orDefault(c.LocalPort, defaultPort)
	c.RemotePort = orDefault(c.RemotePort, defaultPort)
	c.MaxMessageSize = orDefault(c.MaxMessageSize, defaultMaxMessage)
	c.ReceiveWindow = orDefault(c.ReceiveWindow, defaultReceiveWindow)
	c.MaxReceiveWindow = orDefault(c.MaxReceiveWindow, max(defaultMaxWindow, c.MaxMessageSize+c.ReceiveWindow))
	c.SendBuffer = orDefault(c.SendBuffer, defaultSendBuffer)
	c.HeartbeatInterval = orDefault(c.HeartbeatInterval, defaultHeartbeat)
	c.AckDelay = orDefault(c.AckDelay, defaultAckDelay)
	c.RTOMin = orDefault(c.RTOMin, defaultRTOMin)
	c.RTOMax = max(orDefault(c.RTOMax, defaultRTOMax), c.RTOMin)
	c.MaxRetransmits = orDefault(c.MaxRetransmits, defaultMaxRetransmits)
	c.MaxInitRetransmits = orDefault(c.MaxInitRetransmits, defaultMaxInit)
	c.Path = c.Path.withDefaults()
	// RFC 9260 section 3.3.2: an a_rwnd below 1500 is refused by peers.
	if c.ReceiveWindow < 4096 || c.MaxReceiveWindow < c.ReceiveWindow || c.MaxMessageSize < 1 || c.SendBuffer < 1 {
		return c, fmt.Errorf("sctp: Config: windows or sizes out of range")
	}
	return c, nil
}

func (p Path) withDefaults() Path {
	p.MTU = orDefault(p.MTU, defaultMTU)
	p.MTU = max(min(p.MTU, maxMTU), minMTU) &^ 3
	p.MaxMTU = max(min(p.MaxMTU, maxMTU)&^3, p.MTU)
	return p
}
