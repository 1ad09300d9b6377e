//go:build !android && !netio_portable

package netio

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// torture is PARLEY_TORTURE, by which tries are multiplied that have to hit a moment.
func torture() int {
	if k, err := strconv.Atoi(os.Getenv("PARLEY_TORTURE")); err == nil && k > 0 {
		return k
	}
	return 1
}

// neighbours are sockets and timers of the runtime's poller that keep it busy, until stop.
func neighbours(t *testing.T) (stop func()) {
	t.Helper()
	a, b := listenT(t, "127.0.0.1"), listenT(t, "127.0.0.1")
	var work sync.WaitGroup
	echo := func(from PacketConn, pause time.Duration) {
		var in Batch
		defer in.Release()
		for from.ReadBatch(&in) == nil {
			time.Sleep(pause)
			_, _ = from.WriteBatch([]Message{{Data: in.Messages[0].Data, Remote: in.Messages[0].Remote}})
		}
	}
	work.Go(func() { echo(a, 100*time.Microsecond) })
	work.Go(func() { echo(b, 0) })
	sendT(t, a, Message{Data: []byte("x"), Remote: b.LocalAddr()})
	return func() {
		_, _ = a.Close(), b.Close()
		work.Wait()
	}
}

// TestEveryDatagramWakesThePoller: the next one is sent when the last one was read, at any distance from that: while the
// poller turns its gate on or off, looks once more, begins to wait or sleeps.
func TestEveryDatagramWakesThePoller(t *testing.T) {
	for _, c := range []struct {
		name       string
		gather     time.Duration
		distance   time.Duration
		neighbours bool
	}{
		{"at once", 0, 0, false},
		{"soon", 0, 4 * time.Microsecond, false},
		{"later", 0, 300 * time.Microsecond, false},
		{"soon, beside others", 0, 10 * time.Microsecond, true},
		{"gathering", 100 * time.Microsecond, 10 * time.Microsecond, false},
		{"gathering a little", 5 * time.Microsecond, 2 * time.Microsecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPollerT(t, c.gather)
			if c.neighbours {
				defer neighbours(t)()
			}
			testWaking(t, p, c.distance)
		})
	}
}

func testWaking(t *testing.T, p *poller, distance time.Duration) {
	t.Helper()
	from := listenT(t, "127.0.0.1")
	to := []Message{{Data: []byte("x")}}
	conns := []PacketConn{polled(t, p, "127.0.0.1", 1), polled(t, p, "127.0.0.1", 2)}
	read := make(chan error, 1)
	var work sync.WaitGroup
	defer work.Wait()
	defer p.Close()
	work.Go(func() {
		for {
			err := p.Read(func(uint64, []Message) { read <- nil })
			if errors.Is(err, ErrClosed) {
				return
			}
			if err != nil {
				read <- err
			}
		}
	})
	late := time.NewTimer(0)
	n := 0
	for end := time.Now().Add(time.Duration(torture()) * 150 * time.Millisecond); time.Now().Before(end); n++ {
		spin(distance)
		to[0].Remote = conns[rand.IntN(2)].LocalAddr()
		sendT(t, from, to...)
		late.Reset(10 * time.Second)
		select {
		case err := <-read:
			if err != nil {
				t.Fatal(err)
			}
		case <-late.C:
			t.Fatalf("datagram %d woke nobody", n)
		}
	}
	t.Logf("%d exchanges", n)
}

// spin passes a random time of at most d, without the runtime's timers, which are coarse.
func spin(d time.Duration) {
	if d == 0 {
		return
	}
	for begin, d := time.Now(), rand.N(d); time.Since(begin) < d; {
		if rand.IntN(8) == 0 {
			runtime.Gosched()
		}
	}
}

// TestPollerClosesAtAnyMoment: while it is about to wait, waits, sleeps, or reads.
func TestPollerClosesAtAnyMoment(t *testing.T) {
	ended := make(chan error)
	go func() {
		defer close(ended)
		for i := range 150 * torture() {
			// It begins with a sleep of an hour, or none.
			polling, err := System.(Polling).NewPoller(time.Duration(i%2) * time.Hour)
			if err != nil {
				ended <- err
				return
			}
			p := polling.(*poller)
			p.dense = i % 2 * gatherWorth
			done := make(chan error)
			go func() {
				done <- p.Read(func(uint64, []Message) {})
			}()
			spin(30 * time.Microsecond)
			for range 2 {
				if err := p.Close(); err != nil {
					ended <- err
				}
			}
			if err := <-done; !errors.Is(err, ErrClosed) {
				ended <- fmt.Errorf("Read: %w", err)
			}
			ended <- nil
		}
	}()
	inTime(t, ended)
}
