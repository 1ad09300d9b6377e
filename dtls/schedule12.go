package dtls

import (
	"crypto"
	"crypto/hmac"
)

const (
	masterLen      = 48
	finishedLen12  = 12
	labelMaster    = "extended master secret"
	labelExpansion = "key expansion"
	labelClient    = "client finished"
	labelServer    = "server finished"
)

// prf is the pseudorandom function of TLS 1.2 (RFC 5246 §5).
func prf(h crypto.Hash, secret []byte, label string, seed []byte, n int) []byte {
	labelled := append([]byte(label), seed...)
	mac := hmac.New(h.New, secret)
	mac.Write(labelled)
	a := mac.Sum(nil)
	out := make([]byte, 0, n+h.Size())
	for len(out) < n {
		mac.Reset()
		mac.Write(a)
		mac.Write(labelled)
		out = mac.Sum(out)
		mac.Reset()
		mac.Write(a)
		a = mac.Sum(a[:0])
	}
	return out[:n]
}

// schedule12 derives the keys of DTLS 1.2 from the master secret.
type schedule12 struct {
	suite          *suite
	master         []byte
	client, server [32]byte
}

func (s *schedule12) finished(label string, transcript []byte) []byte {
	return prf(s.suite.hash, s.master, label, transcript, finishedLen12)
}

// protections returns the client's write keys and the server's (RFC 5246 §6.3). There are no MAC keys with AEAD.
func (s *schedule12) protections() (client, server *protection, err error) {
	ivLen := 4 // the salt of AES-GCM, RFC 5288 §3
	if s.suite.chacha {
		ivLen = 12
	}
	seed := append(append([]byte{}, s.server[:]...), s.client[:]...)
	k := prf(s.suite.hash, s.master, labelExpansion, seed, 2*s.suite.keyLen+2*ivLen)
	take := func(n int) []byte {
		out := k[:n]
		k = k[n:]
		return out
	}
	clientKey, serverKey := take(s.suite.keyLen), take(s.suite.keyLen)
	clientIV, serverIV := take(ivLen), take(ivLen)
	if client, err = newProtection12(s.suite, clientKey, clientIV); err != nil {
		return nil, nil, err
	}
	server, err = newProtection12(s.suite, serverKey, serverIV)
	return client, server, err
}

// export is RFC 5705's exporter. A nil context differs from an empty one.
func (s *schedule12) export(label string, context []byte, n int) ([]byte, error) {
	switch label {
	case labelClient, labelServer, "master secret", labelMaster, labelExpansion:
		return nil, fatal(AlertInternalError, "the exporter label %q is taken by the protocol", label)
	}
	seed := append(append([]byte{}, s.client[:]...), s.server[:]...)
	if context != nil {
		if len(context) >= 1<<16 {
			return nil, fatal(AlertInternalError, "exporter context of %d bytes", len(context))
		}
		seed = append(seed, byte(len(context)>>8), byte(len(context)))
		seed = append(seed, context...)
	}
	return prf(s.suite.hash, s.master, label, seed, n), nil
}
