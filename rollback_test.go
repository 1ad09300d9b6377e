package webrtc

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var rollback = SessionDescription{Type: SDPTypeRollback}

// signalingLog records the signaling states that the handler is told.
func signalingLog(pc *PeerConnection) *[]SignalingState {
	states := new([]SignalingState)
	pc.OnSignalingStateChange(func(s SignalingState) { *states = append(*states, s) })
	return states
}

func TestRollbackOfALocalOffer(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		states := signalingLog(p.a)
		tr, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		if tr.Mid() != "0" {
			t.Errorf("mid %q", tr.Mid())
		}
		p.must(p.a.SetLocalDescription(rollback))
		if s := p.a.SignalingState(); s != SignalingStateStable || p.a.LocalDescription() != nil {
			t.Errorf("state %v, local description %v", s, p.a.LocalDescription())
		}
		if tr.Mid() != "" || len(p.a.GetTransceivers()) != 1 || tr.Direction() != RTPTransceiverDirectionSendrecv {
			t.Errorf("mid %q, %d transceivers", tr.Mid(), len(p.a.GetTransceivers()))
		}
		synctest.Wait()
		if want := []SignalingState{SignalingStateHaveLocalOffer, SignalingStateStable}; !slices.Equal(*states, want) {
			t.Errorf("events %v", *states)
		}
	})
}

func TestRollbackMakesNegotiationNeededAgain(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		needed := 0
		p.a.OnNegotiationNeeded(func() { needed++ })
		_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		synctest.Wait()
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.a.SetLocalDescription(rollback))
		synctest.Wait()
		if needed != 2 {
			t.Errorf("%d events", needed)
		}
	})
}

func TestRollbackOfARemoteOfferTakesItsTransceiversAway(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		_, err := p.b.AddTrack(p.staticRTP(vp8, "video"))
		p.must(err)
		var track *TrackRemote
		var stream *MediaStream
		p.a.OnTrackEvent(func(e TrackEvent) { track, stream = e.Track, e.Streams[0] })
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		synctest.Wait()
		var left *TrackRemote
		stream.OnRemoveTrack(func(t *TrackRemote) { left = t })
		transceiver := p.a.GetTransceivers()[0]
		p.must(p.a.SetRemoteDescription(rollback))
		synctest.Wait()
		if n := len(p.a.GetTransceivers()); n != 0 {
			t.Errorf("%d transceivers", n)
		}
		if d := transceiver.Direction(); d != RTPTransceiverDirectionStopped || transceiver.Mid() != "" {
			t.Errorf("direction %v, mid %q", d, transceiver.Mid())
		}
		if left != track || len(stream.GetTracks()) != 0 || !track.Muted() {
			t.Errorf("the stream has %d tracks, the track is muted: %v", len(stream.GetTracks()), track.Muted())
		}
		if s := p.a.SignalingState(); s != SignalingStateStable || p.a.RemoteDescription() != nil {
			t.Errorf("state %v", s)
		}
	})
}

func TestRollbackKeepsATransceiverThatGotATrack(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		_, err := p.b.AddTransceiverFromKind(RTPCodecTypeVideo)
		p.must(err)
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		sender, err := p.a.AddTrack(p.staticRTP(vp8, "video"))
		p.must(err)
		transceiver := p.a.GetTransceivers()[0]
		if transceiver.Sender() != sender || transceiver.Direction() != RTPTransceiverDirectionSendrecv {
			t.Fatalf("AddTrack did not take the offered transceiver, but one of %d", len(p.a.GetTransceivers()))
		}
		p.must(p.a.SetLocalDescription(rollback))
		if got := p.a.GetTransceivers(); len(got) != 1 || got[0] != transceiver || transceiver.Mid() != "" || sender.Track() == nil {
			t.Errorf("%d transceivers, mid %q", len(got), transceiver.Mid())
		}
		p.must(p.b.SetLocalDescription(rollback))
		p.negotiate(p.a, p.b)
	})
}

