package srtp

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"hash"
)

const (
	cmTagSize     = 10
	cmAuthKeySize = 20
)

// cmTransform is AES128_CM_HMAC_SHA1_80 (RFC 3711 §4.1.1 and §4.2.1).
type cmTransform struct {
	rtp, rtcp cmKeys
	counter   [aes.BlockSize]byte // scratch: a local one would escape
	trailer   [4]byte             // scratch
	sum       [sha1.Size]byte     // scratch
}

type cmKeys struct {
	stream *counterMode
	mac    hash.Hash
	salt   [aes.BlockSize]byte // its low 16 bits are zero
}

func newCM(keys Keys) (*cmTransform, error) {
	t := &cmTransform{}
	if err := t.rtp.derive(keys, labelRTPEncryption, labelRTPAuth, labelRTPSalt); err != nil {
		return nil, err
	}
	if err := t.rtcp.derive(keys, labelRTCPEncryption, labelRTCPAuth, labelRTCPSalt); err != nil {
		return nil, err
	}
	return t, nil
}

func (k *cmKeys) derive(master Keys, keyLabel, authLabel, saltLabel byte) error {
	key, err := derive(master, keyLabel, len(master.Key))
	if err != nil {
		return err
	}
	auth, err := derive(master, authLabel, cmAuthKeySize)
	if err != nil {
		return err
	}
	salt, err := derive(master, saltLabel, len(master.Salt))
	if err != nil {
		return err
	}
	copy(k.salt[:14], salt)
	k.mac = hmac.New(sha1.New, auth)
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	k.stream, err = newCounterMode(block)
	return err
}

// xor encrypts or decrypts: the counter block is (salt·2^16) ⊕ (SSRC·2^64) ⊕ (index·2^16) (RFC 3711 §4.1.1).
func (t *cmTransform) xor(k *cmKeys, dst, src []byte, ssrc uint32, index uint64) {
	if len(src) == 0 {
		return
	}
	t.counter = k.salt
	hi := binary.BigEndian.Uint64(t.counter[:8]) ^ uint64(ssrc)
	lo := binary.BigEndian.Uint64(t.counter[8:]) ^ index<<16
	binary.BigEndian.PutUint64(t.counter[:8], hi)
	binary.BigEndian.PutUint64(t.counter[8:], lo)
	k.stream.xor(dst, src, &t.counter)
}

// tag returns HMAC-SHA1 of the parts, cut to 80 bits; it is valid until the next call.
func (t *cmTransform) tag(k *cmKeys, data, trailer []byte) []byte {
	k.mac.Reset()
	k.mac.Write(data)
	k.mac.Write(trailer)
	return k.mac.Sum(t.sum[:0])[:cmTagSize]
}

// rtpTag authenticates the packet and the rollover counter, which does not travel (RFC 3711 §4.2).
func (t *cmTransform) rtpTag(data []byte, index uint64) []byte {
	binary.BigEndian.PutUint32(t.trailer[:], uint32(index>>16))
	return t.tag(&t.rtp, data, t.trailer[:])
}

func (t *cmTransform) protectRTP(dst, pkt []byte, head int, ssrc uint32, index uint64) []byte {
	out := extend(dst, len(pkt)+cmTagSize)
	body := out[len(dst):]
	copy(body, pkt[:head])
	t.xor(&t.rtp, body[head:len(pkt)], pkt[head:], ssrc, index)
	copy(body[len(pkt):], t.rtpTag(body[:len(pkt)], index))
	return out
}

func (t *cmTransform) unprotectRTP(dst, pkt []byte, head int, ssrc uint32, index uint64) ([]byte, error) {
	end := len(pkt) - cmTagSize
	if subtle.ConstantTimeCompare(t.rtpTag(pkt[:end], index), pkt[end:]) != 1 {
		return nil, ErrAuthentication
	}
	out := extend(dst, end)
	body := out[len(dst):]
	copy(body, pkt[:head])
	t.xor(&t.rtp, body[head:], pkt[head:end], ssrc, index)
	return out, nil
}

func (t *cmTransform) protectRTCP(dst, pkt []byte, ssrc, index uint32) []byte {
	out := extend(dst, len(pkt)+rtcpIndexSize+cmTagSize)
	body := out[len(dst):]
	copy(body, pkt[:rtcpHeader])
	t.xor(&t.rtcp, body[rtcpHeader:len(pkt)], pkt[rtcpHeader:], ssrc, uint64(index))
	end := len(pkt) + rtcpIndexSize
	binary.BigEndian.PutUint32(body[len(pkt):], index|encryptedBit)
	copy(body[end:], t.tag(&t.rtcp, body[:end], nil))
	return out
}

func (t *cmTransform) unprotectRTCP(dst, pkt []byte, ssrc, index uint32) ([]byte, error) {
	tagAt := len(pkt) - cmTagSize
	if subtle.ConstantTimeCompare(t.tag(&t.rtcp, pkt[:tagAt], nil), pkt[tagAt:]) != 1 {
		return nil, ErrAuthentication
	}
	end := tagAt - rtcpIndexSize
	out := extend(dst, end)
	body := out[len(dst):]
	copy(body, pkt[:rtcpHeader])
	t.xor(&t.rtcp, body[rtcpHeader:], pkt[rtcpHeader:end], ssrc, uint64(index))
	return out, nil
}
