package dtls

import "encoding/binary"

// contentType is what a record carries.
type contentType uint8

const (
	contentChangeCipherSpec contentType = 20
	contentAlert            contentType = 21
	contentHandshake        contentType = 22
	contentApplicationData  contentType = 23
	contentACK              contentType = 26
)

const (
	plainHeaderLen   = 13 // RFC 6347 §4.1
	unifiedHeaderLen = 5  // RFC 9147 §4: flags, 16-bit number, length
	tagLen           = 16
	maxPlaintext     = 1 << 14
	maxCiphertext    = maxPlaintext + 256 // RFC 8446 §5.2, and enough for AEAD in DTLS 1.2
	maxSequence      = 1<<48 - 1

	unifiedMask     = 0xe0
	unifiedBits     = 0x20
	unifiedCID      = 0x10
	unifiedSequence = 0x08
	unifiedLength   = 0x04
	unifiedEpoch    = 0x03
)

// recordHeader is either header form. epoch and seq are as much of them as is on the wire.
type recordHeader struct {
	typ     contentType // unknown (0) in the unified form
	unified bool
	version Version
	epoch   uint16
	seq     uint64
	seqLen  int // of the unified form
	raw     []byte
	body    []byte
}

// parseRecord takes the first record of a datagram. The result refers to it. Once a header makes no sense the rest of the
// datagram makes none either.
func parseRecord(pkt []byte) (h recordHeader, rest []byte, ok bool) {
	if len(pkt) > 0 && pkt[0]&unifiedMask == unifiedBits {
		return parseUnified(pkt)
	}
	if len(pkt) < plainHeaderLen {
		return h, nil, false
	}
	h.typ = contentType(pkt[0])
	h.version = Version(binary.BigEndian.Uint16(pkt[1:]))
	h.epoch = binary.BigEndian.Uint16(pkt[3:])
	h.seq = binary.BigEndian.Uint64(pkt[3:]) & maxSequence
	n := int(binary.BigEndian.Uint16(pkt[11:]))
	if h.version>>8 != 0xfe || n > len(pkt)-plainHeaderLen {
		return h, nil, false
	}
	h.raw, h.body = pkt[:plainHeaderLen], pkt[plainHeaderLen:plainHeaderLen+n]
	return h, pkt[plainHeaderLen+n:], true
}

func parseUnified(pkt []byte) (h recordHeader, rest []byte, ok bool) {
	flags := pkt[0]
	h.unified = true
	h.epoch = uint16(flags & unifiedEpoch)
	n := 1
	h.seqLen = 1
	if flags&unifiedSequence != 0 {
		h.seqLen = 2
	}
	n += h.seqLen
	if flags&unifiedLength != 0 {
		n += 2
	}
	// A connection id was never negotiated, so one must not be here (RFC 9147 §9).
	if flags&unifiedCID != 0 || len(pkt) < n {
		return h, nil, false
	}
	end := len(pkt)
	if flags&unifiedLength != 0 {
		end = n + int(binary.BigEndian.Uint16(pkt[n-2:]))
		if end > len(pkt) {
			return h, nil, false
		}
	}
	h.raw, h.body = pkt[:n], pkt[n:end]
	return h, pkt[end:], true
}

// unmask takes the encryption off the record number (RFC 9147 §4.2.3) and reads it.
func (h *recordHeader) unmask(mask []byte) {
	h.seq = 0
	for i := range h.seqLen {
		h.raw[1+i] ^= mask[i]
		h.seq = h.seq<<8 | uint64(h.raw[1+i])
	}
}

// expandSequence finds the number nearest to next whose low bits are seq (RFC 9147 §4.2.2).
func expandSequence(seq, next uint64, bits int) uint64 {
	span := uint64(1) << bits
	full := next&^(span-1) | seq
	switch {
	case full > next+span/2 && full >= span:
		return full - span
	case full+span/2 <= next:
		return full + span
	}
	return full
}

func putPlainHeader(b []byte, typ contentType, v Version, epoch uint16, seq uint64, n int) {
	b[0] = byte(typ)
	binary.BigEndian.PutUint16(b[1:], uint16(v))
	binary.BigEndian.PutUint64(b[3:], uint64(epoch)<<48|seq)
	binary.BigEndian.PutUint16(b[11:], uint16(n))
}

func putUnifiedHeader(b []byte, epoch, seq uint64, n int) {
	b[0] = unifiedBits | unifiedSequence | unifiedLength | byte(epoch)&unifiedEpoch
	binary.BigEndian.PutUint16(b[1:], uint16(seq))
	binary.BigEndian.PutUint16(b[3:], uint16(n))
}
