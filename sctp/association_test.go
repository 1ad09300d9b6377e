package sctp

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestConnectSimultaneously(t *testing.T) {
	w := newWorld(t, 1, Config{}, Config{})
	w.connect()
	if !w.a.interleaving || !w.b.interleaving {
		t.Error("interleaving not negotiated")
	}
	for _, e := range w.ends() {
		if len(e.events) != 2 || e.events[0].State != StateConnecting || e.events[1].State != StateConnected {
			t.Errorf("events %+v", e.events)
		}
	}
}

func TestConnectOneSided(t *testing.T) {
	w := newWorld(t, 1, Config{}, Config{})
	w.a.Connect(w.now)
	w.runUntil(5*time.Second, "connect", func() bool {
		return w.a.State() == StateConnected && w.b.State() == StateConnected
	})
}

func TestConnectWithoutHandshake(t *testing.T) {
	w := newWorld(t, 1, Config{EnableZeroChecksum: true}, Config{EnableZeroChecksum: true})
	if err := w.a.ConnectInit(w.now, w.b.LocalInit()); err != nil {
		t.Fatal(err)
	}
	if err := w.b.ConnectInit(w.now, w.a.LocalInit()); err != nil {
		t.Fatal(err)
	}
	w.a.mustSend(t, w.now, 1, payload(100, 1), SendOptions{})
	w.runUntil(50*time.Millisecond, "message", func() bool { return len(w.b.got) == 1 })
	for _, bad := range [][]byte{nil, {1}, w.a.LocalInit()[:19], append(w.a.LocalInit(), 1, 2, 3, 4)} {
		c := newWorld(t, 3, Config{}, Config{})
		if err := c.a.ConnectInit(c.now, bad); err == nil {
			t.Errorf("ConnectInit(%x) succeeded", bad)
		}
		if c.a.State() != StateNew {
			t.Error("state changed")
		}
	}
}

func TestConnectThroughLoss(t *testing.T) {
	for seed := range uint64(100) {
		w := newWorld(t, seed, Config{}, Config{})
		w.a.out.loss, w.b.out.loss = 0.3, 0.3
		w.connect()
	}
}

func TestConnectTimeout(t *testing.T) {
	w := newWorld(t, 1, Config{Path: Path{RTT: 20 * time.Millisecond}}, Config{})
	w.a.out.loss = 1
	w.a.Connect(w.now)
	w.runUntil(60*time.Second, "time-out", func() bool { return w.a.State() == StateClosed })
	w.pump(w.a)
	last := w.a.events[len(w.a.events)-1]
	if !errors.Is(last.Err, ErrTimeout) {
		t.Errorf("error %v", last.Err)
	}
	if !w.a.Deadline().IsZero() {
		t.Error("a timer is armed after the end")
	}
}

func testConfigs() map[string]Config {
	return map[string]Config{
		"data":         {DisableInterleaving: true},
		"idata":        {},
		"zerochecksum": {EnableZeroChecksum: true},
		"cubic":        {Congestion: CongestionCUBIC},
	}
}

func TestMessageSizes(t *testing.T) {
	for name, c := range testConfigs() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, c, c)
			w.connect()
			sizes := []int{1, 2, 3, 4, 5, 63, 64, 65, 1000, 1143, 1144, 1145, 1200, 16384, 65535, 65536, 262144, 1 << 20}
			for i, n := range sizes {
				w.a.mustSend(t, w.now, uint16(i%3), payload(n, uint32(i)), SendOptions{})
				w.b.mustSend(t, w.now, uint16(i%3), payload(n, uint32(i)), SendOptions{Unordered: i%2 == 1})
			}
			w.runUntil(60*time.Second, "all messages", func() bool { return len(w.b.got) == len(sizes) && len(w.a.got) == len(sizes) })
			for _, e := range w.ends() {
				seen := map[int]bool{}
				for _, m := range e.got {
					for i, n := range sizes {
						if len(m.Data) == n {
							if err := checkPayload(m, n, uint32(i)); err != nil {
								t.Error(err)
							}
							seen[i] = true
						}
					}
				}
				if len(seen) != len(sizes) {
					t.Errorf("%d sizes of %d", len(seen), len(sizes))
				}
			}
			w.runFor(time.Second)
			w.checkEmpty()
		})
	}
}

// checkEmpty asserts that nothing is left anywhere once all was delivered.
func (w *world) checkEmpty() {
	w.t.Helper()
	for i, e := range w.ends() {
		s := e.Stats()
		if s.BytesInFlight != 0 || s.BufferedBytes != 0 || s.ReceiveWindowUsed != 0 || e.out0() != 0 || e.inbox.incomplete != 0 || e.Association.out.payload != 0 {
			w.t.Errorf("end %d: left over: %+v, %d outstanding, %d incomplete", i, s, e.out0(), e.inbox.incomplete)
		}
	}
}

func (e *endpoint) out0() int { return e.Association.out.len() }

