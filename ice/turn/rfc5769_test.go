package turn

import (
	"encoding/hex"
	"testing"

	"github.com/pion/stun/v3"
)

// What the vectors with long-term credentials have in common; the password is as OpaqueString leaves it.
const (
	vectorUser     = "マトリックス"
	vectorPassword = "TheMatrIX"
	vectorNonce    = "f//499k954d6OL34oL9FSTvy64sA"
)

// vectorLongTerm is RFC 5769 §2.4, and vectorUserhash RFC 8489 appendix B.1 as its verified erratum has it: with the
// PASSWORD-ALGORITHM that its key is made by.
const (
	vectorLongTerm = "000100602112a44278ad3433c6ad72c029da412e" +
		"00060012e3839ee38388e383aae38383e382afe382b90000" +
		"0015001c662f2f3439396b3935346436" + "4f4c33346f4c39465354767936347341" +
		"0014000b6578616d706c652e6f726700" +
		"00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
	vectorUserhash = "000100902112a44278ad3433c6ad72c029da412e" +
		"001e00204a3cf38fef6992bda952c6780417da0f2481941556" + "9e60b205c46e41407f1704" +
		"001500296f62" + "4d61744a6f7332414141" + "43662f2f3439396b393534643" + "64f4c33346f4c39465354767936347341000000" +
		"0014000b6578616d706c652e6f726700" +
		"001d000400020000" +
		"001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65"
)

func TestRFC5769Section24LongTermCredentials(t *testing.T) {
	raw, err := hex.DecodeString(vectorLongTerm)
	if err != nil {
		t.Fatal(err)
	}
	var a attributes
	if !a.parse(raw) || a.malformed || a.unknowns > 0 {
		t.Fatalf("%+v", a)
	}
	if string(a.username) != vectorUser || string(a.nonce) != vectorNonce || string(a.realm) != realm || !a.hasSHA1 {
		t.Errorf("%+v", a)
	}
	wantOnly(t, raw, integrity{key: longTermKey(algorithmMD5, vectorUser, realm, vectorPassword)})
}

func TestRFC8489AppendixBUserhash(t *testing.T) {
	raw, err := hex.DecodeString(vectorUserhash)
	if err != nil {
		t.Fatal(err)
	}
	var a attributes
	if !a.parse(raw) || a.malformed || a.unknowns > 0 {
		t.Fatalf("%+v", a)
	}
	if hash := userhash(vectorUser, realm); string(a.userhash) != string(hash[:]) || a.username != nil {
		t.Errorf("userhash %x", a.userhash)
	}
	if string(a.nonce) != "obMatJos2AAAC"+vectorNonce || string(a.algorithm) != "\x00\x02\x00\x00" || !a.hasSHA256 || a.hasSHA1 {
		t.Errorf("%+v", a)
	}
	if f := nonceFeatures(a.nonce); f != featureUserhash {
		t.Errorf("features %b", f)
	}
	wantOnly(t, raw, integrity{longTermKey(algorithmSHA256, vectorUser, realm, vectorPassword), true})
}

// wantOnly wants the key to fit, and no other message and no other key to.
func wantOnly(t *testing.T, raw []byte, key integrity) {
	t.Helper()
	if !key.check(raw) {
		t.Error("the integrity of the vector is not right")
	}
	for i := range raw {
		raw[i] ^= 1
		if walk(raw, func(stun.AttrType, []byte) bool { return true }) && key.check(raw) {
			t.Errorf("a change of byte %d goes unnoticed", i)
		}
		raw[i] ^= 1
	}
	for _, algorithm := range []int{algorithmMD5, algorithmSHA256} {
		if (integrity{longTermKey(algorithm, vectorUser, realm, vectorPassword+"!"), key.sha256}).check(raw) {
			t.Error("another password fits")
		}
	}
}
