package rtpflow

import (
	"encoding/binary"
	"errors"
)

// ErrPadding says that a retransmission packet carries no packet: it is padding, sent to probe the path. Count it and
// drop it.
var ErrPadding = errors.New("rtpflow: padding only")

// RTXConfig describes an outgoing retransmission stream (RFC 4588).
type RTXConfig struct {
	SSRC uint32
	// Sequence is the first sequence number: random, below 32768.
	Sequence uint16
	// PayloadTypes has, for the payload type of the original, that of its retransmission format; zero: none.
	PayloadTypes [128]uint8
	// RIDExtension in the original becomes RepairedRIDExtension in the retransmission (RFC 8852 §3.2). Zero: not
	// negotiated.
	RIDExtension, RepairedRIDExtension uint8
}

// RTXSender makes retransmission packets.
type RTXSender struct {
	cfg RTXConfig
	seq uint16
}

// NewRTXSender starts a retransmission stream.
func NewRTXSender(cfg RTXConfig) *RTXSender {
	return &RTXSender{cfg: cfg, seq: cfg.Sequence}
}

// SSRC returns the SSRC of the retransmission stream.
func (s *RTXSender) SSRC() uint32 { return s.cfg.SSRC }

// Append appends the retransmission of a packet to dst, which may not overlap it: two bytes longer, without its padding.
// It is false, and dst unchanged, for a packet that cannot be parsed or has no retransmission format.
func (s *RTXSender) Append(dst, pkt []byte) ([]byte, bool) {
	h, err := ParseHeader(pkt)
	if err != nil || s.cfg.PayloadTypes[h.PayloadType] == 0 {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, pkt[:h.Length]...)
	head := dst[start:]
	head[0] &^= 0x20
	head[1] = head[1]&0x80 | s.cfg.PayloadTypes[h.PayloadType]&0x7f
	binary.BigEndian.PutUint16(head[2:], s.seq)
	binary.BigEndian.PutUint32(head[8:], s.cfg.SSRC)
	s.seq++
	if s.cfg.RIDExtension != 0 && s.cfg.RepairedRIDExtension != 0 {
		renameExtension(h.ExtensionProfile, head[h.Length-len(h.Extensions):], s.cfg.RIDExtension, s.cfg.RepairedRIDExtension)
	}
	dst = binary.BigEndian.AppendUint16(dst, h.SequenceNumber)
	return append(dst, h.Payload...), true
}

// renameExtension gives the elements with one id another, in place. An id that the one-byte form has no room for leaves
// them as they are.
func renameExtension(profile uint16, exts []byte, from, to uint8) {
	for len(exts) > 0 {
		e, rest, ok := nextExtension(profile, exts)
		if !ok {
			return
		}
		if e.ID == from {
			if profile != profileOneByte {
				exts[0] = to
			} else if to < 15 {
				exts[0] = to<<4 | exts[0]&0x0f
			}
		}
		exts = rest
	}
}

// UnwrapRTX turns a retransmission packet into the original packet, in place: the result is a slice of pkt. The media SSRC
// and payload type come from Demuxer.Route. It fails with ErrPadding for one without a packet in it.
func UnwrapRTX(pkt []byte, h *Header, mediaSSRC uint32, mediaPayloadType uint8) ([]byte, error) {
	if len(h.Payload) < 2 {
		return nil, ErrPadding
	}
	osn := binary.BigEndian.Uint16(h.Payload)
	// The header moves up over the original sequence number; the padding goes.
	end := h.Length + len(h.Payload)
	copy(pkt[2:h.Length+2], pkt[:h.Length])
	pkt = pkt[2:end]
	pkt[0] &^= 0x20
	pkt[1] = pkt[1]&0x80 | mediaPayloadType&0x7f
	binary.BigEndian.PutUint16(pkt[2:], osn)
	binary.BigEndian.PutUint32(pkt[8:], mediaSSRC)
	return pkt, nil
}
