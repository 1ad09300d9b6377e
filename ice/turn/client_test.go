package turn

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// A server that was restarted has forgotten the allocation. The client finds out although nobody tells it, and the call
// goes on through a new one.
func TestRestartedServerIsFoundOut(t *testing.T) {
	w := newWorld(t, worldOption{})
	old := w.allocate()
	peer := w.bind()
	w.exchange(peer, "before")
	w.server.restart(w.net.Rand("after the restart"))
	begin := w.now()
	var again time.Time
	for again.IsZero() && w.now().Sub(begin) < time.Minute {
		w.client.send("media", peer)
		w.pass(20 * time.Millisecond)
		if got := w.peer.got[len(w.peer.got)-1]; got.from != old && string(got.data) == "media" {
			again = w.now()
		}
	}
	if took := again.Sub(begin); again.IsZero() || took > 2500*time.Millisecond {
		t.Errorf("media is back after %v", took)
	}
	w.pass(time.Second) // what is under way
	w.exchange(peer, "after")
	e, ok := last[EventAllocated](w.client.events)
	if lost := count[EventLost](w.client.events); !ok || !e.Again || lost != 1 {
		t.Errorf("%+v", w.client.events)
	}
}

// A server that is down for a while is waited for.
func TestServerComesBack(t *testing.T) {
	w := newWorld(t, worldOption{})
	w.allocate()
	peer := w.bind()
	w.server.down = true
	for range 100 {
		w.client.send("media", peer)
		w.pass(20 * time.Millisecond)
	}
	w.server.restart(w.net.Rand("after the restart"))
	w.server.down = false
	w.until("reallocation", 5*time.Second, func() bool { e, _ := last[EventAllocated](w.client.events); return e.Again })
	w.until("channel", time.Second, func() bool { return w.client.c.Ready(peer) })
	w.exchange(peer, "after")
}

// A server that answers nothing any more is given up.
func TestDeadServerFails(t *testing.T) {
	w := newWorld(t, worldOption{})
	w.allocate()
	w.server.down = true
	w.until("failure", 20*time.Minute, func() bool { return count[EventFailed](w.client.events) > 0 })
	if e, _ := last[EventFailed](w.client.events); !errors.Is(e.Err, ErrTimeout) {
		t.Errorf("%+v", e)
	}
	if d := w.client.c.Deadline(); !d.IsZero() {
		t.Errorf("a timer is left: %v", d)
	}
}

// An idle server is not asked, and one that speaks is not either.
func TestProbesOnlyWhenSilent(t *testing.T) {
	w := newWorld(t, worldOption{})
	w.allocate()
	peer := w.bind()
	before := w.client.c.Stats().RequestsSent
	w.pass(time.Minute)
	for range 100 {
		w.exchange(peer, "x")
		w.pass(100 * time.Millisecond)
	}
	if n := w.client.c.Stats().RequestsSent - before; n > 0 {
		t.Errorf("%d requests", n)
	}
	begin := w.now()
	for w.now().Sub(begin) < 10*time.Second {
		w.client.send("one way", peer)
		w.pass(20 * time.Millisecond)
	}
	if n := w.client.c.Stats().RequestsSent - before; n < 3 || n > 10 {
		t.Errorf("%d requests in 10 s of silence", n)
	}
	if count[EventLost](w.client.events) > 0 {
		t.Error("the allocation was given up")
	}
}

// For hours: allocation, permissions, channels and nonces are renewed in time.
func TestEverythingIsRenewed(t *testing.T) {
	w := newWorld(t, worldOption{client: func(c *Config) { c.Families = Dual }})
	w.allocate()
	peer := w.bind()
	other := netip.MustParseAddrPort("[2602::1]:6000")
	if err := w.client.c.CreatePermission(w.now(), other.Addr()); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		w.pass(6*time.Minute + 7*time.Second)
		w.exchange(peer, "still there")
		got := len(w.peer.got)
		w.client.send("IPv6", other)
		w.until("IPv6", time.Second, func() bool { return len(w.peer.got) > got })
	}
	if s := w.server.s.Stats(); count[EventLost](w.client.events) > 0 || s.AllocationsTotal != 1 || s.Refused > 0 {
		t.Errorf("%+v, %+v", w.client.events, s)
	}
}

