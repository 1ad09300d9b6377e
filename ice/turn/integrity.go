package turn

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"

	"github.com/pion/stun/v3"
)

// Password algorithms (RFC 8489 §18.5).
const (
	algorithmMD5    = 1
	algorithmSHA256 = 2
)

// nonceCookie begins a nonce that tells the server's security features (RFC 8489 §9.2): 24 bits in base64 follow. Bits
// count from the right, as erratum 6290 and the vector of appendix B.1 have it.
const nonceCookie = "obMatJos2"

const (
	featureAlgorithms = 1 << 0
	featureUserhash   = 1 << 1
)

// nonceFeatures reads the security features of a nonce; zero: it has no cookie.
func nonceFeatures(nonce []byte) uint32 {
	n := len(nonceCookie)
	if len(nonce) < n+4 || string(nonce[:n]) != nonceCookie {
		return 0
	}
	var b [3]byte
	if _, err := base64.StdEncoding.Decode(b[:], nonce[n:n+4]); err != nil {
		return 0
	}
	return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
}

// longTermKey derives the key of long-term credentials (RFC 8489 §9.2.2).
func longTermKey(algorithm int, username, realm, password string) []byte {
	text := []byte(username + ":" + realm + ":" + password)
	if algorithm == algorithmSHA256 {
		key := sha256.Sum256(text)
		return key[:]
	}
	key := md5.Sum(text)
	return key[:]
}

// userhash is the value of USERHASH (RFC 8489 §14.4).
func userhash(username, realm string) [sha256.Size]byte {
	return sha256.Sum256([]byte(username + ":" + realm))
}

// readAlgorithms splits PASSWORD-ALGORITHMS into numbers, at most 8; nil: malformed (RFC 8489 §14.11).
func readAlgorithms(v []byte) (list []int) {
	for len(v) > 0 {
		if len(v) < 4 || len(list) == 8 {
			return nil
		}
		n := 4 + (int(binary.BigEndian.Uint16(v[2:]))+3)&^3
		if n > len(v) {
			return nil
		}
		list = append(list, int(binary.BigEndian.Uint16(v)))
		v = v[n:]
	}
	return list
}

// integrity is a key and the attribute that it is used for.
type integrity struct {
	key    []byte
	sha256 bool
}

func (k integrity) mac() (h hash.Hash, t stun.AttrType) {
	if k.sha256 {
		return hmac.New(sha256.New, k.key), stun.AttrMessageIntegritySHA256
	}
	return hmac.New(sha1.New, k.key), stun.AttrMessageIntegrity
}

// seal ends a message with MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256, which cover it with a length that counts the
// attribute itself (RFC 8489 §14.5).
func (k integrity) seal(m *stun.Message) {
	h, t := k.mac()
	length := m.Length
	m.Length += uint32(4 + h.Size())
	m.WriteLength()
	h.Write(m.Raw)
	m.Length = length
	var sum [sha256.Size]byte
	m.Add(t, h.Sum(sum[:0]))
}

// check verifies the integrity attribute of a message that walk has passed. A SHA-256 value may be cut to 16 bytes or
// more, by multiples of 4 (RFC 8489 §14.6).
func (k integrity) check(pkt []byte) bool {
	h, want := k.mac()
	ok, at := false, headerSize
	walk(pkt, func(t stun.AttrType, v []byte) bool {
		if t != want {
			at += 4 + (len(v)+3)&^3
			return true
		}
		if len(v) != h.Size() && (!k.sha256 || len(v) < 16 || len(v) > h.Size() || len(v)%4 != 0) {
			return false
		}
		var head [headerSize]byte
		copy(head[:], pkt)
		binary.BigEndian.PutUint16(head[2:], uint16(at+4+len(v)-headerSize))
		h.Write(head[:])
		h.Write(pkt[headerSize:at])
		var sum [sha256.Size]byte
		ok = hmac.Equal(h.Sum(sum[:0])[:len(v)], v)
		return false
	})
	return ok
}

// fingerprintOK checks FINGERPRINT, which is the last attribute of the message (RFC 8489 §14.7).
func fingerprintOK(pkt []byte) bool {
	n := len(pkt) - 8
	if n < headerSize || binary.BigEndian.Uint16(pkt[n+2:]) != 4 {
		return false
	}
	return binary.BigEndian.Uint32(pkt[n+4:]) == crc32.ChecksumIEEE(pkt[:n])^0x5354554e
}
