package srtp

import "encoding/binary"

// ProtectRTCP encrypts and authenticates one compound RTCP packet and appends it to dst; it grows by
// Profile.RTCPOverhead bytes (RFC 3711 §3.4).
//
// Errors: ErrTooShort, ErrTooLong, ErrMalformed, ErrTooManySources, ErrKeyExhausted.
func (s *Session) ProtectRTCP(dst, pkt []byte) ([]byte, error) {
	if err := checkRTCP(pkt); err != nil {
		return nil, s.refuse(err)
	}
	ssrc := binary.BigEndian.Uint32(pkt[4:])
	snd, err := s.senderFor(ssrc)
	if err != nil {
		return nil, s.refuse(err)
	}
	if snd.rtcpIndex > maxRTCPIndex {
		return nil, s.refuse(ErrKeyExhausted)
	}
	index := snd.rtcpIndex
	snd.rtcpIndex++
	s.stats.RTCPProtected++
	return s.local.protectRTCP(dst, pkt, ssrc, index), nil
}

// UnprotectRTCP verifies and decrypts one SRTCP packet and appends the compound RTCP packet to dst. A packet without
// the E bit is refused: encryption was negotiated.
//
// Errors: ErrTooShort, ErrTooLong, ErrMalformed, ErrNotEncrypted, ErrAuthentication, ErrReplayed, ErrTooOld.
func (s *Session) UnprotectRTCP(dst, pkt []byte) ([]byte, error) {
	if err := checkRTCP(pkt); err != nil {
		return nil, s.countDrop(err)
	}
	if len(pkt) < rtcpHeader+s.profile.RTCPOverhead() {
		return nil, s.countDrop(ErrTooShort)
	}
	word := s.rtcpWord(pkt)
	if word&encryptedBit == 0 {
		return nil, s.countDrop(ErrNotEncrypted)
	}
	ssrc := binary.BigEndian.Uint32(pkt[4:])
	index := word &^ encryptedBit
	src := s.receivedRTCP.find(ssrc)
	if src != nil {
		if err := src.check(uint64(index)); err != nil {
			return nil, s.countDrop(err)
		}
	}
	out, err := s.remote.unprotectRTCP(dst, pkt, ssrc, index)
	if err != nil {
		return nil, s.countDrop(err)
	}
	if src == nil {
		src = s.receivedRTCP.add(ssrc)
	}
	src.commit(uint64(index))
	s.stats.RTCPUnprotected++
	return out, nil
}

// rtcpWord returns the E bit and the index. With AES-CM the tag follows them (RFC 3711 §3.4), with GCM they are the end
// of the packet (RFC 7714 §9.2).
func (s *Session) rtcpWord(pkt []byte) uint32 {
	at := len(pkt) - rtcpIndexSize
	if s.profile == ProfileAES128CMHMACSHA1_80 {
		at -= cmTagSize
	}
	return binary.BigEndian.Uint32(pkt[at:])
}

func checkRTCP(pkt []byte) error {
	switch {
	case len(pkt) < rtcpHeader:
		return ErrTooShort
	case len(pkt) > maxPacket:
		return ErrTooLong
	case pkt[0]>>6 != 2:
		return ErrMalformed
	}
	return nil
}
