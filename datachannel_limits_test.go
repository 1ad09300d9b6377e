package webrtc

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

func TestSendContextDoesNotWaitForTheImpossible(t *testing.T) {
	small := func(_ string, s *Settings) { s.DataChannelSendBuffer = 64 << 10 }
	inBubble(t, pairOptions{settings: small}, func(p *pair) {
		a, _ := p.dataPair(nil)
		if err := a.SendContext(context.Background(), make([]byte, 100<<10)); !errors.Is(err, ErrSendBufferFull) {
			t.Errorf("a message larger than the buffer: %v", err)
		}
		for range 8 { // what fits is waited for
			p.must(a.SendContext(context.Background(), make([]byte, 40<<10)))
		}
	})
}

func TestCloseReleasesAReaderOfAChannelThatCameToNothing(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		dc, err := p.a.CreateDataChannel("never connected", nil)
		p.must(err)
		detached, err := dc.Detach()
		p.must(err)
		read := make(chan error, 1)
		go func() {
			_, err := detached.Read(make([]byte, 10))
			read <- err
		}()
		t.Log("# the connection ends before the channel's end was delivered")
		busy := make(chan struct{})
		p.a.Post(func() { <-busy })
		synctest.Wait()
		p.must(dc.Close())
		_ = p.a.GetStats()
		p.must(p.a.Close())
		synctest.Wait()
		select {
		case err := <-read:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read: %v", err)
			}
		default:
			t.Error("Read goes on")
			detached.end(net.ErrClosed)
		}
		if s := dc.ReadyState(); s != DataChannelStateClosed {
			t.Errorf("the channel is %v", s)
		}
		close(busy)
	})
}
