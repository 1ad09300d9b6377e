package turn

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// §5: "the server MUST require that all requests from clients be authenticated".
func TestSection5RequestsAreAuthenticated(t *testing.T) {
	s := newScript(t, nil)
	for _, m := range []stun.Method{stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
		r := s.bare(m, transportUDP)
		s.want(m.String(), r, 401)
		if string(r.a.realm) != realm || len(r.a.nonce) == 0 || r.a.hasSHA1 {
			t.Errorf("challenge %+v", r.a)
		}
	}
	if len(s.s.allocations) > 0 {
		t.Error("an allocation without credentials")
	}
}

// §5: "the server MUST ensure that every request" is of the user who made the allocation, "441 (Wrong Credentials)".
func TestSection5AllocationsBelongToTheirUser(t *testing.T) {
	s, _ := allocated(t, nil)
	s.user, s.password = "bob", "builder"
	s.want("refresh", s.request(stun.MethodRefresh), 441)
	s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 441)
	s.want("channel", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(peerAddr)), 441)
	if len(s.s.allocations) != 1 {
		t.Error("somebody else has ended the allocation")
	}
}

// §7.2: the checks of an Allocate request, in order.
func TestSection72Allocate(t *testing.T) {
	token := attribute{stun.AttrReservationToken, make([]byte, 8)}
	even := func(b byte) attribute { return attribute{stun.AttrEvenPort, []byte{b}} }
	family := func(f byte) attribute { return attribute{stun.AttrRequestedAddressFamily, []byte{f, 0, 0, 0}} }
	more := func(f byte) attribute { return attribute{attrAdditionalFamily, []byte{f, 0, 0, 0}} }
	for _, c := range []struct {
		what string
		list []attribute
		code int
	}{
		{"no transport", nil, 400},
		{"malformed transport", []attribute{{stun.AttrRequestedTransport, []byte{17}}}, 400},
		{"TCP relay", []attribute{{stun.AttrRequestedTransport, []byte{6, 0, 0, 0}}}, 442},
		{"unknown attribute", []attribute{transportUDP, {0x7f01, []byte{1}}}, 420},
		{"unknown family", []attribute{transportUDP, family(3)}, 440},
		{"token and even port", []attribute{transportUDP, token, even(0)}, 400},
		{"token and family", []attribute{transportUDP, token, family(1)}, 400},
		{"token that is not valid", []attribute{transportUDP, token}, 508},
		{"reservation of the next port", []attribute{transportUDP, even(0x80)}, 508},
		{"both family attributes", []attribute{transportUDP, family(1), more(2)}, 400},
		{"additional IPv4", []attribute{transportUDP, more(1)}, 400},
		{"additional with even port", []attribute{transportUDP, more(2), even(0)}, 400},
		{"even port", []attribute{transportUDP, even(0)}, 0},
		{"IPv6", []attribute{transportUDP, family(2)}, 0},
		{"both", []attribute{transportUDP, more(2)}, 0},
		{"whole datagrams", []attribute{transportUDP, {stun.AttrDontFragment, nil}}, 0},
		{"unknown optional attribute", []attribute{transportUDP, {0xff01, []byte{1}}}, 0},
	} {
		s := newScript(t, nil)
		r := s.request(stun.MethodAllocate, c.list...)
		s.want(c.what, r, c.code)
		if (r.code == 0) != (len(s.s.allocations) == 1) || (r.code != 0 && len(s.socket) > 0) {
			t.Errorf("%s: %d allocations, %d sockets", c.what, len(s.s.allocations), len(s.socket))
		}
		if !r.a.hasSHA1 || !(integrity{longTermKey(algorithmMD5, user, realm, password), false}).check(r.raw) {
			t.Errorf("%s: the answer is not sealed", c.what)
		}
	}
}

// §7.2: what a success response has.
func TestSection72Response(t *testing.T) {
	s := newScript(t, func(c *ServerConfig) { c.MinPort, c.MaxPort = 50000, 50009 })
	r := s.request(stun.MethodAllocate, transportUDP)
	relayed := r.a.relayed[0]
	if relayed.Addr() != netip.MustParseAddr("30.0.0.1") || relayed.Port() < 50000 || relayed.Port() > 50009 {
		t.Errorf("relayed address %v", relayed)
	}
	if r.a.mapped != clientAddr || r.a.lifetime != 600 {
		t.Errorf("mapped %v, lifetime %d", r.a.mapped, r.a.lifetime)
	}
}

