package webrtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// The contract of docs/threading.md, line by line.

// busyPair sets every handler there is on one connection, each calling in, and connects the pair with media and data.
func (p *pair) busyPair(in func(where string)) {
	p.t.Helper()
	pc := p.a
	pc.OnNegotiationNeeded(func() { in("negotiationneeded") })
	inner := get(&pc.mu, &pc.handlers.iceCandidate)
	pc.OnICECandidate(func(c *ICECandidate) {
		in("icecandidate")
		if inner != nil {
			inner(c)
		}
	})
	pc.OnSignalingStateChange(func(SignalingState) { in("signalingstatechange") })
	pc.OnICEConnectionStateChange(func(ICEConnectionState) { in("iceconnectionstatechange") })
	pc.OnICEGatheringStateChange(func(ICEGatheringState) { in("icegatheringstatechange") })
	pc.OnConnectionStateChange(func(PeerConnectionState) { in("connectionstatechange") })
	pc.OnTrack(func(track *TrackRemote, _ *RTPReceiver) {
		track.OnUnmute(func() { in("unmute") })
		in("track")
	})
	pc.OnDataChannel(func(d *DataChannel) {
		d.OnMessage(func(DataChannelMessage) { in("message") })
		d.OnOpen(func() { in("open of the peer's channel") })
		in("datachannel")
	})
	if dc, err := pc.CreateDataChannel("a", nil); err == nil {
		dc.OnOpen(func() { in("open") })
		dc.OnClosing(func() { in("closing") })
		dc.OnClose(func() { in("close") })
		dc.OnBufferedAmountLow(func() { in("bufferedamountlow") })
	}
	_, _ = pc.AddTransceiverFromKind(RTPCodecTypeVideo) // a handler may have closed the connection by now

	track, err := NewTrackLocalStaticRTP(RTPCodecCapability{MimeType: MimeTypeVP8, ClockRate: 90000}, "video", "stream")
	p.must(err)
	_, err = p.b.AddTrack(track)
	p.must(err)
	p.b.OnDataChannel(func(d *DataChannel) {
		d.OnOpen(func() { _ = d.Close() })
	})
	d, err := p.b.CreateDataChannel("b", nil)
	p.must(err)
	d.OnOpen(func() { _ = d.SendText("hello") })
	p.b.OnConnectionStateChange(func(s PeerConnectionState) {
		if s == PeerConnectionStateConnected {
			_ = track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, Marker: true}, Payload: []byte{0x10, 0}})
		}
	})
}

// exchange is negotiate for a pair that may be closed in the middle of it.
func (p *pair) exchange() {
	offer, err := p.a.CreateOffer(nil)
	if err != nil {
		return
	}
	if p.a.SetLocalDescription(offer) != nil || p.b.SetRemoteDescription(offer) != nil {
		return
	}
	answer, err := p.b.CreateAnswer(nil)
	if err != nil {
		return
	}
	if p.b.SetLocalDescription(answer) == nil {
		_ = p.a.SetRemoteDescription(answer)
	}
}

var handlerNames = []string{
	"negotiationneeded", "icecandidate", "signalingstatechange", "iceconnectionstatechange",
	"icegatheringstatechange", "connectionstatechange", "track", "unmute", "datachannel", "message",
	"open of the peer's channel", "open", "closing", "close",
}

func TestCloseInsideEveryHandler(t *testing.T) {
	for _, name := range handlerNames {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{}, func(p *pair) {
				closed := make(chan struct{})
				after := 0
				p.busyPair(func(where string) {
					select {
					case <-closed:
						after++
					default:
					}
					if where != name || after > 0 {
						return
					}
					if err := p.a.Close(); err != nil {
						t.Error(err)
					}
					select {
					case <-p.a.Done():
						t.Error("Done before the handler has returned")
					default:
					}
					close(closed)
				})
				synctest.Wait() // negotiationneeded has its chance
				p.exchange()
				within(p, 30*time.Second, name, closed)
				within(p, time.Second, "Done", p.a.Done())
				if after != 0 {
					t.Errorf("%d handlers were called after Close", after)
				}
			})
		})
	}
}

func TestAHandlerThatNeverReturns(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		release, entered := make(chan struct{}), make(chan struct{})
		p.a.OnSignalingStateChange(func(SignalingState) {
			close(entered)
			<-release
		})
		trickle(t, p.b, p.a)
		_, err := p.a.CreateDataChannel("x", nil)
		p.must(err)
		p.negotiate(p.a, p.b)
		within(p, time.Second, "handler", entered)

		t.Log("# the other calls go on, the network too")
		if s := p.a.SignalingState(); s != SignalingStateStable {
			t.Errorf("signaling state %v", s)
		}
		_ = p.a.GetStats()
		time.Sleep(10 * time.Second)

		t.Log("# Close returns all the same, Done waits for the handler")
		p.must(p.a.Close())
		synctest.Wait()
		select {
		case <-p.a.Done():
			t.Error("Done while a handler runs")
		default:
		}
		close(release)
		within(p, time.Second, "Done", p.a.Done())
	})
}

