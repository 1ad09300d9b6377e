package webrtc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	encasn1 "encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// selfSigned makes a certificate without extensions (RFC 5280, section 4.1) for a key, by itself. It is
// x509.CreateCertificate without what that does for authorities: checking a signature that it has just made, which
// takes longer than all the rest and which no peer ever looks at.
func selfSigned(random io.Reader, key crypto.Signer, serial *big.Int, from, until time.Time) ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("the certificate's key: %w", err)
	}
	algorithm := signatureOf(key.Public())
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(2) // version 3
		})
		b.AddASN1BigInt(serial)
		algorithm.appendTo(b)
		addName(b)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, from)
			addTime(b, until)
		})
		addName(b)
		b.AddBytes(public)
	})
	tbs, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	hash := algorithm.hash.New()
	hash.Write(tbs)
	signature, err := key.Sign(random, hash.Sum(nil), algorithm.hash)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate: %w", err)
	}
	var cert cryptobyte.Builder
	cert.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		algorithm.appendTo(b)
		b.AddASN1BitString(signature)
	})
	return cert.Bytes()
}

// signatureAlgorithm is how a certificate is signed.
type signatureAlgorithm struct {
	oid  encasn1.ObjectIdentifier
	hash crypto.Hash
	null bool // RSA has parameters, which are NULL (RFC 4055, section 5)
}

// signatureOf chooses by the key: a curve goes with a hash of its size (RFC 5758, section 3.2).
func signatureOf(public crypto.PublicKey) signatureAlgorithm {
	k, ok := public.(*ecdsa.PublicKey)
	switch {
	case !ok:
		return signatureAlgorithm{encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, crypto.SHA256, true}
	case k.Curve.Params().BitSize > 384:
		return signatureAlgorithm{encasn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, crypto.SHA512, false}
	case k.Curve.Params().BitSize > 256:
		return signatureAlgorithm{encasn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, crypto.SHA384, false}
	default:
		return signatureAlgorithm{encasn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, crypto.SHA256, false}
	}
}

func (a signatureAlgorithm) appendTo(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(a.oid)
		if a.null {
			b.AddASN1NULL()
		}
	})
}

// addName adds the name that browsers give themselves: it must not tell who made the certificate.
func addName(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(encasn1.ObjectIdentifier{2, 5, 4, 3}) // common name
				b.AddASN1(asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte("WebRTC")) })
			})
		})
	})
}

// addTime writes years before 2050 as UTCTime, as RFC 5280, section 4.1.2.5, demands.
func addTime(b *cryptobyte.Builder, t time.Time) {
	if t = t.UTC(); t.Year() < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}
