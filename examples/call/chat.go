package main

import (
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/openparley/webrtc"
)

// chatLabel names the data channel of the chat.
const chatLabel = "chat"

// A chatMessage is one text message on the chat channel, as JSON. Lines are numbered by their sender and come back as
// echoes, which proves that they were received and tells how long the way is. "bye" is the last message but for echoes.
type chatMessage struct {
	Kind string `json:"kind"` // "line", "echo" or "bye"
	ID   int    `json:"id,omitempty"`
	Text string `json:"text,omitempty"`
	// Frames is how many frames of each kind ("audio", "video") were sent. With "bye".
	Frames map[string]uint64 `json:"frames,omitempty"`
	// Played is how long the media lasts that was sent. With "bye".
	Played time.Duration `json:"played,omitempty"`
}

// chat is one side's end of the chat channel. Its methods may be called from any goroutine.
type chat struct {
	channel *webrtc.DataChannel
	onLine  func(text string)
	onBye   func(frames map[string]uint64, played time.Duration)

	open     chan struct{} // closed when say works
	finished chan struct{} // closed when both have said bye and every line has its echo
	closed   chan struct{} // closed when the channel is

	mu       sync.Mutex // guards what follows
	waiting  map[int]sentLine
	lastID   int
	echoes   int
	wrong    int // echoes that are not what was said
	rtt      time.Duration
	saidBye  bool
	heardBye bool
}

type sentLine struct {
	text string
	at   time.Time
}

// newChat takes over a channel that was just made, here or by the peer. The handlers run on the signaling goroutine.
func newChat(channel *webrtc.DataChannel, onLine func(string), onBye func(map[string]uint64, time.Duration)) *chat {
	c := &chat{
		channel: channel, onLine: onLine, onBye: onBye,
		open: make(chan struct{}), finished: make(chan struct{}), closed: make(chan struct{}),
		waiting: make(map[int]sentLine),
	}
	channel.OnOpen(func() { close(c.open) })
	channel.OnMessage(c.receive)
	channel.OnClose(func() { close(c.closed) })
	return c
}

func (c *chat) say(text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saidBye {
		return errors.New("said bye already")
	}
	c.lastID++
	c.waiting[c.lastID] = sentLine{text, time.Now()}
	return c.send(chatMessage{Kind: "line", ID: c.lastID, Text: text})
}

// bye says that nothing follows, and how many frames of how much time were sent.
func (c *chat) bye(frames map[string]uint64, played time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saidBye = true
	c.checkFinished()
	return c.send(chatMessage{Kind: "bye", Frames: frames, Played: played})
}

func (c *chat) send(m chatMessage) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.channel.SendText(string(text))
}

func (c *chat) receive(message webrtc.DataChannelMessage) {
	var m chatMessage
	if json.Unmarshal(message.Data, &m) != nil {
		return
	}
	switch m.Kind {
	case "line":
		c.onLine(m.Text)
		_ = c.send(chatMessage{Kind: "echo", ID: m.ID, Text: m.Text}) // it fails when the channel closes: then nobody waits
	case "echo":
		c.receiveEcho(m)
	case "bye":
		c.onBye(m.Frames, m.Played)
		c.mu.Lock()
		c.heardBye = true
		c.checkFinished()
		c.mu.Unlock()
	}
}

func (c *chat) receiveEcho(m chatMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line, ok := c.waiting[m.ID]
	if !ok {
		return
	}
	delete(c.waiting, m.ID)
	if line.text != m.Text {
		c.wrong++
	}
	c.echoes++
	c.rtt = time.Since(line.at)
	c.checkFinished()
}

// checkFinished closes finished when it is time. The caller holds mu.
func (c *chat) checkFinished() {
	if !c.saidBye || !c.heardBye || len(c.waiting) > 0 {
		return
	}
	select {
	case <-c.finished: // a second bye
	default:
		close(c.finished)
	}
}

// chatReport is what the chat has come to.
type chatReport struct {
	Lines, Echoes, Wrong int
	RoundTrip            time.Duration // of the last line
}

func (c *chat) report() chatReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	return chatReport{Lines: c.lastID, Echoes: c.echoes, Wrong: c.wrong, RoundTrip: c.rtt}
}
