package webrtc

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const someCandidate = "candidate:1 1 udp 2130706431 10.0.0.9 5000 typ host"

func ptr[T any](v T) *T { return &v }

func TestAddICECandidateBeforeARemoteDescription(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		err := p.a.AddICECandidate(ICECandidateInit{Candidate: someCandidate, SDPMid: ptr("0")})
		wantError(t, "a candidate", err, &InvalidStateError{})
		wantError(t, "a candidate", err, ErrNoRemoteDescription)
		wantError(t, "end of candidates", p.a.AddICECandidate(ICECandidateInit{}), &InvalidStateError{})
		wantError(t, "a candidate without mid and index", p.a.AddICECandidate(ICECandidateInit{Candidate: someCandidate}), &TypeError{})
		p.must(p.a.SetLocalDescription(p.offer(p.a)))
		err = p.a.AddICECandidate(ICECandidateInit{Candidate: someCandidate, SDPMid: ptr("0")})
		wantError(t, "with a local offer only", err, &InvalidStateError{})
	})
}

func TestAddICECandidateByMidIndexAndUfrag(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		offer := p.offer(p.b)
		p.must(p.a.SetRemoteDescription(offer))
		ufrag := ufragOf(&offer)
		for _, c := range []struct {
			name string
			init ICECandidateInit
			want error
		}{
			{"by mid", ICECandidateInit{Candidate: someCandidate, SDPMid: ptr("0")}, nil},
			{"by index", ICECandidateInit{Candidate: someCandidate, SDPMLineIndex: ptr(uint16(0))}, nil},
			{"by both", ICECandidateInit{Candidate: someCandidate, SDPMid: ptr("0"), SDPMLineIndex: ptr(uint16(0))}, nil},
			{"the mid goes before the index", ICECandidateInit{Candidate: someCandidate, SDPMid: ptr("0"), SDPMLineIndex: ptr(uint16(9))}, nil},
			{"with its ufrag", ICECandidateInit{Candidate: someCandidate, SDPMid: ptr("0"), UsernameFragment: &ufrag}, nil},
			{"with the ufrag inside", ICECandidateInit{Candidate: someCandidate + " ufrag " + ufrag, SDPMid: ptr("0")}, nil},
			{"as the line of a description", ICECandidateInit{Candidate: "a=" + someCandidate, SDPMid: ptr("0")}, nil},
			{"without the attribute's name", ICECandidateInit{Candidate: someCandidate[10:], SDPMid: ptr("0")}, nil},
			{"neither", ICECandidateInit{Candidate: someCandidate}, &TypeError{}},
			{"neither, with a ufrag", ICECandidateInit{Candidate: someCandidate, UsernameFragment: &ufrag}, &TypeError{}},
			{"another mid", ICECandidateInit{Candidate: someCandidate, SDPMid: ptr("audio")}, &OperationError{}},
			{"another index", ICECandidateInit{Candidate: someCandidate, SDPMLineIndex: ptr(uint16(1))}, &OperationError{}},
			{"another ufrag", ICECandidateInit{Candidate: someCandidate, SDPMid: ptr("0"), UsernameFragment: ptr("other")}, &OperationError{}},
			{"another ufrag inside", ICECandidateInit{Candidate: someCandidate + " ufrag other", SDPMid: ptr("0")}, &OperationError{}},
			{"prose", ICECandidateInit{Candidate: "hello", SDPMid: ptr("0")}, &OperationError{}},
			{"a bad port", ICECandidateInit{Candidate: strings.Replace(someCandidate, "5000", "66000", 1), SDPMid: ptr("0")}, &OperationError{}},
			{"a later component", ICECandidateInit{Candidate: strings.Replace(someCandidate, "1 1 udp", "1 2 udp", 1), SDPMid: ptr("0")}, nil},
			{"TCP", ICECandidateInit{Candidate: "candidate:1 1 tcp 1518280447 10.0.0.9 9 typ host tcptype active", SDPMid: ptr("0")}, nil},
			{"a name", ICECandidateInit{Candidate: strings.Replace(someCandidate, "10.0.0.9", "x.local", 1), SDPMid: ptr("0")}, nil},
			{"an unknown transport", ICECandidateInit{Candidate: strings.Replace(someCandidate, "udp", "dccp", 1), SDPMid: ptr("0")}, nil},
			{"the end of another section", ICECandidateInit{SDPMid: ptr("audio")}, &OperationError{}},
			{"the end of another generation", ICECandidateInit{UsernameFragment: ptr("other")}, &OperationError{}},
			{"the end of a section", ICECandidateInit{SDPMid: ptr("0"), UsernameFragment: &ufrag}, nil},
			{"the end", ICECandidateInit{}, nil},
		} {
			wantError(t, c.name, p.a.AddICECandidate(c.init), c.want)
		}
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		wantError(t, "the end, with a transport", p.a.AddICECandidate(ICECandidateInit{}), nil)
		wantError(t, "a name, with a transport", p.a.AddICECandidate(ICECandidateInit{
			Candidate: strings.Replace(someCandidate, "10.0.0.9", "x.local", 1), SDPMid: ptr("0"),
		}), nil)
		wantError(t, "an unknown transport, with a transport", p.a.AddICECandidate(ICECandidateInit{
			Candidate: strings.Replace(someCandidate, "udp", "dccp", 1), SDPMid: ptr("0"),
		}), nil)
		p.must(p.a.Close())
		wantError(t, "after Close", p.a.AddICECandidate(ICECandidateInit{}), &InvalidStateError{})
	})
}

