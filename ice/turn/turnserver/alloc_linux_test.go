//go:build !android && !netio_portable && !race

package turnserver

import (
	"runtime"
	"slices"
	"testing"

	"github.com/openparley/webrtc/internal/netio"
)

// TestRelayingAllocatesNothing counts what the whole process allocates, in both directions.
func TestRelayingAllocatesNothing(t *testing.T) {
	_, server := startLoopback(t, "127.0.0.1:0")
	for _, channel := range []bool{true, false} {
		r := newRelayed(t, server, channel)
		up, down := r.framed(1, 160), netio.Message{Data: make([]byte, 160), Remote: r.c.Relayed()[0]}
		ignore := func([]byte) {}
		const burst = 16 // what the process does by the clock is not the packets'
		toPeer, toClient := slices.Repeat([]netio.Message{up}, burst), slices.Repeat([]netio.Message{down}, burst)
		exchange := func(n int) {
			for range n {
				_, _ = r.conn.WriteBatch(toPeer)
				_, _ = r.peer.conn.WriteBatch(toClient)
				r.peer.datagrams(burst, ignore)
				r.datagrams(burst, ignore)
			}
		}
		exchange(100)
		const rounds = 300
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		exchange(rounds)
		runtime.ReadMemStats(&after)
		if n := float64(after.Mallocs-before.Mallocs) / (2 * rounds * burst); n > 0.01 {
			t.Errorf("channel %t: %.3f allocations a packet", channel, n)
		}
	}
}
