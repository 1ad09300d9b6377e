package turn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// §7.1: "The client MUST include a REQUESTED-TRANSPORT attribute", "MUST NOT include" both attributes of families, and the
// additional one is for IPv6 only.
func TestSection71AllocateRequest(t *testing.T) {
	for families, want := range map[Families][2]byte{IPv4: {0, 0}, IPv6: {familyIPv6, 0}, Dual: {0, familyIPv6}} {
		k := newTalk(t, func(c *Config) { c.Families = families })
		k.c.Allocate(k.now)
		for range 2 { // without and with credentials
			raw, a := k.sent(stun.MethodAllocate)
			if a.transport != protocolUDP || a.family != want[0] || a.additional != want[1] || a.hasReservation || a.hasEvenPort {
				t.Errorf("families %d: %+v", families, a)
			}
			if !fingerprintOK(raw) {
				t.Error("no FINGERPRINT")
			}
			_ = k.reply(raw, failure, nil, refusal(401), home, nonce("one"))
		}
	}
}

// §5: "the client MUST" use the same credentials on: all requests of an allocation carry them.
func TestSection5RequestsCarryTheCredentials(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	if err := errors.Join(k.c.Bind(k.now, peerAddr), k.c.CreatePermission(k.now, netip.MustParseAddr("33.0.0.1"))); err != nil {
		t.Fatal(err)
	}
	k.c.refresh(0)
	for _, m := range []stun.Method{stun.MethodChannelBind, stun.MethodCreatePermission, stun.MethodRefresh} {
		raw, a := k.sent(m)
		if string(a.username) != user || string(a.realm) != realm || string(a.nonce) != "one" || !md5Key.check(raw) {
			t.Errorf("%v: %+v", m, a)
		}
	}
}

// §7.3: "If the client receives an Allocate success response", its lifetime is what counts, whatever was asked for.
func TestSection73TheServersLifetimeCounts(t *testing.T) {
	k := newTalk(t, func(c *Config) { c.Lifetime = time.Hour })
	raw := k.challenged()
	_ = k.reply(raw, success, md5Key, relayed, mapped, lifetime(300))
	if k.c.Deadline() != k.now.Add(4*time.Minute) {
		t.Errorf("refreshed after %v", k.c.Deadline().Sub(k.now))
	}
	for _, without := range [][]attribute{{mapped, lifetime(600)}, {relayed, mapped}} {
		k := newTalk(t, nil)
		_ = k.reply(k.challenged(), success, md5Key, without...)
		if _, a := k.sent(stun.MethodRefresh); !a.hasLifetime || a.lifetime != 0 {
			t.Errorf("given back by %+v", a)
		}
		k.wantFailed(0)
	}
}

// §8.3: a Refresh that is answered by 437 means that the allocation is gone.
func TestSection83AllocationIsGone(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	k.advance(9 * time.Minute)
	raw, _ := k.sent(stun.MethodRefresh)
	_ = k.reply(raw, failure, md5Key, refusal(437))
	if list := k.events(); count[EventLost](list) != 1 {
		t.Errorf("%+v", list)
	}
	k.sent(stun.MethodAllocate)
}

// §10.1: "The client MUST include at least one XOR-PEER-ADDRESS attribute", of a family that it has a relayed address of.
func TestSection101CreatePermissionRequest(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	if err := k.c.CreatePermission(k.now, peerAddr.Addr()); err != nil {
		t.Fatal(err)
	}
	if _, a := k.sent(stun.MethodCreatePermission); a.peer.Addr() != peerAddr.Addr() {
		t.Errorf("%+v", a)
	}
	if err := k.c.CreatePermission(k.now, peerAddr6.Addr()); !errors.Is(err, ErrConfig) {
		t.Errorf("another family: %v", err)
	}
	k.sent(0)
}

// §11.1: a Send indication "MUST" have XOR-PEER-ADDRESS and DATA; it has no credentials, and is padded.
func TestSection111SendIndication(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	if err := k.c.CreatePermission(k.now, peerAddr.Addr()); err != nil {
		t.Fatal(err)
	}
	for n := range 9 {
		raw, ok := k.c.Append(nil, bytes.Repeat([]byte{7}, n), peerAddr)
		var a attributes
		if !ok || !a.parse(raw) || a.malformed || messageType(raw) != sendIndication {
			t.Fatalf("%d bytes: %x", n, raw)
		}
		if a.peer != peerAddr || !a.hasData || len(a.data) != n || a.username != nil || a.hasSHA1 || len(raw)%4 != 0 {
			t.Errorf("%d bytes: %+v", n, a)
		}
	}
	if _, ok := k.c.Append(nil, []byte("x"), netip.MustParseAddrPort("34.0.0.1:1")); ok {
		t.Error("data to an address that no permission was asked for")
	}
}

