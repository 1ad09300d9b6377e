//go:build linux

package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// NAT is what a router does with the packets of the host behind it (RFC 4787, section 4 and 5).
type NAT string

// The kinds of routers.
const (
	// Open routes: the host's own address can be reached.
	Open NAT = "open"
	// FullCone maps and filters whatever the peer is.
	FullCone NAT = "full cone"
	// Cone maps whatever the peer is, and lets in only who was written to, port by port.
	Cone NAT = "cone"
	// Symmetric takes a new port for each peer.
	Symmetric NAT = "symmetric"
	// NoUDP is a cone that lets no UDP through at all.
	NoUDP NAT = "no UDP"
)

// NATs are all kinds of routers.
var NATs = []NAT{Open, FullCone, Cone, Symmetric, NoUDP}

// Internet is a host in the middle that joins routers.
type Internet struct {
	Host
	routers int
}

// NewInternet makes one that itself has the given addresses, for servers.
func NewInternet(t testing.TB, addrs ...string) *Internet {
	t.Helper()
	n := &Internet{Host: NewHost(t)}
	must(t, n.forward())
	for _, a := range addrs {
		must(t, n.ip("addr add "+a+"/32 dev lo"))
	}
	// Packets to addresses that are nowhere vanish. Without a route sendto would fail, and for that coturn drops the
	// whole allocation.
	must(t, n.ip("link add void type veth peer name pit"))
	must(t, n.ip("link set void arp off up"))
	must(t, n.ip("link set pit up"))
	must(t, n.ip("route add default dev void"))
	return n
}

// forward makes a router of the host.
func (h Host) forward() error {
	return h.within(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	})
}

// A Router joins one host to the internet.
type Router struct {
	Host
	internet *Internet
	number   int
	nat      NAT
	plugged  bool
}

// NewRouter makes a router.
func (n *Internet) NewRouter(t testing.TB, nat NAT) *Router {
	t.Helper()
	n.routers++
	r := &Router{Host: NewHost(t), internet: n, number: n.routers}
	must(t, r.forward())
	wire(t, n.Host, fmt.Sprintf("wan%d", r.number), r.Host, "wan")
	must(t, n.ip(fmt.Sprintf("addr add 198.51.100.%d/30 dev wan%d", 4*r.number+1, r.number)))
	must(t, r.ip(fmt.Sprintf("addr add %s/30 dev wan", r.Outside())))
	must(t, r.ip(fmt.Sprintf("route add default via 198.51.100.%d", 4*r.number+1)))
	r.Become(t, nat)
	return r
}

// Outside is the router's address on the internet.
func (r *Router) Outside() string { return fmt.Sprintf("198.51.100.%d", 4*r.number+2) }

// Inside is the address that Plug gives to a host.
func (r *Router) Inside() string { return fmt.Sprintf("10.%d.0.2", r.number) }

// Become makes another kind of router of it. Connections that there are keep what they have.
func (r *Router) Become(t testing.TB, nat NAT) {
	t.Helper()
	if r.nat == nat {
		return
	}
	route := fmt.Sprintf("10.%d.0.0/24 via %s", r.number, r.Outside())
	switch {
	case nat == Open:
		must(t, r.internet.ip("route add "+route))
	case r.nat == Open:
		must(t, r.internet.ip("route del "+route))
	}
	r.nat = nat
	nft := r.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(r.rules())
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("lab: nft: %v: %s", err, out)
	}
}

// rules are the router's nftables.
func (r *Router) rules() string {
	const (
		source = "\tchain source { type nat hook postrouting priority srcnat; oifname wan %s; }\n"
		// Nothing that comes unasked leaves a trace. Delivered to the router itself, it would have an entry in the table
		// of connections and with it the port that the host behind is about to use towards the same peer: a cone would
		// turn into a symmetric NAT where both sides punch at the same time.
		itself  = "\tchain itself { type filter hook input priority filter; iifname wan ct state new drop; }\n"
		through = "\tchain through { type filter hook forward priority filter; %s }\n"
		unasked = "iifname wan ct state new drop;"
	)
	var body string
	switch r.nat {
	case Open:
	case FullCone:
		body = fmt.Sprintf(source, "masquerade persistent") + itself +
			"\tchain inwards { type nat hook prerouting priority dstnat; iifname wan meta l4proto udp dnat to " + r.Inside() + "; }\n"
	case Cone:
		body = fmt.Sprintf(source, "masquerade") + itself + fmt.Sprintf(through, unasked)
	case Symmetric:
		body = fmt.Sprintf(source, "masquerade fully-random") + itself + fmt.Sprintf(through, unasked)
	case NoUDP:
		body = fmt.Sprintf(source, "masquerade") + itself + fmt.Sprintf(through, "meta l4proto udp drop; "+unasked)
	}
	return "flush ruleset\ntable ip nat {\n" + body + "}\n"
}

// routeDelay is how long a host has an address before it has the route that goes with it.
const routeDelay = 100 * time.Millisecond

// Plug joins a host to the router, by an interface with the address Inside, and has it send everything there. The link to
// the router with the lowest number is preferred. A host that is joined already stays so.
func (r *Router) Plug(t testing.TB, h Host) {
	t.Helper()
	if r.plugged {
		return
	}
	r.plugged = true
	dev := fmt.Sprintf("eth%d", r.number)
	wire(t, r.Host, "lan", h, dev)
	must(t, r.ip(fmt.Sprintf("addr add 10.%d.0.1/24 dev lan", r.number)))
	must(t, h.ip(fmt.Sprintf("addr add %s/24 dev %s", r.Inside(), dev)))
	time.Sleep(routeDelay)
	must(t, h.ip(fmt.Sprintf("route add default via 10.%d.0.1 dev %s metric %d", r.number, dev, 100+r.number)))
}

// Unplug removes the interface that Plug has made, if there is one.
func (r *Router) Unplug(t testing.TB) {
	t.Helper()
	if r.plugged {
		r.plugged = false
		must(t, r.ip("link del lan"))
	}
}

// wire joins two hosts by a link.
func wire(t testing.TB, a Host, nameA string, b Host, nameB string) {
	t.Helper()
	must(t, a.ip(fmt.Sprintf("link add %s type veth peer name %s netns %d", nameA, nameB, b.pid)))
	must(t, a.ip("link set "+nameA+" up"))
	must(t, b.ip("link set "+nameB+" up"))
}
