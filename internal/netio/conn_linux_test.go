//go:build !android && !netio_portable

package netio

import (
	"bytes"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func sockopt(t *testing.T, c PacketConn, level, name, value int) {
	t.Helper()
	var failed error
	err := c.(*conn).raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, name, value) })
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
}

func TestBurstsStayBursts(t *testing.T) {
	for _, lo := range loopbacks {
		a, b := listenT(t, lo.addr), listenT(t, lo.addr)
		if !a.(*conn).gso.Load() {
			t.Fatal("no segmentation offload on the loopback interface")
		}
		const segments = 54
		data := make([]byte, segments*1200)
		if n, err := a.WriteBatch([]Message{{Data: data, Segment: 1200, Remote: b.LocalAddr()}}); n != 1 || err != nil {
			t.Fatalf("WriteBatch = %d, %v", n, err)
		}
		var batch Batch
		if err := b.ReadBatch(&batch); err != nil {
			t.Fatal(err)
		}
		if m := batch.Messages[0]; m.Count() != segments || m.Segment != 1200 {
			t.Errorf("%s: %d datagrams of %d bytes in the first message", lo.name, m.Count(), m.Segment)
		}
		batch.Release()
	}
}

func TestRunsOfSinglesBecomeBursts(t *testing.T) {
	a, b := listenT(t, "127.0.0.1"), listenT(t, "127.0.0.1")
	var msgs []Message
	for i := range 20 {
		msgs = append(msgs, Message{Data: numbered(i, 1000), Remote: b.LocalAddr()})
	}
	msgs = append(msgs, Message{Data: numbered(20, 999), Remote: b.LocalAddr()})
	if n, err := a.WriteBatch(msgs); n != len(msgs) || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	var batch Batch
	defer batch.Release()
	if err := b.ReadBatch(&batch); err != nil {
		t.Fatal(err)
	}
	if m := batch.Messages[0]; m.Count() != 21 || !bytes.Equal(m.At(20), numbered(20, 999)) {
		t.Errorf("%d datagrams in the first message", m.Count())
	}
}

func TestECNBothWays(t *testing.T) {
	both := listenT(t, "")
	for _, lo := range loopbacks {
		one := listenT(t, lo.addr)
		for mark := range uint8(4) {
			for _, way := range []struct {
				from, to PacketConn
			}{{one, both}, {both, one}} {
				msgs := []Message{
					{Data: []byte("single"), Remote: at(way.to, lo.addr), ECN: mark},
					{Data: []byte("burst5"), Segment: 2, Remote: at(way.to, lo.addr), ECN: mark},
				}
				if n, err := way.from.WriteBatch(msgs); n != 2 || err != nil {
					t.Fatalf("WriteBatch = %d, %v", n, err)
				}
				collect(t, way.to, 4, func(m *Message, _ []byte) {
					if m.ECN != mark {
						t.Errorf("%s: ECN %d, want %d", lo.name, m.ECN, mark)
					}
				})
			}
		}
	}
}

func TestPacketInfoTellsAndSetsTheLocalAddress(t *testing.T) {
	for _, wild := range []string{"", "0.0.0.0"} {
		all := listenT(t, wild)
		one := listenT(t, "127.0.0.1")
		// All of 127/8 is local on Linux.
		second, third := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
		if n, err := one.WriteBatch([]Message{{Data: []byte("x"), Remote: netip.AddrPortFrom(second, all.LocalAddr().Port())}}); n != 1 || err != nil {
			t.Fatalf("WriteBatch = %d, %v", n, err)
		}
		collect(t, all, 1, func(m *Message, _ []byte) {
			if m.Local != second {
				t.Errorf("%q: came to %v, want %v", wild, m.Local, second)
			}
		})
		if n, err := all.WriteBatch([]Message{{Data: []byte("x"), Local: third, Remote: one.LocalAddr()}}); n != 1 || err != nil {
			t.Fatalf("WriteBatch = %d, %v", n, err)
		}
		collect(t, one, 1, func(m *Message, _ []byte) {
			if m.Remote.Addr() != third {
				t.Errorf("%q: came from %v, want %v", wild, m.Remote, third)
			}
		})
	}
	if len(loopbacks) < 2 {
		return
	}
	t.Log("# IPv6")
	lo := netip.IPv6Loopback()
	for _, wild := range []string{"", "::"} {
		all, one := listenT(t, wild), listenT(t, "::1")
		if n, err := one.WriteBatch([]Message{{Data: []byte("x"), Remote: at(all, "::1")}}); n != 1 || err != nil {
			t.Fatalf("WriteBatch = %d, %v", n, err)
		}
		collect(t, all, 1, func(m *Message, _ []byte) {
			if m.Local != lo {
				t.Errorf("%q: came to %v", wild, m.Local)
			}
		})
		if n, err := all.WriteBatch([]Message{{Data: []byte("x"), Local: lo, Remote: one.LocalAddr()}}); n != 1 || err != nil {
			t.Fatalf("WriteBatch = %d, %v", n, err)
		}
		collect(t, one, 1, func(*Message, []byte) {})
	}
}

