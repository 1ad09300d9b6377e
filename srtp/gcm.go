package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

const gcmTagSize = 16

// gcmTransform is AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714).
type gcmTransform struct {
	rtp, rtcp         cipher.AEAD
	rtpSalt, rtcpSalt [12]byte
	iv                [12]byte // scratch: a local one would escape
	aad               [12]byte // scratch
}

func newGCM(keys Keys) (*gcmTransform, error) {
	t := &gcmTransform{}
	var err error
	if t.rtp, err = gcmCipher(keys, labelRTPEncryption, labelRTPSalt, &t.rtpSalt); err != nil {
		return nil, err
	}
	if t.rtcp, err = gcmCipher(keys, labelRTCPEncryption, labelRTCPSalt, &t.rtcpSalt); err != nil {
		return nil, err
	}
	return t, nil
}

func gcmCipher(keys Keys, keyLabel, saltLabel byte, salt *[12]byte) (cipher.AEAD, error) {
	key, err := derive(keys, keyLabel, len(keys.Key))
	if err != nil {
		return nil, err
	}
	sessionSalt, err := derive(keys, saltLabel, len(salt))
	if err != nil {
		return nil, err
	}
	copy(salt[:], sessionSalt)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// setRTPIV forms the nonce: zero(16) ‖ SSRC ‖ ROC ‖ SEQ, mixed with the salt (RFC 7714 §8.1).
func (t *gcmTransform) setRTPIV(ssrc uint32, index uint64) {
	t.iv = t.rtpSalt
	lo := uint64(ssrc)<<32 | index>>16 // SSRC ‖ ROC
	binary.BigEndian.PutUint64(t.iv[2:], binary.BigEndian.Uint64(t.iv[2:])^lo)
	t.iv[10] ^= byte(index >> 8)
	t.iv[11] ^= byte(index)
}

// setRTCPIV forms the nonce: zero(16) ‖ SSRC ‖ zero(16) ‖ 0 ‖ index(31), mixed with the salt (RFC 7714 §9.1).
func (t *gcmTransform) setRTCPIV(ssrc, index uint32) {
	t.iv = t.rtcpSalt
	binary.BigEndian.PutUint32(t.iv[2:], binary.BigEndian.Uint32(t.iv[2:])^ssrc)
	binary.BigEndian.PutUint32(t.iv[8:], binary.BigEndian.Uint32(t.iv[8:])^index)
}

func (t *gcmTransform) protectRTP(dst, pkt []byte, head int, ssrc uint32, index uint64) []byte {
	out := extend(dst, len(pkt)+gcmTagSize)
	body := out[len(dst):]
	copy(body, pkt[:head])
	t.setRTPIV(ssrc, index)
	t.rtp.Seal(body[head:head], t.iv[:], pkt[head:], body[:head])
	return out
}

func (t *gcmTransform) unprotectRTP(dst, pkt []byte, head int, ssrc uint32, index uint64) ([]byte, error) {
	out := extend(dst, len(pkt)-gcmTagSize)
	body := out[len(dst):]
	t.setRTPIV(ssrc, index)
	if _, err := t.rtp.Open(body[head:head], t.iv[:], pkt[head:], pkt[:head]); err != nil {
		return nil, ErrAuthentication
	}
	copy(body, pkt[:head])
	return out, nil
}

// The associated data of SRTCP is the first header, then the word with E bit and index, which travels at the end
// (RFC 7714 §9.2).

func (t *gcmTransform) setRTCPAAD(pkt []byte, word uint32) {
	copy(t.aad[:rtcpHeader], pkt)
	binary.BigEndian.PutUint32(t.aad[rtcpHeader:], word)
}

func (t *gcmTransform) protectRTCP(dst, pkt []byte, ssrc, index uint32) []byte {
	out := extend(dst, len(pkt)+gcmTagSize+rtcpIndexSize)
	body := out[len(dst):]
	copy(body, pkt[:rtcpHeader])
	word := index | encryptedBit
	t.setRTCPIV(ssrc, index)
	t.setRTCPAAD(pkt, word)
	t.rtcp.Seal(body[rtcpHeader:rtcpHeader], t.iv[:], pkt[rtcpHeader:], t.aad[:])
	binary.BigEndian.PutUint32(body[len(body)-rtcpIndexSize:], word)
	return out
}

func (t *gcmTransform) unprotectRTCP(dst, pkt []byte, ssrc, index uint32) ([]byte, error) {
	end := len(pkt) - rtcpIndexSize
	out := extend(dst, end-gcmTagSize)
	body := out[len(dst):]
	t.setRTCPIV(ssrc, index)
	t.setRTCPAAD(pkt, index|encryptedBit)
	if _, err := t.rtcp.Open(body[rtcpHeader:rtcpHeader], t.iv[:], pkt[rtcpHeader:end], t.aad[:]); err != nil {
		return nil, ErrAuthentication
	}
	copy(body, pkt[:rtcpHeader])
	return out, nil
}
