package srtp

import "fmt"

// Profile is an SRTP protection profile, numbered as in the use_srtp extension of DTLS (RFC 5764 §4.1.2, RFC 7714
// §14.2). The zero value is no profile.
type Profile uint16

// The profiles that WebRTC peers use.
const (
	ProfileAES128CMHMACSHA1_80 Profile = 0x0001
	ProfileAEADAES128GCM       Profile = 0x0007
	ProfileAEADAES256GCM       Profile = 0x0008
)

// ExporterLabel is the label that SRTP's keying material is exported from a DTLS connection with, without a context
// (RFC 5764 §4.2).
const ExporterLabel = "EXTRACTOR-dtls_srtp"

// Profiles returns the supported profiles, the preferred one first.
func Profiles() []Profile {
	return []Profile{ProfileAEADAES128GCM, ProfileAEADAES256GCM, ProfileAES128CMHMACSHA1_80}
}

// String returns the name of the profile in the IANA registry, as W3C's RTCTransportStats.srtpCipher shows it.
func (p Profile) String() string {
	switch p {
	case ProfileAES128CMHMACSHA1_80:
		return "SRTP_AES128_CM_HMAC_SHA1_80"
	case ProfileAEADAES128GCM:
		return "SRTP_AEAD_AES_128_GCM"
	case ProfileAEADAES256GCM:
		return "SRTP_AEAD_AES_256_GCM"
	}
	return fmt.Sprintf("srtp.Profile(%#04x)", uint16(p))
}

// Supported says whether the profile is one of this package.
func (p Profile) Supported() bool {
	return p.keyLength() != 0
}

// RTPOverhead returns how many bytes ProtectRTP adds to a packet.
func (p Profile) RTPOverhead() int {
	switch p {
	case ProfileAES128CMHMACSHA1_80:
		return cmTagSize
	case ProfileAEADAES128GCM, ProfileAEADAES256GCM:
		return gcmTagSize
	}
	return 0
}

// RTCPOverhead returns how many bytes ProtectRTCP adds to a compound packet.
func (p Profile) RTCPOverhead() int {
	if !p.Supported() {
		return 0
	}
	return p.RTPOverhead() + rtcpIndexSize
}

func (p Profile) keyLength() int {
	switch p {
	case ProfileAES128CMHMACSHA1_80, ProfileAEADAES128GCM:
		return 16
	case ProfileAEADAES256GCM:
		return 32
	}
	return 0
}

func (p Profile) saltLength() int {
	switch p {
	case ProfileAES128CMHMACSHA1_80:
		return 14
	case ProfileAEADAES128GCM, ProfileAEADAES256GCM:
		return 12
	}
	return 0
}

// Keys are the master key and the master salt of one direction.
type Keys struct {
	Key  []byte
	Salt []byte
}

// KeyingMaterialLength returns how many bytes a DTLS exporter has to give for the profile: both directions' keys and
// salts (RFC 5764 §4.2). It is zero for an unknown profile.
func KeyingMaterialLength(p Profile) int {
	return 2 * (p.keyLength() + p.saltLength())
}

// SplitKeyingMaterial cuts what the DTLS exporter gave into the master keys of both directions; isClient is this side's
// DTLS role. The results are slices of material. It fails with ErrProfile or ErrKeyLength (RFC 5764 §4.2).
func SplitKeyingMaterial(p Profile, material []byte, isClient bool) (local, remote Keys, err error) {
	if !p.Supported() {
		return Keys{}, Keys{}, ErrProfile
	}
	if len(material) != KeyingMaterialLength(p) {
		return Keys{}, Keys{}, ErrKeyLength
	}
	k, s := p.keyLength(), p.saltLength()
	salts := material[2*k:]
	client := Keys{Key: material[:k:k], Salt: salts[:s:s]}
	server := Keys{Key: material[k : 2*k : 2*k], Salt: salts[s : 2*s : 2*s]}
	if isClient {
		return client, server, nil
	}
	return server, client, nil
}
