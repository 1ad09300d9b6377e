package webrtc

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// negotiator plays the perfect negotiation of webrtc-pc 10.7: one and the same code on both sides, but for polite.
type negotiator struct {
	t      *testing.T
	name   string
	pc     *PeerConnection
	polite bool
	other  *negotiator
	// queue is the way of signaling to this side: in order, and each message takes its time.
	queue chan signalingMessage

	// one at a time: on the signaling goroutine (post), or under a lock of the application's.
	post bool
	mu   sync.Mutex

	ignoreOffer       bool
	offers, rollbacks int
}

// signalingMessage is one message of signaling.
type signalingMessage struct {
	description *SessionDescription
	candidate   *ICECandidateInit
}

func newNegotiator(t *testing.T, name string, pc *PeerConnection, polite, post bool) *negotiator {
	n := &negotiator{t: t, name: name, pc: pc, polite: polite, post: post, queue: make(chan signalingMessage, 1000)}
	pc.OnNegotiationNeeded(func() { n.locked(n.negotiationNeeded) })
	pc.OnICECandidate(func(c *ICECandidate) {
		if c != nil {
			init := c.ToJSON()
			n.locked(func() { n.other.queue <- signalingMessage{candidate: &init} }) // behind its description
		}
	})
	return n
}

func (n *negotiator) locked(f func()) {
	if !n.post {
		n.mu.Lock()
		defer n.mu.Unlock()
	}
	f()
}

func (n *negotiator) negotiationNeeded() {
	if err := n.pc.SetLocalDescription(SessionDescription{}); err != nil {
		n.t.Errorf("%s: SetLocalDescription: %v", n.name, err)
		return
	}
	n.offers++
	n.other.queue <- signalingMessage{description: n.pc.LocalDescription()}
}

// serve hands the queue's messages over until it is closed.
func (n *negotiator) serve(dice *rand.Rand) {
	for m := range n.queue {
		time.Sleep(time.Duration(dice.IntN(30)) * time.Millisecond)
		if n.post {
			n.pc.Post(func() { n.receive(m) })
		} else {
			n.locked(func() { n.receive(m) })
		}
	}
}

func (n *negotiator) receive(m signalingMessage) {
	if m.candidate != nil {
		if err := n.pc.AddICECandidate(*m.candidate); err != nil && !n.ignoreOffer {
			n.t.Errorf("%s: AddICECandidate: %v", n.name, err)
		}
		return
	}
	d := *m.description
	collision := d.Type == SDPTypeOffer && n.pc.SignalingState() != SignalingStateStable
	if n.ignoreOffer = !n.polite && collision; n.ignoreOffer {
		return
	}
	if collision {
		n.rollbacks++
	}
	if err := n.pc.SetRemoteDescription(d); err != nil {
		n.t.Errorf("%s: SetRemoteDescription(%v): %v", n.name, d.Type, err)
		return
	}
	if d.Type == SDPTypeOffer {
		if err := n.pc.SetLocalDescription(SessionDescription{}); err != nil {
			n.t.Errorf("%s: SetLocalDescription: %v", n.name, err)
			return
		}
		n.other.queue <- signalingMessage{description: n.pc.LocalDescription()}
	}
}

// disturb does something that needs negotiation.
func (n *negotiator) disturb(dice *rand.Rand) {
	pc := n.pc
	transceivers := pc.GetTransceivers()
	var some *RTPTransceiver
	if len(transceivers) > 0 {
		some = transceivers[dice.IntN(len(transceivers))]
	}
	var err error
	switch what := dice.IntN(8); {
	case what == 0:
		_, err = pc.CreateDataChannel("more", nil)
	case what == 1:
		pc.RestartICE()
	case what == 2:
		_, err = pc.AddTransceiverFromKind(RTPCodecTypeAudio)
	case what < 5 || some == nil:
		var track *TrackLocalStaticRTP
		if track, err = NewTrackLocalStaticRTP(vp8, fmt.Sprint(n.name, dice.Uint32()), "stream"); err == nil {
			_, err = pc.AddTrack(track)
		}
	case what == 5:
		_ = some.SetDirection(RTPTransceiverDirection(1 + dice.IntN(4))) // it may be stopped meanwhile
	case what == 6:
		err = some.Stop()
	default:
		err = pc.RemoveTrack(some.Sender())
	}
	if err != nil {
		n.t.Errorf("%s: %v", n.name, err)
	}
}

func TestPerfectNegotiation(t *testing.T) {
	rollbacks := 0
	for seed := range tortureSeeds(40) {
		inBubble(t, pairOptions{quiet: true, seed: seed + 1}, func(p *pair) {
			rollbacks += perfectNegotiation(p, seed)
			if p.t.Failed() {
				p.t.Fatalf("seed %d", seed)
			}
		})
	}
	if rollbacks < 10 {
		t.Errorf("only %d rollbacks: too little glare", rollbacks)
	}
}

