package srtp

import "errors"

// Errors of this package. The calls of a [Session] return them unwrapped, so that a flood of bad packets costs no
// allocation; compare with errors.Is all the same.
var (
	// ErrProfile says that a protection profile is unknown.
	ErrProfile = errors.New("srtp: unknown protection profile")
	// ErrKeyLength says that a master key, a master salt or exported keying material has the wrong length.
	ErrKeyLength = errors.New("srtp: wrong key or salt length")
	// ErrTooShort says that a packet is too short for its header, its tag or its trailer.
	ErrTooShort = errors.New("srtp: packet too short")
	// ErrTooLong says that a packet cannot be one datagram.
	ErrTooLong = errors.New("srtp: packet too long")
	// ErrMalformed says that a packet is not RTP or RTCP version 2.
	ErrMalformed = errors.New("srtp: malformed packet")
	// ErrAuthentication says that the tag of a packet is wrong: it was forged, damaged, or sealed with another key.
	ErrAuthentication = errors.New("srtp: authentication failed")
	// ErrReplayed says that a packet was received before.
	ErrReplayed = errors.New("srtp: replayed packet")
	// ErrTooOld says that a packet is older than the replay window reaches, or than the beginning of its stream.
	ErrTooOld = errors.New("srtp: packet older than the replay window")
	// ErrNotEncrypted says that an SRTCP packet has no E bit although encryption was negotiated.
	ErrNotEncrypted = errors.New("srtp: unencrypted SRTCP refused")
	// ErrReused says that a packet to be sent has the index of a different one that was already sealed with an AEAD
	// profile: the nonce would repeat, which gives the authentication key away.
	ErrReused = errors.New("srtp: sequence number reused with an AEAD profile")
	// ErrTooManySources says that the table of local SSRCs is full.
	ErrTooManySources = errors.New("srtp: too many local sources")
	// ErrKeyExhausted says that as many packets were sealed as a master key allows (RFC 3711 §9.2).
	ErrKeyExhausted = errors.New("srtp: key exhausted")
)