func TestHugeMessage(t *testing.T) {
	for _, c := range []Config{{DisableInterleaving: true}, {}} {
		w := newWorld(t, 1, c, c)
		w.connect()
		w.a.mustSend(t, w.now, 1, payload(16<<20, 7), SendOptions{})
		w.runUntil(120*time.Second, "message", func() bool { return len(w.b.got) == 1 })
		if err := checkPayload(w.b.got[0], 16<<20, 7); err != nil {
			t.Error(err)
		}
	}
}

func TestOrderThroughLoss(t *testing.T) {
	for name, c := range testConfigs() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(8) {
				w := newWorld(t, seed, c, c)
				for _, e := range w.ends() {
					e.out.loss, e.out.duplicate, e.out.jitter = 0.05, 0.02, 20*time.Millisecond
				}
				w.connect()
				const n = 200
				for i := range n {
					w.a.mustSend(t, w.now, 1, payload(1+i*97%5000, uint32(i)), SendOptions{})
				}
				w.runUntil(300*time.Second, "all messages", func() bool { return len(w.b.got) == n })
				for i, m := range w.b.got {
					if err := checkPayload(m, 1+i*97%5000, uint32(i)); err != nil {
						t.Fatal(err)
					}
				}
				w.runFor(5 * time.Second)
				w.checkEmpty()
			}
		})
	}
}

func TestShutdownDrains(t *testing.T) {
	w := newWorld(t, 1, Config{}, Config{})
	w.connect()
	for i := range 50 {
		w.a.mustSend(t, w.now, 1, payload(5000, uint32(i)), SendOptions{})
	}
	w.a.Shutdown(w.now)
	if err := w.a.Send(w.now, 1, 51, []byte{1}, SendOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Shutdown: %v", err)
	}
	w.runUntil(10*time.Second, "both closed", func() bool {
		return w.a.State() == StateClosed && w.b.State() == StateClosed
	})
	if len(w.b.got) != 50 {
		t.Errorf("%d messages of 50", len(w.b.got))
	}
	for _, e := range w.ends() {
		if last := e.events[len(e.events)-1]; last.State != StateClosed || last.Err != nil {
			t.Errorf("last event %+v", last)
		}
	}
}

func TestCloseAborts(t *testing.T) {
	w := newWorld(t, 1, Config{}, Config{})
	w.connect()
	w.a.Close(w.now)
	w.a.Close(w.now)
	w.runUntil(time.Second, "peer closed", func() bool { return w.b.State() == StateClosed })
	var abort *AbortError
	if last := w.b.events[len(w.b.events)-1]; !errors.As(last.Err, &abort) || !errors.Is(last.Err, ErrClosed) {
		t.Errorf("last event %+v", last)
	}
}

func TestStreamReset(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(t, seed, Config{}, Config{DisableInterleaving: seed%2 == 0})
		w.a.out.loss, w.b.out.loss = 0.1, 0.1
		w.connect()
		resets := func(e *endpoint, d Direction) (n int) {
			for _, ev := range e.events {
				if ev.Kind == EventStreamReset && ev.Direction == d {
					n++
				}
			}
			return n
		}
		for life := range 3 {
			for i := range 20 {
				w.a.mustSend(t, w.now, 5, payload(3000, uint32(i)), SendOptions{})
			}
			w.a.mustSend(t, w.now, 6, payload(30000, 99), SendOptions{})
			if err := w.a.ResetStream(w.now, 5); err != nil {
				t.Fatal(err)
			}
			if err := w.a.Send(w.now, 5, 51, []byte{1}, SendOptions{}); !errors.Is(err, ErrStreamResetting) {
				t.Fatalf("Send on a stream that is reset: %v", err)
			}
			w.runUntil(60*time.Second, "reset", func() bool {
				return resets(w.a, Outgoing) == life+1 && resets(w.b, Incoming) == life+1 && len(w.b.got) == 21*(life+1)
			})
		}
	}
}

func TestLimitedRetransmits(t *testing.T) {
	for name, c := range testConfigs() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3, c, c)
			w.connect()
			w.a.out.loss = 0.1
			const n = 500
			for i := range n {
				w.a.mustSend(t, w.now, 1, payload(2500, uint32(i)), SendOptions{Reliability: LimitedRetransmits})
				w.a.mustSend(t, w.now, 2, payload(900, uint32(i)), SendOptions{Reliability: LimitedRetransmits, Unordered: true})
			}
			w.a.mustSend(t, w.now, 3, payload(900, 1), SendOptions{})
			w.runUntil(60*time.Second, "everything is settled", func() bool {
				return w.a.out0() == 0 && w.a.Stats().BufferedBytes == 0
			})
			s := w.a.Stats()
			if int(s.MessagesAbandoned)+len(w.b.got) < 2*n+1 || s.MessagesAbandoned == 0 || len(w.b.got) < n {
				t.Errorf("%d given up, %d arrived", s.MessagesAbandoned, len(w.b.got))
			}
			w.a.out.loss = 0
			w.a.mustSend(t, w.now, 1, payload(2500, n), SendOptions{})
			before := len(w.b.got)
			w.runUntil(time.Second, "the stream goes on", func() bool { return len(w.b.got) > before })
			w.runFor(time.Second)
			w.checkEmpty()
		})
	}
}

