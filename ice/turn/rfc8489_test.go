package turn

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// §9.2.2, §14.4: keys and user hashes, against values computed by other means.
func TestKeys(t *testing.T) {
	for want, got := range map[string][]byte{
		"bf9f8cc2da128fcb78077f794a818f9d3ccf550dab291cb21c82f29a153b3355": longTermKey(algorithmSHA256, "user", "example.org", "secret"),
		"8493fbc53ba582fb4c044c456bdc40eb":                                 longTermKey(algorithmMD5, "user", "realm", "pass"), // RFC 5389 §15.4
	} {
		if hex.EncodeToString(got) != want {
			t.Errorf("key %x, want %s", got, want)
		}
	}
	if hash := userhash("user", "example.org"); hex.EncodeToString(hash[:]) != "cf9fa894dfc9b7680968aec1efb3a6b8b2a1cac25c0461cab3b0c2f87c25eeaf" {
		t.Errorf("userhash %x", hash)
	}
}

// §14.6: a request with MESSAGE-INTEGRITY-SHA256, against bytes made by other means.
func TestIntegritySHA256(t *testing.T) {
	const want = "000300902112a4420102030405060708090a0b0c0019000411000000001e0020cf9fa894dfc9b7680968aec1efb3a6b8b2a1cac25c0461cab3b0c2f87c25eeaf" +
		"0014000b6578616d706c652e6f726700001500166f624d61744a6f7332674141416e6f6e63652d6f6e650000001d000400020000800200080002000000010000" +
		"001c002096e0543436ff8a3e47cd6726e304d2a8517fb2ebb9b8512b11649f9109a63e24"
	raw, _ := hex.DecodeString(want)
	key := integrity{longTermKey(algorithmSHA256, "user", "example.org", "secret"), true}
	var m stun.Message
	start(&m, stun.NewType(stun.MethodAllocate, stun.ClassRequest), [12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	walk(raw, func(at stun.AttrType, v []byte) bool {
		if at == stun.AttrMessageIntegritySHA256 {
			key.seal(&m)
		} else {
			m.Add(at, v)
		}
		return true
	})
	if !bytes.Equal(m.Raw, raw) {
		t.Errorf("%x, want %s", m.Raw, want)
	}
	if !key.check(raw) {
		t.Error("the integrity should be right")
	}
	for i := range raw {
		raw[i] ^= 1
		if walk(raw, func(stun.AttrType, []byte) bool { return true }) && key.check(raw) {
			t.Errorf("a change of byte %d goes unnoticed", i)
		}
		raw[i] ^= 1
	}
}

// §14.6: the value may be cut to no less than 16 bytes.
func TestIntegritySHA256Cut(t *testing.T) {
	key := integrity{[]byte("key"), true}
	for _, n := range []int{12, 16, 18, 20, 28, 32} {
		var m stun.Message
		start(&m, stun.BindingRequest, [12]byte{})
		m.Add(stun.AttrSoftware, []byte("soft"))
		m.Add(stun.AttrMessageIntegritySHA256, make([]byte, n))
		h, _ := key.mac()
		h.Write(m.Raw[:28])
		copy(m.Raw[32:], h.Sum(nil)[:n])
		if got, want := key.check(m.Raw), n >= 16 && n%4 == 0; got != want {
			t.Errorf("%d bytes: %t", n, got)
		}
	}
}

// §9.2.4: the server's order of checks.
func TestSection924Authentication(t *testing.T) {
	s := newScript(t, nil)
	s.want("no integrity", s.bare(stun.MethodAllocate, transportUDP, attribute{stun.AttrUsername, []byte(user)}), 401)
	request := func(list ...attribute) *answer {
		m := s.message(stun.NewType(stun.MethodAllocate, stun.ClassRequest), append(list, transportUDP)...)
		integrity{key: longTermKey(algorithmMD5, user, realm, password)}.seal(m)
		return s.recv(m.Raw)
	}
	name, place := attribute{stun.AttrUsername, []byte(user)}, attribute{stun.AttrRealm, []byte(realm)}
	s.want("no nonce", request(name, place), 400)
	s.signed(stun.MethodRefresh)
	nonce := attribute{stun.AttrNonce, s.nonce}
	s.want("no realm", request(name, nonce), 400)
	s.want("no user", request(place, nonce), 400)
	r := request(name, place, attribute{stun.AttrNonce, []byte("obMatJos2AAABmade up")})
	s.want("another nonce", r, 438)
	if len(r.a.nonce) == 0 || string(r.a.realm) != realm || r.a.hasSHA1 {
		t.Errorf("438 without what it must have: %+v", r.a)
	}
	s.want("another realm", request(name, attribute{stun.AttrRealm, []byte("else")}, nonce), 401)
	s.want("unknown user", request(attribute{stun.AttrUsername, []byte("eve")}, place, nonce), 401)
	s.want("user hash that was not offered", request(attribute{stun.AttrUserhash, make([]byte, 32)}, place, nonce), 401)
	s.password = "wrong"
	s.want("wrong password", s.request(stun.MethodAllocate, transportUDP), 401)
	s.password = password
	s.want("all well", s.request(stun.MethodAllocate, transportUDP), 0)
}

// §9.2.4: "If neither is present, MD5"; lists that are not the server's are refused, so that nobody on the way takes the
// better one away.
func TestSection924Algorithms(t *testing.T) {
	list := attribute{stun.AttrPasswordAlgorithms, passwordAlgorithms}
	use := func(n byte) attribute { return attribute{stun.AttrPasswordAlgorithm, []byte{0, n, 0, 0}} }
	for _, c := range []struct {
		what string
		list []attribute
		key  int
		sha  bool
		code int
	}{
		{"SHA-256", []attribute{list, use(2)}, algorithmSHA256, true, 0},
		{"MD5 of the list", []attribute{list, use(1)}, algorithmMD5, true, 0},
		{"neither", nil, algorithmMD5, false, 0},
		{"the list alone", []attribute{list}, algorithmSHA256, true, 400},
		{"the choice alone", []attribute{use(2)}, algorithmSHA256, true, 400},
		{"another list", []attribute{{stun.AttrPasswordAlgorithms, []byte{0, 1, 0, 0}}, use(1)}, algorithmMD5, true, 400},
		{"none of the list", []attribute{list, use(3)}, algorithmMD5, true, 400},
		{"list with the old integrity", []attribute{list, use(1)}, algorithmMD5, false, 400},
	} {
		s := newScript(t, nil)
		s.signed(stun.MethodRefresh)
		all := append([]attribute{
			transportUDP, {stun.AttrUsername, []byte(user)}, {stun.AttrRealm, []byte(realm)}, {stun.AttrNonce, s.nonce},
		}, c.list...)
		m := s.message(stun.NewType(stun.MethodAllocate, stun.ClassRequest), all...)
		key := integrity{longTermKey(c.key, user, realm, password), c.sha}
		key.seal(m)
		r := s.recv(m.Raw)
		s.want(c.what, r, c.code)
		if r.code == 0 && (r.a.hasSHA256 != c.sha || r.a.hasSHA1 == c.sha || !key.check(r.raw)) {
			t.Errorf("%s: the answer is not sealed as the request", c.what)
		}
	}
}

// §14.5: what follows MESSAGE-INTEGRITY is ignored.
func TestNothingBehindTheIntegrityCounts(t *testing.T) {
	s, _ := allocated(t, nil)
	raw := s.signed(stun.MethodRefresh)
	var m stun.Message
	if err := stun.Decode(raw, &m); err != nil {
		t.Fatal(err)
	}
	addUint32(&m, stun.AttrLifetime, 0)
	s.want("refresh with a deletion behind", s.recv(m.Raw), 0)
	if len(s.s.allocations) != 1 {
		t.Error("somebody on the way has ended the allocation")
	}
}

// §9.2: nonces are the client's own, and end.
func TestNoncesCannotBeUsedByOthers(t *testing.T) {
	s, _ := allocated(t, nil)
	stolen := s.nonce
	s.from.Remote = netip.MustParseAddrPort("31.0.0.2:5000")
	s.want("another address", s.request(stun.MethodAllocate, transportUDP), 438)
	s.from.Remote = netip.MustParseAddrPort("31.0.0.1:5001")
	s.want("another port", s.request(stun.MethodAllocate, transportUDP), 438)
	s.from = FiveTuple{Listener: 2, Remote: clientAddr}
	s.want("another listener", s.request(stun.MethodAllocate, transportUDP), 438)
	s.from = tuple
	s.pass(10*time.Minute - time.Second)
	s.want("near the end", s.request(stun.MethodRefresh), 0)
	s.pass(time.Second)
	s.want("after", s.request(stun.MethodRefresh), 438)
	s.now = s.now.Add(-11 * time.Minute)
	s.want("before its time", s.request(stun.MethodRefresh), 438)
	for i := range stolen {
		changed := bytes.Clone(stolen)
		changed[i] ^= 0x20
		if s.s.nonces.valid(s.now.Add(5*time.Minute), tuple, changed) {
			t.Errorf("a change of byte %d goes unnoticed", i)
		}
	}
}

// §12.1: Binding requests need no credentials.
func TestBinding(t *testing.T) {
	s := newScript(t, func(c *ServerConfig) { c.Auth = nil })
	r := s.bare(stun.MethodBinding)
	s.want("binding", r, 0)
	if r.a.mapped != clientAddr || len(r.raw) != 32 {
		t.Errorf("%+v, %d bytes", r.a, len(r.raw))
	}
	s.want("unknown attribute", s.bare(stun.MethodBinding, attribute{0x7f01, nil}), 420)
	s.want("allocation on a STUN server", s.bare(stun.MethodAllocate, transportUDP), 403)
	if s.recv(s.message(stun.NewType(stun.MethodBinding, stun.ClassIndication)).Raw) != nil {
		t.Error("an indication is not answered")
	}
}

// §14.7: a wrong FINGERPRINT makes a message none.
func TestFingerprint(t *testing.T) {
	s := newScript(t, nil)
	m := s.message(stun.BindingRequest)
	if err := stun.Fingerprint.AddTo(m); err != nil {
		t.Fatal(err)
	}
	s.want("right", s.recv(m.Raw), 0)
	m.Raw[len(m.Raw)-1] ^= 1
	if s.recv(m.Raw) != nil {
		t.Error("a wrong fingerprint is not answered")
	}
}
