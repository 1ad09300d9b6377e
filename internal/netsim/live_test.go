package netsim

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

func listenLive(t *testing.T, n netio.Network, local string) netio.PacketConn {
	t.Helper()
	var ap netip.AddrPort
	if local != "" {
		ap = netip.MustParseAddrPort(local)
	}
	c, err := n.ListenUDP(ap)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readAll(t *testing.T, c netio.PacketConn, n int) (sizes, counts []int) {
	t.Helper()
	var b netio.Batch
	defer b.Release()
	for got := 0; got < n; {
		if err := c.ReadBatch(&b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Messages {
			m := &b.Messages[i]
			counts = append(counts, m.Count())
			for k := range m.Count() {
				sizes = append(sizes, len(m.At(k)))
				got++
			}
		}
	}
	return sizes, counts
}

func TestLiveRoundTripInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := LinkConfig{Delay: 25 * time.Millisecond}
		n := New(1)
		live := NewLive(n)
		defer live.Close()
		ha, hb := n.Connect("a", link, addrA), n.Connect("b", link, addrB)
		a, b := listenLive(t, live.Host(ha), addrA+":5000"), listenLive(t, live.Host(hb), "")
		go func() { // echo until closed
			var batch netio.Batch
			for b.ReadBatch(&batch) == nil {
				if n, err := b.WriteBatch(batch.Messages); n != len(batch.Messages) || err != nil {
					t.Errorf("WriteBatch = %d, %v", n, err)
				}
			}
		}()
		start := time.Now()
		to := netip.AddrPortFrom(portB.Addr(), b.LocalAddr().Port())
		for range 10 {
			if n, err := a.WriteBatch([]netio.Message{{Data: []byte("ping"), Remote: to, ECN: netio.ECT0}}); n != 1 || err != nil {
				t.Fatalf("WriteBatch = %d, %v", n, err)
			}
			var batch netio.Batch
			if err := a.ReadBatch(&batch); err != nil {
				t.Fatal(err)
			}
			m := batch.Messages[0]
			if string(m.Data) != "ping" || m.Remote != to || m.Local != portA.Addr() || m.ECN != netio.ECT0 {
				t.Errorf("%+v", m)
			}
			kept := m.Data
			batch.Release()
			if string(kept) == "ping" {
				t.Error("released data was not overwritten")
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("ten round trips of 100 ms took %v", took)
		}
		_ = b.Close()
	})
}

func TestLiveCoalescesLikeGRO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		live := NewLive(n)
		defer live.Close()
		a := listenLive(t, live.Host(n.Connect("a", LinkConfig{}, addrA)), addrA+":5000")
		b := listenLive(t, live.Host(n.Connect("b", LinkConfig{}, addrB)), addrB+":5000")
		msgs := []netio.Message{
			{Data: make([]byte, 1200*3+300), Segment: 1200, Remote: portB},
			{Data: make([]byte, 1200), Remote: portB},
			{Data: make([]byte, 1200), Remote: portB},
			{Data: make([]byte, 1300), Remote: portB}, // larger: a new message
			{Data: nil, Remote: portB},
			{Data: make([]byte, 100), Remote: portB},
			{Data: make([]byte, 100), Remote: portB, ECN: netio.CE},
		}
		if n, err := a.WriteBatch(msgs); n != len(msgs) || err != nil {
			t.Fatalf("WriteBatch = %d, %v", n, err)
		}
		synctest.Wait()
		sizes, counts := readAll(t, b, 10)
		if want := []int{1200, 1200, 1200, 300, 1200, 1200, 1300, 0, 100, 100}; !equal(sizes, want) {
			t.Errorf("sizes %v, want %v", sizes, want)
		}
		if want := []int{4, 2, 1, 1, 1, 1}; !equal(counts, want) {
			t.Errorf("counts %v, want %v", counts, want)
		}
	})
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestLiveWriteNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		live := NewLive(n)
		defer live.Close()
		ha := n.Connect("a", LinkConfig{Rate: 10e6, MTU: 1500}, addrA)
		ha.SendBuffer = 6 * 1250
		a := listenLive(t, live.Host(ha), addrA+":5000")
		b := listenLive(t, live.Host(n.Connect("b", LinkConfig{}, addrB)), addrB+":5000")
		const size = 1250 - 28
		data := make([]byte, 8*size)
		for i := range data {
			data[i] = byte(i / size)
		}
		msgs := []netio.Message{
			{Data: make([]byte, 1473), Remote: portB},
			{Data: data[:2*size], Segment: size, Remote: portB},
			{Data: data[2*size:], Segment: size, Remote: portB},
		}
		start := time.Now()
		taken, err := a.WriteBatch(msgs)
		var tooLarge *netio.SizeError
		if taken != 2 || !errors.As(err, &tooLarge) || tooLarge.Index != 0 {
			t.Fatalf("WriteBatch = %d, %v", taken, err)
		}
		if len(msgs[2].Data) != 2*size || msgs[2].Data[0] != 6 {
			t.Errorf("%d bytes are left of the burst", len(msgs[2].Data))
		}
		if time.Since(start) != 0 {
			t.Error("it waited")
		}
		time.Sleep(20 * time.Millisecond)
		if taken, err := a.WriteBatch(msgs[2:]); taken != 1 || err != nil {
			t.Fatalf("WriteBatch = %d, %v", taken, err)
		}
		if sizes, _ := readAll(t, b, 8); len(sizes) != 8 {
			t.Errorf("%d datagrams", len(sizes))
		}
	})
}

func TestLiveCloseEndsReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		live := NewLive(n)
		h := live.Host(n.Connect("a", LinkConfig{}, addrA))
		one, two := listenLive(t, h, ""), listenLive(t, h, "")
		var wg sync.WaitGroup
		for _, c := range []netio.PacketConn{one, two} {
			wg.Go(func() {
				var b netio.Batch
				if err := c.ReadBatch(&b); !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := one.Close(); err != nil || one.Close() != nil {
			t.Error(err)
		}
		live.Close()
		wg.Wait()
		if _, err := two.WriteBatch(make([]netio.Message, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestLivePortsAndInterfaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		live := NewLive(n)
		defer live.Close()
		host := n.Connect("a", LinkConfig{MTU: 1500}, addrA+"/24", "2001:db8::1/64")
		h := live.Host(host)
		listenLive(t, h, addrA+":7")
		for local, want := range map[string]error{
			addrA + ":7":      syscall.EADDRINUSE,
			"0.0.0.0:7":       syscall.EADDRINUSE,
			addrB + ":7":      syscall.EADDRNOTAVAIL,
			"[::]:7":          nil,
			"127.0.0.1:7":     nil,
			"[2001:db8::1]:8": nil,
		} {
			if _, err := h.ListenUDP(netip.MustParseAddrPort(local)); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", local, err, want)
			}
		}
		if c := listenLive(t, h, ""); c.LocalAddr().Port() < firstEphemeral {
			t.Error(c.LocalAddr())
		}
		list, err := h.Interfaces()
		if err != nil || len(list) != 2 || !list[0].Loopback || list[1].Name != "eth0" || len(list[1].Addrs) != 2 ||
			list[1].Addrs[0].String() != addrA+"/24" || list[1].MTU != 1500 || !list[1].Up {
			t.Errorf("%+v, %v", list, err)
		}
		live.Do(func(*Network) { host.Interfaces()[0].SetUp(false) })
		if list, _ := h.Interfaces(); list[1].Up || len(list[1].Addrs) != 0 {
			t.Errorf("%+v", list)
		}
	})
}

func TestLiveResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		n.AddName("8a1e.local", addrB, "2001:db8::2")
		live := NewLive(n)
		defer live.Close()
		live.ResolveDelay = 300 * time.Millisecond
		h := live.Host(n.Connect("a", LinkConfig{}, addrA))
		start := time.Now()
		addrs, err := h.Resolve(t.Context(), "8a1e.local")
		if err != nil || len(addrs) != 2 || addrs[0].String() != addrB || time.Since(start) != live.ResolveDelay {
			t.Errorf("%v, %v after %v", addrs, err, time.Since(start))
		}
		if addrs, err := h.Resolve(t.Context(), "::ffff:192.0.2.9"); err != nil || addrs[0].String() != "192.0.2.9" {
			t.Errorf("%v, %v", addrs, err)
		}
		var dns *net.DNSError
		if _, err := h.Resolve(t.Context(), "nobody.example"); !errors.As(err, &dns) || !dns.IsNotFound {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		if _, err := h.Resolve(ctx, "8a1e.local"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
			t.Error(err)
		}
	})
}

// TestLiveManyGoroutines has hosts behind NATs flood each other from several
// goroutines while links and addresses change.
func TestLiveManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		live := NewLive(n)
		link := LinkConfig{Delay: 5 * time.Millisecond, Jitter: 3 * time.Millisecond, Loss: 0.05, Rate: 20e6, QueueTime: 20 * time.Millisecond}
		nat := n.AddNAT(NATConfig{Kind: FullCone, Addrs: []string{outsideAddr}})
		in := n.AddHost("in")
		in.AddInterface(nat, link, link, "10.0.0.2")
		server := n.Connect("server", link, addrB)
		inside := listenLive(t, live.Host(in), "")
		outside := listenLive(t, live.Host(server), addrB+":5000")
		var wg sync.WaitGroup
		counts := make([]int, 2)
		for i, c := range []netio.PacketConn{inside, outside} {
			wg.Go(func() { // the reader
				var b netio.Batch
				for c.ReadBatch(&b) == nil {
					for k := range b.Messages {
						counts[i] += b.Messages[k].Count()
					}
					if i == 1 {
						_, _ = c.WriteBatch(b.Messages)
					}
				}
			})
		}
		var senders sync.WaitGroup
		for range 4 {
			senders.Go(func() {
				for range 100 {
					data := bytes.Repeat([]byte{1}, 4*1000)
					if _, err := inside.WriteBatch([]netio.Message{{Data: data, Segment: 1000, Remote: portB}}); err != nil {
						t.Error(err)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		live.Do(func(*Network) { nat.Reset() })
		senders.Wait()
		time.Sleep(time.Second)
		live.Close()
		wg.Wait()
		if counts[1] < 1000 || counts[0] < 900 {
			t.Errorf("%v of 1600 datagrams arrived", counts)
		}
	})
}
