package dtls

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

type shareEntry struct {
	group Group
	data  []byte
}

type clientHello struct {
	version   Version
	random    [32]byte
	sessionID []byte
	cookie    []byte // DTLS 1.2's
	suites    []CipherSuite
	methods   []byte

	hasExtensions  bool
	versions       []Version
	groups         []Group
	shares         []shareEntry
	hasShares      bool
	schemes        []SignatureScheme
	srtpProfiles   []SRTPProfile
	srtpMKI        []byte
	protocols      []string
	serverName     string // only sent
	cookie13       []byte
	pointFormats   []byte
	extendedMaster bool
	renegotiation  []byte // nil: not there
}

// marshal writes the body. What is empty is left out.
func (m *clientHello) marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(uint16(m.version))
	b.AddBytes(m.random[:])
	addBytes8(&b, m.sessionID)
	addBytes8(&b, m.cookie)
	addUint16s(&b, m.suites)
	addBytes8(&b, []byte{0})
	b.AddUint16LengthPrefixed(m.addExtensions)
	return b.Bytes()
}

func (m *clientHello) addExtensions(b *cryptobyte.Builder) {
	if m.serverName != "" {
		addExtension(b, extServerName, func(b *cryptobyte.Builder) { addServerName(b, m.serverName) })
	}
	if m.extendedMaster {
		addExtension(b, extExtendedMaster, func(*cryptobyte.Builder) {})
		addExtension(b, extRenegotiationInfo, func(b *cryptobyte.Builder) { b.AddUint8(0) })
		addExtension(b, extPointFormats, func(b *cryptobyte.Builder) { addBytes8(b, []byte{0}) })
	}
	if len(m.groups) > 0 {
		addExtension(b, extSupportedGroups, func(b *cryptobyte.Builder) { addUint16s(b, m.groups) })
	}
	if len(m.schemes) > 0 {
		addExtension(b, extSignatureAlgorithms, func(b *cryptobyte.Builder) { addUint16s(b, m.schemes) })
	}
	if len(m.srtpProfiles) > 0 {
		addExtension(b, extUseSRTP, func(b *cryptobyte.Builder) {
			addUint16s(b, m.srtpProfiles)
			addBytes8(b, m.srtpMKI)
		})
	}
	if len(m.protocols) > 0 {
		addExtension(b, extALPN, func(b *cryptobyte.Builder) { addProtocols(b, m.protocols) })
	}
	if len(m.versions) > 0 {
		addExtension(b, extSupportedVersions, func(b *cryptobyte.Builder) {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, v := range m.versions {
					b.AddUint16(uint16(v))
				}
			})
		})
	}
	if len(m.cookie13) > 0 {
		addExtension(b, extCookie, func(b *cryptobyte.Builder) { addBytes16(b, m.cookie13) })
	}
	if m.hasShares {
		addExtension(b, extKeyShare, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, s := range m.shares {
					b.AddUint16(uint16(s.group))
					addBytes16(b, s.data)
				}
			})
		})
	}
}

// parseClientHello reads a body. The result refers to it.
func parseClientHello(s cryptobyte.String) (*clientHello, error) {
	m := new(clientHello)
	var id, cookie, methods cryptobyte.String
	if !s.ReadUint16((*uint16)(&m.version)) || !s.CopyBytes(m.random[:]) || !s.ReadUint8LengthPrefixed(&id) ||
		!s.ReadUint8LengthPrefixed(&cookie) || !readUint16s(&s, &m.suites) || !s.ReadUint8LengthPrefixed(&methods) ||
		len(id) > 32 || methods.Empty() {
		return nil, errDecode
	}
	m.sessionID, m.cookie, m.methods = id, cookie, methods
	if s.Empty() {
		return m, nil
	}
	m.hasExtensions = true
	if err := readExtensions(&s, m.parseExtension); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, errDecode
	}
	return m, nil
}

func (m *clientHello) parseExtension(typ extension, data cryptobyte.String) error {
	ok := true
	switch typ {
	case extSupportedVersions:
		var list cryptobyte.String
		ok = data.ReadUint8LengthPrefixed(&list) && !list.Empty() && len(list)%2 == 0
		for ok && !list.Empty() {
			var v uint16
			ok = list.ReadUint16(&v)
			m.versions = append(m.versions, Version(v))
		}
	case extSupportedGroups:
		ok = readUint16s(&data, &m.groups)
	case extSignatureAlgorithms:
		ok = readUint16s(&data, &m.schemes)
	case extUseSRTP:
		ok = readSRTP(&data, &m.srtpProfiles, &m.srtpMKI)
	case extALPN:
		ok = readProtocols(&data, &m.protocols)
	case extCookie:
		var c cryptobyte.String
		ok = data.ReadUint16LengthPrefixed(&c) && !c.Empty()
		m.cookie13 = c
	case extPointFormats:
		var f cryptobyte.String
		ok = data.ReadUint8LengthPrefixed(&f) && !f.Empty()
		m.pointFormats = f
	case extExtendedMaster:
		m.extendedMaster = true
	case extRenegotiationInfo:
		var info cryptobyte.String
		ok = data.ReadUint8LengthPrefixed(&info)
		m.renegotiation = append([]byte{}, info...)
	case extKeyShare:
		m.hasShares = true
		return m.parseShares(&data)
	case extServerName:
		return checkServerName(data)
	case extAuthorities:
		return checkAuthorities(data)
	default:
		return nil
	}
	if !ok || !data.Empty() {
		return fatal(AlertDecodeError, "malformed extension %d", typ)
	}
	return nil
}