func TestAddedCandidatesStandInTheRemoteDescription(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		p.must(p.a.SetRemoteDescription(p.offer(p.b)))
		p.must(p.a.AddICECandidate(ICECandidateInit{Candidate: someCandidate, SDPMid: ptr("0")}))
		if s := p.a.RemoteDescription().SDP; !strings.Contains(s, "a="+someCandidate+"\r\n") || strings.Contains(s, "end-of-cand") {
			t.Errorf("%s", s)
		}
		p.must(p.a.AddICECandidate(ICECandidateInit{SDPMid: ptr("0")}))
		if s := p.a.PendingRemoteDescription().SDP; !strings.Contains(s, "a=end-of-candidates\r\n") {
			t.Errorf("%s", s)
		}
	})
}

// TestARefusedCandidateLeavesNoTrace: neither before there is a transport that it would be for, nor after.
func TestARefusedCandidateLeavesNoTrace(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		refuse := func() {
			t.Helper()
			before := p.a.RemoteDescription().SDP
			for _, text := range []string{
				strings.Replace(someCandidate, "typ host", "typ guest", 1),
				strings.Replace(someCandidate, "10.0.0.9", "in_valid!", 1),
				someCandidate + " generation",
				someCandidate + " rport x",
			} {
				wantError(t, text, p.a.AddICECandidate(ICECandidateInit{Candidate: text, SDPMid: ptr("0")}), &OperationError{})
			}
			if s := p.a.RemoteDescription().SDP; s != before {
				t.Errorf("%s", s)
			}
		}
		p.must(p.a.SetRemoteDescription(p.offer(p.b)))
		refuse()
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		refuse()
	})
}

func TestCandidateEventsEndWithNil(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		var log []string
		var candidates []*ICECandidate
		p.a.OnICEGatheringStateChange(func(s ICEGatheringState) {
			if p.a.ICEGatheringState() != s {
				t.Errorf("the getter says %v inside the handler for %v", p.a.ICEGatheringState(), s)
			}
			log = append(log, s.String())
		})
		p.a.OnICECandidate(func(c *ICECandidate) {
			if c == nil {
				log = append(log, "nil")
				return
			}
			candidates = append(candidates, c)
			if !strings.Contains(p.a.LocalDescription().SDP, "a="+c.String()+"\r\n") {
				t.Errorf("%v is not in the local description", c)
			}
		})
		_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		block := make(chan struct{})
		p.a.Post(func() { <-block }) // no event is delivered for now
		p.must(p.a.SetLocalDescription(p.offer(p.a)))
		time.Sleep(time.Second)
		if s := p.a.LocalDescription().SDP; strings.Contains(s, "a=candidate") {
			t.Errorf("candidates before any event:\n%s", s)
		}
		close(block)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{"gathering", "complete", "nil"}; !slices.Equal(log, want) {
			t.Errorf("%v, want %v", log, want)
		}
		if len(candidates) == 0 {
			t.Fatal("no candidates")
		}
		c := candidates[0]
		d := p.a.LocalDescription()
		if c.SDPMid != "0" || c.SDPMLineIndex != 0 || c.UsernameFragment != ufragOf(d) || c.Address != "10.0.0.1" ||
			c.Typ != ICECandidateTypeHost || c.Protocol != ICEProtocolUDP || c.Component != 1 || c.Port == 0 || c.Priority == 0 {
			t.Errorf("%+v", c)
		}
		if strings.Count(d.SDP, "a=end-of-candidates\r\n") != 1 || strings.Count(d.SDP, "a=candidate:") != len(candidates) {
			t.Errorf("%s", d.SDP)
		}
		if strings.Contains(p.a.PendingLocalDescription().SDP, "m=audio 9 ") {
			t.Error("the default candidate is missing in the m= line")
		}
	})
}

