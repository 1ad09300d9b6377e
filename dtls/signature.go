package dtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

type keyKind uint8

const (
	keyECDSA keyKind = iota + 1
	keyEd25519
	keyRSAPKCS1
	keyRSAPSS
)

type scheme struct {
	id   SignatureScheme
	kind keyKind
	hash crypto.Hash    // 0: the scheme hashes by itself
	ec   elliptic.Curve // ECDSA in DTLS 1.3 is bound to a curve
}

var schemes = []scheme{
	{ECDSAP256, keyECDSA, crypto.SHA256, elliptic.P256()},
	{PSSRSASHA256, keyRSAPSS, crypto.SHA256, nil},
	{PKCS1SHA256, keyRSAPKCS1, crypto.SHA256, nil},
	{ECDSAP384, keyECDSA, crypto.SHA384, elliptic.P384()},
	{PSSRSASHA384, keyRSAPSS, crypto.SHA384, nil},
	{PKCS1SHA384, keyRSAPKCS1, crypto.SHA384, nil},
	{ECDSAP521, keyECDSA, crypto.SHA512, elliptic.P521()},
	{Ed25519, keyEd25519, 0, nil},
	{PSSRSASHA512, keyRSAPSS, crypto.SHA512, nil},
	{PKCS1SHA512, keyRSAPKCS1, crypto.SHA512, nil},
}

func schemeByID(id SignatureScheme) *scheme {
	for i := range schemes {
		if schemes[i].id == id {
			return &schemes[i]
		}
	}
	return nil
}

func defaultSchemes() []SignatureScheme {
	ids := make([]SignatureScheme, len(schemes))
	for i := range schemes {
		ids[i] = schemes[i].id
	}
	return ids
}

// fits says whether a key can be used with the scheme at a version. In DTLS 1.2 an ECDSA scheme names a hash and says nothing of
// the curve (RFC 8422 §5.1.2); in DTLS 1.3 PKCS #1 is gone (RFC 8446 §4.2.3).
func (s *scheme) fits(pub crypto.PublicKey, v Version) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return s.kind == keyECDSA && (v == VersionDTLS12 || k.Curve == s.ec)
	case ed25519.PublicKey:
		return s.kind == keyEd25519
	case *rsa.PublicKey:
		if s.kind == keyRSAPSS {
			// The encoded message holds hash and salt, each as long as the hash, and two bytes (RFC 8017 §9.1.1).
			return k.Size() >= 2*s.hash.Size()+2
		}
		return s.kind == keyRSAPKCS1 && v == VersionDTLS12
	}
	return false
}

func schemesOf(pub crypto.PublicKey) []SignatureScheme {
	var out []SignatureScheme
	for i := range schemes {
		if schemes[i].fits(pub, VersionDTLS12) {
			out = append(out, schemes[i].id)
		}
	}
	return out
}

var errSignature = errors.New("dtls: bad signature")

// pickScheme chooses how to sign: the first of ours that the peer accepts and that the key can do.
func pickScheme(ours, peers []SignatureScheme, pub crypto.PublicKey, v Version) *scheme {
	for _, id := range ours {
		s := schemeByID(id)
		if s == nil || !s.fits(pub, v) {
			continue
		}
		for _, p := range peers {
			if p == id {
				return s
			}
		}
	}
	return nil
}

func (s *scheme) digest(msg []byte) []byte {
	if s.hash == 0 {
		return msg
	}
	h := s.hash.New()
	h.Write(msg)
	return h.Sum(nil)
}

func (s *scheme) sign(key crypto.Signer, rand io.Reader, msg []byte) ([]byte, error) {
	var opts crypto.SignerOpts = s.hash
	if s.kind == keyRSAPSS {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
	}
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		rand = nil // deterministic, RFC 6979
	}
	sig, err := key.Sign(rand, s.digest(msg), opts)
	if err != nil {
		return nil, fmt.Errorf("dtls: signing: %w", err)
	}
	return sig, nil
}

func (s *scheme) verify(pub crypto.PublicKey, v Version, msg, sig []byte) error {
	if !s.fits(pub, v) {
		return errSignature
	}
	ok := false
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(k, s.digest(msg), sig)
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, msg, sig)
	case *rsa.PublicKey:
		if s.kind == keyRSAPSS {
			ok = rsa.VerifyPSS(k, s.hash, s.digest(msg), sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(k, s.hash, s.digest(msg), sig) == nil
		}
	}
	if !ok {
		return errSignature
	}
	return nil
}

var errCertificate = errors.New("dtls: bad certificate")

// leafKey digs the public key out of a certificate (RFC 5280 §4.1) and looks at nothing else: WebRTC judges certificates by
// their fingerprint, and self-made ones take liberties that a full parser refuses.
func leafKey(der []byte) (crypto.PublicKey, error) {
	in := cryptobyte.String(der)
	var cert, tbs, spki cryptobyte.String
	if !in.ReadASN1(&cert, cbasn1.SEQUENCE) || !in.Empty() || !cert.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) || // version
		!tbs.SkipASN1(cbasn1.INTEGER) || // serial number
		!tbs.SkipASN1(cbasn1.SEQUENCE) || // signature algorithm
		!tbs.SkipASN1(cbasn1.SEQUENCE) || // issuer
		!tbs.SkipASN1(cbasn1.SEQUENCE) || // validity
		!tbs.SkipASN1(cbasn1.SEQUENCE) || // subject
		!tbs.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return nil, errCertificate
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, errors.Join(errCertificate, err)
	}
	switch k := pub.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return pub, nil
	case *rsa.PublicKey:
		if k.Size() < 128 || k.Size() > 1024 {
			return nil, fmt.Errorf("%w: RSA key of %d bits", errCertificate, k.N.BitLen())
		}
		return pub, nil
	}
	return nil, fmt.Errorf("%w: key of type %T", errCertificate, pub)
}
