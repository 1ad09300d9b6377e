package webrtc

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// negotiatedAudio makes one exchange with one transceiver that has a track on a's side.
func (p *pair) negotiatedTrack() (near, far *RTPTransceiver, track *TrackLocalStaticRTP) {
	p.t.Helper()
	track = p.staticRTP(vp8, "video")
	_, err := p.a.AddTrack(track)
	p.must(err)
	p.connectMedia()
	return p.a.GetTransceivers()[0], p.b.GetTransceivers()[0], track
}

// sections are the m= lines of a description: kind, mid and whether it is rejected.
func sections(d *SessionDescription) (out []string) {
	for _, m := range strings.Split(d.SDP, "\r\nm=")[1:] {
		_, mid, _ := strings.Cut(m, "a=mid:")
		mid, _, _ = strings.Cut(mid, "\r\n")
		f := strings.Fields(m)
		s := f[0] + " " + mid
		if f[1] == "0" && !strings.Contains(m, "a=bundle-only") {
			s += " rejected"
		}
		out = append(out, s)
	}
	return out
}

func TestAddTrackTakesAFreeSender(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		free, err := p.a.AddTransceiverFromKind(RTPCodecTypeVideo, RTPTransceiverInit{Direction: RTPTransceiverDirectionRecvonly})
		p.must(err)
		sender, err := p.a.AddTrack(p.staticRTP(vp8, "video"))
		p.must(err)
		if sender != free.Sender() || free.Direction() != RTPTransceiverDirectionSendrecv {
			t.Errorf("another sender; direction %v", free.Direction())
		}
		sender, err = p.a.AddTrack(p.staticRTP(opus, "audio"))
		p.must(err)
		if sender == free.Sender() || len(p.a.GetTransceivers()) != 2 {
			t.Error("an audio track in a video sender")
		}
	})
}

func TestAddTrackLeavesASenderThatHasSent(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		near, _, _ := p.negotiatedTrack()
		p.must(p.a.RemoveTrack(near.Sender()))
		sender, err := p.a.AddTrack(p.staticRTP(vp8, "other"))
		p.must(err)
		if sender == near.Sender() {
			t.Error("a sender that was used is used again")
		}
		if d := near.Direction(); d != RTPTransceiverDirectionRecvonly {
			t.Errorf("direction %v after RemoveTrack", d)
		}
	})
}

func TestAddTrackErrors(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		sender, err := p.a.AddTrack(track)
		p.must(err)
		_, err = p.a.AddTrack(track)
		wantError(t, "the same track", err, &InvalidAccessError{})
		_, err = p.a.AddTrack(nil)
		wantError(t, "nil", err, &TypeError{})
		wantError(t, "another connection's sender", p.b.RemoveTrack(sender), &InvalidAccessError{})
		wantError(t, "no sender", p.b.RemoveTrack(nil), &InvalidAccessError{})
		p.must(p.a.RemoveTrack(sender))
		p.must(p.a.RemoveTrack(sender)) // does nothing
		_, err = p.a.AddTransceiverFromKind(0)
		wantError(t, "no kind", err, &TypeError{})
		_, err = p.a.AddTransceiverFromKind(RTPCodecTypeAudio, RTPTransceiverInit{Direction: RTPTransceiverDirectionStopped})
		wantError(t, "stopped", err, &TypeError{})
		_, err = p.a.AddTransceiverFromTrack(track, RTPTransceiverInit{Streams: []string{"a b"}})
		wantError(t, "a stream id with a space", err, &TypeError{})
		p.must(p.a.Close())
		_, err = p.a.AddTrack(track)
		wantError(t, "AddTrack", err, &InvalidStateError{})
		wantError(t, "RemoveTrack", p.a.RemoveTrack(sender), &InvalidStateError{})
		_, err = p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		wantError(t, "AddTransceiver", err, &InvalidStateError{})
	})
}

