package main

import (
	"errors"
	"net/netip"
	"testing"
)

func TestRewriteLeavesOneCandidateAtTheRelay(t *testing.T) {
	w := wire{beforeA: netip.MustParseAddrPort("127.0.0.1:1"), beforeB: netip.MustParseAddrPort("127.0.0.1:2")}
	sdp := "v=0\r\n" +
		"a=candidate:1 1 tcp 2130706431 127.0.0.1 9 typ host tcptype active\r\n" +
		"a=candidate:2 1 udp 2130706431 127.0.0.1 40000 typ host ufrag x\r\n" +
		"a=candidate:3 1 udp 2130706175 127.0.0.1 40001 typ host\r\n" +
		"a=mid:0\r\n"
	got, err := w.rewrite(sdp, w.beforeB)
	if err != nil {
		t.Fatal(err)
	}
	want := "v=0\r\na=candidate:2 1 udp 2130706431 127.0.0.1 2 typ host ufrag x\r\na=mid:0\r\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := w.rewrite("v=0\r\n", w.beforeB); !errors.Is(err, errNoCandidate) {
		t.Errorf("without a candidate: %v", err)
	}
	if got, err := (wire{}).rewrite(sdp, netip.AddrPort{}); err != nil || got != sdp {
		t.Errorf("plain loopback: %v", err)
	}
}

func TestWireGoesThroughAFlag(t *testing.T) {
	w := wire{beforeA: netip.MustParseAddrPort("127.0.0.1:1"), beforeB: netip.MustParseAddrPort("127.0.0.1:2")}
	if got, err := parseWire(w.String()); err != nil || got != w {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := parseWire(wire{}.String()); err != nil || got.relayed() {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parseWire("nonsense"); err == nil {
		t.Error("nonsense accepted")
	}
}