func TestReleasedPeersAreForgotten(t *testing.T) {
	w := newWorld(t, worldOption{})
	w.allocate()
	peer := w.bind()
	w.client.c.Release(w.now(), peer)
	if w.client.send("x", peer) {
		t.Error("data to a peer that was released")
	}
	w.peer.send("x", peer, w.client.c.Relayed()[0])
	w.pass(time.Second)
	if len(w.client.got) > 0 {
		t.Error("data from a peer that was released")
	}
	w.pass(11 * time.Minute)
	if a := w.server.s.allocations[FiveTuple{Listener: 1, Remote: w.client.local}]; len(a.permissions)+len(a.channels) > 0 {
		t.Error("the server still has it")
	}
}

// RFC 8489 §6.2.1: the times of retransmissions, and the end.
func TestRetransmission(t *testing.T) {
	k := newTalk(t, nil)
	begin := k.now
	k.c.Allocate(k.now)
	first, _ := k.sent(stun.MethodAllocate)
	for _, ms := range []int{500, 1500, 3500, 7500, 15500, 31500} {
		k.advance(begin.Add(time.Duration(ms) * time.Millisecond).Add(-1).Sub(k.now))
		k.sent(0)
		k.advance(1)
		if again, _ := k.sent(stun.MethodAllocate); !slices.Equal(again, first) {
			t.Error("the retransmission is another message")
		}
	}
	k.advance(8*time.Second - 1)
	if len(k.events()) > 0 {
		t.Error("ended before its time")
	}
	k.advance(1)
	k.wantFailed(0)
}

// §6.2.2: over a stream nothing is sent again.
func TestStreamsAreNotRetransmitted(t *testing.T) {
	k := newTalk(t, func(c *Config) { c.Transport = TCP })
	k.c.Allocate(k.now)
	if e, ok := last[EventDial](k.events()); !ok || e.Server != k.c.Server() {
		t.Fatal("no connection is asked for")
	}
	k.c.HandleDialResult(k.now, 7, nil) // somebody else's
	k.sent(0)
	k.c.HandleDialResult(k.now, 1, nil)
	k.sent(stun.MethodAllocate)
	k.advance(39500*time.Millisecond - 1)
	k.sent(0)
	k.advance(1)
	k.wantFailed(0)
}

// RFC 8489 §9.2.5: an answer with no integrity, or a wrong one, is none.
func TestAnswersMustBeAuthentic(t *testing.T) {
	k := newTalk(t, nil)
	raw := k.challenged()
	wrong := &integrity{key: []byte("guess")}
	sha := &integrity{key: md5Key.key, sha256: true}
	for _, key := range []*integrity{nil, wrong, sha} {
		if err := k.reply(raw, success, key, relayed, mapped, lifetime(600)); !errors.Is(err, ErrIntegrity) {
			t.Errorf("success: %v", err)
		}
		for _, code := range []int{300, 400, 437, 486, 508} {
			if err := k.reply(raw, failure, key, refusal(code)); !errors.Is(err, ErrIntegrity) {
				t.Errorf("%d: %v", code, err)
			}
		}
	}
	if k.c.State() != StateAllocating || len(k.events()) > 0 {
		t.Error("a forged answer has had an effect")
	}
	if err := k.reply(raw, success, md5Key, relayed, mapped, lifetime(600)); err != nil || k.c.State() != StateAllocated {
		t.Error(err)
	}
}

// §9.2.5: wrong credentials end it, and a server that makes up new nonces without end does too.
func TestChallengesEnd(t *testing.T) {
	k := newTalk(t, nil)
	_ = k.reply(k.challenged(), failure, nil, refusal(401), home, nonce("one"))
	k.wantFailed(401)

	k = newTalk(t, nil)
	raw := k.challenged()
	for range maxChallenges {
		if k.c.State() != StateAllocating {
			break
		}
		_ = k.reply(raw, failure, nil, refusal(438), home, nonce("another"))
		if next, ok := k.c.Next(nil); ok {
			raw = next
		}
	}
	k.wantFailed(438)

	k = newTalk(t, nil)
	k.c.Allocate(k.now)
	raw, _ = k.sent(stun.MethodAllocate)
	_ = k.reply(raw, failure, nil, refusal(401), home) // no nonce
	k.wantFailed(401)
}

