//go:build unix && !race

package netio

import "testing"

// TestSteadyStateAllocatesNothing sends and reads in one goroutine: loopback
// delivers within the call.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	both := listenT(t, "")
	for _, lo := range loopbacks {
		one := listenT(t, lo.addr)
		for _, way := range []struct {
			name     string
			from, to PacketConn
		}{{"to a bound socket", both, one}, {"to a wildcard socket", one, both}} {
			msgs := []Message{
				{Data: make([]byte, 1200), Remote: at(way.to, lo.addr), ECN: ECT1},
				{Data: make([]byte, 10*1200+7), Segment: 1200, Remote: at(way.to, lo.addr)},
				{Data: make([]byte, 1100), Remote: at(way.to, lo.addr)},
				{Data: make([]byte, 1100), Remote: at(way.to, lo.addr)},
			}
			var b Batch
			allocs := testing.AllocsPerRun(200, func() {
				if n, err := way.from.WriteBatch(msgs); n != len(msgs) || err != nil {
					t.Fatalf("WriteBatch = %d, %v", n, err)
				}
				for got := 0; got < 14; {
					if err := way.to.ReadBatch(&b); err != nil {
						t.Fatal(err)
					}
					for i := range b.Messages {
						got += b.Messages[i].Count()
					}
				}
				b.Release()
			})
			if allocs != 0 {
				t.Errorf("%s, %s: %v allocations", lo.name, way.name, allocs)
			}
		}
	}
}