// Two tracks may have the same id: an application that relays does not choose the ids.
func TestTracksWithTheSameID(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		first, second := p.staticRTP(vp8, "video"), p.staticRTP(vp8, "video")
		for _, track := range []TrackLocal{first, second} {
			_, err := p.a.AddTrack(track)
			p.must(err)
		}
		p.connectMedia()
		p.must(first.WriteRTP(packet(1, '1')))
		p.must(second.WriteRTP(packet(2, '2')))
		for i, want := range []string{"\x101", "\x102"} {
			got, err := p.b.GetReceivers()[i].Track().ReadRTP()
			p.must(err)
			if string(got.Payload) != want {
				t.Errorf("track %d gets %q", i, got.Payload)
			}
		}
	})
}

func TestDirectionsMeet(t *testing.T) {
	const (
		both, send, recv, none = RTPTransceiverDirectionSendrecv, RTPTransceiverDirectionSendonly,
			RTPTransceiverDirectionRecvonly, RTPTransceiverDirectionInactive
	)
	for _, c := range []struct{ offer, answer, offerer, answerer RTPTransceiverDirection }{
		{both, both, both, both},
		{both, send, recv, send},
		{both, recv, send, recv},
		{both, none, none, none},
		{send, both, send, recv},
		{send, send, none, none},
		{send, recv, send, recv},
		{send, none, none, none},
		{recv, both, recv, send},
		{recv, send, recv, send},
		{recv, recv, none, none},
		{recv, none, none, none},
		{none, both, none, none},
		{none, send, none, none},
		{none, recv, none, none},
		{none, none, none, none},
	} {
		inBubble(t, pairOptions{quiet: true}, func(p *pair) {
			near, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio, RTPTransceiverInit{Direction: c.offer})
			p.must(err)
			if near.CurrentDirection() != 0 {
				t.Errorf("current direction %v before negotiation", near.CurrentDirection())
			}
			p.must(p.a.SetLocalDescription(SessionDescription{}))
			p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
			far := p.b.GetTransceivers()[0]
			p.must(far.SetDirection(c.answer))
			p.must(p.b.SetLocalDescription(SessionDescription{}))
			p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
			if n, f := near.CurrentDirection(), far.CurrentDirection(); n != c.offerer || f != c.answerer {
				t.Errorf("%v meets %v: %v and %v", c.offer, c.answer, n, f)
			}
			if near.Direction() != c.offer || far.Direction() != c.answer {
				t.Errorf("the wishes have become %v and %v", near.Direction(), far.Direction())
			}
		})
	}
}

func TestANewTransceiverOfThePeersReceivesOnly(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		_, far, _ := p.negotiatedTrack()
		if far.Direction() != RTPTransceiverDirectionRecvonly || far.CurrentDirection() != RTPTransceiverDirectionRecvonly ||
			far.Mid() != "0" || far.Kind() != RTPCodecTypeVideo || far.Sender().Track() != nil {
			t.Errorf("direction %v, current %v, mid %q", far.Direction(), far.CurrentDirection(), far.Mid())
		}
	})
}

func TestTrackEventsWhenDirectionsChange(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		var events []TrackEvent
		p.b.OnTrackEvent(func(e TrackEvent) { events = append(events, e) })
		near, far, track := p.negotiatedTrack()
		if len(events) != 1 {
			t.Fatalf("%d events", len(events))
		}
		stream, remote := events[0].Streams[0], events[0].Track
		var log []string
		stream.OnAddTrack(func(*TrackRemote) { log = append(log, "addtrack") })
		stream.OnRemoveTrack(func(*TrackRemote) { log = append(log, "removetrack") })
		remote.OnMute(func() { log = append(log, "mute") })
		remote.OnUnmute(func() { log = append(log, "unmute") })
		write := func(n uint16) {
			t.Helper()
			p.must(track.WriteRTP(packet(n, byte(n))))
			if _, err := remote.ReadRTP(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		write(1)

		t.Log("# an exchange that changes nothing fires nothing")
		p.negotiate(p.a, p.b)
		p.negotiate(p.b, p.a)
		synctest.Wait()
		if len(events) != 1 || !slices.Equal(log, []string{"unmute"}) {
			t.Errorf("%d events, %v", len(events), log)
		}

		t.Log("# paused by the sender, then resumed")
		p.must(near.SetDirection(RTPTransceiverDirectionInactive))
		p.negotiate(p.a, p.b)
		p.must(near.SetDirection(RTPTransceiverDirectionSendonly))
		p.negotiate(p.a, p.b)
		synctest.Wait()
		write(2)
		want := []string{"unmute", "mute", "removetrack", "addtrack", "unmute"}
		if len(events) != 2 || events[1].Track != remote || events[1].Streams[0].ID() != "stream" || !slices.Equal(log[:3], want[:3]) ||
			log[len(log)-1] != "unmute" {
			t.Errorf("%d events, %v", len(events), log)
		}

		t.Log("# paused by the receiver")
		p.must(far.SetDirection(RTPTransceiverDirectionInactive))
		p.negotiate(p.b, p.a)
		synctest.Wait()
		if near.CurrentDirection() != RTPTransceiverDirectionInactive || !remote.Muted() {
			t.Errorf("direction %v, muted %v", near.CurrentDirection(), remote.Muted())
		}
	})
}