func (m *clientHello) parseShares(data *cryptobyte.String) error {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() {
		return errDecode
	}
	for !list.Empty() {
		var g uint16
		var key cryptobyte.String
		if !list.ReadUint16(&g) || !list.ReadUint16LengthPrefixed(&key) || key.Empty() {
			return errDecode
		}
		if m.share(Group(g)) != nil {
			return fatal(AlertIllegalParameter, "two key shares for %v", Group(g))
		}
		m.shares = append(m.shares, shareEntry{Group(g), key})
	}
	return nil
}

func (m *clientHello) share(g Group) []byte {
	for _, s := range m.shares {
		if s.group == g {
			return s.data
		}
	}
	return nil
}

// oldestDTLS is below every number that a version of DTLS could have, and above all of TLS.
const oldestDTLS = 0xf000

func (m *clientHello) offers(v Version) bool {
	if len(m.versions) > 0 {
		return slices.Contains(m.versions, v)
	}
	// Without supported_versions the number is the newest that the client speaks, DTLS 1.2 at most (RFC 8446 §4.2.1).
	return v == VersionDTLS12 && m.version <= VersionDTLS12 && m.version >= oldestDTLS
}

// helloRetryRandom marks a ServerHello as a HelloRetryRequest (RFC 8446 §4.1.3): SHA-256("HelloRetryRequest").
var helloRetryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// downgrade is the end of the random of a server that speaks DTLS 1.3 and was offered only DTLS 1.2 (RFC 8446 §4.1.3).
var (
	downgrade12 = [8]byte{'D', 'O', 'W', 'N', 'G', 'R', 'D', 1}
	downgrade11 = [8]byte{'D', 'O', 'W', 'N', 'G', 'R', 'D', 0}
)

// serverHello is also HelloRetryRequest, whose key share is only a group.
type serverHello struct {
	version   Version
	random    [32]byte
	sessionID []byte
	suite     CipherSuite
	method    uint8

	selected       Version // supported_versions; 0: not there
	share          shareEntry
	hasShare       bool
	cookie         []byte
	extendedMaster bool
	renegotiation  []byte
	srtpProfile    SRTPProfile
	protocol       string
	pointFormats   bool
	seen           []extension
}

func (m *serverHello) retry() bool { return m.random == helloRetryRandom }

func (m *serverHello) marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(uint16(m.version))
	b.AddBytes(m.random[:])
	addBytes8(&b, m.sessionID)
	b.AddUint16(uint16(m.suite))
	b.AddUint8(m.method)
	b.AddUint16LengthPrefixed(m.addExtensions)
	return b.Bytes()
}

func (m *serverHello) addExtensions(b *cryptobyte.Builder) {
	if m.selected != 0 {
		addExtension(b, extSupportedVersions, func(b *cryptobyte.Builder) { b.AddUint16(uint16(m.selected)) })
	}
	if m.hasShare {
		addExtension(b, extKeyShare, func(b *cryptobyte.Builder) {
			b.AddUint16(uint16(m.share.group))
			if !m.retry() {
				addBytes16(b, m.share.data)
			}
		})
	}
	if len(m.cookie) > 0 {
		addExtension(b, extCookie, func(b *cryptobyte.Builder) { addBytes16(b, m.cookie) })
	}
	if m.renegotiation != nil {
		addExtension(b, extRenegotiationInfo, func(b *cryptobyte.Builder) { addBytes8(b, m.renegotiation) })
	}
	if m.extendedMaster {
		addExtension(b, extExtendedMaster, func(*cryptobyte.Builder) {})
	}
	if m.pointFormats {
		addExtension(b, extPointFormats, func(b *cryptobyte.Builder) { addBytes8(b, []byte{0}) })
	}
	addServerParameters(b, m.srtpProfile, m.protocol)
}

// addServerParameters writes the extensions that DTLS 1.2 has in ServerHello and DTLS 1.3 in EncryptedExtensions.
func addServerParameters(b *cryptobyte.Builder, profile SRTPProfile, protocol string) {
	if profile != 0 {
		addExtension(b, extUseSRTP, func(b *cryptobyte.Builder) {
			addUint16s(b, []SRTPProfile{profile})
			b.AddUint8(0)
		})
	}
	if protocol != "" {
		addExtension(b, extALPN, func(b *cryptobyte.Builder) { addProtocols(b, []string{protocol}) })
	}
}

