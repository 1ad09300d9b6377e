package sctp

import (
	"fmt"
	"testing"
	"time"
)

// pipe runs two connected associations without a network: what one sends is handed to the other at once, in bursts.
type pipe struct {
	a, b *Association
	now  time.Time
	bufs [][]byte
	sink []byte
	take func(n int) []byte
	got  int
	// moved is how many of bufs the last move filled.
	moved int
}

func newPipe(tb testing.TB, c Config) *pipe {
	p := &pipe{now: time.Unix(1e9, 0), sink: make([]byte, 1<<20)}
	p.take = func(n int) []byte { return p.sink[:n] }
	for range 40 {
		p.bufs = append(p.bufs, make([]byte, 2048))
	}
	for i, dst := range []**Association{&p.a, &p.b} {
		c.Rand = seeded{newRand(uint64(i + 1))}
		a, err := New(c)
		if err != nil {
			tb.Fatal(err)
		}
		*dst = a
	}
	p.a.Connect(p.now)
	p.b.Connect(p.now)
	for range 10 {
		p.round()
	}
	if p.a.State() != StateConnected || p.b.State() != StateConnected {
		tb.Fatal("not connected")
	}
	return p
}

// round lets 100 µs pass and moves what either side has to say.
func (p *pipe) round() {
	p.now = p.now.Add(100 * time.Microsecond)
	p.move(p.a, p.b)
	p.move(p.b, p.a)
}

func (p *pipe) move(from, to *Association) {
	from.Advance(p.now)
	n := 0
	for ; n < len(p.bufs); n++ {
		pkt, ok := from.Next(p.bufs[n], 1472)
		if !ok {
			break
		}
		p.bufs[n] = pkt
	}
	p.moved = n
	for _, pkt := range p.bufs[:n] {
		_ = to.HandlePacket(p.now, pkt)
	}
	if n > 0 {
		to.EndBatch(p.now)
	}
	for {
		m, ok := to.Receive(p.take)
		if !ok {
			break
		}
		p.got += len(m.Data)
		to.Credit(p.now, m.Charge)
	}
	for {
		if _, ok := to.Event(); !ok {
			break
		}
	}
}

func BenchmarkTransfer(b *testing.B) {
	for _, size := range []int{64, 1200, 16384, 262144} {
		for _, zero := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/zero=%v", size, zero), func(b *testing.B) {
				p := newPipe(b, Config{EnableZeroChecksum: zero})
				msg := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				sent := 0
				for i := 0; i < b.N; i++ {
					for p.a.BufferedAmount(1) > 1<<20 {
						p.round()
					}
					if err := p.a.Send(p.now, 1, 51, msg, SendOptions{}); err != nil {
						b.Fatal(err)
					}
					sent += size
				}
				for p.got < sent {
					p.round()
				}
			})
		}
	}
}

// BenchmarkStreams sends 16 KiB messages on many streams at once.
func BenchmarkStreams(b *testing.B) {
	for _, streams := range []int{1, 100} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			p := newPipe(b, Config{EnableZeroChecksum: true})
			msg := make([]byte, 16384)
			b.SetBytes(int64(len(msg)))
			sent := 0
			for i := 0; i < b.N; i++ {
				for p.a.queue.buffered > 2<<20 {
					p.round()
				}
				if err := p.a.Send(p.now, uint16(i%streams), 51, msg, SendOptions{}); err != nil {
					b.Fatal(err)
				}
				sent += len(msg)
			}
			for p.got < sent {
				p.round()
			}
		})
	}
}

func BenchmarkPingPong(b *testing.B) {
	p := newPipe(b, Config{})
	msg := make([]byte, 64)
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		_ = p.a.Send(p.now, 1, 51, msg, SendOptions{})
		p.round()
	}
}

// TestPacketsAreEqual: bulk leaves in packets of one size, so that a burst is one system call.
func TestPacketsAreEqual(t *testing.T) {
	for _, size := range []int{64, 1000, 1200, 5000, 16384, 262144} {
		for name, c := range testConfigs() {
			p := newPipe(t, c)
			msg := make([]byte, size)
			count := map[int]int{}
			total := 0
			for range 300 {
				for p.a.BufferedAmount(1) < 300_000 {
					if err := p.a.Send(p.now, 1, 51, msg, SendOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				p.move(p.a, p.b)
				for _, pkt := range p.bufs[:p.moved] {
					count[len(pkt)]++
					total++
				}
				p.now = p.now.Add(100 * time.Microsecond)
				p.move(p.b, p.a)
			}
			best := 0
			for _, n := range count {
				best = max(best, n)
			}
			if best < total*95/100 || total < 1000 {
				t.Errorf("%s, messages of %d: sizes %v", name, size, count)
			}
		}
	}
}
