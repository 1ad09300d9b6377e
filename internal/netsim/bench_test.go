package netsim

import (
	"testing"
	"time"
)

// BenchmarkNetwork is a datagram's whole way over two links with a rate, a queue
// and loss.
func BenchmarkNetwork(b *testing.B) {
	link := LinkConfig{Delay: 10 * time.Millisecond, Rate: 100e6, QueueTime: 50 * time.Millisecond, Loss: 0.01}
	n, h, _ := wire(1, link)
	data := make([]byte, 1200)
	b.ReportAllocs()
	now := Epoch
	for range b.N {
		now = now.Add(100 * time.Microsecond)
		if err := h.Send(now, portA, portB, data, 0); err != nil {
			b.Fatal(err)
		}
		for {
			if _, ok := n.Next(now); !ok {
				break
			}
		}
	}
}
