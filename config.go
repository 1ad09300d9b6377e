package webrtc

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openparley/webrtc/internal/netio"
)

// A Configuration is W3C's RTCConfiguration: what a PeerConnection is told about its servers and policies. The zero
// value is ready to use: no servers, every candidate, a certificate made on the spot.
type Configuration struct {
	// ICEServers are the STUN and TURN servers to gather candidates from; at most 16 URLs.
	ICEServers []ICEServer `json:"iceServers,omitempty"`
	// ICETransportPolicy restricts which candidates are used. Zero: all.
	ICETransportPolicy ICETransportPolicy `json:"iceTransportPolicy,omitempty"`
	// BundlePolicy is accepted for compatibility: everything is always bundled on one transport.
	BundlePolicy BundlePolicy `json:"bundlePolicy,omitempty"`
	// RTCPMuxPolicy is accepted for compatibility: RTP and RTCP always share a port.
	RTCPMuxPolicy RTCPMuxPolicy `json:"rtcpMuxPolicy,omitempty"`
	// PeerIdentity must stay empty: identity assertions are not supported.
	PeerIdentity string `json:"peerIdentity,omitempty"`
	// Certificates authenticate this connection. The first one is used. Empty: an ECDSA P-256 certificate is made.
	Certificates []Certificate `json:"-"`
	// ICECandidatePoolSize must be between 0 and 255. Candidates are gathered at SetLocalDescription; a pool would only
	// pay for connections that are made long before they are used.
	ICECandidatePoolSize uint8 `json:"iceCandidatePoolSize,omitempty"`
}

// An ICEServer names a STUN or TURN server. W3C: RTCIceServer.
type ICEServer struct {
	// URLs are of the forms stun:host[:port] and turn:host[:port][?transport=udp|tcp], also turns: for TLS, or DTLS with
	// transport=udp (RFC 7064, RFC 7065). stuns: is accepted, and every gathering reports it as an error (701): what a
	// server says over TLS is the address of that connection, and not one of ours for UDP. For the same reason stun: has
	// no transport.
	URLs []string `json:"urls"`
	// Username and Credential are for TURN.
	Username   string `json:"username,omitempty"`
	Credential string `json:"credential,omitempty"`
}

