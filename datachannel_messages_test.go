package webrtc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// limitedBy makes the settings of one side of the pair.
func limitedBy(name string, set func(s *Settings)) pairOptions {
	return pairOptions{settings: func(n string, s *Settings) {
		if n == name {
			set(s)
		}
	}}
}

func TestAMessageMayBeAsLargeAsThePeerTakes(t *testing.T) {
	inBubble(t, limitedBy("b", func(s *Settings) { s.MaxMessageSize = 1000 }), func(p *pair) {
		a, b := p.dataPair(nil)
		if n := p.a.SCTP().MaxMessageSize(); n != 1000 {
			t.Errorf("max-message-size %d", n)
		}
		got := make(chan int, 10)
		b.OnMessage(func(m DataChannelMessage) { got <- len(m.Data) })
		p.must(a.Send(make([]byte, 1000)))
		within(p, time.Second, "message", got)
		for _, err := range []error{
			a.Send(make([]byte, 1001)), a.SendText(strings.Repeat("x", 1001)),
			a.SendContext(p.t.Context(), make([]byte, 1001)), a.SendTextContext(p.t.Context(), strings.Repeat("x", 1001)),
		} {
			wantError(t, "a larger one", err, &TypeError{})
			wantError(t, "a larger one", err, ErrMessageTooLarge)
		}
		if a.ReadyState() != DataChannelStateOpen || a.BufferedAmount() != 0 {
			t.Errorf("%v, %d bytes buffered", a.ReadyState(), a.BufferedAmount())
		}
		p.must(b.Send(make([]byte, 5000))) // the other way has another limit
	})
}

func TestTheLimitThatTheDescriptionTells(t *testing.T) {
	for line, want := range map[string]int{"": 65536, "a=max-message-size:0\r\n": 0, "a=max-message-size:70000\r\n": 70000} {
		inBubble(t, pairOptions{}, func(p *pair) {
			dc, err := p.a.CreateDataChannel("", nil)
			p.must(err)
			open := opened(dc)
			p.must(p.a.SetLocalDescription(SessionDescription{}))
			p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
			p.must(p.b.SetLocalDescription(SessionDescription{}))
			answer := *p.b.LocalDescription()
			answer.SDP = strings.Replace(answer.SDP, "a=max-message-size:16777216\r\n", line, 1)
			p.must(p.a.SetRemoteDescription(answer))
			within(p, 5*time.Second, "open", open)
			if n := p.a.SCTP().MaxMessageSize(); n != want {
				t.Errorf("%q: max-message-size %d", line, n)
			}
			if want > 0 {
				wantError(t, "one byte more", dc.Send(make([]byte, want+1)), &TypeError{})
				p.must(dc.Send(make([]byte, want)))
			} else {
				p.must(dc.Send(make([]byte, 1<<20)))
			}
		})
	}
}

func TestSixteenMebibytes(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		message := make([]byte, 16<<20)
		for i := range message {
			message[i] = byte(i >> 12)
		}
		got := make(chan []byte, 1)
		b.OnMessage(func(m DataChannelMessage) { got <- m.Data })
		p.must(a.Send(message))
		if m := within(p, time.Minute, "message", got); !bytes.Equal(m, message) {
			t.Errorf("%d bytes", len(m))
		}
	})
}

func TestSendTakesACopy(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		got := make(chan string, 1)
		b.OnMessage(func(m DataChannelMessage) { got <- string(m.Data) })
		data := []byte("mine")
		p.must(a.Send(data))
		copy(data, "####")
		if m := within(p, time.Second, "message", got); m != "mine" {
			t.Errorf("%q", m)
		}
	})
}

// stuck connects the pair with a channel whose peer does not read.
func (p *pair) stuck() (a *DataChannel, b *DetachedDataChannel) {
	p.t.Helper()
	remote := make(chan *DetachedDataChannel, 1)
	p.b.OnDataChannel(func(d *DataChannel) {
		detached, err := d.Detach()
		p.must(err)
		remote <- detached
	})
	a, err := p.a.CreateDataChannel("", nil)
	p.must(err)
	open := opened(a)
	p.negotiate(p.a, p.b)
	within(p, 5*time.Second, "open", open)
	return a, within(p, 5*time.Second, "channel", remote)
}

