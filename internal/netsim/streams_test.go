package netsim

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

// streamWorld is two hosts with TCP, in a bubble.
func streamWorld(t *testing.T, test func(t *testing.T, l *Live, a, b netio.StreamNetwork)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		l := NewLive(n)
		a := l.StreamHost(n.Connect("a", LinkConfig{}, "10.0.0.1")).(netio.StreamNetwork)
		b := l.StreamHost(n.Connect("b", LinkConfig{}, "10.0.0.2")).(netio.StreamNetwork)
		test(t, l, a, b)
		l.Close()
		time.Sleep(time.Second)
	})
}

var streamAddr = netip.MustParseAddrPort("10.0.0.2:7000")

func dialStream(t *testing.T, from netio.StreamNetwork) net.Conn {
	t.Helper()
	c, err := from.DialTCPFrom(t.Context(), netip.MustParseAddr("10.0.0.1"), streamAddr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStreamsBetweenHosts(t *testing.T) {
	for _, listen := range []string{"10.0.0.2:7000", "0.0.0.0:7000"} {
		streamWorld(t, func(t *testing.T, _ *Live, a, b netio.StreamNetwork) {
			l, err := b.ListenTCP(netip.MustParseAddrPort(listen))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.ListenTCP(streamAddr); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("a second listener: %v", err)
			}
			start := time.Now()
			near := dialStream(t, a)
			far, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d != 2*streamDelay {
				t.Errorf("connected after %v", d)
			}
			if near.RemoteAddr().String() != "10.0.0.2:7000" || far.RemoteAddr().String() != near.LocalAddr().String() {
				t.Errorf("%v and %v", near.RemoteAddr(), far.RemoteAddr())
			}
			start = time.Now()
			go func() { _, _ = near.Write([]byte("hello")) }()
			buf := make([]byte, 5)
			if _, err := io.ReadFull(far, buf); err != nil || string(buf) != "hello" || time.Since(start) != streamDelay {
				t.Errorf("%q after %v: %v", buf, time.Since(start), err)
			}
			_ = near.Close()
			if _, err := far.Read(buf); !errors.Is(err, io.EOF) {
				t.Errorf("after the end: %v", err)
			}
			_ = far.Close()
			_ = l.Close()
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("accept after close: %v", err)
			}
		})
	}
}

func TestStreamsThatDoNotComeAbout(t *testing.T) {
	streamWorld(t, func(t *testing.T, _ *Live, a, _ netio.StreamNetwork) {
		ours := netip.MustParseAddr("10.0.0.1")
		if _, err := a.DialTCPFrom(t.Context(), ours, streamAddr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		if _, err := a.DialTCPFrom(t.Context(), netip.MustParseAddr("10.0.0.9"), streamAddr); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("from another's address: %v", err)
		}
		if _, err := a.ListenTCP(streamAddr); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("at another's address: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := a.DialTCPFrom(ctx, ours, streamAddr); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
	})
}

func TestStreamsThatStall(t *testing.T) {
	streamWorld(t, func(t *testing.T, live *Live, a, b netio.StreamNetwork) {
		l, err := b.ListenTCP(streamAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		near := dialStream(t, a)
		far, _ := l.Accept()
		live.StallStreams()
		_ = near.SetWriteDeadline(time.Now().Add(time.Minute))
		var failed error
		for failed == nil {
			_, failed = near.Write(make([]byte, 1000))
		}
		if !errors.Is(failed, os.ErrDeadlineExceeded) {
			t.Errorf("writes end with %v", failed)
		}
		_ = near.Close()
		_ = far.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := far.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("the other end learns of it: %v", err)
		}
		_ = far.Close()
		fresh := dialStream(t, a)
		if c, err := l.Accept(); err != nil {
			t.Error(err)
		} else {
			_ = c.Close()
		}
		_ = fresh.Close()
	})
}
