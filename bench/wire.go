package main

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// wire is what stands between two peers: nothing (the zero value: plain loopback), or a relay, put there by rewriting
// the candidates of each description on its way to the other peer.
type wire struct {
	beforeA netip.AddrPort // where A sends what is meant for B
	beforeB netip.AddrPort // where B sends what is meant for A
}

func (w wire) relayed() bool { return w.beforeA.IsValid() }

var errNoCandidate = errors.New("no UDP candidate in the description")

// rewrite returns the description with one candidate left, at the address given, so that every packet to the
// description's owner goes there. Without a relay the description is returned as it is.
func (w wire) rewrite(sdp string, at netip.AddrPort) (string, error) {
	if !w.relayed() {
		return sdp, nil
	}
	var out strings.Builder
	found := false
	for line := range strings.Lines(sdp) {
		if !strings.HasPrefix(line, "a=candidate:") {
			out.WriteString(line)
			continue
		}
		// foundation component transport priority address port … (RFC 8839 section 5.1)
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[1] != "1" || !strings.EqualFold(fields[2], "udp") || found {
			continue
		}
		found = true
		fields[4], fields[5] = at.Addr().String(), strconv.Itoa(int(at.Port()))
		out.WriteString(strings.Join(fields, " ") + "\r\n")
	}
	if !found {
		return "", errNoCandidate
	}
	return out.String(), nil
}

// parseWire reads the two addresses that a child process is told, "A,B"; nothing: plain loopback.
func parseWire(s string) (wire, error) {
	if s == "" {
		return wire{}, nil
	}
	a, b, _ := strings.Cut(s, ",")
	beforeA, err := netip.ParseAddrPort(a)
	if err != nil {
		return wire{}, err
	}
	beforeB, err := netip.ParseAddrPort(b)
	if err != nil {
		return wire{}, err
	}
	return wire{beforeA: beforeA, beforeB: beforeB}, nil
}

func (w wire) String() string {
	if !w.relayed() {
		return ""
	}
	return w.beforeA.String() + "," + w.beforeB.String()
}