// §7.2: a port that is taken is no failure; none at all is 508.
func TestSection72Ports(t *testing.T) {
	s := newScript(t, nil)
	s.refuse = maxBindAttempts - 1
	s.want("after many", s.request(stun.MethodAllocate, transportUDP), 0)
	s = newScript(t, nil)
	s.refuse = maxBindAttempts
	s.want("none", s.request(stun.MethodAllocate, transportUDP), 508)
	if len(s.s.allocations)+len(s.s.relays)+len(s.s.accounts)+len(s.s.addresses) > 0 {
		t.Error("something is left of a failure")
	}
}

func TestSection72EvenPort(t *testing.T) {
	even := attribute{stun.AttrEvenPort, []byte{0}}
	for ports, code := range map[[2]uint16]int{{50001, 50001}: 508, {50001, 50002}: 0, {50000, 50000}: 0, {50000, 50001}: 0, {1024, 65535}: 0} {
		s := newScript(t, func(c *ServerConfig) { c.MinPort, c.MaxPort = ports[0], ports[1] })
		r := s.request(stun.MethodAllocate, transportUDP, even)
		s.want("even port", r, code)
		if p := r.a.relayed[0].Port(); code == 0 && (p&1 != 0 || p < ports[0] || p > ports[1]) {
			t.Errorf("port %d of %v", p, ports)
		}
	}
}

// §7.2: a retransmission gets the same answer; another request on the 5-tuple gets 437.
func TestSection72Retransmission(t *testing.T) {
	s := newScript(t, nil)
	raw := s.signed(stun.MethodAllocate, transportUDP)
	first := s.recv(raw)
	s.pass(500 * time.Millisecond)
	again := s.recv(raw)
	s.want("again", again, 0)
	if again.a.relayed != first.a.relayed || len(s.socket) != 1 {
		t.Errorf("%v, then %v", first.a.relayed, again.a.relayed)
	}
	s.want("another", s.request(stun.MethodAllocate, transportUDP), 437)
}

// §7.2: "If the server can't satisfy the additional family, it MUST include ADDRESS-ERROR-CODE".
func TestSection72OneOfTwoFamilies(t *testing.T) {
	s := newScript(t, func(c *ServerConfig) { c.Relays = c.Relays[:1] })
	r := s.request(stun.MethodAllocate, transportUDP, attribute{attrAdditionalFamily, []byte{2, 0, 0, 0}})
	s.want("dual", r, 0)
	if !r.a.relayed[0].Addr().Is4() || r.a.relayed[1].IsValid() || r.a.familyError != 440 {
		t.Errorf("%+v", r.a)
	}
	s = newScript(t, func(c *ServerConfig) { c.Relays = c.Relays[:1] })
	s.want("IPv6 alone", s.request(stun.MethodAllocate, transportUDP, attribute{stun.AttrRequestedAddressFamily, []byte{2, 0, 0, 0}}), 440)
}

// §7.2, §8.2: the lifetime is at least the default and at most the maximum.
func TestSection72Lifetime(t *testing.T) {
	for want, asked := range map[uint32]uint32{600: 30, 1800: 1800, 3600: 100_000} {
		s := newScript(t, nil)
		if r := s.request(stun.MethodAllocate, transportUDP, lifetime(asked)); r.a.lifetime != want {
			t.Errorf("asked for %d, got %d", asked, r.a.lifetime)
		}
		if r := s.request(stun.MethodRefresh, lifetime(asked)); r.a.lifetime != want {
			t.Errorf("asked for %d, got %d by refresh", asked, r.a.lifetime)
		}
	}
}