// parseServerHello reads a body. The result refers to it.
func parseServerHello(s cryptobyte.String) (*serverHello, error) {
	m := new(serverHello)
	var id cryptobyte.String
	if !s.ReadUint16((*uint16)(&m.version)) || !s.CopyBytes(m.random[:]) || !s.ReadUint8LengthPrefixed(&id) || len(id) > 32 ||
		!s.ReadUint16((*uint16)(&m.suite)) || !s.ReadUint8(&m.method) {
		return nil, errDecode
	}
	m.sessionID = id
	if s.Empty() {
		return m, nil
	}
	if err := readExtensions(&s, m.parseExtension); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, errDecode
	}
	return m, nil
}

func (m *serverHello) parseExtension(typ extension, data cryptobyte.String) error {
	m.seen = append(m.seen, typ)
	ok := true
	switch typ {
	case extSupportedVersions:
		ok = data.ReadUint16((*uint16)(&m.selected))
	case extKeyShare:
		m.hasShare = true
		ok = data.ReadUint16((*uint16)(&m.share.group))
		if ok && !m.retry() {
			var key cryptobyte.String
			ok = data.ReadUint16LengthPrefixed(&key) && !key.Empty()
			m.share.data = key
		}
	case extCookie:
		var c cryptobyte.String
		ok = data.ReadUint16LengthPrefixed(&c) && !c.Empty()
		m.cookie = c
	case extExtendedMaster:
		m.extendedMaster = true
	case extRenegotiationInfo:
		var info cryptobyte.String
		ok = data.ReadUint8LengthPrefixed(&info)
		m.renegotiation = append([]byte{}, info...)
	case extPointFormats:
		var f cryptobyte.String
		ok = data.ReadUint8LengthPrefixed(&f)
		if ok && !bytes.Contains(f, []byte{0}) {
			return fatal(AlertIllegalParameter, "no uncompressed points")
		}
	case extUseSRTP, extALPN:
		return parseServerParameter(typ, data, &m.srtpProfile, &m.protocol)
	default:
		return nil
	}
	if !ok || !data.Empty() {
		return fatal(AlertDecodeError, "malformed extension %d", typ)
	}
	return nil
}

// parseServerParameter reads use_srtp or ALPN of a server, which has exactly one value.
func parseServerParameter(typ extension, data cryptobyte.String, profile *SRTPProfile, protocol *string) error {
	if typ == extUseSRTP {
		var profiles []SRTPProfile
		var mki []byte
		// The server must not answer with an identifier, since none was offered (RFC 5764 §4.1.3).
		if !readSRTP(&data, &profiles, &mki) || len(profiles) != 1 {
			return fatal(AlertDecodeError, "malformed extension %d", typ)
		}
		if len(mki) > 0 {
			return fatal(AlertIllegalParameter, "an SRTP MKI that was not offered")
		}
		*profile = profiles[0]
		return nil
	}
	var list []string
	if !readProtocols(&data, &list) || len(list) != 1 {
		return fatal(AlertDecodeError, "malformed extension %d", typ)
	}
	*protocol = list[0]
	return nil
}

type helloVerifyRequest struct {
	version Version
	cookie  []byte
}

func (m *helloVerifyRequest) marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(uint16(m.version))
	addBytes8(&b, m.cookie)
	return b.Bytes()
}

func parseHelloVerifyRequest(s cryptobyte.String) (*helloVerifyRequest, error) {
	m := new(helloVerifyRequest)
	var c cryptobyte.String
	if !s.ReadUint16((*uint16)(&m.version)) || !s.ReadUint8LengthPrefixed(&c) || !s.Empty() {
		return nil, errDecode
	}
	m.cookie = c
	return m, nil
}

// encryptedExtensions carries the server's answers in DTLS 1.3.
type encryptedExtensions struct {
	srtpProfile SRTPProfile
	protocol    string
	seen        []extension
}

func (m *encryptedExtensions) marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { addServerParameters(b, m.srtpProfile, m.protocol) })
	return b.Bytes()
}

func parseEncryptedExtensions(s cryptobyte.String) (*encryptedExtensions, error) {
	m := new(encryptedExtensions)
	err := readExtensions(&s, func(typ extension, data cryptobyte.String) error {
		m.seen = append(m.seen, typ)
		switch typ {
		case extUseSRTP, extALPN:
			return parseServerParameter(typ, data, &m.srtpProfile, &m.protocol)
		case extSupportedGroups, extServerName:
			return nil
		}
		return nil
	})
	if err == nil && !s.Empty() {
		err = errDecode
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}