func TestATrackMovesToAnotherStream(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		var events []TrackEvent
		p.b.OnTrackEvent(func(e TrackEvent) { events = append(events, e) })
		near, _, _ := p.negotiatedTrack()
		p.must(near.Sender().SetStreams("one", "two"))
		p.negotiate(p.a, p.b)
		synctest.Wait()
		if len(events) != 2 || len(events[1].Streams) != 2 || events[1].Streams[0].ID() != "one" || events[1].Streams[1].ID() != "two" ||
			len(events[0].Streams[0].GetTracks()) != 0 || events[1].Track != events[0].Track {
			t.Errorf("%+v", events)
		}
		p.must(near.Sender().SetStreams())
		p.negotiate(p.a, p.b)
		synctest.Wait()
		if len(events) != 2 || events[0].Track.StreamID() != "" || len(events[1].Streams[0].GetTracks()) != 0 {
			t.Errorf("%d events, stream %q", len(events), events[0].Track.StreamID())
		}
	})
}

func TestStopEndsBothSides(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		near, far, _ := p.negotiatedTrack()
		p.must(near.Stop())
		p.must(near.Stop())
		if near.Direction() != RTPTransceiverDirectionStopped || near.CurrentDirection() == RTPTransceiverDirectionStopped ||
			far.Direction() == RTPTransceiverDirectionStopped {
			t.Errorf("%v, %v and %v before the exchange", near.Direction(), near.CurrentDirection(), far.Direction())
		}
		if _, err := near.Receiver().Track().ReadRTP(); !errors.Is(err, io.EOF) {
			t.Errorf("a stopped receiver reads %v", err)
		}
		wantError(t, "SetDirection", near.SetDirection(RTPTransceiverDirectionSendrecv), &InvalidStateError{})
		wantError(t, "ReplaceTrack", near.Sender().ReplaceTrack(nil), &InvalidStateError{})
		p.negotiate(p.a, p.b)
		for _, tr := range []*RTPTransceiver{near, far} {
			if tr.Direction() != RTPTransceiverDirectionStopped || tr.CurrentDirection() != RTPTransceiverDirectionStopped {
				t.Errorf("direction %v, current direction %v", tr.Direction(), tr.CurrentDirection())
			}
		}
		if got := sections(p.a.LocalDescription()); !slices.Equal(got, []string{"video 0 rejected"}) {
			t.Errorf("%v", got)
		}
		if len(p.a.GetTransceivers())+len(p.b.GetTransceivers())+len(p.a.GetSenders())+len(p.b.GetReceivers()) != 0 {
			t.Error("stopped transceivers are listed")
		}
	})
}

func TestStopBeforeNegotiationLeavesNoTrace(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		tr, err := p.a.AddTransceiverFromKind(RTPCodecTypeAudio)
		p.must(err)
		p.must(tr.Stop())
		offer, err := p.a.CreateOffer(nil)
		p.must(err)
		if got := sections(&offer); len(got) != 0 {
			t.Errorf("%v", got)
		}
		if tr.Direction() != RTPTransceiverDirectionStopped {
			t.Errorf("direction %v", tr.Direction())
		}
	})
}