func TestAFullSendBuffer(t *testing.T) {
	inBubble(t, limitedBy("a", func(s *Settings) { s.DataChannelSendBuffer = 100_000 }), func(p *pair) {
		a, b := p.stuck()
		sent := 0
		var err error
		for err == nil {
			if err = a.Send(make([]byte, 10_000)); err == nil {
				sent++
				time.Sleep(10 * time.Millisecond)
			}
			if sent > 1000 {
				t.Fatal("the buffer is never full")
			}
		}
		wantError(t, "Send", err, &OperationError{})
		wantError(t, "Send", err, ErrSendBufferFull)
		if n := a.BufferedAmount(); n == 0 || n > 100_000 || a.ReadyState() != DataChannelStateOpen {
			t.Errorf("%d bytes buffered, %v", n, a.ReadyState())
		}
		low := make(chan struct{}, 10)
		a.OnBufferedAmountLow(func() { low <- struct{}{} })
		buf := make([]byte, 10_000)
		for range sent {
			if n, err := b.Read(buf); n != len(buf) || err != nil {
				t.Fatal(n, err)
			}
		}
		within(p, 5*time.Second, "bufferedamountlow", low)
		p.must(a.Send(buf))
		if _, err := b.Read(buf); err != nil {
			t.Error(err)
		}
	})
}

func TestBufferedAmountAndItsThreshold(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.stuck()
		a.SetBufferedAmountLowThreshold(100_000)
		if n := a.BufferedAmountLowThreshold(); n != 100_000 {
			t.Errorf("threshold %d", n)
		}
		var amounts []uint64
		a.OnBufferedAmountLow(func() { amounts = append(amounts, a.BufferedAmount()) })
		before := a.BufferedAmount()
		p.must(a.Send(make([]byte, 1000)))
		if n := a.BufferedAmount(); before != 0 || n > 1000 {
			t.Errorf("%d bytes are buffered after %d", n, before)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(amounts) != 0 {
			t.Error("an event for an amount that was never above the threshold")
		}
		sent := 0
		for ; a.BufferedAmount() < 2<<20; sent++ {
			p.must(a.Send(make([]byte, 1<<20)))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			amounts = nil
		}
		buf := make([]byte, 1<<20)
		for range sent + 1 {
			if _, err := b.Read(buf); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(amounts) != 1 || amounts[0] > 100_000 || a.BufferedAmount() != 0 {
			t.Errorf("events at %v, %d bytes left", amounts, a.BufferedAmount())
		}
	})
}

