package turn

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// Addresses that relays of careless servers have been used to reach.
var deniedPeers = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
	"169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1",
	"192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
	"239.255.255.255", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
	"64:ff9b::c0a8:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:101::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
	"2001:db8::1", "3fff::1", "5f00::1", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
	"2600::5efe:7f00:1", "2600::200:5efe:a00:1",
}

func TestSpecialAddressesAreDenied(t *testing.T) {
	s, _ := dual(t, nil)
	for _, a := range deniedPeers {
		peer := netip.AddrPortFrom(netip.MustParseAddr(a), 80)
		for _, m := range []stun.Method{stun.MethodCreatePermission, stun.MethodChannelBind} {
			s.want(m.String()+" "+a, s.request(m, number(0x4000), xorPeer(peer)), 403)
		}
		if f, ok := s.indicate(xorPeer(peer), data("x")); ok {
			t.Errorf("%s: data is relayed: %+v", a, f)
		}
	}
	for _, a := range []string{
		"8.8.8.8", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "198.20.0.1", "223.255.255.255",
		"2600::2", "2a00::1", "64:ff9b::808:808", "2002:808:808::1", "2600::5efe:808:808",
	} {
		s.want(a, s.request(stun.MethodCreatePermission, xorPeer(netip.AddrPortFrom(netip.MustParseAddr(a), 80))), 0)
	}
	if n := s.s.Stats().PeersDenied; n != uint64(2*len(deniedPeers)) {
		t.Errorf("%d counted", n)
	}
}

// dual is a script with relays of both families.
func dual(t testing.TB, change func(*ServerConfig)) (*script, *answer) {
	t.Helper()
	s := newScript(t, change)
	r := s.request(stun.MethodAllocate, transportUDP, attribute{attrAdditionalFamily, []byte{2, 0, 0, 0}})
	s.want("dual allocation", r, 0)
	return s, r
}

func TestPeerRangesOfTheConfiguration(t *testing.T) {
	s, _ := allocated(t, func(c *ServerConfig) {
		c.AllowPeers = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
		c.DenyPeers = []netip.Prefix{netip.MustParsePrefix("8.8.0.0/16")}
	})
	for a, code := range map[string]int{"10.1.0.1": 0, "10.2.0.1": 403, "8.8.8.8": 403, "8.9.8.8": 0} {
		s.want(a, s.request(stun.MethodCreatePermission, xorPeer(netip.AddrPortFrom(netip.MustParseAddr(a), 80))), code)
	}
}

// The server's own addresses are good for reaching other relays, and for nothing else that listens there.
func TestOwnAddressesLeadToRelaysOnly(t *testing.T) {
	s, relayed := allocated(t, func(c *ServerConfig) {
		c.Relays = []RelayAddress{{Local: netip.MustParseAddr("10.0.0.9"), Public: netip.MustParseAddr("30.0.0.1")}}
		c.Hosts = []netip.Addr{netip.MustParseAddr("30.0.0.2")}
	})
	if relayed.Addr() != netip.MustParseAddr("30.0.0.1") {
		t.Errorf("told of %v, not the outside address", relayed)
	}
	for _, own := range []string{"10.0.0.9", "30.0.0.1", "30.0.0.2"} {
		at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(own), port) }
		s.want(own, s.request(stun.MethodCreatePermission, xorPeer(at(0))), 0)
		for _, port := range []uint16{22, 53, 3478} {
			if f, ok := s.indicate(xorPeer(at(port)), data("x")); ok {
				t.Errorf("%v is reached: %+v", at(port), f)
			}
		}
		f, ok := s.indicate(xorPeer(at(relayed.Port())), data("x"))
		if want := own != "30.0.0.2"; ok != want || (ok && (f.Loop == 0 || f.From != relayed)) {
			t.Errorf("%v: %+v, %t", at(relayed.Port()), f, ok)
		}
	}
}

// One gate: what it has not let pass goes no way, and both ends of a relay need a permission.
func TestOneGateForAll(t *testing.T) {
	for _, listener := range []ListenerID{1, 2} {
		s := newScript(t, nil)
		s.from.Listener = listener
		relayed := s.request(stun.MethodAllocate, transportUDP).a.relayed[0]
		for range 2 {
			if _, ok := s.indicate(xorPeer(peerAddr), data("x")); ok {
				t.Error("an indication is relayed without a permission")
			}
			if _, ok := s.channel(0x4000, "x"); ok {
				t.Error("ChannelData is relayed without a channel")
			}
			if _, ok := s.deliver(relayed, peerAddr, "x"); ok {
				t.Error("a peer gets through without a permission")
			}
			s.want("denied channel", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(netip.MustParseAddrPort("127.0.0.1:1"))), 403)
		}
	}
}

