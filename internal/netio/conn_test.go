package netio

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

type loopback struct{ name, addr string }

// loopbacks are the families that this machine has: containers often come
// without IPv6.
var loopbacks = func() []loopback {
	list := []loopback{{"IPv4", "127.0.0.1"}}
	if c, err := System.ListenUDP(netip.MustParseAddrPort("[::1]:0")); err == nil {
		_ = c.Close()
		list = append(list, loopback{"IPv6", "::1"})
	}
	return list
}()

func listenT(t testing.TB, local string) PacketConn {
	t.Helper()
	var ap netip.AddrPort
	if local != "" {
		ap = netip.AddrPortFrom(netip.MustParseAddr(local), 0)
	}
	c, err := System.ListenUDP(ap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// at returns where c is reached on the loopback address.
func at(c PacketConn, addr string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), c.LocalAddr().Port())
}

// numbered returns a datagram of n bytes that tells its number and its content.
func numbered(i, n int) []byte {
	p := bytes.Repeat([]byte{byte(i)}, n)
	if n >= 4 {
		binary.BigEndian.PutUint32(p, uint32(i))
	}
	return p
}

// collect reads datagrams until n have come.
func collect(t testing.TB, c PacketConn, n int, each func(m *Message, data []byte)) {
	t.Helper()
	stop := time.AfterFunc(time.Minute, func() { _ = c.Close() }) // whatever else the machine does: it ends a hang
	defer stop.Stop()
	var b Batch
	defer b.Release()
	for got := 0; got < n; {
		if err := c.ReadBatch(&b); err != nil {
			t.Fatalf("after %d of %d datagrams: %v", got, n, err)
		}
		if len(b.Messages) == 0 {
			t.Fatal("an empty batch")
		}
		for i := range b.Messages {
			m := &b.Messages[i]
			for k := range m.Count() {
				each(m, m.At(k))
				got++
			}
		}
	}
}

func TestLoopbackRoundTrip(t *testing.T) {
	for _, lo := range loopbacks {
		t.Run(lo.name, func(t *testing.T) {
			a, b := listenT(t, lo.addr), listenT(t, lo.addr)
			if got := a.LocalAddr().Addr().String(); got != lo.addr {
				t.Fatalf("LocalAddr = %v, want %v", got, lo.addr)
			}
			n, err := a.WriteBatch([]Message{{Data: []byte("ping"), Remote: b.LocalAddr()}})
			if n != 1 || err != nil {
				t.Fatalf("WriteBatch = %d, %v", n, err)
			}
			collect(t, b, 1, func(m *Message, data []byte) {
				if string(data) != "ping" || m.Remote != a.LocalAddr() || m.Local != b.LocalAddr().Addr() {
					t.Errorf("got %q from %v to %v", data, m.Remote, m.Local)
				}
			})
		})
	}
}

func TestMixedSizesArriveInOrder(t *testing.T) {
	for _, lo := range loopbacks {
		t.Run(lo.name, func(t *testing.T) {
			a, b := listenT(t, lo.addr), listenT(t, lo.addr)
			var msgs []Message
			var want [][]byte
			add := func(segment int, sizes ...int) {
				m := Message{Remote: b.LocalAddr(), Segment: segment}
				for _, size := range sizes {
					p := numbered(len(want), size)
					want = append(want, p)
					m.Data = append(m.Data, p...)
				}
				msgs = append(msgs, m)
			}
			add(0, 1200)
			add(1200, 1200, 1200, 1200, 300)
			add(0, 0) // an empty datagram is a datagram
			add(100, 100)
			add(500, 500, 500)
			for range 10 { // a run of equal singles, with a short end
				add(0, 700)
			}
			add(0, 20)
			add(0, 21)
			add(0, 9000)
			add(1000, 40)
			n, err := a.WriteBatch(msgs)
			if n != len(msgs) || err != nil {
				t.Fatalf("WriteBatch = %d, %v", n, err)
			}
			i := 0
			collect(t, b, len(want), func(m *Message, data []byte) {
				if !bytes.Equal(data, want[i]) {
					t.Errorf("datagram %d: %d bytes, want %d", i, len(data), len(want[i]))
				}
				if m.Remote != a.LocalAddr() {
					t.Errorf("datagram %d from %v", i, m.Remote)
				}
				i++
			})
		})
	}
}

func TestBurstLargerThanOneCall(t *testing.T) {
	a, b := listenT(t, "127.0.0.1"), listenT(t, "127.0.0.1")
	const segments, size = 150, 1200
	var data []byte
	for i := range segments {
		data = append(data, numbered(i, size)...)
	}
	msgs := []Message{{Data: data, Segment: size, Remote: b.LocalAddr()}}
	if n, err := a.WriteBatch(msgs); n != 1 || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	i := 0
	collect(t, b, segments, func(_ *Message, data []byte) {
		if !bytes.Equal(data, numbered(i, size)) {
			t.Fatalf("datagram %d differs", i)
		}
		i++
	})
}

