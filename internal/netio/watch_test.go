package netio

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeEvents is a source of changes in memory.
type fakeEvents chan struct{}

func (f fakeEvents) wait() error {
	if _, ok := <-f; !ok {
		return net.ErrClosed
	}
	return nil
}

func (f fakeEvents) close() { close(f) }

func TestWatchTellsOnceAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := make(fakeEvents)
		w := &watch{open: func() (events, error) { return source, nil }}
		var a, b atomic.Int32
		stopA := w.add(func() { a.Add(1) })
		stopB := w.add(func() { b.Add(1) })
		for range 10 {
			source <- struct{}{}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		stopA()
		stopA()
		source <- struct{}{}
		time.Sleep(time.Second)
		if a.Load() != 1 || b.Load() != 2 {
			t.Errorf("told %d and %d times, want 1 and 2", a.Load(), b.Load())
		}
		stopB()
		synctest.Wait()
		if _, ok := <-source; ok || w.quit != nil {
			t.Error("the source is open")
		}
	})
}

func TestWatchTellsOfChangesThatDoNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := make(fakeEvents)
		w := &watch{open: func() (events, error) { return source, nil }}
		var told atomic.Int32
		stop := w.add(func() { told.Add(1) })
		for range 100 {
			source <- struct{}{}
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if n := told.Load(); n < 4 || n > 5 {
			t.Errorf("told %d times in a second", n)
		}
		stop()
	})
}

func TestWatchPollsWhereNobodyTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var addr atomic.Int32
		w := &watch{
			open: func() (events, error) { return nil, errors.ErrUnsupported },
			list: func() ([]Interface, error) {
				ip := netip.AddrFrom4([4]byte{10, 0, 0, byte(addr.Load())})
				return []Interface{{Name: "eth0", Up: true, Addrs: []netip.Prefix{netip.PrefixFrom(ip, 24)}}}, nil
			},
		}
		var told atomic.Int32
		stop := w.add(func() { told.Add(1) })
		time.Sleep(time.Minute)
		if told.Load() != 0 {
			t.Error("told of nothing")
		}
		addr.Store(1)
		time.Sleep(pollInterval)
		synctest.Wait()
		if told.Load() != 1 {
			t.Errorf("told %d times", told.Load())
		}
		stop()
	})
}

func TestWatchOfTheSystemEnds(t *testing.T) {
	stop := System.(Watcher).Watch(func() {})
	stop()
}
