package main

import (
	"fmt"
	"io"
	"time"

	"github.com/pion/rtp"
)

// stack is one WebRTC library under measurement. The scenarios are written once, against this interface: what differs
// between two libraries' figures is the library.
type stack interface {
	// newPeer makes a peer connection that gathers IPv4 loopback host candidates only and has a fresh ECDSA P-256
	// certificate of its own. Everything else is the library's default.
	newPeer() (peer, error)
	// newTrack makes a local VP8 track, which can be added to any number of peers.
	newTrack(id string) (track, error)
}

// peer is one peer connection. The descriptions that it returns hold all candidates.
type peer interface {
	createChannel(label string, d delivery) (channel, error)
	onChannel(func(channel))
	addTrack(track) error
	onTrack(func(remoteTrack))

	offer() (sdp string, err error)
	answerer
	accept(answer string) error
	close() error
}

// delivery is what a data channel promises.
type delivery int

const (
	reliable   delivery = iota // and ordered
	unordered                  // but reliable
	unreliable                 // nothing is sent again, and unordered
)

// channel is one data channel. The slice given to the message handler is the handler's for the call only.
type channel interface {
	onOpen(func())
	onMessage(func([]byte))
	send([]byte) error
	bufferedAmount() uint64
	setLowThreshold(uint64)
	onLow(func())
}

// track is a local track; both libraries' static RTP tracks are one as they stand.
type track interface {
	Write(packet []byte) (int, error)
	WriteRTP(*rtp.Packet) error
}

// remoteTrack is a received track, read packet by packet.
type remoteTrack = io.Reader

// stacks are the libraries, by the names that a child process is told.
var stacks = map[string]func() (stack, error){
	ours:   newParley,
	theirs: newPion,
}

const (
	ours   = "parley"
	theirs = "pion"
)

// connectTimeout is how long a pair may take from its offer to its open channels, before the case counts as failed.
const connectTimeout = 20 * time.Second

// wait waits for a channel to be closed.
func wait(done <-chan struct{}, what string) error {
	timeout := time.NewTimer(connectTimeout)
	defer timeout.Stop()
	select {
	case <-done:
		return nil
	case <-timeout.C:
		return fmt.Errorf("no %s after %v", what, connectTimeout)
	}
}

// answerer is what connect needs of the second peer.
type answerer interface {
	answer(offer string) (sdp string, err error)
}

// connect exchanges the descriptions of two peers. w stands between them.
func connect(a peer, b answerer, w wire) error {
	offer, err := a.offer()
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	offer, err = w.rewrite(offer, w.beforeB)
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	answer, err := b.answer(offer)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	answer, err = w.rewrite(answer, w.beforeA)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if err := a.accept(answer); err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	return nil
}

// pair is two connected peers of one library.
type pair struct {
	a, b     peer
	delivery delivery // of its data channels
}

func newPair(s stack) (*pair, error) {
	a, err := s.newPeer()
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	b, err := s.newPeer()
	if err != nil {
		_ = a.close()
		return nil, fmt.Errorf("peer: %w", err)
	}
	return &pair{a: a, b: b}, nil
}

func (p *pair) close() {
	_ = p.a.close()
	_ = p.b.close()
}

// openChannel is a data channel whose two ends are open.
type openChannel struct{ a, b channel }

// openChannels connects the pair with n data channels, created by a, and returns when both ends of all are open.
// receive, if not nil, gives the message handler of the end of b; it is called before the first message can arrive.
func (p *pair) openChannels(n int, w wire, receive func() func([]byte)) ([]openChannel, error) {
	opened := make(chan struct{}, 2*n)
	remote := make(chan channel, n)
	p.b.onChannel(func(c channel) {
		if receive != nil {
			c.onMessage(receive())
		}
		c.onOpen(func() { opened <- struct{}{} })
		remote <- c
	})
	channels := make([]openChannel, n)
	for i := range channels {
		c, err := p.a.createChannel(fmt.Sprintf("channel-%d", i), p.delivery)
		if err != nil {
			return nil, fmt.Errorf("data channel: %w", err)
		}
		c.onOpen(func() { opened <- struct{}{} })
		channels[i].a = c
	}
	if err := connect(p.a, p.b, w); err != nil {
		return nil, err
	}
	timeout := time.NewTimer(connectTimeout)
	defer timeout.Stop()
	for range 2 * n {
		select {
		case <-opened:
		case <-timeout.C:
			return nil, fmt.Errorf("data channels not open after %v", connectTimeout)
		}
	}
	for i := range channels {
		channels[i].b = <-remote
	}
	return channels, nil
}