func TestARejectedSectionIsUsedAgain(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		near, _, _ := p.negotiatedTrack()
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		open := opened(dc)
		p.negotiate(p.a, p.b)
		within(p, 5*time.Second, "open", open)
		p.must(near.Stop())
		p.negotiate(p.a, p.b)
		track := p.staticRTP(opus, "audio")
		_, err = p.b.AddTrack(track)
		p.must(err)
		p.negotiate(p.b, p.a)
		got := sections(p.b.LocalDescription())
		if len(got) != 2 || !strings.HasPrefix(got[0], "audio ") || got[0] == "audio 0" || got[1] != "application 1" {
			t.Errorf("%v", got)
		}
		time.Sleep(time.Second)
		p.must(track.WriteRTP(packet(1, 'a')))
		if _, err := p.a.GetReceivers()[0].Track().ReadRTP(); err != nil {
			t.Error(err)
		}
		p.must(dc.SendText("still here"))
	})
}

func TestAHundredSectionsOneAfterTheOther(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		for range 100 {
			tr, err := p.a.AddTransceiverFromKind(RTPCodecTypeVideo)
			p.must(err)
			p.negotiate(p.a, p.b)
			p.must(tr.Stop())
			p.negotiate(p.b, p.a) // the other side's offer cannot tell
			p.negotiate(p.a, p.b)
		}
		if got := sections(p.a.LocalDescription()); len(got) > 2 {
			t.Errorf("%v", got)
		}
	})
}

func TestCodecPreferences(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		tr, err := p.a.AddTransceiverFromTrack(p.staticRTP(RTPCodecCapability{MimeType: MimeTypeVP9, ClockRate: 90000}, "video"))
		p.must(err)
		codecs := DefaultCodecs()
		of := func(mime string) (out []RTPCodecParameters) {
			for _, c := range codecs {
				if c.MimeType == mime {
					out = append(out, c)
				}
			}
			return out
		}
		wantError(t, "an audio codec", tr.SetCodecPreferences(of(MimeTypeOpus)), &InvalidModificationError{})
		wantError(t, "retransmission alone", tr.SetCodecPreferences(of(MimeTypeRTX)), &InvalidModificationError{})
		wantError(t, "an unknown codec", tr.SetCodecPreferences([]RTPCodecParameters{{
			RTPCodecCapability: RTPCodecCapability{MimeType: "video/x", ClockRate: 90000},
		}}), &InvalidModificationError{})
		p.must(tr.SetCodecPreferences(append(of(MimeTypeVP9), of(MimeTypeVP8)...)))
		p.connectMedia()
		for _, got := range [][]RTPCodecParameters{
			tr.Sender().GetParameters().Codecs, p.b.GetReceivers()[0].GetParameters().Codecs,
		} {
			if len(got) == 0 || got[0].MimeType != MimeTypeVP9 || got[len(got)-1].MimeType != MimeTypeVP8 {
				t.Errorf("%v", got)
			}
		}
		p.must(tr.SetCodecPreferences(nil))
		offer, err := p.a.CreateOffer(nil)
		p.must(err)
		if !strings.Contains(offer.SDP, "AV1/90000") {
			t.Error("no preferences, and yet not every codec")
		}
	})
}

func TestCloseStopsTheTransceivers(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		near, _, _ := p.negotiatedTrack()
		p.must(p.a.Close())
		if near.Direction() != RTPTransceiverDirectionStopped || near.CurrentDirection() != RTPTransceiverDirectionStopped {
			t.Errorf("direction %v, current direction %v", near.Direction(), near.CurrentDirection())
		}
		wantError(t, "SetDirection", near.SetDirection(RTPTransceiverDirectionSendrecv), &InvalidStateError{})
		wantError(t, "Stop", near.Stop(), &InvalidStateError{})
		wantError(t, "SetCodecPreferences", near.SetCodecPreferences(nil), &InvalidStateError{})
		wantError(t, "ReplaceTrack", near.Sender().ReplaceTrack(nil), &InvalidStateError{})
		wantError(t, "SetStreams", near.Sender().SetStreams(), &InvalidStateError{})
		if len(p.a.GetTransceivers())+len(p.a.GetSenders())+len(p.a.GetReceivers()) != 0 {
			t.Error("a closed connection has transceivers")
		}
	})
}

