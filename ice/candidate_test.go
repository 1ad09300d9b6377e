package ice

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

// As browsers and others send them.
var realCandidates = []string{
	"candidate:0 1 UDP 2122187007 10.77.0.1 36875 typ host",
	"candidate:0 2 UDP 2122187006 10.77.0.1 38037 typ host",
	"candidate:0 1 UDP 2122187007 8ebf83b7-384e-4252-8da7-39c693070f12.local 57324 typ host",
	"candidate:1 1 UDP 2122252543 fd77::1 35284 typ host",
	"candidate:11 1 TCP 1015022591 fe80::28f1:78ff:fe9b:22cf 9 typ host tcptype active",
	"candidate:1387784122 1 tcp 1518214911 10.77.0.1 9 typ host tcptype active generation 0 network-id 1",
	"candidate:1740449977 1 udp 2122265343 fd77::1 43685 typ host generation 0 network-id 2",
	"candidate:842163049 1 udp 1677729535 198.51.100.7 3516 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag sXP5 network-cost 999",
	"candidate:2 1 udp 41885439 203.0.113.9 50000 typ relay raddr 198.51.100.7 rport 3516",
}

func TestParseCandidate(t *testing.T) {
	c, err := ParseCandidate("a=" + realCandidates[7])
	if err != nil {
		t.Fatal(err)
	}
	want := Candidate{
		Foundation: "842163049", Component: 1, Transport: "udp", Priority: 1677729535,
		Addr: netip.MustParseAddrPort("198.51.100.7:3516"), Type: TypeServerReflexive,
		Related: netip.MustParseAddrPort("0.0.0.0:0"), Ufrag: "sXP5",
		Extensions: []Extension{{"generation", "0"}, {"network-cost", "999"}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	for _, s := range realCandidates {
		c, err := ParseCandidate(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		again, err := ParseCandidate(c.String())
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%s\nbecomes %s: %v", s, c, err)
		}
	}
}

func TestParseCandidateRefuses(t *testing.T) {
	for _, s := range []string{
		"", "candidate:", "candidate:1 1 udp 1 10.0.0.1 1 typ",
		"candidate:1 0 udp 1 10.0.0.1 1 typ host",
		"candidate:1 257 udp 1 10.0.0.1 1 typ host",
		"candidate:1 1 u:dp 1 10.0.0.1 1 typ host",
		"candidate:1 1 udp -1 10.0.0.1 1 typ host",
		"candidate:1 1 udp 99999999999 10.0.0.1 1 typ host",
		"candidate:1 1 udp 1 10.0.0.1 65536 typ host",
		"candidate:1 1 udp 1 10.0.0.1 1 type host",
		"candidate:1 1 udp 1 10.0.0.1 1 typ other",
		"candidate:1 1 udp 1 10.0.0.1 1 typ host raddr",
		"candidate:1 1 udp 1 10.0.0.1 1 typ host rport x",
		"candidate:1 1 udp 1 10.0.0.1 1 typ host ufrag a:b",
		"candidate:1 1 udp 1 fe80::1%eth0 1 typ host",
		"candidate:1 1 udp 1 10.0.0 1 typ host",
		"candidate:1 1 udp 1 a..local 1 typ host",
		"candidate:(1) 1 udp 1 10.0.0.1 1 typ host",
		"candidate:123456789012345678901234567890123 1 udp 1 10.0.0.1 1 typ host",
	} {
		if c, err := ParseCandidate(s); !errors.Is(err, ErrCandidate) {
			t.Errorf("%q gives %+v, %v", s, c, err)
		}
	}
}

func TestLocalNames(t *testing.T) {
	for host, want := range map[string]bool{
		"x.local": true, "X.LOCAL": true, "x.local.": true, "local": false, "x.local.example": false, "": false,
	} {
		if got := (&Candidate{Host: host}).isLocalName(); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func FuzzParseCandidate(f *testing.F) {
	for _, s := range realCandidates {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCandidate(s)
		if err != nil {
			return
		}
		again, err := ParseCandidate(c.String())
		if err != nil {
			t.Fatalf("%q becomes %q: %v", s, c, err)
		}
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("%q becomes %+v, then %+v", s, c, again)
		}
	})
}