func TestACandidateInJSON(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		got := make(chan []byte, 10)
		p.a.OnICECandidate(func(c *ICECandidate) {
			b, err := json.Marshal(c)
			p.must(err)
			got <- b
		})
		p.must(p.a.SetLocalDescription(p.offer(p.a)))
		var init ICECandidateInit
		text := within(p, time.Second, "candidate", got)
		p.must(json.Unmarshal(text, &init))
		if !strings.HasPrefix(init.Candidate, "candidate:") || *init.SDPMid != "0" || *init.SDPMLineIndex != 0 ||
			*init.UsernameFragment != ufragOf(p.a.LocalDescription()) {
			t.Errorf("%s", text)
		}
		if end := within(p, time.Second, "end", got); string(end) != "null" {
			t.Errorf("the end is %s", end)
		}
		for _, text := range []string{`{"candidate":"x","sdpMid":null,"sdpMLineIndex":null}`, `{"candidate":"x"}`, `{}`} {
			init = ICECandidateInit{}
			p.must(json.Unmarshal([]byte(text), &init))
			if init.SDPMid != nil || init.SDPMLineIndex != nil || init.UsernameFragment != nil {
				t.Errorf("%s is read as %+v", text, init)
			}
		}
	})
}

func TestDescriptionsThatCarryAllCandidates(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		open := opened(dc)
		complete := GatheringCompletePromise(p.a)
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		within(p, time.Minute, "complete", complete)
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		within(p, time.Minute, "complete", GatheringCompletePromise(p.b))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		within(p, 5*time.Second, "open", open)
		within(p, 0+time.Nanosecond, "a promise after the fact", GatheringCompletePromise(p.a))

		t.Log("# a restart is waited for too")
		p.a.RestartICE()
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		within(p, time.Minute, "complete", GatheringCompletePromise(p.a))
		if d := p.a.LocalDescription(); !strings.Contains(d.SDP, "a=end-of-candidates") {
			t.Errorf("%s", d.SDP)
		}
		waiting := GatheringCompletePromise(p.b)
		within(p, time.Nanosecond, "b, which gathers nothing", waiting)
	})
}