// Settings holds everything that W3C's Configuration does not know. The zero value works. Settings are validated and
// copied by NewAPI, and never changed afterwards.
type Settings struct {
	// Logger receives what happens inside. Nil: nothing is logged. Addresses and credentials appear at debug level only.
	// Its handler runs with locks held: it must not call the connection.
	Logger *slog.Logger

	// SignalingLoop runs the callbacks of this API's connections. Nil: each connection has a goroutine of its own,
	// while there are events.
	SignalingLoop SignalingLoop

	// IncludeLoopback lets ICE use addresses of the loopback interface.
	IncludeLoopback bool
	// InterfaceFilter, if set, keeps the network interfaces that it returns true for.
	InterfaceFilter func(name string) bool
	// IPFilter, if set, keeps the local addresses that it returns true for.
	IPFilter func(addr netip.Addr) bool
	// RemoteIPFilter, if set, keeps the addresses of peers that it returns true for; others are neither asked nor answered.
	// It is called with the transport locked, and must not block.
	RemoteIPFilter func(addr netip.Addr) bool
	// PublicIPs are the outside addresses of a 1:1 NAT, at most one of each family: host candidates are announced with them
	// in the place of local addresses.
	PublicIPs []netip.Addr
	// HideLocalAddresses announces host candidates under random names of multicast DNS instead of their addresses, as
	// browsers do, and leaves local addresses out of other candidates (draft-ietf-mmusic-mdns-ice-candidates).
	HideLocalAddresses bool
	// ICELite makes lite ICE agents, for servers that every peer can reach at an address of their interfaces: host
	// candidates only, and no checks of their own (RFC 8445, section 2.5). Two lite sides do not connect.
	ICELite bool
	// NetworkTypes are what candidates are gathered for and what the peer's are used of. Nil: all four. How TURN servers are
	// reached is another matter, but by UDP they are only where there are UDP candidates.
	//
	// TCP (RFC 6544) makes us connect to peers that listen; it costs a line in the description and no socket. We listen
	// ourselves with TCPMux, or with TCPPortMin and TCPPortMax.
	NetworkTypes []NetworkType
	// TCPMux, if set, is the one TCP port of all connections. TCPPortMin and TCPPortMax have no effect then.
	TCPMux *TCPMux
	// TCPPortMin and TCPPortMax, if set, make each connection listen at a TCP port of the range on each address.
	TCPPortMin, TCPPortMax uint16
	// UDPMux, if set, is the one port of all connections. UDPPortMin and UDPPortMax have no effect then.
	UDPMux *UDPMux
	// ServerTLS is used for connections to TURN servers by TLS and DTLS. Nil: the system's roots, and the name in the URL.
	// With DTLS count RootCAs, ServerName, Time, InsecureSkipVerify, VerifyPeerCertificate, VerifyConnection, the first of
	// Certificates, NextProtos, MinVersion, MaxVersion and KeyLogWriter.
	ServerTLS *tls.Config
	// ServerProxy, if set, tells which proxy a connection to a TURN server by TCP or TLS goes through; nil: none. The server
	// is a URL of the form https://host:port, so that ProxyFunc of golang.org/x/net/http/httpproxy fits, with which the
	// environment decides: httpproxy.FromEnvironment().ProxyFunc(). The proxy is one of http://, https:// (CONNECT, basic
	// authentication) and socks5:// (RFC 1928, 1929), with user name and password in the URL. It is told the server's host
	// name, which is not looked up on this side: behind a proxy that is often impossible. DTLS, UDP and the connections to
	// peers never go through it. The function is called in a goroutine of its own and may wait. https:// is verified by
	// ServerTLS, for the proxy's name.
	ServerProxy func(server *url.URL) (*url.URL, error)
	// UDPPortMin and UDPPortMax bound the local ports of host candidates. Both zero: any port.
	UDPPortMin, UDPPortMax uint16

	// ICEDisconnectedTimeout is how long a path may be silent before the connection counts as disconnected; at least 100 ms. Zero: 8 s.
	// With a shorter one the peer is asked for a sign of life more often than every 5 s.
	ICEDisconnectedTimeout time.Duration
	// ICEFailedTimeout is how long a connection stays disconnected before it has failed. Both timeouts together must not
	// exceed 30 s, for which the peer's consent to receive lasts (RFC 7675). Zero: what is left of the 30 s.
	ICEFailedTimeout time.Duration

	// DTLSMinVersion and DTLSMaxVersion bound the protocol version. Zero: 1.2 and the newest that is built in.
	DTLSMinVersion, DTLSMaxVersion DTLSVersion
	// AnsweringDTLSRole is the role taken when the offer leaves the choice to us. Zero: client, as RFC 8842 recommends.
	AnsweringDTLSRole DTLSRole
	// SRTPProfiles lists the protection profiles in order of preference. Nil: AEAD_AES_128_GCM, AEAD_AES_256_GCM,
	// AES128_CM_HMAC_SHA1_80.
	SRTPProfiles []SRTPProfile

	// Codecs lists the codecs to offer and accept, in order of preference. Nil: DefaultCodecs().
	Codecs []RTPCodecParameters

	// MaxMessageSize is the largest data channel message that is accepted from the peer, in bytes. Zero: 16 MiB.
	MaxMessageSize int
	// DataChannelSendBuffer is how many bytes all data channels of a connection may hold for sending before Send fails.
	// Zero: 16 MiB.
	DataChannelSendBuffer int
	// TrackBuffer is how many packets a TrackRemote keeps for a reader that is late; the oldest are dropped and counted.
	// Zero: 512.
	TrackBuffer int

	// KeyLog, if set, receives the DTLS secrets of every connection in the NSS key log format, for Wireshark. Whoever
	// reads it can decrypt the traffic. Writes are made one line at a time, from any goroutine.
	KeyLog io.Writer
	// Trace, if set, is asked for each new connection; the writer that it returns receives the decrypted packets in the
	// pcap format, which Wireshark reads. A nil writer turns the trace off for that connection. The writer must not
	// block: it is called with the transport locked.
	Trace func(pc *PeerConnection) io.Writer

	// network is the network of tests. Nil: the system's.
	network netio.Network
	// rand is the randomness of tests. Nil: crypto/rand.
	rand io.Reader
}

// SRTPProfile is a protection profile of RFC 5764 and RFC 7714, by its IANA number.
type SRTPProfile uint16

// The SRTP protection profiles that are built in.
const (
	SRTPAES128CMHMACSHA180 SRTPProfile = 0x0001
	SRTPAEADAES128GCM      SRTPProfile = 0x0007
	SRTPAEADAES256GCM      SRTPProfile = 0x0008
)

// DTLSVersion is a version of DTLS, as it stands on the wire.
type DTLSVersion uint16

// The versions of DTLS that are built in.
const (
	DTLS12 DTLSVersion = 0xfefd
	DTLS13 DTLSVersion = 0xfefc
)

// An API makes PeerConnections that share Settings. It may be used by any number of goroutines.
type API struct {
	settings Settings
	kinds    capabilities
}