// §8.2: Refresh without an allocation is 437; a lifetime of zero deletes.
func TestSection82Refresh(t *testing.T) {
	s, relayed := allocated(t, nil)
	s.pass(9 * time.Minute)
	s.want("refresh", s.request(stun.MethodRefresh), 0)
	s.pass(9 * time.Minute)
	s.nonce = nil
	s.want("permission, after 18 minutes", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 0)
	wrong := s.request(stun.MethodRefresh, attribute{stun.AttrRequestedAddressFamily, []byte{2, 0, 0, 0}})
	s.want("refresh of another family", wrong, 443)
	if r := s.request(stun.MethodRefresh, lifetime(0)); r.code != 0 || !r.a.hasLifetime || r.a.lifetime != 0 {
		t.Errorf("deletion: %+v", r)
	}
	if _, ok := s.deliver(relayed, peerAddr, "x"); ok || len(s.socket) > 0 {
		t.Error("the relay lives on")
	}
	s.want("refresh of nothing", s.request(stun.MethodRefresh), 437)
	s.want("deletion of nothing", s.request(stun.MethodRefresh, lifetime(0)), 437)
}

// §8.2: one of two addresses is given back.
func TestSection82OneOfTwo(t *testing.T) {
	s := newScript(t, nil)
	s.want("dual", s.request(stun.MethodAllocate, transportUDP, attribute{attrAdditionalFamily, []byte{2, 0, 0, 0}}), 0)
	s.want("deletion of one", s.request(stun.MethodRefresh, lifetime(0), attribute{stun.AttrRequestedAddressFamily, []byte{2, 0, 0, 0}}), 0)
	s.want("IPv6 peer", s.request(stun.MethodCreatePermission, xorPeer(peerAddr6)), 443)
	s.want("IPv4 peer", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 0)
	s.want("deletion of the other", s.request(stun.MethodRefresh, lifetime(0)), 0)
	if len(s.socket) > 0 {
		t.Error("a socket is left")
	}
}

// §8: an allocation ends when its time is over.
func TestSection8Expiry(t *testing.T) {
	s, relayed := allocated(t, nil)
	s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 0)
	s.now = s.now.Add(10 * time.Minute) // the timers are late
	if _, ok := s.deliver(relayed, peerAddr, "x"); ok {
		t.Error("data through an expired allocation")
	}
	s.s.Advance(s.now)
	s.work()
	if len(s.s.allocations) > 0 || len(s.socket) > 0 || len(s.ended) != 1 || s.ended[0].Reason != "expired" {
		t.Errorf("left: %+v, ended: %+v", s.s.Stats(), s.ended)
	}
	s.nonce = nil
	s.want("a new one", s.request(stun.MethodAllocate, transportUDP), 0)
}

// §9: no data without a permission, in either direction; a permission is for an address, whatever the port, and lasts
// five minutes.
func TestSection9Permissions(t *testing.T) {
	s, relayed := allocated(t, nil)
	other := netip.AddrPortFrom(peerAddr.Addr(), 7)
	both := func(want bool, when string) {
		t.Helper()
		for _, p := range []netip.AddrPort{peerAddr, other} {
			if _, ok := s.indicate(xorPeer(p), data("x")); ok != want {
				t.Errorf("%s: data to %v: %t", when, p, ok)
			}
			if _, ok := s.deliver(relayed, p, "x"); ok != want {
				t.Errorf("%s: data from %v: %t", when, p, ok)
			}
		}
	}
	both(false, "before")
	s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 0)
	both(true, "with it")
	s.pass(5*time.Minute - time.Second)
	both(true, "near the end; data does not renew it")
	s.pass(time.Second)
	both(false, "after")
	s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(other)), 0)
	both(true, "with a new one")
	if _, ok := s.deliver(relayed, netip.MustParseAddrPort("33.0.0.1:6000"), "x"); ok {
		t.Error("another address gets through")
	}
}

