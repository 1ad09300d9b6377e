//go:build !android && !netio_portable && !race

package netio

import "testing"

func TestPollerAllocatesNothing(t *testing.T) {
	p := newPollerT(t, 0)
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
		for taken = 0; taken < 2; {
			if err := p.Read(count); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
