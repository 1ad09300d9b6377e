package sctp

import (
	"slices"
	"testing"
	"time"
)

func interleaved() Config {
	c := plain()
	c.DisableInterleaving = false
	return c
}

func TestRFC8260Chunks(t *testing.T) {
	t.Run("2.1 fragments have numbers", func(t *testing.T) {
		runDrill(t, interleaved(), false, `
			0   send 1 3000
			0   > IDATA 0 B 1 0 0 1140
			0   > IDATA 1 - 1 0 1 1140
			0   > IDATA 2 EI 1 0 2 720
			100 < SACK 2 100000
			100 send 1 10
			100 > IDATA 3 BEI 1 1 0 10
			200 < SACK 3 100000
			200 send 1 10 u
			200 > IDATA 4 BEUI 1 0 0 10
			300 < SACK 4 100000`)
	})
	t.Run("2.2.2 a large message lets others through", func(t *testing.T) {
		runDrill(t, interleaved(), true, `
			0   connect
			0   > INIT
			0   send 1 5000
			50  < INITACK
			50  > COOKIE | IDATA 0 B 1 0 0 1120
			60  send 2 1000
			100 < COOKIEACK | SACK 0 100000
			100 > IDATA 1 BE 2 0 0 1000 | IDATA 2 - 1 0 1 120
			100 > IDATA 3 - 1 0 2 1140
			100 > IDATA 4 - 1 0 3 1140
			100 > IDATA 5 - 1 0 4 1140
			100 > IDATA 6 EI 1 0 5 340
			150 < SACK 6 100000`)
	})
	t.Run("2.3 messages are put together from both streams", func(t *testing.T) {
		d := runDrill(t, interleaved(), false, `
			0   < IDATA 0 B 1 0 0 10 | IDATA 1 B 2 0 0 20 | IDATA 2 E 1 0 1 10 | IDATA 3 - 2 0 1 20
			1   < IDATA 5 BE 1 1 0 30 | IDATA 4 EI 2 0 2 20
			1   > SACK 5 *
			1   receive 3`)
		var sizes []int
		for _, m := range d.got {
			sizes = append(sizes, len(m.Data))
		}
		if !slices.Equal(sizes, []int{20, 30, 60}) {
			t.Errorf("sizes %v", sizes)
		}
	})
	t.Run("2.3.1 I-FORWARD-TSN", func(t *testing.T) {
		d := runDrill(t, interleaved(), false, `
			0   < IDATA 1 E 1 0 1 10 | IDATA 3 BU 2 5 0 20 | IDATA 4 BE 1 1 0 30
			0   > SACK -1 * gaps 1-1,3-4
			1   receive 0
			2   < IFWD 3 1:0 2:5:u
			2   > SACK 4 *
			2   receive 1`)
		if d.a.inbox.held != 0 {
			t.Errorf("%d bytes held", d.a.inbox.held)
		}
	})
	t.Run("2.3.1 sent", func(t *testing.T) {
		runDrill(t, interleaved(), false, `
			0   send 1 100 rtx=0
			0   > IDATA 0 BEI 1 0 0 100
			0   send 1 100 u rtx=0
			0   > IDATA 1 BEUI 1 0 0 100
			300 > IFWD 1 1:0 1:0:u
			400 < SACK 1 100000`)
	})
	t.Run("2.2.3 DATA where I-DATA was agreed ends the association", func(t *testing.T) {
		runDrill(t, interleaved(), false, `
			0 < DATA 0 BE 1 0 10
			0 > ABORT 13
			0 state closed`)
	})
}

// TestPriorities puts small messages of high priority beside bulk on a hundred channels: on 1 Gbit/s they may wait 2 ms at most.
func TestPriorities(t *testing.T) {
	const streams = 100
	w := newWorld(t, 1, Config{SendBuffer: 64 << 20}, Config{})
	w.connect()
	w.a.out.rate, w.a.out.delay, w.b.out.delay = 1000*mbit, 500*time.Microsecond, 500*time.Microsecond
	sizes := []int{1200, 16384, 65536, 1 << 20}
	weights := []uint16{128, 256, 512}
	for id := range uint16(streams) {
		w.a.SetPriority(id, weights[id%3])
	}
	w.a.SetPriority(streams, 1024)
	sentAt := map[uint32]time.Time{}
	var waits []time.Duration
	begin := w.now
	small := uint32(0)
	w.a.run = func(now time.Time) {
		for id := range uint16(streams) {
			for n := sizes[id%4]; w.a.BufferedAmount(id) < n/2+1; {
				w.a.mustSend(t, now, id, make([]byte, n), SendOptions{})
			}
		}
		for now.Sub(begin) > time.Duration(small+1)*3*time.Millisecond {
			small++
			sentAt[small] = now
			w.a.mustSend(t, now, streams, payload(64, small), SendOptions{})
		}
	}
	seen := 0
	w.b.run = func(now time.Time) {
		for _, m := range w.b.got {
			if m.Stream == streams {
				id := uint32(m.Data[0])<<24 | uint32(m.Data[1])<<16 | uint32(m.Data[2])<<8 | uint32(m.Data[3])
				waits = append(waits, now.Sub(sentAt[id])-500*time.Microsecond)
			} else {
				seen += len(m.Data)
			}
		}
		w.b.got = w.b.got[:0]
	}
	w.runFor(600 * time.Millisecond)
	worst := slices.Max(waits[len(waits)/3:]) // settled
	t.Logf("%d small messages waited up to %v beside %d bytes", len(waits), worst, seen)
	if worst > 2*time.Millisecond || len(waits) < 150 {
		t.Errorf("%d small messages waited up to %v", len(waits), worst)
	}
	if rate := float64(seen) * 8 / 1e6 / 0.6; rate < 700 {
		t.Errorf("only %.0f Mbit/s of bulk", rate)
	}
}
