package turn

import (
	"encoding/binary"
	"net/netip"

	"github.com/pion/stun/v3"
)

const (
	magicCookie = 0x2112A442
	headerSize  = 20
	// maxControl is the longest message that is not data: a request with every attribute at its longest that a sane
	// peer sends. Longer ones are dropped before anything is computed over them.
	maxControl = 2048
)

// attrAdditionalFamily is ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.6), attrFamilyError ADDRESS-ERROR-CODE (§18.12).
const (
	attrAdditionalFamily stun.AttrType = 0x8000
	attrFamilyError      stun.AttrType = 0x8001
)

// protocolUDP is the value of REQUESTED-TRANSPORT for UDP relays (RFC 8656 §18.8).
const protocolUDP = 17

// Address families as STUN writes them.
const (
	familyIPv4 = 1
	familyIPv6 = 2
)

// walk goes over the attributes of a STUN message until yield says false. It returns false if the framing is broken: two
// zero bits, the cookie, a length that fits the packet exactly, attributes that end where the message does (RFC 8489 §5, §14).
func walk(pkt []byte, yield func(t stun.AttrType, v []byte) bool) bool {
	if !IsMessage(pkt) || int(binary.BigEndian.Uint16(pkt[2:])) != len(pkt)-headerSize || len(pkt)%4 != 0 {
		return false
	}
	for rest := pkt[headerSize:]; len(rest) > 0; {
		if len(rest) < 4 {
			return false
		}
		n := int(binary.BigEndian.Uint16(rest[2:]))
		padded := 4 + (n+3)&^3
		if padded > len(rest) {
			return false
		}
		if !yield(stun.AttrType(binary.BigEndian.Uint16(rest)), rest[4:4+n]) {
			return true
		}
		rest = rest[padded:]
	}
	return true
}

// IsMessage tells whether a packet looks like a STUN message rather than ChannelData (RFC 8656 §12.4).
func IsMessage(pkt []byte) bool {
	return len(pkt) >= headerSize && pkt[0]&0xc0 == 0 && binary.BigEndian.Uint32(pkt[4:]) == magicCookie
}

// IsChannelData tells whether a packet looks like ChannelData: its first byte is 64 to 79 (RFC 8656 §12).
func IsChannelData(pkt []byte) bool {
	return len(pkt) >= channelHeader && pkt[0] >= 0x40 && pkt[0] <= 0x4f
}

// messageType reads the type of a message that walk has passed.
func messageType(pkt []byte) (t stun.MessageType) {
	t.ReadValue(binary.BigEndian.Uint16(pkt))
	return t
}

// transactionID reads the transaction of a message; zero: the packet is too short.
func transactionID(pkt []byte) (id [stun.TransactionIDSize]byte) {
	if len(pkt) >= headerSize {
		copy(id[:], pkt[8:])
	}
	return id
}

// attributes are what a message says. Of a repeated attribute the first one counts (RFC 8489 §14), except for the peers of
// CreatePermission, which may be several (RFC 8656 §10.1).
type attributes struct {
	mapped, peer    netip.AddrPort
	relayed         [2]netip.AddrPort
	alternate       netip.AddrPort
	alternateDomain string
	peers           []netip.AddrPort // all of them, peer included; only when asked for
	data            []byte
	hasData         bool
	channel         uint16
	lifetime        uint32
	hasLifetime     bool
	transport       byte
	family          byte // REQUESTED-ADDRESS-FAMILY
	additional      byte // ADDITIONAL-ADDRESS-FAMILY
	hasEvenPort     bool
	reserveNext     bool
	hasReservation  bool
	username        []byte
	userhash        []byte
	realm           []byte
	nonce           []byte
	algorithms      []byte // PASSWORD-ALGORITHMS
	algorithm       []byte // PASSWORD-ALGORITHM
	hasSHA1         bool
	hasSHA256       bool
	errorCode       int
	reason          string
	familyError     int       // ADDRESS-ERROR-CODE
	unknown         [8]uint16 // comprehension-required ones that we do not know
	unknowns        int
	malformed       bool
}

