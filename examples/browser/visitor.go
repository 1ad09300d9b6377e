package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtcp"

	"github.com/openparley/webrtc"
	clips "github.com/openparley/webrtc/examples/call/media"
)

// A signal is what page and program tell each other, in the browser's own JSON. The page offers, whenever it wants
// something new, and the program answers; so there is no glare.
type signal struct {
	// ID is the call's, in the program's first signal; the page posts its own to it.
	ID          string                     `json:"id,omitempty"`
	Description *webrtc.SessionDescription `json:"description,omitempty"`
	Candidate   *webrtc.ICECandidateInit   `json:"candidate,omitempty"`
}

// Labels of the data channels, which the page opens.
const (
	chatLabel    = "chat"    // text: to the program a line, to the page a chatLine
	controlLabel = "control" // text: to the program a control, to the page the program's statistics
)

// A control is a wish of the visitor's.
type control struct {
	// Show is "mirror" (the visitor's own media) or "clip".
	Show string `json:"show"`
}

const (
	statsInterval = time.Second
	// aliveInterval is how often the page is sent something, so that it is noticed when it has vanished.
	aliveInterval = 20 * time.Second
)

var errTooSlow = errors.New("the page does not read its signaling")

// A visitor is one call with one page. The handlers run one at a time on the signaling goroutine; what waits runs in
// goroutines of run's.
type visitor struct {
	server  *server
	id      string // whoever knows it may speak for the page
	name    string
	pc      *webrtc.PeerConnection
	work    sync.WaitGroup
	signals chan signal // to the page
	outputs map[webrtc.RTPCodecType]*output
	players []*clips.Player
	end     context.CancelCauseFunc

	// Of the signaling goroutine alone.
	answered bool // the outputs are being sent
	mirrored map[*webrtc.TrackRemote]bool
	started  bool // the connection was up once
}

func (s *server) newVisitor() (*visitor, error) {
	v := &visitor{
		server: s, id: rand.Text(), name: s.name(), signals: make(chan signal, 256),
		outputs: make(map[webrtc.RTPCodecType]*output), mirrored: make(map[*webrtc.TrackRemote]bool),
	}
	for _, clip := range []*clips.Clip{s.melody, s.pattern} {
		out, err := newOutput(clip.Codec, clip.Name)
		if err != nil {
			return nil, err
		}
		write, err := out.packetize(clip.Codec)
		if err != nil {
			return nil, err
		}
		player := clips.NewPlayer(clip, write)
		out.source(fromClip, player.KeyFrame)
		v.outputs[out.track.Kind()] = out
		v.players = append(v.players, player)
	}
	var err error
	v.pc, err = s.api.NewPeerConnection(s.configuration)
	return v, err
}

// run serves the visitor until ctx ends, which is when the page goes away, or something fails. It gives signals to send,
// and now and then nil to see whether the page is still there.
func (v *visitor) run(ctx context.Context, send func(*signal) error) error {
	ctx, v.end = context.WithCancelCause(ctx)
	defer func() {
		_ = v.pc.Close()
		v.end(nil)
		v.work.Wait()
		<-v.pc.Done()
	}()
	v.handle(ctx)
	v.server.arrive(v)
	defer v.server.leave(v)
	alive := time.NewTicker(aliveInterval)
	defer alive.Stop()
	err := send(&signal{ID: v.id})
	for err == nil {
		select {
		case s := <-v.signals:
			err = send(&s)
		case <-alive.C:
			err = send(nil)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	return err
}

// handle sets the connection's handlers.
func (v *visitor) handle(ctx context.Context) {
	v.pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		var candidate webrtc.ICECandidateInit // an empty one says that there are no more
		if c != nil {
			candidate = c.ToJSON()
		}
		v.tell(signal{Candidate: &candidate})
	})
	v.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		v.server.printf("%s: %s", v.name, state)
		if state == webrtc.PeerConnectionStateConnected && !v.started {
			v.started = true
			for _, player := range v.players {
				v.work.Go(func() {
					if _, _, err := player.Play(ctx); err != nil {
						v.end(err)
					}
				})
			}
		}
	})
	v.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		// A camera that was off and is on again is the same track: it is being read already.
		if !v.mirrored[track] {
			v.mirrored[track] = true
			v.work.Go(func() { v.mirror(track) })
		}
	})
	v.pc.OnDataChannel(func(d *webrtc.DataChannel) {
		switch d.Label() {
		case chatLabel:
			d.OnOpen(func() { v.server.join(v, d) })
			d.OnMessage(func(m webrtc.DataChannelMessage) { v.server.say(chatLine{From: v.name, Text: string(m.Data)}) })
		case controlLabel:
			d.OnOpen(func() { v.work.Go(func() { v.reportStats(ctx, d) }) })
			d.OnMessage(v.control)
		default:
			_ = d.Close()
		}
	})
}

