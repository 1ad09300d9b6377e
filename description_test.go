package webrtc

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Where an exchange can stand, and what brings a fresh pair's a there. The offers have a data section.
var signalingSteps = []struct {
	state SignalingState
	reach func(p *pair)
}{
	{SignalingStateStable, func(*pair) {}},
	{SignalingStateHaveLocalOffer, func(p *pair) {
		p.must(p.a.SetLocalDescription(p.offer(p.a)))
	}},
	{SignalingStateHaveRemoteOffer, func(p *pair) {
		p.must(p.a.SetRemoteDescription(p.offer(p.b)))
	}},
	{SignalingStateHaveLocalPranswer, func(p *pair) {
		p.must(p.a.SetRemoteDescription(p.offer(p.b)))
		d := p.answer(p.a)
		d.Type = SDPTypePranswer
		p.must(p.a.SetLocalDescription(d))
	}},
	{SignalingStateHaveRemotePranswer, func(p *pair) {
		offer := p.offer(p.a)
		p.must(p.a.SetLocalDescription(offer))
		p.must(p.b.SetRemoteDescription(offer))
		d := p.answer(p.b)
		d.Type = SDPTypePranswer
		p.must(p.a.SetRemoteDescription(d))
	}},
	{SignalingStateClosed, func(p *pair) { p.must(p.a.Close()) }},
}

// offer makes an offer with a data section, and does not apply it.
func (p *pair) offer(pc *PeerConnection) SessionDescription {
	p.t.Helper()
	if _, err := pc.CreateDataChannel("", nil); err != nil {
		p.t.Fatal(err)
	}
	d, err := pc.CreateOffer(nil)
	p.must(err)
	return d
}

func (p *pair) answer(pc *PeerConnection) SessionDescription {
	p.t.Helper()
	d, err := pc.CreateAnswer(nil)
	p.must(err)
	return d
}

// inEverySignalingState runs a test with a connection in each of the six states.
func inEverySignalingState(t *testing.T, test func(t *testing.T, p *pair, s SignalingState)) {
	for _, step := range signalingSteps {
		t.Run(step.state.String(), func(t *testing.T) {
			inBubble(t, pairOptions{quiet: true}, func(p *pair) {
				p.t = t
				step.reach(p)
				if s := p.a.SignalingState(); s != step.state {
					t.Fatalf("state %v", s)
				}
				test(t, p, step.state)
			})
		})
	}
}

func TestCreateOfferInEveryState(t *testing.T) {
	inEverySignalingState(t, func(t *testing.T, p *pair, s SignalingState) {
		var want error = &InvalidStateError{}
		if s == SignalingStateStable || s == SignalingStateHaveLocalOffer {
			want = nil
		}
		d, err := p.a.CreateOffer(nil)
		wantError(t, "CreateOffer", err, want)
		if want == nil && (d.Type != SDPTypeOffer || d.SDP == "") {
			t.Errorf("offer %v", d)
		}
		if now := p.a.SignalingState(); now != s {
			t.Errorf("CreateOffer has changed the state to %v", now)
		}
	})
}

func TestCreateAnswerInEveryState(t *testing.T) {
	inEverySignalingState(t, func(t *testing.T, p *pair, s SignalingState) {
		var want error = &InvalidStateError{}
		if s == SignalingStateHaveRemoteOffer || s == SignalingStateHaveLocalPranswer {
			want = nil
		}
		d, err := p.a.CreateAnswer(nil)
		wantError(t, "CreateAnswer", err, want)
		if want == nil && (d.Type != SDPTypeAnswer || d.SDP == "") {
			t.Errorf("answer %v", d)
		}
	})
}

// The states in which each type may be set, by webrtc-pc 4.4.1.5.
var localTypes = map[SDPType][]SignalingState{
	SDPTypeOffer:    {SignalingStateStable, SignalingStateHaveLocalOffer},
	SDPTypeAnswer:   {SignalingStateHaveRemoteOffer, SignalingStateHaveLocalPranswer},
	SDPTypePranswer: {SignalingStateHaveRemoteOffer, SignalingStateHaveLocalPranswer},
	SDPTypeRollback: {SignalingStateHaveLocalOffer, SignalingStateHaveRemoteOffer},
}

