package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"time"

	"github.com/openparley/webrtc/dtls"
)

const (
	handshakeWarm = 20
	handshakes    = 300

	dtlsIdlePairs = 200

	recordSize = 1200
	recordWarm = 50_000
	// records stays below what wears out a key: a change of keys is not what is measured.
	records = 1_000_000
)

// dtlsParameters are what both sides of a DTLS pair agree on, beside what all pairs have in common: P-256 ECDSA
// certificates on both sides, AES-128-GCM, the extended master secret, one SRTP profile, no cookie.
type dtlsParameters struct {
	version dtls.Version
	groups  []dtls.Group // in the order of preference; the first is the key exchange
}

var (
	// In DTLS 1.2 the certificate's curve has to be in the list (RFC 8422 section 5.1).
	dtls12 = dtlsParameters{dtls.VersionDTLS12, []dtls.Group{dtls.GroupX25519, dtls.GroupP256}}
	dtls13 = dtlsParameters{dtls.VersionDTLS13, []dtls.Group{dtls.GroupX25519, dtls.GroupP256}}
	// The client guesses X25519MLKEM768 and X25519, as it does by default and as browsers do.
	dtls13Hybrid = dtlsParameters{
		dtls.VersionDTLS13, []dtls.Group{dtls.GroupX25519MLKEM768, dtls.GroupX25519, dtls.GroupP256},
	}
)

// dtlsPair is a connected client and server of one library, with packets going from memory to memory.
type dtlsPair interface{ close() }

// connectDTLS makes pairs. The certificates are made before, and are the same for all pairs of a process.
type connectDTLS func(client, server identity) (dtlsPair, error)

// handshakeScenario connects pairs one after another, and adds up the CPU time from making the two ends to closing them.
type handshakeScenario struct {
	name    string
	connect connectDTLS
}

func (s handshakeScenario) run(_ stack, e env) (map[string]float64, error) {
	client, server, err := newIdentities()
	if err != nil {
		return nil, err
	}
	var cpu time.Duration
	n := e.count(handshakes)
	for i := range handshakeWarm + n {
		if i == handshakeWarm {
			cpu = processCPU()
		}
		p, err := s.connect(client, server)
		if err != nil {
			return nil, err
		}
		p.close()
	}
	return map[string]float64{s.name: milliseconds(processCPU()-cpu) / float64(n)}, nil
}

// dtlsIdle holds connected pairs and tells what each connection keeps.
func dtlsIdle(connect connectDTLS) func(stack, env) (map[string]float64, error) {
	return func(_ stack, e env) (map[string]float64, error) {
		client, server, err := newIdentities()
		if err != nil {
			return nil, err
		}
		pairs := make([]dtlsPair, 0, dtlsIdlePairs+1)
		defer func() {
			for _, p := range pairs {
				p.close()
			}
		}()
		var before int64
		for i := range dtlsIdlePairs + 1 {
			p, err := connect(client, server)
			if err != nil {
				return nil, err
			}
			pairs = append(pairs, p)
			if i == 0 { // it pays for what a library sets up once a process
				time.Sleep(e.warm)
				before, _ = footprint()
			}
		}
		time.Sleep(e.warm) // the last timers and messages of the handshakes
		after, _ := footprint()
		return map[string]float64{"dtls-idle-memory": float64(after-before) / 1024 / (2 * dtlsIdlePairs)}, nil
	}
}

// recordScenario seals and opens records of 1200 bytes. open gives the way there and back.
type recordScenario struct {
	name string
	open func() (sealOpen, error)
}

// sealOpen protects a record and opens it again.
type sealOpen func() error

func (s recordScenario) run(_ stack, e env) (map[string]float64, error) {
	sealOpen, err := s.open()
	if err != nil {
		return nil, err
	}
	repeat := func(n int) error {
		for range n {
			if err := sealOpen(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := repeat(recordWarm); err != nil {
		return nil, err
	}
	n, cpu := e.count(records), processCPU()
	if err := repeat(n); err != nil {
		return nil, err
	}
	return map[string]float64{s.name: float64((processCPU() - cpu).Nanoseconds()) / float64(n)}, nil
}

// bareAEAD is AES-128-GCM of the standard library, in place, with the additional data of a DTLS 1.2 record.
func bareAEAD() (sealOpen, error) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	var nonce [12]byte
	var additional [13]byte
	buf := make([]byte, recordSize, recordSize+aead.Overhead())
	return func() error {
		sealed := aead.Seal(buf[:0], nonce[:], buf, additional[:])
		_, err := aead.Open(sealed[:0], nonce[:], sealed, additional[:])
		return err
	}, nil
}

// identity is a certificate and its key, in no library's terms.
type identity struct {
	der []byte
	key *ecdsa.PrivateKey
}

func newIdentities() (client, server identity, err error) {
	if client, err = newIdentity(); err != nil {
		return client, server, err
	}
	server, err = newIdentity()
	return client, server, err
}

func newIdentity() (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "bench"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return identity{der: der, key: key}, err
}

var errFingerprint = errors.New("another certificate than the expected one")

// verify compares the fingerprint of what the peer showed, as WebRTC does.
func (i identity) verify(chain [][]byte) error {
	if len(chain) == 0 || sha256.Sum256(chain[0]) != sha256.Sum256(i.der) {
		return errFingerprint
	}
	return nil
}
