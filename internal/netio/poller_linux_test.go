//go:build !android && !netio_portable

package netio

import (
	"bytes"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func newPollerT(t *testing.T, gather time.Duration) *poller {
	t.Helper()
	p, err := System.(Polling).NewPoller(gather)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Close()
		// Read is what releases a poller that was read.
		if err := p.Read(func(uint64, []Message) {}); !errors.Is(err, ErrClosed) {
			t.Errorf("Read of a closed poller: %v", err)
		}
	})
	return p.(*poller)
}

// polled opens a socket of the poller.
func polled(t *testing.T, p *poller, host string, tag uint64) PacketConn {
	t.Helper()
	var a netip.Addr
	if host != "" {
		a = netip.MustParseAddr(host)
	}
	c, err := p.ListenUDP(netip.AddrPortFrom(a, 0), tag)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func sendT(t *testing.T, from PacketConn, msgs ...Message) {
	t.Helper()
	if n, err := from.WriteBatch(msgs); n != len(msgs) || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
}

// readT reads until n datagrams have come, and returns how many of each socket, and in how many turns.
func readT(t *testing.T, p *poller, n int) (counts map[uint64]int, turns int) {
	t.Helper()
	counts = make(map[uint64]int)
	for ; n > 0; turns++ {
		taken := 0
		if err := p.Read(func(tag uint64, msgs []Message) {
			taken += len(msgs)
			for i := range msgs {
				counts[tag] += msgs[i].Count()
				n -= msgs[i].Count()
			}
		}); err != nil {
			t.Fatal(err)
		}
		if taken == 0 || taken > pollMessages {
			t.Fatalf("a turn of %d messages", taken)
		}
	}
	return counts, turns
}

func TestPollerTellsItsSocketsApart(t *testing.T) {
	p := newPollerT(t, 0)
	for _, lo := range loopbacks {
		from := listenT(t, lo.addr)
		a, b := polled(t, p, lo.addr, 7), polled(t, p, "", 1<<40)
		sendT(t, from, Message{Data: []byte("one"), Remote: a.LocalAddr(), ECN: ECT1})
		sendT(t, from, Message{Data: []byte("two"), Remote: at(b, lo.addr)})
		got := make(map[uint64]Message)
		for len(got) < 2 {
			if err := p.Read(func(tag uint64, msgs []Message) {
				m := msgs[0]
				m.Data = bytes.Clone(m.Data)
				got[tag] = m
			}); err != nil {
				t.Fatal(err)
			}
		}
		one, two := got[7], got[1<<40]
		if string(one.Data) != "one" || one.Remote != from.LocalAddr() || one.ECN != ECT1 {
			t.Errorf("%s: %+v", lo.name, one)
		}
		if string(two.Data) != "two" || two.Local != netip.MustParseAddr(lo.addr) {
			t.Errorf("%s: %+v", lo.name, two)
		}
		// It sends like any other.
		sendT(t, a, Message{Data: []byte("back"), Remote: from.LocalAddr()})
		var in Batch
		if err := from.ReadBatch(&in); err != nil || string(in.Messages[0].Data) != "back" {
			t.Errorf("%s: %v", lo.name, err)
		}
		in.Release()
		if err := a.ReadBatch(&in); !errors.Is(err, ErrPolled) {
			t.Errorf("ReadBatch: %v", err)
		}
	}
}

// TestPollerComesToTheEndOfEverySocket: epoll reports a socket once, and so whatever one turn leaves must come in the next.
func TestPollerComesToTheEndOfEverySocket(t *testing.T) {
	const sockets, each = 3 * pollSockets, 5
	p := newPollerT(t, 0)
	from := listenT(t, "127.0.0.1")
	conns := make([]PacketConn, sockets)
	for i := range conns {
		conns[i] = polled(t, p, "127.0.0.1", uint64(i))
		for range each {
			sendT(t, from, Message{Data: []byte("x"), Remote: conns[i].LocalAddr()})
		}
	}
	const flood = 10 * pollMessages
	for range flood {
		sendT(t, from, Message{Data: []byte("x"), Remote: conns[1].LocalAddr()})
	}
	counts, _ := readT(t, p, sockets*each+flood)
	for i := range conns {
		want := each
		if i == 1 {
			want += flood
		}
		if counts[uint64(i)] != want {
			t.Errorf("socket %d: %d datagrams", i, counts[uint64(i)])
		}
	}
	t.Log("# and again, one at a time, where the kernel has no call for more")
	conns[2].(*polledConn).oneByOne.Store(true)
	for range 3 {
		sendT(t, from, Message{Data: []byte("x"), Remote: conns[2].LocalAddr()})
	}
	if counts, _ := readT(t, p, 3); counts[2] != 3 {
		t.Error(counts)
	}
}

func TestPollerTakesTurns(t *testing.T) {
	p := newPollerT(t, 0)
	from := listenT(t, "127.0.0.1")
	busy, quiet := polled(t, p, "127.0.0.1", 1), polled(t, p, "127.0.0.1", 2)
	for range 20 * pollTurn {
		sendT(t, from, Message{Data: []byte("x"), Remote: busy.LocalAddr()})
	}
	sendT(t, from, Message{Data: []byte("x"), Remote: quiet.LocalAddr()})
	counts := make(map[uint64]int)
	for counts[2] == 0 {
		if err := p.Read(func(tag uint64, msgs []Message) { counts[tag] += len(msgs) }); err != nil {
			t.Fatal(err)
		}
	}
	if counts[1] > 2*pollTurn {
		t.Errorf("the quiet socket waited for %d messages of the busy one", counts[1])
	}
}

func TestPollerGathersWhatIsDense(t *testing.T) {
	const gather = time.Hour // what comes is less than that apart
	p := newPollerT(t, gather)
	from := listenT(t, "127.0.0.1")
	a, b := polled(t, p, "127.0.0.1", 1), polled(t, p, "127.0.0.1", 2)
	send := func(c PacketConn) { sendT(t, from, Message{Data: []byte("x"), Remote: c.LocalAddr()}) }
	slept := 0
	var during func()
	p.sleep = func(d time.Duration) error {
		if slept++; d != gather {
			t.Errorf("slept for %v", d)
		}
		during()
		return nil
	}
	// become has datagrams come one by one until they are worth gathering.
	become := func() {
		t.Helper()
		before := slept
		for range gatherWorth {
			send(a)
			if _, turns := readT(t, p, 1); turns != 1 {
				t.Errorf("%d turns", turns)
			}
		}
		if slept != before {
			t.Errorf("slept %d times", slept-before)
		}
	}
	t.Log("# the first ones are taken at once")
	become()
	t.Log("# the next ones have time to become more, time and again")
	during = func() { send(a); send(b) }
	for i := range 3 {
		send(a)
		if counts, turns := readT(t, p, 3); slept != i+1 || turns != 1 || counts[1] != 2 {
			t.Errorf("slept %d times, %d turns, %v", slept, turns, counts)
		}
	}
	t.Log("# what there is more than a turn takes does not wait")
	during = func() {
		for range pollTurn {
			send(a)
		}
	}
	send(a)
	if readT(t, p, pollTurn+1); slept != 4 {
		t.Errorf("slept %d times", slept)
	}
	t.Log("# when there are fewer, they are taken at once again")
	during = func() {}
	send(a)
	if readT(t, p, 1); slept != 5 {
		t.Errorf("slept %d times", slept)
	}
	become()
	t.Log("# and where none have come, it waits for the next one")
	during = func() { go send(b) }
	if readT(t, p, 1); slept != 6 {
		t.Errorf("slept %d times", slept)
	}
	p.dense = 0 // for the end
}

// TestPollerSleeps gathers for as long as that takes.
func TestPollerSleeps(t *testing.T) {
	const gather = 20 * time.Millisecond
	p := newPollerT(t, gather)
	from := listenT(t, "127.0.0.1")
	a := polled(t, p, "127.0.0.1", 1)
	for range 3 {
		p.dense = gatherWorth
		sendT(t, from, Message{Data: []byte("x"), Remote: a.LocalAddr()})
		begin := time.Now()
		readT(t, p, 1)
		if took := time.Since(begin); took < gather {
			t.Errorf("gathered for %v", took)
		}
	}
}

func TestPollerWithoutGatherTakesAtOnce(t *testing.T) {
	p := newPollerT(t, 0)
	p.sleep = func(time.Duration) error { t.Error("slept"); return nil }
	from := listenT(t, "127.0.0.1")
	a := polled(t, p, "127.0.0.1", 1)
	for range 2 * gatherWorth {
		sendT(t, from, Message{Data: []byte("x"), Remote: a.LocalAddr()})
		readT(t, p, 1)
	}
}

func TestCloseEndsAWaitingPoller(t *testing.T) {
	p, err := System.(Polling).NewPoller(0)
	if err != nil {
		t.Fatal(err)
	}
	c := polled(t, p.(*poller), "127.0.0.1", 1)
	ended := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		ended <- p.Read(func(uint64, []Message) {})
	}()
	<-begun
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("Read = %v", err)
	}
	if _, err := p.ListenUDP(c.LocalAddr(), 1); err == nil {
		t.Error("a socket of a closed poller")
	}
}

