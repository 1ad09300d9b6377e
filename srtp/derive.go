package srtp

import (
	"crypto/aes"
	"slices"
)

// Labels of the key derivation (RFC 3711 §4.3.1 and §4.3.2).
const (
	labelRTPEncryption  = 0x00
	labelRTPAuth        = 0x01
	labelRTPSalt        = 0x02
	labelRTCPEncryption = 0x03
	labelRTCPAuth       = 0x04
	labelRTCPSalt       = 0x05
)

// derive returns n bytes of a session key: the key stream of AES in counter mode under the master key, with the label
// mixed into the master salt (RFC 3711 §4.3.3). The key derivation rate is zero, as DTLS-SRTP leaves it. A 96-bit salt
// is padded on its right to 112 bits (RFC 7714 §11).
func derive(master Keys, label byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(master.Key)
	if err != nil {
		return nil, ErrKeyLength
	}
	var x [aes.BlockSize]byte
	copy(x[:14], master.Salt)
	x[7] ^= label
	out := make([]byte, 0, n+aes.BlockSize)
	for len(out) < n {
		at := len(out)
		out = out[:at+aes.BlockSize]
		block.Encrypt(out[at:], x[:])
		x[15]++
	}
	return out[:n:n], nil
}

// extend returns dst with n more bytes of any content, in the same array if its capacity suffices.
func extend(dst []byte, n int) []byte {
	return slices.Grow(dst, n)[:len(dst)+n]
}