// NewAPI validates the settings and copies them. Its errors are TypeError and RangeError.
func NewAPI(s Settings) (*API, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	s.MaxMessageSize = orDefault(s.MaxMessageSize, 16<<20)
	s.DataChannelSendBuffer = orDefault(s.DataChannelSendBuffer, 16<<20)
	s.TrackBuffer = orDefault(s.TrackBuffer, 512)
	s.AnsweringDTLSRole = orDefault(s.AnsweringDTLSRole, DTLSRoleClient)
	if s.SRTPProfiles == nil {
		s.SRTPProfiles = defaultSRTPProfiles
	}
	s.SRTPProfiles = slices.Clone(s.SRTPProfiles)
	s.NetworkTypes = slices.Clone(s.NetworkTypes)
	if s.Codecs == nil {
		s.Codecs = DefaultCodecs()
	}
	s.Codecs = slices.Clone(s.Codecs)
	if s.network == nil {
		s.network = netio.System
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	kinds, err := newCapabilities(s.Codecs)
	if err != nil {
		return nil, err
	}
	return &API{settings: s, kinds: kinds}, nil
}

// validate checks what can be checked without a connection.
func (s *Settings) validate() error {
	if (s.UDPPortMin == 0) != (s.UDPPortMax == 0) || s.UDPPortMin > s.UDPPortMax {
		return &RangeError{Err: fmt.Errorf("UDP ports %d to %d", s.UDPPortMin, s.UDPPortMax)}
	}
	if (s.TCPPortMin == 0) != (s.TCPPortMax == 0) || s.TCPPortMin > s.TCPPortMax {
		return &RangeError{Err: fmt.Errorf("TCP ports %d to %d", s.TCPPortMin, s.TCPPortMax)}
	}
	if s.NetworkTypes != nil && len(s.NetworkTypes) == 0 {
		return typeError("no network types")
	}
	for _, t := range s.NetworkTypes {
		if t < NetworkTypeUDP4 || t > NetworkTypeTCP6 {
			return typeError("network type %d", int(t))
		}
	}
	if s.MaxMessageSize < 0 || s.DataChannelSendBuffer < 0 || s.TrackBuffer < 0 {
		return &RangeError{Err: fmt.Errorf("a size is negative")}
	}
	if err := s.validateTimeouts(); err != nil {
		return err
	}
	for _, p := range s.SRTPProfiles {
		if !slices.Contains(defaultSRTPProfiles, p) {
			return typeError("SRTP profile %#04x is not built in", uint16(p))
		}
	}
	for _, v := range []DTLSVersion{s.DTLSMinVersion, s.DTLSMaxVersion} {
		if v != 0 && v != DTLS12 && v != DTLS13 {
			return typeError("DTLS version %#04x is not built in", uint16(v))
		}
	}
	if s.AnsweringDTLSRole < 0 || s.AnsweringDTLSRole > DTLSRoleServer {
		return typeError("DTLS role %v", s.AnsweringDTLSRole)
	}
	if s.DTLSMinVersion == DTLS13 && s.DTLSMaxVersion == DTLS12 {
		return &RangeError{Err: fmt.Errorf("the least DTLS version is above the greatest")}
	}
	return nil
}

func (s *Settings) validateTimeouts() error {
	if s.ICEDisconnectedTimeout < 0 || s.ICEFailedTimeout < 0 {
		return &RangeError{Err: fmt.Errorf("a timeout is negative")}
	}
	if s.ICEDisconnectedTimeout != 0 && s.ICEDisconnectedTimeout < 100*time.Millisecond {
		return &RangeError{Err: fmt.Errorf("a path that is disconnected after %v", s.ICEDisconnectedTimeout)}
	}
	if s.ICEDisconnectedTimeout > consentTimeout || s.consent() > consentTimeout {
		return &RangeError{Err: fmt.Errorf("a connection without an answer for longer than %v", consentTimeout)}
	}
	return nil
}

// The timeouts of ICE: the default of Settings.ICEDisconnectedTimeout, and the limit of RFC 7675, section 5.1.
const (
	disconnectedTimeout = 8 * time.Second
	consentTimeout      = 30 * time.Second
)

// consent is how long ICE goes on without an answer; zero: the default.
func (s *Settings) consent() time.Duration {
	if s.ICEFailedTimeout == 0 {
		return 0
	}
	return orDefault(s.ICEDisconnectedTimeout, disconnectedTimeout) + s.ICEFailedTimeout
}

// consentInterval is the mean time between the checks that tell whether the peer is there: 5 s, and less if silence is to
// be noticed sooner.
func (s *Settings) consentInterval() time.Duration {
	return min(5*time.Second, orDefault(s.ICEDisconnectedTimeout, disconnectedTimeout)*5/8)
}

var defaultSRTPProfiles = []SRTPProfile{SRTPAEADAES128GCM, SRTPAEADAES256GCM, SRTPAES128CMHMACSHA180}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// iceServerURL is one parsed URL of an ICEServer.
type iceServerURL struct {
	text   string
	scheme string // stun, stuns, turn, turns
	host   string
	port   uint16
	tcp    bool
}

// parseICEServerURL parses the forms of RFC 7064 and RFC 7065. Its error is a SyntaxError.
func parseICEServerURL(text string) (iceServerURL, error) {
	fail := func(why string) (iceServerURL, error) {
		return iceServerURL{}, &SyntaxError{Err: fmt.Errorf("ICE server URL %q: %s", text, why)}
	}
	scheme, rest, _ := strings.Cut(text, ":")
	s := iceServerURL{text: text, scheme: strings.ToLower(scheme), port: 3478}
	switch s.scheme {
	case "stun", "turn":
	case "stuns", "turns":
		s.port, s.tcp = 5349, true
	default:
		return fail("unknown scheme")
	}
	rest, query, asks := strings.Cut(rest, "?")
	host, port, hasPort := strings.Cut(rest, ":")
	if strings.HasPrefix(rest, "[") {
		literal, behind, closed := strings.Cut(rest[1:], "]")
		addr, err := netip.ParseAddr(literal)
		if err != nil || !addr.Is6() || !closed || behind != "" && behind[0] != ':' {
			return fail("bad IPv6 address")
		}
		host, port, hasPort = literal, strings.TrimPrefix(behind, ":"), behind != ""
	} else if !isHostName(host) {
		return fail("no host")
	}
	s.host = host
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '+' {
			return fail("bad port")
		}
		s.port = uint16(n)
	}
	switch {
	case !asks:
	case strings.HasPrefix(s.scheme, "stun"):
		return fail("a STUN URL has no query")
	case query == "transport=udp":
		s.tcp = false
	case query == "transport=tcp":
		s.tcp = true
	default:
		return fail("unknown query")
	}
	return s, nil
}

