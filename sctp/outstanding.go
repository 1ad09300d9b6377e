package sctp

// maxOutstanding caps the chunks that are not acknowledged: gap blocks of a SACK reach 65535 TSNs.
const maxOutstanding = 60000

type chunkState uint8

const (
	chunkInFlight  chunkState = iota
	chunkAcked                // by a gap block
	chunkLost                 // to be sent again
	chunkAbandoned            // given up by partial reliability
)

// sentChunk is a fragment that has a TSN.
type sentChunk struct {
	msg           *outMessage
	offset        uint32
	size          uint16 // payload
	wire          uint16 // with header and padding: what congestion control counts
	flags         uint8
	state         chunkState
	transmissions uint8
	limited       bool
	packet        uint64 // number of the packet that carried it last
	sentAt        tick   // when it was sent last
	// See delivery.go.
	delivered              int64
	deliveredAt, firstSent tick
	fsn                    uint32
}

// sentRef is an entry of the list of chunks by time of transmission; stale when the chunk has another packet number by now.
type sentRef struct {
	tsn    uint32
	packet uint64
}

// outstanding is the retransmission queue: every TSN from base to next.
type outstanding struct {
	buf       []sentChunk // a power of two; at tsn modulo its length
	base      uint32      // the lowest TSN not acknowledged cumulatively
	next      uint32      // the next TSN to be assigned
	flight    int         // bytes in flight, with headers
	payload   int         // bytes in flight, as the peer's window counts them
	lost      int         // chunks in state chunkLost
	abandoned int         // chunks in state chunkAbandoned
	lostFrom  uint32      // no lost chunk is below
	order     ring[sentRef]
	// forwarded is the advanced peer ack point that was last told by FORWARD TSN (RFC 3758 section 3.5).
	forwarded uint32
}

func (o *outstanding) start(tsn uint32) {
	o.base, o.next, o.lostFrom, o.forwarded = tsn, tsn, tsn, tsn-1
}

func (o *outstanding) len() int { return int(o.next - o.base) }

func (o *outstanding) at(tsn uint32) *sentChunk { return &o.buf[tsn&uint32(len(o.buf)-1)] }

// add assigns the next TSN.
func (o *outstanding) add() (tsn uint32, c *sentChunk) {
	if o.len() == len(o.buf) {
		o.grow()
	}
	tsn = o.next
	o.next++
	return tsn, o.at(tsn)
}

func (o *outstanding) grow() {
	buf := make([]sentChunk, max(4, 2*len(o.buf)))
	for t := o.base; t != o.next; t++ {
		buf[t&uint32(len(buf)-1)] = *o.at(t)
	}
	o.buf = buf
}

// launched counts a chunk in after it was put into a packet.
func (o *outstanding) launched(tsn uint32, c *sentChunk) {
	if c.state == chunkLost {
		o.lost--
	}
	c.state = chunkInFlight
	o.flight += int(c.wire)
	o.payload += int(c.size)
	o.order.push(sentRef{tsn, c.packet})
}

// landed takes a chunk out of the flight.
func (o *outstanding) landed(c *sentChunk) {
	o.flight -= int(c.wire)
	o.payload -= int(c.size)
}

// lose marks a chunk in flight as lost.
func (o *outstanding) lose(tsn uint32, c *sentChunk) {
	o.landed(c)
	c.state = chunkLost
	if o.lost == 0 || tsnLess(tsn, o.lostFrom) {
		o.lostFrom = tsn
	}
	o.lost++
}

// firstLost finds the lowest lost chunk.
func (o *outstanding) firstLost() (uint32, *sentChunk) {
	if o.lost == 0 {
		return 0, nil
	}
	if tsnLess(o.lostFrom, o.base) {
		o.lostFrom = o.base
	}
	for ; o.lostFrom != o.next; o.lostFrom++ {
		if c := o.at(o.lostFrom); c.state == chunkLost {
			return o.lostFrom, c
		}
	}
	return 0, nil
}

// oldest drops stale entries off the list by time and returns the front.
func (o *outstanding) oldest() (uint32, *sentChunk) {
	for o.order.len() > 0 {
		r := o.order.at(0)
		if tsnLessEq(o.base, r.tsn) && tsnLess(r.tsn, o.next) {
			if c := o.at(r.tsn); c.packet == r.packet && c.state == chunkInFlight {
				return r.tsn, c
			}
		}
		o.order.drop()
	}
	return 0, nil
}

// advanced is the highest TSN up to which everything was acknowledged or given up, if that ends with something given up
// (RFC 3758 section 3.5 C1).
func (o *outstanding) advanced() (uint32, bool) {
	point := o.base - 1
	if o.abandoned == 0 {
		return point, false
	}
	for t := o.base; t != o.next; t++ {
		c := o.at(t)
		switch {
		case c.state == chunkAbandoned || c.state == chunkAcked && c.msg.abandoned:
			point = t
		case c.state == chunkAcked:
		default:
			return point, point != o.base-1
		}
	}
	return point, point != o.base-1
}

func (o *outstanding) trim() {
	if o.len() == 0 {
		o.buf = nil
		o.order = ring[sentRef]{}
	}
}
