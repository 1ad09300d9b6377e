package netsim

import (
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

const (
	addrA = "192.0.2.1"
	addrB = "192.0.2.2"
)

var (
	portA = netip.MustParseAddrPort(addrA + ":5000")
	portB = netip.MustParseAddrPort(addrB + ":5000")
)

// wire is two hosts; what a sends crosses the link, what b sends meets nothing.
func wire(seed uint64, link LinkConfig) (n *Network, a, b *Host) {
	n = New(seed)
	a = n.AddHost("a")
	a.AddInterface(nil, link, LinkConfig{}, addrA)
	b = n.Connect("b", LinkConfig{}, addrB)
	return n, a, b
}

// received is a delivery with its time.
type received struct {
	at   time.Duration
	data string
	ecn  uint8
}

// drainAll lets the network run dry.
func drainAll(t testing.TB, n *Network, each func(at time.Time, d Delivery)) {
	t.Helper()
	for {
		at := n.Deadline()
		if at.IsZero() {
			return
		}
		for {
			d, ok := n.Next(at)
			if !ok {
				break
			}
			each(at, d)
		}
		if d := n.Deadline(); !d.IsZero() && !d.After(at) {
			t.Fatalf("Deadline %v is not after Next(%v)", d, at)
		}
	}
}

func arrivals(t testing.TB, n *Network) []received {
	t.Helper()
	var list []received
	drainAll(t, n, func(at time.Time, d Delivery) {
		list = append(list, received{at.Sub(Epoch), string(d.Data), d.ECN})
	})
	return list
}

func mustSend(t testing.TB, h *Host, at time.Duration, from, to netip.AddrPort, data []byte, ecn uint8) {
	t.Helper()
	if err := h.Send(Epoch.Add(at), from, to, data, ecn); err != nil {
		t.Fatal(err)
	}
}

func TestPerfectWire(t *testing.T) {
	n, a, _ := wire(1, LinkConfig{})
	mustSend(t, a, time.Second, portA, portB, []byte("hello"), netio.ECT0)
	d, ok := n.Next(Epoch.Add(time.Second))
	if !ok || string(d.Data) != "hello" || d.From != portA || d.To != portB || d.ECN != netio.ECT0 || d.Host.Name() != "b" {
		t.Fatalf("%+v %v", d, ok)
	}
	kept := d.Data
	if _, ok := n.Next(Epoch.Add(time.Second)); ok {
		t.Fatal("arrived twice")
	}
	if string(kept) == "hello" {
		t.Error("data was not overwritten after the next call")
	}
	if !n.Deadline().IsZero() {
		t.Error("a deadline with nothing under way")
	}
}

func TestDelayAndJitterWithinBoundsInOrder(t *testing.T) {
	const delay, jitter = 50 * time.Millisecond, 20 * time.Millisecond
	n, a, _ := wire(2, LinkConfig{Delay: delay, Jitter: jitter})
	var spread [2]time.Duration = [2]time.Duration{time.Hour, 0}
	for i := range 2000 {
		// Far enough apart that keeping the order does not matter.
		sent := time.Duration(i) * 30 * time.Millisecond
		mustSend(t, a, sent, portA, portB, []byte{0}, 0)
		for _, r := range arrivals(t, n) {
			took := r.at - sent
			spread[0], spread[1] = min(spread[0], took), max(spread[1], took)
		}
	}
	if spread[0] < delay || spread[1] > delay+jitter {
		t.Errorf("took %v to %v", spread[0], spread[1])
	}
	if spread[0] > delay+jitter/50 || spread[1] < delay+jitter*49/50 {
		t.Errorf("took only %v to %v", spread[0], spread[1])
	}
	for i := range 200 {
		mustSend(t, a, time.Hour+time.Duration(i)*time.Millisecond, portA, portB, []byte{byte(i)}, 0)
	}
	for i, r := range arrivals(t, n) {
		if r.data[0] != byte(i) {
			t.Fatalf("jitter reordered: %d arrived as %d", r.data[0], i)
		}
	}
}

func TestLossRates(t *testing.T) {
	const packets = 50_000
	for _, c := range []struct {
		name string
		link LinkConfig
		want float64
	}{
		{"none", LinkConfig{}, 0},
		{"1 %", LinkConfig{Loss: 0.01}, 0.01},
		{"30 %", LinkConfig{Loss: 0.3}, 0.3},
		{"all", LinkConfig{Loss: 1}, 1},
		// A quarter of the time in the bad state, where half is lost.
		{"bursts", LinkConfig{Burst: GilbertElliott{ToBad: 0.02, ToGood: 0.06, LossBad: 0.5}}, 0.125},
		{"both", LinkConfig{Loss: 0.1, Burst: GilbertElliott{ToBad: 0.02, ToGood: 0.06, LossBad: 0.5}}, 1 - 0.9*0.875},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, a, _ := wire(3, c.link)
			got := 0
			for i := range packets {
				mustSend(t, a, time.Duration(i)*time.Millisecond, portA, portB, []byte{0}, 0)
				got += len(arrivals(t, n))
			}
			rate := 1 - float64(got)/packets
			if math.Abs(rate-c.want) > 0.003+0.1*c.want*(1-c.want) {
				t.Errorf("lost %.4f, want %.4f", rate, c.want)
			}
			s := a.Interfaces()[0].Up.Stats()
			if s.Packets != packets || s.Delivered != uint64(got) || s.Lost != uint64(packets-got) {
				t.Errorf("%+v, %d arrived", s, got)
			}
		})
	}
}

