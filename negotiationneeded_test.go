package webrtc

import (
	"testing"
	"testing/synctest"
)

// needed counts the events of one connection.
type needed struct{ n int }

func countNeeded(pc *PeerConnection) *needed {
	c := new(needed)
	pc.OnNegotiationNeeded(func() { c.n++ })
	return c
}

// want waits until everything is idle, checks the count, and begins anew.
func (c *needed) want(t *testing.T, what string, n int) {
	t.Helper()
	synctest.Wait()
	if c.n != n {
		t.Errorf("%s: %d events, want %d", what, c.n, n)
	}
	c.n = 0
}

func TestNothingIsNeededAtFirst(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		c := countNeeded(p.a)
		_, err := p.a.CreateOffer(nil)
		p.must(err)
		p.a.RestartICE() // there is nothing to restart
		c.want(t, "a fresh connection", 0)
	})
}

func TestNegotiationNeededByWhatWasDone(t *testing.T) {
	for name, act := range map[string]func(p *pair) error{
		"AddTrack":       func(p *pair) error { _, err := p.a.AddTrack(p.staticRTP(opus, "t")); return err },
		"AddTransceiver": func(p *pair) error { _, err := p.a.AddTransceiverFromKind(RTPCodecTypeVideo); return err },
		"DataChannel":    func(p *pair) error { _, err := p.a.CreateDataChannel("", nil); return err },
		"SetDirection": func(p *pair) error {
			return p.a.GetTransceivers()[0].SetDirection(RTPTransceiverDirectionInactive)
		},
		"Stop":        func(p *pair) error { return p.a.GetTransceivers()[0].Stop() },
		"RemoveTrack": func(p *pair) error { return p.a.RemoveTrack(p.a.GetSenders()[0]) },
		"SetStreams":  func(p *pair) error { return p.a.GetSenders()[0].SetStreams("other") },
		"RestartICE":  func(p *pair) error { p.a.RestartICE(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{quiet: true}, func(p *pair) {
				_, err := p.a.AddTrack(p.staticRTP(vp8, "video"))
				p.must(err)
				p.negotiate(p.a, p.b)
				synctest.Wait()
				c := countNeeded(p.a)
				p.must(act(p))
				c.want(t, name, 1)
				p.negotiate(p.a, p.b)
				c.want(t, "after negotiation", 0)
			})
		})
	}
}

func TestWhatNeedsNoNegotiation(t *testing.T) {
	for name, act := range map[string]func(p *pair) error{
		"ReplaceTrack":         func(p *pair) error { return p.a.GetSenders()[0].ReplaceTrack(p.staticRTP(vp8, "other")) },
		"ReplaceTrack(nil)":    func(p *pair) error { return p.a.GetSenders()[0].ReplaceTrack(nil) },
		"a second DataChannel": func(p *pair) error { _, err := p.a.CreateDataChannel("", nil); return err },
		"the same direction": func(p *pair) error {
			return p.a.GetTransceivers()[0].SetDirection(p.a.GetTransceivers()[0].Direction())
		},
		"the same streams": func(p *pair) error { return p.a.GetSenders()[0].SetStreams("stream") },
		"SetConfiguration": func(p *pair) error { return p.a.SetConfiguration(Configuration{}) },
		"CreateOffer":      func(p *pair) error { _, err := p.a.CreateOffer(&OfferOptions{ICERestart: true}); return err },
		"a direction and back": func(p *pair) error {
			tr := p.a.GetTransceivers()[0]
			d := tr.Direction()
			p.must(tr.SetDirection(RTPTransceiverDirectionInactive))
			return tr.SetDirection(d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{quiet: true}, func(p *pair) {
				_, err := p.a.AddTrack(p.staticRTP(vp8, "video"))
				p.must(err)
				_, err = p.a.CreateDataChannel("", nil)
				p.must(err)
				p.negotiate(p.a, p.b)
				synctest.Wait()
				c := countNeeded(p.a)
				if name == "a direction and back" {
					block := make(chan struct{})
					p.a.Post(func() { <-block }) // the events are looked at together
					p.must(act(p))
					close(block)
				} else {
					p.must(act(p))
				}
				c.want(t, name, 0)
			})
		})
	}
}

func TestManyActsMakeOneEvent(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		c := countNeeded(p.a)
		for range 10 {
			_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
			p.must(err)
		}
		c.want(t, "ten transceivers", 1)
		_, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		c.want(t, "one more before the exchange", 0)
	})
}

func TestNoEventOutsideOfStable(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		c := countNeeded(p.a)
		offer := p.offer(p.a)
		c.want(t, "the data channel", 1)
		p.must(p.a.SetLocalDescription(offer))
		_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		c.want(t, "in have-local-offer", 0)
		p.must(p.b.SetRemoteDescription(offer))
		answer := p.answer(p.b)
		provisional := answer
		provisional.Type = SDPTypePranswer
		p.must(p.a.SetRemoteDescription(provisional))
		c.want(t, "in have-remote-pranswer", 0)
		p.must(p.a.SetRemoteDescription(answer))
		c.want(t, "back in stable", 1)
	})
}

func TestTheAnswererIsToldWhatItsAnswerLeftOut(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		c := countNeeded(p.b)
		offer, err := p.a.CreateOffer(nil)
		p.must(err)
		p.must(p.b.SetRemoteDescription(offer))
		_, err = p.b.AddTrack(p.staticRTP(vp8, "video"))
		p.must(err)
		c.want(t, "in have-remote-offer", 0)
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		c.want(t, "after the answer", 1)
	})
}

func TestTheEventComesBehindTheSignalingState(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		var log []string
		offer := p.offer(p.a)
		synctest.Wait()
		p.must(p.a.SetLocalDescription(offer))
		synctest.Wait()
		p.a.OnSignalingStateChange(func(s SignalingState) { log = append(log, s.String()) })
		p.a.OnNegotiationNeeded(func() { log = append(log, "needed") })
		_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		p.must(p.b.SetRemoteDescription(offer))
		p.must(p.a.SetRemoteDescription(p.answer(p.b)))
		synctest.Wait()
		if len(log) != 2 || log[0] != "stable" || log[1] != "needed" {
			t.Errorf("%v", log)
		}
	})
}

func TestAHandlerMayNegotiateAtOnce(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		exchanges := 0
		p.a.OnNegotiationNeeded(func() {
			exchanges++
			p.negotiate(p.a, p.b)
		})
		for _, kind := range []RTPCodecType{RTPCodecTypeAudio, RTPCodecTypeVideo, RTPCodecTypeAudio} {
			_, err := p.a.AddTransceiverFromKind(kind)
			p.must(err)
			synctest.Wait()
		}
		if exchanges != 3 || len(p.b.GetTransceivers()) != 3 {
			t.Errorf("%d exchanges, %d transceivers", exchanges, len(p.b.GetTransceivers()))
		}
	})
}
