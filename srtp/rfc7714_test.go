package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"
)

// The vectors of RFC 7714 §16 and §17 begin at the session keys.
func vectorTransform(t *testing.T, key string) *gcmTransform {
	t.Helper()
	block, err := aes.NewCipher(unhex(t, key))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	salt := [12]byte(unhex(t, "51756964 2070726f 2071756f"))
	return &gcmTransform{rtp: aead, rtcp: aead, rtpSalt: salt, rtcpSalt: salt}
}

func TestRFC7714Vectors(t *testing.T) {
	const (
		rtp = `8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
			69736120 696e2070 61727465 73207472 6573`
		rtcp = `81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
			deadbeef deadbeef deadbeef deadbeef deadbeef`
	)
	for _, v := range []struct{ name, key, srtp, srtcp string }{
		{
			"AEAD_AES_128_GCM", "000102030405060708090a0b0c0d0e0f",
			`8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a
			51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce`,
			`81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
			4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4`,
		},
		{
			"AEAD_AES_256_GCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			`8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02
			76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13`,
			`81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be
			8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4`,
		},
	} {
		t.Run(v.name, func(t *testing.T) {
			plain, wire := unhex(t, rtp), unhex(t, v.srtp)
			const ssrc, index = 0x5501a0b2, 0xf17b
			if got := vectorTransform(t, v.key).protectRTP(nil, plain, 12, ssrc, index); !bytes.Equal(got, wire) {
				t.Errorf("SRTP %x, want %x", got, wire)
			}
			if got, err := vectorTransform(t, v.key).unprotectRTP(nil, wire, 12, ssrc, index); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("RTP %x (%v), want %x", got, err, plain)
			}
			plain, wire = unhex(t, rtcp), unhex(t, v.srtcp)
			if got := vectorTransform(t, v.key).protectRTCP(nil, plain, 0x4d617273, 0x5d4); !bytes.Equal(got, wire) {
				t.Errorf("SRTCP %x, want %x", got, wire)
			}
			if got, err := vectorTransform(t, v.key).unprotectRTCP(nil, wire, 0x4d617273, 0x5d4); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("RTCP %x (%v), want %x", got, err, plain)
			}
		})
	}
}
