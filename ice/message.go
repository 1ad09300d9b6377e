package ice

import (
	"encoding/binary"
	"net/netip"

	"github.com/pion/stun/v3"
)

const magicCookie = 0x2112A442

// wellFormed checks the framing of a STUN message: two zero bits, the cookie, a length that fits the datagram exactly, and
// attributes that end where the message does (RFC 8489 §5, §14).
func wellFormed(pkt []byte) bool {
	if len(pkt) < 20 || len(pkt) > maxMessage || pkt[0]&0xc0 != 0 || binary.BigEndian.Uint32(pkt[4:]) != magicCookie {
		return false
	}
	if n := int(binary.BigEndian.Uint16(pkt[2:])); n != len(pkt)-20 || n%4 != 0 {
		return false
	}
	for rest := pkt[20:]; len(rest) > 0; {
		if len(rest) < 4 {
			return false
		}
		n := 4 + (int(binary.BigEndian.Uint16(rest[2:]))+3)&^3
		if n > len(rest) {
			return false
		}
		rest = rest[n:]
	}
	return true
}

// decode reads a datagram into the agent's message, and tells whether it is well-formed STUN.
func (a *Agent) decode(pkt []byte) bool {
	return wellFormed(pkt) && stun.Decode(pkt, &a.rx) == nil
}

// fingerprintOK checks FINGERPRINT, which must be the last attribute (RFC 8489 §14.7). A missing one is right only if
// the usage does not want it.
func fingerprintOK(m *stun.Message, required bool) bool {
	if n := len(m.Attributes); n > 0 && m.Attributes[n-1].Type == stun.AttrFingerprint {
		for _, at := range m.Attributes[:n-1] {
			if at.Type == stun.AttrFingerprint {
				return false
			}
		}
		return stun.Fingerprint.Check(m) == nil
	}
	return !required && !m.Contains(stun.AttrFingerprint)
}

// integrityOK checks MESSAGE-INTEGRITY (RFC 8489 §14.5).
func integrityOK(m *stun.Message, key []byte) bool {
	return len(key) > 0 && stun.MessageIntegrity(key).Check(m) == nil
}

// username returns the value of USERNAME in front of MESSAGE-INTEGRITY.
func username(m *stun.Message) []byte {
	for _, at := range m.Attributes {
		switch at.Type {
		case stun.AttrUsername:
			return at.Value
		case stun.AttrMessageIntegrity:
			return nil
		}
	}
	return nil
}

// attributes are what an authenticated message says. Of a repeated attribute the first one counts (RFC 8489 §14).
type attributes struct {
	mapped       netip.AddrPort
	mappedPlain  netip.AddrPort // MAPPED-ADDRESS
	priority     uint32
	hasPriority  bool
	useCandidate bool
	controlling  bool
	controlled   bool
	tieBreaker   uint64
	errorCode    int
	reason       string
	unknown      [8]uint16 // comprehension-required ones that we do not know
	unknowns     int
	malformed    bool
}

// interpret reads the attributes of a message whose integrity was checked, and of those only the ones that the integrity
// covers: what follows MESSAGE-INTEGRITY is ignored (RFC 8489 §14.5). The answers of STUN servers carry no integrity and are
// read whole.
func interpret(m *stun.Message) (r attributes) {
	for _, at := range m.Attributes {
		if at.Type == stun.AttrMessageIntegrity {
			return r
		}
		r.take(m, at)
	}
	return r
}

func (r *attributes) take(m *stun.Message, at stun.RawAttribute) {
	v := at.Value
	switch at.Type {
	case stun.AttrXORMappedAddress:
		if !r.mapped.IsValid() {
			r.mapped = xorAddress(v, m.TransactionID)
		}
	case stun.AttrMappedAddress:
		if !r.mappedPlain.IsValid() {
			r.mappedPlain = plainAddress(v)
		}
	case stun.AttrPriority:
		if r.malformed = r.malformed || len(v) != 4; len(v) == 4 && !r.hasPriority {
			r.priority, r.hasPriority = binary.BigEndian.Uint32(v), true
		}
	case stun.AttrUseCandidate:
		r.useCandidate = true
	case stun.AttrICEControlling, stun.AttrICEControlled:
		if r.malformed = r.malformed || len(v) != 8; len(v) == 8 && !r.controlled && !r.controlling {
			r.controlling, r.controlled = at.Type == stun.AttrICEControlling, at.Type == stun.AttrICEControlled
			r.tieBreaker = binary.BigEndian.Uint64(v)
		}
	case stun.AttrErrorCode:
		if len(v) >= 4 && r.errorCode == 0 {
			r.errorCode, r.reason = int(v[2]&7)*100+int(v[3]), string(v[4:])
		}
	case stun.AttrUsername, stun.AttrRealm, stun.AttrNonce, stun.AttrUnknownAttributes,
		stun.AttrMessageIntegritySHA256, stun.AttrUserhash, stun.AttrPasswordAlgorithm:
	default:
		if at.Type < 0x8000 && r.unknowns < len(r.unknown) {
			r.unknown[r.unknowns] = uint16(at.Type)
			r.unknowns++
		}
	}
}

