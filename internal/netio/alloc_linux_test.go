//go:build !android && !netio_portable && !race

package netio

import (
	"testing"
	"time"
)

func TestPollerAllocatesNothing(t *testing.T) {
	for _, gather := range []time.Duration{0, 100 * time.Microsecond} {
		p := newPollerT(t, gather)
		from := listenT(t, "127.0.0.1")
		msgs := []Message{
			{Data: make([]byte, 160), Remote: polled(t, p, "127.0.0.1", 1).LocalAddr()},
			{Data: make([]byte, 160), Remote: polled(t, p, "127.0.0.1", 2).LocalAddr()},
		}
		taken := 0
		count := func(_ uint64, msgs []Message) { taken += len(msgs) }
		allocs := testing.AllocsPerRun(200, func() {
			if n, err := from.WriteBatch(msgs); n != 2 || err != nil {
				t.Fatalf("WriteBatch = %d, %v", n, err)
			}
			if gather > 0 {
				p.dense = gatherWorth
			}
			for taken = 0; taken < 2; {
				if err := p.Read(count); err != nil {
					t.Fatal(err)
				}
			}
		})
		if allocs != 0 {
			t.Errorf("%v allocations, gathering for %v", allocs, gather)
		}
	}
}

// TestWaitingPollerAllocatesNothing: somebody else sends, so that most reads wait.
func TestWaitingPollerAllocatesNothing(t *testing.T) {
	p := newPollerT(t, 0)
	from := listenT(t, "127.0.0.1")
	msgs := []Message{{Data: make([]byte, 160), Remote: polled(t, p, "127.0.0.1", 1).LocalAddr()}}
	next := make(chan struct{})
	defer close(next)
	go func() {
		for range next {
			spin(20 * time.Microsecond)
			_, _ = from.WriteBatch(msgs)
		}
	}()
	waited := 0
	none := func(uint64, []Message) {}
	allocs := testing.AllocsPerRun(500, func() {
		next <- struct{}{}
		if err := p.Read(none); err != nil {
			t.Fatal(err)
		}
		if p.gate.looks > 1 {
			waited++
		}
	})
	if allocs != 0 || waited == 0 {
		t.Errorf("%v allocations, %d reads have waited", allocs, waited)
	}
}