// RFC 8656 §5: a stale nonce is replaced, and the request repeated.
func TestStaleNonce(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	k.advance(9 * time.Minute)
	raw, _ := k.sent(stun.MethodRefresh)
	_ = k.reply(raw, failure, nil, refusal(438), home, nonce("two"))
	raw, a := k.sent(stun.MethodRefresh)
	if string(a.nonce) != "two" || !md5Key.check(raw) {
		t.Errorf("%+v", a)
	}
	if err := k.reply(raw, success, md5Key, lifetime(600)); err != nil || k.c.Deadline() != k.now.Add(9*time.Minute) {
		t.Errorf("%v, next at %v", err, k.c.Deadline().Sub(k.now))
	}
}

// RFC 8489 §9.2.1: a challenge that promises a choice of algorithms and has none was changed on the way.
func TestNobodyTakesTheBetterAlgorithmAway(t *testing.T) {
	promise := nonce("obMatJos2AAAB-and-more")
	k := newTalk(t, nil)
	k.c.Allocate(k.now)
	raw, _ := k.sent(stun.MethodAllocate)
	_ = k.reply(raw, failure, nil, refusal(401), home, promise)
	k.wantFailed(0)
	for list, algorithm := range map[string]int{
		"\x00\x02\x00\x00\x00\x01\x00\x00": algorithmSHA256, "\x00\x01\x00\x00\x00\x02\x00\x00": algorithmMD5,
		"\x00\x09\x00\x01x\x00\x00\x00\x00\x02\x00\x00": algorithmSHA256, "\x00\x09\x00\x00": 0, "\x00\x02\x00\x09": 0,
	} {
		k := newTalk(t, nil)
		k.c.Allocate(k.now)
		raw, _ := k.sent(stun.MethodAllocate)
		_ = k.reply(raw, failure, nil, refusal(401), home, promise, attribute{stun.AttrPasswordAlgorithms, []byte(list)})
		if algorithm == 0 {
			k.wantFailed(0)
			continue
		}
		raw, a := k.sent(stun.MethodAllocate)
		key := integrity{longTermKey(algorithm, user, realm, password), true}
		if string(a.algorithms) != list || string(a.algorithm) != string([]byte{0, byte(algorithm), 0, 0}) || !key.check(raw) || a.hasSHA1 {
			t.Errorf("%q: %+v", list, a)
		}
	}
}

func TestUserhash(t *testing.T) {
	w := newWorld(t, worldOption{server: func(c *ServerConfig) { c.Userhash = true }})
	w.allocate()
	w.exchange(w.bind(), "who am I?")
	if !w.client.c.anonymous || !w.client.c.key.sha256 {
		t.Error("the name was told")
	}
}

// §7.3: an allocation that is not what was asked for is given back.
func TestAllocationOfAnotherFamily(t *testing.T) {
	k := newTalk(t, nil)
	_ = k.reply(k.challenged(), success, md5Key, attribute{stun.AttrXORRelayedAddress, []byte("[2600::1]:50000")}, mapped, lifetime(600))
	if _, a := k.sent(stun.MethodRefresh); !a.hasLifetime || a.lifetime != 0 {
		t.Errorf("%+v", a)
	}
	k.wantFailed(0)
}

// §7.4: an old allocation on our 5-tuple is given back, once.
func TestAllocationMismatch(t *testing.T) {
	k := newTalk(t, nil)
	_ = k.reply(k.challenged(), failure, md5Key, refusal(437))
	raw, a := k.sent(stun.MethodRefresh)
	if !a.hasLifetime || a.lifetime != 0 {
		t.Errorf("%+v", a)
	}
	_ = k.reply(raw, success, md5Key, lifetime(0))
	raw, _ = k.sent(stun.MethodAllocate)
	_ = k.reply(raw, failure, md5Key, refusal(437))
	k.wantFailed(437)
}

// §7.4: quota and capacity are for the application to know.
func TestRefusals(t *testing.T) {
	for _, code := range []int{400, 403, 420, 440, 442, 486, 500, 508} {
		k := newTalk(t, nil)
		_ = k.reply(k.challenged(), failure, md5Key, refusal(code))
		k.wantFailed(code)
	}
}