// §10.2: CreatePermission.
func TestSection102CreatePermission(t *testing.T) {
	s, relayed := allocated(t, nil)
	second := netip.MustParseAddrPort("33.0.0.1:1")
	s.want("no peer", s.request(stun.MethodCreatePermission), 400)
	s.want("malformed peer", s.request(stun.MethodCreatePermission, attribute{stun.AttrXORPeerAddress, []byte{0, 1, 2}}), 400)
	s.want("other family", s.request(stun.MethodCreatePermission, xorPeer(peerAddr6)), 443)
	s.want("one of two is denied", s.request(stun.MethodCreatePermission, xorPeer(peerAddr), xorPeer(netip.MustParseAddrPort("10.0.0.1:1"))), 403)
	if _, ok := s.deliver(relayed, peerAddr, "x"); ok {
		t.Error("half of a request has taken effect")
	}
	s.want("two", s.request(stun.MethodCreatePermission, xorPeer(peerAddr), xorPeer(second)), 0)
	for _, p := range []netip.AddrPort{peerAddr, second} {
		if _, ok := s.deliver(relayed, p, "x"); !ok {
			t.Errorf("%v has no permission", p)
		}
	}
	s.from.Remote = netip.MustParseAddrPort("31.0.0.1:5001")
	s.nonce = nil
	s.want("no allocation", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 437)
}

// §11.2: Send indications.
func TestSection112SendIndication(t *testing.T) {
	s, relayed := allocated(t, nil)
	s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 0)
	f, ok := s.indicate(xorPeer(peerAddr), data("hello"))
	if !ok || f.Peer != peerAddr || string(f.Payload) != "hello" || s.socket[f.Relay] != relayed || f.Loop != 0 {
		t.Errorf("%+v", f)
	}
	if f, ok := s.indicate(xorPeer(peerAddr), data("")); !ok || len(f.Payload) > 0 {
		t.Error("an empty datagram is one too")
	}
	if _, ok := s.indicate(attribute{stun.AttrDontFragment, nil}, xorPeer(peerAddr), data("x")); !ok {
		t.Error("DONT-FRAGMENT is known")
	}
	for what, list := range map[string][]attribute{
		"no data":           {xorPeer(peerAddr)},
		"no peer":           {data("x")},
		"malformed peer":    {{stun.AttrXORPeerAddress, []byte{1}}, data("x")},
		"unknown attribute": {xorPeer(peerAddr), data("x"), {0x7f01, nil}},
		"port zero":         {xorPeer(netip.AddrPortFrom(peerAddr.Addr(), 0)), data("x")},
		"other family":      {xorPeer(peerAddr6), data("x")},
	} {
		if _, ok := s.indicate(list...); ok {
			t.Errorf("%s: relayed", what)
		}
	}
	if _, _, ok := s.s.Next(nil); ok {
		t.Error("an indication is never answered")
	}
}

// §11.3: what a peer sends comes as a Data indication, or by its channel.
func TestSection113DataIndication(t *testing.T) {
	s, relayed := allocated(t, nil)
	s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 0)
	d, ok := s.deliver(relayed, peerAddr, "hello")
	if !ok || d.Client != tuple {
		t.Fatalf("%+v", d)
	}
	raw := d.Append([]byte("before"), []byte("hello"))[6:]
	var a attributes
	if !a.parse(raw) || messageType(raw) != stun.NewType(stun.MethodData, stun.ClassIndication) || a.peer != peerAddr || string(a.data) != "hello" {
		t.Errorf("%x", raw)
	}
	if front, back := d.Overhead(5); front+5+back != len(raw) {
		t.Errorf("overhead %d and %d, of %d bytes", front, back, len(raw))
	}
	s.want("channel", s.request(stun.MethodChannelBind, number(0x4abc), xorPeer(peerAddr)), 0)
	d, _ = s.deliver(relayed, peerAddr, "hello")
	if raw := d.Append(nil, []byte("hello")); !bytes.Equal(raw, []byte("\x4a\xbc\x00\x05hello")) {
		t.Errorf("%q", raw)
	}
	d, _ = s.deliver(relayed, netip.AddrPortFrom(peerAddr.Addr(), 9), "hello")
	if d.channel != 0 {
		t.Error("another port came by the channel")
	}
}

