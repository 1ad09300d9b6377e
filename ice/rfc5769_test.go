package ice

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/pion/stun/v3"
)

// The test vectors of RFC 5769 §2.1 to §2.3.
const (
	vectorPassword = "VOkJxbRl1RmTxUk/WvJxBt"

	vectorRequest = "\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
		"\x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff" +
		"\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\x00\x06\x00\x09evtj:h6vY\x20\x20\x20" +
		"\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2" +
		"\x80\x28\x00\x04\xe5\x7a\x3b\xcf"

	vectorResponse4 = "\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
		"\x80\x22\x00\x0btest vector\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43" +
		"\x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7" +
		"\x80\x28\x00\x04\xc0\x7d\x4c\x96"

	vectorResponse6 = "\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
		"\x80\x22\x00\x0btest vector\x20\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79" +
		"\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9" +
		"\x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41" +
		"\x80\x28\x00\x04\xc8\xfb\x0b\x4c"
)

func TestRFC5769_SampleRequest(t *testing.T) {
	s := newSilentScript(t, RoleControlling, func(c *Config) {
		c.Local = Parameters{Ufrag: "evtj", Pwd: vectorPassword}
	})
	s.peer.Ufrag = "h6vY"
	s.setRemote()
	t.Log("# the whole agent takes it as a check, and answers it")
	if err := s.recv(peerAddr, []byte(vectorRequest)); err != nil {
		t.Fatal(err)
	}
	answer := s.sent()[0]
	if answer.Type != stun.BindingSuccess || !bytes.Equal(answer.TransactionID[:], []byte(vectorRequest)[8:20]) {
		t.Errorf("answer %v", answer.Message)
	}
	if !s.a.decode([]byte(vectorRequest)) {
		t.Fatal("does not decode")
	}
	got := interpret(&s.a.rx)
	if got.priority != 0x6e0001ff || !got.controlled || got.tieBreaker != 0x932ff9b151263b36 {
		t.Errorf("attributes %+v", got)
	}
}

func TestRFC5769_SampleResponses(t *testing.T) {
	s := newSilentScript(t, RoleControlling)
	for raw, want := range map[string]netip.AddrPort{
		vectorResponse4: netip.MustParseAddrPort("192.0.2.1:32853"),
		vectorResponse6: netip.MustParseAddrPort("[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
	} {
		if !s.a.decode([]byte(raw)) {
			t.Fatal("does not decode")
		}
		m := &s.a.rx
		if !fingerprintOK(m, true) || !integrityOK(m, []byte(vectorPassword)) {
			t.Error("fingerprint or integrity")
		}
		if got := interpret(m).mapped; got != want {
			t.Errorf("mapped %v, want %v", got, want)
		}
		t.Log("# and back")
		back := s.a.start(stun.BindingSuccess, m.TransactionID)
		back.Add(stun.AttrSoftware, []byte("test vector"))
		addXORAddress(back, want)
		// The vectors pad with spaces where we pad with zeros, so only the address is compared.
		if !bytes.Contains([]byte(raw), back.Raw[len(back.Raw)-8:]) {
			t.Error("the address is encoded differently")
		}
		for i := range raw {
			bad := []byte(raw)
			bad[i] ^= 0x10
			if s.a.decode(bad) && fingerprintOK(&s.a.rx, true) && integrityOK(&s.a.rx, []byte(vectorPassword)) {
				t.Errorf("a flip at %d goes unnoticed", i)
			}
		}
	}
}
