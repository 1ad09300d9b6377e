package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/browser"
)

// goPeer is this library's side of a call. It echoes on channels that the browser opens, and has one of its own.
type goPeer struct {
	t          *testing.T
	pc         *webrtc.PeerConnection
	candidates chan webrtc.ICECandidateInit // an empty one ends a gathering
	own        *webrtc.DataChannel
	messages   chan webrtc.DataChannelMessage
	received   *received
	remote     []string // candidates that came from the page; written by trickle

	opened, connected, failed, closed signal

	ctx     context.Context // ends what plays
	cancel  context.CancelFunc
	playing sync.WaitGroup
}

// signal is an event that happens once; its zero value is ready.
type signal struct {
	once sync.Once
	init sync.Once
	c    chan struct{}
}

func (s *signal) channel() chan struct{} {
	s.init.Do(func() { s.c = make(chan struct{}) })
	return s.c
}

func (s *signal) fire() { s.once.Do(func() { close(s.channel()) }) }

// wait waits for one of the events, of which the second, if any, is bad news.
func await(ctx context.Context, what string, good *signal, bad ...*signal) error {
	var broken <-chan struct{}
	if len(bad) > 0 {
		broken = bad[0].channel()
	}
	select {
	case <-good.channel():
		return nil
	case <-broken:
		return fmt.Errorf("%s: the connection failed", what)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
}

// firstMid goes with the end of candidates: everything is on the first section's transport.
var firstMid = "0"

// newGoPeer makes a peer that is closed when the test ends.
func newGoPeer(t *testing.T, withMedia bool) *goPeer {
	t.Helper()
	return newGoPeerWith(t, webrtc.Settings{}, withMedia)
}

// newGoPeerWith is newGoPeer with other settings.
func newGoPeerWith(t *testing.T, settings webrtc.Settings, withMedia bool) *goPeer {
	t.Helper()
	p := &goPeer{
		t: t, candidates: make(chan webrtc.ICECandidateInit, 100), messages: make(chan webrtc.DataChannelMessage, 1),
		received: newReceived(t),
	}
	api, err := webrtc.NewAPI(settings)
	if err != nil {
		t.Fatal(err)
	}
	if p.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		t.Fatal(err)
	}
	p.pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		init := webrtc.ICECandidateInit{SDPMid: &firstMid}
		if c != nil {
			init = c.ToJSON()
		}
		p.candidates <- init
	})
	p.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			p.connected.fire()
		case webrtc.PeerConnectionStateFailed:
			p.failed.fire()
		default:
		}
	})
	p.pc.OnDataChannel(echo)
	if p.own, err = p.pc.CreateDataChannel("go", nil); err != nil {
		t.Fatal(err)
	}
	p.own.OnOpen(p.opened.fire)
	p.own.OnClose(p.closed.fire)
	p.own.OnMessage(func(m webrtc.DataChannelMessage) { p.messages <- m })
	p.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		p.playing.Go(func() { p.received.read(track) })
	})
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if withMedia {
		p.addAudio()
		p.addVideo()
	}
	t.Cleanup(func() {
		p.cancel()
		if err := p.pc.Close(); err != nil {
			t.Error(err)
		}
		p.playing.Wait()
		select {
		case <-p.pc.Done():
		case <-time.After(limit):
			t.Error("the connection is closed and still not done")
		}
	})
	return p
}

func (p *goPeer) addAudio() {
	p.t.Helper()
	track := p.addTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio")
	p.play(track, readFrames(p.t, audioClip), audioFrame)
}

func (p *goPeer) addVideo() {
	p.t.Helper()
	track := p.addTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "video")
	p.play(track, readFrames(p.t, videoClip), videoFrame)
}

// play feeds a track from the moment when the peers are connected: what is sent before is lost, and with it the first
// key frame.
func (p *goPeer) play(track *webrtc.TrackLocalStaticSample, frames [][]byte, each time.Duration) {
	p.playing.Go(func() {
		if await(p.ctx, "connected", &p.connected) != nil {
			return
		}
		if err := play(p.ctx, track, frames, each); err != nil {
			p.t.Error(err)
		}
	})
}

func (p *goPeer) addTrack(codec webrtc.RTPCodecCapability, id string) *webrtc.TrackLocalStaticSample {
	p.t.Helper()
	track, err := webrtc.NewTrackLocalStaticSample(codec, id, "go")
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.pc.AddTrack(track); err != nil {
		p.t.Fatal(err)
	}
	return track
}

// echo sends back whatever comes in.
func echo(d *webrtc.DataChannel) {
	d.OnMessage(func(m webrtc.DataChannelMessage) {
		if m.IsString {
			_ = d.SendText(string(m.Data)) // the page waits for it
			return
		}
		_ = d.Send(m.Data)
	})
}

