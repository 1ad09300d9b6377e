package ice

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/openparley/webrtc/ice/turn"
)

// Extension is one name and value at the end of a candidate-attribute.
type Extension struct{ Name, Value string }

// Candidate is a transport address that an agent may be reached at (RFC 8445 §5.1), as the candidate-attribute of
// RFC 8839 §5.1 carries it. It is a plain value; Extensions is not changed by this package once it was parsed.
type Candidate struct {
	Foundation string
	Component  uint16         // 1; candidates of other components are ignored
	Transport  string         // "udp" or another transport in lower case
	Priority   uint32         // RFC 8445 §5.1.2
	Addr       netip.AddrPort // only the port is set when Host is
	Host       string         // a name instead of an address, else empty
	Type       CandidateType
	Related    netip.AddrPort // raddr and rport; zero: none
	TCPType    string         // "active", "passive" or "so" of RFC 6544; empty for udp
	Ufrag      string         // the generation that it belongs to; empty: unknown
	URL        string         // local candidates of a server: its URL; never on the wire
	Relay      turn.Transport // local relayed candidates: how the server is reached; never on the wire
	Extensions []Extension    // what else the attribute carries, in its order
}

// Limits of ParseCandidate.
const (
	maxCandidateLength = 1024
	maxExtensions      = 32
)

// ParseCandidate reads a candidate-attribute: "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host …", with or without
// the leading "a=" and "candidate:". Errors are ErrCandidate.
func ParseCandidate(s string) (Candidate, error) {
	c, err := parseCandidate(s)
	if err != nil {
		return Candidate{}, fmt.Errorf("%w: %w", ErrCandidate, err)
	}
	return c, nil
}

func parseCandidate(s string) (Candidate, error) {
	if len(s) > maxCandidateLength {
		return Candidate{}, fmt.Errorf("longer than %d bytes", maxCandidateLength)
	}
	s = strings.TrimSpace(s)
	s = strings.TrimPrefix(s, "a=")
	s = strings.TrimPrefix(s, "candidate:")
	f := strings.Fields(s)
	if len(f) < 8 {
		return Candidate{}, fmt.Errorf("%d fields, want 8 or more", len(f))
	}
	c := Candidate{Foundation: f[0], Transport: strings.ToLower(f[2])}
	if len(f[0]) > 32 || !isICEChars(f[0]) {
		return Candidate{}, fmt.Errorf("foundation %q", f[0])
	}
	component, err := parseNumber(f[1], 1, 256)
	if err != nil {
		return Candidate{}, fmt.Errorf("component: %w", err)
	}
	priority, err := parseNumber(f[3], 0, 1<<32-1) // RFC 8445 §5.1.2 wants 1 to 2^31-1; some peers exceed it
	if err != nil {
		return Candidate{}, fmt.Errorf("priority: %w", err)
	}
	port, err := parseNumber(f[5], 0, 65535)
	if err != nil {
		return Candidate{}, fmt.Errorf("port: %w", err)
	}
	c.Component, c.Priority = uint16(component), uint32(priority)
	if !isToken(c.Transport) {
		return Candidate{}, fmt.Errorf("transport %q", f[2])
	}
	if addr, err := parseAddr(f[4]); err == nil {
		c.Addr = netip.AddrPortFrom(addr, uint16(port))
	} else if isHostName(f[4]) {
		c.Host, c.Addr = f[4], netip.AddrPortFrom(netip.Addr{}, uint16(port))
	} else {
		return Candidate{}, fmt.Errorf("address %q", f[4])
	}
	if !strings.EqualFold(f[6], "typ") {
		return Candidate{}, fmt.Errorf("%q where typ must be", f[6])
	}
	if err := c.parseType(f[7]); err != nil {
		return Candidate{}, err
	}
	return c, c.parseExtensions(f[8:])
}

func (c *Candidate) parseType(s string) error {
	switch strings.ToLower(s) {
	case "host":
		c.Type = TypeHost
	case "srflx":
		c.Type = TypeServerReflexive
	case "prflx":
		c.Type = TypePeerReflexive
	case "relay":
		c.Type = TypeRelay
	default:
		return fmt.Errorf("type %q", s)
	}
	return nil
}

func (c *Candidate) parseExtensions(f []string) error {
	if len(f)%2 != 0 {
		return fmt.Errorf("extension %q has no value", f[len(f)-1])
	}
	if len(f) > 2*maxExtensions {
		return fmt.Errorf("more than %d extensions", maxExtensions)
	}
	var related netip.Addr
	var port uint64
	for ; len(f) > 0; f = f[2:] {
		name, value := f[0], f[1]
		var err error
		switch strings.ToLower(name) {
		case "raddr":
			// A name or garbage stands for an address that the peer hides: as good as none.
			if related, err = parseAddr(value); err != nil {
				related, err = netip.IPv4Unspecified(), nil
			}
		case "rport":
			port, err = parseNumber(value, 0, 65535)
		case "tcptype":
			c.TCPType = strings.ToLower(value)
		case "ufrag":
			if c.Ufrag = value; !isICEChars(value) {
				err = fmt.Errorf("%q", value)
			}
		default:
			c.Extensions = append(c.Extensions, Extension{name, value})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if related.IsValid() {
		c.Related = netip.AddrPortFrom(related, uint16(port))
	}
	return nil
}

// String returns the candidate-attribute with its leading "candidate:", as W3C's RTCIceCandidate.candidate has it.
func (c Candidate) String() string {
	b := append(make([]byte, 0, 160), "candidate:"...)
	word := func(s string) { b = append(append(b, s...), ' ') }
	number := func(n uint64) { b = append(strconv.AppendUint(b, n, 10), ' ') }
	address := func(a netip.Addr) { b = append(a.WithZone("").AppendTo(b), ' ') }
	word(c.Foundation)
	number(uint64(c.Component))
	word(c.Transport)
	number(uint64(c.Priority))
	if c.Host != "" {
		word(c.Host)
	} else {
		address(c.Addr.Addr())
	}
	number(uint64(c.Addr.Port()))
	word("typ")
	word(c.Type.String())
	if c.Related.Addr().IsValid() {
		word("raddr")
		address(c.Related.Addr())
		word("rport")
		number(uint64(c.Related.Port()))
	}
	if c.TCPType != "" {
		word("tcptype")
		word(c.TCPType)
	}
	if c.Ufrag != "" {
		word("ufrag")
		word(c.Ufrag)
	}
	for _, e := range c.Extensions {
		word(e.Name)
		word(e.Value)
	}
	return string(b[:len(b)-1])
}

func parseNumber(s string, low, high uint64) (uint64, error) {
	if s == "" || len(s) > 10 || s[0] == '+' || s[0] == '-' {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	n, err := strconv.ParseUint(s, 10, 40)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is not a number from %d to %d", s, low, high)
	}
	return n, nil
}

// parseAddr accepts no zones: a zone means something on its own host only.
func parseAddr(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an address", s)
	}
	return addr.Unmap(), nil
}

func isHostName(s string) bool {
	if len(s) > 253 || strings.Contains(s, "..") {
		return false
	}
	letters := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters = true
		case c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return letters && s[0] != '.' && s[0] != '-'
}

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '/' {
			return false
		}
	}
	return s != ""
}

// isLocalName tells whether the host is to be asked for by multicast DNS (RFC 8839 §5.1 leaves other names to the agent;
// this one ignores them, so that a peer cannot make it query names of the peer's choice).
func (c *Candidate) isLocalName() bool {
	return strings.HasSuffix(strings.ToLower(strings.TrimSuffix(c.Host, ".")), ".local")
}
