package sctp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// cookie is the state cookie (RFC 9260 section 5.1.3): what the answering side must know again when COOKIE ECHO comes. It is
// authenticated with a key that never leaves the association.
type cookie struct {
	createdAt         tick
	localTag          uint32
	tieLocal, tiePeer uint32
	peer              initChunk // without cookie and unrecognized
}

const (
	cookieBody = 8 + 3*4 + 4*3 + 2*2 + 1
	cookieMAC  = 16
)

// seal encodes and authenticates the cookie.
func (k *cookie) seal(secret []byte) []byte {
	b := make([]byte, 0, cookieBody+sha256.Size)
	b = binary.BigEndian.AppendUint64(b, uint64(k.createdAt))
	b = binary.BigEndian.AppendUint32(b, k.localTag)
	b = binary.BigEndian.AppendUint32(b, k.tieLocal)
	b = binary.BigEndian.AppendUint32(b, k.tiePeer)
	b = binary.BigEndian.AppendUint32(b, k.peer.tag)
	b = binary.BigEndian.AppendUint32(b, k.peer.window)
	b = binary.BigEndian.AppendUint32(b, k.peer.tsn)
	b = binary.BigEndian.AppendUint16(b, k.peer.outStreams)
	b = binary.BigEndian.AppendUint16(b, k.peer.inStreams)
	b = append(b, byte(k.peer.features))
	m := hmac.New(sha256.New, secret)
	m.Write(b)
	return m.Sum(b)[:cookieBody+cookieMAC]
}

// openCookie authenticates and decodes.
func openCookie(secret, b []byte) (cookie, error) {
	if len(b) != cookieBody+cookieMAC {
		return cookie{}, errCookie
	}
	m := hmac.New(sha256.New, secret)
	m.Write(b[:cookieBody])
	if !hmac.Equal(m.Sum(nil)[:cookieMAC], b[cookieBody:]) {
		return cookie{}, errCookie
	}
	return cookie{
		createdAt: tick(binary.BigEndian.Uint64(b)),
		localTag:  binary.BigEndian.Uint32(b[8:]),
		tieLocal:  binary.BigEndian.Uint32(b[12:]),
		tiePeer:   binary.BigEndian.Uint32(b[16:]),
		peer: initChunk{
			tag:        binary.BigEndian.Uint32(b[20:]),
			window:     binary.BigEndian.Uint32(b[24:]),
			tsn:        binary.BigEndian.Uint32(b[28:]),
			outStreams: binary.BigEndian.Uint16(b[32:]),
			inStreams:  binary.BigEndian.Uint16(b[34:]),
			features:   features(b[36]),
		},
	}, nil
}