func TestDualStackSocketTalksBothFamilies(t *testing.T) {
	both, err := System.ListenUDP(netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = both.Close() }()
	for _, lo := range loopbacks {
		peer := listenT(t, lo.addr)
		if n, err := peer.WriteBatch([]Message{{Data: []byte("hi"), Remote: at(both, lo.addr)}}); n != 1 || err != nil {
			t.Fatalf("%s: WriteBatch = %d, %v", lo.name, n, err)
		}
		var reply []Message
		collect(t, both, 1, func(m *Message, data []byte) {
			if m.Remote != peer.LocalAddr() {
				t.Errorf("%s: from %v, want %v", lo.name, m.Remote, peer.LocalAddr())
			}
			reply = []Message{{Data: bytes.Clone(data), Local: m.Local, Remote: m.Remote}}
		})
		if n, err := both.WriteBatch(reply); n != 1 || err != nil {
			t.Fatalf("%s: WriteBatch = %d, %v", lo.name, n, err)
		}
		collect(t, peer, 1, func(m *Message, _ []byte) {
			if m.Remote != at(both, lo.addr) {
				t.Errorf("%s: reply from %v", lo.name, m.Remote)
			}
		})
	}
}

func TestBadDestinationsDoNotStopOthers(t *testing.T) {
	a, b := listenT(t, "127.0.0.1"), listenT(t, "127.0.0.1")
	gone := listenT(t, "127.0.0.1")
	_ = gone.Close()
	data := []byte("x")
	for round := range 3 {
		n, err := a.WriteBatch([]Message{
			{Data: data, Remote: gone.LocalAddr()},
			{Data: data, Remote: netip.MustParseAddrPort("[2001:db8::1]:9")}, // the other family
			{Data: data, Remote: netip.MustParseAddrPort("127.0.0.1:0")},     // no port
			{Data: data}, // nowhere
			{Data: data, Remote: b.LocalAddr()},
		})
		if n != 5 || err != nil {
			t.Fatalf("round %d: WriteBatch = %d, %v", round, n, err)
		}
		collect(t, b, 1, func(*Message, []byte) {})
	}
	// The port-unreachable answers are not errors of the reader.
	if n, err := b.WriteBatch([]Message{{Data: data, Remote: a.LocalAddr()}}); n != 1 || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	collect(t, a, 1, func(*Message, []byte) {})
}

func TestTooLargeIsReportedAndOthersGo(t *testing.T) {
	a, b := listenT(t, "127.0.0.1"), listenT(t, "127.0.0.1")
	n, err := a.WriteBatch([]Message{
		{Data: numbered(0, 100), Remote: b.LocalAddr()},
		{Data: make([]byte, MaxDatagram+1), Remote: b.LocalAddr()},
		{Data: numbered(1, 100), Remote: b.LocalAddr()},
	})
	var size *SizeError
	if n != 3 || !errors.As(err, &size) || !errors.Is(err, ErrTooLarge) {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	if size.Index != 1 || size.Size != MaxDatagram+1 || size.Remote != b.LocalAddr() {
		t.Errorf("%+v", *size)
	}
	i := 0
	collect(t, b, 2, func(_ *Message, data []byte) {
		if !bytes.Equal(data, numbered(i, 100)) {
			t.Errorf("datagram %d differs", i)
		}
		i++
	})
}

func TestCloseEndsReadAndWrite(t *testing.T) {
	for _, lo := range loopbacks {
		c := listenT(t, lo.addr)
		done := make(chan error)
		go func() {
			var b Batch
			done <- c.ReadBatch(&b)
		}()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatalf("second Close: %v", err)
		}
		select {
		case err := <-done:
			if !errors.Is(err, ErrClosed) || !errors.Is(err, net.ErrClosed) {
				t.Errorf("ReadBatch: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("ReadBatch still waits")
		}
		if n, err := c.WriteBatch([]Message{{Data: []byte("x"), Remote: c.LocalAddr()}}); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteBatch = %d, %v", n, err)
		}
	}
}

func TestListenRefusesForeignAddress(t *testing.T) {
	if c, err := System.ListenUDP(netip.MustParseAddrPort("192.0.2.77:0")); err == nil {
		_ = c.Close()
		t.Fatal("bound to an address that is not ours")
	}
}

func TestInterfacesHaveLoopback(t *testing.T) {
	list, err := System.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if !i.Loopback {
			continue
		}
		for _, p := range i.Addrs {
			if p.String() == "127.0.0.1/8" && i.Up && i.Index > 0 && i.Name != "" {
				return
			}
		}
	}
	t.Errorf("no loopback in %+v", list)
}