func TestLimitedLifetime(t *testing.T) {
	w := newWorld(t, 3, Config{}, Config{})
	w.connect()
	w.a.out.rate, w.a.out.queue = 100_000, 50_000
	for i := range 500 {
		w.a.mustSend(t, w.now, 1, payload(3000, uint32(i)), SendOptions{Reliability: LimitedLifetime, Lifetime: 500 * time.Millisecond})
	}
	w.runUntil(60*time.Second, "everything is settled", func() bool {
		return w.a.out0() == 0 && w.a.Stats().BufferedBytes == 0
	})
	if n := len(w.b.got); n < 5 || n > 60 {
		t.Errorf("%d messages arrived", n)
	}
	w.a.mustSend(t, w.now, 1, payload(3000, 777), SendOptions{})
	before := len(w.b.got)
	w.runUntil(5*time.Second, "the stream goes on", func() bool { return len(w.b.got) > before })
	w.runFor(5 * time.Second)
	w.checkEmpty()
}

func TestSlowReaderShutsWindow(t *testing.T) {
	w := newWorld(t, 3, Config{}, Config{ReceiveWindow: 100_000, MaxReceiveWindow: 100_000, MaxMessageSize: 50_000})
	w.connect()
	w.b.hold = true
	const n = 300
	for i := range n {
		w.a.mustSend(t, w.now, 1, payload(4000, uint32(i)), SendOptions{})
	}
	w.runFor(30 * time.Second)
	if used := w.b.Stats().ReceiveWindowUsed; used > 310_000 {
		t.Errorf("%d bytes held", used)
	}
	if b := w.a.BufferedAmount(1); b < n*4000-310_000 {
		t.Errorf("%d bytes still buffered at the sender", b)
	}
	if w.a.State() != StateConnected {
		t.Fatal("a shut window ended the association")
	}
	w.b.hold = false
	w.runUntil(10*time.Second, "all messages", func() bool { return len(w.b.got) == n })
}

// TestWindowFilledBehindALoss: a peer may fill the window behind one lost chunk. What was lost is sent again, and makes room
// for the rest: that is no reason to end anything.
func TestWindowFilledBehindALoss(t *testing.T) {
	for name, ca := range testConfigs() {
		t.Run(name, func(t *testing.T) {
			cb := ca
			cb.ReceiveWindow, cb.MaxReceiveWindow, cb.MaxMessageSize = 100_000, 100_000, 50_000
			w := newWorld(t, 3, ca, cb)
			w.connect()
			const n = 400
			send := func(from, to uint32) {
				for i := from; i < to; i++ {
					w.a.mustSend(t, w.now, 1, payload(4000, i), SendOptions{})
				}
			}
			send(0, n/2)
			w.runUntil(time.Minute, "all messages before", func() bool { return len(w.b.got) == n/2 })
			const chunk, tsn = 12, 16 // where a packet has its first chunk, and that has its number, if it is data
			var lost []byte
			until := w.now.Add(5 * time.Second)
			w.a.out.drop = func(pkt []byte) bool {
				if len(pkt) < 1000 || pkt[chunk] != byte(typeData) && pkt[chunk] != byte(typeIData) {
					return false
				}
				if lost == nil {
					lost = slices.Clone(pkt[tsn : tsn+4])
				}
				return w.now.Before(until) && bytes.Equal(lost, pkt[tsn:tsn+4])
			}
			send(n/2, n)
			full := 0
			w.runUntil(time.Minute, "all messages", func() bool {
				full = max(full, w.b.Stats().ReceiveWindowUsed)
				return len(w.b.got) == n
			})
			if full < 100_000 {
				t.Errorf("the window held %d bytes at most", full)
			}
			for i, m := range w.b.got {
				if err := checkPayload(m, 4000, uint32(i)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestBufferedAmountLow(t *testing.T) {
	w := newWorld(t, 3, Config{}, Config{})
	w.connect()
	w.a.SetBufferedAmountLowThreshold(1, 50_000)
	count := func() (n int) {
		for _, e := range w.a.events {
			if e.Kind == EventBufferedAmountLow {
				n++
			}
		}
		return n
	}
	w.a.mustSend(t, w.now, 1, payload(40_000, 1), SendOptions{})
	w.runFor(time.Second)
	if count() != 0 {
		t.Error("an event without crossing the threshold")
	}
	for range 3 {
		w.a.mustSend(t, w.now, 1, payload(40_000, 1), SendOptions{})
	}
	w.runFor(time.Second)
	if count() != 1 {
		t.Errorf("%d events, want 1", count())
	}
}