// isHostName takes what can be looked up: letters, also those of other scripts, digits, and what joins them.
func isHostName(s string) bool {
	if s == "" || len(s) > 253 || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < utf8.RuneSelf && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-._~", r)
	})
}

// UnmarshalJSON reads the browser's form, in which urls may be one string.
func (s *ICEServer) UnmarshalJSON(text []byte) error {
	var one struct {
		URLs any `json:"urls"`
	}
	if err := json.Unmarshal(text, &one); err != nil {
		return err
	}
	type fields ICEServer
	if url, ok := one.URLs.(string); ok {
		form := struct {
			*fields
			URLs string `json:"urls"`
		}{fields: (*fields)(s)}
		s.URLs = []string{url}
		return json.Unmarshal(text, &form)
	}
	return json.Unmarshal(text, (*fields)(s))
}

// maxICEServers bounds the URLs of a Configuration.
const maxICEServers = 16

// validate checks a Configuration as W3C's "set a configuration" does.
func (c Configuration) validate() error {
	if c.ICETransportPolicy < 0 || c.ICETransportPolicy > ICETransportPolicyRelay {
		return typeError("ICE transport policy %v", c.ICETransportPolicy)
	}
	if c.BundlePolicy < 0 || c.BundlePolicy > BundlePolicyMaxBundle {
		return typeError("bundle policy %v", c.BundlePolicy)
	}
	if c.RTCPMuxPolicy != RTCPMuxPolicyRequire {
		return typeError("RTCP multiplexing policy %v", c.RTCPMuxPolicy)
	}
	if c.PeerIdentity != "" {
		return &NotSupportedError{Err: fmt.Errorf("peer identity")}
	}
	urls := 0
	for _, server := range c.ICEServers {
		if len(server.URLs) == 0 {
			return &SyntaxError{Err: fmt.Errorf("an ICE server without URLs")}
		}
		for _, text := range server.URLs {
			u, err := parseICEServerURL(text)
			if err != nil {
				return err
			}
			if urls++; urls > maxICEServers {
				return typeError("more than %d URLs of ICE servers", maxICEServers)
			}
			if strings.HasPrefix(u.scheme, "turn") && (server.Username == "" || server.Credential == "") {
				return &InvalidAccessError{Err: fmt.Errorf("%s needs a username and a credential", text)}
			}
			// RFC 8489, section 14.3, has no room for more.
			if strings.HasPrefix(u.scheme, "turn") && len(server.Username) > 509 {
				return &InvalidAccessError{Err: fmt.Errorf("a username of %d bytes", len(server.Username))}
			}
		}
	}
	for _, cert := range c.Certificates {
		if cert.expired(time.Now()) {
			return &InvalidAccessError{Err: fmt.Errorf("a certificate has expired")}
		}
	}
	return nil
}

func (c Configuration) clone() Configuration {
	c.ICEServers = slices.Clone(c.ICEServers)
	for i := range c.ICEServers {
		c.ICEServers[i].URLs = slices.Clone(c.ICEServers[i].URLs)
	}
	c.Certificates = slices.Clone(c.Certificates)
	return c
}
