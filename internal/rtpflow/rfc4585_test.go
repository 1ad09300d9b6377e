package rtpflow

import (
	"math/rand"
	"slices"
	"testing"
	"time"
)

// asked returns the sequence numbers that the generator asks for now.
func asked(t *testing.T, g *NACKGenerator, now time.Time) []uint16 {
	t.Helper()
	var seqs []uint16
	for range 100 {
		b, n := g.Next(now, nil, 1, 2)
		if n == 0 {
			return seqs
		}
		before := len(seqs)
		p := one(t, b)
		p.NACKed(func(seq uint16) { seqs = append(seqs, seq) })
		if len(seqs)-before != n {
			t.Fatalf("%d said, %d in the packet", n, len(seqs)-before)
		}
	}
	t.Fatal("no end of requests")
	return nil
}

func TestRFC4585MissingPacketsAreAskedFor(t *testing.T) {
	r, g := NewReceiverStream(ReceiverConfig{}), NewNACKGenerator(NACKConfig{})
	receive := func(now time.Time, seq uint16) { g.Receive(now, r.Receive(now, headerOf(seq, 0, 1))) }
	receive(start, 65533)
	if !g.Deadline().IsZero() || asked(t, g, start) != nil {
		t.Fatal("nothing is missing")
	}
	t.Log("# a gap is asked for at once")
	receive(start, 2)
	if got := asked(t, g, start); !slices.Equal(got, []uint16{65534, 65535, 0, 1}) {
		t.Fatal(got)
	}
	if asked(t, g, start) != nil {
		t.Fatal("twice in one moment")
	}
	t.Log("# one comes late, one repaired; the others are asked for again after a round trip")
	receive(at(time.Millisecond), 65535)
	g.Receive(at(time.Millisecond), r.ReceiveRepaired(at(time.Millisecond), headerOf(0, 0, 1)))
	g.SetRTT(50 * time.Millisecond)
	if d := g.Deadline(); !d.Equal(at(20 * time.Millisecond)) {
		t.Fatal(d.Sub(start))
	}
	if got := asked(t, g, at(20*time.Millisecond)); !slices.Equal(got, []uint16{65534, 1}) {
		t.Fatal(got)
	}
	if got := asked(t, g, at(69*time.Millisecond)); got != nil {
		t.Fatal(got)
	}
	if got := asked(t, g, at(70*time.Millisecond)); len(got) != 2 {
		t.Fatal(got)
	}
	t.Log("# all there: quiet")
	receive(at(71*time.Millisecond), 65534)
	receive(at(71*time.Millisecond), 1)
	if !g.Deadline().IsZero() || g.Missing() != 0 || g.TakeLost() {
		t.Fatal("still waiting")
	}
}

func TestMissingPacketsAreGivenUp(t *testing.T) {
	for name, cfg := range map[string]NACKConfig{
		"by tries": {MaxTries: 3, MaxAge: time.Hour},
		"by age":   {MaxTries: 1000, MaxAge: 60 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			r, g := NewReceiverStream(ReceiverConfig{}), NewNACKGenerator(cfg)
			g.Receive(start, r.Receive(start, headerOf(1, 0, 1)))
			g.Receive(start, r.Receive(start, headerOf(3, 0, 1)))
			times := 0
			for d := g.Deadline(); !d.IsZero(); d = g.Deadline() {
				times += len(asked(t, g, d))
				if next := g.Deadline(); !next.IsZero() && !next.After(d) {
					t.Fatal("the deadline did not move")
				}
			}
			if times != 3 || !g.TakeLost() || g.TakeLost() {
				t.Fatalf("asked %d times", times)
			}
		})
	}
}

func TestReorderingIsWaitedOut(t *testing.T) {
	r, g := NewReceiverStream(ReceiverConfig{}), NewNACKGenerator(NACKConfig{Delay: 5 * time.Millisecond})
	for _, seq := range []uint16{1, 3, 2, 5} {
		g.Receive(start, r.Receive(start, headerOf(seq, 0, 1)))
		if got := asked(t, g, start); got != nil {
			t.Fatal(got)
		}
	}
	if got := asked(t, g, g.Deadline()); !slices.Equal(got, []uint16{4}) {
		t.Fatal(got)
	}
}