func TestSetLocalDescriptionOfEveryTypeInEveryState(t *testing.T) {
	for kind, states := range localTypes {
		t.Run(kind.String(), func(t *testing.T) {
			inEverySignalingState(t, func(t *testing.T, p *pair, s SignalingState) {
				err := p.a.SetLocalDescription(SessionDescription{Type: kind}) // made on the spot
				var want error = &InvalidStateError{}
				for _, allowed := range states {
					if s == allowed {
						want = nil
					}
				}
				wantError(t, "SetLocalDescription", err, want)
				if now := p.a.SignalingState(); want != nil && now != s {
					t.Errorf("a call that failed has changed the state to %v", now)
				}
			})
		})
	}
}

func TestSetRemoteDescriptionOfEveryTypeInEveryState(t *testing.T) {
	remoteTypes := map[SDPType][]SignalingState{
		SDPTypeOffer:    {SignalingStateStable, SignalingStateHaveLocalOffer, SignalingStateHaveRemoteOffer},
		SDPTypeAnswer:   {SignalingStateHaveLocalOffer, SignalingStateHaveRemotePranswer},
		SDPTypePranswer: {SignalingStateHaveLocalOffer, SignalingStateHaveRemotePranswer},
		SDPTypeRollback: localTypes[SDPTypeRollback],
	}
	for kind, states := range remoteTypes {
		t.Run(kind.String(), func(t *testing.T) {
			inEverySignalingState(t, func(t *testing.T, p *pair, s SignalingState) {
				var want error = &InvalidStateError{}
				for _, allowed := range states {
					if s == allowed {
						want = nil
					}
				}
				wantError(t, "SetRemoteDescription", p.a.SetRemoteDescription(p.fitting(kind)), want)
				if now := p.a.SignalingState(); want != nil && now != s {
					t.Errorf("a call that failed has changed the state to %v", now)
				}
			})
		})
	}
}

// fitting is a description of b's that a can take if its state allows the type at all.
func (p *pair) fitting(kind SDPType) SessionDescription {
	d := SessionDescription{Type: kind}
	switch kind {
	case SDPTypeRollback:
	case SDPTypeOffer:
		if p.b.SignalingState() == SignalingStateStable {
			return p.offer(p.b)
		}
		d.SDP = strings.ReplaceAll(anySDP(p.a, p.b), "a=setup:active", "a=setup:actpass")
	case SDPTypeAnswer, SDPTypePranswer:
		if local := p.a.LocalDescription(); p.b.SignalingState() == SignalingStateStable && local != nil &&
			local.Type == SDPTypeOffer {
			p.must(p.b.SetRemoteDescription(*local))
		}
		if made, err := p.b.CreateAnswer(nil); err == nil {
			d.SDP = made.SDP
		} else {
			d.SDP = p.offer(p.b).SDP
		}
	}
	return d
}

// anySDP is any text of b's: its remote side is in the middle of something.
func anySDP(a, b *PeerConnection) string {
	for _, d := range []*SessionDescription{b.LocalDescription(), a.RemoteDescription(), a.LocalDescription()} {
		if d != nil {
			return d.SDP
		}
	}
	return ""
}

func TestModifiedDescriptionsAreRefused(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		offer := p.offer(p.a)
		changed := offer
		changed.SDP = strings.Replace(offer.SDP, "a=setup:actpass", "a=setup:active", 1)
		wantError(t, "a changed offer", p.a.SetLocalDescription(changed), &InvalidModificationError{})
		wantError(t, "another connection's offer", p.a.SetLocalDescription(p.offer(p.b)), &InvalidModificationError{})
		p.must(p.a.SetLocalDescription(offer))
		p.must(p.b.SetRemoteDescription(offer))
		changed = p.answer(p.b)
		changed.SDP += "a=x-more\r\n"
		wantError(t, "a changed answer", p.b.SetLocalDescription(changed), &InvalidModificationError{})
		if s := p.b.SignalingState(); s != SignalingStateHaveRemoteOffer {
			t.Errorf("state %v after a refused answer", s)
		}
	})
}