func TestCloseReleasesBlockedCalls(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		p.b.OnDataChannel(func(d *DataChannel) {
			_, err := d.Detach() // and never reads: the window closes
			p.must(err)
		})
		dc, err := p.a.CreateDataChannel("x", nil)
		p.must(err)
		open := opened(dc)
		detached, err := dc.Detach()
		p.must(err)
		p.negotiate(p.a, p.b)
		within(p, 5*time.Second, "open", open)

		results := make(chan error, 10)
		go func() {
			for {
				if err := dc.SendContext(context.Background(), make([]byte, 64<<10)); err != nil {
					results <- err
					return
				}
			}
		}()
		go func() {
			_, err := detached.Read(make([]byte, 10))
			results <- err
		}()
		receiver := p.a.GetReceivers()[0]
		go func() {
			_, err := receiver.Track().ReadRTP()
			results <- err
		}()
		go func() {
			_, err := receiver.ReadRTCP()
			results <- err
		}()
		time.Sleep(time.Minute)
		p.must(p.a.Close())
		for range 4 {
			if err := within(p, time.Second, "blocked call", results); !errors.Is(err, net.ErrClosed) &&
				!errors.Is(err, ErrDataChannelNotOpen) {
				t.Errorf("blocked call returned %v", err)
			}
		}
	})
}

func TestSendContextEndsWithItsContext(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.b.OnDataChannel(func(d *DataChannel) { _, _ = d.Detach() })
		dc, err := p.a.CreateDataChannel("x", nil)
		p.must(err)
		open := opened(dc)
		p.negotiate(p.a, p.b)
		within(p, 5*time.Second, "open", open)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for err == nil {
			err = dc.SendContext(ctx, make([]byte, 64<<10))
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("SendContext returned %v", err)
		}
	})
}

func TestEventsComeInTheOrderOfTheChanges(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		var mu sync.Mutex
		var log []string
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, fmt.Sprintf(format, args...))
		}
		p.a.OnSignalingStateChange(func(s SignalingState) { note("signaling %v", s) })
		p.a.OnICEConnectionStateChange(func(s ICEConnectionState) {
			if got := p.a.ICEConnectionState(); got != s {
				t.Errorf("the getter says %v inside the handler for %v", got, s)
			}
			note("ice %v", s)
		})
		p.a.OnConnectionStateChange(func(s PeerConnectionState) {
			if got := p.a.ConnectionState(); got != s {
				t.Errorf("the getter says %v inside the handler for %v", got, s)
			}
			note("connection %v", s)
		})
		dc, err := p.a.CreateDataChannel("x", nil)
		p.must(err)
		open := make(chan struct{})
		dc.OnOpen(func() { note("open"); close(open) })
		p.negotiate(p.a, p.b)
		within(p, 5*time.Second, "open", open)
		want := []string{
			"signaling have-local-offer", "signaling stable", "ice checking", "connection connecting", "ice connected",
			"connection connected", "open",
		}
		mu.Lock()
		defer mu.Unlock()
		at := 0
		for _, line := range log {
			if at < len(want) && line == want[at] {
				at++
			}
		}
		if at != len(want) {
			t.Errorf("%q is missing or out of order in %q", want[at], log)
		}
	})
}

func TestOnDataChannelReturnsBeforeTheFirstMessage(t *testing.T) {
	for seed := range uint64(20) {
		inBubble(t, pairOptions{seed: seed + 1}, func(p *pair) {
			got := make(chan string, 100)
			p.b.OnDataChannel(func(d *DataChannel) {
				time.Sleep(time.Second) // everything has arrived by now
				d.OnMessage(func(m DataChannelMessage) { got <- string(m.Data) })
			})
			dc, err := p.a.CreateDataChannel("x", nil)
			p.must(err)
			dc.OnOpen(func() {
				for i := range 10 {
					p.must(dc.SendText(fmt.Sprint(i)))
				}
			})
			p.negotiate(p.a, p.b)
			for i := range 10 {
				if m := within(p, 5*time.Second, "message", got); m != fmt.Sprint(i) {
					t.Fatalf("message %d is %q", i, m)
				}
			}
		})
	}
}

func TestPostAndSharedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop := NewSharedLoop()
		p := newPair(t, pairOptions{settings: func(_ string, s *Settings) { s.SignalingLoop = loop }})
		var running, calls atomic.Int32
		handler := func() {
			if running.Add(1) != 1 {
				t.Error("two handlers at a time on one loop")
			}
			calls.Add(1)
			running.Add(-1)
		}
		for _, pc := range []*PeerConnection{p.a, p.b} {
			pc.OnSignalingStateChange(func(SignalingState) { handler() })
			pc.OnConnectionStateChange(func(PeerConnectionState) { handler() })
		}
		a, _ := p.dataPair(nil)
		order := make(chan int, 3)
		for i := range 3 {
			p.a.Post(func() { handler(); order <- i })
		}
		for i := range 3 {
			if got := within(p, time.Second, "posted function", order); got != i {
				t.Errorf("posted function %d ran as number %d", got, i)
			}
		}
		if calls.Load() < 8 {
			t.Errorf("only %d handlers", calls.Load())
		}
		p.must(a.Close())
		p.close()
		loop.Close()
		within(p, time.Second, "the loop's end", loop.Done())
	})
}

func TestCloseIsIdempotentAndFiresNothing(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.dataPair(nil)
		p.a.OnConnectionStateChange(func(s PeerConnectionState) { t.Errorf("connection state %v", s) })
		p.a.OnSignalingStateChange(func(s SignalingState) { t.Errorf("signaling state %v", s) })
		bClosed := make(chan struct{})
		p.b.OnConnectionStateChange(func(s PeerConnectionState) {
			if s == PeerConnectionStateFailed || s == PeerConnectionStateDisconnected {
				t.Errorf("the peer of a closed connection is %v", s)
			}
		})
		p.b.Post(func() { close(bClosed) })
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := p.a.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		within(p, time.Second, "Done", p.a.Done())
		if s := p.a.ConnectionState(); s != PeerConnectionStateClosed {
			t.Errorf("connection state %v", s)
		}
		time.Sleep(time.Second)
		if s := p.b.DTLSState(); s != DTLSTransportStateClosed {
			t.Errorf("the peer's DTLS is %v: it has not been told", s)
		}
	})
}

func TestAHundredGoroutinesCallEverything(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.busyPair(func(string) {})
		p.exchange()
		time.Sleep(time.Second)
		dc, err := p.a.CreateDataChannel("shared", nil)
		p.must(err)
		calls := []func(){
			func() { p.exchange() },
			func() { _, _ = p.a.CreateOffer(&OfferOptions{ICERestart: true}) },
			func() { _, _ = p.a.CreateAnswer(nil) },
			func() { _ = p.a.SetLocalDescription(SessionDescription{Type: SDPTypeRollback}) },
			func() { _ = p.a.GetStats() },
			func() { _, _ = p.a.CreateDataChannel("more", nil) },
			func() { _, _ = p.a.AddTransceiverFromKind(RTPCodecTypeAudio) },
			func() {
				for _, t := range p.a.GetTransceivers() {
					_ = t.SetDirection(RTPTransceiverDirectionRecvonly)
					_, _, _ = t.Mid(), t.Direction(), t.CurrentDirection()
				}
			},
			func() { _ = dc.Send(make([]byte, 1000)); _ = dc.BufferedAmount(); _ = dc.ReadyState() },
			func() { p.a.RestartICE() },
			func() { _ = p.a.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 1}}) },
			func() {
				_, _, _ = p.a.LocalDescription(), p.a.RemoteDescription(), p.a.GetConfiguration()
				_, _ = p.a.CanTrickleICECandidates()
			},
			func() { p.a.Post(func() { _ = p.a.GetStats() }) },
			func() { p.a.Flush() },
			func() { p.a.OnTrack(func(*TrackRemote, *RTPReceiver) {}) },
		}
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				for j := range 10 {
					calls[(i+j)%len(calls)]()
				}
			})
		}
		wg.Wait()
		for range 20 {
			wg.Go(func() {
				for _, f := range calls {
					f()
				}
			})
		}
		wg.Go(func() { p.must(p.a.Close()) })
		wg.Wait()
	})
}

func TestSignalingGoroutineRestsWhileNothingHappens(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		serving := func(pc *PeerConnection) bool { return get(&pc.events.mu, &pc.events.wake) != nil }
		a, b := p.dataPair(nil)
		checkEcho(p, a, b)
		if !serving(p.a) || !serving(p.b) {
			t.Error("no goroutine after a message")
		}
		t.Log("# a minute of consent checks, which are nobody's events")
		time.Sleep(time.Minute)
		synctest.Wait()
		if serving(p.a) || serving(p.b) {
			t.Error("the goroutine waits for nothing")
		}
		t.Log("# the next message starts another")
		checkEcho(p, a, b)
		if !serving(p.a) || !serving(p.b) {
			t.Error("no goroutine after a message")
		}
	})
}