func TestClosedSocketLeavesThePoller(t *testing.T) {
	p := newPollerT(t, 0)
	from := listenT(t, "127.0.0.1")
	a, b := polled(t, p, "127.0.0.1", 1), polled(t, p, "127.0.0.1", 2)
	for _, c := range []PacketConn{a, b} {
		sendT(t, from, Message{Data: []byte("x"), Remote: c.LocalAddr()})
	}
	t.Log("# it closes after epoll has reported it")
	if n, err := p.wait(); n != 2 || err != nil {
		t.Fatalf("%d sockets, %v", n, err)
	}
	_ = a.Close()
	p.left = 2
	counts, _ := readT(t, p, 1)
	if counts[1] != 0 || counts[2] != 1 || len(p.sockets) != 1 {
		t.Errorf("%v, %d sockets", counts, len(p.sockets))
	}
	if _, err := a.WriteBatch([]Message{{Data: []byte("x"), Remote: b.LocalAddr()}}); !errors.Is(err, ErrClosed) {
		t.Errorf("WriteBatch = %v", err)
	}
	t.Log("# an error of a datagram that was refused is no end of the socket that sent it")
	gone := a.LocalAddr()
	sendT(t, b, Message{Data: []byte("x"), Remote: gone})
	sendT(t, from, Message{Data: []byte("x"), Remote: b.LocalAddr()})
	if counts, _ := readT(t, p, 1); counts[2] != 1 {
		t.Error(counts)
	}
}