func TestOnlyTheLastCreatedOfferCounts(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		first := p.offer(p.a)
		_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		second, err := p.a.CreateOffer(nil)
		p.must(err)
		wantError(t, "the offer before the last", p.a.SetLocalDescription(first), &InvalidModificationError{})
		p.must(p.a.SetLocalDescription(second))
	})
}

// An offer that is set without its type counts as one of the implied type: RTCLocalSessionDescriptionInit.
func TestTheTypeOfALocalDescriptionMayBeLeftOut(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		offer := p.offer(p.a)
		wantError(t, "a changed offer without a type", p.a.SetLocalDescription(SessionDescription{SDP: offer.SDP + "a=x\r\n"}),
			&InvalidModificationError{})
		p.must(p.a.SetLocalDescription(SessionDescription{SDP: offer.SDP}))
		// Candidates may be in it already, and the address with them; the origin tells one description from another.
		origin, _, _ := strings.Cut(offer.SDP, "\r\ns=")
		if d := p.a.PendingLocalDescription(); d == nil || d.Type != SDPTypeOffer || !strings.HasPrefix(d.SDP, origin) {
			t.Errorf("pending %v", d)
		}
	})
}

func TestTheZeroDescriptionFollowsTheState(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		open := opened(dc)
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		if d := p.a.LocalDescription(); d.Type != SDPTypeOffer || d.SDP == "" {
			t.Fatalf("local description %v", d)
		}
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		if d := p.b.LocalDescription(); d.Type != SDPTypeAnswer || p.b.SignalingState() != SignalingStateStable {
			t.Fatalf("local description %v in state %v", d, p.b.SignalingState())
		}
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		within(p, 5*time.Second, "open", open)
	})
}

func TestThePendingAndCurrentDescriptions(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		type set struct{ cl, pl, cr, pr bool }
		has := func(pc *PeerConnection) set {
			return set{
				pc.CurrentLocalDescription() != nil, pc.PendingLocalDescription() != nil,
				pc.CurrentRemoteDescription() != nil, pc.PendingRemoteDescription() != nil,
			}
		}
		check := func(when string, pc *PeerConnection, want set) {
			t.Helper()
			if got := has(pc); got != want {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
		check("at first", p.a, set{})
		if p.a.LocalDescription() != nil || p.a.RemoteDescription() != nil {
			t.Error("a fresh connection has descriptions")
		}
		offer := p.offer(p.a)
		check("after CreateOffer", p.a, set{})
		p.must(p.a.SetLocalDescription(offer))
		check("after the local offer", p.a, set{pl: true})
		p.must(p.b.SetRemoteDescription(offer))
		check("after the remote offer", p.b, set{pr: true})
		provisional := p.answer(p.b)
		provisional.Type = SDPTypePranswer
		p.must(p.b.SetLocalDescription(provisional))
		check("after the local pranswer", p.b, set{pl: true, pr: true})
		if d := p.b.LocalDescription(); d.Type != SDPTypePranswer {
			t.Errorf("local description of type %v", d.Type)
		}
		p.must(p.a.SetRemoteDescription(provisional))
		check("after the remote pranswer", p.a, set{pl: true, pr: true})
		final := p.answer(p.b)
		p.must(p.b.SetLocalDescription(final))
		check("after the local answer", p.b, set{cl: true, cr: true})
		p.must(p.a.SetRemoteDescription(final))
		check("after the remote answer", p.a, set{cl: true, cr: true})
		if d := p.a.CurrentRemoteDescription(); d.Type != SDPTypeAnswer || d.SDP != final.SDP {
			t.Errorf("current remote description %v", d)
		}
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		check("after an offer of the other side's", p.b, set{cl: true, pl: true, cr: true})
		if d := p.b.LocalDescription(); d.Type != SDPTypeOffer {
			t.Errorf("LocalDescription is not the pending one but %v", d.Type)
		}
		p.must(p.b.Close())
		check("after Close", p.b, set{cl: true, pl: true, cr: true})
	})
}

