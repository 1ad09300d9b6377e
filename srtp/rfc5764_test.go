package srtp

import (
	"bytes"
	"errors"
	"testing"
)

func TestRFC5764KeyingMaterial(t *testing.T) {
	for p, want := range map[Profile]int{
		ProfileAES128CMHMACSHA1_80: 60, ProfileAEADAES128GCM: 56, ProfileAEADAES256GCM: 88, 0: 0, 0x1234: 0,
	} {
		if got := KeyingMaterialLength(p); got != want {
			t.Errorf("%v: %d bytes, want %d", p, got, want)
		}
	}
	t.Log("# client_write_key ‖ server_write_key ‖ client_write_salt ‖ server_write_salt")
	m := testMaterial(ProfileAES128CMHMACSHA1_80)
	local, remote, err := SplitKeyingMaterial(ProfileAES128CMHMACSHA1_80, m, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range [][]byte{local.Key, remote.Key, local.Salt, remote.Salt} {
		want := [][]byte{m[:16], m[16:32], m[32:46], m[46:]}[i]
		if !bytes.Equal(got, want) {
			t.Errorf("part %d: %x, want %x", i, got, want)
		}
	}
	serverLocal, serverRemote, _ := SplitKeyingMaterial(ProfileAES128CMHMACSHA1_80, m, false)
	if !bytes.Equal(serverLocal.Key, remote.Key) || !bytes.Equal(serverRemote.Salt, local.Salt) {
		t.Error("the server's keys are not the client's turned round")
	}
	if _, _, err := SplitKeyingMaterial(ProfileAES128CMHMACSHA1_80, m[1:], true); !errors.Is(err, ErrKeyLength) {
		t.Errorf("short material: %v", err)
	}
	if _, _, err := SplitKeyingMaterial(9, m, true); !errors.Is(err, ErrProfile) {
		t.Errorf("unknown profile: %v", err)
	}
	if _, err := New(Config{Profile: 9}); !errors.Is(err, ErrProfile) {
		t.Errorf("unknown profile: %v", err)
	}
	if _, err := New(Config{Profile: ProfileAEADAES256GCM, Local: local, Remote: remote}); !errors.Is(err, ErrKeyLength) {
		t.Errorf("short keys: %v", err)
	}
	for _, p := range Profiles() {
		if !p.Supported() {
			t.Errorf("%v", p)
		}
	}
}
