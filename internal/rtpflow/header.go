package rtpflow

import (
	"encoding/binary"
	"errors"
)

// Errors of reading and writing RTP headers.
var (
	// ErrShort says that a packet ends inside of its header, its extension or its padding.
	ErrShort = errors.New("rtpflow: packet too short")
	// ErrVersion says that a packet is not RTP or RTCP version 2.
	ErrVersion = errors.New("rtpflow: wrong version")
	// ErrExtension says that a header extension cannot be written: id 0, more than 255 bytes, or more than fits.
	ErrExtension = errors.New("rtpflow: unusable header extension")
)

const (
	fixedHeader = 12

	profileOneByte = 0xbede // RFC 8285 §4.2
	profileTwoByte = 0x1000 // RFC 8285 §4.3, the low four bits are free
)

// Header is a view of the header of one RTP packet (RFC 3550 §5.1). Its slices point into the packet.
type Header struct {
	Marker         bool
	PayloadType    uint8
	SequenceNumber uint16
	Timestamp      uint32
	SSRC           uint32
	// CSRCs are the contributing sources, four bytes each.
	CSRCs []byte
	// ExtensionProfile and Extensions are the header extension without its first word; the profile is zero without one.
	ExtensionProfile uint16
	Extensions       []byte
	// Length is the number of bytes in front of the payload.
	Length int
	// Payload ends before the padding.
	Payload []byte
	// Padding is the number of padding bytes.
	Padding int
}

// ParseHeader reads the header of a packet. It fails with ErrShort or ErrVersion; padding that is longer than the
// payload, or zero although announced, is ErrShort too.
func ParseHeader(pkt []byte) (Header, error) {
	if len(pkt) < fixedHeader {
		return Header{}, ErrShort
	}
	if pkt[0]>>6 != 2 {
		return Header{}, ErrVersion
	}
	h := Header{
		Marker:         pkt[1]&0x80 != 0,
		PayloadType:    pkt[1] & 0x7f,
		SequenceNumber: binary.BigEndian.Uint16(pkt[2:]),
		Timestamp:      binary.BigEndian.Uint32(pkt[4:]),
		SSRC:           binary.BigEndian.Uint32(pkt[8:]),
	}
	n := fixedHeader + 4*int(pkt[0]&0x0f)
	if len(pkt) < n {
		return Header{}, ErrShort
	}
	h.CSRCs = pkt[fixedHeader:n:n]
	if pkt[0]&0x10 != 0 {
		if len(pkt) < n+4 {
			return Header{}, ErrShort
		}
		h.ExtensionProfile = binary.BigEndian.Uint16(pkt[n:])
		end := n + 4 + 4*int(binary.BigEndian.Uint16(pkt[n+2:]))
		if len(pkt) < end {
			return Header{}, ErrShort
		}
		h.Extensions = pkt[n+4 : end : end]
		n = end
	}
	h.Length = n
	end := len(pkt)
	if pkt[0]&0x20 != 0 {
		h.Padding = int(pkt[end-1])
		if end == n || h.Padding == 0 || h.Padding > end-n {
			return Header{}, ErrShort
		}
		end -= h.Padding
	}
	h.Payload = pkt[n:end:end]
	return h, nil
}

// Extension returns the data of the header extension element with the id, in the one-byte or two-byte form of RFC 8285,
// or nil. The data is part of the packet. Id 0 is none.
func (h *Header) Extension(id uint8) []byte {
	if id == 0 {
		return nil
	}
	rest := h.Extensions
	for len(rest) > 0 {
		e, after, ok := nextExtension(h.ExtensionProfile, rest)
		if !ok {
			return nil
		}
		if e.ID == id {
			return e.Data
		}
		rest = after
	}
	return nil
}

// Extension is one element of a header extension.
type Extension struct {
	ID   uint8
	Data []byte
}

// nextExtension takes one element, or one byte of padding as element 0, off the front. Each call consumes something.
func nextExtension(profile uint16, b []byte) (e Extension, rest []byte, ok bool) {
	if b[0] == 0 {
		return Extension{}, b[1:], true
	}
	var n, head int
	switch {
	case profile == profileOneByte:
		e.ID = b[0] >> 4
		n, head = int(b[0]&0x0f)+1, 1
		// RFC 8285 §4.2: id 15 ends the processing; id 0 with a length is to be skipped.
		if e.ID == 15 {
			return Extension{}, nil, false
		}
	case profile&0xfff0 == profileTwoByte:
		if len(b) < 2 {
			return Extension{}, nil, false
		}
		e.ID = b[0]
		n, head = int(b[1]), 2
	default:
		return Extension{}, nil, false
	}
	if len(b) < head+n {
		return Extension{}, nil, false
	}
	e.Data = b[head : head+n : head+n]
	return e, b[head+n:], true
}

// Fields are the header fields of a packet to be written.
type Fields struct {
	Marker         bool
	PayloadType    uint8
	SequenceNumber uint16
	Timestamp      uint32
	SSRC           uint32
}

// AppendHeader appends an RTP header with the given extension elements to dst; the payload goes behind it. The one-byte
// form of RFC 8285 is used if all elements allow it, else the two-byte form. It fails with ErrExtension.
func AppendHeader(dst []byte, f Fields, exts []Extension) ([]byte, error) {
	first := byte(0x80)
	if len(exts) > 0 {
		first |= 0x10
	}
	second := f.PayloadType & 0x7f
	if f.Marker {
		second |= 0x80
	}
	dst = append(dst, first, second)
	dst = binary.BigEndian.AppendUint16(dst, f.SequenceNumber)
	dst = binary.BigEndian.AppendUint32(dst, f.Timestamp)
	dst = binary.BigEndian.AppendUint32(dst, f.SSRC)
	if len(exts) == 0 {
		return dst, nil
	}
	return appendExtensions(dst, exts)
}

func appendExtensions(dst []byte, exts []Extension) ([]byte, error) {
	profile := uint16(profileOneByte)
	for _, e := range exts {
		if e.ID == 0 || len(e.Data) > 255 {
			return nil, ErrExtension
		}
		if e.ID > 14 || len(e.Data) == 0 || len(e.Data) > 16 {
			profile = profileTwoByte
		}
	}
	dst = binary.BigEndian.AppendUint16(dst, profile)
	dst = append(dst, 0, 0)
	start := len(dst)
	for _, e := range exts {
		if profile == profileOneByte {
			dst = append(dst, e.ID<<4|uint8(len(e.Data)-1))
		} else {
			dst = append(dst, e.ID, uint8(len(e.Data)))
		}
		dst = append(dst, e.Data...)
	}
	for (len(dst)-start)%4 != 0 {
		dst = append(dst, 0)
	}
	words := (len(dst) - start) / 4
	if words > 0xffff {
		return nil, ErrExtension
	}
	binary.BigEndian.PutUint16(dst[start-2:], uint16(words))
	return dst, nil
}