func TestBurstsAreBursts(t *testing.T) {
	n, a, _ := wire(4, LinkConfig{Burst: GilbertElliott{ToBad: 0.01, ToGood: 0.1, LossBad: 1}})
	runs, lost, last := 0, 0, false
	for i := range 50_000 {
		mustSend(t, a, time.Duration(i)*time.Millisecond, portA, portB, []byte{0}, 0)
		gone := len(arrivals(t, n)) == 0
		if gone {
			lost++
			if !last {
				runs++
			}
		}
		last = gone
	}
	if mean := float64(lost) / float64(runs); mean < 8 || mean > 12 {
		t.Errorf("mean burst of %.1f packets, want 10", mean)
	}
}

func TestRateAndTailDrop(t *testing.T) {
	// 1250-byte IP packets at 10 Mbit/s take 1 ms each; 20 ms of queue.
	link := LinkConfig{Rate: 10e6, QueueTime: 20 * time.Millisecond, Delay: 5 * time.Millisecond}
	n, a, _ := wire(5, link)
	for i := range 100 {
		mustSend(t, a, 0, portA, portB, append([]byte{byte(i)}, make([]byte, 1250-28-1)...), 0)
	}
	if q := a.Interfaces()[0].Up.Queue(Epoch); q != 21*time.Millisecond {
		t.Errorf("queue of %v", q)
	}
	got := arrivals(t, n)
	if len(got) != 21 {
		t.Fatalf("%d arrived of a queue for 20 and one at the head", len(got))
	}
	for i, r := range got {
		if want := 5*time.Millisecond + time.Duration(i+1)*time.Millisecond; r.at != want || r.data[0] != byte(i) {
			t.Errorf("packet %d arrived at %v as %d, want %v", r.data[0], r.at, i, want)
		}
	}
	if s := a.Interfaces()[0].Up.Stats(); s.QueueDrops != 79 || s.MaxQueue != 20*time.Millisecond {
		t.Errorf("%+v", s)
	}

	t.Log("# the same by bytes")
	n, a, _ = wire(5, LinkConfig{Rate: 10e6, QueueBytes: 12500})
	for range 100 {
		mustSend(t, a, 0, portA, portB, make([]byte, 1250-28), 0)
	}
	if got := arrivals(t, n); len(got) != 10 {
		t.Errorf("%d arrived through 10 packets of queue", len(got))
	}
}

func TestThroughputIsTheRate(t *testing.T) {
	n, a, _ := wire(6, LinkConfig{Rate: 100e6, QueueTime: 10 * time.Millisecond})
	var last time.Duration
	bytes := 0
	for i := range 20_000 { // 1.2 times the rate, for two seconds
		mustSend(t, a, time.Duration(i)*100*time.Microsecond, portA, portB, make([]byte, 1472), 0)
	}
	for _, r := range arrivals(t, n) {
		bytes += len(r.data) + 28
		last = r.at
	}
	rate := float64(bytes) * 8 / last.Seconds()
	if math.Abs(rate-100e6) > 0.5e6 {
		t.Errorf("%.1f Mbit/s", rate/1e6)
	}
}

func TestECNMarking(t *testing.T) {
	n, a, _ := wire(7, LinkConfig{Rate: 10e6, MarkAbove: 5 * time.Millisecond})
	for range 10 {
		mustSend(t, a, 0, portA, portB, make([]byte, 1250-28), netio.ECT1)
	}
	mustSend(t, a, 0, portA, portB, make([]byte, 100), netio.NotECT)
	for i, r := range arrivals(t, n) {
		want := netio.ECT1
		if i >= 5 {
			want = netio.CE
		}
		if i == 10 {
			want = netio.NotECT
		}
		if r.ecn != want {
			t.Errorf("packet %d: ECN %d, want %d", i, r.ecn, want)
		}
	}
}

