package dtls

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Limits and defaults of a configuration.
const (
	// MinMTU is the smallest datagram that a handshake can be cut into.
	MinMTU = 256
	// DefaultMTU is what a handshake datagram is limited to until SetMTU says better.
	DefaultMTU = 1200
	// DefaultInitialTimeout is the first retransmission timeout while the round-trip time is unknown. RFC 9147 §5.8.2
	// recommends one second without knowledge of the use, and less for real-time media; ICE has measured the path before
	// DTLS begins, so this value only serves those who never call SetRTT.
	DefaultInitialTimeout = 400 * time.Millisecond
	// DefaultGrace is how long an unauthenticated reason to fail waits for being disproved.
	DefaultGrace = time.Second

	minRTTTimeout = 50 * time.Millisecond
	maxRTTTimeout = 3 * time.Second
)

// Certificate is a chain of DER certificates, leaf first, and the key of the leaf. An ECDSA (P-256, P-384), Ed25519 or
// RSA (2048 bits or more) key will do; the key may live in hardware.
type Certificate struct {
	Chain      [][]byte
	PrivateKey crypto.Signer
	// SignatureSchemes limits what the key signs with, in the order of preference. Nil: those of the configuration.
	SignatureSchemes []SignatureScheme
}

// Config is copied by New and never changed afterwards. Role and Rand have no default; the zero value of all others works.
type Config struct {
	// Role is the side of the handshake.
	Role Role
	// Certificate is shown to the peer. A server needs one; a client without one sends an empty list, which Parley's
	// servers refuse.
	Certificate Certificate
	// Alternatives are tried in their order where Certificate does not suit the peer: its signature schemes, its cipher
	// suites, its curves. ConnectionState.LocalCertificates tells which was taken.
	Alternatives []Certificate
	// VerifyPeer judges the peer's chain (DER, leaf first; valid during the call). Only the possession of the leaf's key
	// is checked by the engine. The handshake fails with the error that it returns. Nil: every certificate is refused.
	VerifyPeer func(chain [][]byte) error
	// ServerName is what a client calls the server (RFC 6066 §3), so that one with several certificates chooses; it is for
	// VerifyPeer to look for it in the certificate. WebRTC peers have none. Empty: it is not told. Never an IP address.
	ServerName string
	// ClientAuth is what a server wants of its client's certificate. Zero: RequireCertificate, as WebRTC does.
	ClientAuth ClientAuth

	// MinVersion and MaxVersion limit what is negotiated. Zero: DTLS 1.2 and DTLS 1.3.
	MinVersion, MaxVersion Version
	// CipherSuites are those of both versions in the order of preference. Nil: all, AES-128-GCM first.
	CipherSuites []CipherSuite
	// Groups in the order of preference. Nil: X25519MLKEM768, X25519, P-256, P-384.
	Groups []Group
	// KeyShares are the groups that a client guesses in its first DTLS 1.3 ClientHello. Nil: X25519MLKEM768 and X25519,
	// as far as Groups has them, otherwise the first of Groups.
	KeyShares []Group
	// SignatureSchemes that are signed with and accepted, in the order of preference. Nil: all, with a P-256 ECDSA key first.
	SignatureSchemes []SignatureScheme
	// SRTPProfiles in the order of preference. Nil: use_srtp is neither offered nor answered.
	SRTPProfiles []SRTPProfile
	// Protocols are ALPN identifiers in the order of preference (RFC 7301; RFC 8833 for WebRTC). Nil: ALPN is not spoken.
	Protocols []string

	// Cookies makes a server prove that the client receives at its address before it does anything costly:
	// HelloVerifyRequest in DTLS 1.2, HelloRetryRequest with a cookie in DTLS 1.3. For raw sockets; ICE has done it already.
	Cookies bool

	// MTU limits the handshake's datagrams, in bytes of UDP payload. Zero: DefaultMTU. At least MinMTU.
	MTU int
	// InitialTimeout is the first retransmission timeout. Zero: DefaultInitialTimeout. It doubles to 60 s; the handshake
	// fails at the thirteenth in a row.
	InitialTimeout time.Duration
	// Grace is how long a reason to fail that was not authenticated (an alert in the clear, a malformed or unacceptable
	// hello) waits for a better message before it ends the handshake. Zero: DefaultGrace. Negative: it ends it at once,
	// which is only right where nobody else can send to this connection.
	Grace time.Duration

	// Rand is the source of keys and nonces: crypto/rand.Reader, or a seeded source in a simulation. ECDSA signatures draw
	// nothing from it (RFC 6979), and RSA-PSS salts need not.
	Rand io.Reader
	// Encapsulate replaces crypto/mlkem for the server's half of ML-KEM-768, whose randomness the standard library lets nobody
	// choose: a simulation that shall repeat sets it (crypto/mlkem/mlkemtest has what it takes). Nil: crypto/mlkem.
	Encapsulate func(encapsulationKey []byte) (sharedKey, ciphertext []byte, err error)
	// KeyLog receives lines in the NSS key log format, written synchronously. Nil: none. It gives away every secret.
	KeyLog io.Writer
}

