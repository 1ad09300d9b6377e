package e2e

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/media"
)

// labPeerEnv makes this program one end of a call in the lab, on the host that it was started on.
const labPeerEnv = "PARLEY_LAB_PEER"

// order is what a labPeer is told, a line of JSON each.
type order struct {
	Do          string // "start", "description", "candidate", "await", "stop", "pair" or "close"
	Call        int    // which one: what is signaled late must not get into the next one
	Offer       bool
	Servers     []webrtc.ICEServer `json:",omitempty"`
	Description *webrtc.SessionDescription
	Candidate   *webrtc.ICECandidateInit
	Since       time.Time // await: a packet that was sent after this
	Messages    uint64    // await: so many messages
	Packets     int       // await: so many packets
}

// notice is what a labPeer tells. Those with Done are answers.
type notice struct {
	Call        int                         `json:",omitempty"`
	Description *webrtc.SessionDescription  `json:",omitempty"`
	Candidate   *webrtc.ICECandidateInit    `json:",omitempty"`
	State       webrtc.PeerConnectionState  `json:",omitempty"`
	At          time.Time                   // of State, or of the beginning or the packet that was asked for
	Done        string                      `json:",omitempty"`
	Messages    uint64                      `json:",omitempty"` // stop: how many were sent
	Pair        [2]webrtc.ICECandidateStats // pair: local and remote
	Error       string                      `json:",omitempty"`
}

// What flows in a call, both ways.
const (
	labFrame   = 10 * time.Millisecond
	labMessage = 20 * time.Millisecond
)

// labPeer is the program. It makes one call after another, in which it sends numbered messages and dated packets.
type labPeer struct {
	mu   sync.Mutex // guards everything, and the output
	out  *json.Encoder
	call *labCall
}

type labCall struct {
	peer   *labPeer
	number int
	pc     *webrtc.PeerConnection
	own    *webrtc.DataChannel
	end    chan struct{} // the end of what is sent
	over   sync.WaitGroup

	// Guarded by the peer's mu.
	changed chan struct{}
	packets []dated
	next    uint64 // the message that must come now
	sent    uint64
	stopped bool
}

// dated is when a packet was sent and when it came.
type dated struct{ sent, came time.Time }

// serveLabPeer is the program's main function: it ends with its input.
func serveLabPeer() int {
	p := &labPeer{out: json.NewEncoder(os.Stdout)}
	in := json.NewDecoder(os.Stdin)
	for {
		var o order
		err := in.Decode(&o)
		if errors.Is(err, io.EOF) {
			p.close()
			return 0
		}
		if err == nil {
			err = p.do(o)
		}
		if err != nil {
			p.tell(notice{Error: fmt.Sprintf("%s: %v", o.Do, err)})
		}
	}
}

func (p *labPeer) tell(n notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.out.Encode(n) // who does not listen any more has gone
}

func (p *labPeer) do(o order) error {
	c := p.call
	switch {
	case o.Do == "start":
		return p.start(o)
	case c == nil || c.number != o.Call:
		return nil
	}
	switch o.Do {
	case "description":
		return c.describe(*o.Description)
	case "candidate":
		return c.pc.AddICECandidate(*o.Candidate)
	case "await":
		go c.await(o)
	case "stop":
		p.mu.Lock()
		c.stopped = true
		n := c.sent
		p.mu.Unlock()
		p.tell(notice{Done: o.Do, Messages: n})
	case "pair":
		p.tell(notice{Done: o.Do, Pair: c.pair()})
	case "close":
		p.close()
		p.tell(notice{Done: o.Do})
	default:
		return errors.New("unknown order")
	}
	return nil
}

// start makes the connection, and the offer.
func (p *labPeer) start(o order) error {
	began := time.Now()
	api, err := webrtc.NewAPI(webrtc.Settings{})
	if err != nil {
		return err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{ICEServers: o.Servers})
	if err != nil {
		return err
	}
	c := &labCall{peer: p, number: o.Call, pc: pc, end: make(chan struct{}), changed: make(chan struct{})}
	p.call = c
	if err := c.prepare(); err != nil {
		return err
	}
	p.tell(notice{Done: "start", At: began})
	if !o.Offer {
		return nil
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	return c.announce(offer)
}

// prepare sets the handlers, the track and the channel.
func (c *labCall) prepare() error {
	c.pc.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		init := webrtc.ICECandidateInit{SDPMid: &firstMid}
		if candidate != nil {
			init = candidate.ToJSON()
		}
		c.peer.tell(notice{Call: c.number, Candidate: &init})
	})
	c.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		c.peer.tell(notice{State: s, At: time.Now()})
	})
	c.pc.OnDataChannel(func(d *webrtc.DataChannel) { d.OnMessage(c.receive) })
	c.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		c.over.Go(func() { c.read(track) })
	})
	var err error
	if c.own, err = c.pc.CreateDataChannel("lab", nil); err != nil {
		return err
	}
	c.own.OnOpen(func() { c.over.Go(c.talk) })
	track, err := webrtc.NewTrackLocalStaticSample(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", "lab")
	if err != nil {
		return err
	}
	if _, err := c.pc.AddTrack(track); err != nil {
		return err
	}
	c.over.Go(func() { c.play(track) })
	return nil
}