// tell gives a signal to the page. It never waits.
func (v *visitor) tell(s signal) {
	select {
	case v.signals <- s:
	default:
		v.end(errTooSlow)
	}
}

// receive takes a signal of the page's to the signaling goroutine. Signals stay in order.
func (v *visitor) receive(s signal) {
	v.pc.Post(func() {
		if err := v.apply(s); err != nil {
			v.end(err)
		}
	})
}

// apply does what a signal asks for. It runs on the signaling goroutine; so the local candidates, which later handlers
// report, travel behind the answer.
func (v *visitor) apply(s signal) error {
	if s.Candidate != nil {
		return v.pc.AddICECandidate(*s.Candidate)
	}
	if s.Description == nil {
		return nil
	}
	if err := v.pc.SetRemoteDescription(*s.Description); err != nil {
		return err
	}
	if !v.answered {
		v.answered = true
		for _, out := range v.outputs {
			// It finds its place in the section that the page has offered for its kind.
			sender, err := v.pc.AddTrack(out.track)
			if err != nil {
				return err
			}
			v.work.Go(func() { answerFeedback(sender, out) })
		}
	}
	if err := v.pc.SetLocalDescription(webrtc.SessionDescription{}); err != nil {
		return err
	}
	v.tell(signal{Description: v.pc.LocalDescription()})
	return nil
}

// control does what the visitor wants to see.
func (v *visitor) control(m webrtc.DataChannelMessage) {
	var c control
	if json.Unmarshal(m.Data, &c) != nil {
		return
	}
	from := fromClip
	if c.Show == "mirror" {
		from = fromVisitor
	}
	for _, out := range v.outputs {
		out.choose(from)
	}
}

// mirror forwards a track of the visitor's to the output of its kind.
func (v *visitor) mirror(track *webrtc.TrackRemote) {
	out := v.outputs[track.Kind()]
	out.source(fromVisitor, func() { _ = track.RequestKeyFrame() }) // it fails when the connection closes
	for {
		packet, err := track.ReadRTP()
		if err != nil {
			return
		}
		if err := out.write(fromVisitor, packet); err != nil {
			v.end(err)
			return
		}
	}
}

// answerFeedback gives the page the key frames that it asks for (RFC 4585, section 6.3.1; RFC 5104, section 4.3.1).
func answerFeedback(sender *webrtc.RTPSender, out *output) {
	for {
		packets, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				out.keyFrame()
			}
		}
	}
}

// reportStats sends this side's statistics to the page, which understands them: their JSON is the browser's.
func (v *visitor) reportStats(ctx context.Context, d *webrtc.DataChannel) {
	ticker := time.NewTicker(statsInterval)
	defer ticker.Stop()
	for {
		text, err := json.Marshal(v.pc.GetStats())
		if err != nil {
			v.end(fmt.Errorf("statistics: %w", err))
			return
		}
		if err := d.SendTextContext(ctx, string(text)); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
