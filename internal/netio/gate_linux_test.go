//go:build !android && !netio_portable

package netio

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newEpoll(t *testing.T) int {
	t.Helper()
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// inTime fails when something that makes progress has made none for seconds: the
// wake-up for it is lost, and whoever waits for it has to be ended by itself.
func inTime(t *testing.T, progress <-chan error) (n int) {
	t.Helper()
	late := time.NewTimer(0)
	for ; ; n++ {
		late.Reset(10 * time.Second)
		select {
		case err, ok := <-progress:
			if !ok {
				return n
			}
			if err != nil {
				t.Fatalf("after %d: %v", n, err)
			}
		case <-late.C:
			t.Fatalf("after %d nothing happens any more", n)
		}
	}
}

// TestGateSleepsForNextToNothing: a timer may be over before anybody waits for it.
func TestGateSleepsForNextToNothing(t *testing.T) {
	g, err := newGate(newEpoll(t), func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	slept := make(chan error)
	go func() {
		defer close(slept)
		for i := range 1000 {
			slept <- g.sleep(time.Duration(i%500 + 1))
		}
	}()
	inTime(t, slept)
}

func TestInterruptEndsWhatWaitsAtAGate(t *testing.T) {
	g, err := newGate(newEpoll(t), func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	for name, wait := range map[string]func() error{
		"sleep": func() error { return g.sleep(time.Hour) },
		"wait":  func() error { _, err := g.wait(); return err },
	} {
		t.Logf("# %s, while it waits and before", name)
		if err := g.file.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- wait(); ended <- wait() }()
		if err := g.interrupt(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		}
	}
}

// descriptors is how many epoll sets and timers the process has open: what pollers have. Sockets of tests that have ended may
// still be closing, and the test binary has files of its own.
func descriptors(t *testing.T) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		switch what, _ := os.Readlink("/proc/self/fd/" + e.Name()); what {
		case "anon_inode:[eventpoll]", "anon_inode:[timerfd]":
			n++
		}
	}
	return n
}

func TestNoGateWhereSetsCannotBeNested(t *testing.T) {
	inner := newEpoll(t)
	for range 5 { // deeper than the kernel allows
		outer := newEpoll(t)
		if err := unix.EpollCtl(outer, unix.EPOLL_CTL_ADD, inner, &unix.EpollEvent{}); errors.Is(err, unix.ELOOP) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		inner = outer
	}
	before := descriptors(t)
	if _, err := newGate(inner, nil); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a gate in front of it: %v", err)
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, after %d", n, before)
	}
}

// TestPollerThatCannotBeMadeLeavesNothing lets each of its descriptors be the one too many.
func TestPollerThatCannotBeMadeLeavesNothing(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	made := false
	for n := uint64(0); !made; n++ {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
		p, err := System.(Polling).NewPoller(0)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
		if made = err == nil; made {
			err = p.Close() // and it was never read
		} else if errors.Is(err, unix.EMFILE) {
			err = nil
		}
		if err != nil {
			t.Errorf("with %d descriptors: %v", n, err)
		}
		if now := descriptors(t); now != before {
			t.Fatalf("with %d descriptors: %d open, after %d", n, now, before)
		}
	}
}
