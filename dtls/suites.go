package dtls

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	_ "crypto/sha256" // PRF and HKDF hashes
	_ "crypto/sha512"

	"golang.org/x/crypto/chacha20poly1305"
)

// suiteAuth is the kind of certificate that a DTLS 1.2 suite goes with.
type suiteAuth uint8

const (
	authAny   suiteAuth = iota // DTLS 1.3 negotiates it apart
	authECDSA                  // and Ed25519 (RFC 8422 §5.10)
	authRSA
)

type suite struct {
	id      CipherSuite
	name    string
	version Version
	auth    suiteAuth
	hash    crypto.Hash
	keyLen  int
	chacha  bool
}

var suites = []suite{
	{AES128GCMSHA256, "TLS_AES_128_GCM_SHA256", VersionDTLS13, authAny, crypto.SHA256, 16, false},
	{AES256GCMSHA384, "TLS_AES_256_GCM_SHA384", VersionDTLS13, authAny, crypto.SHA384, 32, false},
	{ChaCha20Poly1305SHA256, "TLS_CHACHA20_POLY1305_SHA256", VersionDTLS13, authAny, crypto.SHA256, 32, true},
	{ECDHEECDSAAES128GCMSHA256, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", VersionDTLS12, authECDSA, crypto.SHA256, 16, false},
	{ECDHERSAAES128GCMSHA256, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", VersionDTLS12, authRSA, crypto.SHA256, 16, false},
	{ECDHEECDSAAES256GCMSHA384, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", VersionDTLS12, authECDSA, crypto.SHA384, 32, false},
	{ECDHERSAAES256GCMSHA384, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", VersionDTLS12, authRSA, crypto.SHA384, 32, false},
	{ECDHEECDSAChaCha20Poly1305, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", VersionDTLS12, authECDSA, crypto.SHA256, 32, true},
	{ECDHERSAChaCha20Poly1305, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", VersionDTLS12, authRSA, crypto.SHA256, 32, true},
}

func suiteByID(id CipherSuite) *suite {
	for i := range suites {
		if suites[i].id == id {
			return &suites[i]
		}
	}
	return nil
}

func defaultSuites() []CipherSuite {
	ids := make([]CipherSuite, len(suites))
	for i := range suites {
		ids[i] = suites[i].id
	}
	return ids
}

// aead returns the record cipher. The key has keyLen bytes, so the constructors cannot fail.
func (s *suite) aead(key []byte) (cipher.AEAD, error) {
	if s.chacha {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// recordLimit is how many records one key may protect: 2^24.5 for AES-GCM (RFC 9147 §4.5.3), below what matters to ChaCha20.
// A new key is asked for well before.
const (
	recordLimit    = 1 << 24
	keyUpdateAfter = 1 << 23
	// forgeryLimit is how many records may fail to open under one key (RFC 9147 §4.5.3: 2^36).
	forgeryLimit = 1 << 36
)