// TestRefusedBurstTurnsOffloadOff uses a socket without checksums: the kernel
// refuses its bursts with EINVAL, and takes its datagrams.
func TestRefusedBurstTurnsOffloadOff(t *testing.T) {
	a, b := listenT(t, "127.0.0.1"), listenT(t, "127.0.0.1")
	sockopt(t, a, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
	data := append(numbered(0, 1000), numbered(1, 1000)...)
	data = append(data, numbered(2, 10)...)
	for round := range 2 {
		msgs := []Message{
			{Data: data, Segment: 1000, Remote: b.LocalAddr()},
			{Data: numbered(3, 1000), Remote: b.LocalAddr()},
			{Data: numbered(4, 1000), Remote: b.LocalAddr()},
		}
		if n, err := a.WriteBatch(msgs); n != 3 || err != nil {
			t.Fatalf("WriteBatch = %d, %v", n, err)
		}
		i := 0
		collect(t, b, 5, func(_ *Message, data []byte) {
			if data[len(data)-1] != numbered(i, len(data))[len(data)-1] {
				t.Errorf("round %d: datagram %d differs", round, i)
			}
			i++
		})
		if a.(*conn).gso.Load() {
			t.Error("offload is still on")
		}
	}
}

func TestWithoutCallsForSeveralMessages(t *testing.T) {
	a, b := listenT(t, "127.0.0.1"), listenT(t, "127.0.0.1")
	for _, c := range []PacketConn{a, b} {
		c.(*conn).oneByOne.Store(true)
	}
	var msgs []Message
	for i := range 100 {
		msgs = append(msgs, Message{Data: numbered(i, 100+i), Remote: b.LocalAddr()})
	}
	if n, err := a.WriteBatch(msgs); n != len(msgs) || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	i := 0
	collect(t, b, len(msgs), func(_ *Message, data []byte) {
		if !bytes.Equal(data, numbered(i, 100+i)) {
			t.Errorf("datagram %d differs", i)
		}
		i++
	})
}

// kernel is a scripted one: it refuses what its rules say, and notes the size
// and the segment size of what it took.
type kernel struct {
	maxSegment int // EMSGSIZE above it for singles
	burstErrno syscall.Errno
	room       int // messages taken until EAGAIN; negative: no limit
	noMany     bool
	took       [][2]int
}

func (k *kernel) send(_ uintptr, hdrs []mmsghdr) (int, syscall.Errno) {
	if k.noMany && len(hdrs) > 1 {
		return 0, unix.ENOSYS
	}
	for i := range hdrs {
		if errno := k.one(&hdrs[i]); errno != 0 {
			if i > 0 {
				return i, 0
			}
			return 0, errno
		}
	}
	return len(hdrs), 0
}

func (k *kernel) one(h *mmsghdr) syscall.Errno {
	size, segment := 0, 0
	for _, v := range slicesOf(h) {
		size += int(v.Len)
	}
	if h.Controllen > 0 {
		segment = segmentOf(unsafe.Slice(h.Control, int(h.Controllen)))
	}
	switch {
	case k.room == 0:
		return unix.EAGAIN
	case segment > 0 && k.burstErrno != 0:
		return k.burstErrno
	case segment == 0 && k.maxSegment > 0 && size > k.maxSegment:
		return unix.EMSGSIZE
	}
	k.room--
	k.took = append(k.took, [2]int{size, segment})
	return 0
}

func scripted(t *testing.T, k *kernel) *conn {
	t.Helper()
	c := listenT(t, "127.0.0.1").(*conn)
	c.gso.Store(true)
	c.send = k.send
	return c
}

var anywhere = netip.MustParseAddrPort("127.0.0.1:9")

func TestFullSocketCutsTheBurst(t *testing.T) {
	k := &kernel{room: 2, burstErrno: unix.EIO}
	c := scripted(t, k)
	msgs := []Message{
		{Data: make([]byte, 500), Remote: anywhere},
		{Data: append(bytes.Repeat([]byte{1}, 1000), bytes.Repeat([]byte{2}, 1500)...), Segment: 1000, Remote: anywhere},
		{Data: make([]byte, 500), Remote: anywhere},
	}
	n, err := c.WriteBatch(msgs)
	if n != 1 || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	if len(msgs[1].Data) != 1500 || msgs[1].Data[0] != 2 {
		t.Errorf("%d bytes are left of the burst", len(msgs[1].Data))
	}
	k.room = -1
	if n, err := c.WriteBatch(msgs[1:]); n != 2 || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	want := [][2]int{{500, 0}, {1000, 0}, {1000, 0}, {500, 0}, {500, 0}}
	if !slices.Equal(k.took, want) {
		t.Errorf("took %v, want %v", k.took, want)
	}
	if c.gso.Load() {
		t.Error("offload is still on after EIO and a datagram that went")
	}
}

func TestFullFromTheStart(t *testing.T) {
	c := scripted(t, &kernel{})
	msgs := []Message{{Data: make([]byte, 3000), Segment: 1000, Remote: anywhere}}
	if n, err := c.WriteBatch(msgs); n != 0 || err != nil || len(msgs[0].Data) != 3000 {
		t.Errorf("WriteBatch = %d, %v, %d bytes left", n, err, len(msgs[0].Data))
	}
}

// TestBurstAboveMTUKeepsOffload: EMSGSIZE, and the EINVAL of older kernels, for
// segments above the MTU are no reason to stop bursts.
func TestBurstAboveMTUKeepsOffload(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.EMSGSIZE, unix.EINVAL} {
		k := &kernel{room: -1, burstErrno: errno, maxSegment: 1300}
		c := scripted(t, k)
		n, err := c.WriteBatch([]Message{
			{Data: make([]byte, 100), Remote: anywhere},
			{Data: make([]byte, 2*1400+10), Segment: 1400, Remote: anywhere},
			{Data: make([]byte, 1200), Remote: anywhere},
		})
		var size *SizeError
		if n != 3 || !errors.As(err, &size) || size.Index != 1 || size.Size != 1400 || size.Remote != anywhere {
			t.Errorf("%v: WriteBatch = %d, %v", errno, n, err)
		}
		if want := [][2]int{{100, 0}, {10, 0}, {1200, 0}}; !slices.Equal(k.took, want) {
			t.Errorf("%v: took %v, want %v", errno, k.took, want)
		}
		if !c.gso.Load() {
			t.Errorf("%v: offload is off", errno)
		}
		k.burstErrno, k.took = 0, nil
		if n, err := c.WriteBatch([]Message{{Data: make([]byte, 2400), Segment: 1200, Remote: anywhere}}); n != 1 || err != nil {
			t.Errorf("%v: WriteBatch = %d, %v", errno, n, err)
		}
		if want := [][2]int{{2400, 1200}}; !slices.Equal(k.took, want) {
			t.Errorf("%v: took %v, want %v", errno, k.took, want)
		}
	}
}

