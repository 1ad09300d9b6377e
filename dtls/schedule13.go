package dtls

import (
	"crypto/hkdf"
	"crypto/hmac"

	"golang.org/x/crypto/cryptobyte"
)

// schedule13 is the key schedule of RFC 8446 §7.1 with the label prefix of RFC 9147 §5.9.
type schedule13 struct {
	suite  *suite
	secret []byte // Early, then Handshake, then Master Secret

	clientTraffic, serverTraffic []byte // of the latest epoch
	exporter                     []byte
}

const labelPrefix = "dtls13"

// expandLabel is HKDF-Expand-Label.
func (s *suite) expandLabel(secret []byte, label string, context []byte, n int) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(uint16(n))
	addBytes8(&b, []byte(labelPrefix+label))
	addBytes8(&b, context)
	info, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return hkdf.Expand(s.hash.New, secret, string(info), n)
}

func (s *suite) deriveSecret(secret []byte, label string, transcript []byte) ([]byte, error) {
	return s.expandLabel(secret, label, transcript, s.hash.Size())
}

// extract mixes keying material into the schedule; nil stands for zeros.
func (k *schedule13) extract(ikm []byte) error {
	s := k.suite
	zeros := make([]byte, s.hash.Size())
	if ikm == nil {
		ikm = zeros
	}
	salt := zeros
	if k.secret != nil {
		var err error
		if salt, err = s.deriveSecret(k.secret, "derived", s.hash.New().Sum(nil)); err != nil {
			return err
		}
	}
	var err error
	k.secret, err = hkdf.Extract(s.hash.New, ikm, salt)
	return err
}

// handshake derives the secrets of epoch 2 from the key exchange and the transcript up to ServerHello.
func (k *schedule13) handshake(shared, transcript []byte) error {
	err := k.extract(nil)
	if err == nil {
		err = k.extract(shared)
	}
	if err == nil {
		k.clientTraffic, err = k.suite.deriveSecret(k.secret, "c hs traffic", transcript)
	}
	if err == nil {
		k.serverTraffic, err = k.suite.deriveSecret(k.secret, "s hs traffic", transcript)
	}
	return err
}

// application derives the secrets of epoch 3 and the exporter's from the transcript up to the server's Finished.
func (k *schedule13) application(transcript []byte) error {
	err := k.extract(nil)
	if err == nil {
		k.clientTraffic, err = k.suite.deriveSecret(k.secret, "c ap traffic", transcript)
	}
	if err == nil {
		k.serverTraffic, err = k.suite.deriveSecret(k.secret, "s ap traffic", transcript)
	}
	if err == nil {
		k.exporter, err = k.suite.deriveSecret(k.secret, "exp master", transcript)
	}
	k.secret = nil
	return err
}

// next is the traffic secret after a key update.
func (k *schedule13) next(traffic []byte) ([]byte, error) {
	return k.suite.expandLabel(traffic, "traffic upd", nil, k.suite.hash.Size())
}

func (k *schedule13) protection(traffic []byte) (*protection, error) {
	s := k.suite
	key, err := s.expandLabel(traffic, "key", nil, s.keyLen)
	if err != nil {
		return nil, err
	}
	iv, err := s.expandLabel(traffic, "iv", nil, 12)
	if err != nil {
		return nil, err
	}
	sn, err := s.expandLabel(traffic, "sn", nil, s.keyLen)
	if err != nil {
		return nil, err
	}
	return newProtection13(s, key, iv, sn)
}

// finished is the verify_data under a traffic secret (RFC 8446 §4.4.4).
func (k *schedule13) finished(traffic, transcript []byte) ([]byte, error) {
	key, err := k.suite.expandLabel(traffic, "finished", nil, k.suite.hash.Size())
	if err != nil {
		return nil, err
	}
	mac := hmac.New(k.suite.hash.New, key)
	mac.Write(transcript)
	return mac.Sum(nil), nil
}

// export is the exporter of RFC 8446 §7.5, where no context is the same as an empty one.
func (k *schedule13) export(label string, context []byte, n int) ([]byte, error) {
	h := k.suite.hash
	secret, err := k.suite.deriveSecret(k.exporter, label, h.New().Sum(nil))
	if err != nil {
		return nil, err
	}
	d := h.New()
	d.Write(context)
	return k.suite.expandLabel(secret, "exporter", d.Sum(nil), n)
}
