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
