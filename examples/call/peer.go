package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/openparley/webrtc"
	clips "github.com/openparley/webrtc/examples/call/media"
)

const (
	// connectTimeout is how long the call may take to be set up once both sides are there.
	connectTimeout = 20 * time.Second
	// closeTimeout is how long the last messages may take at the end.
	closeTimeout = 2 * time.Second
)

var (
	errPeerLeft    = errors.New("the other side has left")
	errInterrupted = errors.New("interrupted")
)

// peerOptions say what one side of the call does.
type peerOptions struct {
	name, other string   // "caller" and "callee", or the other way round
	in, out     *mailbox // signaling
	stun        string   // URL of a STUN server, or empty
	duration    time.Duration
	message     string        // the first line of the chat
	lines       <-chan string // more of them; nil: none
	file        source        // what is sent
	dir         string        // where what is received goes
	screen      *screen
}

// A source is a file to be sent.
type source struct {
	name    string
	size    int64
	content io.Reader
}

// A peer is one side of the call. Everything that happens to its connection is told by handlers, which run one at a
// time on the signaling goroutine; what waits runs in the goroutines that run starts.
type peer struct {
	peerOptions
	pc      *webrtc.PeerConnection
	work    sync.WaitGroup // all goroutines
	players []*player

	fail      context.CancelCauseFunc // ends the call with an error
	connected chan struct{}           // closed when the connection is up for the first time
	chats     chan *chat              // gets the chat once

	began time.Time // of the negotiation; of the signaling goroutine alone

	mu         sync.Mutex // guards what follows
	setUp      time.Duration
	recordings []*recording
	transfers  []*transfer
}

// A player is one track that is sent.
type player struct {
	*clips.Player
	track *webrtc.TrackLocalStaticSample
	// To be read when all has been sent.
	sent   uint64 // frames
	played time.Duration
}

func newPeer(o peerOptions) (*peer, error) {
	// With the loopback interface, two peers on one machine need no network at all.
	api, err := webrtc.NewAPI(webrtc.Settings{IncludeLoopback: true})
	if err != nil {
		return nil, err
	}
	p := &peer{peerOptions: o, connected: make(chan struct{}), chats: make(chan *chat, 1)}
	for _, load := range []func() (*clips.Clip, error){clips.Melody, clips.Pattern} {
		clip, err := load()
		if err != nil {
			return nil, err
		}
		track, err := clip.NewTrack(clip.Name, o.name)
		if err != nil {
			return nil, err
		}
		p.players = append(p.players, &player{Player: clips.NewPlayer(clip, track.WriteSample), track: track})
	}
	var configuration webrtc.Configuration
	if o.stun != "" {
		configuration.ICEServers = []webrtc.ICEServer{{URLs: []string{o.stun}}}
	}
	p.pc, err = api.NewPeerConnection(configuration)
	return p, err
}

// run makes the call and returns what came of it, also when it fails. It ends when both sides have sent what they want
// to, in the same way but earlier when hangUp ends, and at once when ctx does.
func (p *peer) run(ctx, hangUp context.Context, offer bool) (*report, error) {
	ctx, p.fail = context.WithCancelCause(ctx)
	leave, left := context.WithCancelCause(ctx)
	defer context.AfterFunc(hangUp, func() { left(errInterrupted) })()
	defer func() {
		_ = p.pc.Close()
		p.fail(errPeerLeft)
		left(nil)
		p.work.Wait()
		<-p.pc.Done()
	}()

	p.handle()
	p.work.Go(func() { p.readSignals(ctx) })
	if offer {
		p.post(p.call)
	}
	c, err := p.connect(leave)
	if err != nil {
		return p.report(nil), err
	}
	err = p.talk(ctx, leave, c)
	r := p.report(c)
	// The channel is closed first, and the connection after it: so nothing is lost that was sent on it.
	_ = c.channel.Close()
	waitFor(ctx, closeTimeout, c.closed)
	return r, err
}

// waitFor waits until c is closed, but not forever.
func waitFor(ctx context.Context, limit time.Duration, c <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

// handle sets the connection's handlers.
func (p *peer) handle() {
	p.pc.OnConnectionStateChange(p.stateChanged)
	p.pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		var candidate webrtc.ICECandidateInit // an empty one says that there are no more
		if c != nil {
			candidate = c.ToJSON()
		}
		p.tell(signal{Candidate: &candidate})
	})
	p.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		r := newRecording(track, p.dir, fmt.Sprintf("%s-from-%s", track.Kind(), p.other))
		p.mu.Lock()
		p.recordings = append(p.recordings, r)
		p.mu.Unlock()
		p.work.Go(r.run)
	})
	p.pc.OnDataChannel(func(d *webrtc.DataChannel) {
		switch d.Label() {
		case chatLabel:
			p.startChat(d)
		case fileLabel:
			receiveFile(d, p.dir, "from-"+p.other+"-", p.track)
		default:
			_ = d.Close()
		}
	})
}