// parse reads a message. Everything that follows the first integrity attribute is left out, but for the other integrity
// attribute and FINGERPRINT (RFC 8489 §14.5, §14.6). False: the framing is broken.
func (r *attributes) parse(pkt []byte) bool {
	id := transactionID(pkt)
	fingerprint, count := false, 0
	ok := walk(pkt, func(t stun.AttrType, v []byte) bool {
		count++
		if fingerprint || count > 64 {
			r.malformed = true // FINGERPRINT must be last
			return false
		}
		fingerprint = t == stun.AttrFingerprint
		switch {
		case t == stun.AttrMessageIntegrity:
			r.hasSHA1 = r.hasSHA1 || !r.hasSHA256 // behind the other one it does not count
		case t == stun.AttrMessageIntegritySHA256:
			r.hasSHA256 = true
		case r.hasSHA1 || r.hasSHA256:
		default:
			r.take(t, v, id)
		}
		return true
	})
	if fingerprint && ok && !fingerprintOK(pkt) {
		return false
	}
	return ok
}

func (r *attributes) take(t stun.AttrType, v []byte, id [stun.TransactionIDSize]byte) {
	switch t {
	case stun.AttrXORMappedAddress:
		r.address(&r.mapped, v, id)
	case stun.AttrXORPeerAddress:
		peer := xorAddress(v, id)
		r.malformed = r.malformed || !peer.IsValid()
		if !r.peer.IsValid() {
			r.peer = peer
		}
		if r.peers != nil {
			r.malformed = r.malformed || len(r.peers) == maxPeersPerRequest
			r.peers = append(r.peers, peer)
		}
	case stun.AttrXORRelayedAddress:
		if !r.relayed[0].IsValid() {
			r.address(&r.relayed[0], v, id)
		} else {
			r.address(&r.relayed[1], v, id)
		}
	case stun.AttrAlternateServer:
		r.alternate = plainAddress(v)
	case stun.AttrAlternateDomain:
		r.alternateDomain = string(v)
	case stun.AttrData:
		if !r.hasData {
			r.data, r.hasData = v, true
		}
	case stun.AttrErrorCode:
		if len(v) >= 4 && r.errorCode == 0 {
			r.errorCode, r.reason = int(v[2]&7)*100+int(v[3]), string(v[4:])
		}
	case attrFamilyError:
		if len(v) >= 4 {
			r.familyError = int(v[2]&7)*100 + int(v[3])
		}
	default:
		if !r.takeCredential(t, v) && !r.takeNumber(t, v) && t < 0x8000 && r.unknowns < len(r.unknown) {
			r.unknown[r.unknowns] = uint16(t)
			r.unknowns++
		}
	}
}

func (r *attributes) address(to *netip.AddrPort, v []byte, id [stun.TransactionIDSize]byte) {
	if !to.IsValid() {
		*to = xorAddress(v, id)
	}
}

// takeCredential reads what long-term credentials are made of. False: it is none of these.
func (r *attributes) takeCredential(t stun.AttrType, v []byte) bool {
	var to *[]byte
	most := 763 // RFC 8489 §14.9, §14.10
	switch t {
	case stun.AttrUsername:
		to, most = &r.username, 513
	case stun.AttrUserhash:
		to, most = &r.userhash, 32
		r.malformed = r.malformed || len(v) != 32
	case stun.AttrRealm:
		to = &r.realm
	case stun.AttrNonce:
		to = &r.nonce
	case stun.AttrPasswordAlgorithms:
		to = &r.algorithms
	case stun.AttrPasswordAlgorithm:
		to = &r.algorithm
	default:
		return false
	}
	r.malformed = r.malformed || len(v) > most
	if *to == nil {
		*to = v
	}
	return true
}