// §7.4: 300 leads to another server, with credentials of its own, and not in circles.
func TestAlternateServer(t *testing.T) {
	second, third := "30.0.0.2:3478", "30.0.0.3:3478"
	to := func(s string) attribute {
		ap := netip.MustParseAddrPort(s)
		addr := ap.Addr().As4()
		return attribute{stun.AttrAlternateServer, append([]byte{0, 1, byte(ap.Port() >> 8), byte(ap.Port())}, addr[:]...)}
	}
	k := newTalk(t, nil)
	_ = k.reply(k.challenged(), failure, md5Key, refusal(300), to(second))
	if k.c.Server().String() != second {
		t.Fatalf("server %v", k.c.Server())
	}
	raw, a := k.sent(stun.MethodAllocate)
	if a.username != nil {
		t.Error("credentials for another server")
	}
	_ = k.reply(raw, failure, nil, refusal(300), to(third))
	raw, _ = k.sent(stun.MethodAllocate)
	_ = k.reply(raw, failure, nil, refusal(300), to(second))
	k.wantFailed(300)

	k = newTalk(t, func(c *Config) { c.Transport = TLS })
	k.c.Allocate(k.now)
	k.c.HandleDialResult(k.now, 1, nil)
	raw, _ = k.sent(stun.MethodAllocate)
	_ = k.reply(raw, failure, nil, refusal(300), to(second), attribute{stun.AttrAlternateDomain, []byte("b.example")})
	if e, _ := last[EventDial](k.events()); e.Server.String() != second || e.Domain != "b.example" || e.Gen != 2 {
		t.Errorf("%+v", e)
	}
}

// §11.4: data from an address without a permission is dropped.
func TestDataWithoutPermissionIsDropped(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	indication := func(from netip.AddrPort, method stun.Method) (Data, bool) {
		raw := Delivery{peer: from, id: 1}.Append(nil, []byte("data"))
		typ := stun.NewType(method, stun.ClassIndication).Value()
		raw[0], raw[1] = byte(typ>>8), byte(typ)
		d, ok, _ := k.c.HandlePacket(k.now, raw)
		return d, ok
	}
	if _, ok := indication(peerAddr, stun.MethodData); ok {
		t.Error("no permission")
	}
	if _, ok, _ := k.c.HandlePacket(k.now, appendChannelData(nil, 0x4000, []byte("data"), false)); ok {
		t.Error("no channel")
	}
	if err := k.c.CreatePermission(k.now, peerAddr.Addr()); err != nil {
		t.Fatal(err)
	}
	if d, ok := indication(peerAddr, stun.MethodData); !ok || d.Peer != peerAddr || string(d.Payload) != "data" {
		t.Errorf("%+v, %t", d, ok)
	}
	if _, ok := indication(peerAddr, stun.MethodSend); ok {
		t.Error("a Send indication is for servers")
	}
}

// §9, §12: renewed a minute before the permission ends; a refusal is told; 437 begins anew.
func TestPeersAreRenewed(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	if err := errors.Join(k.c.Bind(k.now, peerAddr), k.c.CreatePermission(k.now, netip.MustParseAddr("33.0.0.1"))); err != nil {
		t.Fatal(err)
	}
	first, a := k.sent(stun.MethodChannelBind)
	if a.peer != peerAddr || a.channel < firstChannel || a.channel > lastChannel {
		t.Errorf("%+v", a)
	}
	second, _ := k.sent(stun.MethodCreatePermission)
	if k.c.Ready(peerAddr) {
		t.Error("ready before the answer")
	}
	_ = k.reply(first, success, md5Key)
	_ = k.reply(second, failure, md5Key, refusal(403))
	list := k.events()
	ready, _ := last[EventPeerReady](list)
	refused, _ := last[EventPeerFailed](list)
	if ready.Peer != peerAddr || refused.Peer != netip.MustParseAddrPort("33.0.0.1:0") || refused.Err == nil {
		t.Errorf("%+v", list)
	}
	k.advance(4*time.Minute - 1)
	k.sent(0)
	k.advance(1)
	again, b := k.sent(stun.MethodChannelBind)
	if b.channel != a.channel || b.peer != peerAddr {
		t.Errorf("%+v", b)
	}
	_ = k.reply(again, failure, md5Key, refusal(437))
	if list := k.events(); count[EventLost](list) != 1 || k.c.Ready(peerAddr) {
		t.Errorf("%+v", list)
	}
	k.sent(stun.MethodAllocate)
}