func TestRollbackReturnsToWhatWasNegotiated(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		_, err := p.a.AddTrack(track)
		p.must(err)
		p.connectMedia()
		a, b := p.a.CurrentLocalDescription().SDP, p.a.CurrentRemoteDescription().SDP
		near, far := p.a.GetTransceivers()[0], p.b.GetTransceivers()[0]
		p.must(near.SetDirection(RTPTransceiverDirectionInactive))
		p.a.RestartICE()
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		if !far.Receiver().Track().Muted() {
			t.Error("the track is not muted by an inactive offer")
		}
		p.must(p.a.SetLocalDescription(rollback))
		p.must(p.b.SetRemoteDescription(rollback))
		if p.a.CurrentLocalDescription().SDP != a || p.a.CurrentRemoteDescription().SDP != b {
			t.Error("rollback has changed the current descriptions")
		}
		if d := near.CurrentDirection(); d != RTPTransceiverDirectionSendonly && d != RTPTransceiverDirectionSendrecv {
			t.Errorf("current direction %v", d)
		}
		if near.Direction() != RTPTransceiverDirectionInactive {
			t.Error("the application's direction was rolled back")
		}
		remote := far.Receiver().Track()
		unmuted := make(chan struct{})
		remote.OnUnmute(func() { close(unmuted) })
		synctest.Wait()
		p.must(track.WriteRTP(packet(1, 'x')))
		if _, err := remote.ReadRTP(); err != nil {
			t.Error(err)
		}
		within(p, time.Second, "unmute", unmuted)
	})
}

func TestGlareRollsTheOffererBack(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, err := p.a.CreateDataChannel("from a", nil)
		p.must(err)
		b, err := p.b.CreateDataChannel("from b", nil)
		p.must(err)
		openA, openB := opened(a), opened(b)
		states := signalingLog(p.a)
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription())) // a gives way
		if s := p.a.SignalingState(); s != SignalingStateHaveRemoteOffer || p.a.PendingLocalDescription() != nil {
			t.Errorf("state %v", s)
		}
		synctest.Wait()
		want := []SignalingState{SignalingStateHaveLocalOffer, SignalingStateStable, SignalingStateHaveRemoteOffer}
		if !slices.Equal(*states, want) {
			t.Errorf("events %v", *states)
		}
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		within(p, 5*time.Second, "open", openA)
		within(p, 5*time.Second, "open", openB)
	})
}

func TestAnOfferThatDoesNotParseRollsNothingBack(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		p.must(p.a.SetLocalDescription(p.offer(p.a)))
		offer := p.offer(p.b)
		for _, text := range []string{"v=0", strings.ReplaceAll(offer.SDP, "a=fingerprint", "a=x-fingerprint")} {
			if err := p.a.SetRemoteDescription(SessionDescription{Type: SDPTypeOffer, SDP: text}); err == nil {
				t.Error("the offer was accepted")
			}
			if s := p.a.SignalingState(); s != SignalingStateHaveLocalOffer || p.a.PendingLocalDescription() == nil {
				t.Errorf("state %v", s)
			}
		}
	})
}

func TestRollbackAfterTheAnswerIsAnError(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		_, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		p.negotiate(p.a, p.b)
		wantError(t, "local rollback", p.a.SetLocalDescription(rollback), &InvalidStateError{})
		wantError(t, "remote rollback", p.b.SetRemoteDescription(rollback), &InvalidStateError{})
	})
}

func TestARestartThatIsRolledBackLeavesTheConnectionUp(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		before := ufragOf(p.a.LocalDescription())
		offer, err := p.a.CreateOffer(&OfferOptions{ICERestart: true})
		p.must(err)
		p.must(p.a.SetLocalDescription(offer))
		if ufragOf(p.a.LocalDescription()) == before {
			t.Error("a restart with the old ufrag")
		}
		time.Sleep(2 * time.Second)
		p.must(p.a.SetLocalDescription(rollback))
		if got := ufragOf(p.a.LocalDescription()); got != before {
			t.Errorf("ufrag %q after rollback, %q before", got, before)
		}
		time.Sleep(time.Minute) // consent would run out
		if s := p.a.ConnectionState(); s != PeerConnectionStateConnected {
			t.Errorf("state %v", s)
		}
		checkEcho(p, a, b)
	})
}

// ufragOf is the first a=ice-ufrag of a description.
func ufragOf(d *SessionDescription) string {
	if d == nil {
		return ""
	}
	_, rest, _ := strings.Cut(d.SDP, "a=ice-ufrag:")
	ufrag, _, _ := strings.Cut(rest, "\r\n")
	return ufrag
}