func TestQuotas(t *testing.T) {
	s := newScript(t, func(c *ServerConfig) { c.MaxAllocations, c.MaxPerAccount, c.MaxPerAddress = 4, 2, 3 })
	allocate := func(addr, name, pass string, code int) {
		t.Helper()
		s.from.Remote, s.nonce, s.user, s.password = netip.MustParseAddrPort(addr), nil, name, pass
		s.want(addr+" "+name, s.request(stun.MethodAllocate, transportUDP), code)
	}
	allocate("31.0.0.1:1", user, password, 0)
	allocate("31.0.0.2:1", user, password, 0)
	allocate("31.0.0.3:1", user, password, 486)
	allocate("31.0.0.1:2", "bob", "builder", 0)
	s.want("deletion", s.request(stun.MethodRefresh, lifetime(0)), 0)
	allocate("31.0.0.1:2", "bob", "builder", 0)
	allocate("31.0.0.4:1", "bob", "builder", 0)
	allocate("31.0.0.5:1", "carol", "x", 401)
	allocate("31.0.0.5:1", "bob", "builder", 508)
	s.pass(10 * time.Minute)
	allocate("31.0.0.5:1", user, password, 0)
	s.s.Drain()
	allocate("31.0.0.6:1", "bob", "builder", 508)
}

func TestQuotaOfAddresses(t *testing.T) {
	s := newScript(t, func(c *ServerConfig) { c.MaxPerAddress = 2 })
	for i, addr := range []string{"[2601::1]:1", "[2601::ffff:1]:1", "[2601::2]:1", "[2601:0:0:1::1]:1"} {
		s.from.Remote, s.nonce = netip.MustParseAddrPort(addr), nil
		s.want(addr, s.request(stun.MethodAllocate, transportUDP), []int{0, 0, 486, 0}[i])
	}
}

func TestBitrateOfAnAllocation(t *testing.T) {
	const bitrate = 80_000 // 10,000 bytes a second
	s, relayed := allocated(t, func(c *ServerConfig) { c.MaxBitrate = bitrate })
	s.want("channel", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(peerAddr)), 0)
	text := strings.Repeat("x", 1000)
	out := func() bool { _, ok := s.channel(0x4000, text); return ok }
	in := func() bool { _, ok := s.deliver(relayed, peerAddr, text); return ok }
	count := func(relay func() bool) (n int) {
		for range 20 {
			if relay() {
				n++
			}
		}
		return n
	}
	s.now = s.now.Add(time.Minute) // a pause saves no more than a second's data
	if n := count(out); n != 10 {
		t.Errorf("%d packets at once", n)
	}
	if n := count(in); n != 10 {
		t.Errorf("%d packets at once in the other direction", n)
	}
	s.now = s.now.Add(300 * time.Millisecond)
	if n, m := count(out), count(in); n != 3 || m != 3 {
		t.Errorf("%d and %d packets after 300 ms", n, m)
	}
	if stats := s.s.Stats(); stats.OverBitrate != 10+10+17+17 || stats.ToPeers != 13 || stats.ToClients != 13 {
		t.Errorf("%+v", stats)
	}
	t.Log("# another allocation has its own")
	s.from.Remote, s.nonce = netip.MustParseAddrPort("31.0.0.9:1"), nil
	s.want("allocation", s.request(stun.MethodAllocate, transportUDP), 0)
	s.want("channel", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(peerAddr)), 0)
	if n := count(out); n != 10 {
		t.Errorf("%d packets at once", n)
	}
}

// Readers share the rate: of all that they ask for at a time, no more than that gets through, and no less.
func TestBitrateIsSharedByReaders(t *testing.T) {
	var s share
	var taken atomic.Int64
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 1000 {
				if s.take(0, 100, 800_000) {
					taken.Add(1)
				}
			}
		})
	}
	if work.Wait(); taken.Load() != 1000 {
		t.Errorf("%d of 1000", taken.Load())
	}
}

func TestPermissionsAndChannelsAreCapped(t *testing.T) {
	s, _ := allocated(t, nil)
	for i := range maxPermissions + 1 {
		peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{50, 0, 0, byte(i)}), 1)
		s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(peer)), map[bool]int{true: 508}[i == maxPermissions])
	}
	for i := range uint16(maxChannels + 1) {
		peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{50, 0, 0, 1}), i+1)
		s.want("channel", s.request(stun.MethodChannelBind, number(0x4000+i), xorPeer(peer)), map[bool]int{true: 508}[i == maxChannels])
	}
}

