package srtp

import (
	"encoding/binary"
	"errors"
)

// ProtectRTP encrypts and authenticates one RTP packet and appends it to dst; it grows by Profile.RTPOverhead bytes.
//
// The rollover counter follows the sequence numbers of the packet's SSRC (RFC 3711 §3.3.1), which should begin below
// 32768. The same packet again, a retransmission, gives the same bytes again. With an AEAD profile another packet with a
// sequence number of the last 1024 is refused with ErrReused, and an older one with ErrTooOld: they would repeat a nonce.
//
// Errors: ErrTooShort, ErrTooLong, ErrMalformed, ErrReused, ErrTooOld, ErrTooManySources, ErrKeyExhausted.
func (s *Session) ProtectRTP(dst, pkt []byte) ([]byte, error) {
	head, err := rtpHeaderLength(pkt)
	if err != nil {
		return nil, s.refuse(err)
	}
	ssrc := binary.BigEndian.Uint32(pkt[8:])
	snd, err := s.senderFor(ssrc)
	if err != nil {
		return nil, s.refuse(err)
	}
	index, err := snd.rtp.estimate(binary.BigEndian.Uint16(pkt[2:]))
	if err != nil {
		return nil, s.refuse(err)
	}
	again := false
	if s.aead {
		err := snd.rtp.check(index)
		again = errors.Is(err, ErrReplayed)
		if err != nil && !again {
			return nil, s.refuse(err)
		}
	}
	out := s.local.protectRTP(dst, pkt, head, ssrc, index)
	if s.aead {
		// Under one nonce, equal tags mean equal packets.
		tag := binary.BigEndian.Uint32(out[len(out)-gcmTagSize:])
		at := &snd.tags[index%sendWindow]
		if again && *at != tag {
			clear(out[len(dst):])
			return nil, s.refuse(ErrReused)
		}
		*at = tag
	}
	snd.rtp.commit(index)
	s.stats.RTPProtected++
	return out, nil
}

// UnprotectRTP verifies and decrypts one SRTP packet and appends the RTP packet to dst. What an SSRC has sent is
// remembered only once a tag was right; a packet is accepted once.
//
// Errors: ErrTooShort, ErrTooLong, ErrMalformed, ErrAuthentication, ErrReplayed, ErrTooOld.
func (s *Session) UnprotectRTP(dst, pkt []byte) ([]byte, error) {
	head, err := rtpHeaderLength(pkt)
	if err != nil {
		return nil, s.countDrop(err)
	}
	if len(pkt) < head+s.profile.RTPOverhead() {
		return nil, s.countDrop(ErrTooShort)
	}
	ssrc := binary.BigEndian.Uint32(pkt[8:])
	index := uint64(binary.BigEndian.Uint16(pkt[2:]))
	src := s.received.find(ssrc)
	if src != nil {
		if index, err = src.estimate(uint16(index)); err == nil {
			err = src.check(index)
		}
		if err != nil {
			return nil, s.countDrop(err)
		}
	}
	out, err := s.remote.unprotectRTP(dst, pkt, head, ssrc, index)
	if err != nil {
		return nil, s.countDrop(err)
	}
	if src == nil {
		src = s.received.add(ssrc)
	}
	src.commit(index)
	s.stats.RTPUnprotected++
	return out, nil
}

// rtpHeaderLength returns the length of the fixed header, the CSRCs and the header extension: what SRTP leaves readable.
func rtpHeaderLength(pkt []byte) (int, error) {
	switch {
	case len(pkt) < rtpHeader:
		return 0, ErrTooShort
	case len(pkt) > maxPacket:
		return 0, ErrTooLong
	case pkt[0]>>6 != 2:
		return 0, ErrMalformed
	}
	n := rtpHeader + 4*int(pkt[0]&0x0f)
	if pkt[0]&0x10 != 0 {
		if len(pkt) < n+4 {
			return 0, ErrTooShort
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(pkt[n+2:]))
	}
	if len(pkt) < n {
		return 0, ErrTooShort
	}
	return n, nil
}
