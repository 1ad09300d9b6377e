package turn

import (
	"net/netip"
	"slices"
)

// denied are the ranges that no relay of a public server has business in: the special-purpose registries of RFC 6890 but
// for what is globally reachable, multicast, and what clouds put there (169.254.169.254, fd00:ec2::254).
var denied = parsePrefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", // unspecified, loopback, IPv4-compatible
	"64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
	"fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func parsePrefixes(list ...string) (prefixes []netip.Prefix) {
	for _, s := range list {
		prefixes = append(prefixes, netip.MustParsePrefix(s))
	}
	return prefixes
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// embedded returns the IPv4 address that a packet to addr ends up at, on some router: NAT64 (RFC 6052), 6to4
// (RFC 3056), ISATAP (RFC 5214).
func embedded(addr netip.Addr) (netip.Addr, bool) {
	b := addr.As16()
	switch {
	case addr.Is4():
		return netip.Addr{}, false
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:])), true
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe:
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return netip.Addr{}, false
}

// peerPolicy is the gate: which addresses may be peers. Everything that sends to a peer asks it, by way of a permission.
type peerPolicy struct {
	allow, deny []netip.Prefix
	hosts       []netip.Addr // our own
}

type verdict uint8

const (
	verdictDeny  verdict = iota
	verdictAllow         // by the network
	verdictLoop          // one of our own addresses: relays of ours are reached there, without the network, and nothing else
)

func (p *peerPolicy) judge(addr netip.Addr) verdict {
	switch {
	case !addr.IsValid() || addr.Zone() != "" || addr.Is4In6():
		return verdictDeny // IPv4 has a family of its own
	case contains(p.allow, addr):
		return verdictAllow
	case contains(p.deny, addr):
		return verdictDeny
	case slices.Contains(p.hosts, addr):
		return verdictLoop
	case contains(denied, addr):
		return verdictDeny
	}
	if inner, ok := embedded(addr); ok && p.judge(inner) != verdictAllow {
		return verdictDeny
	}
	return verdictAllow
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
}
