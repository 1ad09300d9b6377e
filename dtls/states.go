package dtls

import "fmt"

// Role is a side of the handshake: the client speaks first.
type Role uint8

// The roles. SDP's a=setup:active is the client, a=setup:passive the server (RFC 8842).
const (
	RoleClient Role = iota + 1
	RoleServer
)

// String returns "client" or "server".
func (r Role) String() string {
	switch r {
	case RoleClient:
		return "client"
	case RoleServer:
		return "server"
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// State is the life of a connection, in the words of W3C's RTCDtlsTransportState.
//
//	new ──▶ connecting ──▶ connected ──▶ closed
//	 │           │             │
//	 └───────────┴─────────────┴──▶ failed, closed
type State uint8

// The states.
const (
	StateNew State = iota
	StateConnecting
	StateConnected
	StateClosed
	StateFailed
)

// String returns W3C's word.
func (s State) String() string {
	switch s {
	case StateNew:
		return "new"
	case StateConnecting:
		return "connecting"
	case StateConnected:
		return "connected"
	case StateClosed:
		return "closed"
	case StateFailed:
		return "failed"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

func (s State) terminal() bool { return s == StateClosed || s == StateFailed }

// Version is a protocol version as it stands on the wire. A newer version has a smaller number.
type Version uint16

// The versions.
const (
	VersionDTLS12 Version = 0xfefd
	VersionDTLS13 Version = 0xfefc
)

// String returns "DTLS 1.2", "DTLS 1.3" or the number.
func (v Version) String() string {
	switch v {
	case VersionDTLS12:
		return "DTLS 1.2"
	case VersionDTLS13:
		return "DTLS 1.3"
	}
	return fmt.Sprintf("Version(%#04x)", uint16(v))
}

// CipherSuite is a number of the IANA registry "TLS Cipher Suites".
type CipherSuite uint16

// The cipher suites.
const (
	AES128GCMSHA256        CipherSuite = 0x1301
	AES256GCMSHA384        CipherSuite = 0x1302
	ChaCha20Poly1305SHA256 CipherSuite = 0x1303

	ECDHEECDSAAES128GCMSHA256  CipherSuite = 0xc02b
	ECDHEECDSAAES256GCMSHA384  CipherSuite = 0xc02c
	ECDHERSAAES128GCMSHA256    CipherSuite = 0xc02f
	ECDHERSAAES256GCMSHA384    CipherSuite = 0xc030
	ECDHERSAChaCha20Poly1305   CipherSuite = 0xcca8
	ECDHEECDSAChaCha20Poly1305 CipherSuite = 0xcca9
)

// String returns the IANA name, which is what W3C's statistics carry as dtlsCipher.
func (s CipherSuite) String() string {
	if i := suiteByID(s); i != nil {
		return i.name
	}
	return fmt.Sprintf("CipherSuite(%#04x)", uint16(s))
}

// Group is a number of the IANA registry "TLS Supported Groups".
type Group uint16

// The groups.
const (
	GroupP256           Group = 23
	GroupP384           Group = 24
	GroupX25519         Group = 29
	GroupX25519MLKEM768 Group = 4588
)

// String returns the IANA name.
func (g Group) String() string {
	switch g {
	case GroupP256:
		return "secp256r1"
	case GroupP384:
		return "secp384r1"
	case GroupX25519:
		return "x25519"
	case GroupX25519MLKEM768:
		return "X25519MLKEM768"
	}
	return fmt.Sprintf("Group(%d)", uint16(g))
}

// SRTPProfile is a number of the IANA registry "DTLS-SRTP Protection Profiles". Zero: none was agreed on.
type SRTPProfile uint16

// The profiles (RFC 5764 §4.1.2, RFC 7714 §14.2).
const (
	SRTPAES128CMSHA1_80 SRTPProfile = 0x0001
	SRTPAES128CMSHA1_32 SRTPProfile = 0x0002
	SRTPAEADAES128GCM   SRTPProfile = 0x0007
	SRTPAEADAES256GCM   SRTPProfile = 0x0008
)

// String returns the IANA name, which is what W3C's statistics carry as srtpCipher.
func (p SRTPProfile) String() string {
	switch p {
	case SRTPAES128CMSHA1_80:
		return "SRTP_AES128_CM_HMAC_SHA1_80"
	case SRTPAES128CMSHA1_32:
		return "SRTP_AES128_CM_HMAC_SHA1_32"
	case SRTPAEADAES128GCM:
		return "SRTP_AEAD_AES_128_GCM"
	case SRTPAEADAES256GCM:
		return "SRTP_AEAD_AES_256_GCM"
	}
	return fmt.Sprintf("SRTPProfile(%#04x)", uint16(p))
}

// SignatureScheme is a number of the IANA registry "TLS SignatureScheme".
type SignatureScheme uint16

// The schemes. PKCS #1 is for DTLS 1.2 only (RFC 8446 §4.2.3).
const (
	PKCS1SHA256  SignatureScheme = 0x0401
	PKCS1SHA384  SignatureScheme = 0x0501
	PKCS1SHA512  SignatureScheme = 0x0601
	ECDSAP256    SignatureScheme = 0x0403
	ECDSAP384    SignatureScheme = 0x0503
	ECDSAP521    SignatureScheme = 0x0603
	PSSRSASHA256 SignatureScheme = 0x0804
	PSSRSASHA384 SignatureScheme = 0x0805
	PSSRSASHA512 SignatureScheme = 0x0806
	Ed25519      SignatureScheme = 0x0807
)

// ClientAuth is what a server wants of its client's certificate.
type ClientAuth uint8

// The demands.
const (
	// RequireCertificate: no connection without one.
	RequireCertificate ClientAuth = iota
	// RequestCertificate: a client may send an empty list, for which VerifyPeer is not asked.
	RequestCertificate
	// NoCertificate: none is asked for.
	NoCertificate
)

// Event is what a connection tells its owner: today only an [EventState].
type Event interface{ event() }

// EventState reports a change of state. Err is the reason of StateFailed, and nil otherwise.
type EventState struct {
	State State
	Err   error
}

func (EventState) event() {}