// takeNumber reads attributes of fixed size. False: it is none of these.
func (r *attributes) takeNumber(t stun.AttrType, v []byte) bool {
	size := 4
	switch t {
	case stun.AttrEvenPort:
		size = 1
	case stun.AttrReservationToken:
		size = 8
	case stun.AttrDontFragment:
		return true // every relay sends whole datagrams or none
	case stun.AttrLifetime, stun.AttrChannelNumber, stun.AttrRequestedTransport, stun.AttrRequestedAddressFamily, attrAdditionalFamily:
	default:
		return false
	}
	if len(v) != size {
		r.malformed = true
		return true
	}
	switch t {
	case stun.AttrLifetime:
		if !r.hasLifetime {
			r.lifetime, r.hasLifetime = binary.BigEndian.Uint32(v), true
		}
	case stun.AttrChannelNumber:
		if r.channel == 0 {
			r.channel = binary.BigEndian.Uint16(v)
		}
	case stun.AttrRequestedTransport:
		if r.transport == 0 {
			r.transport = v[0]
		}
	case stun.AttrRequestedAddressFamily:
		r.family = v[0]
	case attrAdditionalFamily:
		r.additional = v[0]
	case stun.AttrEvenPort:
		r.hasEvenPort, r.reserveNext = true, v[0]&0x80 != 0
	default:
		r.hasReservation = true
	}
	return true
}

// plainAddress reads the value of MAPPED-ADDRESS and its kin (RFC 8489 §14.1); invalid: malformed.
func plainAddress(v []byte) netip.AddrPort {
	if len(v) < 4 {
		return netip.AddrPort{}
	}
	port := binary.BigEndian.Uint16(v[2:])
	switch {
	case v[1] == familyIPv4 && len(v) == 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(v[4:])), port)
	case v[1] == familyIPv6 && len(v) == 20:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(v[4:])), port)
	}
	return netip.AddrPort{}
}

// xorAddress reads the value of XOR-MAPPED-ADDRESS and its kin (RFC 8489 §14.2); invalid: malformed.
func xorAddress(v []byte, id [stun.TransactionIDSize]byte) netip.AddrPort {
	var plain [20]byte
	if len(v) != 8 && len(v) != 20 {
		return netip.AddrPort{}
	}
	n := copy(plain[:], v)
	maskAddress(plain[:n], id)
	return plainAddress(plain[:n])
}

// maskAddress applies the exclusive or of XOR-MAPPED-ADDRESS, which is its own inverse.
func maskAddress(v []byte, id [stun.TransactionIDSize]byte) {
	var mask [16]byte
	binary.BigEndian.PutUint32(mask[:], magicCookie)
	copy(mask[4:], id[:])
	v[2], v[3] = v[2]^mask[0], v[3]^mask[1]
	for i := range v[4:] {
		v[4+i] ^= mask[i]
	}
}

// putAddress writes the value of an XOR address attribute into v, which has room for 20 bytes, and returns its length.
func putAddress(v []byte, ap netip.AddrPort, id [stun.TransactionIDSize]byte) int {
	n := 8
	v[0] = 0
	if addr := ap.Addr(); addr.Is4() {
		v[1] = familyIPv4
		b := addr.As4()
		copy(v[4:], b[:])
	} else {
		v[1], n = familyIPv6, 20
		b := addr.As16()
		copy(v[4:], b[:])
	}
	binary.BigEndian.PutUint16(v[2:], ap.Port())
	maskAddress(v[:n], id)
	return n
}

func addAddress(m *stun.Message, t stun.AttrType, ap netip.AddrPort) {
	var v [20]byte
	m.Add(t, v[:putAddress(v[:], ap, m.TransactionID)])
}

func addUint32(m *stun.Message, t stun.AttrType, n uint32) {
	var v [4]byte
	binary.BigEndian.PutUint32(v[:], n)
	m.Add(t, v[:])
}

// start begins a message in m, whose buffer is used again.
func start(m *stun.Message, t stun.MessageType, id [stun.TransactionIDSize]byte) {
	m.Reset()
	m.Type, m.TransactionID = t, id
	m.WriteHeader()
}

// normalize removes what is only one host's spelling of an address: IPv4-mapped forms and zones.
func normalize(ap netip.AddrPort) netip.AddrPort {
	if addr := ap.Addr(); !addr.Is4() {
		return netip.AddrPortFrom(addr.Unmap().WithZone(""), ap.Port())
	}
	return ap
}