func (cfg *Config) setDefaults() {
	if cfg.MinVersion == 0 {
		cfg.MinVersion = VersionDTLS12
	}
	if cfg.MaxVersion == 0 {
		cfg.MaxVersion = VersionDTLS13
	}
	if cfg.CipherSuites == nil {
		cfg.CipherSuites = defaultSuites()
	}
	if cfg.Groups == nil {
		cfg.Groups = []Group{GroupX25519MLKEM768, GroupX25519, GroupP256, GroupP384}
	}
	if cfg.SignatureSchemes == nil {
		cfg.SignatureSchemes = defaultSchemes()
	}
	if cfg.Encapsulate == nil {
		cfg.Encapsulate = encapsulate768
	}
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.InitialTimeout == 0 {
		cfg.InitialTimeout = DefaultInitialTimeout
	}
	if cfg.Grace == 0 {
		cfg.Grace = DefaultGrace
	}
}

func (cfg *Config) validate() error {
	switch {
	case cfg.Role != RoleClient && cfg.Role != RoleServer:
		return errors.New("dtls: config: no role")
	case cfg.Rand == nil:
		return errors.New("dtls: config: no source of randomness")
	case cfg.MTU < MinMTU:
		return fmt.Errorf("dtls: config: MTU %d is below %d", cfg.MTU, MinMTU)
	case cfg.InitialTimeout < 0:
		return errors.New("dtls: config: negative timeout")
	case cfg.Role == RoleServer && cfg.Certificate.PrivateKey == nil:
		return errors.New("dtls: config: a server needs a certificate")
	}
	// A newer version has a smaller number.
	for _, v := range []Version{cfg.MinVersion, cfg.MaxVersion} {
		if v != VersionDTLS12 && v != VersionDTLS13 {
			return fmt.Errorf("dtls: config: unknown %v", v)
		}
	}
	if cfg.MinVersion < cfg.MaxVersion {
		return errors.New("dtls: config: MinVersion is above MaxVersion")
	}
	for _, s := range cfg.CipherSuites {
		if suiteByID(s) == nil {
			return fmt.Errorf("dtls: config: unknown %v", s)
		}
	}
	if len(cfg.Groups) == 0 {
		return errors.New("dtls: config: no groups")
	}
	for _, g := range cfg.KeyShares {
		if !slices.Contains(cfg.Groups, g) {
			return fmt.Errorf("dtls: config: a key share for %v, which Groups lacks", g)
		}
	}
	if len(cfg.ServerName) > 255 {
		return errors.New("dtls: config: the server's name is too long")
	}
	for _, p := range cfg.Protocols {
		if len(p) == 0 || len(p) > 255 {
			return errors.New("dtls: config: an ALPN identifier has 1 to 255 bytes")
		}
	}
	return cfg.validateKeys()
}

func (cfg *Config) validateKeys() error {
	for _, g := range cfg.Groups {
		if groupByID(g) == nil {
			return fmt.Errorf("dtls: config: unknown %v", g)
		}
	}
	for i := range cfg.Alternatives {
		if err := cfg.Alternatives[i].validate(); err != nil {
			return err
		}
	}
	if cfg.Certificate.PrivateKey == nil && len(cfg.Certificate.Chain) == 0 {
		return nil
	}
	return cfg.Certificate.validate()
}

func (c *Certificate) validate() error {
	if c.PrivateKey == nil || len(c.Chain) == 0 {
		return errors.New("dtls: config: a certificate is a chain and a key")
	}
	if len(schemesOf(c.PrivateKey.Public())) == 0 {
		return fmt.Errorf("dtls: config: no signature scheme for a key of type %T", c.PrivateKey.Public())
	}
	return nil
}

// certificates are ours in the order of preference.
func (cfg *Config) certificates() []*Certificate {
	var out []*Certificate
	if cfg.Certificate.PrivateKey != nil {
		out = append(out, &cfg.Certificate)
	}
	for i := range cfg.Alternatives {
		out = append(out, &cfg.Alternatives[i])
	}
	return out
}

// signing chooses how a certificate's key signs for a peer that accepts some schemes; nil: not at all.
func (cfg *Config) signing(cert *Certificate, peers []SignatureScheme, v Version) *scheme {
	own := cert.SignatureSchemes
	if own == nil {
		own = cfg.SignatureSchemes
	}
	return pickScheme(own, peers, cert.PrivateKey.Public(), v)
}

func (cfg *Config) allows(v Version) bool { return v <= cfg.MinVersion && v >= cfg.MaxVersion }