// §12.2: ChannelBind.
func TestSection122ChannelBind(t *testing.T) {
	s, relayed := allocated(t, nil)
	second := netip.AddrPortFrom(peerAddr.Addr(), 7)
	bind := func(n uint16, p netip.AddrPort) *answer {
		return s.request(stun.MethodChannelBind, number(n), xorPeer(p))
	}
	s.want("no peer", s.request(stun.MethodChannelBind, number(0x4000)), 400)
	s.want("no number", s.request(stun.MethodChannelBind, xorPeer(peerAddr)), 400)
	s.want("number below", bind(0x3fff, peerAddr), 400)
	s.want("number above", bind(0x5000, peerAddr), 400)
	s.want("port zero", bind(0x4000, netip.AddrPortFrom(peerAddr.Addr(), 0)), 400)
	s.want("denied", bind(0x4000, netip.MustParseAddrPort("127.0.0.1:80")), 403)
	s.want("other family", bind(0x4000, peerAddr6), 443)
	s.want("first", bind(0x4000, peerAddr), 0)
	s.want("the number for another peer", bind(0x4000, second), 400)
	s.want("the peer by another number", bind(0x4001, peerAddr), 400)
	s.want("last", bind(0x4fff, second), 0)
	s.want("again", bind(0x4000, peerAddr), 0)
	if _, ok := s.deliver(relayed, peerAddr, "x"); !ok {
		t.Error("a channel includes a permission")
	}
}

// §12: a channel lasts ten minutes, the permission that it makes five.
func TestSection12Expiry(t *testing.T) {
	s, relayed := allocated(t, func(c *ServerConfig) { c.Lifetime, c.NonceLifetime = time.Hour, time.Hour })
	s.want("channel", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(peerAddr)), 0)
	s.pass(5 * time.Minute)
	if _, ok := s.channel(0x4000, "x"); ok {
		t.Error("data without a permission")
	}
	s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 0)
	if _, ok := s.channel(0x4000, "x"); !ok {
		t.Error("the channel should work with a new permission")
	}
	s.pass(4 * time.Minute)
	s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(peerAddr)), 0)
	s.pass(time.Minute)
	if _, ok := s.channel(0x4000, "x"); ok {
		t.Error("data on an expired channel")
	}
	if d, ok := s.deliver(relayed, peerAddr, "x"); !ok || d.channel != 0 {
		t.Error("without the channel data comes in an indication")
	}
	s.want("the number for another peer", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(netip.MustParseAddrPort("33.0.0.1:1"))), 0)
}

// §12.5, §12.6: ChannelData.
func TestSection126ChannelData(t *testing.T) {
	s, relayed := allocated(t, nil)
	s.want("channel", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(peerAddr)), 0)
	f, ok := s.channel(0x4000, "hello")
	if !ok || f.Peer != peerAddr || string(f.Payload) != "hello" || s.socket[f.Relay] != relayed {
		t.Errorf("%+v", f)
	}
	if f, ok := s.channel(0x4000, ""); !ok || len(f.Payload) > 0 {
		t.Error("an empty datagram is one too")
	}
	if _, ok := s.channel(0x4001, "x"); ok {
		t.Error("data on an unbound channel")
	}
	for what, raw := range map[string]string{
		"cut": "\x40\x00\x00\x05hell", "header only": "\x40\x00\x00\x01", "reserved number": "\x50\x00\x00\x00",
	} {
		if _, ok, _ := s.s.HandlePacket(s.now, s.from, []byte(raw)); ok {
			t.Errorf("%s: relayed", what)
		}
	}
	if f, ok, _ := s.s.HandlePacket(s.now, s.from, []byte("\x40\x00\x00\x01xyz\x00")); !ok || string(f.Payload) != "x" {
		t.Error("padding is no data")
	}
	s.from.Remote = netip.MustParseAddrPort("31.0.0.1:5001")
	if _, ok := s.channel(0x4000, "x"); ok {
		t.Error("data of another 5-tuple")
	}
}

// §12.5: over a stream ChannelData is padded to a multiple of four bytes.
func TestSection125StreamsArePadded(t *testing.T) {
	s := newScript(t, nil)
	s.from.Listener = 2
	relayed := s.request(stun.MethodAllocate, transportUDP).a.relayed[0]
	s.want("channel", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(peerAddr)), 0)
	d, _ := s.deliver(relayed, peerAddr, "hello")
	if raw := d.Append(nil, []byte("hello")); !bytes.Equal(raw, []byte("\x40\x00\x00\x05hello\x00\x00\x00")) {
		t.Errorf("%q", raw)
	}
}