// TestADescriptionWithoutATransportIsComplete: nothing gathers for it, and nobody waits for that.
func TestADescriptionWithoutATransportIsComplete(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		wantNew := func(pc *PeerConnection) {
			t.Helper()
			if s := pc.ICEGatheringState(); s != ICEGatheringStateNew {
				t.Errorf("gathering state %v, without a transport", s)
			}
		}
		t.Log("# an offer without a section")
		before := GatheringCompletePromise(p.a)
		offer, err := p.a.CreateOffer(nil)
		p.must(err)
		p.must(p.a.SetLocalDescription(offer))
		within(p, time.Nanosecond, "a promise of before", before)
		within(p, time.Nanosecond, "a promise of after", GatheringCompletePromise(p.a))
		wantNew(p.a)
		p.must(p.b.SetRemoteDescription(offer))
		before = GatheringCompletePromise(p.b)
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		within(p, time.Nanosecond, "the answerer", before)
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		wantNew(p.b)

		t.Log("# an answer that rejects all there is")
		_, err = p.a.AddTransceiverFromKind(RTPCodecTypeVideo)
		p.must(err)
		offer, err = p.a.CreateOffer(nil)
		p.must(err)
		p.must(p.a.SetLocalDescription(offer))
		p.must(p.b.SetRemoteDescription(offer))
		p.must(p.b.GetTransceivers()[0].Stop())
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		within(p, time.Nanosecond, "the answerer", GatheringCompletePromise(p.b))
		wantNew(p.b)
		within(p, time.Minute, "the offerer, which gathers", GatheringCompletePromise(p.a))
		if s := p.a.ICEGatheringState(); s != ICEGatheringStateComplete {
			t.Errorf("gathering state %v", s)
		}

		t.Log("# a transport after all: it is waited for")
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		_, err = p.b.CreateDataChannel("", nil)
		p.must(err)
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		within(p, time.Minute, "a transport", GatheringCompletePromise(p.b))
		if d := p.b.LocalDescription(); !strings.Contains(d.SDP, "a=end-of-candidates") {
			t.Errorf("%s", d.SDP)
		}
	})
}

func TestGatheringPromisesEndWithClose(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		waiting := GatheringCompletePromise(p.a)
		synctest.Wait()
		select {
		case <-waiting:
			t.Error("complete before it has begun")
		default:
		}
		p.must(p.a.Close())
		within(p, time.Nanosecond, "Close", waiting)
		within(p, time.Nanosecond, "a promise after Close", GatheringCompletePromise(p.a))
	})
}

func TestICERestartEndToEnd(t *testing.T) {
	for name, restarter := range map[string]func(p *pair) (from, to *PeerConnection){
		"by the offerer":  func(p *pair) (from, to *PeerConnection) { return p.a, p.b },
		"by the answerer": func(p *pair) (from, to *PeerConnection) { return p.b, p.a },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{}, func(p *pair) {
				a, b := p.dataPair(nil)
				from, to := restarter(p)
				local, remote := ufragOf(from.LocalDescription()), ufragOf(to.LocalDescription())
				for _, pc := range []*PeerConnection{p.a, p.b} {
					pc.OnConnectionStateChange(func(s PeerConnectionState) {
						if s != PeerConnectionStateConnecting && s != PeerConnectionStateConnected {
							t.Errorf("state %v during a restart", s)
						}
					})
				}
				got := make(chan string, 1000)
				b.OnMessage(func(m DataChannelMessage) { got <- string(m.Data) })
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range 200 {
						if err := a.SendText("x"); err != nil {
							t.Error(err)
						}
						time.Sleep(10 * time.Millisecond)
					}
				}()
				time.Sleep(100 * time.Millisecond)
				needed := make(chan struct{}, 2)
				from.OnNegotiationNeeded(func() { needed <- struct{}{} })
				from.RestartICE()
				within(p, time.Second, "negotiation needed", needed)
				p.negotiate(from, to)
				<-done
				for range 200 {
					within(p, time.Second, "message", got)
				}
				if l, r := ufragOf(from.LocalDescription()), ufragOf(to.LocalDescription()); l == local || r == remote {
					t.Errorf("ufrags %q and %q, before %q and %q", l, r, local, remote)
				}
				time.Sleep(time.Minute)
				checkEcho(p, a, b)
				if len(needed) > 0 {
					t.Error("negotiation is needed after the restart")
				}
			})
		})
	}
}

func TestAnOfferWithICERestart(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		p.must(p.a.SetLocalDescription(p.offer(p.a)))
		first := ufragOf(p.a.LocalDescription())
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		plain, err := p.a.CreateOffer(nil)
		p.must(err)
		restart, err := p.a.CreateOffer(&OfferOptions{ICERestart: true})
		p.must(err)
		again, err := p.a.CreateOffer(nil)
		p.must(err)
		if ufragOf(&plain) != first || ufragOf(&restart) == first || ufragOf(&again) != first {
			t.Errorf("ufrags %q, %q, %q, %q", first, ufragOf(&plain), ufragOf(&restart), ufragOf(&again))
		}
	})
}