func TestReplaceTrackBeforeNegotiation(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		tr, err := p.a.AddTransceiverFromKind(RTPCodecTypeVideo)
		p.must(err)
		track := p.staticRTP(vp8, "video")
		p.must(tr.Sender().ReplaceTrack(track))
		p.connectMedia()
		p.must(track.WriteRTP(packet(1, 'x')))
		remote := p.b.GetReceivers()[0].Track()
		if _, err := remote.ReadRTP(); err != nil {
			t.Error(err)
		}
		if remote.StreamID() != "" {
			t.Errorf("stream %q: ReplaceTrack knows no streams", remote.StreamID())
		}
	})
}

func TestParametersAreTheCallers(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		near, far, track := p.negotiatedTrack()
		for _, get := range []func() RTPParameters{near.Sender().GetParameters, far.Receiver().GetParameters} {
			mine := get()
			mine.Codecs[0] = RTPCodecParameters{}
			mine.Codecs[1].RTCPFeedback = append(mine.Codecs[1].RTCPFeedback[:0], RTCPFeedback{Type: "mine"})
			mine.HeaderExtensions[0].URI = "mine"
			if got := get(); got.Codecs[0].MimeType != MimeTypeVP8 || got.HeaderExtensions[0].URI == "mine" {
				t.Errorf("%+v", got)
			}
		}
		p.negotiate(p.a, p.b)
		synctest.Wait()
		p.must(track.WriteRTP(packet(1, 'x')))
		if _, err := far.Receiver().Track().ReadRTP(); err != nil {
			t.Error(err)
		}
	})
}

func TestOneTrackInTwoSenders(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		for range 2 {
			_, err := p.a.AddTransceiverFromTrack(track)
			p.must(err)
		}
		p.connectMedia()
		p.must(track.WriteRTP(packet(1, 'x')))
		receivers := p.b.GetReceivers()
		for _, r := range receivers {
			if _, err := r.Track().ReadRTP(); err != nil {
				t.Error(err)
			}
		}
		p.must(p.a.RemoveTrack(p.a.GetSenders()[0]))
		synctest.Wait()
		p.must(track.WriteRTP(packet(2, 'y')))
		if got, err := receivers[1].Track().ReadRTP(); err != nil || got.SequenceNumber != 2 {
			t.Errorf("%v %v", got, err)
		}
	})
}

// A peer is heard as soon as it may send, which may be before OnTrack's handler is set: nothing is lost up to the buffer.
func TestPacketsWaitForTheirReader(t *testing.T) {
	inBubble(t, limitedBy("b", func(s *Settings) { s.TrackBuffer = 10 }), func(p *pair) {
		_, far, track := p.negotiatedTrack()
		for i := range uint16(25) {
			p.must(track.WriteRTP(packet(i, byte(i))))
		}
		time.Sleep(time.Second)
		remote := far.Receiver().Track()
		for want := uint16(15); want < 25; want++ {
			if got, err := remote.ReadRTP(); err != nil || got.SequenceNumber != want {
				t.Fatalf("packet %v, want %d: %v", got, want, err)
			}
		}
		if n := remote.Dropped(); n != 15 {
			t.Errorf("%d packets were dropped", n)
		}
	})
}

func TestATrackOfACodecThatThePeerLacks(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		odd, err := NewTrackLocalStaticRTP(RTPCodecCapability{MimeType: "video/odd", ClockRate: 90000}, "odd", "stream")
		p.must(err)
		sender, err := p.a.AddTrack(odd)
		p.must(err)
		p.connectMedia()
		p.must(odd.WriteRTP(packet(1, 'x'))) // it goes nowhere
		fits := p.staticRTP(vp8, "fits")
		p.must(sender.ReplaceTrack(fits))
		synctest.Wait()
		p.must(fits.WriteRTP(packet(2, 'y')))
		if got, err := p.b.GetReceivers()[0].Track().ReadRTP(); err != nil || got.SequenceNumber != 2 {
			t.Errorf("%v %v", got, err)
		}
	})
}
