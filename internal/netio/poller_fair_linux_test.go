//go:build !android && !netio_portable

package netio

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestBusyPollersLetOthersRun: every processor has a poller that is never without something to read, after all of them
// have slept for a while, the runtime's monitor too. A garbage collection would wake that.
func TestBusyPollersLetOthersRun(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, procs := range []int{1, 2} {
		t.Run(fmt.Sprint(procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			testBusyPollers(t, procs)
		})
	}
}

func testBusyPollers(t *testing.T, procs int) {
	const exchanges = 3
	near, far := listenT(t, "127.0.0.1"), listenT(t, "127.0.0.1")
	toNear := []Message{{Data: []byte("x"), Remote: near.LocalAddr()}}
	toFar := []Message{{Data: []byte("x"), Remote: far.LocalAddr()}}
	var done, begun atomic.Bool
	var work sync.WaitGroup
	work.Go(func() { // an echo that takes its time
		var in Batch
		for range exchanges {
			if err := far.ReadBatch(&in); err != nil {
				t.Error(err)
				return
			}
			time.Sleep(time.Millisecond)
			_, _ = far.WriteBatch(toNear)
		}
		in.Release()
	})
	work.Go(func() {
		defer done.Store(true)
		var in Batch
		for range exchanges {
			if err := near.ReadBatch(&in); err != nil {
				return // too late
			}
			_, _ = near.WriteBatch(toFar)
		}
		in.Release()
	})
	for range procs {
		p := newPollerT(t, 30*time.Millisecond)
		c := polled(t, p, "127.0.0.1", 1)
		again := []Message{{Data: []byte("x"), Remote: c.LocalAddr()}}
		sendT(t, c, again...)
		p.dense = gatherWorth // it sleeps first
		work.Go(func() {
			var end time.Time
			for !done.Load() {
				if err := p.Read(func(uint64, []Message) { _, _ = c.WriteBatch(again) }); err != nil {
					t.Error(err)
					return
				}
				p.dense = 0
				if begun.CompareAndSwap(false, true) {
					_, _ = near.WriteBatch(toFar)
				}
				switch now := time.Now(); {
				case end.IsZero():
					end = now.Add(5 * time.Second)
				case now.After(end):
					t.Error("others do not run beside busy pollers")
					_, _ = near.Close(), far.Close()
					return
				}
			}
		})
	}
	work.Wait()
}

// TestBusyReaderLetsOthersRun: the same of a socket's own goroutine.
func TestBusyReaderLetsOthersRun(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	busy, other := listenT(t, "127.0.0.1"), listenT(t, "127.0.0.1")
	again := []Message{{Data: []byte("x"), Remote: busy.LocalAddr()}}
	var heard atomic.Bool
	var work sync.WaitGroup
	work.Go(func() {
		var in Batch
		if err := other.ReadBatch(&in); err != nil {
			t.Error(err)
		}
		heard.Store(true)
		in.Release()
	})
	gate, err := newGate(newEpoll(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.close()
	if err := gate.sleep(30 * time.Millisecond); err != nil { // without a timer of the runtime, and so the monitor sleeps too
		t.Fatal(err)
	}
	sendT(t, busy, append(again, Message{Data: []byte("x"), Remote: other.LocalAddr()})...)
	var in Batch
	for end := time.Now().Add(5 * time.Second); !heard.Load(); {
		if err := busy.ReadBatch(&in); err != nil {
			t.Fatal(err)
		}
		_, _ = busy.WriteBatch(again)
		if time.Now().After(end) {
			t.Error("others do not run beside a busy reader")
			_ = other.Close()
			break
		}
	}
	in.Release()
	work.Wait()
}
