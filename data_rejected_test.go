package webrtc

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// rejectData negotiates with an offer of a's whose data section is rejected on its way to b: b sees an offer that ends it
// and a an answer. The answer takes so long.
func (p *pair) rejectData(signaling time.Duration) {
	p.t.Helper()
	p.must(p.a.SetLocalDescription(SessionDescription{}))
	p.must(p.b.SetRemoteDescription(rejectSection(*p.a.LocalDescription(), "application")))
	p.must(p.b.SetLocalDescription(SessionDescription{}))
	answer := *p.b.LocalDescription()
	if s := sections(&answer); !strings.HasSuffix(strings.Join(s, " "), "rejected") {
		p.t.Fatalf("b answers %v", s)
	}
	time.Sleep(signaling)
	p.must(p.a.SetRemoteDescription(answer))
}

// wantNoSCTP checks that nothing of an association is left.
func (p *pair) wantNoSCTP(pc *PeerConnection, ended *SCTPTransport) {
	p.t.Helper()
	synctest.Wait()
	if pc.SCTP() != nil || ended.State() != SCTPTransportStateClosed {
		p.t.Errorf("SCTP %v, the one that ended is %v", pc.SCTP(), ended.State())
	}
	pc.transport.mu.Lock()
	defer pc.transport.mu.Unlock()
	if e := pc.transport.engine; e.assoc != nil || len(e.live) > 0 || len(e.waiting) > 0 {
		p.t.Errorf("association %v, %d channels live, %d wait", e.assoc, len(e.live), len(e.waiting))
	}
}

// needs counts the times that negotiation is needed.
func needs(pc *PeerConnection) *int {
	n := new(int)
	pc.OnNegotiationNeeded(func() { *n++ })
	return n
}

func TestARejectedDataSectionEndsTheAssociation(t *testing.T) {
	for name, media := range map[string]bool{"beside audio": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{}, func(p *pair) {
				p.t = t
				if media {
					_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
					p.must(err)
				}
				a, b := p.dataPair(nil)
				synctest.Wait()
				near, far := closeLog(a), closeLog(b)
				synctest.Wait()
				*near, *far = nil, nil // OnOpen is called late
				oldA, oldB := p.a.SCTP(), p.b.SCTP()
				needA, needB := needs(p.a), needs(p.b)

				t.Log("# the channels end in order, on both sides, and so does the association")
				p.must(a.SendText("on its way"))
				p.rejectData(0)
				wantLog(p, "the offerer's channel", near, "close closed")
				wantLog(p, "the answerer's channel", far, "close closed")
				wantError(t, "Send", a.SendText("x"), ErrDataChannelNotOpen)
				p.wantNoSCTP(p.a, oldA)
				p.wantNoSCTP(p.b, oldB)
				if s := p.a.ConnectionState(); s != PeerConnectionStateConnected {
					t.Errorf("connection %v", s)
				}
				time.Sleep(time.Minute)
				p.wantNoSCTP(p.a, oldA)
				p.wantNoSCTP(p.b, oldB)
				if *needA+*needB != 0 {
					t.Errorf("negotiation is needed again by itself: %d, %d", *needA, *needB)
				}
				p.dataAgain(needA, needB, oldA)
			})
		})
	}
}

// dataAgain makes channels work again after their section was rejected: the answerer asks first, then, after another
// rejection, the offerer.
func (p *pair) dataAgain(needA, needB *int, before *SCTPTransport) {
	p.t.Helper()
	p.t.Log("# the answerer makes a channel: it asks for a section, in the place of the old one")
	count := len(sections(p.a.CurrentLocalDescription()))
	p.dataFrom(p.b, p.a, needB)
	if n := len(sections(p.a.CurrentLocalDescription())); n != count {
		p.t.Errorf("%d sections after %d", n, count)
	}
	second := p.a.SCTP()
	if second == before || before.State() != SCTPTransportStateClosed {
		p.t.Errorf("the transport of the first association is %v", before.State())
	}

	p.t.Log("# and once more, now the offerer")
	p.rejectData(0)
	p.wantNoSCTP(p.a, second)
	p.dataFrom(p.a, p.b, needA)
}

// dataFrom makes a channel between connections without a data section and sends over it, both ways.
func (p *pair) dataFrom(from, to *PeerConnection, needed *int) {
	p.t.Helper()
	*needed = 0
	remote := make(chan *DataChannel, 1)
	to.OnDataChannel(func(d *DataChannel) { remote <- d })
	dc, err := from.CreateDataChannel("again", nil)
	p.must(err)
	synctest.Wait()
	if *needed != 1 || dc.ReadyState() != DataChannelStateConnecting {
		p.t.Fatalf("negotiation needed %d times, channel %v", *needed, dc.ReadyState())
	}
	open := opened(dc)
	p.negotiate(from, to)
	within(p, 5*time.Second, "open", open)
	other := within(p, 5*time.Second, "channel at the other side", remote)
	got, back := make(chan string, 1), make(chan string, 1)
	other.OnMessage(func(m DataChannelMessage) { got <- string(m.Data) })
	dc.OnMessage(func(m DataChannelMessage) { back <- string(m.Data) })
	p.must(dc.SendText("there"))
	p.must(other.SendText("and back"))
	if m := within(p, time.Second, "message", got) + " " + within(p, time.Second, "answer", back); m != "there and back" {
		p.t.Errorf("%q", m)
	}
	for _, pc := range []*PeerConnection{from, to} {
		if s := pc.SCTP(); s == nil || s.State() != SCTPTransportStateConnected {
			p.t.Errorf("SCTP %v", s)
		}
	}
}

func TestTheAbortOfARejectedAssociationOvertakesTheAnswer(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, _ := p.dataPair(nil)
		synctest.Wait()
		log := closeLog(a)
		synctest.Wait()
		*log = nil
		old := p.a.SCTP()
		needed := needs(p.a)
		p.rejectData(time.Second)
		wantLog(p, "the channel", log, "error closed", "close closed")
		p.wantNoSCTP(p.a, old)
		p.dataFrom(p.a, p.b, needed)
	})
}

func TestUnreadMessagesOutliveTheirAssociation(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		reader, err := b.Detach()
		p.must(err)
		for range 10 {
			p.must(a.Send(make([]byte, 60_000)))
		}
		time.Sleep(5 * time.Second)
		p.rejectData(0)
		p.dataFrom(p.a, p.b, needs(p.a))
		buf := make([]byte, 1<<17)
		for i := range 10 {
			if n, err := reader.Read(buf); n != 60_000 || err != nil {
				t.Fatalf("message %d: %d bytes, %v", i, n, err)
			}
		}
		if _, err := reader.Read(buf); err == nil || errors.Is(err, ErrDataChannelNotOpen) {
			t.Errorf("the end: %v", err)
		}
		p.b.transport.mu.Lock()
		defer p.b.transport.mu.Unlock()
		if n := p.b.transport.engine.link.credit.Load(); n > 1000 {
			t.Errorf("the window of the new association is credited with %d bytes of the old one", n)
		}
	})
}
