package dtls

import (
	"bytes"
	"crypto"
	"crypto/rsa"

	"golang.org/x/crypto/cryptobyte"
)

// marshalCertificate writes a chain. In DTLS 1.3 the list has a context in front, and each entry has extensions (RFC 8446 §4.4.2).
func marshalCertificate(v Version, context []byte, chain [][]byte) ([]byte, error) {
	var b cryptobyte.Builder
	if v == VersionDTLS13 {
		addBytes8(&b, context)
	}
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, der := range chain {
			addBytes24(b, der)
			if v == VersionDTLS13 {
				b.AddUint16(0)
			}
		}
	})
	return b.Bytes()
}

// parseCertificate reads a chain, which may be empty. The result is a copy.
func parseCertificate(v Version, s cryptobyte.String) (context []byte, chain [][]byte, err error) {
	var ctx, list cryptobyte.String
	if v == VersionDTLS13 && !s.ReadUint8LengthPrefixed(&ctx) {
		return nil, nil, errDecode
	}
	if !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return nil, nil, errDecode
	}
	for !list.Empty() {
		var der cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&der) || der.Empty() {
			return nil, nil, errDecode
		}
		if v == VersionDTLS13 {
			// Nothing was asked for, so nothing may be here (RFC 8446 §4.4.2).
			err := readExtensions(&list, func(typ extension, _ cryptobyte.String) error {
				return fatal(AlertUnsupportedExtension, "extension %d in a certificate", typ)
			})
			if err != nil {
				return nil, nil, err
			}
		}
		chain = append(chain, append([]byte{}, der...))
	}
	return ctx, chain, nil
}

// The client certificate types: rsa_sign, and ecdsa_sign for Ed25519, too (RFC 8422 §5.5).
const (
	rsaSign   = 1
	ecdsaSign = 64
)

var clientCertificateTypes = []byte{rsaSign, ecdsaSign}

// takes says whether a DTLS 1.2 server would take a certificate with such a key.
func (m *certificateRequest) takes(pub crypto.PublicKey) bool {
	if _, ok := pub.(*rsa.PublicKey); ok {
		return bytes.IndexByte(m.types, rsaSign) >= 0
	}
	return bytes.IndexByte(m.types, ecdsaSign) >= 0
}

type certificateRequest struct {
	types   []byte // DTLS 1.2
	context []byte
	schemes []SignatureScheme
}

func (m *certificateRequest) marshal(v Version) ([]byte, error) {
	var b cryptobyte.Builder
	if v == VersionDTLS13 {
		addBytes8(&b, m.context)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			addExtension(b, extSignatureAlgorithms, func(b *cryptobyte.Builder) { addUint16s(b, m.schemes) })
		})
		return b.Bytes()
	}
	addBytes8(&b, clientCertificateTypes)
	addUint16s(&b, m.schemes)
	b.AddUint16(0) // no authorities
	return b.Bytes()
}

func parseCertificateRequest(v Version, s cryptobyte.String) (*certificateRequest, error) {
	m := new(certificateRequest)
	if v == VersionDTLS13 {
		return m, m.parse13(s)
	}
	var types, names cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&types) || types.Empty() || !readUint16s(&s, &m.schemes) ||
		!s.ReadUint16LengthPrefixed(&names) || !s.Empty() {
		return nil, errDecode
	}
	m.types = types
	for !names.Empty() {
		var dn cryptobyte.String
		if !names.ReadUint16LengthPrefixed(&dn) {
			return nil, errDecode
		}
	}
	return m, nil
}

func (m *certificateRequest) parse13(s cryptobyte.String) error {
	var ctx cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&ctx) {
		return errDecode
	}
	m.context = append([]byte{}, ctx...)
	err := readExtensions(&s, func(typ extension, data cryptobyte.String) error {
		switch typ {
		case extSignatureAlgorithms:
			if !readUint16s(&data, &m.schemes) || !data.Empty() {
				return errDecode
			}
		case extAuthorities:
			return checkAuthorities(data)
		}
		return nil
	})
	if err == nil && !s.Empty() {
		err = errDecode
	}
	if err == nil && m.schemes == nil {
		err = fatal(AlertMissingExtension, "a CertificateRequest without signature_algorithms")
	}
	return err
}

// marshalSignature is the body of a CertificateVerify, and the end of a ServerKeyExchange.
func addSignature(b *cryptobyte.Builder, id SignatureScheme, sig []byte) {
	b.AddUint16(uint16(id))
	addBytes16(b, sig)
}

func readSignature(s *cryptobyte.String) (id SignatureScheme, sig []byte, ok bool) {
	var data cryptobyte.String
	ok = s.ReadUint16((*uint16)(&id)) && s.ReadUint16LengthPrefixed(&data) && s.Empty()
	return id, data, ok
}

// namedCurve is the only ECCurveType left (RFC 8422 §5.4).
const namedCurve = 3

// marshalECDHParams is what a DTLS 1.2 server signs along with the randoms.
func marshalECDHParams(g Group, public []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint8(namedCurve)
	b.AddUint16(uint16(g))
	addBytes8(&b, public)
	return b.Bytes()
}

// parseECDHParams reads the parameters of a ServerKeyExchange and leaves the signature in s. params is the part that was signed.
func parseECDHParams(s *cryptobyte.String) (g Group, public, params []byte, ok bool) {
	all := *s
	var typ uint8
	var key cryptobyte.String
	ok = s.ReadUint8(&typ) && typ == namedCurve && s.ReadUint16((*uint16)(&g)) && s.ReadUint8LengthPrefixed(&key) && !key.Empty()
	if !ok {
		return 0, nil, nil, false
	}
	return g, key, all[:len(all)-len(*s)], true
}
