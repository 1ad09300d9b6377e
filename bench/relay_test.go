package main

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"
)

func newTestLink(p impairment) *link {
	return newLink(p, nil, rand.New(rand.NewPCG(1, 1)))
}

func TestLinkDelaysByRateAndDistance(t *testing.T) {
	l := newTestLink(impairment{delay: 25 * time.Millisecond, rate: 100_000_000, queue: 50 * time.Millisecond})
	now := time.Unix(1000, 0)
	packet := make([]byte, 1250-ipUDPOverhead) // 10,000 bits: 100 µs on the link
	for i := range 3 {
		if !l.offer(now, packet) {
			t.Fatalf("packet %d dropped", i)
		}
		want := now.Add(25*time.Millisecond + time.Duration(i+1)*100*time.Microsecond)
		if got := l.packets[i].due; !got.Equal(want) {
			t.Errorf("packet %d is due at %v, want %v", i, got.Sub(now), want.Sub(now))
		}
	}
}

func TestLinkDropsAtTheTailOfTheQueue(t *testing.T) {
	l := newTestLink(impairment{delay: time.Millisecond, rate: 100_000_000, queue: 50 * time.Millisecond})
	now := time.Unix(1000, 0)
	packet := make([]byte, 1250-ipUDPOverhead)
	taken := 0
	for l.offer(now, packet) {
		taken++
	}
	if taken != 501 { // 50 ms wait, and the one on the link
		t.Errorf("the queue took %d packets of 100 µs, want 501", taken)
	}
	if !l.offer(now.Add(100*time.Microsecond), packet) {
		t.Error("no room after a packet has left")
	}
}

func TestLinkLosesAtRandom(t *testing.T) {
	l := newTestLink(impairment{delay: time.Millisecond, loss: 0.03})
	lost := 0
	for range 100_000 {
		if !l.offer(time.Unix(1000, 0), []byte{1}) {
			lost++
		}
	}
	if lost < 2800 || lost > 3200 {
		t.Errorf("%d of 100000 packets lost, want about 3000", lost)
	}
}

func TestRelayPassesPacketsBothWays(t *testing.T) {
	for name, p := range map[string]impairment{
		"at once": {},
		"delayed": {delay: time.Millisecond, rate: 100_000_000, queue: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := startRelay(p, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.stop()
			a, b := dialRelay(t, r.wire().beforeA), dialRelay(t, r.wire().beforeB)
			meet(t, a, b)
			exchange(t, a, b, "to b")
			exchange(t, b, a, "to a")
			if got := r.largestIP(); got != len("to b")+ipUDPOverhead {
				t.Errorf("largest packet %d", got)
			}
		})
	}
}

func dialRelay(t *testing.T, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// meet lets the relay learn both addresses: b's packets reach a once a's first packet has.
func meet(t *testing.T, a, b *net.UDPConn) {
	t.Helper()
	if _, err := a.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	got := make(chan struct{})
	go func() {
		defer close(got)
		_, _ = a.Read(make([]byte, 1))
	}()
	for {
		if _, err := b.Write([]byte("b")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-got:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// exchange sends until the text arrives; what was under way before is skipped.
func exchange(t *testing.T, from, to *net.UDPConn, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	for {
		n, err := to.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:n]) == text {
			return
		}
	}
}