func TestUnreachableBurstIsDroppedWhole(t *testing.T) {
	k := &kernel{room: -1, burstErrno: unix.EHOSTUNREACH}
	c := scripted(t, k)
	n, err := c.WriteBatch([]Message{
		{Data: make([]byte, 2400), Segment: 1200, Remote: anywhere},
		{Data: make([]byte, 7), Remote: anywhere},
	})
	if n != 2 || err != nil || len(k.took) != 1 || !c.gso.Load() {
		t.Errorf("WriteBatch = %d, %v, took %v", n, err, k.took)
	}
}

func TestKernelWithoutSendmmsg(t *testing.T) {
	k := &kernel{room: -1, noMany: true}
	c := scripted(t, k)
	n, err := c.WriteBatch([]Message{
		{Data: make([]byte, 1), Remote: anywhere},
		{Data: make([]byte, 2), Remote: anywhere},
	})
	if n != 2 || err != nil || len(k.took) != 2 {
		t.Errorf("WriteBatch = %d, %v, took %v", n, err, k.took)
	}
}

// waiting is how many goroutines wait for a socket of this package to become readable.
func waiting() (n int) {
	buf := make([]byte, 4<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		header, _, _ := strings.Cut(g, "\n")
		if strings.Contains(header, "[IO wait") && strings.Contains(g, ".ReadBatch(") {
			n++
		}
	}
	return n
}