func TestReorderAndDuplicate(t *testing.T) {
	n, a, _ := wire(8, LinkConfig{Delay: time.Millisecond, Reorder: 0.1, Duplicate: 0.05})
	const packets = 20_000
	seen := make(map[int]int)
	for i := range packets {
		mustSend(t, a, time.Duration(i)*time.Millisecond, portA, portB, []byte{byte(i >> 16), byte(i >> 8), byte(i)}, 0)
	}
	late, highest := 0, -1
	for _, r := range arrivals(t, n) {
		i := int(r.data[0])<<16 | int(r.data[1])<<8 | int(r.data[2])
		seen[i]++
		if i < highest {
			late++
		}
		highest = max(highest, i)
	}
	twice := 0
	for _, k := range seen {
		if k == 2 {
			twice++
		}
	}
	if len(seen) != packets {
		t.Errorf("%d of %d arrived", len(seen), packets)
	}
	if f := float64(twice) / packets; math.Abs(f-0.05) > 0.01 {
		t.Errorf("duplicated %.3f", f)
	}
	if f := float64(late) / packets; math.Abs(f-0.1) > 0.02 {
		t.Errorf("late %.3f", f)
	}
}

func TestBlackouts(t *testing.T) {
	n, a, _ := wire(9, LinkConfig{Blackouts: []Blackout{{At: time.Second, For: time.Second}}})
	var log Log
	n.Trace(log.Packet)
	for i := range 30 {
		mustSend(t, a, time.Duration(i)*100*time.Millisecond, portA, portB, []byte{byte(i)}, 0)
	}
	got := arrivals(t, n)
	if len(got) != 20 || got[9].data[0] != 9 || got[10].data[0] != 20 {
		t.Errorf("%d arrived:\n%s", len(got), log.String())
	}
	t.Log("# and by hand")
	link := a.Interfaces()[0].Up
	link.SetDown(true)
	mustSend(t, a, 4*time.Second, portA, portB, []byte{0}, 0)
	link.SetDown(false)
	mustSend(t, a, 4*time.Second, portA, portB, []byte{1}, 0)
	if got := arrivals(t, n); len(got) != 1 || got[0].data != "\x01" {
		t.Errorf("%v", got)
	}
}

func TestMTU(t *testing.T) {
	n, a, b := wire(10, LinkConfig{MTU: 1500})
	if err := a.Send(Epoch, portA, portB, make([]byte, 1472), 0); err != nil {
		t.Errorf("1472 bytes: %v", err)
	}
	err := a.Send(Epoch, portA, portB, make([]byte, 1473), 0)
	var size *netio.SizeError
	if !errors.As(err, &size) || size.Size != 1473 {
		t.Errorf("1473 bytes: %v", err)
	}
	t.Log("# a narrow link in the middle drops without a word")
	cfg := b.Interfaces()[0].Down.Config()
	cfg.MTU = 1400
	b.Interfaces()[0].Down.Configure(cfg)
	mustSend(t, a, 0, portA, portB, make([]byte, 1372), 0)
	mustSend(t, a, 0, portA, portB, make([]byte, 1373), 0)
	if got := arrivals(t, n); len(got) != 1 { // the first one had not crossed yet either
		t.Errorf("%d arrived", len(got))
	}
	if s := b.Interfaces()[0].Down.Stats(); s.MTUDrops != 2 {
		t.Errorf("%+v", s)
	}
}

func TestSendBufferIsFull(t *testing.T) {
	n, a, _ := wire(11, LinkConfig{Rate: 10e6})
	a.SendBuffer = 5 * 1250
	sent := 0
	for ; sent < 100; sent++ {
		if err := a.Send(Epoch, portA, portB, make([]byte, 1250-28), 0); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if sent != 5 {
		t.Errorf("took %d packets into a buffer for 5", sent)
	}
	mustSend(t, a, time.Millisecond, portA, portB, make([]byte, 1250-28), 0)
	if got := arrivals(t, n); len(got) != 6 {
		t.Errorf("%d arrived", len(got))
	}
}

func TestCoalesce(t *testing.T) {
	n, a, _ := wire(12, LinkConfig{Delay: 1234 * time.Microsecond, Coalesce: time.Millisecond})
	for i := range 10 {
		mustSend(t, a, time.Duration(i)*100*time.Microsecond, portA, portB, []byte{0}, 0)
	}
	for i, r := range arrivals(t, n) {
		want := 2 * time.Millisecond
		if i > 7 {
			want = 3 * time.Millisecond
		}
		if r.at != want {
			t.Errorf("packet %d at %v", i, r.at)
		}
	}
}

func TestUnreachable(t *testing.T) {
	n, a, b := wire(13, LinkConfig{})
	for _, c := range []struct{ from, to string }{
		{"192.0.2.1:5000", "[2001:db8::1]:5000"}, // no IPv6 here
		{"192.0.2.9:5000", "192.0.2.2:5000"},     // not our address
		{"192.0.2.1:5000", "192.0.2.2:0"},
	} {
		if err := a.Send(Epoch, netip.MustParseAddrPort(c.from), netip.MustParseAddrPort(c.to), nil, 0); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%v: %v", c, err)
		}
	}
	mustSend(t, a, 0, portA, netip.MustParseAddrPort("203.0.113.1:9"), nil, 0)
	t.Log("# an interface that goes down loses what is under way")
	mustSend(t, a, 0, portA, portB, nil, 0)
	b.Interfaces()[0].SetUp(false)
	if err := b.Send(Epoch, portB, portA, nil, 0); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	var fates []string
	n.Trace(func(r Record) { fates = append(fates, r.Fate) })
	if got := arrivals(t, n); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if len(fates) != 2 || fates[0] != "no-route" || fates[1] != "down" {
		t.Errorf("%v", fates)
	}
	t.Log("# and works again with another address")
	b.Interfaces()[0].SetUp(true)
	b.Interfaces()[0].SetAddrs("192.0.2.3/24")
	moved := netip.MustParseAddrPort("192.0.2.3:5000")
	mustSend(t, a, 0, portA, moved, nil, 0)
	mustSend(t, b, 0, moved, portA, nil, 0)
	mustSend(t, a, 0, portA, portB, nil, 0)
	if got := arrivals(t, n); len(got) != 2 {
		t.Errorf("%d arrived", len(got))
	}
}

