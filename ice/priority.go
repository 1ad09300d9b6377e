package ice

import (
	"net/netip"
	"slices"
	"strconv"
)

// Type preferences (RFC 8445 §5.1.2.2).
var typePreference = [...]uint32{TypeHost: 126, TypePeerReflexive: 110, TypeServerReflexive: 100, TypeRelay: 0}

// candidatePriority is the formula of RFC 8445 §5.1.2.1 for component 1.
func candidatePriority(t CandidateType, localPref uint16) uint32 {
	return typePreference[t]<<24 | uint32(localPref)<<8 | (256 - 1)
}

// pairPriority is the formula of RFC 8445 §6.1.2.3; g is the controlling side's candidate.
func pairPriority(g, d uint32) uint64 {
	p := uint64(min(g, d))<<32 + 2*uint64(max(g, d))
	if g > d {
		p++
	}
	return p
}

// usableLocals drops what no candidate is made of (RFC 8445 §5.1.1.1), and repetitions.
func usableLocals(addrs []netip.Addr) []netip.Addr {
	var kept []netip.Addr
	for _, addr := range addrs {
		addr = addr.Unmap()
		if addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() && !deprecated(addr) && !slices.Contains(kept, addr) &&
			len(kept) < maxBases {
			kept = append(kept, addr)
		}
	}
	return kept
}

var siteLocal = netip.MustParsePrefix("fec0::/10")

// deprecated tells whether an address is IPv4-compatible or site-local (RFC 8445 §5.1.1.1: MUST NOT be included).
func deprecated(addr netip.Addr) bool {
	if addr.Is4() || addr.IsLoopback() {
		return false
	}
	b := addr.As16()
	return [12]byte(b[:12]) == [12]byte{} || siteLocal.Contains(addr)
}

// localPreferences orders the addresses of a host as RFC 8421 §4 wants it: IPv6 first, but IPv4 mixed in evenly, so that a
// family that does not work costs no more than its share of the checks; within a family in the order of the driver, except
// that loopback and link-local addresses come last. The result holds a preference for each address, each a different one.
func localPreferences(addrs []netip.Addr) []uint16 {
	var six, four []int
	for _, special := range []bool{false, true} {
		for i, addr := range addrs {
			if (addr.IsLoopback() || addr.IsLinkLocalUnicast()) != special {
				continue
			}
			if addr.Is4() {
				four = append(four, i)
			} else {
				six = append(six, i)
			}
		}
	}
	// This many IPv6 candidates go before each IPv4 one.
	each := 1
	if len(four) > 0 {
		each = max(1, (len(six)+len(four))/(len(four)+1))
	}
	prefs := make([]uint16, len(addrs))
	next := uint16(65535)
	take := func(list []int, n int) []int {
		for ; n > 0 && len(list) > 0; n-- {
			prefs[list[0]] = next
			list = list[1:]
			next--
		}
		return list
	}
	for len(six)+len(four) > 0 {
		six = take(six, each)
		four = take(four, 1)
	}
	return prefs
}

// foundations names what candidates have in common (RFC 8445 §5.1.1.3): type, base address, server and transport.
// There are few, so the place in the list, from one on, is the name.
type foundations []foundation

type foundation struct {
	kind         CandidateType
	base, server netip.Addr
	tcp          bool
}

func (f *foundations) of(t CandidateType, b *base, server netip.Addr) string {
	wanted := foundation{t, b.local.Addr(), server, b.tcp != tcpNone}
	i := slices.Index(*f, wanted)
	if i < 0 {
		i = len(*f)
		*f = append(*f, wanted)
	}
	return strconv.Itoa(i + 1)
}
