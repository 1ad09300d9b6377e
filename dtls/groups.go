package dtls

import (
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/mlkem"
	"errors"
	"fmt"
	"io"
)

// group is one way to agree on a secret: a curve, alone or beside ML-KEM-768.
type group struct {
	id     Group
	curve  ecdh.Curve
	keyLen int // of the curve's private key
	hybrid bool
}

var groups = []group{
	{GroupX25519MLKEM768, ecdh.X25519(), 32, true},
	{GroupX25519, ecdh.X25519(), 32, false},
	{GroupP256, ecdh.P256(), 32, false},
	{GroupP384, ecdh.P384(), 48, false},
}

func groupByID(id Group) *group {
	for i := range groups {
		if groups[i].id == id {
			return &groups[i]
		}
	}
	return nil
}

// groupP521 is known for certificates alone.
const groupP521 Group = 25

// groupOf is a curve's number; 0: unknown.
func groupOf(c elliptic.Curve) Group {
	switch c {
	case elliptic.P256():
		return GroupP256
	case elliptic.P384():
		return GroupP384
	case elliptic.P521():
		return groupP521
	}
	return 0
}

var errKeyShare = errors.New("dtls: bad key share")

// keyShare is the half of an exchange that this side keeps.
type keyShare struct {
	group *group
	ecdh  *ecdh.PrivateKey
	mlkem *mlkem.DecapsulationKey768
}

// newCurveKey draws private keys until one is in range. (GenerateKey does not promise what it reads.)
func newCurveKey(g *group, rand io.Reader) (*ecdh.PrivateKey, error) {
	buf := make([]byte, g.keyLen)
	for range 64 {
		if _, err := io.ReadFull(rand, buf); err != nil {
			return nil, fmt.Errorf("dtls: random: %w", err)
		}
		if k, err := g.curve.NewPrivateKey(buf); err == nil {
			return k, nil
		}
	}
	return nil, errors.New("dtls: random: no usable key in 64 draws")
}

// newKeyShare makes the client's half.
func newKeyShare(g *group, rand io.Reader) (*keyShare, error) {
	k, err := newCurveKey(g, rand)
	if err != nil {
		return nil, err
	}
	ks := &keyShare{group: g, ecdh: k}
	if g.hybrid {
		seed := make([]byte, mlkem.SeedSize)
		if _, err := io.ReadFull(rand, seed); err != nil {
			return nil, fmt.Errorf("dtls: random: %w", err)
		}
		if ks.mlkem, err = mlkem.NewDecapsulationKey768(seed); err != nil {
			return nil, fmt.Errorf("dtls: ML-KEM: %w", err)
		}
	}
	return ks, nil
}

// public is what the client sends: for the hybrid, ML-KEM's key and then X25519's (draft-ietf-tls-ecdhe-mlkem §4).
func (ks *keyShare) public() []byte {
	var out []byte
	if ks.mlkem != nil {
		out = append(out, ks.mlkem.EncapsulationKey().Bytes()...)
	}
	return append(out, ks.ecdh.PublicKey().Bytes()...)
}

// finish combines the client's half with the server's answer.
func (ks *keyShare) finish(peer []byte) ([]byte, error) {
	var secret []byte
	if ks.mlkem != nil {
		if len(peer) != mlkem.CiphertextSize768+ks.group.keyLen {
			return nil, errKeyShare
		}
		s, err := ks.mlkem.Decapsulate(peer[:mlkem.CiphertextSize768])
		if err != nil {
			return nil, errKeyShare
		}
		secret, peer = s, peer[mlkem.CiphertextSize768:]
	}
	return ks.group.agree(secret, ks.ecdh, peer)
}

// answer makes the server's half and the shared secret from the client's share.
func (c *Conn) answer(g *group, peer []byte) (public, secret []byte, err error) {
	k, err := newCurveKey(g, c.cfg.Rand)
	if err != nil {
		return nil, nil, err
	}
	if g.hybrid {
		if len(peer) != mlkem.EncapsulationKeySize768+g.keyLen {
			return nil, nil, errKeyShare
		}
		if secret, public, err = c.cfg.Encapsulate(peer[:mlkem.EncapsulationKeySize768]); err != nil {
			return nil, nil, errKeyShare
		}
		peer = peer[mlkem.EncapsulationKeySize768:]
	}
	public = append(public, k.PublicKey().Bytes()...)
	secret, err = g.agree(secret, k, peer)
	return public, secret, err
}

func encapsulate768(encapsulationKey []byte) (sharedKey, ciphertext []byte, err error) {
	ek, err := mlkem.NewEncapsulationKey768(encapsulationKey)
	if err != nil {
		return nil, nil, err
	}
	sharedKey, ciphertext = ek.Encapsulate()
	return sharedKey, ciphertext, nil
}

func (g *group) agree(secret []byte, k *ecdh.PrivateKey, peer []byte) ([]byte, error) {
	pub, err := g.curve.NewPublicKey(peer)
	if err != nil {
		return nil, errKeyShare
	}
	// ECDH fails for a point of small order, as RFC 7748 §6.1 and RFC 8446 §7.4.2 want.
	s, err := k.ECDH(pub)
	if err != nil {
		return nil, errKeyShare
	}
	return append(secret, s...), nil
}