func (p *goPeer) offer() (webrtc.SessionDescription, error) {
	d, err := p.pc.CreateOffer(nil)
	if err != nil {
		return d, err
	}
	return d, p.pc.SetLocalDescription(d)
}

func (p *goPeer) answer(offer webrtc.SessionDescription) (webrtc.SessionDescription, error) {
	if err := p.pc.SetRemoteDescription(offer); err != nil {
		return offer, err
	}
	d, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return d, err
	}
	return d, p.pc.SetLocalDescription(d)
}

// roundTrip sends a message on the peer's own channel and waits for the same to come back.
func (p *goPeer) roundTrip(ctx context.Context, data []byte, isString bool) error {
	if err := await(ctx, "open", &p.opened, &p.failed); err != nil {
		return err
	}
	send := p.own.Send
	if isString {
		send = func(data []byte) error { return p.own.SendText(string(data)) }
	}
	if err := send(data); err != nil {
		return err
	}
	select {
	case m := <-p.messages:
		if m.IsString != isString || !bytes.Equal(m.Data, data) {
			return fmt.Errorf("%d bytes (string: %t) came back as %d (%t), or changed", len(data), isString, len(m.Data), m.IsString)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("echo of %d bytes (string: %t): %w", len(data), isString, context.Cause(ctx))
	}
}

// call is one call between this library and a page.
type call struct {
	goOffers bool
	// goActive makes this library the DTLS client: its peer is told a=setup:active or passive where JSEP says actpass.
	goActive bool
	media    bool
	// config is the browser's RTCConfiguration; nil: the default.
	config *webrtc.Configuration
}

// connect negotiates, with the offer's role rewritten on its way if need be, and lets candidates trickle both ways.
func (c call) connect(ctx context.Context, p *goPeer, page *browser.Page) error {
	options := map[string]any{"media": c.media}
	if c.config != nil {
		options["config"] = c.config
	}
	if err := page.Call(ctx, nil, "peer.start", options); err != nil {
		return err
	}
	if err := c.negotiate(ctx, p, page); err != nil {
		return err
	}
	if err := p.trickle(ctx, page); err != nil {
		return err
	}
	if err := await(ctx, "connect", &p.connected, &p.failed); err != nil {
		return err
	}
	return page.Call(ctx, nil, "peer.connected")
}

// negotiate exchanges one offer and one answer.
func (c call) negotiate(ctx context.Context, p *goPeer, page *browser.Page) error {
	var answer webrtc.SessionDescription
	if c.goOffers {
		offer, err := p.offer()
		if err != nil {
			return err
		}
		if c.goActive { // an answerer that may choose chooses active
			offer.SDP = strings.ReplaceAll(offer.SDP, "a=setup:actpass", "a=setup:active")
		}
		if err := page.Call(ctx, &answer, "peer.answer", offer); err != nil {
			return err
		}
		return p.pc.SetRemoteDescription(answer)
	}
	var offer webrtc.SessionDescription
	if err := page.Call(ctx, &offer, "peer.offer"); err != nil {
		return err
	}
	if !c.goActive {
		offer.SDP = strings.ReplaceAll(offer.SDP, "a=setup:actpass", "a=setup:active")
	}
	answer, err := p.answer(offer)
	if err != nil {
		return err
	}
	return page.Call(ctx, nil, "peer.accept", answer)
}

// trickle carries candidates both ways until both sides have gathered all of theirs.
func (p *goPeer) trickle(ctx context.Context, page *browser.Page) error {
	done := make(chan error, 2)
	go func() { done <- p.trickleTo(ctx, page) }()
	go func() { done <- p.trickleFrom(ctx, page) }()
	return errors.Join(<-done, <-done)
}

func (p *goPeer) trickleTo(ctx context.Context, page *browser.Page) error {
	for {
		select {
		case c := <-p.candidates:
			if err := page.Call(ctx, nil, "peer.candidate", c); err != nil || c.Candidate == "" {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("gathering here: %w", context.Cause(ctx))
		}
	}
}

func (p *goPeer) trickleFrom(ctx context.Context, page *browser.Page) error {
	for {
		var c *webrtc.ICECandidateInit
		if err := page.Call(ctx, &c, "peer.nextCandidate"); err != nil {
			return err
		}
		if c == nil {
			return p.pc.AddICECandidate(webrtc.ICECandidateInit{})
		}
		p.remote = append(p.remote, c.Candidate)
		if err := p.pc.AddICECandidate(*c); err != nil {
			return fmt.Errorf("%s: %w", c.Candidate, err)
		}
	}
}