func TestMediaFlowsByAProvisionalAnswer(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		open := opened(dc)
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		p.must(p.b.SetLocalDescription(SessionDescription{Type: SDPTypePranswer}))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		within(p, 5*time.Second, "open before the final answer", open)
		p.must(p.b.SetLocalDescription(SessionDescription{Type: SDPTypeAnswer}))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		time.Sleep(time.Second)
		if s := p.a.SCTP(); dc.ReadyState() != DataChannelStateOpen || s == nil {
			t.Errorf("channel %v after the final answer", dc.ReadyState())
		}
	})
}

func TestSDPThatDoesNotParse(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		good := p.offer(p.b).SDP
		lines := strings.SplitAfter(good, "\r\n")
		for name, text := range map[string]string{
			"empty": "", "prose": "Hello\r\n", "no version": good[5:],
			"line 4": strings.Join(lines[:3], "") + "?\r\n" + strings.Join(lines[3:], ""),
		} {
			err := p.a.SetRemoteDescription(SessionDescription{Type: SDPTypeOffer, SDP: text})
			wantError(t, name, err, &RTCError{})
			wantError(t, name, err, &OperationError{})
			var e *RTCError
			if !errors.As(err, &e) || e.Detail != "sdp-syntax-error" || name == "line 4" && e.SDPLineNumber != 4 {
				t.Errorf("%s: %+v", name, e)
			}
			if s := p.a.SignalingState(); s != SignalingStateStable || p.a.RemoteDescription() != nil {
				t.Errorf("%s: state %v", name, s)
			}
		}
	})
}

func TestADescriptionOfNoTypeIsATypeError(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		offer := p.offer(p.b)
		for _, kind := range []SDPType{0, -1, 5} {
			wantError(t, "SetRemoteDescription", p.a.SetRemoteDescription(SessionDescription{Type: kind, SDP: offer.SDP}), &TypeError{})
		}
		wantError(t, "SetLocalDescription", p.a.SetLocalDescription(SessionDescription{Type: 5, SDP: offer.SDP}), &TypeError{})
	})
}

// What the peer may write that a description cannot be applied with. Nothing may have changed after it.
func TestRemoteDescriptionsThatCannotBeApplied(t *testing.T) {
	replace := func(old, value string) func(string) string {
		return func(s string) string {
			out := ""
			for _, line := range strings.SplitAfter(s, "\r\n") {
				if strings.HasPrefix(line, old) {
					line = value
				}
				out += line
			}
			return out
		}
	}
	cases := map[string]func(string) string{
		"no ufrag":                 replace("a=ice-ufrag", ""),
		"no password":              replace("a=ice-pwd", ""),
		"a short ufrag":            replace("a=ice-ufrag", "a=ice-ufrag:abc\r\n"),
		"a long ufrag":             replace("a=ice-ufrag", "a=ice-ufrag:"+strings.Repeat("a", 257)+"\r\n"),
		"a ufrag that is no token": replace("a=ice-ufrag", "a=ice-ufrag:ab?d\r\n"),
		"a short password":         replace("a=ice-pwd", "a=ice-pwd:"+strings.Repeat("a", 21)+"\r\n"),
		"a long password":          replace("a=ice-pwd", "a=ice-pwd:"+strings.Repeat("a", 257)+"\r\n"),
		"a password with a hole":   replace("a=ice-pwd", "a=ice-pwd:"+strings.Repeat("a", 21)+" a\r\n"),
		"no fingerprint":           replace("a=fingerprint", ""),
		"a weak hash alone":        replace("a=fingerprint", "a=fingerprint:sha-1 "+strings.Repeat("00:", 19)+"00\r\n"),
		"a fingerprint cut short":  replace("a=fingerprint", "a=fingerprint:sha-256 AB\r\n"),
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{quiet: true}, func(p *pair) {
				offer := p.offer(p.b)
				spoilt := SessionDescription{Type: SDPTypeOffer, SDP: spoil(offer.SDP)}
				if err := p.a.SetRemoteDescription(spoilt); err == nil {
					t.Error("the offer was accepted")
				}
				if p.a.SignalingState() != SignalingStateStable || p.a.RemoteDescription() != nil {
					t.Errorf("state %v after a refused offer", p.a.SignalingState())
				}
				p.must(p.b.SetLocalDescription(offer))
				p.must(p.a.SetRemoteDescription(offer))
				answer := p.answer(p.a)
				p.must(p.a.SetLocalDescription(answer))
				spoilt = SessionDescription{Type: SDPTypeAnswer, SDP: spoil(answer.SDP)}
				if err := p.b.SetRemoteDescription(spoilt); err == nil {
					t.Error("the answer was accepted")
				}
				if p.b.SignalingState() != SignalingStateHaveLocalOffer || p.b.RemoteDescription() != nil {
					t.Errorf("state %v after a refused answer", p.b.SignalingState())
				}
				p.must(p.b.SetRemoteDescription(answer))
			})
		})
	}
}

