// Package srtp protects RTP and RTCP packets: SRTP (RFC 3711) keyed by DTLS (RFC 5764), with the profiles
// AES128_CM_HMAC_SHA1_80 and AEAD_AES_128/256_GCM (RFC 7714).
//
// A [Session] is a pure transform: no goroutine, lock, clock or randomness. It works in place and allocates nothing per
// packet. It keeps no state for a remote SSRC before a packet of that SSRC has passed authentication, and all its
// tables are capped.
package srtp

import (
	"errors"
	"fmt"
)

// Config says how a [Session] is made.
type Config struct {
	// Profile is the negotiated protection profile.
	Profile Profile
	// Local are the master key and salt of what this side sends, Remote of what it receives. They are copied. See
	// [SplitKeyingMaterial].
	Local, Remote Keys
	// ReplayWindow is how many packets behind the newest a received RTP packet may be. It is rounded up to a multiple
	// of 64. Zero: 1024.
	ReplayWindow int
	// RTCPReplayWindow is the same for RTCP. Zero: 128.
	RTCPReplayWindow int
	// MaxSources is how many remote SSRCs are remembered, for RTP and for RTCP each; past it, the state of one that
	// has been quiet is given up. Zero: 1024.
	MaxSources int
	// MaxLocalSources is how many local SSRCs may be sent; past it, new ones are refused with ErrTooManySources, since
	// forgetting a rollover counter would repeat a key stream. Zero: 16384.
	MaxLocalSources int
}

// Stats counts what happened to packets. A dropped packet is counted once, under the first reason found.
type Stats struct {
	RTPProtected, RTPUnprotected   uint64
	RTCPProtected, RTCPUnprotected uint64

	// Received and dropped, RTP and RTCP together.
	Malformed            uint64 // too short, too long or not version 2
	AuthenticationFailed uint64
	Replayed             uint64
	TooOld               uint64
	NotEncrypted         uint64

	// Refused when sending.
	SendRefused uint64

	// Evicted counts remote SSRCs whose state was given up for a new one.
	Evicted uint64
}

// Session protects the packets of one DTLS-SRTP association, both directions, RTP and RTCP.
//
// All four calls append their result to dst and return the extended slice; dst and the packet may share memory if the
// result begins exactly where the packet does (dst = pkt[:0] works in place, buf[:k] with pkt = buf[k:] too). The
// result shares dst's array if its capacity suffices. When a call fails, the bytes behind dst's length are undefined;
// in place, the packet is lost.
//
// Not safe for concurrent use; driven by the transport that owns it.
type Session struct {
	// Immutable after New.
	profile  Profile
	aead     bool // sealing two packets with one index would give the authentication key away
	local    transform
	remote   transform
	maxLocal int

	// Driven by the owner.
	senders      map[uint32]*sender
	lastSender   *sender
	received     sourceTable
	receivedRTCP sourceTable
	stats        Stats
}

// sender is the state of one local SSRC.
type sender struct {
	ssrc      uint32
	rtp       window
	tags      []uint32 // of the packets in the window, the beginnings of their tags; only with an AEAD profile
	rtcpIndex uint32   // of the next packet
}

// transform is one direction's cryptography. Head is the length of what stays readable, including the header
// extension. The packets were checked to be long enough.
type transform interface {
	protectRTP(dst, pkt []byte, head int, ssrc uint32, index uint64) []byte
	unprotectRTP(dst, pkt []byte, head int, ssrc uint32, index uint64) ([]byte, error)
	protectRTCP(dst, pkt []byte, ssrc, index uint32) []byte
	unprotectRTCP(dst, pkt []byte, ssrc, index uint32) ([]byte, error)
}

const (
	maxPacket     = 65535
	maxRTPIndex   = 1<<48 - 1
	maxRTCPIndex  = 1<<31 - 1
	rtpHeader     = 12
	rtcpHeader    = 8
	rtcpIndexSize = 4
	encryptedBit  = 1 << 31
	sendWindow    = 1024 // packets
)

// New makes a session. It fails with ErrProfile or ErrKeyLength.
func New(cfg Config) (*Session, error) {
	if !cfg.Profile.Supported() {
		return nil, fmt.Errorf("%w %#04x", ErrProfile, uint16(cfg.Profile))
	}
	local, err := newTransform(cfg.Profile, cfg.Local)
	if err != nil {
		return nil, err
	}
	remote, err := newTransform(cfg.Profile, cfg.Remote)
	if err != nil {
		return nil, err
	}
	maxSources := orDefault(cfg.MaxSources, 1024)
	s := &Session{
		profile:      cfg.Profile,
		local:        local,
		remote:       remote,
		maxLocal:     orDefault(cfg.MaxLocalSources, 16384),
		received:     sourceTable{max: maxSources, words: windowWords(orDefault(cfg.ReplayWindow, 1024))},
		receivedRTCP: sourceTable{max: maxSources, words: windowWords(orDefault(cfg.RTCPReplayWindow, 128))},
	}
	s.aead = cfg.Profile != ProfileAES128CMHMACSHA1_80
	return s, nil
}

func newTransform(p Profile, keys Keys) (transform, error) {
	if len(keys.Key) != p.keyLength() || len(keys.Salt) != p.saltLength() {
		return nil, ErrKeyLength
	}
	if p == ProfileAES128CMHMACSHA1_80 {
		return newCM(keys)
	}
	return newGCM(keys)
}

// Profile returns the profile that the session was made with.
func (s *Session) Profile() Profile { return s.profile }

// Stats returns the counters.
func (s *Session) Stats() Stats {
	st := s.stats
	st.Evicted = s.received.evicted + s.receivedRTCP.evicted
	return st
}

func (s *Session) senderFor(ssrc uint32) (*sender, error) {
	if s.lastSender != nil && s.lastSender.ssrc == ssrc {
		return s.lastSender, nil
	}
	snd := s.senders[ssrc]
	if snd == nil {
		if len(s.senders) >= s.maxLocal {
			return nil, ErrTooManySources
		}
		if s.senders == nil {
			s.senders = make(map[uint32]*sender)
		}
		snd = &sender{ssrc: ssrc}
		if s.aead {
			snd.rtp.seen = make([]uint64, windowWords(sendWindow))
			snd.tags = make([]uint32, sendWindow)
		}
		s.senders[ssrc] = snd
	}
	s.lastSender = snd
	return snd, nil
}

// countDrop counts a received packet that was dropped because of err, and returns err.
func (s *Session) countDrop(err error) error {
	switch {
	case errors.Is(err, ErrAuthentication):
		s.stats.AuthenticationFailed++
	case errors.Is(err, ErrReplayed):
		s.stats.Replayed++
	case errors.Is(err, ErrTooOld):
		s.stats.TooOld++
	case errors.Is(err, ErrNotEncrypted):
		s.stats.NotEncrypted++
	default:
		s.stats.Malformed++
	}
	return err
}

func (s *Session) refuse(err error) error {
	s.stats.SendRefused++
	return err
}

func orDefault(v, def int) int {
	if v <= 0 {
		return def
	}
	return v
}