func TestHugeGapsWantAKeyFrame(t *testing.T) {
	r, g := NewReceiverStream(ReceiverConfig{}), NewNACKGenerator(NACKConfig{})
	receive := func(seq uint16) { g.Receive(start, r.Receive(start, headerOf(seq, 0, 1))) }
	receive(1)
	receive(2 + nackReach)
	if g.Missing() != 0 || !g.TakeLost() {
		t.Fatal("a gap as wide as the list")
	}
	t.Log("# half the list missing, then packets without end: what falls out of reach is lost")
	receive(2 + nackReach + 500)
	if got := asked(t, g, start); len(got) != 499 || g.TakeLost() {
		t.Fatal(len(got))
	}
	for i := range uint16(nackReach) {
		receive(3 + nackReach + 500 + i)
	}
	if g.Missing() != 0 || !g.TakeLost() {
		t.Fatalf("%d missing", g.Missing())
	}
	t.Log("# a restart forgets")
	receive(3000)
	if g.Missing() == 0 {
		t.Fatal("no gap")
	}
	receive(40000)
	receive(40001)
	if g.Missing() != 0 || !g.TakeLost() {
		t.Fatal("the old stream is waited for")
	}
}

// TestEveryLossIsRepaired lets a sender with a history and a receiver with a list of missing packets talk over a lossy
// path: what was lost and asked for comes, and the list empties.
func TestEveryLossIsRepaired(t *testing.T) {
	for seed := range seeds(100) {
		rnd := rand.New(rand.NewSource(seed))
		rcv, g, hist := NewReceiverStream(ReceiverConfig{}), NewNACKGenerator(NACKConfig{MaxTries: 100, MaxAge: time.Minute}), NewHistory(HistoryConfig{})
		rtx := NewRTXSender(RTXConfig{SSRC: 2, PayloadTypes: [128]uint8{96: 97}})
		first := uint16(rnd.Uint32())
		now := start
		got := map[uint16]bool{}
		deliver := func(pkt []byte, repaired bool) {
			h, err := ParseHeader(pkt)
			if err != nil {
				t.Fatal(err)
			}
			var a Arrival
			if repaired {
				if pkt, err = UnwrapRTX(pkt, &h, 1, 96); err != nil {
					t.Fatal(err)
				}
				h, _ = ParseHeader(pkt)
				a = rcv.ReceiveRepaired(now, &h)
			} else {
				a = rcv.Receive(now, &h)
			}
			g.Receive(now, a)
			got[h.SequenceNumber] = true
		}
		const packets = 400
		for i := range packets + 300 {
			now = now.Add(2 * time.Millisecond)
			if i < packets {
				seq := first + uint16(i)
				pkt, _ := AppendHeader(nil, Fields{PayloadType: 96, SequenceNumber: seq, SSRC: 1}, nil)
				pkt = append(pkt, make([]byte, rnd.Intn(1000))...)
				hist.Store(now, seq, pkt)
				if i == 0 || i == packets-1 || rnd.Intn(10) < 7 {
					deliver(pkt, false)
				}
			}
			if b, n := g.Next(now, nil, 9, 1); n > 0 && rnd.Intn(10) < 7 {
				p := one(t, b)
				p.NACKed(func(seq uint16) {
					if pkt := hist.Resend(now, seq, 0); pkt != nil && rnd.Intn(10) < 7 {
						wrapped, ok := rtx.Append(nil, pkt)
						if !ok {
							t.Fatal("no retransmission format")
						}
						deliver(wrapped, true)
					}
				})
			}
		}
		if g.Missing() != 0 || g.TakeLost() || len(got) != packets || rcv.Stats().PacketsLost != 0 {
			t.Fatalf("seed %d: %d missing, %d came, %d lost", seed, g.Missing(), len(got), rcv.Stats().PacketsLost)
		}
	}
}

func TestAskingAllocatesNothing(t *testing.T) {
	r, g := NewReceiverStream(ReceiverConfig{}), NewNACKGenerator(NACKConfig{})
	seq, now := uint16(0), start
	buf := make([]byte, 0, 1500)
	h := headerOf(0, 0, 1)
	wantNoAllocs(t, "a gap", func() {
		now = now.Add(5 * time.Millisecond)
		seq += 3
		h.SequenceNumber = seq
		g.Receive(now, r.Receive(now, h))
		for {
			if _, n := g.Next(now, buf, 1, 2); n == 0 {
				break
			}
		}
		h.SequenceNumber = seq - 1
		g.Receive(now, r.ReceiveRepaired(now, h))
	})
}