func TestWaitingReadersHoldNoBuffers(t *testing.T) {
	measure := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	// The list is full before anything is measured: what it keeps belongs to no socket.
	slabs := make([]*readSlab, readSlabs.keep)
	for i := range slabs {
		slabs[i] = readSlabs.get()
	}
	for _, s := range slabs {
		readSlabs.put(s)
	}
	const sockets = 200
	conns := make([]PacketConn, sockets)
	done := make(chan error, sockets)
	before := measure()
	for i := range conns {
		conns[i] = listenT(t, "127.0.0.1")
		go func() {
			var b Batch
			done <- conns[i].ReadBatch(&b)
		}()
	}
	for waiting() < sockets {
		runtime.Gosched()
	}
	readSlabs.mu.Lock()
	kept := len(readSlabs.free)
	readSlabs.mu.Unlock()
	if kept != readSlabs.keep {
		t.Errorf("%d of %d slabs are in the list while all readers wait", kept, readSlabs.keep)
	}
	if each := (measure() - before) / sockets; each > 8<<10 { // one buffer alone is 64 KiB
		t.Errorf("%d bytes for each waiting socket", each)
	} else {
		t.Logf("%d bytes for each waiting socket", each)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	for range conns {
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

func TestZones(t *testing.T) {
	var z zoneTable
	var names nameTable
	list, err := System.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, ifc := range list {
		if got := names.name(uint32(ifc.Index)); got != ifc.Name {
			t.Errorf("name(%d) = %q, want %q", ifc.Index, got, ifc.Name)
		}
		for range 2 {
			if got := z.index(ifc.Name); got != uint32(ifc.Index) {
				t.Errorf("index(%q) = %d, want %d", ifc.Name, got, ifc.Index)
			}
			z.forget(ifc.Name)
		}
	}
	if got := names.name(1 << 30); got != "1073741824" {
		t.Errorf("an interface that is not there: %q", got)
	}
	if z.index("77") != 77 || z.index("no-such-zone") != 0 {
		t.Error("numbers or unknown zones")
	}
}

func TestSocketAddresses(t *testing.T) {
	for _, c := range []struct {
		addr string
		six  bool
		want string // "": cannot be sent to
	}{
		{"192.0.2.1:80", false, "192.0.2.1:80"},
		{"192.0.2.1:80", true, "192.0.2.1:80"},
		{"[::ffff:192.0.2.1]:80", false, "192.0.2.1:80"},
		{"[2001:db8::1]:65535", true, "[2001:db8::1]:65535"},
		{"[2001:db8::1]:80", false, ""},
		{"[fe80::1%lo]:80", true, "[fe80::1%lo]:80"},
		{"[fe80::1%1]:80", true, "[fe80::1%lo]:80"},
	} {
		var s sockaddr
		n := s.put(netip.MustParseAddrPort(c.addr), c.six)
		got := ""
		if n > 0 {
			got = s.get().String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.addr, got, c.want)
		}
	}
	if (&sockaddr{}).get().IsValid() || (&sockaddr{}).put(netip.AddrPort{}, true) != 0 {
		t.Error("an address from nothing")
	}
}

func FuzzParseControl(f *testing.F) {
	var buf control
	w := controlWriter{buf: buf.bytes()}
	w.segment(1200)
	w.ecn(CE, true)
	w.source(netip.MustParseAddr("192.0.2.1"), false)
	f.Add(bytes.Clone(w.buf[:w.n]))
	w.n = 0
	w.ecn(ECT0, false)
	w.source(netip.MustParseAddr("fe80::1%lo"), true)
	f.Add(bytes.Clone(w.buf[:w.n]))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var aligned control
		n := copy(aligned.bytes(), b)
		m := Message{Data: make([]byte, 5000)}
		parseControl(aligned.bytes()[:n], &m)
		if m.ECN > 3 || m.Segment < 0 || m.Segment >= len(m.Data) || m.Count() < 1 {
			t.Errorf("%d segment, %d ECN", m.Segment, m.ECN)
		}
	})
}