// §12: a number is not used for another peer for as long as the server may remember it.
func TestChannelNumbersAreNotUsedAgainSoon(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	seen := make(map[uint16]bool)
	for i := range 1000 {
		peer := netip.AddrPortFrom(peerAddr.Addr(), uint16(i+1))
		if err := k.c.Bind(k.now, peer); err != nil {
			t.Fatal(err)
		}
		raw, a := k.sent(stun.MethodChannelBind)
		if seen[a.channel] {
			t.Fatalf("%#x again", a.channel)
		}
		seen[a.channel] = true
		_ = k.reply(raw, success, md5Key)
		k.c.Release(k.now, peer)
	}
}

// A channel that the server has bound otherwise gets another number.
func TestRefusedChannelNumber(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	if err := k.c.Bind(k.now, peerAddr); err != nil {
		t.Fatal(err)
	}
	raw, a := k.sent(stun.MethodChannelBind)
	_ = k.reply(raw, failure, md5Key, refusal(400))
	raw, b := k.sent(stun.MethodChannelBind)
	if a.channel == b.channel {
		t.Error("the same number")
	}
	_ = k.reply(raw, failure, md5Key, refusal(400))
	if e, ok := last[EventPeerFailed](k.events()); !ok || e.Peer != peerAddr {
		t.Error("no failure is told")
	}
}

// §8: the goodbye is a Refresh with a lifetime of zero, sent a few times.
func TestClose(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	k.c.Close(k.now)
	k.c.Close(k.now)
	if _, a := k.sent(stun.MethodRefresh); !a.hasLifetime || a.lifetime != 0 {
		t.Errorf("%+v", a)
	}
	k.advance(time.Minute)
	if n := count[EventClosed](k.events()); n != 1 || k.c.State() != StateClosed || !k.c.Deadline().IsZero() {
		t.Errorf("%d times closed, state %v", n, k.c.State())
	}
	if err := k.c.Bind(k.now, peerAddr); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	k = newTalk(t, nil)
	k.c.Close(k.now)
	k.sent(0)
	if n := count[EventClosed](k.events()); n != 1 {
		t.Errorf("%d times closed", n)
	}
}

// An allocation that is on its way when the client is closed does not stay behind.
func TestCloseWhileAllocating(t *testing.T) {
	w := newWorld(t, worldOption{})
	w.client.c.Allocate(w.now())
	w.pass(50 * time.Millisecond)
	w.client.c.Close(w.now())
	w.until("goodbye", time.Minute, func() bool { return w.client.c.State() == StateClosed })
	if s := w.server.s.Stats(); s.AllocationsTotal != 1 || s.Allocations != 0 {
		t.Errorf("%+v", s)
	}
}

// Wrap and Append write the same, in the room that Overhead tells, and without room nothing.
func TestWrapAndAppend(t *testing.T) {
	for _, transport := range []Transport{UDP, TCP} {
		k := newTalk(t, func(c *Config) { c.Transport, c.Families = transport, Dual })
		k.c.Allocate(k.now)
		k.c.HandleDialResult(k.now, 1, nil)
		raw, _ := k.sent(stun.MethodAllocate)
		six := attribute{stun.AttrXORRelayedAddress, []byte("[2600::1]:50000")}
		_ = k.reply(raw, success, nil, relayed, six, mapped, lifetime(600))
		bound := netip.AddrPortFrom(peerAddr.Addr(), 7)
		if err := errors.Join(k.c.Bind(k.now, bound), k.c.CreatePermission(k.now, peerAddr.Addr()), k.c.CreatePermission(k.now, peerAddr6.Addr())); err != nil {
			t.Fatal(err)
		}
		raw, _ = k.sent(stun.MethodChannelBind)
		_ = k.reply(raw, success, nil)
		for _, peer := range []netip.AddrPort{bound, peerAddr, peerAddr6} {
			for n := range 9 {
				front, back := k.c.Overhead(peer)
				data := []byte("12345678")[:n]
				buf := slices.Concat(make([]byte, front), data, []byte("xxx")[:back])
				wrapped, ok := k.c.Wrap(buf, front, n, peer)
				if !ok || (IsMessage(wrapped) && !walk(wrapped, func(stun.AttrType, []byte) bool { return true })) {
					t.Fatalf("%v, %d bytes: %x, %t", peer, n, wrapped, ok)
				}
				k.c.idSeed--
				appended, ok := k.c.Append([]byte("before"), data, peer)
				if !ok || string(appended) != "before"+string(wrapped) {
					t.Errorf("%v, %d bytes: %x, then %x", peer, n, wrapped, appended)
				}
				if _, ok := k.c.Wrap(buf[1:], front-1, n, peer); ok {
					t.Errorf("%v: wrapped without room in front", peer)
				}
				if _, ok := k.c.Wrap(buf[:len(wrapped)-1], front, n, peer); ok && n > 0 {
					t.Errorf("%v, %d bytes: wrapped without room behind", peer, n)
				}
			}
		}
		if _, ok := k.c.Append(nil, []byte("x"), netip.MustParseAddrPort("9.9.9.9:9")); ok {
			t.Error("a packet to nobody")
		}
	}
}