func TestResolveLiteralAndCancelled(t *testing.T) {
	addrs, err := System.Resolve(t.Context(), "127.0.0.1")
	if err != nil || len(addrs) != 1 || !addrs[0].Is4() {
		t.Fatalf("Resolve = %v, %v", addrs, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := System.Resolve(ctx, "parley.invalid"); err == nil {
		t.Fatal("resolved with a cancelled context")
	}
}

func TestGroupSharesThePort(t *testing.T) {
	group, err := ListenUDPGroup(netip.MustParseAddrPort("127.0.0.1:0"), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, c := range group {
			_ = c.Close()
		}
	}()
	local := group[0].LocalAddr()
	for _, c := range group {
		if c.LocalAddr() != local {
			t.Errorf("%v and %v", c.LocalAddr(), local)
		}
	}
	if canShare && len(group) != 4 {
		t.Errorf("%d sockets", len(group))
	}
	t.Log("# the port is nobody else's by mistake")
	if other, err := ListenUDPGroup(local, 4); err == nil {
		for _, c := range other {
			_ = c.Close()
		}
		t.Error("a second group has the port")
	}
	if other, err := System.ListenUDP(local); err == nil {
		_ = other.Close()
		t.Error("another socket has the port")
	}
}

func TestGroupSpreadsFlows(t *testing.T) {
	group, err := ListenUDPGroup(netip.MustParseAddrPort("127.0.0.1:0"), 4)
	if err != nil {
		t.Fatal(err)
	}
	const flows = 64
	came := make(chan int)
	var readers sync.WaitGroup
	for i, c := range group {
		readers.Go(func() {
			var b Batch
			for c.ReadBatch(&b) == nil {
				for range b.Messages {
					came <- i
				}
			}
			b.Release()
		})
	}
	for range flows {
		sender, err := System.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sender.Close() }()
		if _, err := sender.WriteBatch([]Message{{Data: []byte{1}, Remote: group[0].LocalAddr()}}); err != nil {
			t.Fatal(err)
		}
	}
	took := map[int]int{}
	for range flows {
		took[<-came]++
	}
	for _, c := range group {
		_ = c.Close()
	}
	readers.Wait()
	if len(took) != len(group) { // each is missed with a chance of 0.75^64
		t.Errorf("of %d sockets %v took flows", len(group), took)
	}
}

// A socket is replaced without a moment in which nobody has the port.
func TestGroupIsJoined(t *testing.T) {
	for _, at := range []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("0.0.0.0:0"), {}} {
		t.Run(at.String(), func(t *testing.T) { testJoin(t, at) })
	}
}

func testJoin(t *testing.T, at netip.AddrPort) {
	group, err := ListenUDPGroup(at, 1)
	if err != nil {
		t.Fatal(err)
	}
	port := group[0].LocalAddr().Port()
	joined, err := JoinUDPGroup(netip.AddrPortFrom(at.Addr(), port))
	if !canShare {
		_ = group[0].Close()
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("joined: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = joined.Close() }()
	if joined.LocalAddr() != group[0].LocalAddr() {
		t.Errorf("joined at %v", joined.LocalAddr())
	}
	_ = group[0].Close()
	sender, err := System.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sender.Close() }()
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	if _, err := sender.WriteBatch([]Message{{Data: []byte("to the one that stays"), Remote: to}}); err != nil {
		t.Fatal(err)
	}
	var b Batch
	defer b.Release()
	if err := joined.ReadBatch(&b); err != nil || string(b.Messages[0].Data) != "to the one that stays" {
		t.Fatalf("read %v, %v", b.Messages, err)
	}
}

func TestMessageSegments(t *testing.T) {
	for _, c := range []struct {
		n, segment int
		want       []int
	}{
		{0, 0, []int{0}},
		{10, 0, []int{10}},
		{10, 10, []int{10}},
		{10, 20, []int{10}},
		{10, 4, []int{4, 4, 2}},
		{12, 4, []int{4, 4, 4}},
	} {
		m := Message{Data: make([]byte, c.n), Segment: c.segment}
		if m.Count() != len(c.want) {
			t.Errorf("%d/%d: Count = %d", c.n, c.segment, m.Count())
			continue
		}
		for i, want := range c.want {
			if p := m.At(i); len(p) != want || cap(p) > len(m.Data) {
				t.Errorf("%d/%d: At(%d) has %d bytes", c.n, c.segment, i, len(p))
			}
		}
	}
}