func TestPollersShareAPort(t *testing.T) {
	var pollers []Poller
	for range 2 {
		p, err := System.(Polling).NewPoller(0)
		if err != nil {
			t.Fatal(err)
		}
		pollers = append(pollers, p)
	}
	group, err := System.(Polling).ListenUDPGroup(netip.MustParseAddrPort("127.0.0.1:0"), pollers, 9)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range group {
		t.Cleanup(func() { _ = c.Close() })
	}
	if group[0].LocalAddr() != group[1].LocalAddr() {
		t.Errorf("%v and %v", group[0].LocalAddr(), group[1].LocalAddr())
	}
	if _, err := System.(Polling).ListenUDPGroup(group[0].LocalAddr(), pollers, 9); err == nil {
		t.Error("a second group took the port")
	}
	got := make(chan int)
	var work sync.WaitGroup
	for _, p := range pollers {
		work.Go(func() {
			for p.Read(func(_ uint64, msgs []Message) { got <- len(msgs) }) == nil {
			}
		})
	}
	const flows = 32
	for range flows {
		sendT(t, listenT(t, "127.0.0.1"), Message{Data: []byte("x"), Remote: group[0].LocalAddr()})
	}
	for n := 0; n < flows; {
		n += <-got
	}
	for _, p := range pollers {
		_ = p.Close()
	}
	work.Wait()
}

func TestErrorEndsAPoller(t *testing.T) {
	before := descriptors(t)
	np, err := System.(Polling).NewPoller(0)
	if err != nil {
		t.Fatal(err)
	}
	p := np.(*poller)
	c := polled(t, p, "127.0.0.1", 1)
	failed := errors.New("no timers any more")
	p.gather, p.dense = time.Hour, gatherWorth
	p.sleep = func(time.Duration) error { return failed }
	none := func(uint64, []Message) { t.Error("a datagram") }
	if err := p.Read(none); !errors.Is(err, failed) {
		t.Errorf("Read = %v", err)
	}
	t.Log("# it is as after Close, which does nothing then")
	if err := p.Read(none); !errors.Is(err, ErrClosed) {
		t.Errorf("Read = %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("ListenUDP: %v", err)
	}
	_ = c.Close()
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, after %d", n, before)
	}
}