func TestSignalingStateEventsInOrder(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		record := func(pc *PeerConnection) *[]SignalingState {
			states := new([]SignalingState)
			pc.OnSignalingStateChange(func(s SignalingState) { *states = append(*states, s) })
			return states
		}
		a, b := record(p.a), record(p.b)
		offer := p.offer(p.a)
		p.must(p.a.SetLocalDescription(offer))
		p.must(p.a.SetLocalDescription(offer)) // no change, no event
		p.must(p.b.SetRemoteDescription(offer))
		p.must(p.b.SetLocalDescription(SessionDescription{Type: SDPTypePranswer}))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		p.must(p.b.SetLocalDescription(SessionDescription{Type: SDPTypeAnswer}))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		synctest.Wait()
		for _, side := range []struct {
			got  []SignalingState
			want []SignalingState
		}{
			{*a, []SignalingState{SignalingStateHaveLocalOffer, SignalingStateHaveRemotePranswer, SignalingStateStable}},
			{*b, []SignalingState{SignalingStateHaveRemoteOffer, SignalingStateHaveLocalPranswer, SignalingStateStable}},
		} {
			if len(side.got) != len(side.want) {
				t.Errorf("%v, want %v", side.got, side.want)
				continue
			}
			for i := range side.got {
				if side.got[i] != side.want[i] {
					t.Errorf("%v, want %v", side.got, side.want)
				}
			}
		}
	})
}

func TestTheAnswerSectionsFollowTheOffer(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		for _, kind := range []RTPCodecType{RTPCodecTypeVideo, RTPCodecTypeAudio, RTPCodecTypeVideo} {
			_, err := p.a.AddTransceiverFromKind(kind)
			p.must(err)
		}
		_, err := p.b.AddTransceiverFromKind(RTPCodecTypeAudio) // not AddTrack: it stays out of the answer
		p.must(err)
		p.negotiate(p.a, p.b)
		kinds := func(s string) (out string) {
			for _, line := range strings.Split(s, "\r\n") {
				if strings.HasPrefix(line, "m=") {
					out += strings.Fields(line)[0] + " "
				}
			}
			return out
		}
		if got := kinds(p.b.LocalDescription().SDP); got != "m=video m=audio m=video " {
			t.Errorf("the answer has %s", got)
		}
		if n := len(p.b.GetTransceivers()); n != 4 {
			t.Errorf("%d transceivers", n)
		}
	})
}

