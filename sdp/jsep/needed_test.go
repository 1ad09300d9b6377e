package jsep

import (
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// The cases of webrtc-pc §4.7.3, one by one, from a call that has been negotiated.
func TestNegotiationNeeded(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(p *peer, t *Transceiver) error
		want bool // for the offerer
		ans  bool // for the answerer
	}{
		{"nothing", func(*peer, *Transceiver) error { return nil }, false, false},
		{"new transceiver", func(p *peer, _ *Transceiver) error { p.add(KindVideo, sdp.Inactive); return nil }, true, true},
		{"data", func(p *peer, _ *Transceiver) error { return p.EnableData() }, true, true},
		{"restart", func(p *peer, _ *Transceiver) error { p.RestartICE(); return nil }, true, true},
		{"stop", func(p *peer, t *Transceiver) error { return p.StopTransceiver(t) }, true, true},
		{"direction", func(p *peer, t *Transceiver) error { return p.SetDirection(t, sdp.Inactive) }, true, true},
		{"direction and back", func(p *peer, t *Transceiver) error {
			_ = p.SetDirection(t, sdp.Inactive)
			return p.SetDirection(t, sdp.SendRecv)
		}, false, false},
		{"remove track", func(p *peer, t *Transceiver) error { _, err := p.RemoveTrack(t); return err }, true, true},
		{"replace track", func(p *peer, t *Transceiver) error { return p.ReplaceTrack(t, "other") }, false, false},
		{"streams", func(p *peer, t *Transceiver) error { return p.SetStreams(t, []string{"y"}) }, true, true},
		{"more streams", func(p *peer, t *Transceiver) error { return p.SetStreams(t, []string{"s", "y"}) }, true, true},
		{"no streams", func(p *peer, t *Transceiver) error { return p.SetStreams(t, nil) }, true, true},
		{"same streams", func(p *peer, t *Transceiver) error { return p.SetStreams(t, []string{"s", "s"}) }, false, false},
		{"preferences", func(p *peer, t *Transceiver) error {
			return p.SetCodecPreferences(t, testCapabilities().Audio.Codecs[:1])
		}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
			ta, _, err := a.AddTrack(KindAudio, "mic", []string{"s"})
			if err != nil {
				t.Fatal(err)
			}
			tb, _, err := b.AddTrack(KindAudio, "mic2", []string{"s"})
			if err != nil {
				t.Fatal(err)
			}
			a.wantNeeded(true)
			connect(a, b)
			if err := c.act(a, ta); err != nil {
				t.Fatal(err)
			}
			if err := c.act(b, tb); err != nil {
				t.Fatal(err)
			}
			a.wantNeeded(c.want)
			b.wantNeeded(c.ans)
			connect(a, b)
			a.wantNeeded(false)
			if b.CheckNegotiationNeeded() {
				connect(b, a)
			}
			b.wantNeeded(false)
			a.wantNeeded(false)
		})
	}
}

// An offerer whose wish was not granted does not ask again; an answerer neither (the two branches of the algorithm).
func TestUngrantedDirectionIsNotAskedAgain(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv, "s")
	connect(a, b) // b only receives
	if ta.CurrentDirection != sdp.SendOnly {
		t.Fatal(ta.CurrentDirection)
	}
	a.wantNeeded(false)
	b.wantNeeded(false)
	if err := b.SetDirection(b.Transceivers()[0], sdp.SendRecv); err != nil {
		t.Fatal(err)
	}
	b.wantNeeded(true)
	connect(b, a)
	if ta.CurrentDirection != sdp.SendRecv {
		t.Fatal(ta.CurrentDirection)
	}
}

func TestNothingIsNeededWhileNotStable(t *testing.T) {
	a := newPeer(t, "a", 1)
	a.add(KindAudio, sdp.SendRecv)
	fx := a.local(a.offer())
	a.add(KindAudio, sdp.SendRecv)
	a.wantNeeded(false)
	if fx.NegotiationNeeded {
		t.Fatal("needed")
	}
	a.Close()
	a.wantNeeded(false)
	if _, err := a.CreateOffer(OfferOptions{}, testLocal); err == nil {
		t.Fatal("an offer of a closed session")
	}
}

// webrtc-pc §5.1 addTrack: which sender takes a track.
func TestAddTrackReuse(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	recv := a.add(KindAudio, sdp.RecvOnly)
	t1, reused, err := a.AddTrack(KindAudio, "one", nil)
	if err != nil || !reused || t1 != recv || t1.Direction != sdp.SendRecv {
		t.Fatalf("%+v %v %v", t1, reused, err)
	}
	same, reused, err := a.AddTrack(KindAudio, "one", nil)
	if err != nil || reused || same == t1 {
		t.Fatalf("another track of the same id: %+v %v %v", same, reused, err)
	}
	t2, reused, err := a.AddTrack(KindVideo, "two", nil)
	if err != nil || reused || t2.Kind != KindVideo {
		t.Fatalf("%+v %v %v", t2, reused, err)
	}
	connect(a, b)
	if changed, err := a.RemoveTrack(t1); err != nil || !changed || t1.Direction != sdp.RecvOnly {
		t.Fatalf("%v %v %s", changed, err, t1.Direction)
	}
	if changed, _ := a.RemoveTrack(t1); changed {
		t.Fatal("removed twice")
	}
	t.Log("# a sender that has sent is not taken again")
	t3, reused, err := a.AddTrack(KindAudio, "three", nil)
	if err != nil || reused || t3 == t1 {
		t.Fatalf("%v %v", reused, err)
	}
	t.Log("# ids that cannot stand in a description do not")
	t4, _, err := a.AddTrack(KindAudio, "a b:c", nil)
	if err != nil || t4.Sender.id == "a b:c" || t4.Sender.Track != "a b:c" {
		t.Fatalf("%+v %v", t4, err)
	}
	if _, err := a.AddTransceiver(KindAudio, TransceiverInit{Streams: []string{"a\r\nb"}}); err == nil {
		t.Fatal("a stream with a line break")
	}
}