// Answers to strangers are few and small: the server is no amplifier.
func TestStrangersGetLittle(t *testing.T) {
	s := newScript(t, func(c *ServerConfig) { c.ReplyRate, c.TotalReplyRate = 10, 100 })
	challenge := s.bare(stun.MethodAllocate, transportUDP)
	if n := len(challenge.raw); n > 112 {
		t.Errorf("a challenge has %d bytes", n)
	}
	answered := func(from string, n int) (count int) {
		s.from.Remote = netip.MustParseAddrPort(from)
		for i := range n {
			m := []stun.Method{stun.MethodAllocate, stun.MethodBinding, stun.MethodRefresh}[i%3]
			if s.bare(m) != nil {
				count++
			}
		}
		return count
	}
	if n := answered("40.0.0.1:1", 1000); n != 20 {
		t.Errorf("%d answers at once", n)
	}
	s.now = s.now.Add(time.Second)
	if n := answered("40.0.0.1:2", 1000); n != 10 {
		t.Errorf("%d answers in the second after", n)
	}
	total := 0
	for i := range 100 {
		total += answered(netip.AddrPortFrom(netip.AddrFrom4([4]byte{41, 0, byte(i), 1}), 1).String(), 20)
	}
	if total > 200 {
		t.Errorf("%d answers to everybody", total)
	}
	if r := s.s.Stats().RateLimited; r == 0 {
		t.Error("nothing was counted")
	}
}

// Somebody who knows the password is not limited by strangers who share the address.
func TestUsersAreNotLimited(t *testing.T) {
	s, _ := allocated(t, func(c *ServerConfig) { c.ReplyRate = 1 })
	for range 100 {
		s.bare(stun.MethodBinding)
		s.want("refresh", s.request(stun.MethodRefresh), 0)
	}
}

func TestTimedCredentials(t *testing.T) {
	s := newScript(t, func(c *ServerConfig) {
		c.Auth = AnyOf(StaticUsers(map[string]string{user: password}), SharedSecret("s3cret"))
		c.MaxPerAccount = 1
	})
	s.user = TimedUsername(s.now.Add(time.Minute), "carol")
	s.password = TimedPassword("s3cret", s.user)
	s.want("allocation", s.request(stun.MethodAllocate, transportUDP), 0)
	s.pass(2 * time.Minute)
	s.want("refresh after the end", s.request(stun.MethodRefresh), 0)
	s.from.Remote, s.nonce = netip.MustParseAddrPort("31.0.0.1:5001"), nil
	s.want("allocation after the end", s.request(stun.MethodAllocate, transportUDP), 401)
	s.user = TimedUsername(s.now.Add(time.Hour), "carol")
	s.password = TimedPassword("s3cret", s.user)
	s.want("the same account under another name", s.request(stun.MethodAllocate, transportUDP), 486)
	s.password = TimedPassword("guess", s.user)
	s.want("wrong secret", s.request(stun.MethodAllocate, transportUDP), 401)
	s.user, s.password = user, password
	s.want("static user", s.request(stun.MethodAllocate, transportUDP), 0)
	// A value computed by other means.
	if got := TimedPassword("north", "1433895918:ninefingers"); got != timedVector {
		t.Errorf("password %s", got)
	}
}

// Nothing that a stranger sends changes anything.
func TestGarbageLeavesTheServerAsItWas(t *testing.T) {
	s, _ := allocated(t, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	valid := s.signed(stun.MethodRefresh, lifetime(0))
	before := s.s.Stats().Allocations
	for range 20_000 {
		pkt := slices.Clone(valid)
		for range 1 + rng.IntN(4) {
			pkt[rng.IntN(len(pkt))] ^= byte(1 + rng.IntN(255))
		}
		if rng.IntN(4) == 0 {
			pkt = pkt[:rng.IntN(len(pkt))]
		}
		_, _, _ = s.s.HandlePacket(s.now, s.from, pkt)
		s.work()
		for {
			if _, _, ok := s.s.Next(nil); !ok {
				break
			}
		}
	}
	if after := s.s.Stats().Allocations; after != before {
		t.Errorf("%d allocations, then %d", before, after)
	}
}

// timedVector is base64(HMAC-SHA1("north", "1433895918:ninefingers")), by OpenSSL.
const timedVector = "jy8hTxmOO7UtEKXqSkSlvakPVYA="