func (c *labCall) announce(d webrtc.SessionDescription) error {
	c.peer.tell(notice{Call: c.number, Description: &d}) // before its candidates
	return c.pc.SetLocalDescription(d)
}

func (c *labCall) describe(d webrtc.SessionDescription) error {
	if err := c.pc.SetRemoteDescription(d); err != nil || d.Type == webrtc.SDPTypeAnswer {
		return err
	}
	answer, err := c.pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	return c.announce(answer)
}

// every does something until the end of the call.
func (c *labCall) every(d time.Duration, do func() error) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		if err := do(); err != nil {
			select {
			case <-c.end:
			default:
				c.peer.tell(notice{Error: err.Error()})
			}
			return
		}
		select {
		case <-tick.C:
		case <-c.end:
			return
		}
	}
}

// play sends packets that carry their time.
func (c *labCall) play(track *webrtc.TrackLocalStaticSample) {
	frame := make([]byte, 120)
	c.every(labFrame, func() error {
		binary.BigEndian.PutUint64(frame, uint64(time.Now().UnixNano()))
		return track.WriteSample(media.Sample{Data: frame, Duration: labFrame})
	})
}

// talk sends numbered messages.
func (c *labCall) talk() {
	c.every(labMessage, func() error {
		c.peer.mu.Lock()
		n, stopped := c.sent, c.stopped
		if !stopped {
			c.sent++
		}
		c.peer.mu.Unlock()
		if stopped {
			return nil
		}
		return c.own.Send(binary.BigEndian.AppendUint64(nil, n))
	})
}

// receive takes the peer's messages, which must come in order, each once.
func (c *labCall) receive(m webrtc.DataChannelMessage) {
	c.peer.mu.Lock()
	want := c.next
	c.next++
	c.wake()
	c.peer.mu.Unlock()
	if len(m.Data) != 8 || binary.BigEndian.Uint64(m.Data) != want {
		c.peer.tell(notice{Error: fmt.Sprintf("message %x in the place of %d", m.Data, want)})
	}
}

func (c *labCall) read(track *webrtc.TrackRemote) {
	for {
		packet, err := track.ReadRTP()
		if err != nil {
			return // the end of the call
		}
		if len(packet.Payload) < 8 {
			c.peer.tell(notice{Error: "a packet without its time"})
			return
		}
		sent := time.Unix(0, int64(binary.BigEndian.Uint64(packet.Payload)))
		c.peer.mu.Lock()
		c.packets = append(c.packets, dated{sent, time.Now()})
		c.wake()
		c.peer.mu.Unlock()
	}
}

// wake lets those look again who wait for something to come. mu is held.
func (c *labCall) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// await answers when all has come that is asked for, with the time at which the first packet came that counts.
func (c *labCall) await(o order) {
	for {
		c.peer.mu.Lock()
		n, changed := 0, c.changed
		var first time.Time
		for _, d := range c.packets {
			if !d.sent.Before(o.Since) {
				if n == 0 || d.came.Before(first) {
					first = d.came
				}
				n++
			}
		}
		met := n >= o.Packets && c.next >= o.Messages
		c.peer.mu.Unlock()
		if met {
			c.peer.tell(notice{Done: "await", At: first})
			return
		}
		select {
		case <-changed:
		case <-c.end:
			return
		}
	}
}

// pair returns the candidates of the pair in use.
func (c *labCall) pair() (pair [2]webrtc.ICECandidateStats) {
	report := c.pc.GetStats()
	for _, s := range report {
		transport, ok := s.(*webrtc.TransportStats)
		if !ok {
			continue
		}
		selected, ok := report[transport.SelectedCandidatePairID].(*webrtc.ICECandidatePairStats)
		if !ok {
			continue
		}
		for i, id := range []string{selected.LocalCandidateID, selected.RemoteCandidateID} {
			if candidate, ok := report[id].(*webrtc.ICECandidateStats); ok {
				pair[i] = *candidate
			}
		}
	}
	return pair
}

// close ends the call, if there is one.
func (p *labPeer) close() {
	c := p.call
	if c == nil {
		return
	}
	close(c.end)
	if err := c.pc.Close(); err != nil {
		p.tell(notice{Error: err.Error()})
	}
	c.over.Wait()
	<-c.pc.Done()
	p.call = nil
}
