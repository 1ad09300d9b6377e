//go:build !race

package sctp

import (
	"runtime"
	"testing"
	"time"
)

// TestIdleFootprint asserts that an association which has moved data and rests is small.
func TestIdleFootprint(t *testing.T) {
	const n = 50
	var keep []*world
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range n {
		w := newWorld(t, uint64(i), Config{}, Config{})
		w.connect()
		w.a.mustSend(t, w.now, 1, make([]byte, 300_000), SendOptions{})
		w.runUntil(10*time.Second, "message", func() bool { return len(w.b.got) == 1 })
		w.runFor(100 * time.Second)
		w.buf, w.a.got, w.b.got, w.a.out, w.b.out = nil, nil, nil, &link{}, &link{}
		keep = append(keep, w)
	}
	each := int(heap()-before) / (2 * n)
	runtime.KeepAlive(keep)
	t.Logf("%d bytes an association", each)
	if each > 8<<10 {
		t.Errorf("%d bytes an association", each)
	}
}

// TestSteadyStateAllocatesNothing runs the whole path of a packet, sending and receiving, SACKs included.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, size := range []int{64, 1200, 16384} {
		for _, unordered := range []bool{size == 1200} {
			for name, c := range testConfigs() {
				p := newPipe(t, c)
				msg := make([]byte, size)
				run := func() {
					for p.a.BufferedAmount(1) < 200_000 {
						if err := p.a.Send(p.now, 1, 51, msg, SendOptions{Unordered: unordered}); err != nil {
							t.Fatal(err)
						}
					}
					p.round()
				}
				for range 1000 {
					run()
				}
				before := p.got
				if n := testing.AllocsPerRun(100, run); n > 0.02 {
					t.Errorf("%s, %d bytes: %v allocations a round", name, size, n)
				}
				if p.got == before {
					t.Errorf("%s, %d bytes: nothing arrived", name, size)
				}
			}
		}
	}
}