// §11.4: a Data indication without XOR-PEER-ADDRESS or DATA, or with an attribute that must be understood and is not, is
// discarded.
func TestSection114DataIndication(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	if err := k.c.CreatePermission(k.now, peerAddr.Addr()); err != nil {
		t.Fatal(err)
	}
	from, text := attribute{stun.AttrXORPeerAddress, []byte(peerAddr.String())}, attribute{stun.AttrData, []byte("data")}
	for i, list := range [][]attribute{{from}, {text}, {from, text, {0x7f01, []byte{1, 2, 3, 4}}}, {{stun.AttrXORPeerAddress, []byte{0, 1}}, text}, {from, text}} {
		var m stun.Message
		start(&m, stun.NewType(stun.MethodData, stun.ClassIndication), [12]byte{byte(i)})
		for _, a := range list {
			if ap, err := netip.ParseAddrPort(string(a.v)); err == nil {
				addAddress(&m, a.t, ap)
			} else {
				m.Add(a.t, a.v)
			}
		}
		d, ok, _ := k.c.HandlePacket(k.now, m.Raw)
		if whole := i == 4; ok != whole || (whole && (d.Peer != peerAddr || string(d.Payload) != "data")) {
			t.Errorf("%d: %+v, %t", i, d, ok)
		}
	}
}

// §12, §12.6: channel numbers are 0x4000 to 0x4FFF; ChannelData of a number without a binding, or longer than its packet, is
// discarded; over UDP what follows the data is padding.
func TestSection126ChannelDataOfTheServer(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	if err := k.c.Bind(k.now, peerAddr); err != nil {
		t.Fatal(err)
	}
	raw, a := k.sent(stun.MethodChannelBind)
	if a.channel < 0x4000 || a.channel > 0x4fff || a.peer != peerAddr {
		t.Errorf("%+v", a)
	}
	_ = k.reply(raw, success, md5Key)
	pkt := appendChannelData(nil, a.channel, []byte("data"), false)
	take := func(p []byte) bool { _, ok, _ := k.c.HandlePacket(k.now, p); return ok }
	if !take(pkt) || !take(append(bytes.Clone(pkt), 0, 0, 0)) {
		t.Error("data of the channel is not taken")
	}
	long := bytes.Clone(pkt)
	binary.BigEndian.PutUint16(long[2:], 5)
	if take(long) || take(pkt[:3]) || take(pkt[:7]) {
		t.Error("data that is not there")
	}
	for _, n := range []uint16{a.channel ^ 1, 0x3fff, 0x5000, 0x7fff, 0xffff} {
		if take(appendChannelData(nil, n, []byte("data"), false)) {
			t.Errorf("channel %#x", n)
		}
	}
}

// §12.5: "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple of four bytes", which its length does not count.
func TestSection125StreamsOfTheClientArePadded(t *testing.T) {
	for transport, padded := range map[Transport]bool{UDP: false, TCP: true, TLS: true, DTLS: false} {
		k := newTalk(t, func(c *Config) { c.Transport = transport })
		k.c.Allocate(k.now)
		k.c.HandleDialResult(k.now, 1, nil)
		raw, _ := k.sent(stun.MethodAllocate)
		_ = k.reply(raw, failure, nil, refusal(401), home, nonce("one"))
		raw, _ = k.sent(stun.MethodAllocate)
		_ = k.reply(raw, success, md5Key, relayed, mapped, lifetime(600))
		if err := k.c.Bind(k.now, peerAddr); err != nil {
			t.Fatal(err)
		}
		raw, _ = k.sent(stun.MethodChannelBind)
		_ = k.reply(raw, success, md5Key)
		pkt, ok := k.c.Append(nil, []byte("hello"), peerAddr)
		if want := map[bool]int{false: 9, true: 12}[padded]; !ok || len(pkt) != want || binary.BigEndian.Uint16(pkt[2:]) != 5 {
			t.Errorf("%v: %x", transport, pkt)
		}
	}
}
