package webrtc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

// failingConn is a socket that the system can take away.
type failingConn struct {
	netio.PacketConn
	failed atomic.Bool
}

func (c *failingConn) ReadBatch(b *netio.Batch) error {
	err := c.PacketConn.ReadBatch(b)
	if c.failed.Load() {
		b.Release()
		return syscall.ENETDOWN
	}
	return err
}

// fail lets the reader end with an error.
func (c *failingConn) fail() {
	c.failed.Store(true)
	_ = c.PacketConn.Close()
}

// muxSystem is a system whose sockets fail, and which may have no way to share a port.
type muxSystem struct {
	muxNetwork
	last  atomic.Pointer[failingConn]
	taken atomic.Bool // somebody else has the port
}

func (w *muxWorld) system(shares bool) *muxSystem {
	s := &muxSystem{}
	under := w.network()
	s.listen = func(local netip.AddrPort, n int) ([]netio.PacketConn, error) {
		if s.taken.Load() {
			return nil, syscall.EADDRINUSE
		}
		if !shares {
			n = 1
		}
		conns, err := under.listen(local, n)
		for i := range conns {
			conn := &failingConn{PacketConn: conns[i]}
			s.last.Store(conn)
			conns[i] = conn
		}
		return conns, err
	}
	s.join = func(local netip.AddrPort) (netio.PacketConn, error) {
		if !shares {
			return nil, errors.ErrUnsupported
		}
		under, err := under.join(local)
		conn := &failingConn{PacketConn: under}
		s.last.Store(conn)
		return conn, err
	}
	return s
}

// swap puts a mux on another system in the place of the world's.
func (w *muxWorld) swap(s *muxSystem) {
	if err := w.mux.Close(); err != nil {
		w.t.Error(err)
	}
	w.mux = w.listen(s.muxNetwork)
}

// bothSystems runs a test where ports can be shared, and where they cannot.
func bothSystems(t *testing.T, test func(t *testing.T, w *muxWorld, s *muxSystem)) {
	for _, shares := range []bool{true, false} {
		t.Run(fmt.Sprintf("shares=%v", shares), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newMuxWorld(t)
				defer w.close()
				s := w.system(shares)
				w.swap(s)
				test(t, w, s)
			})
		})
	}
}

// The sockets are replaced again and again while every connection talks: no message is lost, and nobody notices.
func TestUDPMuxRestartUnderLoad(t *testing.T) {
	bothSystems(t, func(t *testing.T, w *muxWorld, _ *muxSystem) {
		const messages = 100
		pairs := w.connectAll(scale(20))
		got := make([][2]atomic.Int32, len(pairs))
		for i, p := range pairs {
			for k, dc := range []*DataChannel{p.a, p.b} {
				dc.OnMessage(func(m DataChannelMessage) {
					if n := got[i][k].Add(1); string(m.Data) != fmt.Sprint(n) {
						t.Errorf("message %q after %d", m.Data, n-1)
					}
				})
			}
			p.pair.b.OnConnectionStateChange(func(s PeerConnectionState) { t.Errorf("state %v", s) })
		}
		for n := range messages {
			for _, p := range pairs {
				p.must(p.a.SendText(fmt.Sprint(n + 1)))
				p.must(p.b.SendText(fmt.Sprint(n + 1)))
			}
			if n%10 == 5 {
				if err := w.mux.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		for i, p := range pairs {
			if a, b := got[i][0].Load(), got[i][1].Load(); a != messages || b != messages {
				t.Errorf("%d and %d messages", a, b)
			}
			p.pair.b.OnConnectionStateChange(nil)
			closePair(p.pair)
		}
	})
}

// A socket that fails is opened again without anybody's doing.
func TestUDPMuxSocketFails(t *testing.T) {
	bothSystems(t, func(t *testing.T, w *muxWorld, s *muxSystem) {
		pairs := w.connectAll(8)
		for round := range 3 {
			s.last.Load().fail()
			for i, p := range pairs {
				p.echo(p.a, p.b, fmt.Sprintf("in %d %d", round, i))
				p.echo(p.b, p.a, fmt.Sprintf("out %d %d", round, i))
			}
		}
		for _, p := range pairs {
			closePair(p.pair)
		}
	})
}

// While somebody else has the port, connections wait; those that have failed come back by an ICE restart.
func TestUDPMuxLosesThePort(t *testing.T) {
	for _, away := range []time.Duration{12 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w := newMuxWorld(t)
			defer w.close()
			s := w.system(false)
			w.swap(s)
			p := w.connectAll(1)[0]
			s.taken.Store(true)
			if err := w.mux.Restart(); !errors.Is(err, &OperationError{}) || !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatalf("restarted: %v", err)
			}
			p.must(p.b.SendText("to be late"))
			late := make(chan string, 1)
			p.a.OnMessage(func(m DataChannelMessage) { late <- string(m.Data) })
			time.Sleep(away)
			want := PeerConnectionStateDisconnected
			if away > consentTimeout {
				want = PeerConnectionStateFailed
			}
			if got := p.pair.b.ConnectionState(); got != want {
				t.Errorf("%v after %v", got, away)
			}
			s.taken.Store(false)
			time.Sleep(2 * reopenLast)
			if want == PeerConnectionStateFailed {
				p.pair.a.RestartICE()
				p.negotiate(p.pair.a, p.pair.b)
			}
			if got := within(p.pair, 30*time.Second, "the late message", late); got != "to be late" {
				t.Errorf("got %q", got)
			}
			p.echo(p.a, p.b, "in")
			closePair(p.pair)
		})
	}
}

// A mux that is closed under its connections: they fail in their own time, and end as always.
func TestUDPMuxClosesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMuxWorld(t)
		pairs := w.connectAll(3)
		if err := w.mux.Close(); err != nil {
			t.Fatal(err)
		}
		if err := w.mux.Restart(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("restarted: %v", err)
		}
		time.Sleep(10 * time.Second)
		for _, p := range pairs {
			if s := p.pair.b.ConnectionState(); s != PeerConnectionStateDisconnected {
				t.Errorf("%v after 10 s", s)
			}
		}
		t.Log("# a new connection has no candidates")
		p := w.pair(7)
		_, err := p.b.CreateDataChannel("test", nil)
		p.must(err)
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		time.Sleep(time.Minute)
		if s := p.b.ICEGatheringState(); s != ICEGatheringStateComplete {
			t.Errorf("gathering %v", s)
		}
		closePair(p)
		for _, p := range pairs {
			if s := p.pair.b.ConnectionState(); s != PeerConnectionStateFailed {
				t.Errorf("%v after a minute", s)
			}
			closePair(p.pair)
		}
		w.close()
	})
}

// Two goroutines that restart a mux, and one that closes it, do not stand in each other's way.
func TestUDPMuxRestartsAndCloses(t *testing.T) {
	bothSystems(t, func(t *testing.T, w *muxWorld, _ *muxSystem) {
		var group sync.WaitGroup
		begun := make(chan struct{}, 2)
		for range 2 {
			group.Go(func() {
				for first := true; ; first = false {
					err := w.mux.Restart()
					if first {
						begun <- struct{}{}
					}
					if errors.Is(err, net.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		<-begun
		<-begun
		if err := w.mux.Close(); err != nil {
			t.Error(err)
		}
		group.Wait()
	})
}

func TestUDPMuxReaders(t *testing.T) {
	for _, n := range []int{-1, maxMuxReaders + 1} {
		if _, err := NewUDPMux(UDPMuxConfig{Readers: n}); !errors.Is(err, &RangeError{}) {
			t.Errorf("%d readers: %v", n, err)
		}
	}
}