// perfectNegotiation disturbs a pair on both sides at random times, and checks what is left of it.
func perfectNegotiation(p *pair, seed uint64) (rollbacks int) {
	a := newNegotiator(p.t, "impolite", p.a, false, seed%2 == 0)
	b := newNegotiator(p.t, "polite", p.b, true, seed%2 == 0)
	a.other, b.other = b, a
	var serving, acting sync.WaitGroup
	for i, n := range []*negotiator{a, b} {
		dice := rand.New(rand.NewPCG(seed, uint64(i)))
		serving.Go(func() { n.serve(dice) })
	}
	defer func() {
		p.must(p.a.Close())
		p.must(p.b.Close())
		<-p.a.Done()
		<-p.b.Done()
		close(a.queue)
		close(b.queue)
		serving.Wait()
	}()
	negotiated, id := true, uint16(100)
	init := &DataChannelInit{Negotiated: &negotiated, ID: &id}
	left, err := p.a.CreateDataChannel("", init)
	p.must(err)
	right, err := p.b.CreateDataChannel("", init)
	p.must(err)
	for i, n := range []*negotiator{a, b} {
		dice := rand.New(rand.NewPCG(seed, uint64(2+i)))
		acting.Go(func() {
			for range 3 + dice.IntN(10) {
				time.Sleep(time.Duration(dice.IntN(200)) * time.Millisecond)
				n.disturb(dice)
			}
		})
	}
	acting.Wait()
	time.Sleep(10 * time.Second)
	checkSettled(p, a, b)
	checkEcho(p, left, right)
	checkEveryTrackFlows(p, p.a, p.b)
	checkEveryTrackFlows(p, p.b, p.a)
	p.t.Logf("%d and %d offers, %d rollbacks", a.offers, b.offers, b.rollbacks)
	return b.rollbacks
}

// checkSettled: both sides are done, and agree about every section.
func checkSettled(p *pair, sides ...*negotiator) {
	p.t.Helper()
	synctest.Wait()
	for _, n := range sides {
		n.pc.mu.Lock()
		needed := n.pc.jsep.CheckNegotiationNeeded()
		n.pc.mu.Unlock()
		if s := n.pc.SignalingState(); s != SignalingStateStable || needed {
			p.t.Errorf("%s: state %v, negotiation needed: %v", n.name, s, needed)
		}
		if s := n.pc.ConnectionState(); s != PeerConnectionStateConnected {
			p.t.Errorf("%s: connection state %v", n.name, s)
		}
	}
	far := map[string]RTPTransceiverDirection{}
	for _, t := range p.b.GetTransceivers() {
		far[t.Mid()] = t.CurrentDirection()
	}
	mirror := map[RTPTransceiverDirection]RTPTransceiverDirection{
		RTPTransceiverDirectionSendrecv: RTPTransceiverDirectionSendrecv,
		RTPTransceiverDirectionSendonly: RTPTransceiverDirectionRecvonly,
		RTPTransceiverDirectionRecvonly: RTPTransceiverDirectionSendonly,
		RTPTransceiverDirectionInactive: RTPTransceiverDirectionInactive,
	}
	near := p.a.GetTransceivers()
	for _, t := range near {
		if far[t.Mid()] != mirror[t.CurrentDirection()] {
			p.t.Errorf("section %s: %v on one side, %v on the other", t.Mid(), t.CurrentDirection(), far[t.Mid()])
		}
	}
	if len(near) != len(far) {
		p.t.Errorf("%d transceivers on one side, %d on the other", len(near), len(far))
	}
}

// checkEcho sends both ways on a channel.
func checkEcho(p *pair, left, right *DataChannel) {
	p.t.Helper()
	for i, d := range []*DataChannel{left, right} {
		got := make(chan string, 1)
		[]*DataChannel{right, left}[i].OnMessage(func(m DataChannelMessage) { got <- string(m.Data) })
		p.must(d.SendText("hello"))
		within(p, 5*time.Second, "message", got)
	}
}

// checkEveryTrackFlows sends a packet of each track that may be sent, and waits for it at the other side.
func checkEveryTrackFlows(p *pair, from, to *PeerConnection) {
	p.t.Helper()
	for _, t := range from.GetTransceivers() {
		track, _ := t.Sender().Track().(*TrackLocalStaticRTP)
		if d := t.CurrentDirection(); track == nil || d != RTPTransceiverDirectionSendrecv && d != RTPTransceiverDirectionSendonly {
			continue
		}
		for _, o := range to.GetTransceivers() {
			if o.Mid() != t.Mid() {
				continue
			}
			remote := o.Receiver().Track()
			p.must(track.WriteRTP(packet(uint16(len(track.ID())), 'm')))
			p.must(remote.SetReadDeadline(time.Now().Add(time.Second)))
			if _, err := remote.ReadRTP(); err != nil {
				p.t.Errorf("track %q in section %s: %v", track.ID(), t.Mid(), err)
			}
			if synctest.Wait(); remote.Muted() {
				p.t.Errorf("track %q in section %s is muted", track.ID(), t.Mid())
			}
		}
	}
}
