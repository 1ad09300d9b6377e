package webrtc

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

func TestEveryCallAfterClose(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		dc, _ := p.dataPair(nil)
		p.must(p.a.Close())
		<-p.a.Done()
		_, offer := p.a.CreateOffer(nil)
		_, answer := p.a.CreateAnswer(nil)
		_, channel := p.a.CreateDataChannel("", nil)
		_, kind := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		_, track := p.a.AddTrack(p.staticRTP(vp8, "video"))
		for name, err := range map[string]error{
			"CreateOffer": offer, "CreateAnswer": answer, "CreateDataChannel": channel, "AddTransceiver": kind, "AddTrack": track,
			"SetLocalDescription":  p.a.SetLocalDescription(SessionDescription{}),
			"SetRemoteDescription": p.a.SetRemoteDescription(*p.b.LocalDescription()),
			"AddICECandidate":      p.a.AddICECandidate(ICECandidateInit{}),
			"SetConfiguration":     p.a.SetConfiguration(Configuration{}),
			"Send":                 dc.Send(nil), "SendText": dc.SendText(""), "SendContext": dc.SendContext(p.t.Context(), nil),
		} {
			wantError(t, name, err, &InvalidStateError{})
		}
		for name, err := range map[string]error{
			"Close": p.a.Close(), "Shutdown": p.a.Shutdown(p.t.Context()), "DataChannel.Close": dc.Close(),
		} {
			wantError(t, name, err, nil)
		}
		p.a.RestartICE()
		p.a.Flush()
		p.a.Post(func() { t.Error("a function runs after Close") })
		p.a.OnTrack(func(*TrackRemote, *RTPReceiver) {})
		dc.OnOpen(func() { t.Error("open after Close") })
		dc.SetBufferedAmountLowThreshold(1)
		_ = p.a.GetStats()
		if p.a.SignalingState() != SignalingStateClosed || p.a.ICEConnectionState() != ICEConnectionStateClosed ||
			p.a.ConnectionState() != PeerConnectionStateClosed || p.a.DTLSState() != DTLSTransportStateClosed ||
			dc.ReadyState() != DataChannelStateClosed || dc.BufferedAmount() != 0 {
			t.Error("a state is not closed")
		}
		if p.a.LocalDescription() == nil || p.a.RemoteDescription() == nil || p.a.SCTP() == nil ||
			p.a.SCTP().State() != SCTPTransportStateClosed || p.a.SCTP().MaxMessageSize() != 0 {
			t.Error("what was negotiated is forgotten")
		}
	})
}

func TestCloseBeforeAnything(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		p.must(p.a.Close())
		within(p, time.Nanosecond, "Done", p.a.Done())
	})
}

// lingering is a network whose sockets are closed only when the test lets them.
type lingering struct {
	netio.Network
	release chan struct{}
	open    *atomic.Int32
}

type lingeringConn struct {
	netio.PacketConn
	n lingering
}

func (n lingering) ListenUDP(local netip.AddrPort) (netio.PacketConn, error) {
	conn, err := n.Network.ListenUDP(local)
	if err != nil {
		return nil, err
	}
	n.open.Add(1)
	return lingeringConn{conn, n}, nil
}

func (c lingeringConn) Close() error {
	<-c.n.release
	c.n.open.Add(-1)
	return c.PacketConn.Close()
}

// lingeringPair is a pair whose a has a lingering network. It calls f with its first candidate, when it has a socket.
func lingeringPair(t *testing.T, f func(p *pair)) (*pair, lingering) {
	n := lingering{release: make(chan struct{}), open: new(atomic.Int32)}
	p := newPair(t, pairOptions{quiet: true, settings: func(name string, s *Settings) {
		if name == "a" {
			n.Network = s.network
			s.network = n
		}
	}})
	first := true
	p.a.OnICECandidate(func(*ICECandidate) {
		if first {
			first = false
			f(p)
		}
	})
	_, err := p.a.CreateDataChannel("", nil)
	p.must(err)
	return p, n
}