// A connection that breaks is made again, for a while, if there was an allocation.
func TestBrokenConnection(t *testing.T) {
	k := newTalk(t, func(c *Config) { c.Transport = TCP })
	k.c.Allocate(k.now)
	k.c.HandleDialResult(k.now, 1, io.ErrUnexpectedEOF)
	k.wantFailed(0) // the first one must work

	k.c.Allocate(k.now)
	k.c.HandleDialResult(k.now, 2, nil)
	raw, _ := k.sent(stun.MethodAllocate)
	_ = k.reply(raw, success, nil, relayed, mapped, lifetime(600)) // a server that wants no credentials
	if k.c.State() != StateAllocated {
		t.Fatal(k.c.State())
	}
	k.events()
	k.c.HandleDisconnect(k.now, 1, io.EOF) // an old one
	if k.c.State() != StateAllocated {
		t.Fatal("an old connection has no say")
	}
	k.c.HandleDisconnect(k.now, 2, io.EOF)
	list := k.events()
	if e, _ := last[EventLost](list); !errors.Is(e.Err, io.EOF) {
		t.Errorf("%+v", list)
	}
	for gen := uint64(3); ; gen++ {
		if e, ok := last[EventDial](list); !ok || e.Gen != gen {
			break
		}
		k.c.HandleDialResult(k.now, gen, io.ErrClosedPipe)
		k.advance(10 * time.Second)
		list = k.events()
	}
	if e, ok := last[EventFailed](list); !ok || !errors.Is(e.Err, io.ErrClosedPipe) || k.c.dialGen != 3+maxRedials {
		t.Errorf("%+v after %d connections", list, k.c.dialGen)
	}
}

// A restarted server does not answer on a DTLS association that it has forgotten: a new one is made soon.
func TestForgottenAssociation(t *testing.T) {
	k := newTalk(t, func(c *Config) { c.Transport = DTLS })
	k.c.Allocate(k.now)
	k.c.HandleDialResult(k.now, 1, nil)
	raw, _ := k.sent(stun.MethodAllocate)
	_ = k.reply(raw, success, nil, relayed, mapped, lifetime(600))
	if err := k.c.CreatePermission(k.now, peerAddr.Addr()); err != nil {
		t.Fatal(err)
	}
	raw, _ = k.sent(stun.MethodCreatePermission)
	_ = k.reply(raw, success, nil)
	k.advance(time.Minute)
	k.events()
	begin := k.now
	buf := make([]byte, 100)
	for k.now.Sub(begin) < 3*time.Second && k.c.State() == StateAllocated {
		if _, ok := k.c.Wrap(buf, MaxHeadroom, 10, peerAddr); !ok {
			t.Fatal("no way")
		}
		k.advance(20 * time.Millisecond)
	}
	list := k.events()
	if e, ok := last[EventDial](list); !ok || e.Gen != 2 || k.now.Sub(begin) > 1800*time.Millisecond {
		t.Errorf("%+v after %v", list, k.now.Sub(begin))
	}
}

func TestConfig(t *testing.T) {
	good := Config{Server: netip.MustParseAddrPort("30.0.0.1:3478"), Rand: rand.NewChaCha8([32]byte{})}
	for what, change := range map[string]func(*Config){
		"no server": func(c *Config) { c.Server = netip.AddrPort{} },
		"no rand":   func(c *Config) { c.Rand = nil },
		"transport": func(c *Config) { c.Transport = 9 },
		"negative":  func(c *Config) { c.RTO = -1 },
		"long name": func(c *Config) { c.Username = string(make([]byte, 600)) },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
	}
	cfg := good
	cfg.Rand = io.LimitReader(good.Rand, 3)
	if _, err := New(cfg); err == nil {
		t.Error("a random source that ends")
	}
	c, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Bind(time.Time{}, peerAddr); !errors.Is(err, ErrState) {
		t.Errorf("a peer without an allocation: %v", err)
	}
}