func (p *peer) stateChanged(state webrtc.PeerConnectionState) {
	switch state {
	case webrtc.PeerConnectionStateConnected:
		select {
		case <-p.connected:
			p.screen.printf("%s: connected again", p.name)
			return
		default:
		}
		p.mu.Lock()
		p.setUp = time.Since(p.began)
		p.mu.Unlock()
		p.screen.printf("%s: connected after %s", p.name, duration(p.setUp.Seconds()))
		close(p.connected)
	case webrtc.PeerConnectionStateFailed:
		p.fail(errors.New("the connection has failed"))
	default:
		p.screen.printf("%s: %s", p.name, state)
	}
}

// startChat gives the chat to connect.
func (p *peer) startChat(d *webrtc.DataChannel) {
	c := newChat(d, func(text string) {
		p.screen.printf("%s says: %s", p.other, printable(text))
	}, func(frames map[string]uint64, played time.Duration) {
		// Who says bye has sent everything: this side stops, too, when it has played as long, and waits for what is still on
		// its way.
		for _, player := range p.players {
			player.StopAt(played)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, r := range p.recordings {
			r.expect(frames[r.track.Kind().String()])
		}
	})
	select {
	case p.chats <- c:
	default:
		_ = d.Close() // a second chat
	}
}

// track notes a transfer, so that it is shown.
func (p *peer) track(t *transfer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.transfers = append(p.transfers, t)
}

// post runs f on the signaling goroutine, among the handlers. Its error ends the call.
func (p *peer) post(f func() error) {
	p.pc.Post(func() {
		if err := f(); err != nil {
			p.fail(err)
		}
	})
}

// call says what the offer shall have in it. It runs on the signaling goroutine, and so does the handler that makes the
// offer: not before call has returned, so that one offer has everything. Local candidates are reported by later handlers
// still, and therefore travel behind the offer.
func (p *peer) call() error {
	p.pc.OnNegotiationNeeded(func() {
		p.began = time.Now()
		if err := p.pc.SetLocalDescription(webrtc.SessionDescription{}); err != nil {
			p.fail(err)
			return
		}
		p.tell(signal{Description: p.pc.LocalDescription()})
	})
	d, err := p.pc.CreateDataChannel(chatLabel, nil)
	if err != nil {
		return err
	}
	p.startChat(d)
	return p.addTracks()
}

func (p *peer) addTracks() error {
	for _, player := range p.players {
		sender, err := p.pc.AddTrack(player.track)
		if err != nil {
			return err
		}
		p.work.Go(func() { answerFeedback(sender, player.Player) })
	}
	return nil
}

// answerFeedback gives the receiver the key frames that it asks for, until the sender ends.
func answerFeedback(sender *webrtc.RTPSender, player *clips.Player) {
	for {
		packets, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		if wantsKeyFrame(packets) {
			player.KeyFrame()
		}
	}
}

// tell gives a signal to the other side. It never waits.
func (p *peer) tell(s signal) {
	if err := p.out.put(s); err != nil {
		p.signalingFailed(err)
	}
}

// signalingFailed ends a call that is not up yet; one that is does without signaling.
func (p *peer) signalingFailed(err error) {
	select {
	case <-p.connected:
	default:
		p.fail(err)
	}
}

// readSignals takes the other side's signals to the signaling goroutine.
func (p *peer) readSignals(ctx context.Context) {
	for n := 0; ; {
		signals, err := p.in.after(ctx, n)
		if err != nil {
			p.signalingFailed(err)
			return
		}
		n += len(signals)
		for _, s := range signals {
			p.post(func() error { return p.apply(s) })
		}
	}
}

// apply does what a signal asks for. It runs on the signaling goroutine.
func (p *peer) apply(s signal) error {
	if s.Candidate != nil {
		return p.pc.AddICECandidate(*s.Candidate)
	}
	if s.Description == nil {
		return nil
	}
	if s.Description.Type == webrtc.SDPTypeOffer && p.began.IsZero() {
		p.began = time.Now()
	}
	if err := p.pc.SetRemoteDescription(*s.Description); err != nil {
		return err
	}
	if s.Description.Type != webrtc.SDPTypeOffer {
		return nil
	}
	// The tracks find their places in the sections of the offer.
	if err := p.addTracks(); err != nil {
		return err
	}
	if err := p.pc.SetLocalDescription(webrtc.SessionDescription{}); err != nil {
		return err
	}
	p.tell(signal{Description: p.pc.LocalDescription()})
	return nil
}

// connect waits until the chat is open, which is when everything works.
func (p *peer) connect(ctx context.Context) (*chat, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errors.New("no connection in time"))
	defer cancel()
	select {
	case <-p.connected:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case c := <-p.chats:
		select {
		case <-c.open:
			return c, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
