package jsep

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// iceChars are the characters of ice-ufrag and ice-pwd (RFC 8839 §5.4): 64 of them, six bits each.
const iceChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// source draws ids from Config.Rand.
type source struct{ r io.Reader }

func (s source) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		return nil, &Error{Name: NameOperation, Reason: "no random bytes", Err: err}
	}
	return b, nil
}

func (s source) uint64() (uint64, error) {
	b, err := s.bytes(8)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

func (s source) token(n int) (string, error) {
	b, err := s.bytes(n)
	if err != nil {
		return "", err
	}
	for i := range b {
		b[i] = iceChars[b[i]&63]
	}
	return string(b), nil
}

// id makes an identifier in the form of a version 4 UUID, as browsers use for tracks.
func (s source) id() (string, error) {
	b, err := s.bytes(16)
	if err != nil {
		return "", err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:]), nil
}

// credentials make a new ICE generation: 48 bits of ufrag (RFC 8445 §5.3 wants 24) and 144 of password (128).
func (s source) credentials() (ICEParameters, error) {
	ufrag, err := s.token(8)
	if err != nil {
		return ICEParameters{}, err
	}
	pwd, err := s.token(24)
	if err != nil {
		return ICEParameters{}, err
	}
	return ICEParameters{Ufrag: ufrag, Pwd: pwd}, nil
}
