package webrtc

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/sctp/dcep"
)

var errDataRejected = errors.New("the peer has rejected the data section")

// A dataLink is the data channels of one association. A channel keeps its own: when the association has ended and another
// has begun, what is still to be said of the channel does not concern the new one.
type dataLink struct {
	channels *dcep.Channels
	sctp     *SCTPTransport // what the API calls it
	// credit gathers the receive window that handlers have freed; the transport is entered when it is worth it.
	credit atomic.Int64
}

// The data channel entries of a composite. They are called under transport.mu.

// createChannel makes the channel, or keeps it until a data section is negotiated.
func (c *composite) createChannel(now time.Time, dc *DataChannel) error {
	if c.link == nil {
		if dc.options.Negotiated {
			for _, w := range c.waiting {
				if w.options.Negotiated && w.options.ID == dc.options.ID {
					return errors.New("the id is in use")
				}
			}
		}
		c.waiting = append(c.waiting, dc)
		return nil
	}
	handle, err := c.link.channels.Create(now, dc.options)
	if err != nil {
		return err
	}
	c.attach(dc, handle)
	c.link.channels.SetBufferedAmountLowThreshold(handle, dc.handleThreshold)
	return nil
}

// attach binds the object of the API to the channel of the layer below.
func (c *composite) attach(dc *DataChannel, handle *dcep.Channel) {
	dc.handle, dc.link, handle.User = handle, c.link, dc
	if dc.pooled {
		c.poolMessages(dc)
	}
	c.keep(dc)
}

// poolMessages has the messages of a channel in memory that comes back when they were read.
func (c *composite) poolMessages(dc *DataChannel) {
	dc.pooled = true
	if dc.handle != nil {
		dc.handle.Alloc = messageBuffers.get
	}
}

// keep remembers a channel until its end was delivered, so that Close finds it.
func (c *composite) keep(dc *DataChannel) {
	if c.live == nil {
		c.live = make(map[*DataChannel]struct{})
	}
	c.live[dc] = struct{}{}
}

// refuse ends a channel that was waiting.
func (c *composite) refuse(dc *DataChannel, err error) {
	c.keep(dc)
	c.sink.channelRefused(dc, err)
}

// createWaiting makes the channels that were waiting for the association.
func (c *composite) createWaiting(now time.Time) {
	waiting := c.waiting
	c.waiting = nil
	for _, dc := range waiting {
		if err := c.createChannel(now, dc); err != nil {
			c.refuse(dc, err)
		}
	}
}

// refuseWaiting closes the channels that wait for an association which the peer does not want.
func (c *composite) refuseWaiting() {
	waiting := c.waiting
	c.waiting = nil
	for _, dc := range waiting {
		c.refuse(dc, errDataRejected)
	}
}

// dataChannels returns all channels that are not closed.
func (c *composite) dataChannels() []*DataChannel {
	channels := append([]*DataChannel(nil), c.waiting...)
	for dc := range c.live {
		channels = append(channels, dc)
	}
	return channels
}

func (c *composite) sendMessage(now time.Time, dc *DataChannel, data []byte, isString bool) error {
	if dc.handle == nil {
		return &InvalidStateError{Err: ErrDataChannelNotOpen}
	}
	if err := dc.link.channels.Send(now, dc.handle, data, isString); err != nil {
		return fromSCTP(err)
	}
	dc.sent.count(len(data))
	return nil
}

func (c *composite) bufferedAmount(dc *DataChannel) int {
	if dc.handle == nil {
		return 0
	}
	return dc.link.channels.BufferedAmount(dc.handle)
}

// hasRoom reports whether a call that waits to send n bytes may try again: the channel's own queue is short, and all
// channels together leave room. A channel that is not open any more has room, so that the call finds out.
func (c *composite) hasRoom(dc *DataChannel, n int) bool {
	if dc.handle == nil || dc.handle.State() != dcep.StateOpen {
		return true
	}
	total := c.assoc.Stats().BufferedBytes
	return dc.link.channels.BufferedAmount(dc.handle) <= sendContextLimit/2 && (total == 0 || total+n <= c.cfg.sendBuffer)
}

func (c *composite) setLowThreshold(dc *DataChannel, n int) {
	dc.handleThreshold = n
	if dc.handle != nil {
		dc.link.channels.SetBufferedAmountLowThreshold(dc.handle, n)
	}
}

// closeChannel begins the close handshake; a channel that still waits for an association is closed at once.
func (c *composite) closeChannel(now time.Time, dc *DataChannel) {
	if dc.handle != nil {
		dc.link.channels.Close(now, dc.handle)
		return
	}
	for i, w := range c.waiting {
		if w == dc {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			c.refuse(dc, nil)
			return
		}
	}
}

func (c *composite) releaseChannel(now time.Time, dc *DataChannel) {
	if dc.handle != nil {
		dc.link.channels.Released(now, dc.handle)
	}
	delete(c.live, dc)
}

// drained reports whether everything that data channels have sent was acknowledged.
func (c *composite) drained() bool {
	if c.assoc == nil || c.dtlsState != dtls.StateConnected {
		return true
	}
	s := c.assoc.Stats()
	return s.BufferedBytes == 0 && s.Unacknowledged == 0
}

// giveCredit returns what gathered of a link's receive window.
func (c *composite) giveCredit(now time.Time, link *dataLink) {
	link.channels.Credit(now, int(link.credit.Swap(0)))
}