// TestEveryCallerOfCloseFindsTheConnectionClosed: what Close promises holds for whoever comes second, too.
func TestEveryCallerOfCloseFindsTheConnectionClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gathered := make(chan struct{})
		p, n := lingeringPair(t, func(*pair) { close(gathered) })
		defer p.close()
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		within(p, time.Second, "candidate", gathered)
		returned := make(chan int32, 3)
		for _, end := range []func() error{p.a.Close, p.a.Close, func() error { return p.a.Shutdown(p.t.Context()) }} {
			go func() {
				if err := end(); err != nil {
					t.Error(err)
				}
				returned <- n.open.Load()
			}()
		}
		synctest.Wait()
		if len(returned) > 0 {
			t.Errorf("%d calls have returned before the sockets were closed", len(returned))
		}
		close(n.release)
		for range 3 {
			if open := within(p, time.Second, "Close", returned); open != 0 {
				t.Errorf("a call has returned with %d sockets open", open)
			}
		}
		within(p, time.Second, "Done", p.a.Done())
	})
}

// TestCloseInAHandlerWhileAnotherIsUnderWay: the one in the handler waits for the other, which waits for no handler.
func TestCloseInAHandlerWhileAnotherIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, other, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
		p, n := lingeringPair(t, func(p *pair) {
			close(entered)
			<-other
			if err := p.a.Close(); err != nil {
				t.Error(err)
			}
			close(returned)
		})
		defer p.close()
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		within(p, time.Second, "candidate", entered)
		go func() { _ = p.a.Close() }()
		synctest.Wait()
		close(other)
		synctest.Wait()
		select {
		case <-returned:
			t.Error("Close has returned before the sockets were closed")
		default:
		}
		close(n.release)
		within(p, time.Second, "Close in the handler", returned)
		within(p, time.Second, "Done", p.a.Done())
	})
}

func TestCloseWhileGathering(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		p.must(p.a.SetLocalDescription(p.offer(p.a)))
		p.must(p.a.Close())
		within(p, time.Second, "Done", p.a.Done())
	})
}

func TestShutdownDeliversWhatIsQueued(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		got := 0
		b.OnMessage(func(DataChannelMessage) { got++ })
		for range 100 {
			p.must(a.Send(make([]byte, 50_000)))
		}
		if a.BufferedAmount() == 0 {
			t.Error("nothing is queued: the test tests nothing")
		}
		p.must(p.a.Shutdown(p.t.Context()))
		within(p, time.Second, "Done", p.a.Done())
		time.Sleep(time.Second)
		synctest.Wait()
		if got != 100 {
			t.Errorf("%d messages", got)
		}
	})
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, _ := p.stuck()
		for a.BufferedAmount() < 2<<20 {
			p.must(a.Send(make([]byte, 1<<20)))
			time.Sleep(10 * time.Second)
		}
		ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
		defer cancel()
		if err := p.a.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		within(p, time.Second, "Done", p.a.Done())
	})
}

func TestTheOtherSideIsToldByClose(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		_, far, track := p.negotiatedTrack()
		p.must(track.WriteRTP(packet(1, 1)))
		if _, err := far.Receiver().Track().ReadRTP(); err != nil {
			t.Error(err)
		}
		p.must(p.a.Close())
		time.Sleep(time.Second)
		if s := p.b.DTLSState(); s != DTLSTransportStateClosed {
			t.Errorf("DTLS is %v", s)
		}
		if s := p.b.SignalingState(); s != SignalingStateStable {
			t.Errorf("signaling state %v", s)
		}
		p.must(p.b.Close())
		if _, err := far.Receiver().Track().ReadRTP(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read of a closed connection: %v", err)
		}
	})
}

func TestAThousandConnectionsLeaveNoGoroutine(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		config := p.a.GetConfiguration()
		before := runtime.NumGoroutine()
		for range 1000 {
			pc, err := p.a.api.NewPeerConnection(config)
			p.must(err)
			_, err = pc.CreateDataChannel("", nil)
			p.must(err)
			p.must(pc.Close())
			<-pc.Done()
		}
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before+5 {
			t.Errorf("%d goroutines, %d before", n, before)
		}
	})
}

// TestLoopClosedBeforeItsConnections: the callbacks end with the loop, and Done comes all the same.
func TestLoopClosedBeforeItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop := NewSharedLoop()
		p := newPair(t, pairOptions{settings: func(_ string, s *Settings) { s.SignalingLoop = loop }})
		p.dataPair(nil)
		loop.Close()
		<-loop.Done()
		p.a.Post(func() { t.Error("a callback after the loop's end") })
		p.close() // waits for Done
	})
}