func TestHostTalksToItself(t *testing.T) {
	n, a, _ := wire(14, LinkConfig{Loss: 1})
	lo := netip.MustParseAddrPort("127.0.0.1:7")
	mustSend(t, a, 0, portA, portA, []byte("x"), 0)
	mustSend(t, a, 0, lo, lo, []byte("y"), 0)
	if got := arrivals(t, n); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

func TestUnspecifiedSourceIsChosen(t *testing.T) {
	n := New(1)
	a := n.AddHost("a")
	a.AddInterface(nil, LinkConfig{}, LinkConfig{}, addrA, "2001:db8::1/64")
	n.Connect("b", LinkConfig{}, addrB, "2001:db8::2")
	for _, to := range []string{"192.0.2.2:5", "[2001:db8::2]:5"} {
		mustSend(t, a, 0, netip.MustParseAddrPort("[::]:9"), netip.MustParseAddrPort(to), nil, 0)
		d, ok := n.Next(Epoch)
		if !ok || d.From.Addr().Is4() != d.To.Addr().Is4() || d.From.Port() != 9 {
			t.Errorf("%+v", d)
		}
	}
}

// storm sends through a bad network and returns its log.
func storm(t *testing.T, seed uint64) *Log {
	t.Helper()
	n, a, b := wire(seed, LinkConfig{
		Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.1, Reorder: 0.1, Duplicate: 0.1,
		Burst: GilbertElliott{ToBad: 0.01, ToGood: 0.2, LossBad: 0.8}, Rate: 5e6, QueueBytes: 20_000,
	})
	var log Log
	n.Trace(log.Packet)
	for i := range 2000 {
		at := time.Duration(i) * time.Millisecond
		mustSend(t, a, at, portA, portB, make([]byte, 200+i%1000), 0)
		mustSend(t, b, at, portB, portA, make([]byte, 50), 0)
		for {
			if _, ok := n.Next(Epoch.Add(at)); !ok {
				break
			}
		}
	}
	arrivals(t, n)
	return &log
}

func TestSameSeedSameTrace(t *testing.T) {
	first := storm(t, 42)
	if again := storm(t, 42); again.String() != first.String() {
		t.Error("two runs of one seed differ")
	}
	if storm(t, 43).Sum() == first.Sum() {
		t.Error("two seeds gave one trace")
	}
}

func TestRandDependsOnSeedAndName(t *testing.T) {
	read := func(seed uint64, name string) string {
		b := make([]byte, 16)
		_, _ = New(seed).Rand(name).Read(b)
		return string(b)
	}
	if read(1, "a") != read(1, "a") || read(1, "a") == read(2, "a") || read(1, "a") == read(1, "b") {
		t.Error("not a function of seed and name alone")
	}
}

func TestTraceLines(t *testing.T) {
	n, a, _ := wire(15, LinkConfig{Delay: 20 * time.Millisecond})
	var log Log
	n.Trace(log.Packet)
	mustSend(t, a, 100*time.Millisecond, portA, portB, make([]byte, 1200), netio.ECT0)
	mustSend(t, a, 100*time.Millisecond, portA, netip.MustParseAddrPort("203.0.113.1:9"), make([]byte, 20), 0)
	arrivals(t, n)
	want := "t=120ms a→? 192.0.2.1:5000→203.0.113.1:9 20B drop=no-route\n" +
		"t=120ms a→b 192.0.2.1:5000→192.0.2.2:5000 1200B ECT0 +20ms\n"
	if log.String() != want {
		t.Errorf("got\n%swant\n%s", log.String(), want)
	}
}
