package webrtc

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
)

// The numbers that RTP wants at random (RFC 3550, section 5.1) come from crypto/rand: they are part of what keeps SRTP's
// key stream from being guessed.

func randomUint16() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand.Read ends the program first
	return binary.BigEndian.Uint16(b[:])
}

func randomUint32() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}

// joinUnlessClosed joins errors of several connections; one that was closed is no failure of the others.
func joinUnlessClosed(failed, err error) error {
	if errors.Is(err, net.ErrClosed) {
		return failed
	}
	return errors.Join(failed, err)
}