func TestCanTrickleFollowsTheRemoteDescription(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		if _, known := p.a.CanTrickleICECandidates(); known {
			t.Error("known before a remote description")
		}
		offer := p.offer(p.b)
		p.must(p.a.SetRemoteDescription(offer))
		if trickle, known := p.a.CanTrickleICECandidates(); !trickle || !known {
			t.Errorf("trickle %v, known %v", trickle, known)
		}
		p.must(p.a.SetRemoteDescription(SessionDescription{Type: SDPTypeRollback}))
		offer.SDP = strings.ReplaceAll(offer.SDP, "a=ice-options:trickle", "a=ice-options:other")
		p.must(p.a.SetRemoteDescription(offer))
		if trickle, known := p.a.CanTrickleICECandidates(); trickle || !known {
			t.Errorf("trickle %v, known %v", trickle, known)
		}
	})
}

// DTLS begins with the provisional answer: what asks for another association after that is refused, and nothing of it is
// applied (RFC 8842 §4, §5.3).
func TestAFinalAnswerKeepsTheDTLSOfTheProvisionalOne(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"role": func(s string) string { return strings.ReplaceAll(s, "a=setup:active", "a=setup:passive") },
		"certificate": func(s string) string {
			return regexp.MustCompile(`a=fingerprint:sha-256 .{4}`).ReplaceAllString(s, "a=fingerprint:sha-256 00:0")
		},
	} {
		for _, connected := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, connected: %v", name, connected), func(t *testing.T) {
				inBubble(t, pairOptions{}, func(p *pair) {
					p.t = t
					dc, err := p.a.CreateDataChannel("", nil)
					p.must(err)
					open := opened(dc)
					p.must(p.a.SetLocalDescription(SessionDescription{}))
					p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
					p.must(p.b.SetLocalDescription(SessionDescription{Type: SDPTypePranswer}))
					p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
					if connected {
						within(p, 5*time.Second, "open", open)
					}
					p.must(p.b.SetLocalDescription(SessionDescription{Type: SDPTypeAnswer}))
					final := *p.b.LocalDescription()
					for _, kind := range []SDPType{SDPTypePranswer, SDPTypeAnswer} {
						other := SessionDescription{Type: kind, SDP: change(final.SDP)}
						if other.SDP == final.SDP {
							t.Fatal("nothing was changed")
						}
						wantError(t, "another "+kind.String(), p.a.SetRemoteDescription(other), &OperationError{})
					}
					if s := p.a.SignalingState(); s != SignalingStateHaveRemotePranswer || p.a.RemoteDescription().Type != SDPTypePranswer {
						t.Errorf("state %v after what was refused", s)
					}
					p.must(p.a.SetRemoteDescription(final))
					if !connected {
						within(p, 5*time.Second, "open", open)
					}
					time.Sleep(time.Second)
					if s := dc.ReadyState(); s != DataChannelStateOpen {
						t.Errorf("channel %v", s)
					}
				})
			})
		}
	}
}

// A final answer may take back all that the provisional one has accepted. DTLS has its role by then, and the next exchange
// goes on with it.
func TestAFinalAnswerRejectsWhatTheProvisionalOneTook(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		log := closeLog(dc)
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		p.must(p.b.SetLocalDescription(SessionDescription{Type: SDPTypePranswer}))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		time.Sleep(5 * time.Second)
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		p.must(p.a.SetRemoteDescription(rejectSection(*p.b.LocalDescription(), "application")))
		wantLog(p, "the channel", log, "open open", "close closed")

		t.Log("# b learns of it by an offer")
		needed := needs(p.b)
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		p.must(p.a.SetRemoteDescription(rejectSection(*p.b.LocalDescription(), "application")))
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))

		t.Log("# a is the DTLS server, and says so when it answers: an answer that begins DTLS would make it the client")
		p.dataFrom(p.b, p.a, needed)
		if !strings.Contains(p.a.CurrentLocalDescription().SDP, "a=setup:passive") {
			t.Errorf("a answers with another role:\n%s", p.a.CurrentLocalDescription().SDP)
		}
	})
}
