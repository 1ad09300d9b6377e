package dcep

import (
	"time"

	"github.com/openparley/webrtc/sctp"
)

// Options are the properties of a channel, on the wire and in the API.
type Options struct {
	Label, Protocol string
	// Unordered channels deliver messages as they come.
	Unordered bool
	// Reliability with MaxRetransmits or MaxPacketLifeTime.
	Reliability       sctp.Reliability
	MaxRetransmits    uint16
	MaxPacketLifeTime time.Duration // whole milliseconds
	// Priority is the weight of RFC 8832 section 5.1: 128 below normal, 256 normal, 512 high, 1024 extra high; zero: 256.
	Priority uint16
	// Negotiated: both sides create the channel with the same ID and no OPEN is sent.
	Negotiated bool
	ID         uint16 // Negotiated only
}

// Channel is one data channel. The caller reads it through the methods and may attach an object to User.
type Channel struct {
	// User is the caller's.
	User any
	// Alloc, if set, takes the place of the one that Event is given.
	Alloc func(n int) []byte

	opts      Options
	id        int32 // -1: none yet
	state     State
	threshold int

	openSent   bool // ours: OPEN left
	acked      bool // the peer has answered OPEN, or sent it
	resetAsked bool // our half of the close handshake began
	outDone    bool // and is done
	inDone     bool // the peer's half is done

	held []heldItem // came for the next channel with this id
}

// ID is the stream id; ok is false while none was allocated.
func (c *Channel) ID() (id uint16, ok bool) { return uint16(c.id), c.id >= 0 }

// State is the state now.
func (c *Channel) State() State { return c.state }

// Options returns what the channel was made with.
func (c *Channel) Options() Options { return c.opts }
