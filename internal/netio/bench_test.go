package netio

import (
	"fmt"
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

// BenchmarkPair is the same with a reader of its own, woken by the poller, as a
// transport has it: what the system calls cost when both ends are far apart. The
// sender stays at most a window ahead, so that nothing is lost.
func BenchmarkPair(b *testing.B) {
	const size, window = 1200, 512
	for _, segments := range []int{1, 2, 4, 8, 16, 54} {
		b.Run(fmt.Sprintf("burst-%d", segments), func(b *testing.B) {
			from, to := listenT(b, "127.0.0.1"), listenT(b, "127.0.0.1")
			credit := make(chan int, window)
			go func() {
				defer close(credit)
				var batch Batch
				pending := 0
				for to.ReadBatch(&batch) == nil {
					for i := range batch.Messages {
						pending += batch.Messages[i].Count()
					}
					if pending >= window/4 {
						credit <- pending
						pending = 0
					}
				}
			}()
			msgs := []Message{{Data: make([]byte, segments*size), Segment: size, Remote: to.LocalAddr()}}
			b.SetBytes(size)
			cpu := cpuTime()
			ahead := 0
			for sent := 0; sent < b.N; sent += segments {
				for ahead+segments > window {
					ahead -= <-credit
				}
				if n, err := from.WriteBatch(msgs); n != 1 || err != nil {
					b.Fatal(n, err)
				}
				ahead += segments
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			_ = to.Close()
			for range credit {
			}
		})
	}
}
