package srtp

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

var allProfiles = []Profile{ProfileAES128CMHMACSHA1_80, ProfileAEADAES128GCM, ProfileAEADAES256GCM}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testMaterial is keying material that differs in every byte of a key and a salt.
func testMaterial(p Profile) []byte {
	m := make([]byte, KeyingMaterialLength(p))
	for i := range m {
		m[i] = byte(i*7 + 3)
	}
	return m
}

func newPair(t testing.TB, p Profile) (client, server *Session) {
	t.Helper()
	return newSide(t, p, true), newSide(t, p, false)
}

func newSide(t testing.TB, p Profile, isClient bool) *Session {
	t.Helper()
	local, remote, err := SplitKeyingMaterial(p, testMaterial(p), isClient)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Profile: p, Local: local, Remote: remote})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rtpPacket(ssrc uint32, seq uint16, payload int) []byte {
	pkt := make([]byte, rtpHeader+payload)
	pkt[0], pkt[1] = 0x80, 96
	binary.BigEndian.PutUint16(pkt[2:], seq)
	binary.BigEndian.PutUint32(pkt[8:], ssrc)
	for i := rtpHeader; i < len(pkt); i++ {
		pkt[i] = byte(i)
	}
	return pkt
}

func rtcpPacket(ssrc uint32, words int) []byte {
	pkt := make([]byte, rtcpHeader+4*words)
	pkt[0], pkt[1] = 0x80, 200
	binary.BigEndian.PutUint16(pkt[2:], uint16(len(pkt)/4-1))
	binary.BigEndian.PutUint32(pkt[4:], ssrc)
	for i := rtcpHeader; i < len(pkt); i++ {
		pkt[i] = byte(i)
	}
	return pkt
}

func forProfiles(t *testing.T, f func(t *testing.T, p Profile)) {
	for _, p := range allProfiles {
		t.Run(p.String(), func(t *testing.T) { f(t, p) })
	}
}