func TestSendContextWaitsForRoom(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.stuck()
		var reading sync.WaitGroup
		reading.Go(func() {
			buf := make([]byte, 64<<10)
			for range 200 {
				if _, err := b.Read(buf); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
		defer reading.Wait()
		for range 200 {
			p.must(a.SendContext(p.t.Context(), make([]byte, 64<<10)))
			if n := a.BufferedAmount(); n > 2<<20 {
				t.Fatalf("%d bytes buffered", n)
			}
		}
		ctx, cancel := context.WithCancel(p.t.Context())
		cancel()
		wantError(t, "a context that has ended, with room", a.SendTextContext(ctx, "x"), nil)
		wantError(t, "text that is not UTF-8", a.SendTextContext(ctx, "\xff"), &TypeError{})
	})
}

func TestDetachedReads(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.stuck()
		p.must(a.Send([]byte("binary")))
		p.must(a.SendText("text"))
		p.must(a.Send(nil))
		p.must(a.Send([]byte("stream")))
		time.Sleep(time.Second)
		buf := make([]byte, 10)
		if n, isString, err := b.ReadMessage(buf[:3]); n != 6 || isString || !errors.Is(err, io.ErrShortBuffer) {
			t.Errorf("a short buffer: %d %v %v", n, isString, err)
		}
		if n, isString, err := b.ReadMessage(buf); string(buf[:n]) != "binary" || isString || err != nil {
			t.Errorf("%q %v %v", buf[:n], isString, err)
		}
		if n, isString, err := b.ReadMessage(buf); string(buf[:n]) != "text" || !isString || err != nil {
			t.Errorf("%q %v %v", buf[:n], isString, err)
		}
		if n, isString, err := b.ReadMessage(buf); n != 0 || isString || err != nil {
			t.Errorf("empty: %q %v %v", buf[:n], isString, err)
		}
		for _, want := range []string{"str", "eam"} {
			if n, err := b.Read(buf[:3]); string(buf[:n]) != want || err != nil {
				t.Errorf("%q %v", buf[:n], err)
			}
		}
		p.must(b.SetReadDeadline(time.Now().Add(time.Second)))
		began := time.Now()
		if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		p.must(b.SetReadDeadline(time.Time{}))
		p.must(a.SendText("after the deadline"))
		p.must(a.Close())
		buf = make([]byte, 100)
		if n, err := b.Read(buf); string(buf[:n]) != "after the deadline" || err != nil {
			t.Errorf("%q %v", buf[:n], err)
		}
		for range 2 {
			if _, err := b.Read(buf); !errors.Is(err, io.EOF) {
				t.Errorf("after close: %v", err)
			}
		}
		if _, err := b.Write(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a write after close: %v", err)
		}
	})
}

func TestDetachedWrites(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.stuck()
		detached, err := a.Detach()
		p.must(err)
		_, err = a.Detach()
		wantError(t, "a second Detach", err, &InvalidStateError{})
		if detached.DataChannel() != a {
			t.Error("another channel")
		}
		_, err = detached.WriteText("\xff")
		wantError(t, "text that is not UTF-8", err, &TypeError{})
		n, err := detached.WriteText("text")
		if n != 4 || err != nil {
			t.Error(n, err)
		}
		buf := make([]byte, 1<<16)
		if n, isString, err := b.ReadMessage(buf); string(buf[:n]) != "text" || !isString || err != nil {
			t.Errorf("%q %v %v", buf[:n], isString, err)
		}
		p.must(detached.SetWriteDeadline(time.Now().Add(10 * time.Second)))
		written := 0
		for err == nil {
			if n, err = detached.Write(buf); n != 0 {
				written++
			}
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
		p.must(detached.SetDeadline(time.Time{}))
		go func() {
			for range written {
				_, _ = b.Read(buf)
			}
		}()
		if _, err := detached.Write([]byte("x")); err != nil {
			t.Errorf("after the deadline was taken away: %v", err)
		}
		p.must(detached.Close())
		time.Sleep(time.Second)
		if _, err := detached.Read(buf); !errors.Is(err, io.EOF) {
			t.Errorf("a read after Close: %v", err)
		}
	})
}

// A reader who goes away must not close the window for the other channels.
func TestAnAbandonedDetachedChannel(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		for range 4 {
			a, b := make(chan *DataChannel, 1), make(chan *DetachedDataChannel, 1)
			p.b.OnDataChannel(func(d *DataChannel) {
				detached, err := d.Detach()
				p.must(err)
				b <- detached
			})
			dc, err := p.a.CreateDataChannel("", nil)
			p.must(err)
			dc.OnOpen(func() { a <- dc })
			if p.a.RemoteDescription() == nil {
				p.negotiate(p.a, p.b)
			}
			within(p, 5*time.Second, "open", a)
			for range 8 {
				p.must(dc.Send(make([]byte, 60_000)))
			}
			time.Sleep(time.Second)
			p.must(within(p, time.Second, "channel", b).Close())
			time.Sleep(time.Second)
		}
		a, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		got := make(chan int, 1)
		p.b.OnDataChannel(func(d *DataChannel) { d.OnMessage(func(m DataChannelMessage) { got <- len(m.Data) }) })
		within(p, 5*time.Second, "open", opened(a))
		p.must(a.Send(make([]byte, 2<<20)))
		within(p, 30*time.Second, "a large message", got)
	})
}
