package webrtc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"
)

// certificateLifetime is W3C's default of 30 days; browsers use the same.
const certificateLifetime = 30 * 24 * time.Hour

// A Certificate authenticates a PeerConnection: the peer compares its fingerprint with the one in the session
// description. W3C: RTCCertificate. The zero value is no certificate; make one with GenerateCertificate,
// CertificateFromX509 or CertificateFromPEM. A Certificate is immutable and may be shared by connections.
type Certificate struct {
	key crypto.Signer
	// der is the certificate. Its parsed form is several times larger, and a connection does not need it.
	der     []byte
	expires time.Time
}

// A DTLSFingerprint is a certificate's hash. W3C: RTCDtlsFingerprint.
type DTLSFingerprint struct {
	// Algorithm is "sha-256" and the like (RFC 8122, section 5).
	Algorithm string `json:"algorithm"`
	// Value is upper-case hexadecimal, the bytes separated by colons.
	Value string `json:"value"`
}

// GenerateCertificate makes a self-signed certificate that is valid for 30 days. A nil key makes an ECDSA P-256 key,
// which is what browsers use; ECDSA and RSA keys (of at least 2048 bits) are accepted. Its error is a
// NotSupportedError for other keys.
func GenerateCertificate(key crypto.Signer) (*Certificate, error) {
	return generateCertificate(key, rand.Reader, time.Now())
}

func generateCertificate(key crypto.Signer, random io.Reader, now time.Time) (*Certificate, error) {
	var err error
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), random); err != nil {
			return nil, &OperationError{Err: err}
		}
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, &NotSupportedError{Err: fmt.Errorf("an RSA key of %d bits", k.N.BitLen())}
		}
	default:
		return nil, &NotSupportedError{Err: fmt.Errorf("keys of type %T", key)}
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, &OperationError{Err: err}
	}
	serial[0] &= 0x7f
	// Clocks differ: a certificate that is valid from yesterday is valid for a peer that is behind.
	until := now.Add(certificateLifetime)
	der, err := selfSigned(random, key, new(big.Int).SetBytes(serial), now.Add(-24*time.Hour), until)
	if err != nil {
		return nil, &OperationError{Err: err}
	}
	return &Certificate{key: key, der: der, expires: until.Truncate(time.Second).UTC()}, nil
}

// CertificateFromX509 wraps a key and its certificate. Its error is an InvalidAccessError if they do not belong
// together.
func CertificateFromX509(key crypto.Signer, cert *x509.Certificate) (*Certificate, error) {
	public, ok := cert.PublicKey.(interface{ Equal(x crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, &InvalidAccessError{Err: fmt.Errorf("the key is not the certificate's")}
	}
	return &Certificate{key: key, der: cert.Raw, expires: cert.NotAfter}, nil
}

// CertificateFromPEM reads what PEM wrote: a CERTIFICATE and a PRIVATE KEY (PKCS #8) block, in any order. Its error is
// a SyntaxError.
func CertificateFromPEM(text string) (*Certificate, error) {
	var key crypto.Signer
	var cert *x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, &SyntaxError{Err: err}
			}
			if cert == nil {
				cert = c
			}
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, &SyntaxError{Err: err}
			}
			key, _ = k.(crypto.Signer)
		}
	}
	if key == nil || cert == nil {
		return nil, &SyntaxError{Err: fmt.Errorf("PEM without both a certificate and a private key")}
	}
	return CertificateFromX509(key, cert)
}

// PEM returns the certificate and its private key, to be kept and read again with CertificateFromPEM.
func (c Certificate) PEM() (string, error) {
	if c.der == nil {
		return "", invalidState("the certificate is empty")
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return "", &OperationError{Err: err}
	}
	var b strings.Builder
	for _, block := range []pem.Block{{Type: "CERTIFICATE", Bytes: c.der}, {Type: "PRIVATE KEY", Bytes: key}} {
		if err := pem.Encode(&b, &block); err != nil {
			return "", &OperationError{Err: err}
		}
	}
	return b.String(), nil
}

// Expires returns the end of the certificate's validity; the zero time for the zero Certificate.
func (c Certificate) Expires() time.Time {
	return c.expires
}

// X509 returns the certificate in parsed form, the caller's; nil for the zero Certificate.
func (c Certificate) X509() *x509.Certificate {
	cert, err := x509.ParseCertificate(c.der)
	if err != nil {
		return nil
	}
	return cert
}

// GetFingerprints returns the certificate's SHA-256 fingerprint, as session descriptions carry it.
func (c Certificate) GetFingerprints() ([]DTLSFingerprint, error) {
	if c.der == nil {
		return nil, invalidState("the certificate is empty")
	}
	return []DTLSFingerprint{{Algorithm: "sha-256", Value: formatFingerprint(sha256Sum(c.der))}}, nil
}

// Equals reports whether both hold the same certificate.
func (c Certificate) Equals(other Certificate) bool {
	return c.der != nil && bytes.Equal(c.der, other.der)
}

func (c Certificate) expired(now time.Time) bool { return c.der == nil || now.After(c.expires) }

func sha256Sum(der []byte) []byte {
	sum := sha256.Sum256(der)
	return sum[:]
}

// formatFingerprint writes a hash as RFC 8122 does: upper-case hexadecimal, colons between the bytes.
func formatFingerprint(sum []byte) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, 3*len(sum))
	for i, v := range sum {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[v>>4], digits[v&15])
	}
	return string(b)
}
