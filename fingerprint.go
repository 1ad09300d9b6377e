package webrtc

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/sdp"
)

// errFingerprint is the cause of a DTLS failure when the peer's certificate is not the one that was signaled.
var errFingerprint = errors.New("the peer's certificate does not match the signaled fingerprint")

// fingerprints are those of the remote description; the peer's certificate must match one of them (RFC 8122, section
// 5). Without any, no certificate is accepted.
type fingerprints []sdp.Fingerprint

// verify implements dtls.Config.VerifyPeer.
func (f fingerprints) verify(chain [][]byte) error {
	if len(chain) == 0 {
		return errFingerprint
	}
	matched := 0
	for _, p := range f {
		want, err := hex.DecodeString(strings.ReplaceAll(p.Value, ":", ""))
		if err != nil {
			continue
		}
		if sum := certificateHash(p.Algorithm, chain[0]); sum != nil {
			matched |= subtle.ConstantTimeCompare(sum, want)
		}
	}
	if matched != 1 {
		return errFingerprint
	}
	return nil
}

// certificateHash returns nil for a hash function that is too weak (RFC 8122, section 5) or unknown.
func certificateHash(algorithm string, der []byte) []byte {
	switch strings.ToLower(algorithm) {
	case "sha-256":
		sum := sha256.Sum256(der)
		return sum[:]
	case "sha-384":
		sum := sha512.Sum384(der)
		return sum[:]
	case "sha-512":
		sum := sha512.Sum512(der)
		return sum[:]
	}
	return nil
}

// securityInfo is what DTLS agreed on, for statistics.
type securityInfo struct {
	version, cipher, group, profile string
	wireVersion                     string // four hexadecimal digits
	role                            DTLSRole
	peer                            [][]byte
}

func newSecurityInfo(s dtls.ConnectionState) securityInfo {
	info := securityInfo{
		version: s.Version.String(), cipher: s.CipherSuite.String(), group: s.Group.String(),
		wireVersion: fmt.Sprintf("%04X", uint16(s.Version)), role: DTLSRoleClient, peer: s.PeerCertificates,
	}
	if s.SRTPProfile != 0 {
		info.profile = s.SRTPProfile.String()
	}
	if s.Role == dtls.RoleServer {
		info.role = DTLSRoleServer
	}
	return info
}