// plainAddress reads the value of MAPPED-ADDRESS (RFC 8489 §14.1); invalid: malformed.
func plainAddress(v []byte) netip.AddrPort {
	if len(v) < 4 {
		return netip.AddrPort{}
	}
	port := binary.BigEndian.Uint16(v[2:])
	switch {
	case v[1] == 1 && len(v) == 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(v[4:])), port)
	case v[1] == 2 && len(v) == 20:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(v[4:])).Unmap(), port)
	}
	return netip.AddrPort{}
}

// xorAddress reads the value of XOR-MAPPED-ADDRESS (RFC 8489 §14.2); invalid: malformed.
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

// addXORAddress adds XOR-MAPPED-ADDRESS.
func addXORAddress(m *stun.Message, ap netip.AddrPort) {
	var v [20]byte
	n := 8
	if addr := ap.Addr(); addr.Is4() {
		v[1] = 1
		b := addr.As4()
		copy(v[4:], b[:])
	} else {
		v[1], n = 2, 20
		b := addr.As16()
		copy(v[4:], b[:])
	}
	binary.BigEndian.PutUint16(v[2:], ap.Port())
	maskAddress(v[:n], m.TransactionID)
	m.Add(stun.AttrXORMappedAddress, v[:n])
}

// start begins a message in the agent's buffer.
func (a *Agent) start(t stun.MessageType, id [stun.TransactionIDSize]byte) *stun.Message {
	m := &a.tx
	m.Reset()
	m.Type, m.TransactionID = t, id
	m.WriteHeader()
	return m
}

// seal ends a message: MESSAGE-INTEGRITY, FINGERPRINT.
func seal(m *stun.Message, key []byte) []byte {
	if key != nil {
		if err := stun.MessageIntegrity(key).AddTo(m); err != nil {
			return nil // only a FINGERPRINT in front of it makes it fail, and there is none
		}
	}
	if err := stun.Fingerprint.AddTo(m); err != nil {
		return nil // never fails
	}
	return m.Raw
}

// checkMessage writes a connectivity check (RFC 8445 §7.2.4) into the agent's buffer.
func (a *Agent) checkMessage(t *transaction) []byte {
	g := t.pair.gen
	m := a.start(stun.BindingRequest, t.id)
	m.Add(stun.AttrUsername, g.username)
	var v [8]byte
	binary.BigEndian.PutUint32(v[:], t.priority)
	m.Add(stun.AttrPriority, v[:4])
	binary.BigEndian.PutUint64(v[:], a.tieBreaker)
	if t.controlling {
		m.Add(stun.AttrICEControlling, v[:])
	} else {
		m.Add(stun.AttrICEControlled, v[:])
	}
	if t.useCandidate {
		m.Add(stun.AttrUseCandidate, nil)
	}
	return seal(m, g.remoteKey)
}

// successMessage answers a check (RFC 8445 §7.3.1.2).
func (a *Agent) successMessage(id [stun.TransactionIDSize]byte, source netip.AddrPort, key []byte) []byte {
	m := a.start(stun.BindingSuccess, id)
	addXORAddress(m, source)
	return seal(m, key)
}

// errorMessage refuses an authenticated check.
func (a *Agent) errorMessage(id [stun.TransactionIDSize]byte, code stun.ErrorCode, unknown []uint16, key []byte) []byte {
	m := a.start(stun.BindingError, id)
	m.Add(stun.AttrErrorCode, []byte{0, 0, byte(code / 100), byte(code % 100)})
	if len(unknown) > 0 {
		var v [16]byte
		n := 0
		for _, u := range unknown[:min(len(unknown), 8)] {
			binary.BigEndian.PutUint16(v[n:], u)
			n += 2
		}
		m.Add(stun.AttrUnknownAttributes, v[:n])
	}
	return seal(m, key)
}
