//go:build !race

package dcep

import (
	"testing"
	"time"

	"github.com/openparley/webrtc/sctp"
)

// TestMessagesAllocateNothing: a message from Send to Event, beyond what alloc gives.
func TestMessagesAllocateNothing(t *testing.T) {
	w := newWire(t, 1, RoleClient, RoleServer, sctp.Config{})
	w.connect()
	ch := w.create(w.a, Options{})
	w.until("open", func() bool { return len(w.b.opened) == 1 })
	mem, buf, msg := make([]byte, 2000), make([]byte, 2000), make([]byte, 1000)
	alloc := func(n int) []byte { return mem[:n] }
	got := 0
	move := func(from, to *side) {
		for {
			pkt, ok := from.assoc.Next(buf, 1200)
			if !ok {
				break
			}
			_ = to.assoc.HandlePacket(w.now, pkt)
		}
		to.assoc.EndBatch(w.now)
		for {
			e, ok := to.Event(w.now, alloc)
			if !ok {
				return
			}
			got += len(e.Data)
			to.Credit(w.now, e.Charge)
		}
	}
	run := func() {
		w.now = w.now.Add(time.Millisecond)
		w.a.assoc.Advance(w.now)
		w.b.assoc.Advance(w.now)
		if err := w.a.Send(w.now, ch, msg, false); err != nil {
			t.Fatal(err)
		}
		move(w.a, w.b)
		move(w.b, w.a)
	}
	for range 300 {
		run()
	}
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations a message", n)
	}
	if got < 390_000 {
		t.Errorf("only %d bytes arrived", got)
	}
}
