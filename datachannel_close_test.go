package webrtc

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// closeLog records what a channel's handlers are told, each with the state that they find.
func closeLog(d *DataChannel) *[]string {
	log := new([]string)
	note := func(s string) func() { return func() { *log = append(*log, s+" "+d.ReadyState().String()) } }
	d.OnOpen(note("open"))
	d.OnClosing(note("closing"))
	d.OnClose(note("close"))
	d.OnError(func(err error) {
		note("error")()
		var e *RTCError
		if !errors.As(err, &e) || e.Detail == "" {
			*log = append(*log, "no RTCError")
		}
	})
	return log
}

func wantLog(p *pair, what string, log *[]string, want ...string) {
	p.t.Helper()
	synctest.Wait()
	if !slices.Equal(*log, want) {
		p.t.Errorf("%s: %q, want %q", what, *log, want)
	}
}

func TestCloseFromOneSide(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		synctest.Wait()
		near, far := closeLog(a), closeLog(b)
		synctest.Wait()
		*near, *far = nil, nil // OnOpen is called late
		p.must(a.Close())
		if s := a.ReadyState(); s != DataChannelStateClosing {
			t.Errorf("state %v", s)
		}
		p.must(a.Close())
		wantError(t, "Send", a.Send(nil), &InvalidStateError{})
		_, err := a.Detach()
		wantError(t, "Detach while closing", err, nil)
		time.Sleep(5 * time.Second)
		wantLog(p, "the side that closes", near, "close closed")
		wantLog(p, "the other side", far, "closing closing", "close closed")
		p.must(b.Close())
		wantError(t, "Send", b.SendText("x"), ErrDataChannelNotOpen)
		_, err = b.Detach()
		wantError(t, "Detach of a closed channel", err, &InvalidStateError{})
		if s := p.a.ConnectionState(); s != PeerConnectionStateConnected {
			t.Errorf("connection state %v", s)
		}
	})
}

func TestCloseFromBothSidesAtOnce(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		synctest.Wait()
		near, far := closeLog(a), closeLog(b)
		synctest.Wait()
		*near, *far = nil, nil
		p.must(a.Close())
		p.must(b.Close())
		time.Sleep(5 * time.Second)
		wantLog(p, "a", near, "close closed")
		wantLog(p, "b", far, "close closed")
	})
}

func TestCloseDeliversWhatIsQueued(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		got := 0
		closed := make(chan struct{})
		b.OnMessage(func(DataChannelMessage) { got++ })
		b.OnClose(func() { close(closed) })
		for range 100 {
			p.must(a.Send(make([]byte, 50_000)))
		}
		p.must(a.Close())
		if a.BufferedAmount() == 0 {
			t.Error("nothing is queued: the test tests nothing")
		}
		within(p, time.Minute, "close", closed)
		if got != 100 {
			t.Errorf("%d messages", got)
		}
	})
}

func TestMessagesAreDiscardedAfterClose(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		got, closed := 0, make(chan struct{})
		b.OnMessage(func(DataChannelMessage) {
			got++
			p.must(b.Close())
		})
		b.OnClose(func() { close(closed) })
		for range 10 {
			p.must(a.SendText("x"))
		}
		within(p, 5*time.Second, "close", closed)
		if got != 1 {
			t.Errorf("%d messages for a channel that was closed in the first one's handler", got)
		}
	})
}

func TestCloseBeforeTheConnection(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		early, err := p.a.CreateDataChannel("early", nil)
		p.must(err)
		log := closeLog(early)
		p.must(early.Close())
		wantLog(p, "before negotiation", log, "close closed")
		p.b.OnDataChannel(func(d *DataChannel) {
			if d.Label() != "other" {
				t.Errorf("channel %q arrives", d.Label())
			}
		})
		waiting, err := p.a.CreateDataChannel("waiting", nil)
		p.must(err)
		log = closeLog(waiting)
		other, err := p.a.CreateDataChannel("other", nil)
		p.must(err)
		open := opened(other)
		p.negotiate(p.a, p.b)
		p.must(waiting.Close())
		if s := waiting.ReadyState(); s == DataChannelStateOpen {
			t.Errorf("state %v", s)
		}
		within(p, 5*time.Second, "open", open)
		time.Sleep(5 * time.Second)
		wantLog(p, "before the association", log, "close closed")
	})
}

func TestCloseInsideOnDataChannel(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		var far *[]string
		p.b.OnDataChannel(func(d *DataChannel) {
			far = closeLog(d)
			p.must(d.Close())
		})
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		near := closeLog(dc)
		p.negotiate(p.a, p.b)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantLog(p, "the side that closes", far, "close closed")
		wantLog(p, "the other side", near, "open open", "closing closing", "close closed")
	})
}

func TestThePeersCloseEndsTheChannels(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		synctest.Wait()
		near, far := closeLog(a), closeLog(b)
		synctest.Wait()
		*near, *far = nil, nil
		p.must(p.b.Close())
		if s := b.ReadyState(); s != DataChannelStateClosed {
			t.Errorf("state %v after Close", s)
		}
		time.Sleep(5 * time.Second)
		wantLog(p, "the closed connection", far)
		if s := a.ReadyState(); s != DataChannelStateClosed || len(*near) == 0 || (*near)[len(*near)-1] != "close closed" {
			t.Errorf("state %v, events %q", s, *near)
		}
		if slices.Contains(*near, "no RTCError") {
			t.Errorf("%q", *near)
		}
		if s := p.a.SCTP().State(); s != SCTPTransportStateClosed {
			t.Errorf("SCTP is %v", s)
		}
		_, err := p.a.CreateDataChannel("", nil)
		wantError(t, "CreateDataChannel over a closed transport", err, &OperationError{})
	})
}

func TestARejectedDataSectionClosesTheChannels(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		log := closeLog(dc)
		_, err = p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		answer := rejectSection(*p.b.LocalDescription(), "application")
		p.must(p.a.SetRemoteDescription(answer))
		wantLog(p, "the channel", log, "error closed", "close closed")
		if p.a.SCTP() != nil {
			t.Error("an SCTP transport without a data section")
		}

		t.Log("# the next channel asks for a section again")
		time.Sleep(5 * time.Second)
		again, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		if s := again.ReadyState(); s != DataChannelStateConnecting {
			t.Errorf("state %v", s)
		}
		offer, err := p.a.CreateOffer(nil)
		p.must(err)
		if got := sections(&offer); len(got) != 2 || strings.HasSuffix(got[0]+got[1], "rejected") {
			t.Errorf("%v", got)
		}
	})
}
