package webrtc

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// A DetachedDataChannel is a data channel as an io.ReadWriteCloser. A reader that is slow closes the receive window, so
// that the peer stops; a writer waits when the peer is slow. Its methods may be called from any goroutine except in
// handlers, where Read and Write would hold up what they wait for.
type DetachedDataChannel struct {
	channel *DataChannel

	mu    sync.Mutex // Only a pool's is locked under it.
	queue fifo[messageEvent]
	read  int // bytes of the first message that Read has given
	err   error

	wake          chan struct{}
	readDeadline  readDeadline
	writeDeadline readDeadline
}

func newDetachedDataChannel(d *DataChannel) *DetachedDataChannel {
	return &DetachedDataChannel{
		channel: d, queue: fifo[messageEvent]{pool: &messageSlices}, wake: make(chan struct{}, 1),
		readDeadline:  readDeadline{expired: make(chan struct{})},
		writeDeadline: readDeadline{expired: make(chan struct{})},
	}
}

// messageSlices is the memory of the queues of detached channels.
var messageSlices slicePool[messageEvent]

// DataChannel returns the channel, for its properties.
func (c *DetachedDataChannel) DataChannel() *DataChannel { return c.channel }

// push runs on the signaling goroutine. The queue is bounded by the receive window, which is not credited before Read.
func (c *DetachedDataChannel) push(e messageEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.queue.push(e)
	signal(c.wake)
}

// end makes reads end once the queue is empty: with io.EOF if the channel was closed in order. What is in the queue is
// charged no more: a reader who has gone must not keep the other channels' window closed.
func (c *DetachedDataChannel) end(err error) {
	c.mu.Lock()
	if c.err == nil {
		if c.err = err; err == nil {
			c.err = io.EOF
		}
		signal(c.wake)
	}
	charge := 0
	for i := range c.queue.items[c.queue.head:] {
		m := &c.queue.items[c.queue.head+i]
		charge += m.charge
		m.charge = 0
	}
	c.mu.Unlock()
	if charge > 0 {
		c.channel.giveCredit(charge)
	}
}

// Read reads at most one message, and of a message longer than p the next part: as a stream, it loses nothing. An empty
// message is zero bytes without an error. Errors: io.EOF after the channel was closed in order, net.ErrClosed,
// os.ErrDeadlineExceeded, an RTCError.
func (c *DetachedDataChannel) Read(p []byte) (int, error) {
	n, _, err := c.next(p, true)
	return n, err
}

// ReadMessage reads one message and tells whether it is text. A message longer than p stays, and the error is
// io.ErrShortBuffer with the length that is needed. Other errors as Read's.
func (c *DetachedDataChannel) ReadMessage(p []byte) (n int, isString bool, err error) {
	return c.next(p, false)
}

func (c *DetachedDataChannel) next(p []byte, partly bool) (n int, isString bool, err error) {
	for {
		c.mu.Lock()
		if c.queue.len() > 0 {
			n, isString, charge, err := c.take(p, partly)
			if c.queue.len() > 0 {
				signal(c.wake) // for another reader
			}
			c.mu.Unlock()
			c.channel.giveCredit(charge)
			return n, isString, err
		}
		err := c.err
		c.mu.Unlock()
		if err != nil {
			signal(c.wake)
			return 0, false, err
		}
		expired := c.readDeadline.channel()
		select {
		case <-c.wake:
		case <-expired:
			return 0, false, os.ErrDeadlineExceeded
		}
	}
}

// take gives the first message, or a part of it. mu is held.
func (c *DetachedDataChannel) take(p []byte, partly bool) (n int, isString bool, charge int, err error) {
	m := c.queue.front()
	rest := m.data[c.read:]
	if len(rest) > len(p) && !partly {
		return len(rest), m.isString, 0, io.ErrShortBuffer
	}
	n, isString = copy(p, rest), m.isString
	c.read += n
	if c.read < len(m.data) {
		return n, isString, 0, nil
	}
	charge, c.read = m.charge, 0
	messageBuffers.put(m.data)
	c.queue.pop()
	return n, isString, charge, nil
}

// Write sends p as one binary message. It waits while more than 1 MiB is queued. Errors: os.ErrDeadlineExceeded,
// those of Send.
func (c *DetachedDataChannel) Write(p []byte) (int, error) { return c.write(p, false) }

// WriteText sends s as one text message, which must be UTF-8. It waits as Write does.
func (c *DetachedDataChannel) WriteText(s string) (int, error) {
	if !utf8.ValidString(s) {
		return 0, typeError("a text message that is not UTF-8")
	}
	return c.write([]byte(s), true)
}

func (c *DetachedDataChannel) write(p []byte, isString bool) (int, error) {
	expired := c.writeDeadline.channel()
	select {
	case <-expired:
		return 0, os.ErrDeadlineExceeded
	default:
	}
	err := c.channel.sendWaiting(expired, func() error { return os.ErrDeadlineExceeded }, p, isString)
	if errors.Is(err, ErrDataChannelNotOpen) {
		err = errors.Join(err, net.ErrClosed)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetReadDeadline ends reads with os.ErrDeadlineExceeded from t on. The zero time: never.
func (c *DetachedDataChannel) SetReadDeadline(t time.Time) error {
	c.readDeadline.set(t)
	return nil
}

// SetWriteDeadline does the same for writes that begin after it.
func (c *DetachedDataChannel) SetWriteDeadline(t time.Time) error {
	c.writeDeadline.set(t)
	return nil
}

// SetDeadline sets both.
func (c *DetachedDataChannel) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close closes the channel: what is queued is delivered first.
func (c *DetachedDataChannel) Close() error { return c.channel.Close() }
