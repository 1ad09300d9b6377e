package netio

import (
	"testing"
)

// BenchmarkLoopback moves datagrams of 1200 bytes between two sockets of the
// loopback interface, both ends in one goroutine, so that ns/op is the CPU time
// of a datagram, sent and received.
func BenchmarkLoopback(b *testing.B) {
	for _, c := range []struct {
		name             string
		messages, bursts int // messages a call, segments a message
		apart            bool
	}{
		{"single", 1, 1, false},
		{"sendmmsg-4", 4, 1, true},
		{"sendmmsg-32", 32, 1, true},
		{"run-32", 32, 1, false},
		{"burst-2", 1, 2, false},
		{"burst-4", 1, 4, false},
		{"burst-8", 1, 8, false},
		{"burst-16", 1, 16, false},
		{"burst-54", 1, 54, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			from, to := listenT(b, "127.0.0.1"), listenT(b, "127.0.0.1")
			const size = 1200
			msgs := make([]Message, c.messages)
			for i := range msgs {
				msgs[i] = Message{Data: make([]byte, c.bursts*size), Segment: size, Remote: to.LocalAddr()}
				if c.apart {
					msgs[i].ECN = ECT1 - uint8(i&1) // what differs does not become a burst
				}
			}
			each := c.messages * c.bursts
			var batch Batch
			b.SetBytes(size)
			b.ReportAllocs()
			cpu := cpuTime()
			for sent := 0; sent < b.N; sent += each {
				if n, err := from.WriteBatch(msgs); n != len(msgs) || err != nil {
					b.Fatal(n, err)
				}
				for got := 0; got < each; {
					if err := to.ReadBatch(&batch); err != nil {
						b.Fatal(err)
					}
					for i := range batch.Messages {
						got += batch.Messages[i].Count()
					}
				}
			}
			batch.Release()
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}
